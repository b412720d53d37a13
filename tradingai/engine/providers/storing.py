"""What every provider does with cleaned candles: keep what is there, skip what is done, publish the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np

from tradingai.engine.core.candles import Candles, us_to_datetime
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import ArtifactError, MissingError, UsageError
from tradingai.engine.core.events import CandlesStored, StateRepaired
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.providers.cleaning import Cleaned
from tradingai.engine.store.candle_files import DatasetIdentity, Flags, verify_dataset, write_dataset
from tradingai.engine.store.manifests import DatasetManifest, read_dataset_manifest


def refuse_to_lose(paths: HomePaths, symbol: str, provider: str, *, replace: bool) -> None:
    """Raise UsageError when ``provider`` would overwrite candles that another one fetched or imported.

    Synthetic candles can always be made again and may be overwritten; ``replace`` is the operator's
    consent.
    """
    try:
        there = read_dataset_manifest(paths, symbol)
    except (MissingError, ArtifactError):
        return
    if not (there.synthetic or there.provider == provider or replace):
        raise UsageError(
            f"{symbol} holds {there.rows:,} candles of provider {there.provider} "
            f"({there.start:%Y-%m-%d} to {there.end:%Y-%m-%d}); provider {provider} would overwrite them",
            remedy="Use another symbol or another --home, or give --replace to overwrite them.",
        )


def refuse_to_shorten(paths: HomePaths, symbol: str, new: Candles, file: Path, *, replace: bool) -> None:
    """Raise UsageError when ``new`` candles, of ``file``, would overwrite imported ones outside their range.

    One file makes a dataset: importing a longer export of the same candles is an update, importing the
    next month would lose the first. ``replace`` is the operator's consent.
    """
    try:
        there = read_dataset_manifest(paths, symbol)
    except (MissingError, ArtifactError):
        return
    start, end = us_to_datetime(int(new.ts[0])), us_to_datetime(int(new.ts[-1]))
    if there.synthetic or replace or (start <= there.start and there.end <= end):
        return
    raise UsageError(
        f"{symbol} holds {there.rows:,} candles from {_minute(there.start)} to {_minute(there.end)}; {file}, "
        f"from {_minute(start)} to {_minute(end)}, would overwrite them and does not cover them",
        remedy="Put all candles into one file and import that, or give --replace to keep only this file's.",
    )


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def stored_already(
    paths: HomePaths,
    symbol: str,
    identity: DatasetIdentity,
    reporter: Reporter,
    check: Callable[[DatasetManifest], bool],
) -> DatasetManifest | None:
    """The stored dataset when it has this identity, passes ``check`` and its values agree with its manifest.

    ``check`` may raise MissingError or ArtifactError as well. Damage is reported as StateRepaired, and
    None returned: the caller makes the dataset again.
    """
    try:
        there = read_dataset_manifest(paths, symbol)
        found = DatasetIdentity(there.provider, there.market, there.seed, there.parameters)
        return verify_dataset(paths, symbol) if found == identity and check(there) else None
    except MissingError:
        return None
    except ArtifactError as error:
        reporter.emit(StateRepaired(what=f"candles of {symbol}", detail=f"made again: {error}"))
        return None


def store_cleaned(
    paths: HomePaths,
    symbol: str,
    cleaned: Cleaned,
    identity: DatasetIdentity,
    reporter: Reporter,
    clock: Clock,
    started: float,
) -> DatasetManifest:
    """Publish cleaned candles with their flags and quality report, and say so.

    ``started`` is the clock's monotonic reading when the work began. Raises TradingAIError when the disk
    is full.
    """
    flagged = np.flatnonzero(cleaned.flags)
    manifest = write_dataset(
        paths,
        symbol,
        cleaned.candles,
        identity=identity,
        quality=cleaned.report.as_json(),
        flags=Flags(cleaned.candles.ts[flagged], cleaned.flags[flagged]),
        created_at=clock.now(),
        reporter=reporter,
    )
    reporter.emit(
        CandlesStored(
            symbol=symbol,
            provider=manifest.provider,
            market=manifest.market,
            rows=manifest.rows,
            seconds=clock.monotonic() - started,
            sha256=manifest.sha256,
        )
    )
    return manifest
