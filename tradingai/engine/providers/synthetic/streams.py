"""Random streams that depend on nothing but their key and the day.

Every draw of a synthetic market belongs to a stream (market family, seed, owner, purpose) and a day. A
stream's day has its own generator, seeded by a hash of both, so that a day's numbers are the same whatever
range was asked for and in whatever order, and different streams are independent.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.symbols import DAY_MINUTES
from tradingai.engine.providers.synthetic.coins import GENERATOR_VERSION

Floats = npt.NDArray[np.float64]


class Stream:
    """Draws for one purpose, keyed by (family, seed, owner, purpose)."""

    def __init__(self, family: str, seed: int, owner: str, purpose: str) -> None:
        text = f"tradingai synthetic {GENERATOR_VERSION}|{family}|{seed}|{owner}|{purpose}"
        words = np.frombuffer(hashlib.sha256(text.encode()).digest(), dtype="<u4")
        self._words = [int(word) for word in words]

    def generator(self, day: int) -> np.random.Generator:
        """The generator of one day (days since 1970)."""
        return np.random.Generator(np.random.SFC64(np.random.SeedSequence([*self._words, day])))

    def minutes(self, first_day: int, days: int, *, normals: int, exponentials: int = 0) -> Floats:
        """Draws for every minute of some days, normals first: [normals + exponentials, days, 1440]."""
        draws = np.empty((normals + exponentials, days, DAY_MINUTES))
        for index in range(days):
            generator = self.generator(first_day + index)
            for row in range(normals):
                generator.standard_normal(out=draws[row, index])
            for row in range(normals, normals + exponentials):
                generator.standard_exponential(out=draws[row, index])
        return draws

    def nodes(self, first_day: int, days: int, count: int) -> Floats:
        """``count`` standard normals for each of consecutive days: [days, count]."""
        return np.stack([self.generator(first_day + index).standard_normal(count) for index in range(days)])

    def daily(self, days: int, columns: int) -> Floats:
        """Standard normals for the first ``days`` days since the origin, [days, columns].

        One generator fills the rows in order, so that a longer request begins with the shorter one.
        """
        return self.generator(-1 & 0xFFFFFFFF).standard_normal((days, columns))

    def daily_uniform(self, days: int, columns: int) -> Floats:
        """Uniform draws in [0, 1) for the first ``days`` days since the origin, [days, columns]."""
        return self.generator(-2 & 0xFFFFFFFF).random((days, columns))
