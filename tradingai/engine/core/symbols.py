"""Symbols, models and the constants of the label."""

from __future__ import annotations

import re
from typing import Final, Literal

from tradingai.engine.core.errors import UsageError

Market = Literal["cycles", "null", "weak", "drift"]
MARKETS: Final[tuple[Market, ...]] = ("cycles", "null", "weak", "drift")
PIPELINE_SYMBOLS: Final = ("BTC-USD", "ETH-USD", "BNB-USD")
HORIZON_MINUTES: Final = 15
"""The label at t looks from close(t) to close(t + 15 min)."""
MINUTE_US: Final = 60_000_000
"""One minute in microseconds, the unit of ``ts``."""
DAY_MINUTES: Final = 1440

_SYMBOL = re.compile(r"[A-Z0-9]{2,12}-[A-Z]{3,5}")


def parse_symbol(text: str) -> str:
    """``btc`` and ``BTC-USD`` as ``BTC-USD``. Raises UsageError for anything that is no pair."""
    symbol = text.strip().upper().replace("/", "-")
    if "-" not in symbol:
        symbol = f"{symbol}-USD"
    if not _SYMBOL.fullmatch(symbol):
        raise UsageError(
            f"unknown symbol {text!r}",
            remedy="Write a pair as BASE-QUOTE, for example BTC-USD.",
        )
    return symbol


def parse_symbols(text: str) -> tuple[str, ...]:
    """A comma-separated list of symbols, order kept, repeats dropped. Raises UsageError when empty."""
    symbols = tuple(dict.fromkeys(parse_symbol(part) for part in text.split(",") if part.strip()))
    if not symbols:
        raise UsageError(f"no symbol in {text!r}", remedy="Name at least one, for example BTC-USD.")
    return symbols


def lstm_name(symbol: str) -> str:
    """The model id of a coin's LSTM, for example ``lstm_BTC-USD``."""
    return f"lstm_{symbol}"


AGENT: Final = "ppo"
"""Id and kind of the agent's model."""
ENSEMBLE: Final = "ensemble"
"""Id and kind of the ensemble."""
MULTI_COIN_MODELS: Final = ("transformer", AGENT, ENSEMBLE)
"""Models that speak of several coins; their id is their kind."""


def model_kind(model: str) -> str:
    """``lstm``, ``transformer``, ``ppo`` or ``ensemble``, of a model's id."""
    return model.partition("_")[0]


def model_coin(model: str) -> str:
    """The coin of an LSTM's id; empty for a model of several coins."""
    return model.partition("_")[2]


def trainable_models(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """Every model that is trained for these coins, the longest training first."""
    return ("transformer", "ppo", *(lstm_name(symbol) for symbol in symbols))


def parse_trainable(text: str) -> tuple[str, ...]:
    """Comma-separated ids of models that are trained: ``lstm_BTC-USD``, ``transformer``, ``ppo``.

    A coin alone means its LSTM. Raises UsageError for anything else, and for an ensemble, which is made of
    trained models.
    """
    models = tuple(dict.fromkeys(_trainable(part.strip()) for part in text.split(",") if part.strip()))
    if not models:
        raise UsageError(f"no model in {text!r}", remedy="Name at least one, for example lstm_BTC-USD.")
    return models


def _trainable(text: str) -> str:
    if text in MULTI_COIN_MODELS:
        if text == "ensemble":
            raise UsageError(
                "an ensemble is not trained: it is made of trained models",
                remedy="`tradingai evaluate ensemble` makes it of what is live.",
            )
        return text
    return lstm_name(parse_symbol(text.removeprefix("lstm_")))


def train_command(model: str) -> str:
    """How a model is trained, for a person: ``tradingai train lstm --coin BTC-USD``."""
    coin = model_coin(model)
    return f"tradingai train {model_kind(model)}" + (f" --coin {coin}" if coin else "")


def parse_market(text: str) -> Market:
    """One of the four presets. Raises UsageError naming them."""
    for market in MARKETS:
        if text == market:
            return market
    raise UsageError(f"unknown market {text!r}", remedy=f"Choose one of {', '.join(MARKETS)}.")
