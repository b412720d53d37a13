"""Charts on the screen: one base class over the hi-res canvas for every picture."""

from __future__ import annotations

from rich.segment import Segment
from textual.geometry import Region, Size
from textual.strip import Strip
from textual_hires_canvas import Canvas

from tradingai.widgets.ink import style_of
from tradingai.widgets.palette import PALETTES
from tradingai.widgets.plot import Picture
from tradingai.widgets.signs import Glyphs, render_glyphs


class Chart(Canvas, can_focus=False):
    """Shows a picture and repaints only the rows' parts that changed.

    The canvas keeps (character, ink) a cell. Inks are resolved when a row is rendered, so that a change of
    theme needs no redraw, and every row is styled and as wide as the widget: an unstyled blank crashes
    Textual's filter under NO_COLOR.
    """

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        self._painting = False
        super().__init__(1, 1, id=id)
        self.dimmed = False
        self.picture = Picture(0, 0)

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Chart:
        """As every widget's, but silent while a picture is being copied cell by cell."""
        if not self._painting:
            super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        return self

    def show(self, picture: Picture, *, dimmed: bool = False) -> None:
        """Copy ``picture`` to the canvas and repaint what differs from the one before."""
        before, self.picture = self.picture, picture
        changed: list[Region] = []
        self._painting = True
        try:
            same_size = (before.width, before.height) == (picture.width, picture.height)
            if not same_size:
                self.reset(size=Size(max(1, picture.width), max(1, picture.height)))
            for y, row in enumerate(picture.cells):
                old = before.cells[y] if same_size else None
                if old == row:
                    continue
                different = [x for x, cell in enumerate(row) if old is None or cell != old[x]]
                for x in different:
                    self.set_pixel(x, y, *row[x])
                changed.append(Region(different[0], y, different[-1] - different[0] + 1, 1))
        finally:
            self._painting = False
        if dimmed != self.dimmed or not same_size:
            self.dimmed = dimmed
            self.refresh()
        elif changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """One row of the canvas, styled to the full width of the widget."""
        theme = self.app.theme if self.app.theme in PALETTES else next(iter(PALETTES))
        glyphs: Glyphs = getattr(self.app, "glyphs", "braille")
        width = self.size.width
        segments: list[Segment] = []
        row = self.picture.cells[y][:width] if y < self.picture.height else []
        for x in range(len(row)):
            character, ink = self.get_pixel(x, y)
            style = style_of(ink or "text", theme, "bg", dimmed=self.dimmed)
            segments.append(Segment(render_glyphs(character, glyphs), style))
        if len(row) < width:
            segments.append(Segment(" " * (width - len(row)), style_of("text", theme, "bg")))
        return Strip(segments, width).simplify()
