"""Candles and features as the console shows them. numpy and polars are imported only when values are asked
for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tradingai.engine.core.paths import HomePaths
from tradingai.engine.queries.run_snapshot import Bar
from tradingai.engine.queries.snapshot import (
    CandleTail,
    DatasetView,
    FeatureBuildView,
    FeatureView,
    JobView,
)
from tradingai.engine.store.manifests import DatasetManifest, FeatureManifest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

INTERVAL_MINUTES: Final = 15
TAIL_BARS: Final = 160
RECENT_ROWS: Final = 60
DRIFT_DAYS: Final = 7
TRAIN_SHARE: Final = 0.70
"""The training range is the first 70 % of the rows from the first valid one on, as the time split has it."""
SAMPLE_ROWS: Final = 20_000
DRIFT_BINS: Final = 10
HISTOGRAM_BINS: Final = 20


def dataset_view(paths: HomePaths, manifest: DatasetManifest) -> DatasetView:
    """A manifest, and the size of the files it names."""
    folder = paths.candles / manifest.symbol
    generator = manifest.parameters.get("generator_version")
    return DatasetView(
        symbol=manifest.symbol,
        provider=manifest.provider,
        rows=manifest.rows,
        start=manifest.start,
        end=manifest.end,
        sha256=manifest.sha256,
        market=manifest.market,
        seed=manifest.seed,
        generator="" if generator is None else str(generator),
        size_bytes=_size(folder / item.name for item in manifest.files),
        files=len(manifest.files),
        created_at=manifest.created_at,
        synthetic=manifest.synthetic,
        quality=MappingProxyType(dict(manifest.quality)),
        exchange=manifest.exchange or "",
        market_symbol=manifest.market_symbol or "",
    )


def _size(files: Iterable[Path]) -> int | None:
    try:
        return sum(path.stat().st_size for path in files)
    except OSError:
        return None


def build_view(
    manifest: FeatureManifest, candles: Mapping[str, str], jobs: Sequence[JobView]
) -> FeatureBuildView:
    """A feature manifest; ``candles`` holds the hash of every coin's candles as they are now."""
    own = candles.get(manifest.symbol) == manifest.candles_sha256
    peers = all(candles.get(coin) in {None, digest} for coin, digest in manifest.peers.items())
    job = next((item for item in jobs if _built(item, manifest.symbol)), None)
    return FeatureBuildView(
        symbol=manifest.symbol,
        rows=manifest.rows,
        features=len(manifest.names),
        created_at=manifest.created_at,
        took_s=job.took_s if job else None,
        rows_per_s=job.rate if job else None,
        peak_memory_bytes=job.memory_bytes if job else None,
        sha256=manifest.sha256,
        definitions_sha256=manifest.definitions_sha256,
        current=own and peers,
    )


def _built(job: JobView, symbol: str) -> bool:
    return job.kind == "features" and job.target == symbol and job.state == "done"


def read_candle_tail(paths: HomePaths, manifest: DatasetManifest) -> CandleTail:
    """The newest 15-minute candles of a coin. Raises ArtifactError for a damaged file."""
    from tradingai.engine.store.candle_files import read_candles

    minutes = TAIL_BARS * INTERVAL_MINUTES
    end = manifest.end
    start = max(manifest.start, end - timedelta(minutes=minutes - 1))
    start -= timedelta(minutes=start.minute % INTERVAL_MINUTES)
    candles = read_candles(paths, manifest.symbol, max(start, manifest.start), end, verify=False)
    buckets = candles.minute // INTERVAL_MINUTES
    bars: list[Bar] = []
    first = 0
    for index in range(1, len(candles) + 1):
        if index == len(candles) or buckets[index] != buckets[first]:
            part = slice(first, index)
            bars.append(
                Bar(
                    _moment(int(buckets[first])),
                    float(candles.open[first]),
                    float(candles.high[part].max()),
                    float(candles.low[part].min()),
                    float(candles.close[index - 1]),
                )
            )
            first = index
    return CandleTail(manifest.symbol, INTERVAL_MINUTES, tuple(bars))


def _moment(bucket: int) -> datetime:
    from tradingai.engine.core.candles import us_to_datetime

    return us_to_datetime(bucket * INTERVAL_MINUTES * 60_000_000)


def read_feature_columns(
    paths: HomePaths, manifest: FeatureManifest, texts: Mapping[str, str]
) -> tuple[FeatureView, ...]:
    """Last hour, drift and distribution of every feature of a coin, from its stored matrix.

    ``texts`` gives a feature's meaning and source by name. Drift is the population stability index
    Σ (q − p) ln(q / p) over ten bins that hold equal shares p of the training range, q being the shares
    of the last seven days (Siddiqi, Credit Risk Scorecards, 2006, chapter 9).
    Raises ArtifactError when the matrix is missing or not of the manifest's shape.
    """
    import numpy as np

    values = _matrix(paths.features / manifest.symbol / manifest.file, manifest)
    rows, first = len(values), manifest.first_valid
    train_end = first + int((rows - first) * TRAIN_SHARE)
    step = max(1, (train_end - first) // SAMPLE_ROWS)
    train = np.asarray(values[first:train_end:step], dtype=np.float64)
    week = max(first, rows - DRIFT_DAYS * 1440)
    recent_step = max(1, (rows - week) // SAMPLE_ROWS)
    recent = np.asarray(values[week:rows:recent_step], dtype=np.float64)
    tail = np.asarray(values[max(first, rows - RECENT_ROWS) : rows], dtype=np.float64)
    return tuple(
        _column(manifest, index, train[:, index], recent[:, index], tail[:, index], texts)
        for index in range(len(manifest.names))
    )


def _matrix(path: Path, manifest: FeatureManifest) -> Matrix:
    import numpy as np

    from tradingai.engine.core.errors import ArtifactError

    again = f"Build them again: `tradingai features build --symbols {manifest.symbol} --force`."
    try:
        values: Matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ArtifactError(f"the feature matrix {path} cannot be read ({error})", remedy=again) from error
    if values.shape != (manifest.rows, len(manifest.names)):
        raise ArtifactError(f"the feature matrix {path} has shape {values.shape}", remedy=again)
    return values


def _column(
    manifest: FeatureManifest,
    index: int,
    train: npt.NDArray[np.float64],
    recent: npt.NDArray[np.float64],
    tail: npt.NDArray[np.float64],
    texts: Mapping[str, str],
) -> FeatureView:
    import numpy as np

    name = manifest.names[index]
    known = train[np.isfinite(train)]
    low = high = None
    histogram: tuple[float, ...] = ()
    if len(known):
        low, high = (float(value) for value in np.quantile(known, (0.01, 0.99)))
        if high > low:
            counts, _ = np.histogram(np.clip(known, low, high), bins=HISTOGRAM_BINS, range=(low, high))
            histogram = tuple(float(count) / len(known) for count in counts)
    last = float(tail[-1]) if len(tail) and np.isfinite(tail[-1]) else None
    return FeatureView(
        name=name,
        group=manifest.groups[index],
        lookback_minutes=manifest.lookbacks[index],
        source=texts.get(name, ""),
        recent=tuple(float(value) for value in tail),
        value=last,
        drift=stability_index(known, recent[np.isfinite(recent)]),
        histogram=histogram,
        low=low,
        high=high,
    )


def stability_index(
    expected: npt.NDArray[np.float64], actual: npt.NDArray[np.float64], bins: int = DRIFT_BINS
) -> float | None:
    """The population stability index of ``actual`` (float64 [m]) against ``expected`` (float64 [n]).

    Bins hold equal shares of ``expected``; a value that fills several of them makes one bin. Empty bins count
    half an observation. None when either side is empty.
    """
    import numpy as np

    if not len(expected) or not len(actual):
        return None
    edges = np.unique(np.quantile(expected, np.linspace(0, 1, bins + 1)[1:-1]))
    cells = len(edges) + 1
    share = np.maximum(
        np.bincount(np.searchsorted(edges, expected, side="left"), minlength=cells), 0.5
    ) / len(expected)
    now = np.maximum(np.bincount(np.searchsorted(edges, actual, side="left"), minlength=cells), 0.5) / len(
        actual
    )
    return float(np.sum((now - share) * np.log(now / share)))


def synthetic_words(datasets: Sequence[DatasetView]) -> str:
    """``cycles, seed 7`` of the synthetic datasets; empty when there is none."""
    made = [data for data in datasets if data.synthetic]
    if not made:
        return ""
    markets = "/".join(dict.fromkeys(data.market or "" for data in made))
    seeds = "/".join(dict.fromkeys(str(data.seed) for data in made))
    return f"{markets}, seed {seeds}"
