"""Synthetic candles by random access: (market, seed, symbol, minute) is one candle, in whatever range."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import Candles, us_to_datetime
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.symbols import DAY_MINUTES, MINUTE_US, Market
from tradingai.engine.providers.synthetic import bars, momentum
from tradingai.engine.providers.synthetic.coins import END_DAY, MARKET_VOLATILITY, ORIGIN_DAY, Coin, coin_of
from tradingai.engine.providers.synthetic.cycle import Cycle
from tradingai.engine.providers.synthetic.diffusion import Diffusion
from tradingai.engine.providers.synthetic.streams import Stream

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BLOCK_DAYS: Final = 32
"""Days computed at once, so that the working arrays stay in the processor's cache."""


class SyntheticMarket:
    """One of the presets under one seed. An instance keeps what it summed, so that a tail costs little."""

    def __init__(self, market: Market, seed: int, drift_at: int | None = None) -> None:
        """``drift_at`` (minutes since 1970) belongs to ``drift`` alone: its cycles end there.

        Raises UsageError when it is missing there, given elsewhere, or outside the range that exists.
        """
        if (market == "drift") != (drift_at is not None):
            raise UsageError(
                f"market {market} with drift_at {drift_at}",
                remedy="drift_at is required for market drift and means nothing for the others.",
            )
        if drift_at is not None and not ORIGIN_DAY * DAY_MINUTES < drift_at < END_DAY * DAY_MINUTES:
            raise UsageError(
                f"drift_at {us_to_datetime(drift_at * MINUTE_US):%Y-%m-%d} is outside the synthetic markets",
                remedy="Choose a time after 2018-01-01 and before 2100.",
            )
        self.market: Market = market
        self.seed = seed
        self.drift_at = drift_at
        self._coins: dict[str, _CoinPath] = {}

    def candles(self, symbol: str, start: int, end: int) -> Candles:
        """Candles of the minutes ``start`` … ``end`` (minutes since 1970, both included).

        Raises UsageError for a symbol or a range that the market does not have.
        """
        first, days = _day_range(start, end)
        path = self._coin(symbol)
        count = end - start + 1
        columns = [np.empty(count) for _ in range(5)]
        for day in range(first, first + days, BLOCK_DAYS):
            block = path.bars(day, min(BLOCK_DAYS, first + days - day))
            _place(columns, block, day * DAY_MINUTES - start)
        return Candles(np.arange(start, end + 1, dtype=np.int64) * MINUTE_US, *columns)

    def oracle(self, symbol: str, start: int, end: int) -> tuple[Ints, Floats]:
        """(ts in microseconds, expected log return over the label's horizon) of the minutes ``start`` …
        ``end``.

        The expectation is given the hidden state at the close of each minute, without any later
        innovation; its sign is the best possible forecast of the label, and zero means that there is
        nothing to know.
        """
        first, days = _day_range(start, end)
        path = self._coin(symbol)
        column = np.empty(end - start + 1)
        for day in range(first, first + days, BLOCK_DAYS):
            block = path.expected_returns(day, min(BLOCK_DAYS, first + days - day))
            _place([column], [block], day * DAY_MINUTES - start)
        return np.arange(start, end + 1, dtype=np.int64) * MINUTE_US, column

    def _coin(self, symbol: str) -> _CoinPath:
        if symbol not in self._coins:
            self._coins[symbol] = _CoinPath(coin_of(symbol), self.market, self.seed, self.drift_at)
        return self._coins[symbol]


def _day_range(start: int, end: int) -> tuple[int, int]:
    """(first day, number of days) that hold the minutes ``start`` … ``end``."""
    if start > end:
        raise UsageError(
            f"the range ends {start - end} minutes before it starts", remedy="Give an end after the start."
        )
    if start < ORIGIN_DAY * DAY_MINUTES or end >= END_DAY * DAY_MINUTES:
        raise UsageError(
            "synthetic markets exist from 2018-01-01 to 2099-12-31",
            remedy="Ask for a range inside, for example --start 2020-01-01.",
        )
    first = start // DAY_MINUTES
    return first, end // DAY_MINUTES - first + 1


def _place(columns: list[Floats], block: list[Floats], offset: int) -> None:
    """Copy the rows of each block [days, 1440] that its column has; the block begins at row ``offset``."""
    for column, part in zip(columns, block, strict=True):
        flat = part.reshape(-1)
        lo, hi = max(0, offset), min(len(column), offset + len(flat))
        column[lo:hi] = flat[lo - offset : hi - offset]


@lru_cache(maxsize=4)
def _market_factor(family: str, seed: int) -> Diffusion:
    return Diffusion(family, seed, "market", MARKET_VOLATILITY)


class _CoinPath:
    """One coin of one market: its log price and what is built on it, by whole days."""

    def __init__(self, coin: Coin, market: Market, seed: int, drift_at: int | None) -> None:
        family = "cycles" if market == "drift" else market
        self._coin = coin
        self._factor = _market_factor(family, seed)
        self._own = Diffusion(family, seed, coin.symbol, coin.own_volatility)
        self._bars = Stream(family, seed, coin.symbol, "bars")
        self._cycle = Cycle(family, seed, coin.cycle_lag_minutes, drift_at) if family == "cycles" else None
        self._momentum = market == "weak"
        self._momentum_at = [0.0]
        annual = np.hypot(coin.market_beta * MARKET_VOLATILITY, coin.own_volatility)
        self._minute_volatility = float(annual / np.sqrt(bars.MINUTES_A_YEAR))

    def bars(self, first_day: int, days: int) -> list[Floats]:
        """Open, high, low, close, volume of consecutive days, each [days, 1440]."""
        shape = (days, DAY_MINUTES)
        logs, volatility = self._log_prices(first_day, days)
        prices = np.exp(logs)
        opens, closes = prices[:-1].reshape(shape), prices[1:].reshape(shape)
        change = np.diff(logs).reshape(shape)
        draws = bars.bar_draws(self._bars, first_day, days)
        above, below = bars.price_extremes(change, volatility, draws[[0, 2, 3, 4, 5]])
        high = np.maximum(np.maximum(opens, closes), opens * np.exp(above))
        low = np.minimum(np.minimum(opens, closes), opens * np.exp(below))
        volume = bars.volumes(
            self._coin.volume, self._minute_volatility, change, volatility, draws[1], first_day
        )
        return [opens, high, low, closes, volume]

    def expected_returns(self, first_day: int, days: int) -> Floats:
        """Expected log return over the horizon given the hidden state at each close, [days, 1440]."""
        if self._cycle is not None:
            return self._cycle.expected_returns(first_day, days)
        if self._momentum:
            eps, _, slow = self._innovations(first_day, days)
            return momentum.expected_returns(eps, slow[1:])
        return np.zeros((days, DAY_MINUTES))

    def _log_prices(self, first_day: int, days: int) -> tuple[Floats, Floats]:
        """(log price at each close [days * 1440 + 1], beginning with the day before's last; volatility [days,
        1440]).
        """
        logs = np.empty(days * DAY_MINUTES + 1)
        factor, own = self._factor.minutes(first_day, days), self._own.minutes(first_day, days)
        beta = self._coin.market_beta
        ends = beta * self._factor.anchors(first_day, days) + self._own.anchors(first_day, days)
        walk = np.cumsum(beta * (factor.returns + factor.jumps) + (own.returns + own.jumps), axis=1)
        walk += ends[:-1, None]
        walk[:, -1] = ends[1:]
        logs[0], logs[1:] = ends[0], walk.reshape(-1)
        logs += np.log(self._coin.price)
        if self._cycle is not None:
            logs += self._cycle.closes(first_day, days)
        if self._momentum:
            logs += self._momentum_closes(first_day, days)
        return logs, np.hypot(beta * factor.volatility, own.volatility)

    def _innovations(self, first_day: int, days: int) -> tuple[Floats, Floats, Floats]:
        """Of the day before and ``days`` days: (unit innovations without jumps, volatility, slow), [days + 1,
        1440].

        The day before the origin has none: its innovations are zero.
        """
        before = max(first_day - 1, ORIGIN_DAY)
        factor = self._factor.minutes(before, first_day + days - before)
        own = self._own.minutes(before, first_day + days - before)
        beta = self._coin.market_beta
        volatility = np.hypot(beta * factor.volatility, own.volatility)
        eps = (beta * factor.returns + own.returns) / volatility
        slow = np.hypot(beta * factor.slow, own.slow)
        if before == first_day:
            eps, volatility, slow = (
                np.concatenate([np.zeros((1, DAY_MINUTES)), values]) for values in (eps, volatility, slow)
            )
        return eps, volatility, slow

    def _momentum_closes(self, first_day: int, days: int) -> Floats:
        """The momentum's part of the log price at each close, [days * 1440 + 1].

        Its value at midnight is the sum of all days since the origin; those are kept once summed.
        """
        known = ORIGIN_DAY + len(self._momentum_at) - 1
        for day in range(known, first_day + days, BLOCK_DAYS):
            block = self._momentum_returns(day, min(BLOCK_DAYS, first_day + days - day))
            for total in np.cumsum(block, axis=1)[:, -1].tolist():
                self._momentum_at.append(self._momentum_at[-1] + total)
        ends = np.asarray(self._momentum_at[first_day - ORIGIN_DAY : first_day - ORIGIN_DAY + days])
        walk = np.cumsum(self._momentum_returns(first_day, days), axis=1) + ends[:, None]
        return np.concatenate([ends[:1], walk.reshape(-1)])

    def _momentum_returns(self, first_day: int, days: int) -> Floats:
        eps, volatility, _ = self._innovations(first_day, days)
        return volatility[1:] * momentum.drift(eps)
