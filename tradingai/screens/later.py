"""Screens whose part is not there yet: what will be here, and what of it exists."""

from __future__ import annotations

from collections.abc import Sequence

from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.overview import context
from tradingai.screens.view import Extent, Page, Selection, Slot, View, headline, paragraph
from tradingai.widgets import numbers
from tradingai.widgets.line import BLANK, Line, Span, line, pad
from tradingai.widgets.section import pair, rule


def later_view(
    snapshot: ConsoleSnapshot,
    selection: Selection,
    extent: Extent,
    *,
    sentence: str,
    texts: Sequence[str],
    facts: Sequence[Line] = (),
    keys: Sequence[tuple[str, str]] = (),
) -> View:
    """A page that says what will stand here; ``facts`` are what is known already."""
    page = Page(extent, selection, ())
    width = min(extent.width, 78)
    page.add(BLANK)
    for text in texts:
        page.add(*paragraph(text, width))
    if keys:
        page.gap()
    for key, words in keys:
        page.add(line(pad(4), Span(key, "blue+b"), pad(2), words))
    if facts:
        page.gap()
        page.add(rule("What exists already", "", extent.width), *facts)
    return View(
        headline=headline(sentence),
        context=line(Span(context(snapshot, extent), "muted")),
        slots=(Slot("main", 0, 0, extent.columns - extent.side, extent.height, tuple(page.lines)),),
    )


def live_models(snapshot: ConsoleSnapshot, extent: Extent) -> list[Line]:
    """The models a scan would use."""
    width = min(extent.width, 60)
    live = [item for item in snapshot.evaluations if item.live_version]
    lines = [pair(item.model, f"{item.live_version}, live", width, indent=2) for item in live]
    if not live:
        lines.append(pair("live models", "none yet", width, indent=2))
    return lines


def controls(snapshot: ConsoleSnapshot, extent: Extent) -> list[Line]:
    """Kill switch and threshold as they stand."""
    header = snapshot.header
    width = min(extent.width, 60)
    kill = numbers.NOTHING if header.kill_on is None else "ON" if header.kill_on else "off"
    value = f"{header.threshold:.2f} {header.threshold_source}".strip() if header.threshold is not None else numbers.NOTHING
    return [
        pair("kill switch", f"{kill} {header.kill_source}".strip(), width, indent=2),
        pair("confidence threshold", value, width, indent=2),
    ]
