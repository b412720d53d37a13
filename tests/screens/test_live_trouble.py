"""What the Monitor says when something goes wrong under it: what happened, since when, what to do."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3

import pytest
from tradingai.engine.core.commands import ResetAccount, StartScanLoop
from tradingai.engine.core.events import GuardStateChanged
from tradingai.engine.decision.desk import halt_desk
from tradingai.engine.decision.state import desk_from_json
from tradingai.engine.queries.snapshot import ConsoleSnapshot, Interest
from tradingai.screens.monitor_words import refused, sentence
from tradingai.screens.view import Extent

from tests.fakes.command_line import start
from tests.fakes.full_disk import fill
from tests.fakes.live import SpoiltFeed
from tests.screens.test_live import live, until

pytestmark = pytest.mark.slow
NARROW = Extent(80, 24)


def says(*words: str):
    """Whether the Monitor's headline has all of ``words``."""

    def wanted(seen: ConsoleSnapshot) -> bool:
        text = sentence(seen, NARROW).text
        return all(word in text for word in words)

    return wanted


def scans(seen: ConsoleSnapshot, more_than: int = 0) -> bool:
    """Whether a scan was decided after number ``more_than``."""
    return (
        seen.monitor is not None
        and seen.live is not None
        and (seen.live.scan_state == "done" and seen.live.scans > more_than)
    )


async def scanning(engine, feed=None):
    """A console on the Monitor whose loop scans every second; ``feed`` None is the real one."""
    await engine.start()
    if feed is not None:
        engine._engine.scanner._open_feed = lambda: asyncio.sleep(0, feed)
    engine.watch(Interest(monitor=True))
    receipt = await engine.send(StartScanLoop(**engine.issue(), interval_s=1.0))
    assert receipt.accepted, receipt
    return await until(engine, scans)


async def test_a_provider_that_fails_is_named_with_its_reason_until_it_answers(sure_paths):
    feed, engine = SpoiltFeed(), live(sure_paths.root)

    def refuse(_candles):
        raise ConnectionError("binance answered 418")

    try:
        await scanning(engine, feed)
        feed.spoil = {"ETH-USD": refuse}
        seen = await until(engine, says("No candles of ETH-USD", "418", "asked again"), 120)
        assert seen.loop.state == "scanning"
        feed.spoil = {}
        await until(engine, lambda now: not says("No candles of")(now), 200)
    finally:
        await engine.close()


async def test_an_engine_that_was_killed_is_told_with_when_and_what_to_do(sure_paths):
    engine = live(sure_paths.root)
    process = start(sure_paths.root, "run", "--interval", "1")
    try:
        await engine.start()
        engine.watch(Interest(monitor=True))
        await until(engine, lambda now: now.header.engine == "attached" and scans(now), 120)
        process.kill()
        process.wait()
        seen = await until(engine, says("The engine died at", "nothing is scanned", "L starts it"))
        assert seen.header.engine == "here"
        assert any("has ended" in text for text, _ in engine.take_messages())
    finally:
        process.kill()
        process.communicate()
        await engine.close()


async def test_a_halt_says_why_since_when_and_where_to_leave_it(sure_paths):
    engine = live(sure_paths.root)
    try:
        seen = await scanning(engine)
        store, run = engine._engine.store, seen.monitor.run.run
        for _ in range(20):  # scans overtake it
            mark = await store.overrides.mark(run)
            account = await store.scans.account(run)
            at_us = int(account.at.timestamp() * 1_000_000)
            desk, events = halt_desk(
                desk_from_json(account.desk), at_us, "exception", "equity is not a number"
            )
            written = await store.overrides.put(
                run, mark, ResetAccount(**engine.issue(), reason="test"), at=account.at, cause="test",
                detail="test", desk=desk.as_json(), events=[event.as_json() for event in events],
            )  # fmt: skip
            if written:
                break
        assert any(isinstance(event, GuardStateChanged) for event in events)
        seen = await until(engine, says("HALTED since", "equity is not a number", "7 Risk"))
        blocked = await until(
            engine, lambda now: any(coin.reason == "risk_blocked" for coin in now.monitor.coins), 150
        )
        assert blocked.header.risk == "HALTED"
    finally:
        await engine.close()


async def test_a_full_disk_is_named_and_space_heals_it(always_sure, small_disk):
    home = small_disk / "home"
    shutil.copytree(always_sure, home, symlinks=True)
    engine = live(home)
    try:
        before = (await scanning(engine)).live.scans
        fill(small_disk / "filler")
        await until(engine, says("The disk is full: no scan is stored since", "Free some space"), 150)
        (small_disk / "filler").unlink()
        healed = await until(engine, lambda now: scans(now, before + 10) and not says("full")(now), 150)
        assert any(event.type == "ScanFailed" for event in healed.events.rows)
    finally:
        await engine.close()


async def test_a_locked_database_is_named_and_scans_go_on_when_it_is_free_again(sure_paths):
    engine = live(sure_paths.root)
    try:
        before = (await scanning(engine)).live.scans
        holder = sqlite3.connect(sure_paths.root / "tradingai.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        seen = await until(engine, says("The database is locked: no scan is stored since"), 150)
        assert seen.loop.state == "scanning"
        assert "tradingai.db is locked" in refused(seen.loop)
        holder.rollback()
        holder.close()
        healed = await until(engine, lambda now: scans(now, before + 2) and not says("locked")(now), 150)
        assert not healed.loop.refusal
    finally:
        await engine.close()
