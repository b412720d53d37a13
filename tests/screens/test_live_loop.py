"""The scan loop inside a console's engine: begun and stopped by commands, remembered, alone in its home."""

from __future__ import annotations

import os
import signal

from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.commands import SetKillSwitch, StartScanLoop, StopScanLoop
from tradingai.engine.core.locks import seen_held
from tradingai.engine.core.settings import load_settings
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.engine.queries.status import read_status

from tests.screens.test_live import hold, live, until


def scanned(count: int):
    """Whether so many scans are shown."""

    def wanted(seen: ConsoleSnapshot) -> bool:
        return seen.loop.state == "scanning" and seen.live is not None and seen.live.scans >= count

    return wanted


async def test_begun_stopped_and_remembered(sure_paths):
    engine = live(sure_paths.root)
    await engine.start()
    try:
        assert engine.snapshot().loop.state == "off"
        assert not engine.snapshot().loop.chosen
        receipt = await engine.send(StartScanLoop(**engine.issue(), interval_s=1.0))
        assert receipt.accepted, receipt
        again = await engine.send(StartScanLoop(**engine.issue(), interval_s=1.0))
        assert (again.accepted, "runs here already" in again.message) == (False, True)
        seen = await until(engine, scanned(2))
        assert (seen.header.engine, seen.header.risk, seen.loop.pid) == ("here", "ACTIVE", os.getpid())
        assert seen.header.feed_age_s is not None
        assert seen.header.feed_age_s < 180
        assert seen.loop.chosen
        assert any(event.type == "SignalEmitted" for event in seen.events.rows)
        await engine.send(SetKillSwitch(**engine.issue(), on=True, reason="test"))
        await until(engine, lambda now: now.header.kill_on)
    finally:
        await engine.close()
    assert not seen_held(sure_paths.locks / "engine")
    choice = read_status(sure_paths, load_settings(sure_paths.root), RealClock())["scan_loop"]
    assert (choice["chosen"], choice["interval_s"]) == (True, 1.0)

    engine = live(sure_paths.root)
    await engine.start()
    try:
        assert any("goes on" in text for text, _ in engine.take_messages())
        before = engine.snapshot().live.scans
        seen = await until(engine, lambda now: now.live.scans > before + 1)
        assert seen.loop.interval_s == 1.0
        assert (await engine.send(StopScanLoop(**engine.issue()))).accepted
        seen = await until(engine, lambda now: now.loop.state == "off")
        assert not seen.loop.chosen
        assert (seen.header.risk, seen.header.feed_age_s) == ("ACTIVE", None)
        assert not seen_held(sure_paths.locks / "engine")
        ended = [event for event in seen.events.rows if event.type == "EngineStopped"]
        assert len(ended) == 2
        assert "console" in ended[-1].fields["reason"]
    finally:
        await engine.close()

    engine = live(sure_paths.root)
    await engine.start()
    try:
        assert engine.snapshot().loop.state == "off"
    finally:
        await engine.close()


async def test_another_engine_is_named_and_the_choice_is_kept_for_later(sure_paths):
    engine = live(sure_paths.root)
    await engine.start()
    process = hold(sure_paths.locks / "engine")
    try:
        assert process.stdout.readline() == b"held\n"
        refused = await engine.send(StartScanLoop(**engine.issue()))
        assert (refused.accepted, f"process {process.pid}" in refused.message) == (False, True)
        seen = await until(engine, lambda now: now.header.engine == "attached")
        assert (seen.loop.state, seen.loop.pid, seen.loop.chosen) == ("elsewhere", process.pid, False)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert (await engine.send(StartScanLoop(**engine.issue(), interval_s=1.0))).accepted
        await until(engine, lambda now: now.loop.state == "scanning" and now.loop.chosen)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        await engine.close()


async def test_a_loop_that_cannot_begin_says_why(sure_paths):
    (sure_paths.root / ".env").write_text("DATA_PROVIDER=file\n")
    engine = live(sure_paths.root)
    await engine.start()
    try:
        refused = await engine.send(StartScanLoop(**engine.issue()))
        assert (refused.accepted, "no live candles" in refused.message) == (False, True)
        assert not seen_held(sure_paths.locks / "engine")
    finally:
        await engine.close()


async def test_a_loop_that_fails_is_told_and_gives_its_lock_back(sure_paths):
    sure_paths.ledger.write_text("{broken")
    engine = live(sure_paths.root)
    await engine.start()
    try:
        await engine.send(StartScanLoop(**engine.issue(), interval_s=1.0))
        seen = await until(engine, lambda now: now.loop.stopped_why)
        assert seen.loop.state == "off"
        seen = await until(engine, lambda now: any(row.type == "ScanLoopFailed" for row in now.events.rows))
        assert not seen_held(sure_paths.locks / "engine")
    finally:
        await engine.close()
