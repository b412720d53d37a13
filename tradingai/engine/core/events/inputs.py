"""What the scan loop works on: candles as they arrive, and the models that read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tradingai.engine.core.events.base import Event


@dataclass(frozen=True, kw_only=True)
class FeedFailed(Event):
    """The provider gave no candles of a coin; it is asked again after a pause."""

    level: ClassVar[str] = "warning"
    symbol: str
    provider: str
    reason: str
    failures: int
    retry_in_s: float


@dataclass(frozen=True, kw_only=True)
class FeedRecovered(Event):
    """The provider answers again after an outage."""

    symbol: str
    provider: str
    failures: int
    outage_s: float
    candles: int


@dataclass(frozen=True, kw_only=True)
class CandlesRejected(Event):
    """Candles that a provider gave and that were not asked for: old, from the future, or no whole minutes."""

    level: ClassVar[str] = "warning"
    symbol: str
    provider: str
    count: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class CandlesRevised(Event):
    """A provider changed candles it had given as closed, or gave some after their minute was passed over.

    What was decided on stays as it was: the first closed version, which is the one that is kept.
    """

    level: ClassVar[str] = "warning"
    symbol: str
    provider: str
    count: int
    first: str
    """Open time of the oldest of them."""
    largest_bps: float
    """The largest change of a close among them, in basis points; 0 for what came late."""
    total: int
    """All of this coin since the feed was opened."""


@dataclass(frozen=True, kw_only=True)
class ProviderClockDiffers(Event):
    """The provider's clock and this machine's disagree; a candle counts as closed when both say so."""

    level: ClassVar[str] = "warning"
    agreed_s: ClassVar[float] = 2.0
    """They agree when they are not further apart: a provider's answer tells whole seconds."""
    provider: str
    ahead_s: float
    """This machine's clock minus the provider's, in seconds; about 0 when they agree again."""


@dataclass(frozen=True, kw_only=True)
class CandlesCleaned(Event):
    """Candles that arrived were not as they should be: what was filled, repaired or left out."""

    level: ClassVar[str] = "warning"
    symbol: str
    detail: str
    at: str


@dataclass(frozen=True, kw_only=True)
class LiveCandlesCompacted(Event):
    """Complete days of live candles were written into the yearly file."""

    symbol: str
    rows: int
    until: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ExecutionCostsChanged(Event):
    """Other execution costs hold from now on: measured, or rolled back to. A running engine keeps its own."""

    file: str
    """``defaults`` when nothing measured holds any more."""
    previous: str
    source: str
    who: str


@dataclass(frozen=True, kw_only=True)
class ModelWarmed(Event):
    """A promoted model joined the loop; its state comes from the ``bars`` candles up to ``until``."""

    symbol: str
    model: str
    version: str
    bars: int
    until: str


@dataclass(frozen=True, kw_only=True)
class ModelRefused(Event):
    """A promoted model cannot be used; the loop goes on without it."""

    level: ClassVar[str] = "error"
    model: str
    version: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelFailed(Event):
    """A model gave no number. Nothing is decided on it until it does again."""

    level: ClassVar[str] = "error"
    symbol: str
    model: str
    version: str
    error: str
    at: str
