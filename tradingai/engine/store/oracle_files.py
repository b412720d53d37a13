"""What a synthetic market's hidden state knew, stored where no feature reads."""

from __future__ import annotations

import hashlib
import shutil
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.errors import ArtifactError, MissingError
from tradingai.engine.core.files import read_json, sweep_temporaries, write_atomic, write_json
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.store.candle_files import DatasetIdentity
from tradingai.engine.store.manifests import MANIFEST_NAME, DatasetManifest, read_dataset_manifest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_REMAKE: Final = "Generate the candles again with `tradingai data generate`."


def write_oracle(
    paths: HomePaths, symbol: str, oracle: tuple[Ints, Floats], identity: DatasetIdentity
) -> None:
    """Publish the expected returns of consecutive minutes (``ts`` microseconds, float64 log returns).

    Raises TradingAIError when the disk is full or read-only.
    """
    ts, expected = oracle
    folder = paths.oracle / symbol
    sweep_temporaries(folder)
    sha256 = _values_sha256(expected)
    name = f"oracle.{sha256[:8]}.npy"
    write_atomic(folder / name, lambda stream: np.save(stream, expected))
    document = {
        **_claims(symbol, identity.market, identity.seed, identity.parameters, int(ts[0]), len(ts)),
        "file": name,
        "sha256": sha256,
        "synthetic": True,
    }
    write_json(folder / MANIFEST_NAME, document)
    for path in folder.glob("oracle.*.npy"):
        if path.name != name:
            path.unlink(missing_ok=True)


def read_oracle(paths: HomePaths, symbol: str) -> tuple[Ints, Floats]:
    """(ts, expected log return over the label's horizon) for every row of the symbol's stored candles.

    Raises MissingError when the candles are not synthetic or the oracle belongs to other ones,
    ArtifactError when its file is damaged.
    """
    manifest = read_dataset_manifest(paths, symbol)
    path = paths.oracle / symbol / MANIFEST_NAME
    try:
        document = read_json(path)
    except FileNotFoundError as error:
        raise MissingError(f"there is no oracle for the candles of {symbol}", remedy=_REMAKE) from error
    if not isinstance(document, dict) or any(
        document.get(key) != value for key, value in _expected(manifest).items()
    ):
        raise MissingError(f"the oracle of {symbol} belongs to other candles", remedy=_REMAKE)
    file = paths.oracle / symbol / str(document.get("file"))
    try:
        expected = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtifactError(f"{file} cannot be read ({error})", remedy=_REMAKE) from error
    if expected.shape != (manifest.rows,) or _values_sha256(expected) != document.get("sha256"):
        raise ArtifactError(f"{file} was changed after it was written", remedy=_REMAKE)
    first = int(manifest.start.timestamp()) * 1_000_000
    return np.arange(manifest.rows, dtype=np.int64) * MINUTE_US + first, expected


def delete_oracle(paths: HomePaths, symbol: str) -> None:
    """Remove what an earlier synthetic dataset of this symbol left."""
    shutil.rmtree(paths.oracle / symbol, ignore_errors=True)


def _expected(manifest: DatasetManifest) -> dict[str, Any]:
    first = int(manifest.start.timestamp()) * 1_000_000
    return _claims(manifest.symbol, manifest.market, manifest.seed, manifest.parameters, first, manifest.rows)


def _claims(
    symbol: str, market: str | None, seed: int | None, parameters: dict[str, Any], first_us: int, rows: int
) -> dict[str, Any]:
    """What ties an oracle to its candles."""
    return {
        "symbol": symbol,
        "market": market,
        "seed": seed,
        "parameters": parameters,
        "start": iso_z(us_to_datetime(first_us)),
        "rows": rows,
    }


def _values_sha256(expected: npt.NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(expected, dtype="<f8").data).hexdigest()
