"""What went wrong with a request, whether asking again can help, and how the operator is told.

ccxt's classes alone do not say: a blocked country (451) is a NetworkError like a lost connection, a busy
server (503 with a code) and a body that was cut short are ExchangeErrors like a refusal. What decides is the
HTTP status where there was one, the class of the exception otherwise.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

from tradingai.engine.core.errors import ProviderError, TradingAIError, UsageError
from tradingai.engine.providers.exchange.pace import LONGEST_HOLD_S

_TOO_MANY: Final = frozenset({418, 429})
_BLOCKED: Final = frozenset({403, 451})
_QUOTED: Final = 160
"""Characters of an answer that are quoted."""
_LOOKED_AT: Final = 4000
"""Characters of an answer that are looked at for them."""
_TAGS = re.compile(r"(?:<[^>]*>|\s)+")
ELSEWHERE: Final = (
    "Set EXCHANGE to one that serves this place, EXCHANGE_API_URL to a mirror of its data, or PROXY_URL."
)
LATER: Final = "Try again later; what was fetched is kept, and the same command goes on from there."


ODD_ANSWERS: Final = (LookupError, TypeError, ValueError, AttributeError)
"""What ccxt's parsers raise for an answer of another shape."""


class MalformedAnswerError(Exception):
    """An answer that is not what the request was for."""


@dataclass(slots=True)
class Answer:
    """What came back on the wire; status 0 when nothing did."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    sent_at: float = 0.0
    """Monotonic time at which the request left."""

    @property
    def dated_us(self) -> int | None:
        """The server's clock in the Date header, microseconds to the full second; None without one."""
        for name, value in self.headers.items():
            if name.lower() == "date":
                try:
                    return round(parsedate_to_datetime(value).timestamp()) * 1_000_000
                except ValueError:
                    return None
        return None

    @property
    def retry_after_s(self) -> float | None:
        """Seconds the exchange asks to wait, where it says so."""
        for name, value in self.headers.items():
            if name.lower() == "retry-after" and value.strip().isdigit():
                return float(value.strip())
        return None

    @property
    def quoted(self) -> str:
        """The beginning of the body as text in one line."""
        text = _TAGS.sub(" ", self.body[:_LOOKED_AT]).strip()
        return text if len(text) <= _QUOTED else text[:_QUOTED] + "…"


@dataclass(frozen=True, slots=True)
class Fault:
    """One failed request."""

    error: TradingAIError
    """What the operator is told when it was the last try."""
    again: bool
    """Whether asking again can help."""
    wait_s: float | None = None
    """How long everybody is to wait first: what the exchange asks for, LONGEST_HOLD_S at the most."""


def fault_of(error: Exception, answer: Answer, exchange: str, what: str, timeout_s: float) -> Fault:
    """What ``error`` means, which ccxt raised for the request ``what`` (``candles of BTC/USDT``)."""
    if answer.status in _TOO_MANY:
        return _too_many(answer, exchange)
    if answer.status in _BLOCKED:
        message = f"{exchange} does not serve this place or address (HTTP {answer.status}): {answer.quoted}"
        return Fault(ProviderError(message, remedy=ELSEWHERE), again=False)
    if answer.status >= 500:
        message = f"{exchange} answered HTTP {answer.status} to {what}: {answer.quoted or 'nothing'}"
        return Fault(ProviderError(message, remedy=LATER), again=True)
    if answer.status == 0 and not isinstance(error, (MalformedAnswerError, *ODD_ANSWERS)):
        return _unreachable(error, exchange, what, timeout_s)
    return _refused(error, answer, exchange, what)


def _too_many(answer: Answer, exchange: str) -> Fault:
    wait_s = answer.retry_after_s
    asked = "" if wait_s is None else f" and asks to wait {wait_s:,.0f} s"
    message = f"{exchange} answered {answer.status}, too many requests from this address{asked}"
    again = wait_s is None or wait_s <= LONGEST_HOLD_S
    held_s = None if wait_s is None else min(wait_s, LONGEST_HOLD_S)
    return Fault(ProviderError(message, remedy=LATER), again=again, wait_s=held_s)


def _unreachable(error: Exception, exchange: str, what: str, timeout_s: float) -> Fault:
    """A request without a whole answer."""
    import aiohttp
    import ccxt

    cause = error.__cause__
    again = True
    if isinstance(error, ccxt.RequestTimeout):
        message = f"{exchange} did not answer within {timeout_s:g} s to {what}"
    elif isinstance(cause, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        message = f"the proxy of PROXY_URL does not pass requests on to {exchange}"
        again = not isinstance(cause, aiohttp.ClientHttpProxyError)
    elif isinstance(cause, aiohttp.ClientConnectorCertificateError):
        message, again = f"the certificate of {exchange}'s server is not one to trust", False
    elif isinstance(cause, socket.gaierror | aiohttp.ClientConnectorDNSError):
        message = f"the name of {exchange}'s server cannot be resolved"
    elif isinstance(cause, aiohttp.ClientPayloadError):
        message = f"the answer of {exchange} to {what} was cut short"
    elif isinstance(cause, aiohttp.ServerDisconnectedError):
        message = f"{exchange} closed the connection without an answer to {what}"
    elif isinstance(error, ccxt.NetworkError):
        message = f"{exchange} cannot be reached"
    else:
        message, again = f"{exchange} cannot be asked for {what} ({type(error).__name__})", False
    remedy = "Check network, EXCHANGE_API_URL and PROXY_URL, then run the same command again."
    return Fault(ProviderError(message, remedy=remedy), again=again)


def _refused(error: Exception, answer: Answer, exchange: str, what: str) -> Fault:
    """A whole answer with a status below 500."""
    import ccxt

    if isinstance(error, (MalformedAnswerError, *ODD_ANSWERS)):
        reason = (
            str(error) if isinstance(error, MalformedAnswerError) else f"an answer in another form: {error!r}"
        )
        message = f"{exchange} answered {what} with {reason}"
        return Fault(ProviderError(message, remedy=LATER), again=True)
    if isinstance(error, ccxt.BadSymbol):
        return Fault(unknown_symbol(exchange, what), again=False)
    if isinstance(error, ccxt.OnMaintenance):
        return Fault(
            ProviderError(f"{exchange} is in maintenance: {answer.quoted}", remedy=LATER), again=True
        )
    if isinstance(error, ccxt.OperationFailed):
        message = f"{exchange} is not available for {what}: {answer.quoted}"
        return Fault(ProviderError(message, remedy=LATER), again=True)
    message = f"{exchange} refused {what} (HTTP {answer.status}): {answer.quoted}"
    return Fault(ProviderError(message, remedy="Check EXCHANGE, symbol and range."), again=False)


def unknown_symbol(exchange: str, what: str) -> UsageError:
    """An exchange without this pair."""
    return UsageError(
        f"{exchange} has no {what}", remedy="Name a pair it trades for cash, or another --exchange."
    )
