"""6 Monitor: what is it doing right now, and why?"""

from __future__ import annotations

from dataclasses import replace

from tradingai.engine.queries.run_snapshot import NEWEST_REPLAY
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.base import ConsoleScreen
from tradingai.screens.monitor_page import DETAIL, INTERVALS, PAUSED, MonitorPage
from tradingai.screens.view import Extent, Selection, View
from tradingai.widgets import numbers


class MonitorScreen(ConsoleScreen):
    """Live signals and the decision funnel of one run."""

    MODE = "monitor"
    PANES = ("main", "funnel", "title", "bottom")
    CHARTS = ("chart",)

    def __init__(self) -> None:
        super().__init__()
        self._held: ConsoleSnapshot | None = None
        """The picture that is shown while the display is paused."""

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows."""
        return MonitorPage(snapshot, selection, extent).view()

    def _paint_page(self, snapshot: ConsoleSnapshot, extent: Extent) -> None:
        super()._paint_page(self._held or snapshot, extent)

    def tick(self, snapshot: ConsoleSnapshot) -> None:
        """The countdown and what goes with it; nothing while the display is paused."""
        before, extent = self.current, self.extent
        if before is None or not before.ticks or self._held is not None or extent.cramped:
            self.paint_header(snapshot)
            return
        view = MonitorPage(snapshot, self.selection, extent).counted(before)
        if view.slots is not before.slots:
            self.paint()
            return
        self.current = view
        with self.app.batch_update():
            self._paint_headline(view, extent)
            self._paint_side(view, extent)
            self.paint_header(snapshot)

    def do_pause(self) -> None:
        """Hold the picture, or go on; the loop does not notice."""
        if self._held is not None:
            self._held = None
            self.select(self.selection.with_option(PAUSED, ""))
        else:
            self._held = self.host.snapshot
            self.select(self.selection.with_option(PAUSED, numbers.time_z(self._held.now)))

    def choose(self, item: str) -> None:
        """Look at another coin; the cursor follows."""
        super().choose(item)
        if item in self._symbols():
            self.host.coin = item
            cursors = {**self.selection.cursors, "coins": item}
            self.select(replace(self.selection, coin=item, cursors=cursors))

    def _symbols(self) -> tuple[str, ...]:
        monitor = self.host.snapshot.monitor
        return tuple(coin.symbol for coin in monitor.coins) if monitor else ()

    def select(self, selection: Selection) -> None:
        """The coin under the cursor is the coin looked at."""
        coin = selection.cursors.get("coins", "")
        if coin and coin != selection.coin:
            self.host.coin = coin
            selection = replace(selection, coin=coin)
        super().select(selection)

    def do_interval(self) -> None:
        """The chart's next interval."""
        now = self.selection.option("interval", INTERVALS[0])
        following = INTERVALS[(INTERVALS.index(now) + 1) % len(INTERVALS)]
        self.select(self.selection.with_option("interval", following))

    def do_open(self) -> None:
        """The decision under the cursor in full, or the page again."""
        opened = bool(self.selection.option(DETAIL))
        self.select(self.selection.with_option(DETAIL, "" if opened else "1"))

    def do_back(self) -> None:
        """Close the decision, or what the shell closes."""
        if self.selection.option(DETAIL) and not self.helping:
            self.select(self.selection.with_option(DETAIL, ""))
        else:
            super().do_back()

    async def do_models(self) -> None:
        """The registry, with the coin's model chosen."""
        if self.current is not None and self.current.item:
            self.host.model = f"lstm_{self.current.item}"
        await self.host.go("models")

    def do_watch(self) -> None:
        """The live run, or the newest replay."""
        monitor = self.host.snapshot.monitor
        if monitor is not None:
            self.watch_run("" if monitor.run.replay else NEWEST_REPLAY)

    def watch_run(self, run: str) -> None:
        """Make Monitor and Risk show another run."""
        self.host.watched = run
        self.select(replace(self.selection, watched=run))

    def do_threshold(self) -> None:
        """Ask for the threshold."""
        from tradingai.screens.monitor_steps import set_threshold

        set_threshold(self.host)

    def do_observe(self) -> None:
        """Start an observation, once the operator has read what it takes."""
        from tradingai.screens.observation_steps import start

        start(self.host)

    def do_replay(self) -> None:
        """Ask for hours and speed, and watch what comes of it."""
        from tradingai.screens.monitor_steps import start_replay

        start_replay(self.host, lambda: self.watch_run(NEWEST_REPLAY))

    def do_loop(self) -> None:
        """Start the scan loop and watch it, or stop it."""
        from tradingai.screens.loop_steps import toggle_loop

        toggle_loop(self.host, lambda: self.watch_run(""))
