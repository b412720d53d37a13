"""Manifests of what lies in a home's ``data`` folder, readable without numpy or polars.

A manifest is published after the files it names; a reader trusts nothing that no manifest names.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.errors import ArtifactError, MissingError
from tradingai.engine.core.files import read_json, write_json
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.paths import HomePaths

MANIFEST_NAME: Final = "manifest.json"
DATASET_SCHEMA: Final = 1
"""Version of the layout of a candle dataset and of its manifest."""
FEATURE_SCHEMA: Final = 1
"""Version of the layout of a feature matrix and of its manifest."""


@dataclass(frozen=True, slots=True)
class CandleFile:
    """One calendar year (UTC) of a dataset."""

    name: str
    year: int
    rows: int
    sha256: str
    """Over the values by column: ts as int64, then open … volume as float64, little-endian."""


@dataclass(frozen=True, slots=True)
class DatasetManifest:
    """What the candles of one symbol are, where they came from, and what they hash to."""

    symbol: str
    provider: str
    """``synthetic``, ``file``, ``ccxt`` or ``yfinance``."""
    market: str | None
    """Preset of a synthetic market, otherwise None."""
    seed: int | None
    parameters: dict[str, Any]
    """What else the values depend on: ``generator_version``, ``drift_at``, the imported file, …"""
    rows: int
    start: datetime
    """Open time of the first bar."""
    end: datetime
    """Open time of the last bar."""
    sha256: str
    """Digest over year, rows and value hash of every file: what was written, not how."""
    files: tuple[CandleFile, ...]
    flags_file: str
    """Parquet file of the bars that cleaning flagged: ``ts`` and a bit mask of rules."""
    flags_sha256: str
    """Over its values: ts as int64, then the masks as int32, little-endian."""
    quality: dict[str, Any]
    created_at: datetime
    synthetic: bool
    schema: int = DATASET_SCHEMA

    @property
    def exchange(self) -> str | None:
        """ccxt's name of the exchange the candles are from; None for any other provider."""
        return self.parameters.get("exchange")

    @property
    def market_symbol(self) -> str | None:
        """What the pair is called there, for example ``BTC/USDT``; None where it was not fetched."""
        return self.parameters.get("market_symbol")

    def as_json(self) -> dict[str, Any]:
        """The document in ``manifest.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> DatasetManifest:
        """The inverse of :meth:`as_json`. Raises KeyError, TypeError or ValueError for another shape."""
        fields = dict(document)
        fields["start"], fields["end"] = parse_iso(fields["start"]), parse_iso(fields["end"])
        fields["created_at"] = parse_iso(fields["created_at"])
        fields["files"] = tuple(CandleFile(**item) for item in fields["files"])
        return cls(**fields)


def read_dataset_manifest(paths: HomePaths, symbol: str) -> DatasetManifest:
    """The manifest of a symbol's candles.

    Raises MissingError when there are none, ArtifactError when the manifest is damaged or of another
    version.
    """
    path = paths.candles / symbol / MANIFEST_NAME
    try:
        document = read_json(path)
    except FileNotFoundError as error:
        raise MissingError(
            f"there are no candles of {symbol}",
            remedy=f"Make them with `tradingai data generate --symbols {symbol}`, `data fetch` (real ones), "
            f"or `data import FILE --symbol {symbol}`.",
        ) from error
    return _parsed(document, path)


def list_dataset_manifests(paths: HomePaths) -> list[DatasetManifest]:
    """The manifests of all symbols that have candles, by symbol. Raises ArtifactError for a damaged one."""
    found = sorted(paths.candles.glob(f"*/{MANIFEST_NAME}"))
    return [_parsed(read_json(path), path) for path in found]


def _parsed(document: Any, path: Path) -> DatasetManifest:
    schema = document.get("schema") if isinstance(document, dict) else None
    if isinstance(schema, int) and schema > DATASET_SCHEMA:
        raise ArtifactError(
            f"{path} has layout {schema}, this version reads up to {DATASET_SCHEMA}",
            remedy="Upgrade tradingai.",
        )
    try:
        manifest = DatasetManifest.from_json(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"{path} is not a manifest of candles ({error!r})",
            remedy="Delete its folder and make the candles again.",
        ) from error
    if manifest.symbol != path.parent.name:
        raise ArtifactError(
            f"{path} describes the candles of {manifest.symbol}",
            remedy="Delete its folder and make the candles again.",
        )
    return manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureManifest:
    """One coin's feature matrix: float32 [rows, F] in C order, one row per candle."""

    symbol: str
    file: str
    names: tuple[str, ...]
    groups: tuple[str, ...]
    lookbacks: tuple[int, ...]
    """One-minute bars a column looks back."""
    feature_sha256: tuple[str, ...]
    """One definition hash a column."""
    rows: int
    start: datetime
    """Open time of the first bar."""
    end: datetime
    """Open time of the last bar."""
    first_valid: int
    """Rows before this one are NaN."""
    candles_sha256: str
    peers: dict[str, str]
    """Each coin of the lead-lag features, and the hash of its candles."""
    definitions_sha256: str
    sha256: str
    """Over the values as little-endian float32, row by row."""
    provider: str
    market: str | None
    synthetic: bool
    created_at: datetime
    schema: int = FEATURE_SCHEMA

    def as_json(self) -> dict[str, Any]:
        """The document in ``manifest.json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> FeatureManifest:
        """The inverse of :meth:`as_json`. Raises KeyError, TypeError or ValueError for another shape."""
        fields = dict(document)
        for name in ("names", "groups", "lookbacks", "feature_sha256"):
            fields[name] = tuple(fields[name])
        for name in ("start", "end", "created_at"):
            fields[name] = parse_iso(fields[name])
        return cls(**fields)


def read_feature_manifest(paths: HomePaths, symbol: str) -> FeatureManifest:
    """The manifest of a symbol's features.

    Raises MissingError when there are none, ArtifactError when the manifest is damaged or of another
    version.
    """
    path = paths.features / symbol / MANIFEST_NAME
    again = f"Build them with `tradingai features build --symbols {symbol}`."
    try:
        document = read_json(path)
    except FileNotFoundError as error:
        raise MissingError(f"there are no features of {symbol}", remedy=again) from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != FEATURE_SCHEMA:
        raise ArtifactError(f"{path} has layout {schema}, this version reads {FEATURE_SCHEMA}", remedy=again)
    try:
        return FeatureManifest.from_json(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"{path} is not a feature manifest ({error!r})", remedy=again) from error


def list_feature_manifests(paths: HomePaths) -> list[FeatureManifest]:
    """The manifests of all symbols that have features, by symbol. Raises ArtifactError for a damaged one."""
    found = sorted(path.parent.name for path in paths.features.glob(f"*/{MANIFEST_NAME}"))
    return [read_feature_manifest(paths, symbol) for symbol in found]


def write_feature_manifest(paths: HomePaths, manifest: FeatureManifest) -> None:
    """Publish a manifest whose matrix is in place. Raises TradingAIError for a full or read-only disk."""
    write_json(paths.features / manifest.symbol / MANIFEST_NAME, manifest.as_json())
