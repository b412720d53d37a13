"""The value types of settings that a plain number or word cannot express."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.symbols import parse_symbols

SQLITE_PREFIX: Final = "sqlite:///"
_TOKEN = re.compile(r"[1-9][0-9]{0,19}:[A-Za-z0-9_-]{1,60}")


def _split(value: Any) -> Any:
    """A comma-separated text as a list of stripped parts; anything else as it is."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _check_weights(value: tuple[float, float, float]) -> tuple[float, float, float]:
    if any(weight < 0 for weight in value) or not math.isclose(sum(value), 1.0, abs_tol=1e-6):
        raise ValueError("weights below zero, or not adding up to 1")
    return value


def _check_symbols(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_symbols(value)
    except UsageError as error:
        raise ValueError(error.message) from error


def _check_token(value: SecretStr) -> SecretStr:
    token = value.get_secret_value().strip()
    if not _TOKEN.fullmatch(token):
        raise ValueError("not in the form of a bot token")
    return SecretStr(token)


def _check_url(value: str, schemes: tuple[str, ...]) -> str:
    parts = urlsplit(value)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError("not such an address")
    return value


def _check_http_url(value: str) -> str:
    return _check_url(value.rstrip("/"), ("http", "https"))


def _check_proxy(value: SecretStr) -> SecretStr:
    return SecretStr(_check_url(value.get_secret_value().strip(), ("http", "https", "socks5", "socks5h")))


def _check_database(value: str) -> str:
    scheme = value.partition(":")[0]
    if not value.startswith(SQLITE_PREFIX):
        if "://" in value and scheme != "sqlite":
            raise ValueError(f"{scheme}:// is not supported yet")
        raise ValueError("no database address")
    name = value.removeprefix(SQLITE_PREFIX)
    if not name or name.endswith("/") or name == ":memory:" or "?" in name:
        raise ValueError("no file name in it")
    return value


Weights = Annotated[
    tuple[float, float, float], NoDecode, BeforeValidator(_split), AfterValidator(_check_weights)
]
"""Three shares of 1: LSTM, Transformer, RL."""
Symbols = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_check_symbols)]
"""One or more pairs, canonical (``BTC-USD``)."""
ChatIds = Annotated[tuple[int, ...], NoDecode, BeforeValidator(_split)]
"""Telegram chat or user numbers; chats may be negative."""
Token = Annotated[SecretStr, AfterValidator(_check_token)]
"""A bot token, ``digits:secret``, stripped."""
HttpUrl = Annotated[str, AfterValidator(_check_http_url)]
"""http or https with a host, without a trailing slash."""
ProxyUrl = Annotated[SecretStr, AfterValidator(_check_proxy)]
"""A proxy's address; a secret, since it may carry a password."""
DatabaseUrl = Annotated[str, AfterValidator(_check_database)]
"""``sqlite:///`` and a file name, relative to the home unless it begins with a slash."""


def database_path(url: str, home: Path) -> Path:
    """The file a checked DB_URL names: relative names lie in ``home``, ``sqlite:////abs`` is absolute."""
    return (home / Path(url.removeprefix(SQLITE_PREFIX)).expanduser()).absolute()
