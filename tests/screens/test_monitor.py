"""The Monitor: what it says in every state, its arithmetic, and what its keys send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tradingai.engine.core.commands import Replay, SetKillSwitch, SetThreshold, StartScanLoop, StopScanLoop
from tradingai.engine.queries.model_snapshot import Problem
from tradingai.engine.queries.rolling import REASONS
from tradingai.engine.queries.run_snapshot import NEWEST_REPLAY, LoopView
from tradingai.engine.queries.snapshot import ConsoleSnapshot, EventView
from tradingai.screens.monitor import MonitorScreen
from tradingai.screens.monitor_parts import funnel_lines, price, signals_table
from tradingai.screens.monitor_side import backtest_shares, blocks
from tradingai.screens.price_chart import Mark, in_minutes, price_picture
from tradingai.screens.view import Extent, Selection

from tests.fakes import console_monitor
from tests.fakes.console_home import NOW, at, empty
from tests.fakes.console_runs import job
from tests.fakes.console_story import full, working
from tests.screens.conftest import Console, MakeConsole
from tests.screens.test_views import text_of

SIZE = (100, 30)


def shown(snapshot: ConsoleSnapshot, size: tuple[int, int] = (80, 24), **selected: object) -> str:
    """All that stands on the page."""
    view = MonitorScreen.view(None, snapshot, Selection(**selected), Extent(*size))  # type: ignore[arg-type]
    return text_of(view)


def head(snapshot: ConsoleSnapshot, size: tuple[int, int] = (80, 24)) -> str:
    view = MonitorScreen.view(None, snapshot, Selection(), Extent(*size))  # type: ignore[arg-type]
    return view.headline.text


def monitored(**changes: object) -> ConsoleSnapshot:
    base = full()
    return replace(base, monitor=replace(base.monitor, **changes))


def headed(**changes: object) -> ConsoleSnapshot:
    base = full()
    return replace(base, header=replace(base.header, **changes))


# ------------------------------------------------------------------------------ what it shows


def test_eighty_columns_show_what_the_wireframe_shows():
    text = shown(full())
    for fact in (
        "BNB-USD LONG 0.79 emitted at 12:04:00Z.", "next scan 1:43", "19 ms", "threshold 0.75 env",
        "41,932.70 ▲  0.21 %", "2,318.44 ▼  0.08 %", "▼ down", "0.71", "medium", "below 0.75",
        "✓ LONG emitted", "scanned           2,160", "− rate-limited    1,180", "= emitted           112",
        "TP 42,257", "41,933",
        "SL 41,681", "in 41,873", "112 in 24 h, 5 of 10 this hour, high 5 of 5", "open +0.31R", "stop −1.04R",
    ):  # fmt: skip
        assert fact in text, fact


def test_a_wide_terminal_has_the_panel():
    text = shown(full(), (160, 48))
    for fact in (
        "time exit in 7:00", "SYNTHETIC cycles, seed 7", "Next scan", "12:06:00Z", "19 ms, 3 coins",
        "19 / 44 ms", "500 ms", "1 / 0 of 720", "54.6 %", "5 of 10", "12:12:00Z, in 7:43", "Who said it",
        "transformer", "0.40", "hysteresis 0.02", "win rate 55.4 %, net +4.91 R", "57 %",
    ):  # fmt: skip
        assert fact in text, fact


def test_the_funnel_is_an_account_that_adds_up():
    monitor = full().monitor
    lines = funnel_lines(monitor, 40)
    numbers = [int("".join(filter(str.isdigit, line.text[15:24]))) for line in lines[2:]]
    assert len(numbers) == len(REASONS)
    assert sum(numbers) == monitor.funnel.scanned == 2_160
    shares = [float(line.text.split()[-2]) for line in lines[2:] if line.text.endswith("%")]
    assert sum(shares) == pytest.approx(100.0, abs=0.3)


def test_marks_of_all_coins_form_one_line():
    view = MonitorScreen.view(None, full(), Selection(), Extent(80, 24))  # type: ignore[arg-type]
    rows = [line.text for line in view.slots[0].content if "┃" in line.text]
    assert len({row.index("┃") for row in rows}) == 1


def test_the_backtests_share_of_tiers_is_that_of_the_live_models_reports():
    snapshot = full()
    live = [item for item in snapshot.evaluations if item.live_version and item.version == item.live_version]
    total = sum(item.report.n for item in live)
    high = sum(tier.n for item in live for tier in item.report.coins[0].tiers if tier.name == "high")
    assert backtest_shares(snapshot)["high"] == pytest.approx(high / total)


def test_old_prices_say_their_age():
    coins = tuple(
        replace(coin, price_at=NOW - timedelta(minutes=6, seconds=17)) for coin in console_monitor.COINS
    )
    text = shown(monitored(coins=coins))
    assert text.count("! 377s old") == 3
    assert "41,932.70" in text


def test_a_rule_that_failed_and_a_model_that_said_nothing_are_told():
    (btc, eth, bnb) = console_monitor.COINS
    broken = replace(btc, reason="risk_blocked", failed=True, detail="rule failed: ZeroDivisionError: x")
    mute = replace(
        eth, confidence=None, p_up=None, side="", tier="", detail="lstm_ETH-USD gave no number", outputs={}
    )
    text = shown(monitored(coins=(broken, mute, bnb)), (160, 48))
    assert "! risk-blocked: rule failed" in text
    assert "below 0.75, lstm_ETH-USD gave" in text


def test_a_replay_is_labelled_everywhere():
    snapshot = working()
    for size in ((80, 24), (120, 40), (160, 48)):
        view = MonitorScreen.view(None, snapshot, Selection(), Extent(*size))  # type: ignore[arg-type]
        assert view.replay
        assert view.headline.text.startswith("Replay")
        assert "run 8782df, at 41:26 of 72 h" in view.context.text
        assert "SYNTHETIC" in text_of(view)


def test_a_finished_replay_says_so_with_its_results():
    base = working()
    run = replace(base.monitor.run, state="finished", now=base.monitor.run.last_at)
    text = shown(replace(base, monitor=replace(base.monitor, run=run)))
    assert "Replay finished: 232 signals, 55.4 % won, +4.91 R." in text
    assert "run 8782df, finished" in text


def test_an_interrupted_replay_says_where():
    base = working()
    run = replace(base.monitor.run, state="interrupted")
    assert head(replace(base, monitor=replace(base.monitor, run=run))).startswith(
        "The replay was interrupted at 41:26 of 72 h"
    )


def test_a_replay_that_failed_says_why():
    broken = job(
        40, "replay", "", "failed", "12:04:10", message="candles end at 2025-11-10 01:08", remedy="Ask less."
    )
    base = working()
    run = replace(base.monitor.run, state="failed")
    stopped = replace(base, jobs=(broken, *base.jobs), monitor=replace(base.monitor, run=run))
    assert head(stopped) == "The replay failed at 41:26 of 72 h: candles end at 2025-11-10 01:08."
    none_yet = replace(empty(), jobs=(broken,))
    text = shown(none_yet)
    assert "The replay did not begin: candles end at 2025-11-10 01:08" in text
    assert "Ask less." in text


def test_a_replay_without_a_scan_begins():
    base = working()
    run = replace(base.monitor.run, scans=0, now=None, first_at=None)
    view = replace(base.monitor, run=run, coins=(), signals=(), last_scan_at=None)
    text = shown(replace(base, monitor=view), (160, 48))
    assert "The replay begins: no scan is stored yet." in text
    assert "It fills with the first scan." in text


def test_a_back_off_says_its_effect():
    text = shown(
        monitored(guard="REDUCING", guard_detail="2 losses within 60 minutes: risk × 0.5"), (160, 48)
    )
    row = next(row for row in text.splitlines() if row.startswith("back-off"))
    assert row.split(maxsplit=1)[1] == "! risk × 0.5"


def test_rows_have_a_value_for_every_column_of_their_export():
    view = MonitorScreen.view(None, full(), Selection(), Extent(160, 48))  # type: ignore[arg-type]
    for table in view.tables:
        assert {len(row.plain) for row in table.rows} == {len(table.heads)}


# ------------------------------------------------------------------------------ what is wrong


def failing() -> ConsoleSnapshot:
    return monitored(
        last_scan_state="failed", last_scan_detail="provider timed out after 5 s", next_due=at("12:04:20")
    )


def silent() -> ConsoleSnapshot:
    base = full()
    fields = {"symbol": "ETH-USD", "reason": "no answer within 5 s", "failures": 3}
    event = EventView(900, at("12:04:05"), "FeedFailed", "warning", "x", "warn", fields=fields)
    return replace(base, events=replace(base.events, rows=(*base.events.rows, event)))


def overdue(**system: object) -> ConsoleSnapshot:
    base = monitored(next_due=at("12:00:00"), last_scan_at=at("11:58:00"))
    return replace(base, system=replace(base.system, **system))


def locked() -> ConsoleSnapshot:
    refusal = "the database /home/x/tradingai.db is locked: another process keeps it busy"
    return replace(overdue(), loop=LoopView("scanning", refusal=refusal, remedy="Run this again."))


TROUBLES: list[tuple[Callable[[], ConsoleSnapshot], str]] = [
    (failing, "Scan of 12:04:00Z failed: provider timed out after 5 s. Retry at 12:04:20Z."),
    (silent, "No candles of ETH-USD, 3 times: no answer within 5 s; asked again."),
    (
        lambda: replace(
            headed(kill_on=True, kill_source="telegram", kill_since=at("11:40:02")),
            monitor=replace(full().monitor, held_by_kill=12),
        ),
        "KILL ON since 11:40:02Z from Telegram: 12 decisions held.",
    ),
    (overdue, "No scan is stored since 11:58:00Z; one was due at 12:00:00Z."),
    (
        lambda: overdue(disk_free_bytes=4_096),
        "The disk is full: no scan is stored since 11:58:00Z. Free some space.",
    ),
    (
        lambda: replace(overdue(), problem=Problem("the database is locked", "Wait.")),
        "No scan is stored since 11:58:00Z: the database is locked",
    ),
    (locked, "The database is locked: no scan is stored since 11:58:00Z."),
    (
        lambda: replace(overdue(), loop=LoopView("scanning", refusal="the database x.db is damaged")),
        "No scan is stored since 11:58:00Z: the database x.db is damaged",
    ),
    (
        lambda: replace(full(), loop=LoopView("off", chosen=True)),
        "The engine died at 12:04:10Z; nothing is scanned. L starts it.",
    ),
    (
        lambda: replace(full(), loop=LoopView("off", stopped_why="no space left on device.")),
        "The scan loop ended: no space left on device. L starts it again.",
    ),
    (
        lambda: monitored(guard="HALTED", guard_since=at("11:42:10"), guard_detail="equity not a number"),
        "HALTED since 11:42:10Z: equity not a number. 7 Risk leaves it.",
    ),
]


@pytest.mark.parametrize(("made", "wanted"), TROUBLES, ids=[wanted[:24] for _, wanted in TROUBLES])
def test_trouble_leads_with_what_since_when_and_what_to_do(made, wanted):
    assert head(made()) == wanted


def test_a_locked_database_is_told_with_its_file_and_what_to_do():
    text = " ".join(text_of(MonitorScreen.view(None, locked(), Selection(), Extent(80, 24))).split())
    assert "/home/x/tradingai.db is locked" in text
    assert "Find who holds it (`fuser` on that file), let it finish or stop it: the loop goes on" in text


def test_a_long_failure_leaves_room_for_when_it_is_tried_again():
    text = head(monitored(last_scan_state="failed", last_scan_detail="x" * 200, next_due=at("12:04:20")))
    assert text.endswith("…. Retry at 12:04:20Z.")
    assert len(text) == 78


def test_a_drill_is_called_one():
    base = working()
    run = replace(base.monitor.run, kind="drill", state="finished")
    text = shown(replace(base, monitor=replace(base.monitor, run=run)), (160, 48))
    assert "Drill finished: 232 signals" in text


def test_a_feed_that_recovered_is_no_trouble():
    base = silent()
    after = EventView(901, at("12:04:09"), "FeedRecovered", "info", "x", fields={"symbol": "ETH-USD"})
    assert head(replace(base, events=replace(base.events, rows=(*base.events.rows, after)))) == head(full())


def test_a_loop_that_was_stopped_is_off_without_alarm():
    base = full()
    stopped = replace(base, loop=LoopView("off"), live=replace(base.live, state="stopped"))
    assert head(stopped) == "The scan loop is off since Wed 12:04Z; nothing is scanned."
    assert "next scan" not in shown(stopped)


def test_loading_models_is_told_until_the_first_scan():
    base = replace(full(), monitor=None, loop=LoopView("opening", "loading models, 2 of 5"))
    assert head(base) == "Loading models, 2 of 5; the first scan follows."
    again = replace(full(), loop=LoopView("opening", "loading models, 2 of 5"))
    assert head(again) == "Loading models, 2 of 5; the next scan follows."


def test_an_account_that_cannot_be_read_is_told_on_the_page():
    text = shown(monitored(problem=Problem("the stored account cannot be read", "Restore it.")))
    assert "the stored account cannot be read. Restore it." in text


# ------------------------------------------------------------------------------ parts


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(41_873.24, "41,873.2"), (312.071, "312.07"), (0.08123, "0.08123"), (None, "–"), (float("nan"), "–")],
)
def test_prices_keep_about_six_digits(value, wanted):
    assert price(value) == wanted


def test_minutes_become_candles_aligned_to_the_hour():
    points = console_monitor.prices(100.0, at("12:04:00"), 64)
    assert points[0].at == at("11:00:00")
    candles = in_minutes(points, 15, 99)
    assert [candle.at.minute for candle in candles] == [0, 15, 30, 45, 0]
    first = points[:15]
    assert candles[0].open == first[0].open
    assert candles[0].high == max(point.high for point in first)
    assert candles[0].low == min(point.low for point in first)
    assert (candles[0].close, candles[-1].close) == (first[-1].close, points[-1].close)
    assert len(in_minutes(points, 1, 99)) == 64
    assert in_minutes(points, 15, 2) == candles[-2:]


def test_candles_where_there_is_room_and_a_line_where_there_is_not():
    candles = in_minutes(console_monitor.prices(100.0), 1, 300)
    marks = (Mark(candles[-1].close, "100", "strong"),)
    tall, many = price_picture(candles, marks, None, 100, 30, minutes=1, axis=True)
    short, more = price_picture(candles, marks, None, 50, 9, minutes=1, axis=False)
    assert any("┃" in line.text or "│" in line.text for line in tall.lines())
    assert not any("┃" in line.text for line in short.lines())
    assert (many, more) == ((100 - 4, "1m candles"), (2 * (50 - 4), "close 1m"))


def test_labels_that_want_one_row_stand_below_each_other():
    candles = in_minutes(console_monitor.prices(100.0), 1, 300)
    last = candles[-1].close
    marks = (Mark(last, "last", "strong"), Mark(last, "entry", "muted"), Mark(last, "other", "muted"))
    picture, _ = price_picture(candles, marks, None, 50, 9, minutes=1, axis=False)
    rows = {
        word: row
        for row, line in enumerate(picture.lines())
        for word in ("last", "entry", "other")
        if word in line.text
    }
    assert len(set(rows.values())) == 3
    assert max(rows.values()) - min(rows.values()) == 2


def test_signals_of_another_day_say_the_day():
    monitor = full().monitor
    old = replace(monitor.signals[0], at=monitor.signals[0].at - timedelta(days=2))
    table = signals_table(replace(monitor, signals=(old,)), Extent(80, 24), "", "")
    assert table.rows[0].cells[0].text == "10 12:04"


def test_blocks_tell_the_slow_scans():
    assert blocks([], 8) == ""
    assert blocks([5.0, 5.0], 8) == "▃▃"
    assert blocks([1.0, 9.0, 1.0], 2) == "█▃"


# ------------------------------------------------------------------------------ keys


async def sent(made: Console, *keys: str):
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
    return made.engine.sent


async def test_threshold_sets_and_resets(console: MakeConsole):
    backspace = ["backspace"] * 4
    (command,) = await sent(console("full", screen="monitor"), "t", *backspace, *"0.8", "enter")
    assert isinstance(command, SetThreshold)
    assert command.value == 0.8
    (command,) = await sent(console("full", screen="monitor"), "t", *backspace, *"reset", "enter")
    assert command.value is None


@pytest.mark.parametrize("typed", ["0.4", "1", "nan", "high"])
async def test_a_threshold_that_is_none_is_not_sent(console: MakeConsole, typed):
    keys = [{".": "full_stop"}.get(key, key) for key in typed]
    assert await sent(console("full", screen="monitor"), "t", *["backspace"] * 4, *keys, "enter") == []


async def test_kill_is_sent_at_once(console: MakeConsole):
    (command,) = await sent(console("full", screen="monitor"), "K")
    assert isinstance(command, SetKillSwitch)
    assert command.on


async def test_replay_asks_for_hours_and_speed_and_is_watched(console: MakeConsole):
    made = console("full", screen="monitor")
    (command,) = await sent(made, "r", "enter")
    assert isinstance(command, Replay)
    assert (command.hours, command.speed) == (72.0, 600.0)
    assert made.app.watched == NEWEST_REPLAY
    assert made.engine.watched.run == NEWEST_REPLAY
    made = console("full", screen="monitor")
    (command,) = await sent(made, "r", "down", *["backspace"] * 3, *"max", "enter")
    assert command.speed is None


async def test_watching_goes_to_the_replay_and_back(console: MakeConsole):
    made = console("full", screen="monitor")
    await sent(made, "w")
    assert made.app.watched == NEWEST_REPLAY
    base = working()
    made = console(replace(base, live=console_monitor.LIVE), screen="monitor")
    made.app.watched = NEWEST_REPLAY
    await sent(made, "w")
    assert made.app.watched == ""


async def test_the_loop_stops_after_a_question(console: MakeConsole):
    (command,) = await sent(console("full", screen="monitor"), "L", "enter")
    assert isinstance(command, StopScanLoop)


async def test_a_loop_that_begins_is_watched(console: MakeConsole):
    base = full()
    made = console(replace(working(), loop=LoopView("off"), evaluations=base.evaluations), screen="monitor")
    made.app.watched = NEWEST_REPLAY
    (command,) = await sent(made, "L", "enter")
    assert isinstance(command, StartScanLoop)
    assert made.app.watched == ""
    assert made.engine.watched.run == ""


async def test_pause_holds_the_picture_and_not_the_header(console: MakeConsole):
    made = console("full", screen="monitor")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("space")
        later = monitored(last_scan_state="failed", last_scan_detail="x")
        made.engine.become(replace(later, header=replace(later.header, kill_on=True)))
        made.app._poll()
        await pilot.pause()
        screen = made.app.screen
        page = "\n".join(line.text for line in screen.query_one("#headline").lines)
        assert "BNB-USD LONG 0.79 emitted" in page
        assert "paused since 12:04:17Z, the loop goes on" in page
        assert "KILL ON" in screen.query_one("#status").lines[0].text
        await pilot.press("space")
        await pilot.pause()
        page = "\n".join(line.text for line in screen.query_one("#headline").lines)
        assert "failed" in page
    assert made.engine.sent == []


async def test_brackets_and_cursor_choose_the_coin_whose_prices_are_read(console: MakeConsole):
    made = console("full", screen="monitor")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        assert (made.engine.watched.monitor, made.engine.watched.coin) == (True, "BTC-USD")
        await pilot.press("right_square_bracket")
        await pilot.pause()
        assert made.engine.watched.coin == "ETH-USD"
        await pilot.press("j")
        await pilot.pause()
        assert made.engine.watched.coin == "BNB-USD"


async def test_a_signals_decision_is_asked_for_and_shown_in_full(console: MakeConsole):
    made = console("full", screen="monitor")
    async with made.app.run_test(size=(160, 48)) as pilot:
        await pilot.pause()
        await pilot.press("tab", "j", "enter")
        await pilot.pause()
        assert made.engine.watched.signal == "BTC-USD@2025-11-12T11:55:00Z"
        side = "\n".join(line.text for line in made.app.screen.query_one("#side").lines)
        assert "42,257.2 / 41,681.2" in side
        await pilot.press("escape")
        await pilot.pause()
        side = "\n".join(line.text for line in made.app.screen.query_one("#side").lines)
        assert "Next scan" in side
        assert made.engine.watched.signal == ""


async def test_a_coins_decision_names_models_and_hashes(console: MakeConsole):
    made = console("full", screen="monitor")
    async with made.app.run_test(size=(160, 48)) as pilot:
        await pilot.press("enter")
        await pilot.pause()
        side = "\n".join(line.text for line in made.app.screen.query_one("#side").lines)
    for fact in ("position open", "0.8400 long", "0.7500", "74b8 1052", "c773 2236", "0.8600  0.35  v1.0.0"):
        assert fact in side, fact


async def test_what_would_be_refused_is_left_out(console: MakeConsole):
    made = console("full", screen="monitor", read_only=True)
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        actions = {key.action for key in made.app.screen.current.keys}
    assert not actions & {"kill", "threshold", "loop", "replay"}
    assert "pause" in actions
    empty = console("empty", screen="monitor")
    async with empty.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        actions = {key.action for key in empty.app.screen.current.keys}
    assert not actions & {"loop", "replay", "open", "pause"}


async def test_models_behind_it(console: MakeConsole):
    made = console("full", screen="monitor")
    async with made.app.run_test(size=SIZE) as pilot:
        await pilot.pause()
        await pilot.press("m")
        await pilot.pause()
        assert made.app.current_mode == "models"
        assert made.app.model == "lstm_BTC-USD"


async def test_only_what_counts_down_is_painted_each_second(console: MakeConsole):
    made = console("full", screen="monitor")
    async with made.app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        before = list(made.app.screen.query_one("#main").lines)
        made.engine.picture = replace(made.engine.picture, now=NOW + timedelta(seconds=1))
        made.app._tick()
        await pilot.pause()
        assert "1:42" in made.app.screen.query_one("#headline").lines[1].text
        assert list(made.app.screen.query_one("#main").lines) == before
