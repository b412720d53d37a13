"""Bars in whole and half cells. Every threshold has one mark, ``┃``, and right of the mark is always good."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tradingai.widgets.line import Span


def progress(fraction: float | None, width: int, ink: str = "blue") -> tuple[Span, ...]:
    """``━━━━━━╸─────``: filled to ``fraction`` (0..1); all track while nothing is known."""
    halves = (
        0
        if fraction is None or not math.isfinite(fraction)
        else round(min(1.0, max(0.0, fraction)) * width * 2)
    )
    full, half = divmod(halves, 2)
    if full == width:
        half = 0
    return tuple(
        item
        for item in (
            Span("━" * full, ink),
            Span("╸" * half, ink),
            Span("─" * (width - full - half), "rule"),
        )
        if item.text
    )


def gate_bar(position: float | None, width: int, *, passed: bool | None) -> tuple[Span, ...]:
    """A gate's bar: the mark in the middle, filled up to ``position`` (0..1, 0.5 is the threshold).

    Blue past the mark, orange before it, faint where there is no verdict.
    """
    ink = {True: "blue", False: "orange", None: "faint"}[passed]
    left = width // 2
    right = width - left - 1
    if position is None or not math.isfinite(position):
        position = 0.0
    position = min(1.0, max(0.0, position))
    before = progress(min(1.0, position / 0.5), left, ink)
    after = progress(max(0.0, (position - 0.5) / 0.5), right, ink)
    return (*before, Span("┃", "strong"), *after)


def threshold_bar(value: float, mark: float, width: int, ink: str = "blue") -> tuple[Span, ...]:
    """A bar of ``width`` cells filled to ``value`` (0..1) with the mark at ``mark`` (0..1)."""
    at = min(width - 1, max(0, round(mark * (width - 1))))
    halves = round(min(1.0, max(0.0, value)) * width * 2)
    full, half = divmod(halves, 2)
    cells = ["━"] * full + ["╸"] * half + ["─"] * (width - full - half)
    inked = [(character, "rule" if character == "─" else ink) for character in cells[:width]]
    return (*merge(inked[:at]), Span("┃", "strong"), *merge(inked[at + 1 :]))


def merge(cells: Iterable[tuple[str, str]]) -> tuple[Span, ...]:
    """(character, ink) pairs as the fewest spans."""
    spans: list[Span] = []
    for character, ink in cells:
        if spans and spans[-1].ink == ink:
            spans[-1] = Span(spans[-1].text + character, ink)
        else:
            spans.append(Span(character, ink))
    return tuple(spans)
