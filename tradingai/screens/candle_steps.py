"""How candles come into the home from the console: made, fetched, imported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from tradingai.engine.core.commands import FetchCandles, GenerateCandles, ImportCandles
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.symbols import (
    MARKETS,
    PIPELINE_SYMBOLS,
    parse_market,
    parse_symbol,
    parse_symbols,
)
from tradingai.screens.dialog import Dialog, Field, whole_number
from tradingai.screens.port import Host

QUICK_DAYS: Final = 120
MOST_DAYS: Final = 2_141
"""Days from 2020-01-01 to the last synthetic candle."""


def _symbols(text: str) -> str:
    try:
        parse_symbols(text)
    except UsageError as error:
        return f"{error.message}; {error.remedy}"
    return ""


def _market(text: str) -> str:
    return "" if text in MARKETS else f"One of {', '.join(MARKETS)}"


def create_candles(host: Host) -> None:
    """Ask for coins, days, market and seed; one job a coin. What is there already is skipped."""

    def start(values: dict[str, str]) -> None:
        from tradingai.engine.pipeline.plan import LAST_CANDLE

        first = LAST_CANDLE - timedelta(days=int(values["days"])) + timedelta(minutes=1)
        host.order(
            *(
                GenerateCandles(
                    **host.engine.issue(),
                    symbol=symbol,
                    market=parse_market(values["market"]),
                    seed=int(values["seed"]),
                    start=first,
                    end=LAST_CANDLE,
                )
                for symbol in parse_symbols(values["coins"])
            )
        )

    snapshot = host.snapshot
    fields = (
        Field("coins", "coins", ",".join(PIPELINE_SYMBOLS), "BTC-USD,ETH-USD", check=_symbols),
        Field("days", "days", str(QUICK_DAYS), note="to 2025-11-10 01:07Z", check=whole_number(2, MOST_DAYS)),
        Field("market", "market", snapshot.market, note="/".join(MARKETS), check=_market),
        Field("seed", "seed", str(snapshot.seed), check=whole_number(0, 2**31 - 1)),
    )
    texts = ["The same market, seed and range give the same candles, so that what is there is kept."]
    host.ask(Dialog("Create synthetic candles", texts, verb="create", keep="leave it", fields=fields), start)


def _symbol(text: str) -> str:
    try:
        parse_symbol(text)
    except UsageError as error:
        return f"{error.message}; {error.remedy}"
    return ""


def import_candles(host: Host) -> None:
    """Ask for a file and a coin."""

    def start(values: dict[str, str]) -> None:
        symbol = parse_symbol(values["coin"])
        host.order(ImportCandles(**host.engine.issue(), symbol=symbol, file=values["file"]))

    fields = (
        Field(
            "file",
            "file",
            hint="/data/btc.csv",
            note="CSV or Parquet",
            check=lambda text: "" if text else "Type its path",
        ),
        Field("coin", "coin", "BTC-USD", check=_symbol),
    )
    texts = [
        "Columns are found by their common names; times need a zone or are UTC. Nothing is dropped uncounted."
    ]
    host.ask(Dialog("Import candles", texts, verb="import", keep="leave it", fields=fields), start)


def _provider(text: str) -> str:
    return "" if text in {"ccxt", "yfinance"} else "ccxt or yfinance"


def _exchange(text: str) -> str:
    return "" if text.isalnum() and text == text.lower() else "ccxt's name of it, for example binance"


def _day(text: str) -> str:
    if not text:
        return ""
    try:
        _moment(text)
    except ValueError:
        return "A day as 2025-07-01, or nothing"
    return ""


def _moment(text: str) -> datetime:
    """A day or time; without a zone it is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def fetch_candles(host: Host) -> None:
    """Ask for source, coins and start; one job a coin. What is there already is not asked for again."""

    def start(values: dict[str, str]) -> None:
        begin = _moment(values["start"]) if values["start"] else None
        yahoo = values["provider"] == "yfinance"
        host.order(
            *(
                FetchCandles(
                    **host.engine.issue(),
                    symbol=symbol,
                    provider="yfinance" if yahoo else "ccxt",
                    exchange=None if yahoo else values["exchange"],
                    start=begin,
                )
                for symbol in parse_symbols(values["coins"])
            )
        )

    snapshot = host.snapshot
    fetched = [data for data in snapshot.datasets if data.exchange]
    coins = [data.symbol for data in fetched] or list(PIPELINE_SYMBOLS)
    begin = "" if fetched else f"{snapshot.now - timedelta(days=QUICK_DAYS):%Y-%m-%d}"
    fields = (
        Field(
            "provider",
            "provider",
            "yfinance" if snapshot.provider == "yfinance" else "ccxt",
            note="ccxt or yfinance",
            check=_provider,
        ),
        Field(
            "exchange",
            "exchange",
            fetched[0].exchange if fetched else snapshot.exchange,
            note="for ccxt",
            check=_exchange,
        ),
        Field("coins", "coins", ",".join(coins), "BTC-USD,ETH-USD", check=_symbols),
        Field("start", "from", begin, "where they end", note="UTC, to now", check=_day),
    )
    texts = ["Closed one-minute candles, at the exchange's pace. What is there is kept and continued."]
    host.ask(Dialog("Fetch real candles", texts, verb="fetch", keep="leave it", fields=fields), start)
