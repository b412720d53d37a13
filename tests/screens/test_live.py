"""The console's engine for real: a home on disk, the facade, workers, another engine beside it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from tradingai.bootstrap import open_engine
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.commands import CancelJob, GenerateCandles, Promote, SetKillSwitch
from tradingai.engine.queries.snapshot import Interest
from tradingai.screens.commands import VerifyCandles, VerifyModels
from tradingai.screens.live import LiveEngine

from tests.fakes.command_line import ROOT, environment
from tests.fakes.homes import new_home

END = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)


def live(root, *, read_only: bool = False) -> LiveEngine:
    """A console's engine over a home."""
    clock = RealClock()

    def opener():
        return open_engine(root, read_only=read_only, clock=clock, surface="console")

    return LiveEngine(opener, clock, read_only=read_only)


def hold(lock) -> subprocess.Popen[bytes]:
    """Another process that holds the engine's lock, as `tradingai run` does."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, env=environment(), cwd=ROOT
    )


async def until(engine: LiveEngine, wanted, seconds: float = 60):
    """The first picture for which ``wanted`` holds."""
    for _ in range(int(seconds / 0.05)):
        picture = engine.snapshot()
        if wanted(picture):
            return picture
        await asyncio.sleep(0.05)
    raise AssertionError(engine.snapshot())


async def test_candles_from_command_to_picture(tmp_path):
    engine = live(tmp_path / "home")
    await engine.start()
    try:
        first = engine.snapshot()
        assert (first.settled, first.header.engine, first.header.kill_on) == (True, "here", False)
        version = engine.version()
        start = END - timedelta(days=2) + timedelta(minutes=1)
        command = GenerateCandles(
            **engine.issue(), symbol="BTC-USD", market="cycles", seed=7, start=start, end=END
        )
        receipt = await engine.send(command)
        assert receipt.accepted
        assert receipt.message == "Creating candles of BTC-USD."
        done = await until(engine, lambda seen: seen.datasets and seen.jobs and seen.jobs[0].state == "done")
        assert engine.version() > version
        assert done.datasets[0].rows == 2 * 1440
        assert done.phases[0].result.startswith("1 of 3")
        engine.watch(Interest(candles=True, coin="BTC-USD"))
        shown = await until(engine, lambda seen: "BTC-USD" in seen.candles)
        assert shown.candles["BTC-USD"].bars[-1].at == datetime(2025, 11, 10, 1, 0, tzinfo=UTC)
        await engine.send(VerifyCandles(**engine.issue(), symbol="BTC-USD"))
        await engine.send(VerifyModels(**engine.issue()))
        messages = []
        for _ in range(200):
            messages += engine.take_messages()
            if len(messages) == 2:
                break
            await asyncio.sleep(0.05)
        assert any("2,880 candles of BTC-USD are what their hash" in text for text, _ in messages)
    finally:
        await engine.close()
        await engine.close()


async def test_a_refusal_is_a_receipt_with_its_remedy(tmp_path):
    engine = live(tmp_path / "home")
    await engine.start()
    try:
        refused = await engine.send(Promote(**engine.issue(), model="lstm_BTC-USD", version="v1.0.0"))
        assert not refused.accepted
        assert refused.remedy
        assert not (await engine.send(CancelJob(**engine.issue(), job_id="nobody"))).accepted
        on = await engine.send(SetKillSwitch(**engine.issue(), on=True, reason="test"))
        assert on.accepted
        await until(engine, lambda seen: seen.header.kill_on)
        await engine.note("hello", "info")
        await until(engine, lambda seen: any(event.text == "hello" for event in seen.events.rows))
    finally:
        await engine.close()


async def test_read_only_refuses_and_leaves_no_trace(tmp_path):
    home = tmp_path / "home"
    new_home(home)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    engine = live(home, read_only=True)
    await engine.start()
    try:
        assert engine.snapshot().header.engine == "none"
        refused = await engine.send(SetKillSwitch(**engine.issue(), on=True, reason="x"))
        assert (refused.accepted, "read-only" in refused.message) == (False, True)
        await engine.note("hello", "info")
    finally:
        await engine.close()
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


HOLDER = """
import sys, time
from pathlib import Path
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.locks import FileLock
with FileLock(Path(sys.argv[1]), command="run", clock=RealClock()):
    print("held", flush=True)
    time.sleep(600)
"""


async def test_an_engine_elsewhere_is_attached_to_and_its_death_is_told(tmp_path):
    paths = new_home(tmp_path / "home")
    engine = live(paths.root)
    await engine.start()
    process = hold(paths.locks / "engine")
    try:
        assert process.stdout.readline() == b"held\n"
        await until(engine, lambda seen: seen.header.engine == "attached")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        await until(engine, lambda seen: seen.header.engine == "here")
        assert (f"The engine (process {process.pid}) has ended.", "error") in engine.take_messages()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        await engine.close()
