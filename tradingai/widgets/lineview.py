"""The one widget that puts lines on the screen, and repaints only the cells that changed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tradingai.widgets.ink import style_of
from tradingai.widgets.line import BLANK, Line, Target, fit
from tradingai.widgets.palette import PALETTES
from tradingai.widgets.signs import Glyphs, render_glyphs


class LineView(Widget, can_focus=False):
    """Shows lines from its first row on; what is below the last is blank."""

    class Clicked(Message):
        """The operator clicked on something that has a target."""

        def __init__(self, target: Target, *, twice: bool) -> None:
            super().__init__()
            self.target = target
            self.twice = twice

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - Textual's own name
        ground: str = "bg",
        margin: int = 1,
    ) -> None:
        super().__init__(id=id)
        self.ground = ground
        self.margin = margin
        self.lines: tuple[Line, ...] = ()
        self.dimmed = False

    def show(self, lines: Sequence[Line], *, dimmed: bool = False) -> None:
        """Replace the lines. Only cells that differ are painted again."""
        new = tuple(lines)
        old = self.lines
        self.lines = new
        if dimmed != self.dimmed:
            self.dimmed = dimmed
            self.refresh()
            return
        if not self.size.width:
            return
        changed = []
        for y in range(min(self.size.height, max(len(new), len(old)))):
            before = old[y] if y < len(old) else BLANK
            after = new[y] if y < len(new) else BLANK
            if before is not after and before != after:
                bounds = changed_cells(before, after)
                if bounds is not None:
                    start, end = bounds
                    changed.append(Region(start + self.margin, y, end - start, 1))
        if changed:
            self.refresh(*(region.intersection(Region(0, 0, *self.size)) for region in changed))

    def render_line(self, y: int) -> Strip:
        """One row of cells, always styled and exactly as wide as the widget."""
        width = self.size.width
        theme = self.app.theme
        if theme not in PALETTES:
            theme = next(iter(PALETTES))
        content = self.lines[y] if y < len(self.lines) else BLANK
        glyphs: Glyphs = getattr(self.app, "glyphs", "braille")
        return Strip(
            segments(content, width, self.margin, theme, self.ground, glyphs, dimmed=self.dimmed), width
        )

    def target_at(self, x: int, y: int) -> Target | None:
        """What stands at a cell: the span's own target, else the line's."""
        if y >= len(self.lines):
            return None
        at = self.margin
        for item in self.lines[y].spans:
            if at <= x < at + item.width:
                return item.target or self.lines[y].target
            at += item.width
        return self.lines[y].target

    def on_click(self, event: events.Click) -> None:
        """Say what was clicked on."""
        target = self.target_at(event.x, event.y)
        if target is not None:
            self.post_message(self.Clicked(target, twice=event.chain >= 2))


def segments(
    content: Line, width: int, margin: int, theme: str, ground: str, glyphs: Glyphs, *, dimmed: bool = False
) -> list[Segment]:
    """A line as styled segments of exactly ``width`` cells; the cursor row's ground leaves both edges
    free.
    """
    inner = max(0, width - 2 * margin)
    own = content.ground if content.ground and not dimmed else ground
    edge = Segment(" " * min(margin, width), style_of("text", theme, ground))
    result = [edge]
    result.extend(
        Segment(render_glyphs(item.text, glyphs), style_of(item.ink, theme, own, dimmed=dimmed))
        for item in fit(content.spans, inner)
    )
    rest = width - min(margin, width) - inner
    if rest > 0:
        result.append(Segment(" " * rest, style_of("text", theme, ground)))
    return result


def changed_cells(before: Line, after: Line) -> tuple[int, int] | None:
    """The first and one past the last cell in which two lines differ, or None when they look the same."""
    if before.ground != after.ground:
        return 0, 1000
    old = [(char, item.ink) for item in before.spans for char in item.text]
    new = [(char, item.ink) for item in after.spans for char in item.text]
    blank = (" ", "text")
    length = max(len(old), len(new))
    old += [blank] * (length - len(old))
    new += [blank] * (length - len(new))
    start = next((index for index in range(length) if not _same(old[index], new[index])), None)
    if start is None:
        return None
    end = next(index for index in range(length, 0, -1) if not _same(old[index - 1], new[index - 1]))
    if not (before.text.isascii() and after.text.isascii()):
        wide = any(item.width != len(item.text) for line in (before, after) for item in line.spans)
        if wide:
            return 0, 1000
    return start, end


def _same(left: tuple[str, str], right: tuple[str, str]) -> bool:
    if left == right:
        return True
    plain = left[0] == right[0] == " "
    return plain and not ({"@", "u"} & (set(left[1]) | set(right[1])))
