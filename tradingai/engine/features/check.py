"""Proof on the operator's own candles that features know no future and that live equals batch.

The parts are functions over any feature set and any candles, so that the leakage battery runs them from
raw candles as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np

from tradingai.engine.core.candles import Candles, Floats, Ints, us_to_datetime
from tradingai.engine.core.errors import ArtifactError, DataError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.features.build import Inputs, read_inputs
from tradingai.engine.features.compute import Features, blocks, compute_rows, live_tail
from tradingai.engine.features.declaration import FeatureSet
from tradingai.engine.features.files import FeatureMatrix, load_features
from tradingai.engine.features.registry import feature_set
from tradingai.engine.store.manifests import read_dataset_manifest

TOLERANCE: Final = 1e-5
"""Largest difference that counts as equal, in standard deviations of the feature or shares of its value."""
FUTURE_ROWS: Final = 2880
"""How many rows after a cut are disturbed: two days, so that a feature that knows tomorrow's is seen."""
_ROWS_A_CUT: Final = 8
_FEW_CUTS: Final = 8
_SAMPLE_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One value that is not what it has to be, at the bar that opens at ``ts``."""

    feature: str
    ts: datetime
    expected: float
    got: float


@dataclass(frozen=True, slots=True)
class FeatureCheck:
    """One question asked of all features. ``failures`` holds the worst value of each feature that failed."""

    name: str
    question: str
    values: int
    failures: tuple[Mismatch, ...]

    @property
    def passed(self) -> bool:
        """No feature failed, and something was looked at."""
        return self.values > 0 and not self.failures


@dataclass(frozen=True, slots=True)
class FeatureCheckReport:
    """The answers for one coin's stored features."""

    symbol: str
    rows: int
    features: int
    cuts: tuple[datetime, ...]
    checks: tuple[FeatureCheck, ...]

    @property
    def passed(self) -> bool:
        """Every check passed."""
        return all(check.passed for check in self.checks)

    @property
    def failed_features(self) -> tuple[str, ...]:
        """The features that failed any check, in order, once."""
        return tuple(dict.fromkeys(wrong.feature for check in self.checks for wrong in check.failures))


def check_features(
    paths: HomePaths, symbol: str, reporter: Reporter, *, cuts: int = 64, seed: int = 0
) -> FeatureCheckReport:
    """Compare the stored features of ``symbol`` with what its stored candles give at ``cuts`` moments.

    Raises MissingError without candles or features, ArtifactError for files that are not what their
    manifests say and for features of other candles or definitions than there are now.
    """
    matrix = load_features(paths, symbol)
    features = feature_set(symbol, tuple(matrix.manifest.peers))
    _require_current(paths, features, matrix)
    return check_values(features, read_inputs(paths, features), matrix.values, reporter, cuts=cuts, seed=seed)


def check_values(
    features: FeatureSet,
    inputs: Inputs,
    stored: Features,
    reporter: Reporter,
    *,
    cuts: int = 64,
    seed: int = 0,
) -> FeatureCheckReport:
    """The checks over any feature set: ``stored`` float32 [n, F] is what a batch made of ``inputs``.

    Raises DataError when there are no more rows than the features look back.
    """
    generator = np.random.default_rng(seed)
    rows = cut_rows(inputs.own, features.lookback, cuts, generator)
    subject = _Subject(features, inputs, stored, column_scale(stored, features.lookback))
    plan = _plan(subject, rows, generator)
    checks: list[FeatureCheck] = []
    for name, question, comparisons in plan:
        reporter.safe_point()
        checks.append(_run(subject, name, question, comparisons))
        detail = {"symbol": features.symbol, "check": name}
        reporter.progress(Progress(done=len(checks), total=len(plan), unit="checks", detail=detail))
    moments = tuple(us_to_datetime(int(inputs.own.ts[row])) for row in rows)
    return FeatureCheckReport(features.symbol, len(inputs.own), len(features), moments, tuple(checks))


def cut_rows(candles: Candles, first: int, count: int, generator: np.random.Generator) -> list[int]:
    """``count`` rows >= ``first`` to cut at, ascending; at least the first row and the last one.

    Half are followed by a minute that no 5-minute bar (so no slower one) starts with, an eighth lie
    around noon, an eighth in bars without trades, a quarter end a 4-hour bar. Raises DataError when
    there is no row to cut at.
    """
    candidates = np.arange(first, len(candles))
    if not len(candidates):
        raise DataError(f"{len(candles)} rows leave none to check after a look-back of {first}")
    minute = candles.minute[first:]
    inside = (minute + 1) % 5 != 0
    noon = np.abs(minute % 1440 - 720) <= 90
    empty = candles.volume[first:] == 0.0
    complete = (minute + 1) % 240 == 0
    shares = (
        (inside, count // 2 - 2),
        (inside & noon, count // 8),
        (empty, count // 8),
        (complete, count // 4),
    )
    chosen = {first, len(candles) - 1}
    for which, share in shares:
        pool = candidates[which]
        chosen.update(generator.choice(pool, size=min(max(share, 0), len(pool)), replace=False).tolist())
    while len(chosen) < min(count, len(candidates)):
        chosen.add(int(generator.choice(candidates)))
    return sorted(chosen)


def disturbed(candles: Candles, first: int, generator: np.random.Generator) -> Candles:
    """The candles with every bar from row ``first`` on changed: prices jump and wander, volume differs."""
    count = len(candles) - first
    factor = np.ones(len(candles))
    factor[first:] = 1.5 * np.exp(np.cumsum(generator.normal(0.0, 0.01, count)))
    volume = candles.volume.copy()
    volume[first:] = (1.0 + volume[first:]) * generator.lognormal(1.0, 1.0, count)
    prices = (candles.open * factor, candles.high * factor, candles.low * factor, candles.close * factor)
    return Candles(candles.ts, *prices, volume)


def column_scale(values: Features, first: int) -> Floats:
    """Standard deviation per column over a sample of rows from ``first`` on, at least 1e-12; float64 [F]."""
    step = max(1, (len(values) - first) // _SAMPLE_ROWS)
    sample = np.asarray(values[first::step], dtype=np.float64)
    scale: Floats = np.maximum(sample.std(axis=0), 1e-12)
    return scale


def mismatches(
    names: Sequence[str], expected: Features, got: Features, scale: Floats, minute: Ints
) -> tuple[Mismatch, ...]:
    """The worst difference of each feature beyond :data:`TOLERANCE`; arrays [k, F], ``minute`` [k]."""
    apart = np.abs(expected.astype(np.float64) - got)
    apart[np.isnan(expected) & np.isnan(got)] = 0.0
    excess = np.nan_to_num(apart, nan=np.inf) / np.maximum(np.abs(np.nan_to_num(expected)), scale)
    found = []
    for column in np.flatnonzero((excess > TOLERANCE).any(axis=0)).tolist():
        row = int(excess[:, column].argmax())
        moment = us_to_datetime(int(minute[row]) * MINUTE_US)
        found.append(Mismatch(names[column], moment, float(expected[row, column]), float(got[row, column])))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Subject:
    features: FeatureSet
    inputs: Inputs
    stored: Features
    scale: Floats

    def recomputed(self, inputs: Inputs, lo: int, hi: int) -> Features:
        """Rows [lo, hi) by the batch code, float32 [hi - lo, F]."""
        out = np.empty((hi - lo, len(self.features)), dtype=np.float32)
        compute_rows(self.features, inputs.own, inputs.peers, lo, hi, out)
        return out


class _Comparison(NamedTuple):
    """Values that rows [lo, lo + k) and ``columns`` of the stored matrix must have."""

    lo: int
    got: Features
    columns: list[int]


_Plan = tuple[tuple[str, str, Iterator[_Comparison]], ...]


def _plan(subject: _Subject, rows: list[int], generator: np.random.Generator) -> _Plan:
    few = rows[:: max(1, len(rows) // _FEW_CUTS)]
    return (
        ("stored", "is the stored matrix what the candles give?", _stored(subject, generator)),
        ("prefix", "is a bar's value the same when nothing after it exists?", _prefix(subject, rows)),
        (
            "future",
            "is a bar's value the same when everything after it is different?",
            _future(subject, rows, generator),
        ),
        ("live", "does the live tail with just the declared past agree?", _live(subject, rows, 1.0)),
        ("look-back", "is each feature's own declared look-back enough?", _lookbacks(subject, few)),
        ("scale", "is it unchanged when all prices are multiplied by ten?", _live(subject, few, 10.0)),
    )


def _run(subject: _Subject, name: str, question: str, comparisons: Iterator[_Comparison]) -> FeatureCheck:
    names, minute = subject.features.names, subject.inputs.own.minute
    worst: dict[str, Mismatch] = {}
    values = 0
    for lo, got, columns in comparisons:
        rows = slice(lo, lo + len(got))
        expected = subject.stored[rows][:, columns]
        values += got.size
        found = mismatches([names[c] for c in columns], expected, got, subject.scale[columns], minute[rows])
        for wrong in found:
            worst.setdefault(wrong.feature, wrong)
    return FeatureCheck(name, question, values, tuple(worst.values()))


def _stored(subject: _Subject, generator: np.random.Generator) -> Iterator[_Comparison]:
    every = list(blocks(subject.inputs.own))
    middle = int(generator.integers(len(every)))
    for lo, hi in (every[index] for index in sorted({0, middle, len(every) - 1})):
        yield _Comparison(lo, subject.recomputed(subject.inputs, lo, hi), _all(subject))


def _prefix(subject: _Subject, rows: list[int]) -> Iterator[_Comparison]:
    block = {row: lo for lo, hi in blocks(subject.inputs.own) for row in rows if lo <= row < hi}
    for row in rows:
        before = _until(subject.inputs, row + 1)
        first = max(block[row], row + 1 - _ROWS_A_CUT)
        got = subject.recomputed(before, block[row], row + 1)[first - block[row] :]
        yield _Comparison(first, got, _all(subject))


def _future(subject: _Subject, rows: list[int], generator: np.random.Generator) -> Iterator[_Comparison]:
    for row in rows:
        first = max(0, row + 1 - _ROWS_A_CUT)
        seen = _until(subject.inputs, row + 1 + FUTURE_ROWS)
        changed = Inputs(
            disturbed(seen.own, row + 1, generator),
            {name: _wandering(close, row + 1, generator) for name, close in seen.peers.items()},
        )
        got = subject.recomputed(changed, first, len(seen.own))
        yield _Comparison(first, got[: row + 1 - first], _all(subject))


def _live(subject: _Subject, rows: list[int], factor: float) -> Iterator[_Comparison]:
    for row in rows:
        count = min(_ROWS_A_CUT, row + 1 - subject.features.lookback)
        first = row + 1 - count - subject.features.lookback
        own, peers = _until(subject.inputs, row + 1)
        tail = own[first:]
        prices = (tail.open * factor, tail.high * factor, tail.low * factor, tail.close * factor)
        closes = {name: close[first:] * factor for name, close in peers.items()}
        got = live_tail(subject.features, Candles(tail.ts, *prices, tail.volume), closes, count)
        yield _Comparison(row + 1 - count, got, _all(subject))


def _lookbacks(subject: _Subject, rows: list[int]) -> Iterator[_Comparison]:
    features = subject.features
    for lookback in sorted({feature.lookback for feature in features.features}):
        columns = [index for index, feature in enumerate(features.features) if feature.lookback == lookback]
        subset = FeatureSet(features.symbol, features.peers, tuple(features.features[c] for c in columns))
        for row in rows:
            own, peers = _until(subject.inputs, row + 1)
            yield _Comparison(row, live_tail(subset, own, peers, 1), columns)


def _all(subject: _Subject) -> list[int]:
    return list(range(len(subject.features)))


def _until(inputs: Inputs, end: int) -> Inputs:
    return Inputs(inputs.own[:end], {name: close[:end] for name, close in inputs.peers.items()})


def _wandering(close: Floats, first: int, generator: np.random.Generator) -> Floats:
    out = close.copy()
    out[first:] *= 1.5 * np.exp(np.cumsum(generator.normal(0.0, 0.01, len(close) - first)))
    return out


def _require_current(paths: HomePaths, features: FeatureSet, matrix: FeatureMatrix) -> None:
    """Raise ArtifactError when the stored features are of other candles or definitions than there are now."""
    stored = matrix.manifest
    candles = {name: read_dataset_manifest(paths, name).sha256 for name in (stored.symbol, *stored.peers)}
    changed = [
        name for name, sha256 in {stored.symbol: stored.candles_sha256, **stored.peers}.items()
        if candles[name] != sha256
    ]  # fmt: skip
    if changed or stored.definitions_sha256 != features.sha256:
        what = f"candles of {', '.join(changed)}" if changed else "definitions"
        raise ArtifactError(
            f"the features of {stored.symbol} were built from other {what}",
            remedy=f"Build them again: `tradingai features build --symbols {stored.symbol}`.",
        )
