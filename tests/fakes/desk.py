"""A desk at 12:04 UTC on a Monday, BTC at 40,000 with ATR 40: the numbers the decision tests work with."""

from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.decision.desk import advance, decide
from tradingai.engine.decision.orders import Bar
from tradingai.engine.decision.records import CoinInput, Scan
from tradingai.engine.decision.state import DeskConfig, DeskState, open_desk

MINUTE = 60_000_000
AT = datetime_to_us(parse_iso("2025-11-10T12:04:00Z"))
CONFIG = DeskConfig()
FRESH = open_desk(CONFIG, AT)
REASON = "a reason long enough"


def coin(symbol: str = "BTC-USD", p_up: float | None = 0.8, at: int = AT, **how) -> CoinInput:
    values = {"candle_us": at - MINUTE, "close": 40_000.0, "atr": 40.0, **how}
    return CoinInput(symbol, p_up=p_up, **values)


def scan(*coins: CoinInput, at: int = AT, **how) -> Scan:
    return Scan(at, coins, **how)


def decide_one(state: DeskState, one: CoinInput, config: DeskConfig = CONFIG, **how):
    decided = decide(state, config, scan(one, **how))
    return decided.state, decided.decisions[0]


def bars(ts: int, open_: float, high: float, low: float, close: float, symbol: str = "BTC-USD"):
    return {symbol: Bar(ts, open_, high, low, close)}


def flat(ts: int, price: float = 40_000.0, symbol: str = "BTC-USD"):
    return bars(ts, price, price, price, price, symbol)


def opened(state: DeskState = FRESH, config: DeskConfig = CONFIG) -> DeskState:
    """Emitted at 12:04:00, filled at 12:05:00."""
    state, decision = decide_one(state, coin(), config)
    assert decision.emitted
    return advance(state, config, flat(AT + MINUTE), AT + MINUTE).state
