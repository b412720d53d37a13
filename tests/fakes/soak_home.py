"""A small recorded home that a soak's invariants hold on, and copies of it with something wrong."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

from tradingai.engine.alerts.outbox import Outbox
from tradingai.engine.alerts.sinks import LogFileSink, RecordingSink
from tradingai.engine.core.commands import ResetAccount, SetKillSwitch
from tradingai.engine.registry.registry import Registry
from tradingai.engine.runtime.compaction import Upkeep
from tradingai.engine.runtime.controls import carry_out

from tests.fakes.command_line import ROOT
from tests.fakes.live import BTC, SpoiltFeed, open_bench, promote, sure_artifact

sys.path.insert(0, str(ROOT / "benchmarks"))
from soak_evidence import Evidence
from soak_plan import Action, Plan

CHANNEL = "telegram:42"
INTERVAL_S = 120.0
PLAN = Plan(1, 1.0, INTERVAL_S, actions=(Action("switch_on", 0.5, "cli"),))
"""What the recorded home went through."""
JOURNAL = [
    {"what": "start", "at": 0.0},
    {"what": "switch_on", "at": 100.0},
    {"what": "switch_off", "at": 200.0},
]


async def record(root):
    """Five hours with the kill switch, a halt, another model and an outage; the texts that went out."""
    feed = SpoiltFeed()
    async with open_bench(root, interval_s=INTERVAL_S, feed=feed) as bench:
        promote(bench.paths, bench.clock, sure_artifact(logit=-1.5))
        sink = RecordingSink(CHANNEL)
        boxes = [
            Outbox(bench.store, bench.clock, bench.settings, one, run_id=bench.run_id, mode="dry-run")
            for one in (sink, LogFileSink(bench.paths.alert_log))
        ]
        for box in boxes:
            await box.open()

        async def scan(count):
            for _ in range(count):
                await bench.scan(1)
                for box in boxes:
                    await box.drain()

        async def control(command, **more):
            told = command(sender="soak", surface="cli", issued_at=bench.clock.now(), **more)
            await carry_out(bench.store, bench.settings, bench.paths, bench.clock, told)

        def refused(_found):
            raise ConnectionError("connection reset by peer")

        await scan(2)
        feed.spoil[BTC] = refused
        await scan(6)
        feed.spoil.clear()
        await scan(6)
        await control(ResetAccount, reason="looked into it")
        await scan(40)
        await control(SetKillSwitch, on=True)
        await scan(10)
        await control(SetKillSwitch, on=False)
        await scan(50)
        Registry(bench.paths, bench.clock, who="soak").rollback("lstm_BTC-USD", "v1.0.0", why="soak")
        await scan(30)
        midnight = bench.clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        run = bench.begun.run
        await Upkeep(bench.store, run, bench.paths, bench.clock, feed=feed, keep_days=365).compact(midnight)
    return [message.html for message in sink.messages]


@dataclass
class SoakHome:
    """The recorded home, and the texts that went out."""

    path: Path
    texts: list[str]

    def copy(self, target: Path, *statements: str) -> Path:
        """A copy to change, after some SQL that has to change something."""
        copytree(self.path, target, symlinks=True)
        with closing(sqlite3.connect(target / "tradingai.db")) as connection, connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            for statement in statements:
                assert connection.execute(statement).rowcount > 0, statement
        return target

    @contextmanager
    def evidence(self, *, home: Path | None = None, plan: Plan = PLAN, **changes: Any) -> Iterator[Evidence]:
        """What the invariants look at; ``changes``: texts, arrived_at, journal, answered."""
        parts = {"texts": self.texts, "journal": JOURNAL, "answered": {"ok": len(self.texts)}} | changes
        parts.setdefault("arrived_at", [0.0] * len(parts["texts"]))
        with Evidence.of(home or self.path, CHANNEL, plan=plan, **parts) as evidence:
            yield evidence
