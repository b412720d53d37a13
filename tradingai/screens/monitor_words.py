"""What the Monitor says in its headline and beside it: pure functions of one picture."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from tradingai.engine.queries.run_snapshot import CoinNow, LoopView, MonitorView, WatchedRun
from tradingai.engine.queries.snapshot import ConsoleSnapshot, EventView, JobView
from tradingai.screens.overview_parts import context as origin
from tradingai.screens.view import Extent, headline, opening
from tradingai.widgets import numbers
from tradingai.widgets.bars import progress
from tradingai.widgets.line import BLANK, Line, Span, pad

REASON_WORDS: Final[Mapping[str, str]] = {
    "no_new_candle": "no new candle",
    "stale": "stale",
    "below_threshold": "below threshold",
    "killed": "killed",
    "rate_limited": "rate-limited",
    "risk_blocked": "risk-blocked",
    "position_open": "position open",
    "emitted": "emitted",
}
SURFACES: Final[Mapping[str, str]] = {
    "cli": "the command line",
    "console": "a console",
    "telegram": "Telegram",
    "KILL_SWITCH": "KILL_SWITCH in the environment",
}
FULL_DISK_BYTES: Final = 64_000_000
"""With less than this left nothing can be counted on to be stored."""
OVERDUE_S: Final = 10.0
_LOCKED: Final = " is locked"
"""A scan that is not stored so long after it was due is missing."""
_BAR: Final = 10


def reason_word(reason: str, threshold: float | None) -> str:
    """``rate-limited``, ``below 0.75``."""
    if reason == "below_threshold" and threshold is not None:
        return f"below {threshold:.2f}"
    return REASON_WORDS.get(reason, reason)


def run_name(run: WatchedRun) -> str:
    """``run a3a9d1``: what tells one run from another."""
    return f"run {run.run.rsplit('-', 1)[-1]}"


def kind_word(run: WatchedRun) -> str:
    """``Replay``, or ``Drill``, which goes through stored candles too."""
    return "Drill" if run.kind == "drill" else "Replay"


def hours(seconds: float) -> str:
    """``41:26``."""
    minutes = max(0, int(seconds)) // 60
    return f"{minutes // 60}:{minutes % 60:02d}"


def place_in_replay(run: WatchedRun) -> str:
    """``at 41:26 of 72 h``, or where it stopped."""
    if run.now is None or run.first_at is None:
        return "before its first scan"
    gone = (run.now - run.first_at).total_seconds()
    if run.last_at is None:
        return f"at {hours(gone)} h"
    whole = (run.last_at - run.first_at).total_seconds()
    # the first scan is at 0:00, so that n hours of scans end one interval before n
    return f"at {hours(gone)} of {whole / 3600:.0f} h"


# -- headline


def sentence(snapshot: ConsoleSnapshot, extent: Extent) -> Line:
    """What it is doing right now, or what is wrong, since when, and what to do."""
    if snapshot.problem is not None and snapshot.monitor is None:
        return headline(snapshot.problem.message, alarm=True)
    view = snapshot.monitor
    if view is None:
        return _nothing_yet(snapshot)
    if view.run.replay:
        return _replay_sentence(snapshot, view)
    return _trouble(snapshot, view, extent) or headline(_calm(snapshot, view, extent))


def _nothing_yet(snapshot: ConsoleSnapshot) -> Line:
    loop = snapshot.loop
    if loop.state == "opening":
        return headline(f"{opening(loop.detail or 'opening')}; the first scan follows.")
    if snapshot.active_job("replay") is not None:
        return headline("A replay begins: loading models and candles.")
    if loop.stopped_why:
        return headline(f"The scan loop ended: {loop.stopped_why}", alarm=True)
    failed = failed_replay(snapshot)
    if failed is not None:
        return headline(f"The replay did not begin: {failed.message}", alarm=True)
    if loop.state in {"scanning", "elsewhere"}:
        return headline("The scan loop begins its first run.")
    return headline("The scan loop is off; nothing is scanned.")


def _replay_sentence(snapshot: ConsoleSnapshot, view: MonitorView) -> Line:
    run = view.run
    job = snapshot.active_job("replay")
    if run.state == "open":
        return headline(_under_way(view))
    if job is not None:
        return headline("The next replay begins: loading models and candles.")
    failed = failed_replay(snapshot)
    if run.state in {"failed", "interrupted"}:
        why = f": {failed.message}" if failed is not None and run.state == "failed" else "; r starts another"
        word = "failed" if run.state == "failed" else "was interrupted"
        what = f"The {kind_word(run).lower()} {word}"
        return headline(f"{what} {place_in_replay(run)}{why}.", alarm=True)
    if failed is not None and failed.started_at is not None and failed.started_at > run.started_at:
        return headline(f"The next replay failed: {failed.message}", alarm=True)
    return headline(f"{kind_word(run)} finished: {_results(view)}.")


def _under_way(view: MonitorView) -> str:
    word, scans = kind_word(view.run), view.run.scans
    newest = view.signals[0] if view.signals else None
    if not scans:
        return f"The {word.lower()} begins: no scan is stored yet."
    if newest is None:
        return f"{word}, {numbers.plural(scans, 'scan')} so far: nothing emitted."
    emitted = numbers.plural(view.signals_in_window, "signal")
    return f"{word}: {emitted}, newest {newest.symbol} {newest.side.upper()} {newest.confidence:.2f}."


def failed_replay(snapshot: ConsoleSnapshot) -> JobView | None:
    """The newest replay's job, where it failed."""
    job = snapshot.last_job("replay")
    return job if job is not None and job.state == "failed" else None


def _results(view: MonitorView) -> str:
    emitted = numbers.plural(view.signals_in_window, "signal")
    if view.win_rate is None or view.net_r is None:
        return emitted
    return f"{emitted}, {numbers.percent(view.win_rate)} won, {result_r(view.net_r)}"


def _trouble(snapshot: ConsoleSnapshot, view: MonitorView, extent: Extent) -> Line | None:
    """The first thing that keeps signals from coming, or None."""
    for found in (
        _halted(view),
        _ended(snapshot),
        _overdue(snapshot, view),
        _failed_scan(view, extent),
        _killed(snapshot, view),
        _silent_feed(snapshot),
    ):
        if found:
            return headline(found, alarm=True)
    return None


def _halted(view: MonitorView) -> str:
    if view.guard != "HALTED":
        return ""
    since = f" since {numbers.time_z(view.guard_since)}" if view.guard_since else ""
    return f"HALTED{since}: {view.guard_detail}. 7 Risk leaves it."


def _ended(snapshot: ConsoleSnapshot) -> str:
    loop, live = snapshot.loop, snapshot.live
    if loop.state != "off":
        return ""
    if loop.stopped_why:
        return f"The scan loop ended: {loop.stopped_why} L starts it again."
    if live is not None and live.state in {"started", "scanning"} and snapshot.header.engine != "attached":
        seen = max(filter(None, (live.beat_at, live.scan_at)), default=None)
        return f"The engine died at {numbers.time_z(seen)}; nothing is scanned. L starts it."
    return ""


def _overdue(snapshot: ConsoleSnapshot, view: MonitorView) -> str:
    if snapshot.loop.state not in {"scanning", "elsewhere"} or view.next_due is None:
        return ""
    late = (snapshot.now - view.next_due).total_seconds()
    if late < max(OVERDUE_S, view.interval_s or 0.0):
        return ""
    free = snapshot.system.disk_free_bytes
    since = numbers.time_z(view.last_scan_at)
    if free is not None and free < FULL_DISK_BYTES:
        return f"The disk is full: no scan is stored since {since}. Free some space."
    if _LOCKED in snapshot.loop.refusal:
        return f"The database is locked: no scan is stored since {since}."
    why = snapshot.problem.message if snapshot.problem is not None else snapshot.loop.refusal
    if why:
        return f"No scan is stored since {since}: {why}"
    return f"No scan is stored since {since}; one was due at {numbers.time_z(view.next_due)}."


def refused(loop: LoopView) -> str:
    """Why nothing is stored, and what to do about it."""
    remedy = loop.remedy
    if _LOCKED in loop.refusal:
        remedy = "Find who holds it (`fuser` on that file), let it finish or stop it: the loop goes on then."
    return f"{opening(loop.refusal)}. {remedy}".strip()


def _failed_scan(view: MonitorView, extent: Extent) -> str:
    """What failed may be long: when it is tried again stands behind it all the same."""
    if view.last_scan_state != "failed":
        return ""
    start = f"Scan of {numbers.time_z(view.last_scan_at)} failed: "
    again = f". Retry at {numbers.time_z(view.next_due)}." if view.next_due else "."
    room = max(10, extent.width - len(start) - len(again))
    detail = view.last_scan_detail
    return f"{start}{detail if len(detail) <= room else detail[: room - 1] + '…'}{again}"


def _killed(snapshot: ConsoleSnapshot, view: MonitorView) -> str:
    header = snapshot.header
    if not header.kill_on:
        return ""
    since = f" since {numbers.time_z(header.kill_since)}" if header.kill_since else ""
    source = SURFACES.get(header.kill_source, header.kill_source)
    held = numbers.plural(view.held_by_kill, "decision")
    return f"KILL ON{since} from {source}: {held} held."


def silent_coins(snapshot: ConsoleSnapshot) -> dict[str, EventView]:
    """Coins whose feed failed and has not recovered, with the event that says so."""
    found: dict[str, EventView] = {}
    known: set[str] = set()
    for event in reversed(snapshot.events.rows):
        symbol = str(event.fields.get("symbol", ""))
        if event.type in {"FeedFailed", "FeedRecovered"} and symbol not in known:
            known.add(symbol)
            if event.type == "FeedFailed":
                found[symbol] = event
    return found


def _silent_feed(snapshot: ConsoleSnapshot) -> str:
    if snapshot.loop.state not in {"scanning", "elsewhere"}:
        return ""
    silent = silent_coins(snapshot)
    if not silent:
        return ""
    symbol, event = next(iter(silent.items()))
    who = symbol if len(silent) == 1 else f"{len(silent)} coins"
    failures = int(event.fields.get("failures", 1))
    times = f", {failures} times" if failures > 1 else ""
    return f"No candles of {who}{times}: {event.fields.get('reason', '')}; asked again."


def _calm(snapshot: ConsoleSnapshot, view: MonitorView, extent: Extent) -> str:
    loop = snapshot.loop
    if loop.state == "opening":
        return f"{opening(loop.detail or 'opening')}; the next scan follows."
    if loop.state == "stopping":
        return "The scan loop ends after the scan under way."
    if loop.state == "off":
        since = f" since {numbers.day_time(view.run.now, snapshot.now)}" if view.run.now else ""
        return f"The scan loop is off{since}; nothing is scanned."
    if view.last_scan_at is None:
        return "The first scan is not there yet."
    text = _newest(view)
    opened = _open_position(view)
    return f"{text} {opened}" if opened and extent.wide else text


def _newest(view: MonitorView) -> str:
    emitted = [coin for coin in view.coins if coin.reason == "emitted"]
    if emitted:
        coin = max(emitted, key=lambda item: item.confidence or 0.0)
        return (
            f"{coin.symbol} {coin.side.upper()} {coin.confidence:.2f} emitted at {numbers.time_z(coin.at)}."
        )
    coins = numbers.plural(len(view.coins), "coin")
    if view.positions and not view.signals:
        return f"{coins} scanned at {numbers.time_z(view.last_scan_at)}."
    newest = view.signals[0] if view.signals else None
    if newest is None:
        return f"{coins} scanned at {numbers.time_z(view.last_scan_at)}, nothing emitted."
    return f"Nothing emitted since {newest.symbol} {newest.side.upper()} at {numbers.time_z(newest.at)}."


def _open_position(view: MonitorView) -> str:
    if not view.positions:
        return ""
    position = view.positions[0]
    text = f"{position.symbol} {position.side.upper()} is open at {result_r(position.r)}"
    left = time_to_exit(view, position.time_exit_at)
    return f"{text}, time exit in {left}." if left else f"{text}."


def time_to_exit(view: MonitorView, at: datetime) -> str:
    """``6:43`` by the run's clock."""
    return numbers.stopwatch((at - view.run.now).total_seconds()) if view.run.now else ""


def result_r(value: float | None) -> str:
    """``+0.31 R``."""
    return numbers.NOTHING if value is None else numbers.signed_minus(f"{value:+.2f} R")


# -- beside the headline


def seconds_to_go(snapshot: ConsoleSnapshot, view: MonitorView) -> float | None:
    """Until the next scan; None while none is to come."""
    if view.next_due is None or snapshot.loop.state not in {"scanning", "elsewhere"}:
        return None
    return max(0.0, (view.next_due - snapshot.now).total_seconds())


def countdown(snapshot: ConsoleSnapshot, view: MonitorView, bar: int) -> tuple[Span, ...]:
    """``1:43  ━━━━──────``: time to go, then a bar that empties."""
    left = seconds_to_go(snapshot, view)
    share = 0.0 if left is None or not view.interval_s else left / view.interval_s
    text = numbers.stopwatch(left)
    return (Span(f"{text:>5}", "strong+b"), pad(2), *progress(share, bar))


def beside(snapshot: ConsoleSnapshot, extent: Extent, paused: str, room: int) -> Line:
    """Countdown, the replay's place, or that the display is paused: the longest form that fits ``room``."""
    forms = [Line(spans) for spans in _forms(snapshot, extent, paused)]
    return next((form for form in forms if form.width <= room), BLANK)


def _forms(snapshot: ConsoleSnapshot, extent: Extent, paused: str) -> list[tuple[Span, ...]]:
    view, source = snapshot.monitor, Span(origin(snapshot, extent), "muted")
    if paused:
        return [
            (Span(f"paused since {paused}, the loop goes on", "orange+b"),),
            (Span(f"paused since {paused}", "orange+b"),),
            (Span("paused", "orange+b"),),
        ]
    if view is None:
        return [(source,)]
    if view.run.replay:
        return _replay_forms(view, source, extent)
    if extent.wide:
        return [(source,)]
    left = seconds_to_go(snapshot, view)
    if left is None:
        return [(source,)]
    took = latency_text(view.latency.last_ms)
    label = Span("next scan", "muted")
    full = (label, *countdown(snapshot, view, _BAR), pad(2), Span(took, "muted"))
    short = (label, *countdown(snapshot, view, 0)[:1], pad(2), Span(took, "muted"))
    forms = [full, short, (label, *countdown(snapshot, view, 0)[:1]), countdown(snapshot, view, 0)[:1]]
    if not extent.narrow and source.text:
        forms.insert(0, (source, pad(3), *full))
    return forms


def _replay_forms(view: MonitorView, source: Span, extent: Extent) -> list[tuple[Span, ...]]:
    run = view.run
    name = Span(run_name(run), "muted")
    where = place_in_replay(run) if run.state == "open" else run.state
    forms: list[tuple[Span, ...]] = [
        (name, Span(f", {where}", "muted")),
        (Span(where, "muted"),),
    ]
    if not extent.narrow and not extent.wide and source.text:
        forms.insert(0, (source, pad(3), *forms[0]))
    return forms


def latency_text(value: float | None) -> str:
    """``19 ms``, ``2.1 s``."""
    if value is None:
        return numbers.NOTHING
    return f"{value / 1000:.1f} s" if value >= 10_000 else f"{value:,.0f} ms"


def standing_word(coin: CoinNow) -> str:
    """What was decided on a coin, in words."""
    if coin.reason == "emitted":
        return f"✓ {coin.side.upper()} emitted"
    return reason_word(coin.reason, coin.threshold)
