"""From samples of spread and slippage to the document of ``execution_metrics.json``.

The document keeps what each source measured (``measurements``), and what follows from it for each pair and
session (``pairs``, the only part that fills go by): a session of fewer than MIN_SAMPLES samples has the
figures of the pair's whole day, and what the whole day holds too few of is not used at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.risk.costs import SCHEMA, SESSIONS, CostLevel, parse_pairs

Component = Literal["spread_bps", "slippage_bps"]
COMPONENTS: Final[tuple[Component, ...]] = ("spread_bps", "slippage_bps")
DAY: Final = "day"
"""All sessions together."""
MIN_SAMPLES: Final = 100
"""Fewer samples say nothing about a 90th percentile: ten of a hundred lie above it."""
_SESSION_US: Final = 8 * 3_600_000_000
_LEAST_BPS: Final = 1e-4
_MOST_BPS: Final = 1e5
_RELATIVE: Final = 1e-4
"""Width of a bin of the sketch: percentiles are right to half of it, 0.005 %."""
_BINS: Final = math.ceil(math.log(_MOST_BPS / _LEAST_BPS) / _RELATIVE)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Measurement:
    """One component of one pair's costs, by session and over the whole day."""

    symbol: str
    component: Component
    sessions: Mapping[str, CostLevel]
    """``tokyo``, ``london``, ``new_york`` where there were samples, and ``day``."""

    @property
    def samples(self) -> int:
        """Of the whole day."""
        return self.sessions[DAY].samples


@dataclass(frozen=True, slots=True)
class Merged:
    """A new document, and in words what holds for each pair and why."""

    document: dict[str, Any]
    notes: tuple[str, ...]


def level_of(values: Sequence[float] | Floats) -> CostLevel:
    """Mean and nearest-rank percentiles of at least one number.

    >>> level_of([1.0, 2.0, 3.0, 4.0])
    CostLevel(mean=2.5, p50=2.0, p90=4.0, samples=4)
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count = len(ordered)

    def at(share: float) -> float:
        return float(ordered[max(math.ceil(share * count) - 1, 0)])

    return CostLevel(math.fsum(ordered) / count, at(0.5), at(0.9), count)


def by_session(symbol: str, component: Component, ts_us: Ints, values: Floats) -> Measurement:
    """Exact levels of at least one sample; ``ts_us`` [N] in microseconds UTC, ``values`` [N] in bps."""
    place = session_index(ts_us)
    sessions: dict[str, CostLevel] = {
        name: level_of(values[place == number])
        for number, name in enumerate(SESSIONS)
        if np.any(place == number)
    }
    return Measurement(symbol, component, {**sessions, DAY: level_of(values)})


def session_index(ts_us: Ints) -> Ints:
    """Index in SESSIONS of each time, [N]."""
    return np.asarray(ts_us // _SESSION_US % len(SESSIONS), dtype=np.int64)


@dataclass(slots=True)
class CostSketch:
    """Mean and percentiles by session of any number of positive values in bounded memory (5 MB).

    Counts in 207,233 logarithmic bins a session; means are exact.
    """

    _counts: Ints = field(default_factory=lambda: np.zeros((len(SESSIONS), _BINS), dtype=np.int64))
    _sums: list[list[float]] = field(default_factory=lambda: [[0.0] for _ in SESSIONS])

    def add(self, ts_us: Ints, values: Floats) -> None:
        """Count ``values`` [N] > 0 in basis points, seen at ``ts_us`` [N] in microseconds UTC."""
        place = session_index(ts_us)
        bins = np.clip(np.log(values / _LEAST_BPS) / _RELATIVE, 0, _BINS - 1).astype(np.int64)
        flat = np.bincount(place * _BINS + bins, minlength=self._counts.size)
        self._counts += flat.reshape(self._counts.shape)
        for number, total in enumerate(np.bincount(place, weights=values, minlength=len(SESSIONS))):
            self._sums[number] = [math.fsum((*self._sums[number], float(total)))]

    @property
    def samples(self) -> int:
        """Values counted so far."""
        return int(self._counts.sum())

    def measurement(self, symbol: str, component: Component) -> Measurement:
        """The levels of at least one value."""
        sums = [parts[0] for parts in self._sums]
        sessions: dict[str, CostLevel] = {
            name: _sketched(self._counts[number], sums[number])
            for number, name in enumerate(SESSIONS)
            if self._counts[number].any()
        }
        day = _sketched(self._counts.sum(axis=0), math.fsum(sums))
        return Measurement(symbol, component, {**sessions, DAY: day})


def _sketched(counts: Ints, total: float) -> CostLevel:
    ranks = np.cumsum(counts)
    samples = int(ranks[-1])

    def at(share: float) -> float:
        place = int(np.searchsorted(ranks, max(math.ceil(share * samples), 1)))
        return _LEAST_BPS * math.exp((place + 0.5) * _RELATIVE)

    return CostLevel(total / samples, at(0.5), at(0.9), samples)


def check_document(document: Mapping[str, Any]) -> None:
    """Raise ArtifactError for a document that fills cannot go by, or that cannot be carried on."""
    parse_pairs(document)
    try:
        origins, kept = _earlier(document)
        for parts in kept.values():
            for part in (parts[component] for component in COMPONENTS):
                if part is not None:
                    dict(origins[part["origin"]])
                    [CostLevel(**level) for level in part["sessions"].values()]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"the measurements in the execution metrics cannot be read ({type(error).__name__}: {error})",
            remedy="`tradingai execution rollback` goes back to the file before.",
        ) from error


def merge(
    before: Mapping[str, Any] | None,
    measurements: Sequence[Measurement],
    origin: Mapping[str, Any],
    header: Mapping[str, Any],
) -> Merged:
    """The document after ``measurements`` from ``origin``: whatever else ``before`` holds stays.

    ``origin`` says what was read (``end``: until when), ``header`` who wrote it when; both are kept. A
    measurement with too few samples replaces nothing that was there.
    """
    origins, kept = _earlier(before)
    notes: list[str] = []
    origins.append(dict(origin))
    for found in measurements:
        place = kept.setdefault(found.symbol, dict.fromkeys(COMPONENTS))
        earlier = place[found.component]
        if found.samples < MIN_SAMPLES and earlier is not None:
            notes.append(
                f"{found.symbol}: {found.samples} samples of {words(found.component)} are fewer than "
                f"{MIN_SAMPLES}: the earlier measurement ({_named(origins[earlier['origin']])}) stays"
            )
            continue
        if earlier is not None:
            notes.append(
                f"{found.symbol}: {words(found.component)} replaces the earlier measurement "
                f"({_named(origins[earlier['origin']])})"
            )
        place[found.component] = {
            "origin": len(origins) - 1,
            "sessions": {name: asdict(level) for name, level in found.sessions.items()},
        }
    pairs = {symbol: _applied_pair(parts) for symbol, parts in kept.items()}
    notes += _told(kept, pairs, origins)
    document = {
        "schema": SCHEMA,
        **header,
        "measured_at": _oldest_end(kept, pairs, origins),
        "min_samples": MIN_SAMPLES,
        "pairs": pairs,
        "measurements": kept,
        "origins": origins,
    }
    return Merged(document, tuple(notes))


def _oldest_end(
    kept: Mapping[str, Any], pairs: Mapping[str, Any], origins: Sequence[Mapping[str, Any]]
) -> str | None:
    """Until when samples were taken, of the oldest measurement that fills go by (of any, where none is)."""
    parts = [
        (symbol, component, part)
        for symbol, components in kept.items()
        for component, part in components.items()
        if part is not None
    ]
    used = [item for item in parts if pairs[item[0]][SESSIONS[0]][item[1]] is not None]
    ends = [origins[part["origin"]].get("end") for _, _, part in used or parts]
    return min((str(end) for end in ends if end is not None), default=None)


def _earlier(before: Mapping[str, Any] | None) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """Origins and measurements of the document before; one of schema 1 has them only by session."""
    if before is None:
        return [], {}
    if "measurements" in before:
        origins = [dict(item) for item in before["origins"]]
        return origins, {symbol: dict(parts) for symbol, parts in before["measurements"].items()}
    origin = {"kind": "earlier file", "name": before.get("source"), "end": before.get("measured_at")}
    kept: dict[str, dict[str, Any]] = {
        str(symbol): {
            str(component): {
                "origin": 0,
                "sessions": {name: cell[component] for name, cell in sessions.items()},
            }
            for component in COMPONENTS
        }
        for symbol, sessions in before["pairs"].items()
        if sessions
    }
    return [origin], kept


def _applied_pair(parts: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        session: {component: _applied(parts[component], session) for component in COMPONENTS}
        for session in SESSIONS
    }


def _applied(part: Mapping[str, Any] | None, session: str) -> dict[str, Any] | None:
    """The level that holds in ``session``, with what it is based on; None: the default."""
    sessions = {} if part is None else part["sessions"]
    own, day = sessions.get(session), sessions.get(DAY)
    if own is not None and (own["samples"] >= MIN_SAMPLES or day is None):
        return {**own, "basis": "session"}
    if day is not None and day["samples"] >= MIN_SAMPLES:
        return {**day, "basis": DAY, "session_samples": 0 if own is None else own["samples"]}
    return None


def _told(
    kept: Mapping[str, Any], pairs: Mapping[str, Any], origins: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What holds for each pair and is not measured in this file, session by session."""
    newest, notes = len(origins) - 1, []
    for symbol, parts in kept.items():
        for component in COMPONENTS:
            part, what = parts[component], words(component)
            if part is None:
                notes.append(f"{symbol}: {what} was never measured: the default holds")
                continue
            if part["origin"] != newest:
                notes.append(f"{symbol}: {what} as measured before ({_named(origins[part['origin']])})")
            notes += _thin(symbol, what, [(name, pairs[symbol][name][component]) for name in SESSIONS])
    return notes


def _thin(symbol: str, what: str, cells: Sequence[tuple[str, Mapping[str, Any] | None]]) -> list[str]:
    if any(cell is None for _, cell in cells):
        return [f"{symbol}: fewer than {MIN_SAMPLES} samples of {what}: not used, the default holds"]
    return [
        f"{symbol}: {cell['session_samples']} samples of {what} in {name.replace('_', ' ')} are fewer than "
        f"{MIN_SAMPLES}: the whole day's figures hold there"
        for name, cell in cells
        if cell is not None and cell["basis"] == DAY
    ]


def words(component: Component) -> str:
    """``spread`` or ``slippage``."""
    return component.removesuffix("_bps")


def _named(origin: Mapping[str, Any]) -> str:
    return f"{origin.get('kind')} {origin.get('name')}, until {str(origin.get('end'))[:10]}"
