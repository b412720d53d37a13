"""The shell around every screen: header, headline, body, side panel, footer, filter, help, toast."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen
from textual.widget import Widget

from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.port import Host
from tradingai.screens.view import LEAST_COLUMNS, LEAST_ROWS, Extent, Selection, View
from tradingai.widgets.entry import TextEntry
from tradingai.widgets.footer import HELP_COLUMNS, footer_line, help_lines, help_scroll
from tradingai.widgets.header import MODE_BY_ID, status_line, tabs_line
from tradingai.widgets.line import BLANK, Line, Span, line, spread
from tradingai.widgets.lineview import LineView
from tradingai.widgets.plot import Picture


def opening_line(snapshot: ConsoleSnapshot) -> Line:
    """The headline until the first picture of the home is there."""
    return line(Span(f"Opening {snapshot.home}", "strong+b"))


class FilterInput(TextEntry):
    """The filter field. It gives the keys back on escape and enter."""

    async def on_key(self, event: events.Key) -> None:
        """Escape empties the filter and leaves."""
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            screen = self.screen
            if isinstance(screen, Shell):
                screen.end_filter(keep=False)


class Shell(Screen[None]):
    """Puts a view on the screen. Keys and selection are :class:`tradingai.screens.base.ConsoleScreen`'s."""

    MODE: ClassVar[str] = ""
    PANES: ClassVar[tuple[str, ...]] = ("main",)
    CHARTS: ClassVar[tuple[str, ...]] = ()
    SIDE_COLUMNS: ClassVar[int] = 44
    AUTO_FOCUS: ClassVar[str | None] = ""

    def __init__(self) -> None:
        super().__init__()
        self.selection = Selection()
        self.current: View | None = None
        self.helping = False
        self.help_top = 0
        self.dimmed = False
        self._toast: tuple[Line, ...] = ()

    def view(self, snapshot: ConsoleSnapshot, selection: Selection, extent: Extent) -> View:
        """All this screen shows. Pure."""
        raise NotImplementedError

    @property
    def host(self) -> Host:
        """The app, as far as a screen needs it."""
        return cast("Host", self.app)

    def compose(self) -> ComposeResult:
        """The shell; charts are imported only by screens that have some."""
        yield LineView(id="status", ground="surface")
        yield LineView(id="headline")
        with Container(id="body"):
            for name in self.PANES:
                yield LineView(id=name)
            if self.CHARTS:
                from tradingai.widgets.chart import Chart

                for name in self.CHARTS:
                    yield Chart(id=name)
        yield LineView(id="side", ground="surface", margin=2)
        yield LineView(id="footer", ground="surface")
        field = FilterInput(id="filter", placeholder="words, or words|words", select_on_focus=False)
        field.cursor_blink = False
        yield field
        yield LineView(id="help", ground="surface", margin=2)
        yield LineView(id="toast", ground="raised")

    def on_mount(self) -> None:
        """First picture."""
        self.paint()

    def on_screen_resume(self) -> None:
        """The operator came here: show what is, and say what is needed."""
        self.selection = replace(
            self.selection,
            coin=self.host.coin or self.selection.coin,
            model=self.host.model or self.selection.model,
            watched=self.host.watched,
        )
        self.dimmed = False
        self.paint()

    def on_resize(self) -> None:
        """Another size is another view."""
        self.paint()

    def end_filter(self, *, keep: bool) -> None:
        """Leave the filter field."""
        raise NotImplementedError

    @property
    def extent(self) -> Extent:
        """The terminal's size."""
        size = self.app.size
        return Extent(size.width, size.height, self.SIDE_COLUMNS, self.app.no_color)

    def paint(self, *, dimmed: bool | None = None) -> None:
        """Show the newest snapshot. Only cells that changed are repainted."""
        if not self.is_attached or not self._is_whole():
            return
        if dimmed is not None:
            self.dimmed = dimmed
        extent = self.extent
        with self.app.batch_update():
            if extent.cramped:
                self._paint_cramped(extent)
            else:
                self._paint_page(self.host.snapshot, extent)
            self.paint_header(self.host.snapshot)
        if self.is_current:
            self.host.page_painted()

    def _is_whole(self) -> bool:
        """Whether all widgets are there: a container's arrive after it, and a resize may come first."""
        return all(self.query(f"#{name}") for name in ("toast", *self.PANES, *self.CHARTS))

    def _paint_page(self, snapshot: ConsoleSnapshot, extent: Extent) -> None:
        opened = snapshot.settled
        view = self.view(snapshot, self.selection, extent) if opened else View(opening_line(snapshot))
        self._remember(view)
        self.host.engine.watch(view.interest)
        self._paint_headline(view, extent)
        self._paint_slots(view, extent)
        self._paint_side(view, extent)
        self._paint_footer(view, extent)
        self._paint_overlays(view, extent)

    def tick(self, snapshot: ConsoleSnapshot) -> None:
        """A second has passed and no job runs: the page where something counts down, else the header."""
        if self.current is not None and self.current.ticks:
            self.paint()
        else:
            self.paint_header(snapshot)

    def paint_header(self, snapshot: ConsoleSnapshot) -> None:
        """The two rows at the top alone: what may change while nothing else does."""
        columns = self.app.size.width
        self._place("#status", 0, 0, columns, 2)
        status = status_line(snapshot, columns, replay=self.current is not None and self.current.replay)
        self._lines("#status").show((status, tabs_line(snapshot, self.MODE, columns)))

    def _paint_cramped(self, extent: Extent) -> None:
        for widget in self._body_widgets():
            widget.display = False
        self._place("#side", 0, 0, 0, 0)
        text = f"TradingAI needs {LEAST_COLUMNS} × {LEAST_ROWS}; this is {extent.columns} × {extent.rows}."
        self._place("#headline", 0, 2, extent.columns, 2)
        self._lines("#headline").show((BLANK, line(Span(text, "strong+b"))))
        self._place("#footer", 0, extent.rows - 1, extent.columns, 1)
        self._lines("#footer").show((footer_line((), extent.columns, table=None),))

    def _paint_headline(self, view: View, extent: Extent) -> None:
        columns = extent.columns - extent.side
        self._place("#headline", 0, 2, columns, extent.top - 2)
        context = BLANK if extent.side else view.context
        if view.headline.width + 2 + context.width > extent.width:
            context = Line(tuple(item._replace(text=item.text.split(" ")[0]) for item in context.spans[:1]))
        head = spread(view.headline, context, extent.width)
        self._lines("#headline").show((BLANK, head), dimmed=self.dimmed)

    def _paint_side(self, view: View, extent: Extent) -> None:
        self._place("#side", extent.columns - extent.side, 2, extent.side, extent.rows - 3)
        gap = (BLANK,) if extent.tall else ()
        context = spread(BLANK, view.context, extent.side_width)
        self._lines("#side").show((BLANK, context, *gap, *view.side), dimmed=self.dimmed)

    def _paint_slots(self, view: View, extent: Extent) -> None:
        shown = {slot.id for slot in view.slots}
        for widget in self._body_widgets():
            if widget.id not in shown and widget.display:
                widget.display = False
        self._place("#body", 0, extent.top, extent.columns - extent.side, extent.height)
        for slot in view.slots:
            self._place(f"#{slot.id}", slot.x, slot.y, slot.width, slot.height)
            if isinstance(slot.content, Picture):
                self._chart(slot.id).show(slot.content, dimmed=self.dimmed)
            else:
                self._lines(f"#{slot.id}").show(slot.content, dimmed=self.dimmed)

    def _paint_footer(self, view: View, extent: Extent) -> None:
        self._place("#footer", 0, extent.rows - 1, extent.columns, 1)
        field = self.query_one("#filter", FilterInput)
        if field.has_focus:
            self._lines("#footer").show((line(Span("/", "blue+b")),))
            self._place("#filter", 3, extent.rows - 1, extent.columns - 4, 1)
            return
        self._place("#filter", 0, 0, 0, 0)
        table = view.table(self.selection.section)
        self._lines("#footer").show((footer_line(view.keys, extent.columns, table=table),))

    def _paint_overlays(self, view: View, extent: Extent) -> None:
        height = extent.rows - 3
        width = HELP_COLUMNS if self.helping else 0
        self._place("#help", extent.columns - width, 2, width, height if self.helping else 0)
        if self.helping:
            title = MODE_BY_ID[self.MODE].title
            self.help_top = min(self.help_top, help_scroll(title, view.keys, height - 2))
            self._lines("#help").show((BLANK, *help_lines(title, view.keys, height - 2, self.help_top)))
        rows = len(self._toast)
        room = min(max((row.width for row in self._toast), default=0) + 2, extent.columns - 2)
        self._place("#toast", extent.columns - room - 1, extent.rows - 1 - rows, room, rows)
        self._lines("#toast").show(self._toast)

    def show_toast(self, toast: tuple[Line, ...]) -> None:
        """Show a message above the footer, or hide it."""
        self._toast = toast
        self.paint()

    def _place(self, selector: str, x: int, y: int, width: int, height: int) -> None:
        """Put a widget at cells of its parent; nothing happens when it stands there already."""
        widget = self.query_one(selector)
        visible = width > 0 and height > 0
        if widget.display != visible:
            widget.display = visible
        place = (x, y, width, height)
        if visible and getattr(widget, "console_place", None) != place:
            widget.console_place = place  # type: ignore[attr-defined]
            widget.styles.offset = (x, y)
            widget.styles.width = width
            widget.styles.height = height

    def _lines(self, selector: str) -> LineView:
        return self.query_one(selector, LineView)

    def _chart(self, name: str) -> Any:
        return self.query_one(f"#{name}")

    def _body_widgets(self) -> Iterator[Widget]:
        return (self.query_one(f"#{name}") for name in (*self.PANES, *self.CHARTS))

    def _remember(self, view: View) -> None:
        """Keep where each section was scrolled to, so that rows do not jump."""
        self.current = view
        tops = {name: drawn.top for name, drawn in view.drawn.items()}
        if any(self.selection.tops.get(name) != top for name, top in tops.items()):
            self.selection = replace(self.selection, tops={**self.selection.tops, **tops})
