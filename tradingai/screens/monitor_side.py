"""Sections of the Monitor's side panel: schedule and latency, limits, who said it, tiers, one decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tradingai.engine.core.symbols import ENSEMBLE
from tradingai.engine.queries.run_snapshot import CoinNow, MonitorView, RateView, SignalView
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.monitor_parts import EXIT_WORDS, price, share_bar, window_words
from tradingai.screens.monitor_words import (
    countdown,
    kind_word,
    latency_text,
    place_in_replay,
    reason_word,
    result_r,
    run_name,
    seconds_to_go,
)
from tradingai.widgets import numbers
from tradingai.widgets.bars import progress, threshold_bar
from tradingai.widgets.line import Line, Span, fit, line, pad, wrap
from tradingai.widgets.section import pair, rule

TIERS: Final = ("low", "medium", "high")
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def blocks(values: Sequence[float], width: int) -> str:
    """The newest values as blocks, one a cell: the largest fills it, the smallest a third of it."""
    shown = list(values[-width:])
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    if high <= low:
        return _BLOCKS[2] * len(shown)
    return "".join(_BLOCKS[round(2 + 5 * (value - low) / (high - low))] for value in shown)


# -- schedule and latency


def schedule_lines(snapshot: ConsoleSnapshot, view: MonitorView, width: int) -> list[Line]:
    """When the next scan comes, or how far the replay is; how long scans take against their budget."""
    if view.run.replay:
        head = _replay_head(view, width)
    else:
        due = numbers.time_z(view.next_due) if seconds_to_go(snapshot, view) is not None else "loop off"
        head = [rule("Next scan", due, width), Line(countdown(snapshot, view, max(4, width - 7)))]
    return [*head, *latency_lines(view, width)]


def _replay_head(view: MonitorView, width: int) -> list[Line]:
    run = view.run
    share = None
    if run.now and run.first_at and run.last_at and run.last_at > run.first_at:
        share = (run.now - run.first_at) / (run.last_at - run.first_at)
    speed = "as fast as it goes" if run.speed is None else f"× {run.speed:g}"
    lines = [
        rule(kind_word(run), run_name(run), width),
        pair(place_in_replay(run), run.state if run.state != "open" else speed, width),
        Line(progress(share, width, "blue" if run.state == "open" else "muted")),
    ]
    if run.now is not None:
        lines.append(pair("its clock", f"{run.now:%Y-%m-%d %H:%M:%SZ}", width))
    return lines


def latency_lines(view: MonitorView, width: int) -> list[Line]:
    """Last, median and 99th percentile against the budget; late and failed scans."""
    latency, budget = view.latency, view.latency.budget_ms
    word = "took" if view.run.replay else "latency"
    lines = [
        pair("last scan", _last(view, budget), width),
        pair(f"p50 / p99 of {window_words(view)}", _spread(view), width),
        pair("budget", latency_text(budget), width),
    ]
    room = width - len(word) - 2
    if latency.recent_ms:
        spark = blocks(latency.recent_ms, room)
        lines.append(Line((Span(word, "muted"), pad(width - len(word) - len(spark)), Span(spark, "muted"))))
    counts = (
        f"{numbers.count(latency.late)} / {numbers.count(latency.failed)} of {numbers.count(latency.scans)}"
    )
    bad = latency.failed or latency.late
    lines.append(pair("late / failed", Span(counts, "text" if bad else "muted"), width))
    return lines


def _last(view: MonitorView, budget: float | None) -> tuple[Span, ...]:
    value = view.latency.last_ms
    coins = f", {numbers.plural(len(view.coins), 'coin')}"
    if value is None:
        return (Span(numbers.NOTHING, "faint"),)
    over = budget is not None and value > budget
    return (Span(f"{'! ' if over else ''}{latency_text(value)}", "orange+b" if over else "text"), Span(coins))


def _spread(view: MonitorView) -> Span:
    latency = view.latency
    if latency.p50_ms is None or latency.p99_ms is None:
        return Span(numbers.NOTHING, "faint")
    over = latency.budget_ms is not None and latency.p99_ms > latency.budget_ms
    text = f"{latency.p50_ms:,.0f} / {latency.p99_ms:,.0f} ms"
    return Span(f"! {text}", "orange+b") if over else Span(text)


# -- rate limits


def rate_note(rates: RateView | None) -> str:
    """``5 of 10 this hour, high 5 of 5``."""
    if rates is None:
        return ""
    window = "this hour" if rates.window_minutes == 60 else f"in {rates.window_minutes} min"
    return f"{rates.total} of {rates.total_limit} {window}, high {rates.high} of {rates.high_limit}"


def rate_lines(snapshot: ConsoleSnapshot, view: MonitorView, width: int) -> list[Line]:
    """How much of the rolling hour is used, when the next slot is free, and the guard's back-off."""
    rates = view.rates
    if rates is None:
        return []
    free = [at for at in (rates.next_total_at, rates.next_high_at) if at is not None]
    now = view.run.now if view.run.replay else snapshot.now
    slot: Span = Span("now", "muted")
    if free and now is not None:
        at = min(free)
        slot = Span(f"{numbers.time_z(at)}, in {numbers.stopwatch((at - now).total_seconds())}")
    back_off = Span("none")
    if view.guard in {"REDUCING", "HALTED"}:
        effect = view.guard_detail.rsplit(": ", 1)[-1] if view.guard == "REDUCING" else view.guard
        back_off = Span(f"! {effect}", "orange+b")
    return [
        rule("Rate limits", f"rolling {rates.window_minutes} min", width),
        _used("all signals", rates.total, rates.total_limit, width),
        _used("high tier", rates.high, rates.high_limit, width),
        pair("next slot", slot, width),
        pair("back-off", back_off, width),
    ]


def _used(label: str, used: int, limit: int, width: int) -> Line:
    full = used >= limit
    text = f"{used} of {limit}"
    bar = max(6, min(16, width - 14 - len(text) - 2))
    ink = "orange" if full else "blue"
    free = width - 14 - bar - len(text)
    return Line(
        (
            *fit(Span(label, "muted"), 14),
            *progress(used / limit if limit else 0.0, bar, ink),
            pad(free),
            Span(text, "orange+b" if full else "text"),
        )
    )


# -- Telegram


def telegram_lines(snapshot: ConsoleSnapshot, view: MonitorView, width: int) -> list[Line]:
    """What became of the live run's alerts; nothing without a token, or beside a replay."""
    telegram = None if snapshot.live is None else snapshot.live.telegram
    if telegram is None or view.run.replay:
        return []
    lost = telegram.dead + telegram.not_delivered
    delivery: Span = Span(numbers.NOTHING, "faint")
    if telegram.p50_s is not None and telegram.p95_s is not None:
        delivery = Span(f"{telegram.p50_s:,.1f} / {telegram.p95_s:,.1f} s")
    words = f"{telegram.delivered:,}, {telegram.waiting:,} waiting, {lost:,} not"
    lines = [
        rule("Telegram", telegram.state, width),
        pair("delivered", Span(f"! {words}", "orange+b") if lost else Span(words), width),
        pair("p50 / p95", delivery, width),
    ]
    if telegram.state == "failing":
        lines.append(Line(fit(Span(telegram.error, "orange"), width)))
    return lines


# -- models


def model_lines(coin: CoinNow | None, width: int) -> list[Line]:
    """What each model said of the chosen coin, for the ensemble's side, with its share."""
    if coin is None or coin.confidence is None:
        return []
    threshold = coin.threshold or 0.75
    lines = [rule("Who said it", f"{coin.symbol}, {numbers.time_z(coin.at)}", width)]
    bar = max(6, width - 26)
    for model, p_up in coin.outputs.items():
        said = None if p_up is None else p_up if coin.side == "long" else 1 - p_up
        weight = coin.weights.get(model)
        share = f"{weight:.2f}" if weight is not None else numbers.NOTHING
        lines.append(_said(model, share, said, threshold, bar))
    if len(coin.outputs) != 1:
        lines.append(_said("ensemble", "", coin.confidence, threshold, bar, strong=True))
    return lines


def _said(
    name: str, share: str, value: float | None, threshold: float, bar: int, *, strong: bool = False
) -> Line:
    text = f"{value:.2f}" if value is not None else numbers.NOTHING
    return Line(
        (
            *fit(Span(name, "strong+b" if strong else "text"), 12),
            *fit(Span(share, "muted"), 6, "right"),
            pad(2),
            *share_bar(0.5 if value is None else value, threshold, bar),
            *fit(Span(text, "strong+b" if strong else "text"), 6, "right"),
        )
    )


def backtest_shares(snapshot: ConsoleSnapshot) -> Mapping[str, float]:
    """Share of each tier on the test range of the ensemble that speaks, else of the models that are live."""
    counts = dict.fromkeys(TIERS, 0)
    total = 0
    ensemble = snapshot.evaluation(ENSEMBLE)
    speaks = ensemble is not None and ensemble.live_version is not None and not ensemble.idle
    for item in snapshot.evaluations:
        if item.report is None or item.live_version is None or item.version != item.live_version:
            continue
        if (item.model == ENSEMBLE) != speaks:
            continue
        total += item.report.n
        for coin in item.report.coins:
            for tier in coin.tiers:
                counts[tier.name] = counts.get(tier.name, 0) + tier.n
    return {name: number / total for name, number in counts.items()} if total else {}


def tier_lines(snapshot: ConsoleSnapshot, view: MonitorView, width: int) -> list[Line]:
    """Seen share as a bar, the backtest's as the mark, both as numbers."""
    total = sum(view.tiers.values())
    if not total:
        return []
    expected = backtest_shares(snapshot)
    bar = max(6, width - 24)
    lines = [rule(f"Tiers, {window_words(view)}", "seen, mark: backtest" if expected else "seen", width)]
    for name in TIERS:
        seen = view.tiers.get(name, 0) / total
        share = expected.get(name)
        cells = progress(seen, bar, "muted") if share is None else threshold_bar(seen, share, bar, "muted")
        of = "" if share is None else f"of {numbers.percent(share, 0)}"
        lines.append(
            Line(
                (
                    *fit(Span(name, "muted"), 8),
                    *cells,
                    *fit(Span(numbers.percent(seen, 0)), 7, "right"),
                    *fit(Span(of, "muted"), 9, "right"),
                )
            )
        )
    return lines


# -- one decision in full


def decision_groups(coin: CoinNow, signal: SignalView | None, width: int) -> list[list[Line]]:
    """Everything one decision rests on: what was decided, by which numbers, models, inputs, its signal."""
    word = reason_word(coin.reason, coin.threshold)
    ink = "blue+b" if coin.reason == "emitted" else "strong+b"
    decided = [
        rule(f"Decision on {coin.symbol}", "esc closes", width),
        pair("decided", Span(word, ink), width),
        *(line(pad(2), Span(text, "muted")) for text in wrap(coin.detail, width - 2)),
        pair("at", _full(coin.at), width),
        pair("scan", numbers.count(coin.scan), width),
        pair("candle opened", _full(coin.candle), width),
    ]
    rules = [
        rule("Rules", "the first that applies", width),
        pair("P(up)", numbers.decimal(coin.p_up, 4), width),
        pair("confidence", f"{numbers.decimal(coin.confidence, 4)} {coin.side}".strip(), width),
        pair("threshold", numbers.decimal(coin.threshold, 4), width),
        pair("tier", coin.tier or "none", width),
        pair("risk of a trade", f"× {coin.size_factor:g}" if coin.size_factor is not None else "–", width),
    ]
    spoken = coin.versions.get(ENSEMBLE)
    note = "P(up), weight, version" if len(coin.outputs) > 1 else "P(up), version"
    models = [rule("Models", note, width)]
    for model, p_up in coin.outputs.items():
        weight = coin.weights.get(model)
        share = numbers.NOTHING if weight is None else f"{weight:.2f}"
        text = f"{numbers.decimal(p_up, 4)}  {share:>4}  {coin.versions.get(model, '')}"
        models.append(pair(model, text.strip(), width))
    if len(coin.outputs) > 1:
        words = f"{numbers.decimal(coin.p_up, 4)}  {'':>4}  {spoken or 'mean':>6}"
        models.append(pair(ENSEMBLE, Span(words, "strong"), width))
    inputs = [
        rule("Inputs", "hashes", width),
        pair("new candles", numbers.count(coin.candles), width),
        pair("candles", numbers.hash_groups(coin.input_sha256, 4), width),
        pair("features", numbers.hash_groups(coin.features_sha256, 4), width),
    ]
    told = [] if signal is None else [signal_lines(signal, width)]
    return [decided, rules, models, inputs, *told]


def signal_lines(signal: SignalView, width: int) -> list[Line]:
    """What a signal told the world, and what became of it."""
    state = EXIT_WORDS.get(signal.state, ("", signal.state))[1]
    return [
        rule(f"Signal {signal.side.upper()}", signal.symbol, width),
        pair("key", signal.key, width),
        pair("entry, planned", price(signal.entry), width),
        pair("TP / SL", f"{price(signal.take_profit)} / {price(signal.stop_loss)}", width),
        pair("R:R", f"{signal.reward_risk:.2f}", width),
        pair("spread, slip", f"{signal.spread_bps:.1f}, {signal.slip_bps:.1f} bps", width),
        pair("became", f"{state} {result_r(signal.r)}".strip(), width),
    ]


def _full(moment: object) -> str:
    return f"{moment:%m-%d %H:%M:%SZ}" if moment is not None else numbers.NOTHING
