"""What goes into a decision and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, NamedTuple

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.jsonio import canonical, iso_z, plain
from tradingai.engine.decision.ensemble import EnsembleConfig
from tradingai.engine.decision.tiers import Tier, TierConfig
from tradingai.engine.risk.limits import RateLimits


class Side(StrEnum):
    """Which way a trade bets."""

    LONG = "long"
    SHORT = "short"

    @property
    def sign(self) -> int:
        """+1 for long, −1 for short."""
        return 1 if self is Side.LONG else -1


class Reason(StrEnum):
    """Why a decision ended as it did: the first that applies, in this order."""

    NO_NEW_CANDLE = "no_new_candle"
    STALE = "stale"
    BELOW_THRESHOLD = "below_threshold"
    KILLED = "killed"
    RATE_LIMITED = "rate_limited"
    RISK_BLOCKED = "risk_blocked"
    POSITION_OPEN = "position_open"
    EMITTED = "emitted"


REASONS: Final = tuple(Reason)


@dataclass(frozen=True, slots=True)
class DecisionConfig:
    """What decisions go by."""

    threshold: float = 0.75
    max_candle_age_s: float = 180.0
    """Since the newest candle closed."""
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    tiers: TierConfig = field(default_factory=TierConfig)
    rates: RateLimits = field(default_factory=RateLimits)


class CoinInput(NamedTuple):
    """One coin at one scan."""

    symbol: str
    candle_us: int | None
    """Open time of the newest closed candle; None when there is none."""
    close: float
    """Of that candle."""
    atr: float
    """ATR(14) at that candle, in the price's unit."""
    p_up: float | None
    """Calibrated P(up in 15 min) of the ensemble; None when there is none, NaN when a model failed."""
    note: str = ""
    """Why ``p_up`` is missing."""
    outputs: Mapping[str, float] = {}
    """Calibrated P(up) of each promoted model."""
    versions: Mapping[str, str] = {}
    """Model id to version."""
    input_sha256: str = ""
    """Of the raw closed candles this scan saw."""


class Scan(NamedTuple):
    """Everything one scan decides on."""

    at_us: int
    coins: tuple[CoinInput, ...]
    threshold: float | None = None
    """The runtime's override; None takes the configured one."""
    killed: bool = False
    kill_source: str = ""
    mode: str = "dry-run"
    latency_ms: float = 0.0
    """Measured from the scan's due time to this decision; shown, never decided on."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What an emitted decision tells the world. Prices are planned; the fill has its own."""

    key: str
    symbol: str
    side: Side
    tier: Tier | None
    confidence: float
    entry: float
    take_profit: float
    stop_loss: float
    reward_risk: float
    quantity: float
    risk_money: float
    spread_bps: float
    slip_bps: float
    latency_ms: float
    mode: str


@dataclass(frozen=True, slots=True)
class Decision:
    """One coin at one scan, with exactly one reason."""

    symbol: str
    at_us: int
    candle_us: int | None
    reason: Reason
    detail: str
    p_up: float | None
    confidence: float | None
    side: Side | None
    tier: Tier | None
    threshold: float
    size_factor: float
    outputs: Mapping[str, float]
    versions: Mapping[str, str]
    input_sha256: str
    failed: bool = False
    """A rule could not be evaluated; ``reason`` is that rule's."""
    signal: Signal | None = None

    @property
    def emitted(self) -> bool:
        """Whether there is a signal."""
        return self.reason is Reason.EMITTED

    def as_json(self) -> dict[str, Any]:
        """Every field with JSON leaves, times as ISO-8601 Z."""
        document = {name: getattr(self, name) for name in self.__slots__}
        del document["at_us"], document["candle_us"]
        document["at"] = us_to_datetime(self.at_us)
        document["candle"] = None if self.candle_us is None else us_to_datetime(self.candle_us)
        if self.signal is not None:
            document["signal"] = {name: getattr(self.signal, name) for name in self.signal.__slots__}
        result: dict[str, Any] = plain(document)
        return result

    def canonical(self) -> bytes:
        """One line of ``decisions_sha256``: :meth:`as_json` without the mode and the measured latency."""
        document = self.as_json()
        if document["signal"] is not None:
            del document["signal"]["mode"], document["signal"]["latency_ms"]
        return canonical(document)


def decisions_sha256(decisions: Iterable[Decision]) -> str:
    """SHA-256 over the canonical line of each decision, in their order, each ended by a newline."""
    total = sha256()
    for decision in decisions:
        total.update(decision.canonical() + b"\n")
    return total.hexdigest()


def signal_key(symbol: str, candle_us: int) -> str:
    """The name a signal has for ever: one coin decides once on a candle."""
    return f"{symbol}@{iso_z(us_to_datetime(candle_us))}"
