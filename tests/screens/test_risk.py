"""The Risk screen: what it says in each state, what its keys send, and FTMO's published examples."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tradingai.cli.odds import show_odds
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.commands import Drill, ResetAccount, SimulateChallenge
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.decision.state import DeskState
from tradingai.engine.queries.model_snapshot import Problem
from tradingai.engine.queries.risk_views import StoredAccount
from tradingai.engine.queries.run_snapshot import NEWEST_REPLAY, RiskView
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.engine.risk.costs import CostLevel, ExecutionCosts, SessionCosts
from tradingai.engine.risk.ftmo import Breach
from tradingai.engine.risk.guard import GuardState, GuardStatus
from tradingai.engine.runtime.account_facts import HomeAccounts
from tradingai.screens.risk import RiskScreen
from tradingai.screens.risk_curve import axis_label
from tradingai.screens.view import Extent, Selection, View
from tradingai.widgets import numbers
from tradingai.widgets.plot import Picture

from tests.fakes import console_odds, console_risk
from tests.fakes.console_home import NOW, at
from tests.fakes.console_story import full
from tests.fakes.homes import plain_settings
from tests.screens.conftest import MakeConsole
from tests.screens.test_views import text_of

NARROW, WIDE = Extent(80, 24), Extent(160, 48, 46)
REASON = "the feed was repaired"


def shown(risk: RiskView | None, extent: Extent = NARROW, selection: Selection | None = None) -> View:
    return RiskScreen.view(None, replace(full(), risk=risk), selection or Selection(), extent)


def desk_view(desk: DeskState, **settings) -> RiskView:
    """The story with another account under it."""
    code = HomeAccounts(plain_settings(**settings), HomePaths(Path("/nonexistent")))
    facts = code.facts(StoredAccount(console_risk.RUN, NOW, desk.as_json()), NOW, live=True)
    return replace(console_risk.active(), facts=facts)


def test_costs_say_whether_and_until_when_they_were_measured(tmp_path):
    def view() -> View:
        code = HomeAccounts(plain_settings(), paths)
        stored = StoredAccount(console_risk.RUN, NOW, console_risk.desk().as_json())
        return shown(replace(console_risk.active(), facts=code.facts(stored, NOW, live=True)), WIDE)

    paths = HomePaths(tmp_path)
    paths.data.mkdir()
    assert "Costs ──" in (plain := text_of(view()))
    assert "── defaults" in plain
    assert "spread / slippage" in plain
    level = CostLevel(6.0, 6.0, 6.0, 500)
    costs = ExecutionCosts(
        pairs={"BTC-USD": {"tokyo": SessionCosts(level, level)}}, source="MT5 ticks a.csv",
        measured_at="2026-07-30T20:59:58Z",
    )  # fmt: skip
    (paths.data / "execution_metrics.json").write_text(dumps(costs.as_document()))
    measured = text_of(view())
    assert "── measured 2026-07-30" in measured
    assert "unmeasured pairs" in measured
    assert "── defaults" not in measured


def desk(*, balance: float, day_start: float, floating: float = 0.0, **ftmo) -> DeskState:
    """A 200,000 account whose one position floats at ``floating`` to the cent."""
    state = console_risk.desk()
    highest = max(200_000.0, day_start)
    account = replace(state.ftmo, day_start_balance=day_start, highest_midnight_balance=highest, **ftmo)
    paper = replace(state.paper, balance=balance, positions=())
    if floating:
        half_spread = 6e-4
        btc = state.paper.positions[0]
        order = replace(btc.order, quantity=100.0)
        mark = (btc.entry + floating / 100.0) / (1 - half_spread)
        paper = replace(paper, positions=(replace(btc, order=order, mark=mark),))
    return replace(state, paper=paper, ftmo=account)


def halted_desk(cause: str, detail: str, *, balance: float, day_start: float, **ftmo) -> DeskState:
    state = desk(balance=balance, day_start=day_start, **ftmo)
    guard = GuardState(GuardStatus.HALTED, datetime_to_us(at("11:42:10")), cause, detail)
    return replace(state, guard=guard)


# -- FTMO's published examples


def test_plus_4000_closed_today_may_lose_14000_from_here():
    text = text_of(shown(desk_view(desk(balance=204_000.0, day_start=200_000.0))))
    assert "daily limit" in text
    assert "$ 14,000.00 left" in text
    assert "190,000.00" in text


def test_minus_13000_carried_over_midnight_breaches_at_the_reset():
    """With +4,000 closed today, 13,000 open are allowed now, and breach by 3,000 once midnight has passed."""
    view = desk_view(desk(balance=204_000.0, day_start=200_000.0, floating=-13_000.0))
    page = shown(view)
    assert page.headline.text == (
        "The reset at 00:00 Prague would breach by $ 3,000.00; close BTC-USD before"
    )
    assert "breach 3,000.00" in text_of(page)
    assert "$ 1,000.00 left" in text_of(page), "the daily limit of today still has room"
    assert page.headline.spans[0].ink == "strong+b", "the reset is 10:55:43 away"
    near = replace(full(), now=NOW + timedelta(hours=10), risk=view)
    code = HomeAccounts(plain_settings(), HomePaths(Path("/nonexistent")))
    state = desk(balance=204_000.0, day_start=200_000.0, floating=-13_000.0)
    facts = code.facts(StoredAccount(console_risk.RUN, NOW, state.as_json()), near.now, live=True)
    late = RiskScreen.view(None, replace(near, risk=replace(view, facts=facts)), Selection(), NARROW)
    assert late.headline.spans[0].ink == "orange+b"
    assert "breach by $ 3,000.00" in text_of(shown(view, WIDE))


def test_the_one_step_shows_its_trailing_floor_and_best_day():
    state = desk(balance=215_000.0, day_start=212_000.0, best_day_profit=9_000.0)
    view = desk_view(state, ftmo_account="1-step")
    page = shown(view)
    text = text_of(page)
    assert page.context.text == "1-Step, phase 1"
    assert "192,000.00" in text, "total limit: highest midnight 212,000 − 20,000"
    assert "206,000.00" in text, "daily limit: 212,000 − 6,000"
    assert "60.0 % ≤ 50 %" in text, "9,000 of 15,000"


# -- the headline


def test_the_nearest_stop_leads_and_the_countdown_runs():
    page = shown(console_risk.active())
    assert page.headline.text == "ACTIVE. $ 9,703.52 to the daily stop, reset in 10:55:43."
    assert page.ticks
    later = replace(full(), now=NOW + timedelta(seconds=1))
    assert "10:55:42" in RiskScreen.view(None, later, Selection(), NARROW).headline.text


def test_a_floor_with_less_than_a_third_of_its_room_leads_in_orange():
    page = shown(desk_view(desk(balance=193_900.0, day_start=200_000.0)))
    assert page.headline.text == "Only $ 2,900.00 to the daily stop, reset in 10:55:43."
    assert page.headline.spans[0].ink == "orange+b"
    assert "! daily stop" in text_of(page)
    assert "✓ total stop" in text_of(page)


def test_the_total_stop_leads_where_it_has_less_room():
    page = shown(desk_view(desk(balance=186_000.0, day_start=186_500.0)))
    assert page.headline.text.startswith("Only $ 4,000.00 to the total stop")


def test_the_win_rate_is_always_there():
    flat = desk_view(desk(balance=204_000.0, day_start=203_000.0))
    for view in (console_risk.active(), flat):
        for extent in (NARROW, Extent(120, 40), WIDE):
            assert "56.2 % of 251" in text_of(shown(view, extent))


def test_reducing_says_so():
    state = desk(balance=199_000.0, day_start=200_000.0)
    midnight = datetime_to_us(NOW + timedelta(hours=11))
    guard = GuardState(
        GuardStatus.REDUCING, datetime_to_us(at("11:00:00")), "losses",
        "2 losses within 60 minutes: risk × 0.5", (), midnight,
    )  # fmt: skip
    view = desk_view(replace(state, guard=guard))
    assert shown(view).headline.text.startswith("REDUCING. $ 8,000.00 to the daily stop")
    assert "─ 50 % risk" in text_of(shown(view))
    assert "2 losses within 60 minutes: risk ×" in text_of(shown(view, WIDE))


def test_every_headline_fits_eighty_columns():
    for view in (console_risk.active(), console_risk.halted(), console_risk.replayed()):
        page = shown(view)
        assert page.headline.width + 2 + page.context.width <= 78


# -- halted


def test_a_halt_says_why_what_was_done_what_holds_and_what_next():
    text = text_of(shown(console_risk.halted()))
    for fact in (
        "HALTED 11:42:10Z: equity not a number. Positions are closed.",
        "event 8,214",
        "ETH-USD had a price that is not a number",
        "2 positions closed at 11:42:11Z and 11:42:12Z, −0.18 R and +0.04 R",
        "nothing is emitted",
        "u asks for a reason, at least 10 characters",
        "halted for        22:07",
    ):
        assert fact in text, fact


HALTS = {
    "daily stop": (
        halted_desk("daily_stop", "equity 190,500.00 fell below the daily stop at 191,000.00",
                    balance=190_500.0, day_start=200_000.0),
        "Wait for the reset at 00:00 Prague, 23:00Z, in 10:55:43; then u", False,
    ),
    "daily stop, next day": (
        halted_desk("daily_stop", "equity 190,500.00 fell below the daily stop at 191,000.00",
                    balance=190_500.0, day_start=190_500.0),
        "u asks for a reason", True,
    ),
    "total stop": (
        halted_desk("total_stop", "equity 181,000.00 fell below the total stop at 182,000.00",
                    balance=181_000.0, day_start=185_000.0),
        "u asks for a reason and opens a fresh account of $ 200,000", True,
    ),
    "breached": (
        halted_desk("daily_limit", "equity 189,000.00 fell below the daily limit at 190,000.00",
                    balance=189_000.0, day_start=200_000.0,
                    breach=Breach("daily", datetime_to_us(at("11:42:10")), 189_000.0, 190_000.0)),
        "u asks for a reason and opens a fresh account of $ 200,000", True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HALTS)
def test_leaving_is_offered_only_where_it_would_be_carried_out(name: str):
    state, words, offered = HALTS[name]
    page = shown(desk_view(state))
    assert words.lower() in text_of(page).lower()
    assert ("leave_halted" in {key.action for key in page.keys}) == offered


def test_a_replay_that_halted_is_left_by_nobody():
    view = replace(console_risk.halted(), run=console_risk.replayed().run, live=False)
    page = shown(view)
    assert "leave_halted" not in {key.action for key in page.keys}
    assert "it is the account of a replay" in text_of(page)


def test_an_earlier_live_run_stands_where_it_ended():
    view = console_risk.halted()
    view = replace(view, live=False, run=replace(view.run, state="finished"))
    page = shown(view, Extent(120, 40))
    assert page.context.text.startswith("live a1b2c3, finished, 54:04 h")
    assert "it is the account of an earlier run" in text_of(page)
    assert not page.ticks
    assert "leave_halted" not in {key.action for key in page.keys}


def test_an_account_that_cannot_be_read_is_told_with_its_remedy():
    problem = Problem("the stored account cannot be read: paper", "Restore the database from a backup.")
    view = replace(console_risk.active(), facts=type(console_risk.active().facts)(), problem=problem)
    page = shown(view)
    assert page.headline.text == "The stored account cannot be read."
    assert "Restore the database from a backup." in text_of(page)


# -- keys


async def sent(made, *keys: str):
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
    return made.engine.sent


async def test_u_asks_for_a_reason_and_sends_it(console: MakeConsole):
    (command,) = await sent(console("failed", screen="risk"), "u", *REASON.replace(" ", "_"), "enter")
    assert isinstance(command, ResetAccount)
    assert command.reason == REASON.replace(" ", "_")
    assert (command.sender, command.surface) == ("operator", "console")


async def test_a_reason_under_ten_characters_sends_nothing(console: MakeConsole):
    made = console("failed", screen="risk")
    assert await sent(made, "u", *"too short"[:9].replace(" ", "_"), "enter") == []


async def test_u_does_nothing_while_the_account_is_active(console: MakeConsole):
    assert await sent(console("full", screen="risk"), "u", *"aaaaaaaaaaaa", "enter") == []


async def test_d_says_what_a_drill_is_and_sends_it(console: MakeConsole):
    made = console("full", screen="risk")
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("d")
        await pilot.pause()
        said = " ".join(made.app.screen.texts)
        assert made.engine.sent == []
        await pilot.press("enter")
        await pilot.pause()
    assert "the live account is not touched" in said
    assert "The newest, Tue 09:12Z: the guard held; 0 of 96 signals emitted" in said
    (command,) = made.engine.sent
    assert isinstance(command, Drill)


def test_a_drill_needs_models_and_candles_and_runs_once():
    def offered(**changes: object) -> bool:
        page = RiskScreen.view(None, replace(full(), **changes), Selection(), NARROW)
        return "drill" in {key.action for key in page.keys}

    running = replace(full().jobs[0], kind="drill", target="candles")
    assert offered()
    assert not offered(datasets=())
    assert not offered(evaluations=())
    assert not offered(jobs=(running,))
    text = text_of(RiskScreen.view(None, replace(full(), jobs=(running,)), Selection(), WIDE))
    assert "Guard drill" in text
    assert "58 %" in text


def test_a_guard_that_did_not_hold_is_told_in_orange():
    drill = {**console_risk.DRILL, "held": False, "failures": ["3 signals were emitted after the loss"]}
    page = shown(replace(console_risk.active(), drill=drill), WIDE)
    assert "✗ did not hold" in text_of(page)
    assert "3 signals were emitted after the" in text_of(page)


async def test_an_onlooker_is_not_offered_what_would_be_refused(console: MakeConsole):
    made = console("failed", screen="risk", read_only=True)
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        actions = {key.action for key in made.app.screen.current.keys}
    assert not actions & {"leave_halted", "kill", "drill"}


async def test_w_and_brackets_choose_the_run(console: MakeConsole):
    made = console("full", screen="risk")
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert made.engine.watched.risk
        await pilot.press("w")
        await pilot.pause()
        assert (made.app.watched, made.engine.watched.run) == (NEWEST_REPLAY, NEWEST_REPLAY)
        await pilot.press("left_square_bracket")
        await pilot.pause()
        assert made.engine.watched.run == console_risk.replayed().run.run


async def test_enter_on_the_floors_opens_the_first_position(console: MakeConsole):
    made = console("full", screen="risk")
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("enter")
        await pilot.pause()
        assert f"Position {console_risk.POSITIONS[1].order.key}" in text_of(made.app.screen.current)


@pytest.mark.parametrize("extent", [NARROW, WIDE], ids=["narrow", "wide"])
@pytest.mark.parametrize("view", [console_risk.active(), console_risk.halted()], ids=["active", "halted"])
def test_every_row_exports_a_value_for_every_column(view: RiskView, extent: Extent):
    page = shown(view, extent)
    assert page.tables
    for table in page.tables:
        assert all(len(row.plain) == len(table.heads) == len(set(table.heads)) for row in table.rows)
        assert any("▸" in line.text for line in page.drawn[page.tables[0].id].lines)


async def test_enter_shows_one_trade_in_full_and_escape_closes_it(console: MakeConsole):
    made = console("full", screen="risk")
    async with made.app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("tab", "tab", "enter")
        await pilot.pause()
        trade = console_risk.TRADES[0]
        text = text_of(made.app.screen.current)
        for fact in (f"Trade {trade.key}", "−1.04 R", "−$ 520.00", "12.0, 3.0 bps", "−$ 70.20"):
            assert fact in text, fact
        await pilot.press("escape")
        await pilot.pause()
        assert "Trade " not in text_of(made.app.screen.current)


# -- pictures of the curve


def picture(view: View) -> Picture:
    (found,) = [slot.content for slot in view.slots if slot.id == "equity"]
    assert isinstance(found, Picture)
    return found


def test_floors_step_at_the_midnights_below_the_curve():
    page = shown(console_risk.active(), WIDE)
    rows = ["".join(cell[0] for cell in row) for row in picture(page).cells]
    dashes = [index for index, row in enumerate(rows) if "╌" in row]
    assert len(dashes) == 4, "the daily stop of three days and one total stop"
    assert any("daily stop 194,412.60" in row for row in rows)
    assert any("total stop 182,000.00" in row for row in rows)
    assert "Mon 23:00Z reset" in rows[-1]
    assert "Tue 23:00Z reset" in rows[-1]
    assert rows[-1].rstrip().endswith("now")


@pytest.mark.parametrize(
    ("value", "step", "label"),
    [(204_000.0, 2_000.0, "204 k"), (197_500.0, 2_500.0, "197.5 k"), (203_500.0, 500.0, "203.5 k"),
     (203_950.0, 50.0, "203,950"), (203_950.5, 0.5, "203,950.50")],
)  # fmt: skip
def test_labels_of_the_axis_tell_two_ticks_apart(value: float, step: float, label: str):
    assert axis_label(value, step) == label


def test_floors_that_are_not_known_are_not_drawn():
    view = console_risk.active()
    curve = tuple(replace(point, daily_stop=None, total_stop=None) for point in view.curve)
    cells = picture(shown(replace(view, curve=curve), WIDE)).cells
    assert not any(cell[0] == "╌" for row in cells for cell in row)


def test_without_a_scan_the_curve_says_so():
    text = text_of(shown(replace(console_risk.active(), curve=(), resets=())))
    assert "no scan yet" in text


def test_the_empty_screen_names_the_balance(console: MakeConsole):
    snapshot: ConsoleSnapshot = replace(full(), risk=None, paper_balance=200_000.0)
    page = RiskScreen.view(None, snapshot, Selection(), NARROW)
    assert page.headline.text == "No paper account yet."
    assert "with $ 200,000." in text_of(page)


# -- odds of the challenge

ODDS_PAGE = Selection().with_option("odds", "shown")


def odds_text(snapshot: ConsoleSnapshot, extent: Extent = NARROW) -> str:
    return text_of(RiskScreen.view(None, snapshot, ODDS_PAGE, extent))


@pytest.mark.parametrize("extent", [NARROW, Extent(120, 40), WIDE])
def test_the_odds_page_says_what_the_command_line_says(extent: Extent, capsys):
    show_odds(console_odds.ODDS)
    printed, page = capsys.readouterr().out, odds_text(console_odds.with_odds(full()), extent)
    shares = set(re.findall(r"\d+\.\d %", printed.split("days to pass   attempts")[0]))
    said = set(re.findall(r"[\d.]+–[\d.]+ %", printed)) - {"47.0–74.0 %"}
    stuck = numbers.percent(console_odds.ODDS["stuck"])
    missing = [figure for figure in (shares - {stuck, "74.0 %"}) | said if figure not in page]
    assert not missing
    for item in console_odds.ODDS["histogram"]:
        assert f"{item['from']}–{item['to']}" in page
        assert numbers.count(item["attempts"]) in page


def test_the_odds_stand_beside_the_account_in_a_wide_terminal():
    text = text_of(RiskScreen.view(None, full(), Selection(), WIDE))
    for words in (
        "Odds of this challenge",
        "61.3 %",
        "60.3–62.3 %",
        "47–74 %",
        "321 replay days",
        "10,000 attempts",
    ):
        assert words in text


async def test_o_plays_where_there_are_no_odds_and_shows_them_where_there_are(console: MakeConsole):
    async def after(snapshot: ConsoleSnapshot, *keys: str, read_only: bool = False) -> list[object]:
        made = console(snapshot, screen="risk", read_only=read_only)
        async with made.app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            for key in keys:
                await pilot.press(key)
                await pilot.pause()
        return [command for command in made.engine.sent if isinstance(command, SimulateChallenge)]

    none_yet = console_odds.without_odds(full())
    assert len(await after(none_yet, "o")) == 1
    assert await after(full(), "o") == []
    (again,) = await after(full(), "o", "o")
    assert (again.attempts, again.risk_pct, again.account, again.run) == (10_000, None, None, None)
    assert await after(full(), "o", "escape", "o") == []
    assert await after(console_odds.with_job(none_yet, console_odds.playing()), "o", "o") == []
    assert await after(console_odds.with_job(none_yet, console_odds.refused()), "o") == []
    assert await after(none_yet, "o", "o", read_only=True) == []


def test_the_odds_tell_how_far_they_are_and_why_they_failed():
    none_yet = console_odds.without_odds(full())
    assert "play them" in odds_text(none_yet)
    playing = odds_text(console_odds.with_job(none_yet, console_odds.playing()))
    assert "7,500 of 32,000 attempts" in playing
    failed = odds_text(console_odds.with_job(none_yet, console_odds.refused()))
    assert "holds 2 usable days with 237 trades" in " ".join(failed.split())
    assert "`tradingai replay --hours 432`" in failed
    warned = odds_text(console_odds.with_odds(full(), warnings=[console_odds.FEW_DAYS]))
    assert console_odds.FEW_DAYS in warned


def test_one_step_odds_tell_of_the_best_day_and_nobody_passing_is_said():
    delayed = console_odds.with_odds(full(), best_day={"delayed": 0.123, "median_days": 3})
    assert "12.3 %" in odds_text(delayed)
    nobody = console_odds.with_odds(full(), days_to_pass=None, histogram=[])
    assert "no attempt passed" in odds_text(nobody)


def test_the_rows_of_other_risks_are_exported_as_they_are():
    page = RiskScreen.view(None, full(), ODDS_PAGE, NARROW)
    (table,) = page.tables
    assert table.row(None).key == "0.25"
    for row, source in zip(table.rows, console_odds.ODDS["sensitivity"], strict=True):
        exported = dict(zip(table.heads, row.plain, strict=True))
        assert exported["pass_rate"] == repr(source["pass_rate"])
        assert exported["total_stop"] == repr(source["endings"]["total_stop"])
