"""The heartbeat strip: what became of each hour of the clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.observation_clock import Segment
from tradingai.engine.queries.observation_views import CellState, Incident, Restart, StripCell

CELLS: Final = 480
"""Cells kept, the newest: ten days in half hours."""


def strip(
    broken: Sequence[Segment],
    restarts: Sequence[Restart],
    current: Segment | None,
    incidents: Sequence[Incident],
    *,
    required_s: float,
    cell_s: float,
) -> tuple[StripCell, ...]:
    """Cells of ``cell_s`` seconds, oldest first, up to where the clock will be full.

    ``restarts`` are those that ended the ``broken`` segments, in the same order.
    """
    cells: list[StripCell] = []
    for segment, restart in zip(broken, restarts, strict=True):
        cells += _broken(segment, restart, incidents, cell_s)
    if current is not None:
        cells += _counting(current, incidents, required_s, cell_s)
    return tuple(cells[-CELLS:])


def _broken(
    segment: Segment, restart: Restart, incidents: Sequence[Incident], cell_s: float
) -> list[StripCell]:
    """Whole cells, and the one in which it broke, which lasts until the clock began anew."""
    start, broke = segment.started_at, max(segment.started_at, segment.last_beat_at)
    noted = [*incidents, *_pauses(segment)]
    number = int((broke - start).total_seconds() // cell_s)
    cells = [_past(start, index, cell_s, noted) for index in range(number)]
    first = start + timedelta(seconds=number * cell_s)
    end = max(first, restart.at)
    told = (*_within(noted, first, broke), Incident(broke, "break", restart.text))
    return [*cells, StripCell(first, end, "break", told)]


def _counting(
    segment: Segment, incidents: Sequence[Incident], required_s: float, cell_s: float
) -> list[StripCell]:
    start, now = segment.started_at, max(segment.started_at, segment.last_beat_at)
    noted = [*incidents, *_pauses(segment)]
    number = int((now - start).total_seconds() // cell_s)
    full = now + timedelta(seconds=max(0.0, required_s - segment.counted_s))
    total = max(number, math.ceil((full - start).total_seconds() / cell_s - 1e-6))
    cells = [_past(start, index, cell_s, noted) for index in range(number)]
    for index in range(number, total):
        first = start + timedelta(seconds=index * cell_s)
        end = first + timedelta(seconds=cell_s)
        told = _within(noted, first, end) if index == number else ()
        state: CellState = "to_come" if index > number else "late" if told else "open"
        cells.append(StripCell(first, end, state, told))
    return cells


def _past(start: datetime, index: int, cell_s: float, incidents: Iterable[Incident]) -> StripCell:
    first = start + timedelta(seconds=index * cell_s)
    end = first + timedelta(seconds=cell_s)
    told = _within(incidents, first, end)
    return StripCell(first, end, "late" if told else "whole", told)


def _within(incidents: Iterable[Incident], first: datetime, end: datetime) -> tuple[Incident, ...]:
    found = (one for one in incidents if first <= one.at < end)
    return tuple(sorted(found, key=lambda one: one.at))


def _pauses(segment: Segment) -> list[Incident]:
    return [
        Incident(parse_iso(pause.at), "late", f"clean restart, {pause.seconds:,.0f} s not counted")
        for pause in segment.pauses
    ]
