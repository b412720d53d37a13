"""What operators type, as what the engine takes; every refusal says what would have been right."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.symbols import MULTI_COIN_MODELS, lstm_name, parse_symbol

MODEL_EXAMPLES = "lstm_BTC-USD, transformer, ppo, ensemble"


def parse_time(text: str, option: str) -> datetime:
    """``2025-07-01``, ``2025-07-01T00:00`` or with a zone; without one it is UTC. Raises UsageError."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is no time", remedy="Write 2025-07-01 or 2025-07-01T13:45Z; it is UTC."
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_source(text: str) -> Literal["ccxt", "yfinance"]:
    """A provider that candles can be fetched from. Raises UsageError naming them."""
    if text == "ccxt":
        return "ccxt"
    if text == "yfinance":
        return "yfinance"
    raise UsageError(f"nothing can be fetched from {text!r}", remedy="Choose ccxt or yfinance.")


def parse_model(text: str) -> str:
    """A model's id, or a checkpoint's path made absolute."""
    path = Path(text).expanduser()
    if path.suffix == ".pt" or path.is_file():
        if not path.is_file():
            raise UsageError(f"there is no checkpoint {path}", remedy="Give its path, or a model's id.")
        return str(path.resolve())
    kind, separator, coin = text.partition("_")
    if separator and kind == "lstm":
        return lstm_name(parse_symbol(coin))
    if text in MULTI_COIN_MODELS:
        return text
    raise UsageError(f"unknown model {text!r}", remedy=f"Models are called {MODEL_EXAMPLES}.")


def existing_file(text: str) -> str:
    """The absolute path of a file that is there. Raises UsageError."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise UsageError(f"there is no file {path}", remedy="Give the path of a file that exists.")
    return str(path.resolve())


def positive(value: int, option: str) -> int:
    """``value`` when it is at least 1. Raises UsageError."""
    if value < 1:
        raise UsageError(f"{option} {value} is less than 1", remedy="Give a whole number from 1 on.")
    return value
