"""What a soak's engine runs in: a disk that can be full, a Bot API that can fail, and whoever kills it."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from soak_plan import Plan

if TYPE_CHECKING:
    from tests.fakes.bot_api import BotApi

ROOT: Final = Path(__file__).resolve().parents[1]
INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE")
ROOM: Final = "4g"
"""Of the home's file system."""
RISK_PCT: Final = "0.002"
"""Small enough for a losing model to trade for 30 days: an account near its floor would only be blocked. With
0.01 it lost 17,988 of the 18,000 that the guard allows within 15.5 days."""
START: Final = 1_772_431_210.0
"""2026-03-02 06:00:10 UTC, a Monday."""


@contextmanager
def disk(folder: Path) -> Iterator[Disk]:
    """A file system of its own at ``folder``; a plain folder where this user may not mount one."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    found = Disk(folder, mounted=done.returncode == 0)
    try:
        yield found
    finally:
        if found.mounted:
            subprocess.run(["umount", str(folder)], check=True)


_ATTEMPTS: Final = 20
"""Readings of what the disk holds, until none of the engine's threads wrote between reading and resizing."""


@dataclass
class Disk:
    """The file system the home is on."""

    folder: Path
    mounted: bool
    full: bool = False

    def set_full(self, full: bool) -> None:
        """Leave no free byte, or give the room back."""
        if full == self.full or not self.mounted:
            return
        self.full = full
        if not full:
            self._resize(ROOM, check=True)
            return
        self._fold_log()
        for attempt in range(_ATTEMPTS):
            state = os.statvfs(self.folder)
            used = (state.f_blocks - state.f_bfree) * state.f_frsize
            if self._resize(str(used), check=attempt == _ATTEMPTS - 1):
                return

    def _resize(self, size: str, *, check: bool) -> bool:
        """Whether it has that size now: below what is in it, it refuses."""
        command = ["mount", "-o", f"remount,size={size}", str(self.folder)]
        return subprocess.run(command, capture_output=not check, check=check).returncode == 0

    def _fold_log(self) -> None:
        """A write-ahead log that was long before has room for pages; without it the next write needs some."""
        with suppress(sqlite3.Error), closing(sqlite3.connect(self.folder / "home" / "tradingai.db")) as one:
            one.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@dataclass
class Sample:
    """How large a process was, and when. ``start`` numbers the engine's starts."""

    start: int
    at: float
    mb: float


@dataclass
class Journal:
    """What was injected and what came of it, one JSON document a line."""

    file: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    def note(self, what: str, at: float, **more: Any) -> None:
        """Write one line."""
        line = {"what": what, "at": round(at, 1), **more}
        self.lines.append(line)
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    def count(self, what: str) -> int:
        """How many lines say this."""
        return sum(line["what"] == what for line in self.lines)


@dataclass
class World:
    """Lets one engine after the other live on the same home until the plan is through."""

    plan: Plan
    disk: Disk
    api: BotApi
    journal: Journal
    at: float = 0.0
    wall: float = START
    done: set[int] = field(default_factory=set)
    samples: list[Sample] = field(default_factory=list)
    starts: int = 0
    unplanned: list[str] = field(default_factory=list)
    """Ends of an engine that nothing injected explains."""
    down: float = 0.0
    arrived_at: list[float] = field(default_factory=list)
    """When each message arrived at the Bot API."""
    _killed: int | None = None
    _stopped: int | None = None
    _failure: str = ""
    _turned: tuple[str, bool] = ("ok", False)

    @property
    def home(self) -> Path:
        """Where everything is."""
        return self.disk.folder / "home"

    def live(self) -> None:
        """Until the plan's time is over."""
        self.api.on_message = lambda _form: self.arrived_at.append(self.at)
        while self.at < self.plan.seconds and len(self.unplanned) < 3:
            self.one_start()

    def one_start(self) -> None:
        """One engine, from its start to its end, and the time it is down afterwards."""
        self.starts += 1
        self._killed = self._stopped = None
        self._failure = ""
        self._turn(self.plan.telegram(self.at), full=self.plan.disk_is_full(self.at))
        self.journal.note("start", self.at, wall=self.wall, number=self.starts)
        with subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks" / "soak_engine.py"), json.dumps(self._orders())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self._environment(), cwd=ROOT,
        ) as engine:  # fmt: skip
            try:
                self._listen(engine)
                status = engine.wait(60)
            finally:
                engine.kill()
        self._ended(status)

    def _orders(self) -> dict[str, Any]:
        return {
            "plan": self.plan.as_json(), "home": str(self.home), "at": self.at, "wall": self.wall,
            "done": sorted(self.done), "page_limit": not self.disk.mounted,
        }  # fmt: skip

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
        told = {
            "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent",
            "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "HEARTBEAT_S": "60",
            "PROVIDER_TIMEOUT_S": "2", "EVENT_DAYS": "365", "PAPER_RISK_PCT": RISK_PCT,
            "MAX_SIGNALS_PER_HOUR_HIGH": "9",
        }  # fmt: skip
        return {**kept, **told, **self.api.environment}

    def _listen(self, engine: subprocess.Popen[str]) -> None:
        """Until it says nothing more."""
        assert engine.stdout is not None
        for line in engine.stdout:
            if not line.endswith("\n"):
                return
            said = json.loads(line)
            if "ask" in said:
                self._carry_out(said["ask"])
                self._answer(engine)
            elif "kill" in said:
                self._killed = said["kill"]
                threading.Timer(said["after_ms"] / 1000, engine.kill).start()
            elif "failed" in said:
                self._failure = said["failed"]
            elif "refused" in said:
                self.journal.note("refused", self.at, action=said["refused"], reason=said["reason"])
            else:
                self.at, self.wall = said["at"], said["wall"]
                self.samples.append(Sample(self.starts, said["at"], said["mb"]))

    @staticmethod
    def _answer(engine: subprocess.Popen[str]) -> None:
        assert engine.stdin is not None
        with suppress(OSError):
            engine.stdin.write("\n")
            engine.stdin.flush()

    def _carry_out(self, asked: dict[str, Any]) -> None:
        match asked:
            case {"telegram": mode, "disk_full": full}:
                self._turn(mode, full=full)
            case {"killing": number}:
                self._killed = number
            case {"say": text, "wall": wall}:
                self.api.say(text, at=wall)
            case {"done": number, "said": said}:
                self._finish(number, said)

    def _finish(self, number: int, said: str) -> None:
        action = self.plan.actions[number]
        self.done.add(number)
        if action.kind == "stop":
            self._stopped = number
        if action.kind == "jump":
            self.wall += action.seconds
        if action.kind != "look" or said == "done":
            self.journal.note(action.kind, self.at, action=number, said=said, seconds=action.seconds)

    def _turn(self, mode: str, *, full: bool) -> None:
        """Disk and Bot API as the plan has them now."""
        if (mode, full) == self._turned:
            return
        before, self._turned = self._turned, (mode, full)
        self.api.always = mode
        self.disk.set_full(full)
        if mode != before[0] and mode != "ok":
            self.journal.note("telegram", self.at, mode=mode)
        if full and not before[1]:
            self.journal.note("disk", self.at, mounted=self.disk.mounted)

    def _ended(self, status: int) -> None:
        """What ended it, and how long it is down now."""
        down = 0.0
        if self._killed is not None and status == -9:
            action = self.plan.actions[self._killed]
            self.done.add(self._killed)
            how = "itself" if action.from_outside_ms is None else "another process"
            self.journal.note("kill", self.at, action=self._killed, by=how, readings=action.readings)
            down = action.down_s
        elif status == 0 and self._stopped is not None:
            down = self.plan.actions[self._stopped].down_s
        elif status == 3 and self.plan.disk_is_full(self.at):
            self.journal.note("start refused", self.at, reason=self._failure)
            down = 60.0
        elif status != 0 or self.at < self.plan.seconds:
            self.unplanned.append(
                f"start {self.starts} ended with {status} at {self.at:.0f} s: {self._failure}"
            )
            self.journal.note("unplanned end", self.at, status=status, reason=self._failure)
            down = 60.0
        self.at += down
        self.wall += down
        self.down += down
