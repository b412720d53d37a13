"""A ccxt exchange as the settings want it. ccxt is imported here, inside functions, and nowhere else."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.settings import Settings
from tradingai.engine.providers.exchange.traits import traits_of


def connect(settings: Settings, exchange: str) -> Any:
    """ccxt's asynchronous client of ``exchange``, not connected yet; close it.

    It has no keys and uses public endpoints only. EXCHANGE_API_URL replaces scheme and host of every address
    it knows. Raises UsageError for an exchange that ccxt does not know or that serves no minute candles, and
    for a SOCKS proxy without the package that speaks to one.
    """
    import ccxt.async_support as ccxt

    if exchange not in ccxt.exchanges:
        raise UsageError(
            f"ccxt knows no exchange {exchange!r}", remedy="For example binance, coinbase or kraken."
        )
    options = dict(traits_of(exchange).options)
    config: dict[str, Any] = {"enableRateLimit": True, "timeout": round(1000 * settings.provider_timeout_s)}
    client = getattr(ccxt, exchange)({**config, "options": options} if options else config)
    if "1m" not in (client.timeframes or {}):
        raise UsageError(f"{exchange} serves no one-minute candles", remedy="Choose another --exchange.")
    if settings.exchange_api_url is not None:
        client.urls["api"] = _moved(client.urls["api"], client.hostname or "", settings.exchange_api_url)
    _use_proxy(client, settings)
    return client


def host_of(client: Any) -> str:
    """Where public requests go, for example ``https://api.binance.com``."""
    api = client.urls["api"]
    found = (
        api if isinstance(api, str) else next((api[key] for key in ("public", "rest") if key in api), None)
    )
    if not isinstance(found, str):
        found = next(iter(_addresses(api)))
    parts = urlsplit(found.replace("{hostname}", client.hostname or ""))
    return f"{parts.scheme}://{parts.netloc}"


def _moved(api: Any, hostname: str, origin: str) -> Any:
    """The same addresses at another server: a string, or a dictionary of such."""
    if isinstance(api, dict):
        return {key: _moved(value, hostname, origin) for key, value in api.items()}
    parts = urlsplit(str(api).replace("{hostname}", hostname))
    target = urlsplit(origin)
    path = target.path.rstrip("/") + parts.path
    return urlunsplit((target.scheme, target.netloc, path, parts.query, parts.fragment))


def _addresses(api: Any) -> list[str]:
    if isinstance(api, dict):
        return [address for value in api.values() for address in _addresses(value)]
    return [str(api)]


def _use_proxy(client: Any, settings: Settings) -> None:
    if settings.proxy_url is None:
        return
    proxy = settings.proxy_url.get_secret_value()
    if not urlsplit(proxy).scheme.startswith("socks"):
        client.https_proxy = proxy
    elif find_spec("aiohttp_socks") is not None:
        client.socks_proxy = proxy
    else:
        raise UsageError(
            "PROXY_URL is a SOCKS proxy, which ccxt reaches only with the package aiohttp_socks",
            remedy="`pip install aiohttp_socks`, or set PROXY_URL to an http:// proxy.",
        )
