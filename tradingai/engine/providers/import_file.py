"""An operator's file as a stored dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.cleaning import CLEANING_VERSION, Cleaned, clean
from tradingai.engine.providers.file import RawFile, read_candle_file
from tradingai.engine.providers.storing import (
    refuse_to_lose,
    refuse_to_shorten,
    store_cleaned,
    stored_already,
)
from tradingai.engine.store.candle_files import DatasetIdentity, values_sha256
from tradingai.engine.store.manifests import DatasetManifest
from tradingai.engine.store.oracle_files import delete_oracle

MAX_EMPTY_SHARE: Final = 0.2
"""A file is refused when more of its minutes than this are missing, or flat without volume."""
MAX_REPAIRED_SHARE: Final = 0.05
"""A file is refused when high and low do not hold open and close in more of its rows."""


def import_dataset(
    paths: HomePaths,
    file: Path,
    symbol: str,
    reporter: Reporter,
    *,
    assume_utc: bool = False,
    replace: bool = False,
    max_empty_share: float = MAX_EMPTY_SHARE,
    clock: Clock | None = None,
) -> DatasetManifest:
    """Read, check, clean and store a CSV or Parquet file as the candles of ``symbol``.

    Nothing stored is touched before the file was read and cleaned whole. Importing the same rows again
    does nothing. Raises DataError for a file that cannot be trusted (see :func:`read_candle_file`), also
    when more than ``max_empty_share`` of the minutes between its first and last row hold nothing, and
    UsageError when candles fetched from an exchange, or imported ones of minutes that this file does not
    cover, would be lost and ``replace`` is not given.
    """
    clock = clock or RealClock()
    started = clock.monotonic()
    refuse_to_lose(paths, symbol, "file", replace=replace)
    reporter.progress(Progress(0, 1, "rows", detail={"symbol": symbol, "reading": str(file)}))
    raw = read_candle_file(file, base=symbol.partition("-")[0], assume_utc=assume_utc)
    identity = DatasetIdentity("file", None, None, _parameters(raw, file))
    stored = stored_already(paths, symbol, identity, reporter, lambda _: True)
    if stored is not None:
        return stored
    reporter.safe_point()
    cleaned = _clean(raw, file, max_empty_share)
    refuse_to_shorten(paths, symbol, cleaned.candles, file, replace=replace)
    manifest = store_cleaned(paths, symbol, cleaned, identity, reporter, clock, started)
    delete_oracle(paths, symbol)
    return manifest


def _parameters(raw: RawFile, file: Path) -> dict[str, Any]:
    return {
        "file": file.name,
        "rows_sha256": values_sha256(raw.candles),
        "newest_first": raw.newest_first,
        "columns": raw.columns,
        "cleaning_version": CLEANING_VERSION,
    }


def _clean(raw: RawFile, file: Path, max_empty_share: float) -> Cleaned:
    """Cleaned candles, refused where too little or too much of them is the file's own."""
    ts = np.sort(raw.candles.ts, kind="stable")
    minutes = (int(ts[-1]) - int(ts[0])) // MINUTE_US + 1
    missing = 1.0 - (1 + np.count_nonzero(np.diff(ts))) / minutes
    if missing > max_empty_share:
        raise _too_empty(file, missing, minutes, max_empty_share)
    cleaned = clean(raw.candles)
    report = cleaned.report
    if report.share_empty > max_empty_share:
        raise _too_empty(file, report.share_empty, report.rows_out, max_empty_share)
    if report.ohlc_repaired > MAX_REPAIRED_SHARE * report.rows_in:
        raise DataError(
            f"{file}: high and low do not hold open and close in {report.ohlc_repaired:,} of "
            f"{report.rows_in:,} rows",
            remedy="The columns are probably mistaken for one another: check their names.",
        )
    return cleaned


def _too_empty(file: Path, share: float, minutes: int, limit: float) -> DataError:
    return DataError(
        f"{file}: {100 * share:.1f} % of its {minutes:,} minutes are missing, or flat without volume; "
        f"the limit is {100 * limit:.0f} %",
        remedy="Import a range that is more complete: a model would learn the holes.",
    )
