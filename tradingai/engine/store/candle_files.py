"""A symbol's candles on disk: one Parquet file a calendar year (UTC), the flags of cleaning, and a manifest.

File names carry a part of the hash of their values, so that a new dataset never writes over a file that
the published manifest names: until the new manifest is in place readers see the old dataset, whole.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl

from tradingai.engine.core.candles import PRICE_COLUMNS, Candles, datetime_to_us, us_to_datetime
from tradingai.engine.core.errors import ArtifactError, MissingError
from tradingai.engine.core.files import read_json, sweep_temporaries, write_atomic, write_json
from tradingai.engine.core.jsonio import digest
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.store.manifests import (
    MANIFEST_NAME,
    CandleFile,
    DatasetManifest,
    read_dataset_manifest,
)

Result = TypeVar("Result")

_TS: Final = pl.Datetime("us", "UTC")
_SCHEMA: Final = {"ts": _TS, **dict.fromkeys(PRICE_COLUMNS, pl.Float64())}
_REMAKE: Final = "Make the candles again with the command that made them (`tradingai data list` shows which)."


@dataclass(frozen=True, slots=True)
class DatasetIdentity:
    """Where candles come from: what makes two datasets the same before their values are known."""

    provider: str
    market: str | None
    seed: int | None
    parameters: dict[str, Any]

    @property
    def synthetic(self) -> bool:
        """Whether a generator made the prices."""
        return self.provider == "synthetic"


@dataclass(frozen=True, slots=True)
class Flags:
    """What cleaning had to say about single bars: ``ts`` int64 microseconds [k] and ``mask`` int32 [k]."""

    ts: npt.NDArray[np.int64]
    mask: npt.NDArray[np.int32]


def write_dataset(
    paths: HomePaths,
    symbol: str,
    parts: Candles | Iterable[Candles],
    *,
    identity: DatasetIdentity,
    quality: dict[str, Any],
    flags: Flags,
    created_at: datetime,
    reporter: Reporter,
) -> DatasetManifest:
    """Publish cleaned candles, given whole or in consecutive parts, as the dataset of ``symbol``.

    The caller holds the lock of the symbol's candles. The dataset that was there stays readable until the
    new manifest is in place; its files are removed afterwards. Raises TradingAIError when the disk is full
    or read-only, ValueError when the parts are not strictly consecutive minutes.
    """
    folder = paths.candles / symbol
    sweep_temporaries(folder)
    try:
        return _publish(folder, symbol, parts, identity, quality, flags, created_at, reporter)
    finally:
        _collect_garbage(folder)


def _publish(
    folder: Path,
    symbol: str,
    parts: Candles | Iterable[Candles],
    identity: DatasetIdentity,
    quality: dict[str, Any],
    flags: Flags,
    created_at: datetime,
    reporter: Reporter,
) -> DatasetManifest:
    files: list[CandleFile] = []
    rows = first = last = 0
    for year, candles in _by_year([parts] if isinstance(parts, Candles) else parts):
        reporter.safe_point()
        first = int(candles.ts[0]) if not files else first
        last = int(candles.ts[-1])
        files.append(_write_year(folder, year, candles))
        rows += len(candles)
        reporter.progress(Progress(rows, rows, "rows", detail={"symbol": symbol, "stored_year": year}))
    if not files:
        raise ValueError("a dataset needs at least one candle")
    flags_file, flags_sha256 = _write_flags(folder, flags)
    manifest = DatasetManifest(
        symbol=symbol,
        provider=identity.provider,
        market=identity.market,
        seed=identity.seed,
        parameters=identity.parameters,
        rows=rows,
        start=us_to_datetime(first),
        end=us_to_datetime(last),
        sha256=_total_sha256(files),
        files=tuple(files),
        flags_file=flags_file,
        flags_sha256=flags_sha256,
        quality=quality,
        created_at=created_at,
        synthetic=identity.synthetic,
    )
    write_json(folder / MANIFEST_NAME, manifest.as_json())
    return manifest


def read_candles(
    paths: HomePaths,
    symbol: str,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    verify: bool = True,
) -> Candles:
    """The stored candles from ``start`` to ``end`` (aware, both included; None: as far as there are).

    With ``verify`` the values of every file read are checked against the manifest. Raises MissingError
    when there are none in the range, ArtifactError when a file is missing, truncated or changed.
    """
    return _read(paths, symbol, lambda manifest: _range(paths, manifest, start, end, verify=verify))


def read_flags(paths: HomePaths, symbol: str) -> Flags:
    """The flags of a symbol's bars. Raises MissingError or ArtifactError as :func:`read_candles` does."""
    return _read(paths, symbol, lambda manifest: _flags(paths, manifest))


def verify_dataset(paths: HomePaths, symbol: str) -> DatasetManifest:
    """The manifest, once all stored values agree with it. Raises ArtifactError saying what does not."""
    return _read(paths, symbol, lambda manifest: _verified(paths, manifest))


def _read(paths: HomePaths, symbol: str, read: Callable[[DatasetManifest], Result]) -> Result:
    """``read`` what the manifest names; once more when another dataset was published meanwhile."""
    manifest = read_dataset_manifest(paths, symbol)
    try:
        return read(manifest)
    except ArtifactError:
        newer = read_dataset_manifest(paths, symbol)
        if newer == manifest:
            raise
        return read(newer)


def _range(
    paths: HomePaths, manifest: DatasetManifest, start: datetime | None, end: datetime | None, *, verify: bool
) -> Candles:
    lo, hi = start or manifest.start, end or manifest.end
    years = range(lo.astimezone(UTC).year, hi.astimezone(UTC).year + 1)
    files = [item for item in manifest.files if item.year in years]
    candles = _read_files(paths.candles / manifest.symbol, files, verify=verify)
    first = int(np.searchsorted(candles.ts, datetime_to_us(lo)))
    stop = int(np.searchsorted(candles.ts, datetime_to_us(hi), side="right"))
    if first >= stop:
        raise MissingError(
            f"no candles of {manifest.symbol} in that range: there are {manifest.start:%Y-%m-%d %H:%M} to "
            f"{manifest.end:%Y-%m-%d %H:%M} UTC",
            remedy="Ask for a range inside, or generate, fetch or import more.",
        )
    return candles[first:stop]


def _verified(paths: HomePaths, manifest: DatasetManifest) -> DatasetManifest:
    candles = _range(paths, manifest, None, None, verify=True)
    _flags(paths, manifest)
    found = (len(candles), candles.start, candles.end, _total_sha256(manifest.files))
    if found != (manifest.rows, manifest.start, manifest.end, manifest.sha256):
        raise ArtifactError(
            f"the candles of {manifest.symbol} are not those of their manifest", remedy=_REMAKE
        )
    return manifest


def _flags(paths: HomePaths, manifest: DatasetManifest) -> Flags:
    path = paths.candles / manifest.symbol / manifest.flags_file
    frame = _read_frame(path, {"ts": _TS, "mask": pl.Int32()})
    flags = Flags(np.array(frame["ts"].to_physical()), np.array(frame["mask"]))
    if _flags_sha256(flags) != manifest.flags_sha256:
        raise ArtifactError(f"{path} was changed after it was written", remedy=_REMAKE)
    return flags


def _total_sha256(files: Sequence[CandleFile]) -> str:
    return digest([[item.year, item.rows, item.sha256] for item in files])


def values_sha256(candles: Candles) -> str:
    """SHA-256 over the values: ts (int64), open, high, low, close, volume (float64), little-endian, by
    column.
    """
    hasher = hashlib.sha256()
    for name, column in candles.columns().items():
        kind = "<i8" if name == "ts" else "<f8"
        hasher.update(np.ascontiguousarray(column, dtype=kind).data)
    return hasher.hexdigest()


def _by_year(parts: Iterable[Candles]) -> Iterator[tuple[int, Candles]]:
    """The parts regrouped by calendar year. Raises ValueError where a minute is missing or repeated."""
    pending: list[Candles] = []
    year, last = 0, None
    for part in parts:
        if len(part) == 0:
            continue
        before = part.ts[0] - MINUTE_US if last is None else last
        broken = np.flatnonzero(np.diff(part.ts, prepend=before) != MINUTE_US)
        if len(broken):
            raise ValueError(f"no consecutive minutes at {us_to_datetime(int(part.ts[broken[0]]))}")
        last = part.ts[-1]
        for part_year, piece in _split_years(part):
            if pending and part_year != year:
                yield year, Candles.concatenate(pending)
                pending = []
            year = part_year
            pending.append(piece)
    if pending:
        yield year, Candles.concatenate(pending)


def _split_years(part: Candles) -> Iterator[tuple[int, Candles]]:
    row = 0
    for year in range(part.start.year, part.end.year + 1):
        stop = int(np.searchsorted(part.ts, datetime_to_us(datetime(year + 1, 1, 1, tzinfo=UTC))))
        yield year, part[row:stop]
        row = stop


def _write_year(folder: Path, year: int, candles: Candles) -> CandleFile:
    sha256 = values_sha256(candles)
    name = f"{year}.{sha256[:8]}.parquet"
    frame = pl.DataFrame({name: pl.Series(column) for name, column in candles.columns().items()})
    _write_frame(frame.with_columns(pl.col("ts").cast(_TS)), folder / name)
    return CandleFile(name=name, year=year, rows=len(candles), sha256=sha256)


def _write_flags(folder: Path, flags: Flags) -> tuple[str, str]:
    """Write the flags; return the file's name and the hash of its values."""
    sha256 = _flags_sha256(flags)
    name = f"flags.{sha256[:8]}.parquet"
    frame = pl.DataFrame({"ts": pl.Series(flags.ts).cast(_TS), "mask": pl.Series(flags.mask)})
    _write_frame(frame, folder / name)
    return name, sha256


def _flags_sha256(flags: Flags) -> str:
    hasher = hashlib.sha256(np.ascontiguousarray(flags.ts, dtype="<i8").data)
    hasher.update(np.ascontiguousarray(flags.mask, dtype="<i4").data)
    return hasher.hexdigest()


def _write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Publish a frame as Parquet; it is encoded in memory first, so that a full disk is an OSError."""
    encoded = io.BytesIO()
    frame.write_parquet(encoded, compression="zstd", compression_level=1)
    write_atomic(path, lambda stream: stream.write(encoded.getbuffer()))


def _read_files(folder: Path, files: list[CandleFile], *, verify: bool) -> Candles:
    """The candles of consecutive yearly files, one after another, in new arrays."""
    total = sum(item.rows for item in files)
    candles = Candles(np.empty(total, dtype=np.int64), *(np.empty(total) for _ in PRICE_COLUMNS))
    row = 0
    for item in files:
        path = folder / item.name
        frame = _read_frame(path, _SCHEMA)
        if frame.height != item.rows:
            raise ArtifactError(
                f"{path} holds {frame.height} candles, its manifest says {item.rows}", remedy=_REMAKE
            )
        year = candles[row : row + item.rows]
        for name, column in year.columns().items():
            column[:] = frame[name].to_physical().to_numpy()
        if verify and values_sha256(year) != item.sha256:
            raise ArtifactError(f"{path} was changed after it was written", remedy=_REMAKE)
        row += item.rows
    return candles


def _read_frame(path: Path, schema: dict[str, Any]) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path, glob=False)
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is named by its manifest and missing", remedy=_REMAKE) from error
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ArtifactError(f"{path} cannot be read ({error})", remedy=_REMAKE) from error
    if dict(frame.schema) != schema or frame.null_count().sum_horizontal().sum():
        raise ArtifactError(f"{path} does not have the columns of a stored dataset", remedy=_REMAKE)
    return frame


def _collect_garbage(folder: Path) -> None:
    """Remove what the published manifest does not name: an earlier dataset, or parts of one that failed."""
    try:
        manifest = DatasetManifest.from_json(read_json(folder / MANIFEST_NAME))
        named = {manifest.flags_file, *(item.name for item in manifest.files)}
    except FileNotFoundError:
        named = set()
    except (ArtifactError, KeyError, TypeError, ValueError):
        return
    for path in folder.glob("*.parquet"):
        if path.name not in named:
            path.unlink(missing_ok=True)
