"""Random draws that do not depend on the order they are asked for: keyed by (seed, stream, symbol, ts).

The generator is SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014)
used as a counter-based hash, so a draw costs about a microsecond and thousands are one numpy expression.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from tradingai.engine.core.candles import Floats, Ints

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_MIX1 = 0xBF58476D1CE4E5B9
_MIX2 = 0x94D049BB133111EB


@lru_cache(maxsize=1024)
def stream_key(seed: int, stream: str, symbol: str) -> int:
    """64 bits that stand for one stream of one symbol under one seed."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{stream}|{symbol}".encode()).digest()[:8], "big")


def keyed_uniform(seed: int, stream: str, symbol: str, ts: int) -> float:
    """One number in the open interval (0, 1)."""
    bits = (stream_key(seed, stream, symbol) + ts * _GAMMA) & _MASK
    bits = ((bits ^ (bits >> 30)) * _MIX1) & _MASK
    bits = ((bits ^ (bits >> 27)) * _MIX2) & _MASK
    bits ^= bits >> 31
    return ((bits >> 12) + 0.5) * 2.0**-52


def keyed_uniforms(seed: int, stream: str, symbol: str, ts: Ints) -> Floats:
    """:func:`keyed_uniform` of int64 [n] times, float64 [n], bit for bit the same numbers."""
    bits = np.uint64(stream_key(seed, stream, symbol)) + ts.astype(np.uint64) * np.uint64(_GAMMA)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(_MIX1)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(_MIX2)
    bits ^= bits >> np.uint64(31)
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def keyed_normal(seed: int, stream: str, symbol: str, ts: int) -> float:
    """One standard normal number, by inversion of :func:`keyed_uniform`."""
    return float(ndtri(keyed_uniform(seed, stream, symbol, ts)))


def keyed_normals(seed: int, stream: str, symbol: str, ts: Ints) -> Floats:
    """:func:`keyed_normal` of int64 [n] times, float64 [n]."""
    normals: Floats = ndtri(keyed_uniforms(seed, stream, symbol, ts))
    return normals
