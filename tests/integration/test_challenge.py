"""``tradingai ftmo simulate``: whose trades are drawn, what is refused, and the command as a process."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from tradingai.cli.odds import show_odds
from tradingai.engine.challenge import attempt
from tradingai.engine.challenge.history import ChallengeConfig
from tradingai.engine.challenge.odds import OddsRequest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import MissingError, UsageError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.settings import load_settings
from tradingai.engine.decision.state import DeskConfig
from tradingai.engine.queries.assemble import SnapshotReader
from tradingai.engine.queries.snapshot import Interest
from tradingai.engine.risk.costs import ExecutionCosts, filled
from tradingai.engine.risk.prague import prague_day
from tradingai.engine.runtime import challenge_source
from tradingai.engine.runtime.challenge import check_request, simulate
from tradingai.engine.runtime.challenge_source import read_source
from tradingai.screens.carrier import surroundings
from tradingai.widgets.numbers import share

from tests.fakes.command_line import tradingai
from tests.fakes.homes import open_store
from tests.fakes.stored_market import replay_home
from tests.fakes.traded_home import RUN, add_run, traded_home, trades_of


async def test_the_days_are_those_that_the_run_covers_from_midnight_to_midnight(tmp_path):
    async with open_store(tmp_path / "home") as (store, paths):
        await add_run(store, RUN, 30)
        source = await read_source(store, paths, None)
    document = source.as_json()
    assert (document["run"], document["kind"], document["days"]) == (RUN, "replay", 29)
    assert (document["first_day"], document["last_day"]) == ("2025-10-02", "2025-10-30")
    assert (document["start"], document["end"]) == ("2025-10-01T22:00:00Z", "2025-10-30T23:00:00Z")
    whole = trades_of(30)[4:]
    assert (document["trades"], document["left_out"]) == (len(whole), 4)
    assert document["mean_r"] == pytest.approx(sum(row.r for row in whole) / len(whole))
    kept = [trade for day in source.history.days for trade in day.trades]
    assert [(trade.r, trade.mae_r) for trade in kept] == [(row.r, row.mae_r) for row in whole]


async def test_what_a_stop_costs_is_what_the_guard_reckons_with(tmp_path):
    """Filled 9 bps above the reference, stopped 9 bps below the stop, two commissions; 1 R is 500 $."""
    async with open_store(tmp_path / "home") as (store, paths):
        await add_run(store, RUN, 15)
        source = await read_source(store, paths, None)
    costs = ExecutionCosts()
    away = costs.stressed("BTC-USD", 0).market_bps
    entry = filled(40_000.0, 1, away)
    price = filled(entry - 200.0, -1, away)
    paid = costs.commission(2.5, entry) + costs.commission(2.5, price)
    trade = source.history.days[0].trades[0]
    assert trade.stop_r == pytest.approx(-((price - entry) * 2.5 - paid) / 500)
    assert trade.notional_r == pytest.approx(2.5 * 40_000 / 500)


async def test_the_longest_replay_is_taken_and_halted_days_are_not(tmp_path):
    async with open_store(tmp_path / "home") as (store, paths):
        await add_run(store, "replay-1", 25)
        await add_run(store, "replay-2", 40, halted_days=tuple(range(12, 40)))
        await add_run(store, "replay-3", 20)
        await add_run(store, "live-1", 60, kind="live")
        await add_run(store, "drill-1", 60, kind="drill")
        assert (await read_source(store, paths, None)).span.run_id == "replay-1"
        halted = await read_source(store, paths, "replay-2")
        assert (len(halted.history.days), halted.halted_days, halted.left_out) == (11, 28, 4 * 29)
        assert (await read_source(store, paths, "live-1")).span.kind == "live"
        with pytest.raises(MissingError, match="no run drill-1"):
            await read_source(store, paths, "drill-1")


async def test_days_that_the_models_were_made_with_are_left_out(tmp_path, monkeypatch):
    """Of two models the one that was tested on less decides; its test range begins on October 9."""
    starts = {
        "lstm_BTC-USD": datetime(2025, 10, 4, 12, 0, tzinfo=UTC),
        "ensemble": datetime(2025, 10, 9, 8, 0, tzinfo=UTC),
    }
    ledger = SimpleNamespace(evaluations=lambda model, version: (model,) if version == "v1.0.0" else ())
    monkeypatch.setattr(challenge_source, "read_ledger", lambda _: ledger)
    monkeypatch.setattr(
        challenge_source, "read_certificate",
        lambda _, model: SimpleNamespace(coins=[SimpleNamespace(start=at) for at in (starts[model], None)]),
    )  # fmt: skip
    async with open_store(tmp_path / "home") as (store, paths):
        await add_run(store, "replay-1", 30, models=dict.fromkeys(starts, "v1.0.0"), halted_days=(20,))
        await add_run(store, "replay-2", 28, models=dict.fromkeys(starts, "v0.9.0"))
        assert (await read_source(store, paths, None)).span.run_id == "replay-2"
        source = (await read_source(store, paths, "replay-1")).as_json()
        assert (source["first_day"], source["seen_days"], source["halted_days"]) == ("2025-10-10", 8, 2)
        assert source["models"] == dict.fromkeys(starts, "v1.0.0")
        assert source["days"] == 29 - 8 - 2
        await add_run(store, "replay-3", 16, models=dict.fromkeys(starts, "v1.0.0"))
        with pytest.raises(MissingError, match="7 usable days with 28 trades, 8 seen by its models"):
            await read_source(store, paths, "replay-3")


async def test_too_little_to_draw_from_names_the_command_that_makes_more(tmp_path):
    async with open_store(tmp_path / "home") as (store, paths):
        with pytest.raises(MissingError, match="no replay") as none:
            await read_source(store, paths, None)
        await add_run(store, RUN, 10)
        with pytest.raises(MissingError, match="9 usable days with 36 trades") as few:
            await read_source(store, paths, None)
        with pytest.raises(MissingError, match="no run nobody") as unknown:
            await read_source(store, paths, "nobody")
    assert "replay --hours" in none.value.remedy
    assert "replay --hours" in few.value.remedy
    assert RUN in unknown.value.remedy


@pytest.mark.parametrize(
    ("attempts", "seed", "risk", "named"),
    [
        (0, 7, None, "--attempts 0"),
        (1_000_001, 7, None, "--attempts 1,000,001"),
        (10, -1, None, "--seed -1"),
        (10, 7, 0.0, "--risk 0"),
        (10, 7, float("nan"), "--risk nan"),
        (10, 7, 10.1, "--risk 10.1"),
        (10, 7, float("inf"), "--risk inf"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(attempts, seed, risk, named):
    with pytest.raises(UsageError, match=named) as refused:
        check_request(attempts, seed, risk)
    assert refused.value.remedy


async def test_the_text_fits_80_columns_and_says_every_figure(tmp_path, capsys):
    async with open_store(tmp_path / "home") as (store, paths):
        await add_run(store, RUN, 30)
        source = await read_source(store, paths, None)
    request = OddsRequest(200, 7, (0.5, 1.0), histories=10)
    found = simulate(source, DeskConfig(), request, SilentReporter())
    show_odds(found)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for part in found["endings"].values():
        assert share(part) in text
    for row in found["sensitivity"]:
        assert share(row["pass_rate"]) in text
    assert "under 60" in text
    assert found["source"]["sha256"][:16] in text
    for item in found["histogram"]:
        assert f"{item['attempts']:,}" in text


def test_the_command_as_a_process_and_the_console_read_the_same(tmp_path):
    home = asyncio.run(traded_home(tmp_path / "home"))
    asked = ("ftmo", "simulate", "--attempts", "300", "--risk", "0.5", "--account", "1-step")
    first = tradingai(home, *asked, "--json")
    assert first.status == 0, first.err
    document = first.document
    assert (document["attempts"], document["risk_pct"], document["account"]) == (300, 0.5, "1-Step")
    assert document["source"]["run"] == RUN
    reader = SnapshotReader(HomePaths(home), load_settings(home), RealClock(), surroundings())
    risk = reader.read(Interest(risk=True, run=RUN)).risk
    assert dict(risk.odds) == document
    assert reader.read(Interest(risk=True, run=RUN)).risk.odds is risk.odds
    refused = tradingai(home, "ftmo", "simulate", "--attempts", "0", "--json")
    assert (refused.status, refused.error["code"]) == (2, "usage")
    missing = tradingai(home, "ftmo", "simulate", "--run", "nobody", "--json")
    assert (missing.status, missing.error["code"]) == (4, "missing")


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_replays_days_in_their_order_are_traded_as_the_replay_did(tmp_path, monkeypatch):
    """Trades are allowed, at their size; but for back-offs over a midnight and stops at a hair's breadth."""
    home = replay_home(tmp_path / "home", days=6.4).root
    done = await asyncio.to_thread(tradingai, home, "replay", "--hours", "100", "--json")
    assert done.status == 0, done.err
    monkeypatch.setattr(challenge_source, "MIN_DAYS", 2)
    async with open_store(home) as (store, paths):
        source = await read_source(store, paths, done.document["run"])
        rows = await store.scans.trades(done.document["run"])
    config = source.numbers
    never = replace(config.risk, rules=replace(config.risk.rules, targets=(9.0, None)))
    days = len(source.history.days)
    played_by = ChallengeConfig(never, config.decision.rates, config.paper.risk_fraction, days)
    sizes: list[float] = []
    happen = attempt._Attempt.happen

    def watched(self, day, event):
        happen(self, day, event)
        if event.opens:
            sizes.append(self.open.get(event.place, 0.0))

    monkeypatch.setattr(attempt._Attempt, "happen", watched)
    outcome = attempt.play(source.history, list(range(days)), played_by)
    assert (outcome.ending, outcome.day) == ("undecided", days)
    entered = {day.day for day in source.history.days}
    made = [row for row in rows if prague_day(datetime_to_us(row.entry_at)) in entered]
    real = [row.risk_money for row in sorted(made, key=lambda row: (row.entry_at, row.exit_at))]
    assert len(sizes) == len(real) > 50
    other = [(one, two) for one, two in zip(sizes, real, strict=True) if one != pytest.approx(two)]
    assert all(one == 0 or one == pytest.approx(2 * two) for one, two in other)
    assert sizes.count(0.0) <= 0.01 * len(real)
    assert len(other) <= 0.05 * len(real)
