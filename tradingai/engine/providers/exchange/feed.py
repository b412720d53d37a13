"""An exchange as a live feed: what has closed since a scan last asked, and nothing that may still change.

A candle is given when both clocks say that it has closed: this machine's, by which the scan decides, and the
exchange's own, which the answer that holds the candle carries. One request a coin and scan is enough: it
begins some minutes early, so that a candle the exchange changes after it was given is noticed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from tradingai.engine.core.candles import Candles, datetime_to_us, us_to_datetime
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.events import CandlesRejected, CandlesRevised, Event, ProviderClockDiffers
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.exchange.client import ExchangeClient
from tradingai.engine.providers.exchange.market import Market
from tradingai.engine.providers.live import NO_CANDLES
from tradingai.engine.store.candle_files import DatasetIdentity
from tradingai.engine.store.manifests import DatasetManifest

OVERLAP_MINUTES: Final = 5
"""Candles that were given are looked at again for this long."""
GAP_MINUTES: Final = 30
"""Stored candles are looked at when more than this is missing: at a start, and after an outage."""
PATIENCE_US: Final = 2_000_000
"""An exchange whose clock says that the newest candle closes within this time is asked once more then."""
_REMEMBERED: Final = 2 * OVERLAP_MINUTES
Stored = Callable[[str, int, int], Awaitable[Candles]]
"""Candles of a symbol that this home has: opened after one time and not after another (microseconds)."""
Row = tuple[float, ...]
"""Open, high, low, close, volume."""


def continues(exchange: str, stored: DatasetManifest) -> bool:
    """Whether an exchange's live candles go on where these end: its own, or those of a file.

    A file's are taken for that exchange's: it is the operator who says so by importing them.
    """
    own = stored.provider == "ccxt" and stored.parameters.get("exchange") == exchange
    return own or stored.provider == "file"


def refuse_other_history(exchange: str, history: Sequence[DatasetManifest]) -> None:
    """Raise UsageError when stored candles are not ones that an exchange's own continue."""
    for item in history:
        if not continues(exchange, item):
            source = f"{item.provider} {item.parameters.get('exchange', '')}".strip()
            raise UsageError(
                f"the candles of {item.symbol} are of {source}, live ones would be of ccxt {exchange}",
                remedy=f"Fetch them (`tradingai data fetch --provider ccxt --exchange {exchange} --symbols "
                f"{item.symbol} --replace`), set EXCHANGE or SYMBOLS, or use another --home.",
            )


class ExchangeFeed:
    """Candles of one exchange as they close, after those that are stored. See :class:`LiveFeed`."""

    def __init__(
        self,
        client: ExchangeClient,
        clock: Clock,
        stored: Stored,
        origin: DatasetIdentity,
        budget_s: float,
        markets: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """``budget_s``: a history of several pages is given in parts when it takes half of this.

        ``markets`` are the exchange's names (``BTC/USDT``) of coins with candles that it gave before.
        """
        self._client = client
        self._clock = clock
        self._stored = stored
        self._origin = origin
        self._budget_s = budget_s
        self._markets = markets
        self._given: dict[str, dict[int, Row]] = {}
        """The newest candles that were given of each coin, by open time."""
        self._revised: dict[str, int] = {}
        self._ahead_s = 0.0
        self._dateless = False
        """Whether answers do not carry the exchange's time: it is asked for first then."""
        self._told: list[Event] = []

    @property
    def identity(self) -> str:
        """The exchange; a replacement of its server is the operator's word that it gives the same."""
        return f"ccxt {self._client.exchange}"

    @property
    def origin(self) -> DatasetIdentity:
        """As for stored candles of this exchange."""
        return self._origin

    def told(self) -> Sequence[Event]:
        """Revised candles and clocks that disagree, since it was last asked."""
        told, self._told = self._told, []
        return told

    async def close(self) -> None:
        """Give connections back."""
        await self._client.close()

    async def closed(self, symbol: str, after_us: int, until_us: int) -> Candles:
        """As :meth:`LiveFeed.closed`. Raises UsageError for a coin that the exchange does not trade, and
        ProviderError when it does not answer or nobody can use what it says.
        """
        long = until_us - after_us > GAP_MINUTES * MINUTE_US
        stored = await self._stored(symbol, after_us, until_us - MINUTE_US) if long else NO_CANDLES
        begin_us = int(stored.ts[-1]) if len(stored) else after_us
        market = await self._market(symbol)
        fresh = await self._fetched(market, begin_us, until_us)
        return Candles.concatenate([self._joining(symbol, stored, fresh), fresh])

    async def _market(self, symbol: str) -> Market:
        """The coin's market, which has to be the one whose candles are stored."""
        market = await self._client.market(symbol)
        stored = self._markets.get(symbol, market.name)
        if market.name != stored:
            raise UsageError(
                f"{symbol} is {market.name} at {self._client.exchange}, its stored candles are of {stored}",
                remedy=f"Fetch them again with --replace, or scan {stored.replace('/', '-')} instead.",
            )
        return market

    def _joining(self, symbol: str, stored: Candles, fresh: Candles) -> Candles:
        """The stored candles, unless the exchange no longer has what follows them: half a day filled flat is
        worse for a model than less history.
        """
        served = self._client.traits.history_minutes
        if served is None or not len(stored) or not len(fresh):
            return stored
        missing = (int(fresh.ts[0]) - int(stored.ts[-1])) // MINUTE_US - 1
        if missing <= 0 or int(fresh.ts[-1]) - int(stored.ts[-1]) < served * MINUTE_US:
            return stored
        reason = (
            f"stored ones end {missing:,} minutes before the {served} that {self._client.exchange} serves: "
            "import or fetch newer ones"
        )
        self._told.append(
            CandlesRejected(symbol=symbol, provider=self.identity, count=len(stored), reason=reason)
        )
        return NO_CANDLES

    async def _fetched(self, market: Market, after_us: int, until_us: int) -> Candles:
        """Closed candles that open after ``after_us``, oldest first, page by page."""
        began = self._clock.monotonic()
        first_us, stop_us = after_us + MINUTE_US, until_us // MINUTE_US * MINUTE_US
        if stop_us <= first_us:
            return NO_CANDLES
        parts: list[Candles] = []
        since_us = first_us - OVERLAP_MINUTES * MINUTE_US
        while since_us < stop_us:
            page = await self._page(market, since_us, stop_us)
            self._compare(market.symbol, page[page.ts < first_us])
            parts.append(page[page.ts >= first_us])
            since_us = self._next(page, since_us, stop_us)
            if self._clock.monotonic() - began > self._budget_s / 2:
                break
        found = Candles.concatenate([NO_CANDLES, *parts])
        self._remember(market.symbol, found)
        return found

    def _next(self, page: Candles, since_us: int, stop_us: int) -> int:
        """Where the next page begins; ``stop_us`` when there is none."""
        traits = self._client.traits
        if not traits.forward:
            return since_us + traits.page * MINUTE_US
        if len(page) + OVERLAP_MINUTES < traits.page:
            return stop_us
        return int(page.ts[-1]) + MINUTE_US

    async def _page(self, market: Market, since_us: int, stop_us: int) -> Candles:
        """The closed candles of one request; of one more when the newest wanted one closes in a moment."""
        candles, exchange_us = await self._ask(market, since_us, stop_us)
        early_us = stop_us - exchange_us
        newest_page = stop_us - since_us <= self._client.traits.page * MINUTE_US
        if newest_page and 0 < early_us <= PATIENCE_US:
            await self._clock.sleep(early_us / 1e6)
            candles, exchange_us = await self._ask(market, since_us, stop_us)
        return candles[candles.ts + MINUTE_US <= exchange_us]

    async def _ask(self, market: Market, since_us: int, stop_us: int) -> tuple[Candles, int]:
        """One page, and a time at the exchange that was not later than its answer."""
        asked_us = (await self._client.time()).at_us if self._dateless else None
        expected = self._client.traits.forward
        page = await self._client.candles(market, since_us, stop_us, expected=expected)
        dated_us = self._client.answered_us()
        if dated_us is None and asked_us is None:
            self._dateless = True
            return await self._ask(market, since_us, stop_us)
        exchange_us = dated_us or asked_us or 0
        self._look_at_clock(exchange_us)
        return self._one_row_a_minute(market.symbol, page.candles), exchange_us

    def _one_row_a_minute(self, symbol: str, candles: Candles) -> Candles:
        """Ascending, the first row of each minute; one without all its numbers is as good as none."""
        whole = np.logical_and.reduce([np.isfinite(column) for column in candles.columns().values()])
        if not whole.all():
            count = int((~whole).sum())
            reason = "without a number, or not of a whole minute"
            self._told.append(
                CandlesRejected(symbol=symbol, provider=self.identity, count=count, reason=reason)
            )
        rows = candles[whole]
        rows = rows[np.argsort(rows.ts, kind="stable")]
        return rows[np.diff(rows.ts, prepend=-1) != 0]

    def _look_at_clock(self, exchange_us: int) -> None:
        """Tell when the clocks begin to disagree, when that changes, and when they agree again."""
        ahead_s = (datetime_to_us(self._clock.now()) - exchange_us) / 1e6
        agreed_s = ProviderClockDiffers.agreed_s
        if abs(ahead_s) <= agreed_s:
            ahead_s = 0.0
        if abs(ahead_s - self._ahead_s) > agreed_s or (ahead_s == 0.0) != (self._ahead_s == 0.0):
            self._ahead_s = ahead_s
            self._told.append(ProviderClockDiffers(provider=self.identity, ahead_s=ahead_s))

    # -- what was given before

    def _remember(self, symbol: str, candles: Candles) -> None:
        given = self._given.setdefault(symbol, {})
        given.update(_rows(candles[-_REMEMBERED:]))
        for ts in sorted(given)[:-_REMEMBERED]:
            del given[ts]

    def _compare(self, symbol: str, again: Candles) -> None:
        """Tell of candles that differ from what was given, or were not there when their minute was passed."""
        given = self._given.get(symbol)
        if not given:
            return
        changed = {ts: row for ts, row in _rows(again).items() if ts >= min(given) and given.get(ts) != row}
        if not changed:
            return
        largest = max(_change_bps(given.get(ts), row) for ts, row in changed.items())
        self._revised[symbol] = self._revised.get(symbol, 0) + len(changed)
        self._told.append(
            CandlesRevised(
                symbol=symbol,
                provider=self.identity,
                count=len(changed),
                first=iso_z(us_to_datetime(min(changed))),
                largest_bps=largest,
                total=self._revised[symbol],
            )
        )
        given.update(changed)


def _rows(candles: Candles) -> dict[int, Row]:
    columns = (candles.ts, candles.open, candles.high, candles.low, candles.close, candles.volume)
    values = zip(*(column.tolist() for column in columns), strict=True)
    return {int(ts): row for ts, *row in values}  # type: ignore[misc]


def _change_bps(before: Row | None, after: Row) -> float:
    """Change of the close; 0 where there was none before."""
    return 0.0 if before is None or not before[3] > 0 else 1e4 * abs(after[3] / before[3] - 1.0)
