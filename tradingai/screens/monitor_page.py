"""The Monitor's page: coins, funnel, prices and signals of one run, and what can be done with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tradingai.engine.queries.run_snapshot import MonitorView, PositionView, SignalView
from tradingai.engine.queries.snapshot import ConsoleSnapshot, Interest
from tradingai.screens import monitor_side
from tradingai.screens.monitor_parts import (
    age_of,
    coins_table,
    funnel_lines,
    price,
    signals_table,
    window_words,
)
from tradingai.screens.monitor_words import beside, failed_replay, refused, result_r, sentence
from tradingai.screens.observation_steps import may_observe
from tradingai.screens.price_chart import Candle, Entry, Mark, Shown, in_minutes, label, price_picture
from tradingai.screens.view import Extent, Page, Selection, Slot, View, empty_state, paragraph
from tradingai.widgets import numbers
from tradingai.widgets.footer import Key
from tradingai.widgets.line import BLANK, Line
from tradingai.widgets.line import beside as beside_each_other
from tradingai.widgets.section import Table, draw, rule, stack

SECTIONS: Final = ("coins", "signals")
INTERVALS: Final = ("1", "5", "15")
PAUSED: Final = "paused"
DETAIL: Final = "detail"
FUNNEL_COLUMNS: Final = 24
WIDE_FUNNEL_COLUMNS: Final = 42
FUNNEL_ROWS: Final = 10
LEAST_SIGNALS: Final = 4
"""Rows of the signals' section, its title included, that a chart leaves."""


class MonitorPage:
    """Makes the Monitor's view."""

    def __init__(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> None:
        self.snapshot = snapshot
        self.selection = selection
        self.extent = extent
        self.monitor = snapshot.monitor
        self.page = Page(extent, selection, SECTIONS)
        coins = self.monitor.coins if self.monitor else ()
        at_cursor = selection.cursors.get("coins") or selection.coin
        self.coin = next((coin for coin in coins if coin.symbol == at_cursor), coins[0] if coins else None)

    def view(self) -> View:
        """Coins, funnel, prices and signals; beside them schedule, limits, models and tiers where wide."""
        extent, snapshot, monitor = self.extent, self.snapshot, self.monitor
        head = sentence(snapshot, extent)
        width = extent.columns - extent.side
        begun = monitor is not None and (bool(monitor.coins) or monitor.run.scans > 0)
        slots = self._body(monitor) if monitor is not None and begun else self._nothing()
        slots.insert(0, Slot("main", 0, 0, width, len(self.page.lines), tuple(self.page.lines)))
        coins = monitor.coins if monitor else ()
        return View(
            headline=head,
            context=beside(snapshot, extent, self.selection.option(PAUSED), self._room(head)),
            slots=tuple(slots),
            side=self._side(monitor) if extent.wide and monitor and begun else (),
            tables=tuple(self.page.tables),
            drawn=self.page.drawn,
            keys=keys_of(snapshot, self.selection),
            items=tuple(coin.symbol for coin in coins),
            item=self.coin.symbol if self.coin else "",
            interest=self._interest(),
            ticks=monitor is not None and not monitor.run.replay,
            replay=monitor is not None and monitor.run.replay,
        )

    def counted(self, before: View) -> View:
        """The view with only what changes from second to second made anew; all of it where more may."""
        extent, snapshot, monitor = self.extent, self.snapshot, self.monitor
        if monitor is None or any(age_of(snapshot, monitor, coin) is not None for coin in monitor.coins):
            return self.view()
        head = sentence(snapshot, extent)
        return replace(
            before,
            headline=head,
            context=beside(snapshot, extent, self.selection.option(PAUSED), self._room(head)),
            side=self._side(monitor) if extent.wide else (),
        )

    def _room(self, head: Line) -> int:
        """Columns for what stands beside the headline."""
        extent = self.extent
        return extent.side_width if extent.wide else extent.width - head.width - 2

    def _interest(self) -> Interest:
        chosen = _signal_at(self.monitor, self.selection) if self.monitor and self._on_signals() else None
        signal = chosen.key if chosen else ""
        coin = self.coin.symbol if self.coin else self.selection.coin or None
        return Interest(monitor=True, coin=coin, run=self.selection.watched, signal=signal)

    def _on_signals(self) -> bool:
        return bool(self.selection.option(DETAIL)) and self.page.focus == "signals"

    # -- body

    def _nothing(self) -> list[Slot]:
        width = min(78, self.extent.width)
        snapshot = self.snapshot
        live = any(item.live_version for item in snapshot.evaluations)
        what = (
            "Each coin's newest decision stands here with its confidence and tier, the funnel with a reason "
            "for every decision, signals and what became of them."
        )
        failed = failed_replay(snapshot)
        remedy = snapshot.problem.remedy if snapshot.problem else failed.remedy if failed else ""
        if remedy:
            self.page.add(*paragraph(remedy, self.extent.width))
            self.page.gap()
        replaying = self.monitor is not None and self.monitor.run.replay and self.monitor.run.state == "open"
        if replaying or snapshot.loop.state != "off" or snapshot.active_job("replay") is not None:
            self.page.add(BLANK, *empty_state(what, "It fills with the first scan.", keys=(), width=width))
        elif live:
            takes = "Scanning is a dry run: live candles, a paper account, no orders."
            observe = (("o", "starts an observation"),) if may_observe(snapshot) else ()
            offered = (("L", "starts the scan loop"), ("r", "replays 72 h of stored candles"), *observe)
            self.page.add(BLANK, *empty_state(what, takes, keys=offered, width=width))
        else:
            takes = "It takes a model that is live: one that passed its gates and was promoted."
            there = (("1", "Overview, where n runs the next step"), ("5", "Gates, where p promotes"))
            self.page.add(BLANK, *empty_state(what, takes, keys=there, width=width))
        return []

    def _body(self, monitor: MonitorView) -> list[Slot]:
        extent, page = self.extent, self.page
        if monitor.problem is not None:
            text = f"{monitor.problem.message}. {monitor.problem.remedy}"
            page.add(*paragraph(text, extent.width, indent=2, ink="orange")[:2])
        elif self.snapshot.loop.refusal:
            page.add(*paragraph(refused(self.snapshot.loop), extent.width, indent=2, ink="orange")[:3])
        coins = coins_table(self.snapshot, monitor, extent, self.selection.filter)
        page.table(coins, heads=not extent.narrow, rows=max(3, min(len(coins.rows), extent.height // 4)))
        page.gap(keep=FUNNEL_ROWS + LEAST_SIGNALS)
        if self.selection.option(DETAIL) and not extent.wide:
            page.add(*self._narrow_detail(monitor))
            page.tables.append(signals_table(monitor, extent, self.selection.filter, ""))
            return []
        if extent.wide:
            return self._wide_middle(monitor)
        return self._middle(monitor)

    def _wide_middle(self, monitor: MonitorView) -> list[Slot]:
        """The chart over the whole width, then the signals."""
        signals = self._signals_rows(monitor, heads=True)
        height = self.page.room - signals - 2
        if height < 4:
            return [self._signals(monitor, len(self.page.lines), self.page.room, heads=True)]
        top = len(self.page.lines)
        slots = self._chart(monitor, 0, top, self.extent.width, height, axis=True)
        start = top + 1 + height + 1
        return [*slots, self._signals(monitor, start, self.extent.height - start, heads=True)]

    def _middle(self, monitor: MonitorView) -> list[Slot]:
        """Funnel at the left, chart at the right, signals below."""
        extent, top = self.extent, len(self.page.lines)
        narrow = extent.narrow
        left = FUNNEL_COLUMNS if narrow else WIDE_FUNNEL_COLUMNS
        lines = funnel_lines(monitor, left)
        most = max(FUNNEL_ROWS, self.page.room - LEAST_SIGNALS - (2 if extent.tall else 0))
        if extent.tall:
            groups = (
                lines,
                monitor_side.schedule_lines(self.snapshot, monitor, left),
                monitor_side.rate_lines(self.snapshot, monitor, left),
            )
            lines = stack(*groups)
            if len(lines) > most:
                lines = stack(*groups, gap=False)
        heads = not narrow
        block = min(len(lines), most, self.page.room)
        lines = lines[:block]
        gap = 4
        slots = [Slot("funnel", 0, top, left + 2, block, lines)]
        slots += self._chart(monitor, left + gap, top, extent.width - left - gap, block - 1, axis=block >= 16)
        start = top + block + (1 if extent.tall else 0)
        rest = extent.height - start
        if rest >= 2:
            slots.append(self._signals(monitor, start, rest, heads=heads and rest >= 4))
        return slots

    def _chart(
        self, monitor: MonitorView, x: int, top: int, width: int, height: int, *, axis: bool
    ) -> list[Slot]:
        """The chosen coin's prices with the levels of its position."""
        coin = self.coin
        if coin is None or width < 20 or height < 3:
            return []
        minutes = int(self.selection.option("interval", INTERVALS[0]))
        candles = in_minutes(monitor.prices.get(coin.symbol, ()), minutes, 2 * width)
        position = next((item for item in monitor.positions if item.symbol == coin.symbol), None)
        waiting = next((s for s in monitor.signals if s.symbol == coin.symbol and s.state == "waiting"), None)
        marks = _marks(candles, position, waiting)
        entry = None if position is None else Entry(position.entry_at, position.entry, position.side)
        picture, shown = price_picture(
            candles, marks, entry, width, height, minutes=minutes, axis=axis, solid_down=self.extent.no_color
        )
        note = self._chart_note(shown, position, minutes, width)
        title = (rule(coin.symbol, note, width),)
        return [
            Slot("title", x, top, width + 2, 1, title),
            Slot("chart", x + 1, top + 1, width, height, picture),
        ]

    def _chart_note(self, shown: Shown, position: PositionView | None, minutes: int, width: int) -> str:
        if not shown.candles:
            paused = bool(self.selection.option(PAUSED))
            return "not in the paused picture" if paused else "no candles yet"
        if position is not None and not self.extent.narrow:
            since = f"{position.side} since {numbers.time_z(position.entry_at, seconds=False)}"
            kind = shown.kind if width >= 80 else f"{minutes}m"
            return f"{kind}, {since} at {price(position.entry)}, {result_r(position.r)}"
        span = minutes * shown.candles
        text = f"{span} min" if span < 240 else f"{span / 60:.0f} h"
        return f"{shown.kind}, {text}"

    # -- signals

    def _signals_rows(self, monitor: MonitorView, *, heads: bool) -> int:
        """How many rows the signals take at most of a wide page: about a quarter."""
        rows = min(max(1, len(monitor.signals)), max(3, self.extent.height // 5))
        return 1 + (1 if heads else 0) + rows

    def _signals(self, monitor: MonitorView, top: int, rows: int, *, heads: bool) -> Slot:
        extent = self.extent
        table = signals_table(monitor, extent, self.selection.filter, self._signals_note(monitor))
        lines = self._drawn(table, rows, heads=heads)
        if not table.rows:
            words = "none matches the filter" if monitor.signals else "none yet"
            lines = (rule("Signals", words, extent.width), *lines[1:])
        return Slot("bottom", 0, top, extent.columns - extent.side, rows, lines[:rows])

    def _drawn(self, table: Table, rows: int, *, heads: bool) -> tuple[Line, ...]:
        page, selection = self.page, self.selection
        drawn = draw(
            table,
            self.extent.width,
            cursor=selection.cursors.get(table.id),
            focus=page.focus == table.id,
            heads=heads,
            rows=max(1, rows - 1 - (1 if heads and table.rows else 0)),
            top=selection.tops.get(table.id, 0),
        )
        page.tables.append(table)
        page.drawn[table.id] = drawn
        return drawn.lines

    def _signals_note(self, monitor: MonitorView) -> str:
        count = f"{numbers.count(monitor.signals_in_window)} in {window_words(monitor)}"
        if self.extent.narrow:
            return ", ".join(filter(None, (count, monitor_side.rate_note(monitor.rates))))
        if monitor.win_rate is None:
            return count
        return f"{count}, win rate {numbers.percent(monitor.win_rate)}, net {result_r(monitor.net_r)}"

    # -- side panel

    def _side(self, monitor: MonitorView) -> list[Line]:
        extent, snapshot, width = self.extent, self.snapshot, self.extent.side_width
        if self.selection.option(DETAIL):
            return stack(*self._detail(monitor, width))
        groups = [
            monitor_side.schedule_lines(snapshot, monitor, width),
            funnel_lines(monitor, width),
            monitor_side.rate_lines(snapshot, monitor, width),
            monitor_side.telegram_lines(snapshot, monitor, width),
            monitor_side.model_lines(self.coin, width),
            monitor_side.tier_lines(snapshot, monitor, width),
        ]
        roomy = sum(len(group) for group in groups) + len(groups) <= extent.rows - 6
        return stack(*groups, gap=roomy)

    def _narrow_detail(self, monitor: MonitorView) -> list[Line]:
        """The decision under the cursor in two columns."""
        gap = 4
        width = (min(self.extent.width, 100) - gap) // 2
        groups = self._detail(monitor, width)
        left, right = groups[:2], groups[2:]
        roomy = sum(len(group) + 1 for group in right) - 1 <= self.page.room
        return beside_each_other(stack(*left), stack(*right, gap=roomy), width, gap)

    def _detail(self, monitor: MonitorView, width: int) -> list[list[Line]]:
        """The decision under the cursor: what was decided, rules, then models, inputs and the signal."""
        if self.page.focus == "signals":
            signal = _signal_at(monitor, self.selection)
            if signal is None:
                return []
            if monitor.decision is not None and monitor.decision.signal_key == signal.key:
                return monitor_side.decision_groups(monitor.decision, signal, width)
            return [monitor_side.signal_lines(signal, width)]
        if self.coin is None:
            return []
        signal = next((one for one in monitor.signals if one.key == self.coin.signal_key), None)
        return monitor_side.decision_groups(self.coin, signal, width)


def _signal_at(monitor: MonitorView, selection: Selection) -> SignalView | None:
    wanted = selection.cursors.get("signals")
    found = next((one for one in monitor.signals if one.key == wanted), None)
    return found or (monitor.signals[0] if monitor.signals else None)


def _marks(
    candles: list[Candle], position: PositionView | None, waiting: SignalView | None
) -> tuple[Mark, ...]:
    """The newest price keeps its row; the position's levels, or those of a signal that waits, give way."""
    marks = [Mark(candles[-1].close, label("", candles[-1].close), "strong+b")] if candles else []
    if position is not None:
        levels = (position.target, position.stop, position.entry)
    elif waiting is not None:
        levels = (waiting.take_profit, waiting.stop_loss, waiting.entry)
    else:
        return tuple(marks)
    target, stop, entry = levels
    marks += [
        Mark(target, label("TP", target), "blue", "blue-dim"),
        Mark(stop, label("SL", stop), "orange", "orange-dim"),
        Mark(entry, label("in", entry), "muted", "muted"),
    ]
    return tuple(marks)


def keys_of(snapshot: ConsoleSnapshot, selection: Selection) -> tuple[Key, ...]:
    """What can be done now; what would be refused is left out."""
    monitor, loop = snapshot.monitor, snapshot.loop
    writes = not snapshot.header.read_only
    live = any(item.live_version for item in snapshot.evaluations)
    off = loop.state == "off"
    replaying = snapshot.active_job("replay") is not None
    keys: list[Key] = []
    if writes and off and live:
        keys.append(Key("L", "start loop", "start the scan loop here; remembered until L stops it", "loop"))
    if writes and live and not replaying:
        keys.append(
            Key(
                "r",
                "replay",
                "replay stored candles at a speed you choose",
                "replay",
                footer=off or monitor is None,
            )
        )
    if monitor is not None and monitor.run.replay and snapshot.live is not None:
        keys.append(Key("w", "watch live", "watch the live run again", "watch"))
    elif monitor is not None and not monitor.run.replay and monitor.replays:
        keys.append(Key("w", "watch replay", "watch the newest replay", "watch", footer=off))
    if writes:
        word = "kill off" if snapshot.header.kill_on else "kill"
        keys.append(Key("K", word, "kill switch: on at once, off asks", "kill"))
        keys.append(Key("t", "threshold", "confidence a signal needs: value, source, reset", "threshold"))
    if monitor is not None:
        keys += _page_keys(monitor, selection)
    if writes and loop.state in {"opening", "scanning"}:
        keys.append(
            Key("L", "stop loop", "stop the scan loop after the scan under way", "loop", footer=False)
        )
    if replaying:
        keys.append(Key("x", "cancel replay", "stop the replay at its next safe point", "cancel"))
    if may_observe(snapshot):
        keys.append(Key("o", "observe", "start an observation", "observe", footer=False))
    return tuple(keys)


def _page_keys(monitor: MonitorView, selection: Selection) -> list[Key]:
    paused = bool(selection.option(PAUSED))
    keys = [
        Key(
            "space",
            "go on" if paused else "pause",
            "pause the display, never the loop",
            "pause",
        )
    ]
    if len(monitor.coins) > 1:
        keys.append(Key("brackets", "coin", "previous, next coin", "next_item"))
    if monitor.coins:
        keys += [
            Key("i", "interval", "chart of 1, 5 or 15 minutes a candle", "interval"),
            Key("enter", "decision", "the decision in full: inputs, rules, models, hashes", "open"),
            Key("m", "models", "9 Models: the versions behind it", "models", footer=False),
        ]
    return keys
