"""What the Risk screen reads of runs that were really stored equals the command line and a full recount."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.commands import ResetAccount
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.decision.desk import halt_desk
from tradingai.engine.queries.assemble import SnapshotReader
from tradingai.engine.queries.risk_views import RiskReader
from tradingai.engine.queries.run_snapshot import RiskView
from tradingai.engine.queries.run_views import choose_run
from tradingai.engine.queries.snapshot import Interest
from tradingai.engine.risk.ftmo import floors, open_account, roll_to
from tradingai.engine.runtime.account import account_status
from tradingai.engine.runtime.account_facts import HomeAccounts
from tradingai.engine.runtime.controls import carry_out
from tradingai.engine.store.read_only import reading
from tradingai.screens.carrier import surroundings
from tradingai.screens.risk import RiskScreen
from tradingai.screens.view import Extent, Selection
from tradingai.widgets import numbers

from tests.fakes.command_line import tradingai
from tests.fakes.homes import plain_settings
from tests.fakes.live import NOW, open_bench
from tests.fakes.stored_market import COINS, END, open_replays, replay_home
from tests.screens.test_views import text_of

ISSUED = {"sender": "tester", "surface": "console", "issued_at": NOW}
WIDE = Extent(160, 48, 46)
HOURS = 50
LAST_SCAN = END - timedelta(hours=5, minutes=7)
ACCOUNTS = {"2-step": {}, "1-step": {"ftmo_account": "1-step"}}


def look(root: Path, now: datetime, reader: RiskReader | None = None, **settings: object) -> RiskView:
    """The newest picture of the home's run."""
    reader = reader or RiskReader(HomeAccounts(plain_settings(**settings), HomePaths(root)))
    with reading(root / "tradingai.db") as connection:
        run = choose_run(connection)
        assert run is not None
        return reader.read(connection, run, now)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with candles and live models."""
    return replay_home(tmp_path_factory.mktemp("risk") / "home", days=5.0).root


@pytest.fixture(scope="module", params=ACCOUNTS)
def replayed(request: pytest.FixtureRequest, made: Path, tmp_path_factory: pytest.TempPathFactory):
    """(home, document of its replay, scans, settings' changes): two Prague midnights and a half."""
    home = shutil.copytree(made, tmp_path_factory.mktemp("replayed") / "home", symlinks=True)
    changes = ACCOUNTS[request.param]

    async def replay():
        async with open_replays(home, **changes) as replays:
            document = await replays.replay(HOURS, end=LAST_SCAN)
            return document, await replays.store.scans.scans(document["run"])

    document, scans = asyncio.run(replay())
    return home, document, scans, changes


async def test_a_replay_on_screen_is_what_its_document_says(replayed):
    home, document, _, changes = replayed
    view = look(home, NOW, **changes)
    facts = view.facts
    assert view.run.run == document["run"]
    assert (facts.closed, facts.win_rate, facts.net_r) == (
        document["trades"], document["win_rate"], document["net_r"],
    )  # fmt: skip
    assert facts.costs == document["costs"]
    assert (view.account["balance"], view.account["equity"]) == (document["balance"], document["equity"])
    assert len(facts.positions) == document["open_positions"]
    assert sum(item.floating for item in facts.positions) == pytest.approx(view.account["floating"])
    if changes:
        return
    called = tradingai(home, "ftmo", "status", "--run", document["run"], "--json").document
    assert view.account == called
    reader = SnapshotReader(HomePaths(home), plain_settings(), SimulatedClock(NOW), surroundings())
    text = text_of(RiskScreen.view(None, reader.read(Interest(risk=True)), Selection(), WIDE))
    for floor in called["floors"]:
        assert numbers.decimal(floor["at"], 2) in text
        assert f"$ {floor['left']:,.2f}" in text
    assert f"equity $ {document['equity']:,.2f}" in text
    assert numbers.percent(document["win_rate"]) in text
    assert f"{document['trades']:,} trades" in text


async def test_every_point_and_its_floors_survive_a_full_recount(replayed):
    home, _, scans, changes = replayed
    view = look(home, NOW, **changes)
    rules = desk_config(plain_settings(**changes)).risk.rules
    account = open_account(200_000.0, datetime_to_us(scans[0].at))
    recount, highest = {}, 200_000.0
    for scan in scans:
        rolled, passed = roll_to(account, rules, datetime_to_us(scan.at), scan.balance)
        account = rolled
        highest = max(highest, scan.balance) if passed else highest
        now = floors(account, rules)
        recount[scan.at] = (scan.equity, now.daily_stop, now.total_stop)
    assert account.highest_midnight_balance == highest
    for point in view.curve:
        assert (point.equity, point.daily_stop, point.total_stop) == recount[point.at]
    equities = [scan.equity for scan in scans]
    assert max(point.equity for point in view.curve) == max(equities)
    assert min(point.equity for point in view.curve) == min(equities)
    assert view.curve[-1].at == scans[-1].at
    last = {floor["name"]: floor["at"] for floor in view.account["floors"]}
    assert (view.curve[-1].daily_stop, view.curve[-1].total_stop) == (last["daily stop"], last["total stop"])
    assert [f"{reset:%m-%d %H:%MZ}" for reset in view.resets] == ["11-07 23:00Z", "11-08 23:00Z"]
    assert view.curve[-1].at == LAST_SCAN


async def test_the_day_is_the_sum_of_its_trades(replayed):
    home, document, _, changes = replayed
    view = look(home, NOW, **changes)
    async with open_replays(home, **changes) as replays:
        trades = await replays.store.scans.trades(document["run"])
    today = [trade for trade in trades if trade.exit_at >= view.resets[-1]]
    assert today
    assert [trade.key for trade in view.trades] == [trade.key for trade in reversed(today)]
    assert view.day.trades == len(today)
    assert view.day.net_r == pytest.approx(sum(trade.r for trade in today))
    assert view.day.paid == pytest.approx(sum(trade.swap - trade.commission for trade in today))


async def test_a_live_run_scan_by_scan_and_read_at_once_are_the_same(tmp_path: Path):
    home = tmp_path / "home"
    watching = RiskReader(HomeAccounts(plain_settings(symbols=COINS[:1]), HomePaths(home)))
    async with open_bench(home, interval_s=60) as bench:
        for _ in range(6):
            await bench.scan(4)
            now = bench.clock.now()
            status = await account_status(bench.store, bench.settings, bench.paths, bench.clock)
            view = look(home, now, watching)
            assert view.account == {**status, "as_of": view.account["as_of"]}
            assert view == look(home, now)
        assert view.facts.closed >= 1
        assert len(view.curve) == len({scan.at for scan in await bench.store.scans.scans(bench.run_id)})


@pytest.mark.slow
async def test_midnights_of_a_live_run_are_what_its_events_say(tmp_path: Path):
    home = tmp_path / "home"
    async with open_bench(home, interval_s=600) as bench:
        await bench.scan(6 * 36)
        events = await bench.events("FtmoDayStarted")
        view = look(home, bench.clock.now())
    assert [event["at"] for event in events] == ["2026-03-04T23:00:00Z", "2026-03-05T23:00:00Z"][
        : len(events)
    ]
    assert len(events) >= 1
    for event, reset in zip(events, view.resets, strict=True):
        after = next(point for point in view.curve if point.at >= reset)
        assert after.daily_stop == pytest.approx(event["balance"] - 0.045 * 200_000)
    last = {floor["name"]: floor["at"] for floor in view.account["floors"]}
    assert view.curve[-1].daily_stop == last["daily stop"]


async def test_a_halt_its_cause_and_the_way_out(tmp_path: Path):
    home = tmp_path / "home"
    async with open_bench(home, interval_s=60) as bench:
        await bench.scan(3)
        step, run = bench.begun.step, bench.begun.run
        assert step.desk.paper.positions
        at_us = datetime_to_us(bench.clock.now())
        desk, events = halt_desk(step.desk, at_us, "exception", "ValueError: a test")
        await run.change_desk(desk, at_us, "test", "", events)
        step.replace_desk(desk)
        view = look(home, bench.clock.now())
        (halt,) = [
            event for event in await bench.store.events.after(0, limit=10_000)
            if event.type == "GuardStateChanged"
        ]  # fmt: skip
        assert (view.account["status"], view.facts.leaving) == ("HALTED", "on")
        assert (view.halt_event, view.halt_closed) == (halt.seq, ())
        await bench.scan(3)
        closed = look(home, bench.clock.now())
        trades = [
            trade for trade in await bench.store.scans.trades(run.run_id) if trade.exit_reason == "halt"
        ]
        assert [trade.key for trade in closed.halt_closed] == [trade.key for trade in trades] != []
        assert closed.facts.positions == ()
    async with open_bench(home, clock=bench.clock, interval_s=60, paper_risk_pct=0.1) as bench:
        assert bench.run_id != run.run_id, "other settings begin another run with the same account"
        await bench.scan(1)
        on = look(home, bench.clock.now())
        assert (on.halt_event, on.halt_closed) == (closed.halt_event, closed.halt_closed)
        assert (on.day, on.trades) == (closed.day, closed.trades), "it is the same account, on the same day"
        assert on.day.trades == on.facts.closed >= 1
        await carry_out(
            bench.store, bench.settings, bench.paths, bench.clock,
            ResetAccount(**ISSUED, reason="it was a test"),
        )  # fmt: skip
        after = look(home, bench.clock.now())
    assert (after.account["status"], after.facts.leaving, after.halt_event) == ("ACTIVE", "", None)


async def test_an_earlier_run_of_changed_settings_is_not_the_live_account(tmp_path: Path):
    home = tmp_path / "home"
    async with open_bench(home, interval_s=60) as bench:
        await bench.scan(3)
        first = bench.run_id
    async with open_bench(home, clock=bench.clock, interval_s=60, paper_risk_pct=0.1) as bench:
        await bench.scan(2)
        assert bench.run_id != first
        later = NOW + timedelta(days=2)
        assert look(home, later).live
        reader = RiskReader(HomeAccounts(plain_settings(), HomePaths(home)))
        with reading(home / "tradingai.db") as connection:
            earlier = reader.read(connection, choose_run(connection, first), later)
        status = await account_status(bench.store, bench.settings, bench.paths, bench.clock, first)
    assert not earlier.live
    assert earlier.account == {**status, "as_of": earlier.account["as_of"]}
    assert earlier.account["day"] == "2026-03-04", "no midnight passes for it any more"
    assert set(earlier.runs) == {first, bench.run_id}


async def test_trades_of_a_lost_account_are_not_those_of_the_fresh_one(tmp_path: Path):
    home = tmp_path / "home"
    async with open_bench(home, interval_s=60) as bench:
        await bench.scan(30)
        assert look(home, bench.clock.now()).day.trades >= 1
        step, at_us = bench.begun.step, datetime_to_us(bench.clock.now())
        desk, events = halt_desk(step.desk, at_us, "total_stop", "equity fell below the total stop")
        lost = replace(desk, paper=replace(desk.paper, balance=181_000.0, positions=()))
        await bench.begun.run.change_desk(lost, at_us, "test", "", events)
        assert look(home, bench.clock.now()).facts.leaving == "fresh"
        await carry_out(
            bench.store, bench.settings, bench.paths, bench.clock,
            ResetAccount(**ISSUED, reason="a fresh one, please"),
        )  # fmt: skip
        view = look(home, bench.clock.now())
    assert (view.account["status"], view.account["balance"]) == ("ACTIVE", 200_000.0)
    assert (view.day.trades, view.trades, view.facts.closed) == (0, (), 0)


async def test_an_account_that_cannot_be_read_is_the_views_problem(tmp_path: Path):
    home = tmp_path / "home"
    async with open_bench(home, interval_s=60) as bench:
        await bench.scan(2)
        async with bench.store.scans._database.transaction() as connection:
            await connection.execute("UPDATE run_accounts SET desk = '{\"paper\": 1}'")
        view = look(home, bench.clock.now())
    assert "cannot be read" in view.problem.message
    assert "tradingai ftmo reset" in view.problem.remedy
    assert replace(view, problem=None) != view
    assert view.account == {}
