"""Features of candles that are all known beforehand, computed a block at a time instead of scan by scan.

A feature's value depends on its own window alone, so a block gives the same bits as a live tail that ends
at any of its rows (``features.primitives``); a day's block costs what a few tails cost. The rows are only
served to a caller whose window holds the very candles the block was made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from tradingai.engine.core.candles import PRICE_COLUMNS, Candles, Floats
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US
from tradingai.engine.features.compute import Features, align_peer, compute_rows, live_tail
from tradingai.engine.features.declaration import FeatureSet

BLOCK_ROWS: Final = DAY_MINUTES
_KEPT_BLOCKS: Final = 2
_Key = tuple[str, str]
"""A coin and the hash of its features' definitions."""


class BlockFeatures:
    """A feature source over cleaned candles of all coins; see ``inference.stream.FeatureSource``."""

    def __init__(self, candles: Mapping[str, Candles]) -> None:
        """``candles`` holds consecutive minutes of every coin, from the first that is needed to the last."""
        self._candles = candles
        self._inputs: dict[_Key, tuple[Candles, dict[str, Floats]]] = {}
        self._blocks: dict[_Key, dict[int, Features]] = {}

    def __call__(
        self, features: FeatureSet, own: Candles, peers: Mapping[str, Floats] | None = None, rows: int = 1
    ) -> Features:
        """Features of the last ``rows`` rows, float32 [rows, F]; those of other candles are computed."""
        reference, closes = self._input(features)
        first = (int(own.ts[0]) - int(reference.ts[0])) // MINUTE_US
        stop = first + len(own)
        if not _same(own, peers or {}, reference, closes, first, stop):
            return live_tail(features, own, peers, rows)
        lo = stop - rows
        numbers = range(lo // BLOCK_ROWS, (stop - 1) // BLOCK_ROWS + 1)
        try:
            joined = [self._block(features, number) for number in numbers]
        except DataError:  # of some minute in the block; it need not be one of these
            return live_tail(features, own, peers, rows)
        block = joined[0] if len(joined) == 1 else np.concatenate(joined)
        start = lo - numbers[0] * BLOCK_ROWS
        return block[start : start + rows]

    def _input(self, features: FeatureSet) -> tuple[Candles, dict[str, Floats]]:
        key = _key(features)
        if key not in self._inputs:
            own = self._candles[features.symbol]
            self._inputs[key] = (
                own,
                {name: align_peer(own, name, self._candles[name]) for name in features.peers},
            )
        return self._inputs[key]

    def _block(self, features: FeatureSet, number: int) -> Features:
        kept = self._blocks.setdefault(_key(features), {})
        if number not in kept:
            own, peers = self._inputs[_key(features)]
            lo, hi = number * BLOCK_ROWS, min((number + 1) * BLOCK_ROWS, len(own))
            out = np.empty((hi - lo, len(features)), dtype=np.float32)
            compute_rows(features, own, peers, lo, hi, out)
            kept[number] = out
            for old in sorted(kept)[:-_KEPT_BLOCKS]:
                del kept[old]
        return kept[number]


def _key(features: FeatureSet) -> _Key:
    return features.symbol, features.sha256


def _same(
    own: Candles,
    peers: Mapping[str, Floats],
    reference: Candles,
    closes: Mapping[str, Floats],
    lo: int,
    hi: int,
) -> bool:
    """Whether rows [lo, hi) of the reference are these candles and peers' closes."""
    if lo < 0 or hi > len(reference) or int(reference.ts[lo]) != int(own.ts[0]):
        return False
    columns = all(
        np.array_equal(getattr(own, name), getattr(reference, name)[lo:hi]) for name in PRICE_COLUMNS
    )
    return columns and all(np.array_equal(peers[name], close[lo:hi]) for name, close in closes.items())
