"""Metrics and their text: the Prometheus exposition format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats: one ``# HELP`` and ``# TYPE`` a family, its
samples below them, every line ended by a newline; in label values a backslash, a quote and a newline are
escaped, in help texts a backslash and a newline.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, Protocol

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Family(Protocol):
    """Samples of one name."""

    def lines(self) -> Iterator[str]:
        """The lines of the exposition, without their newlines."""
        ...


def exposition(families: Iterable[Family]) -> str:
    """The text a scraper gets."""
    return "".join(f"{line}\n" for family in families for line in family.lines())


class Metric:
    """A counter or a gauge with a fixed list of label names. A value nobody knows yet is NaN."""

    def __init__(
        self, name: str, kind: Literal["counter", "gauge"], text: str, labels: Sequence[str] = ()
    ) -> None:
        self.name = name
        self._kind = kind
        self._text = text
        self._labels = tuple(labels)
        self._values: dict[tuple[str, ...], float] = {}

    def starting(self, value: float, *children: Sequence[str] | str) -> Metric:
        """Give each child its first value; a child is its label values, the lone child has none."""
        for child in children or ((),):
            self._values[(child,) if isinstance(child, str) else tuple(child)] = value
        return self

    def set(self, value: float, *labels: str) -> None:
        """The value now."""
        self._values[labels] = value

    def add(self, amount: float, *labels: str) -> None:
        """Count on."""
        self._values[labels] = self._values.get(labels, 0.0) + amount

    def clear(self) -> None:
        """Forget every child: for label values that name what holds now."""
        self._values.clear()

    def lines(self) -> Iterator[str]:
        """The family's lines; see :class:`Family`."""
        yield from _head(self.name, self._text, self._kind)
        for values, number in sorted(self._values.items()):
            yield f"{self.name}{_labels(zip(self._labels, values, strict=True))} {_number(number)}"


class Histogram:
    """Durations in seconds, in cumulative buckets up to ``+Inf``."""

    def __init__(self, name: str, text: str, bounds: Iterable[float]) -> None:
        """``bounds`` are the upper ends of the buckets; each value counts in the first that holds it."""
        self.name = name
        self._text = text
        self._bounds = sorted(set(bounds))
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """One more duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def lines(self) -> Iterator[str]:
        """The family's lines; see :class:`Family`."""
        yield from _head(self.name, self._text, "histogram")
        total = 0
        for bound, count in zip((*self._bounds, math.inf), self._counts, strict=True):
            total += count
            yield f"{self.name}_bucket{_labels([('le', _number(bound))])} {total}"
        yield f"{self.name}_sum {_number(self._sum)}"
        yield f"{self.name}_count {total}"


def _head(name: str, text: str, kind: str) -> Iterator[str]:
    escaped = text.replace("\\", r"\\").replace("\n", r"\n")
    yield f"# HELP {name} {escaped}"
    yield f"# TYPE {name} {kind}"


def _labels(pairs: Iterable[tuple[str, str]]) -> str:
    parts = [f'{name}="{_escaped(value)}"' for name, value in pairs]
    return f"{{{','.join(parts)}}}" if parts else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
