"""A coin's features, labels and split, bound to the candles they come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.errors import ArtifactError, DataError, MissingError
from tradingai.engine.core.jsonio import digest
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import HORIZON_MINUTES
from tradingai.engine.datasets.labels import DOWN, UP, Labels, direction_labels
from tradingai.engine.datasets.splits import TimeSplit, time_split
from tradingai.engine.features.compute import Features
from tradingai.engine.features.files import load_features
from tradingai.engine.features.registry import feature_set
from tradingai.engine.store.candle_files import read_candles
from tradingai.engine.store.manifests import (
    DatasetManifest,
    FeatureManifest,
    read_dataset_manifest,
    read_feature_manifest,
)

LABEL_SCHEMA: Final = 1
"""Version of the label and split definitions: part of what a model is trained on."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Everything a model of one coin is trained and judged on; row i of each array is the same minute.

    ``values`` float32 [rows, F] is a read-only memory map, NaN before ``features.first_valid``; ``close``
    float64 [rows]; ``labels`` int8 [rows], see :func:`direction_labels`.
    """

    candles: DatasetManifest
    features: FeatureManifest
    values: Features
    close: Floats
    labels: Labels
    split: TimeSplit
    ts0: int
    """Open time of row 0, microseconds since 1970 UTC."""
    horizon_minutes: int = HORIZON_MINUTES

    @property
    def symbol(self) -> str:
        """The coin."""
        return self.features.symbol

    @property
    def rows(self) -> int:
        """One-minute bars, those without features included."""
        return len(self.close)

    @property
    def inputs_sha256(self) -> str:
        """Hash of everything a model can learn from here: values, definitions, prices, label and split."""
        return digest(
            {
                "features": self.features.sha256, "definitions": self.features.definitions_sha256,
                "candles": self.candles.sha256, "horizon_minutes": self.horizon_minutes,
                "first_valid": self.features.first_valid, "split": self.split.as_dict(),
                "label_schema": LABEL_SCHEMA,
            }
        )  # fmt: skip


def load_dataset(paths: HomePaths, symbol: str, *, verify: bool = True) -> Dataset:
    """The stored candles and features of ``symbol`` with labels and time split.

    ``verify`` reads every value once and compares hashes. Raises MissingError when candles or features are
    missing, ArtifactError when a file is damaged or the features are older than candles or definitions,
    DataError for too few rows and for a price that does not move both ways.
    """
    candles = read_dataset_manifest(paths, symbol)
    check_features_current(paths, read_feature_manifest(paths, symbol), candles)
    matrix = load_features(paths, symbol, verify)
    bars = read_candles(paths, symbol, verify=verify)
    labels, split = direction_labels(bars.close), time_split(len(bars), matrix.manifest.first_valid)
    check_labels(symbol, labels, split)
    return Dataset(
        candles=candles,
        features=matrix.manifest,
        values=matrix.values,
        close=bars.close,
        labels=labels,
        split=split,
        ts0=int(bars.ts[0]),
    )


def check_labels(symbol: str, labels: Labels, split: TimeSplit) -> None:
    """Raise DataError for a part to fit on with labels of one direction only, and for a test without any."""
    for name, rows in split.parts().items():
        up, down = (int((labels[rows.slice] == direction).sum()) for direction in (UP, DOWN))
        if up + down == 0 or (name != "test" and 0 in {up, down}):
            raise DataError(
                f"{symbol} rises {up:,} times and falls {down:,} times within 15 minutes in the "
                f"{name.replace('_', ' ')} range: there is nothing to learn or to judge",
                remedy=f"Look at `tradingai data quality {symbol}` for a price that stands still, and import "
                "or generate other candles.",
            )


def check_features_current(paths: HomePaths, features: FeatureManifest, candles: DatasetManifest) -> None:
    """Raise ArtifactError when the features were built from other candles or by other definitions."""
    remedy = f"Build the features again: `tradingai features build --symbols {features.symbol}`."
    if features.candles_sha256 != candles.sha256 or features.rows != candles.rows:
        raise ArtifactError(
            f"the features of {features.symbol} were built from other candles "
            f"({features.candles_sha256[:8]}, {features.rows:,} rows) than those stored now "
            f"({candles.sha256[:8]}, {candles.rows:,} rows)",
            remedy=remedy,
        )
    for peer, built_from in features.peers.items():
        now = _candles_hash(paths, peer)
        if now != built_from:
            raise ArtifactError(
                f"the features of {features.symbol} were built beside other candles of {peer} "
                f"({built_from[:8]}) than those stored now ({now[:8] if now else 'none'})",
                remedy=remedy,
            )
    if feature_set(features.symbol, tuple(features.peers)).sha256 != features.definitions_sha256:
        raise ArtifactError(
            f"the features of {features.symbol} were built by other definitions than this version has",
            remedy=remedy,
        )


def _candles_hash(paths: HomePaths, symbol: str) -> str | None:
    try:
        return read_dataset_manifest(paths, symbol).sha256
    except MissingError:
        return None
