"""Screens whose part is not there yet: what will be here, and what of it exists."""

from __future__ import annotations

from collections.abc import Sequence

from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.overview_parts import context
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
    live = [item for item in snapshot.evaluations if item.live_version]
    lines = [fact(item.model, f"{item.live_version}, live", extent) for item in live]
    return lines or [fact("live models", "none yet", extent)]


def loop_facts(snapshot: ConsoleSnapshot, extent: Extent) -> list[Line]:
    """What the newest live run did, where there is one."""
    live = snapshot.live
    if live is None:
        return [fact("live run", "none yet", extent)]
    scan = numbers.NOTHING
    if live.scan_at is not None:
        took = f", {live.latency_ms:.0f} ms" if live.latency_ms is not None else ""
        scan = f"{live.scan_at:%m-%d %H:%M:%SZ} {live.scan_state}{took}"
    return [
        fact("live run", f"{live.run}, {live.state}", extent),
        fact("scans", numbers.count(live.scans), extent),
        fact("last scan", scan, extent),
        fact("next scan", f"{live.next_due:%H:%M:%SZ}" if live.next_due else numbers.NOTHING, extent),
    ]


def fact(label: str, value: str, extent: Extent) -> Line:
    """One row of what exists."""
    return pair(label, value, min(extent.width, 60), indent=2)
