"""Features from candles: one function computes a batch's blocks and the live tail alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tradingai.engine.core.candles import Candles, Floats, us_to_datetime
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.features.declaration import FeatureSet
from tradingai.engine.features.window import Window

Features = NDArray[np.float32]

BLOCK_MINUTES: Final = 32_768
"""Blocks start at whole multiples of this many minutes since 1970, wherever the candles start."""
_PADDING: Final = 16
"""Columns are this many values longer than a block: lines a power of two apart would share cache sets."""
_TILE_ROWS: Final = 512
"""Rows turned from columns at once, so that they stay in the cache."""


def compute(features: FeatureSet, own: Candles, peers: Mapping[str, Floats] | None = None) -> Features:
    """All features of all rows, float32 [n, F]; rows before ``features.lookback`` are NaN.

    ``peers`` maps each peer to its closes on the rows of ``own`` (see :func:`align_peers`).
    Raises DataError for candles with a hole, peers of another length and values that are not finite.
    """
    check_rows(features, own, peers or {})
    out = np.empty((len(own), len(features)), dtype=np.float32)
    for lo, hi in blocks(own):
        compute_rows(features, own, peers or {}, lo, hi, out[lo:hi])
    return out


def live_tail(
    features: FeatureSet, own: Candles, peers: Mapping[str, Floats] | None = None, rows: int = 1
) -> Features:
    """The features of the last ``rows`` rows, float32 [rows, F], from the past they need and no more.

    Equal to the same rows of :func:`compute`, bit by bit, once ``len(own) >= rows + features.lookback``;
    rows with less past are NaN. Raises what :func:`compute` raises.
    """
    first = max(0, len(own) - rows - features.lookback)
    tail = own[first:]
    closes = {name: close[first:] for name, close in (peers or {}).items()}
    check_rows(features, tail, closes)
    count = min(rows, len(tail))
    out = np.empty((count, len(features)), dtype=np.float32)
    if count:
        compute_rows(features, tail, closes, len(tail) - count, len(tail), out)
    return out


def blocks(own: Candles) -> Iterator[tuple[int, int]]:
    """Half-open row ranges that cover the candles, cut at multiples of :data:`BLOCK_MINUTES`."""
    if not len(own):
        return
    lo, first = 0, int(own.ts[0]) // MINUTE_US
    while lo < len(own):
        hi = min(len(own), lo + BLOCK_MINUTES - (first + lo) % BLOCK_MINUTES)
        yield lo, hi
        lo = hi


def compute_rows(
    features: FeatureSet, own: Candles, peers: Mapping[str, Floats], lo: int, hi: int, out: Features
) -> None:
    """Write the features of rows [lo, hi) into ``out``, float32 [hi - lo, F], from rows before ``hi`` alone.

    Rows before ``features.lookback`` become NaN. Raises DataError for values that are not finite.
    """
    start = max(0, lo - features.lookback)
    window = Window(own[start:hi], {name: close[start:hi] for name, close in peers.items()})
    unknown = max(0, min(features.lookback - lo, hi - lo))
    columns = np.empty((len(features), hi - lo + _PADDING), dtype=np.float32)[:, : hi - lo]
    with np.errstate(all="ignore"):
        for column, feature in zip(columns, features.features, strict=True):
            column[:] = feature.values(window)[lo - start :]
            column[:unknown] = np.nan
            known = np.isfinite(column[unknown:])
            if not known.all():
                row = lo - start + unknown + int(np.argmin(known))
                raise _not_finite(features, feature.name, column[row - lo + start], int(window.minute[row]))
    for tile in range(0, hi - lo, _TILE_ROWS):
        out[tile : tile + _TILE_ROWS] = columns[:, tile : tile + _TILE_ROWS].T


def check_rows(features: FeatureSet, own: Candles, peers: Mapping[str, Floats]) -> None:
    """Raise DataError unless the rows are consecutive minutes and every peer has one close a row."""
    if not (np.diff(own.ts) == MINUTE_US).all():
        raise DataError(
            f"candles of {features.symbol} from {own.start} to {own.end} are not consecutive minutes",
            remedy="Features need cleaned candles: import or generate them again.",
        )
    for name in features.peers:
        if name not in peers or len(peers[name]) != len(own):
            rows = len(peers[name]) if name in peers else 0
            raise DataError(
                f"peer {name} has {rows} closes beside {len(own)} candles of {features.symbol}",
                remedy="Align the peer's candles to the coin's minutes.",
            )


def align_peer(own: Candles, name: str, peer: Candles) -> Floats:
    """The peer's closes on the minutes of ``own``, float64 [len(own)]; DataError when it lacks some."""
    first = int(np.searchsorted(peer.ts, own.ts[0])) if len(own) else 0
    same = peer[first : first + len(own)]
    if not np.array_equal(same.ts, own.ts):
        raise DataError(
            f"candles of {name} do not cover those of its neighbour, {len(own)} rows from {own.start}",
            remedy=f"Make candles of {name} over the same range.",
        )
    return same.close


def _not_finite(features: FeatureSet, name: str, value: np.float32, minute: int) -> DataError:
    moment = us_to_datetime(minute * MINUTE_US)
    return DataError(
        f"feature {name} of {features.symbol} is {value} at {moment:%Y-%m-%d %H:%M} UTC",
        remedy="Look at `tradingai data quality`: prices must be positive and finite.",
    )
