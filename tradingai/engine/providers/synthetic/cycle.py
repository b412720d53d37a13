"""The planted cycle: A(t) sin(phase(t - lag)), visible through the noise but not from the clock.

The phase turns once in PERIOD_MINUTES and carries a random walk. The period does not divide a day or a
week, and from one day to the next the phase moves on by nearly half a turn, so that a time of day has no
direction.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.symbols import DAY_MINUTES, HORIZON_MINUTES
from tradingai.engine.providers.synthetic.coins import END_DAY, ORIGIN_DAY
from tradingai.engine.providers.synthetic.profiles import amplitude_day
from tradingai.engine.providers.synthetic.streams import Stream

Floats = npt.NDArray[np.float64]

PERIOD_MINUTES: Final = 115.1
OMEGA: Final = 2.0 * np.pi / PERIOD_MINUTES
"""Radians a minute."""
JITTER: Final = 0.025
"""Standard deviation of the phase's random walk over one minute, radians; 0.95 rad over a day."""
AMPLITUDE_BPS: Final = 45.0
"""Root mean square over the day of the amplitude of the log price, basis points."""
_FIRST_DAY: Final = ORIGIN_DAY - 1
"""The phase begins a day before the prices, for the coins that lag."""


class Cycle:
    """The cycle of one market as one coin shows it, ``lag`` minutes (0 … 1439) after the phase.

    ``until_minute`` (minutes since 1970), when given, ends it: from there on the contribution stays where
    it was.
    """

    def __init__(self, family: str, seed: int, lag: int, until_minute: int | None = None) -> None:
        daily = Stream(family, seed, "market", "phase days").daily(END_DAY - _FIRST_DAY, 1)[:, 0]
        start = Stream(family, seed, "market", "phase start").generator(0).uniform(0.0, 2.0 * np.pi)
        self._walk = np.concatenate([[start], start + np.cumsum(daily * JITTER * np.sqrt(DAY_MINUTES))])
        self._steps = Stream(family, seed, "market", "phase minutes")
        self._lag = lag
        self._until = until_minute
        self._final = None if until_minute is None else self._at(until_minute - 1)

    def closes(self, first_day: int, days: int) -> Floats:
        """The contribution to the log price at each close, after the last one of the day before:
        [days * 1440 + 1].
        """
        values = self._running(first_day, days)
        before = first_day * DAY_MINUTES - 1
        if self._until is not None and self._until <= before + len(values):
            values[max(0, self._until - before) :] = self._final
        return values

    def expected_returns(self, first_day: int, days: int) -> Floats:
        """E[contribution at t + horizon] - contribution at t given the phase up to t, [days, 1440].

        A lagging coin's next ``lag`` minutes are known, because the phase has already passed them; beyond,
        the random walk shrinks the expected sine by exp(-variance / 2).
        """
        minutes = np.arange(first_day * DAY_MINUTES, (first_day + days) * DAY_MINUTES)
        ahead = minutes + HORIZON_MINUTES
        if self._until is not None:
            ahead = np.maximum(np.minimum(ahead, self._until - 1), minutes)
        known = np.minimum(ahead - self._lag, minutes)
        unknown = ahead - self._lag - known
        phase = self._phase(first_day - 1, days + 1).reshape(-1)[known - (first_day - 1) * DAY_MINUTES]
        expected = np.exp(-0.5 * JITTER**2 * unknown) * np.sin(phase + OMEGA * unknown)
        amplitude = self._amplitude(ahead % DAY_MINUTES)
        result: Floats = amplitude * expected - self._running(first_day, days)[1:]
        if self._until is not None:
            result[minutes >= self._until - 1] = 0.0
        return result.reshape(days, DAY_MINUTES)

    def _at(self, minute: int) -> float:
        day, row = divmod(minute, DAY_MINUTES)
        return float(self._running(day, 1)[row + 1])

    def _running(self, first_day: int, days: int) -> Floats:
        """As :meth:`closes`, as if the cycle never ended."""
        phase = self._phase(first_day - 1, days + 1).reshape(-1)
        start = DAY_MINUTES - 1 - self._lag
        lagged = phase[start : start + days * DAY_MINUTES + 1]
        minute_of_day = np.arange(-1, days * DAY_MINUTES) % DAY_MINUTES
        contribution: Floats = np.sin(lagged) * self._amplitude(minute_of_day)
        return contribution

    @staticmethod
    def _amplitude(minute_of_day: npt.NDArray[np.int64]) -> Floats:
        """Amplitude of the log price at these minutes of the day."""
        amplitude: Floats = AMPLITUDE_BPS * 1e-4 * amplitude_day()[minute_of_day]
        return amplitude

    def _phase(self, first_day: int, days: int) -> Floats:
        """Phase in radians at the close of each minute, [days, 1440]: a Brownian bridge between midnights."""
        first = first_day - _FIRST_DAY
        steps = self._steps.minutes(first_day, days, normals=1)[0]
        steps *= JITTER
        walk: Floats = np.cumsum(steps, axis=1, out=steps)
        fraction = np.arange(1, DAY_MINUTES + 1) / DAY_MINUTES
        ends = self._walk[first : first + days + 1]
        walk += fraction * (ends[1:] - ends[:-1] - walk[:, -1])[:, None] + ends[:-1, None]
        turned = np.arange(first * DAY_MINUTES + 1, (first + days) * DAY_MINUTES + 1).reshape(
            days, DAY_MINUTES
        )
        walk += turned * OMEGA
        return walk
