"""What a trade costs: spread, slippage, commission, swap, and the latency before it is filled.

Candle prices are taken as mid prices. A buy is filled half a spread above, a sale half a spread below, and
market orders slip further the same way. Spread and slippage come from ``execution_metrics.json`` where they
were measured for the pair and session, else from marked defaults.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any, Final, Literal, NamedTuple, TypeVar

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.risk.draws import keyed_normal

Session = Literal["tokyo", "london", "new_york"]
SESSIONS: Final[tuple[Session, ...]] = ("tokyo", "london", "new_york")
SCHEMA: Final = 2
"""Of ``execution_metrics.json``."""
BPS: Final = 1e-4
"""One basis point as a fraction."""
_SESSION_US: Final = 8 * 3_600_000_000
_NORMAL_P90: Final = 1.2815515655446004
Money = TypeVar("Money", float, Floats)


def session_of(ts_us: int) -> Session:
    """Tokyo 00–08, London 08–16, New York 16–24, all UTC."""
    return SESSIONS[ts_us // _SESSION_US % 3]


@dataclass(frozen=True, slots=True)
class CostLevel:
    """A cost in basis points as it was measured: mean, median and 90th percentile over ``samples``."""

    mean: float
    p50: float
    p90: float
    samples: int = 0

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (self.mean, self.p50, self.p90)):
            raise ValueError(f"a cost level that is not a number: {self}")

    @classmethod
    def constant(cls, bps: float) -> CostLevel:
        """Always the same."""
        return cls(bps, bps, bps)

    @property
    def is_default(self) -> bool:
        """Whether nothing was measured: a level without samples is an assumption."""
        return self.samples == 0

    @property
    def stressed(self) -> float:
        """What the guard reckons with: the 90th percentile, or the mean where that is higher."""
        return max(self.mean, self.p90)

    def draw(self, normal: float) -> float:
        """The cost for a standard normal number: log-normal with exactly this mean and this p90 / p50 ratio.

        mean · exp(σz − σ²/2) with σ = ln(p90/p50) / 1.2816. Constant where p90 = p50, and where a
        percentile is not positive (no log-normal has such a one).
        """
        if self.p50 <= 0 or self.p90 <= self.p50:
            return self.mean
        sigma = math.log(self.p90 / self.p50) / _NORMAL_P90
        return self.mean * math.exp(sigma * normal - sigma * sigma / 2)


class Costs(NamedTuple):
    """Full bid-ask spread and slippage a side of one fill, in basis points."""

    spread_bps: float
    slippage_bps: float

    @property
    def market_bps(self) -> float:
        """How far from mid a market order is filled."""
        return self.spread_bps / 2 + self.slippage_bps

    @property
    def limit_bps(self) -> float:
        """How far from mid a limit order is filled: it cannot slip."""
        return self.spread_bps / 2


@dataclass(frozen=True)
class SessionCosts:
    """Measured spread and slippage of one pair in one session."""

    spread: CostLevel
    slippage: CostLevel

    @cached_property
    def expected(self) -> Costs:
        """The means."""
        return Costs(self.spread.mean, self.slippage.mean)

    @cached_property
    def stressed(self) -> Costs:
        """What the guard reckons with."""
        return Costs(self.spread.stressed, self.slippage.stressed)


@lru_cache(maxsize=64)
def default_costs(spread_bps: float = 12.0, slippage_bps: float = 3.0) -> SessionCosts:
    """Costs that nobody measured: always the same, over no samples."""
    return SessionCosts(CostLevel.constant(spread_bps), CostLevel.constant(slippage_bps))


@dataclass(frozen=True, slots=True)
class ExecutionCosts:
    """The execution model. ``pairs`` holds what was measured; everything else has the defaults."""

    pairs: Mapping[str, Mapping[str, SessionCosts]] = field(default_factory=dict)
    source: str = "defaults"
    measured_at: str | None = None
    default_spread_bps: float = 12.0
    default_slippage_bps: float = 3.0
    commission_rate: float = 0.000325
    """Of the notional, a side: FTMO's crypto commission since 26 Jul 2025."""
    latency_ms: float = 500.0
    """Assumed between a decision and the market: the budget, not what was measured, so that a replay of the
    same inputs fills the same."""
    swap_bps_per_night: float = 0.0
    """Charged on the notional at each Prague midnight a position is open."""
    seed: int = 7

    @property
    def latency_us(self) -> int:
        """The assumed latency in microseconds."""
        return round(self.latency_ms * 1000)

    @property
    def label(self) -> str:
        """``defaults``, or ``measured 2025-11-10``: for a person."""
        return self.source if self.measured_at is None else f"measured {self.measured_at[:10]}"

    def age_days(self, now: datetime) -> float | None:
        """Days since the newest sample of the oldest measurement that holds; None for the defaults.

        A day without a time (``2025-11-10``) counts from its midnight UTC.
        """
        if self.measured_at is None:
            return None
        try:
            measured = datetime.fromisoformat(self.measured_at)
        except ValueError:
            return None
        measured = measured.replace(tzinfo=UTC) if measured.tzinfo is None else measured
        return (now - measured).total_seconds() / 86_400

    def is_default(self, symbol: str, session: Session) -> bool:
        """Whether nothing was measured for this pair and session."""
        return session not in self.pairs.get(symbol, {})

    def levels(self, symbol: str, ts_us: int) -> SessionCosts:
        """The levels that hold for ``symbol`` at ``ts_us``."""
        return self.session_levels(symbol, session_of(ts_us))

    def session_levels(self, symbol: str, session: Session) -> SessionCosts:
        """The levels that hold for ``symbol`` in ``session``."""
        sessions = self.pairs.get(symbol)
        if sessions is None or session not in sessions:
            return self.defaults
        return sessions[session]

    @property
    def defaults(self) -> SessionCosts:
        """What holds where nothing was measured."""
        return default_costs(self.default_spread_bps, self.default_slippage_bps)

    def expected(self, symbol: str, ts_us: int) -> Costs:
        """Mean costs: what a signal announces and a mark reckons with."""
        return self.levels(symbol, ts_us).expected

    def stressed(self, symbol: str, ts_us: int) -> Costs:
        """What the guard reckons with when it asks what all stops hit would cost."""
        return self.levels(symbol, ts_us).stressed

    def drawn(self, symbol: str, ts_us: int) -> Costs:
        """The costs of a fill at ``ts_us``: draws keyed by (seed, symbol, ts), whatever was filled before."""
        levels = self.levels(symbol, ts_us)
        return Costs(
            levels.spread.draw(keyed_normal(self.seed, "spread", symbol, ts_us)),
            levels.slippage.draw(keyed_normal(self.seed, "slippage", symbol, ts_us)),
        )

    def commission(self, quantity: Money, price: Money) -> Money:
        """Commission of one side in money: rate × quantity × price."""
        return self.commission_rate * abs(quantity) * price

    def as_document(self) -> dict[str, Any]:
        """The part that ``execution_metrics.json`` holds."""
        return {
            "schema": SCHEMA,
            "source": self.source,
            "measured_at": self.measured_at,
            "pairs": {
                symbol: {
                    session: {"spread_bps": asdict(costs.spread), "slippage_bps": asdict(costs.slippage)}
                    for session, costs in sessions.items()
                }
                for symbol, sessions in self.pairs.items()
            },
        }


def parse_pairs(
    document: Mapping[str, Any], defaults: SessionCosts | None = None
) -> dict[str, dict[str, SessionCosts]]:
    """``pairs`` of an ``execution_metrics.json`` document, to put into ``ExecutionCosts.pairs``.

    A spread or slippage that is null was not measured: it is that of ``defaults``. Raises ArtifactError when
    something in it cannot be a cost, and for a document of a newer version.
    """
    defaults = defaults or default_costs()
    try:
        _refuse_newer(int(document.get("schema", SCHEMA)))
        return {
            str(symbol): {
                str(name): _session_costs(str(name), cell, defaults) for name, cell in sessions.items()
            }
            for symbol, sessions in document["pairs"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            f"the execution metrics cannot be read ({type(error).__name__}: {error})",
            remedy="`tradingai execution rollback` goes back to the file before, or measure again.",
        ) from error


def _refuse_newer(schema: int) -> None:
    if schema > SCHEMA:
        raise ValueError(f"schema {schema} is newer than {SCHEMA}, which this version reads")


def _session_costs(session: str, cell: Mapping[str, Any], defaults: SessionCosts) -> SessionCosts:
    if session not in SESSIONS:
        raise ValueError(f"session {session!r} is none of {', '.join(SESSIONS)}")
    spread = _level(cell["spread_bps"], defaults.spread)
    if min(spread.mean, spread.p50, spread.p90) < 0:
        raise ValueError(f"a negative spread: {spread}")
    return SessionCosts(spread, _level(cell["slippage_bps"], defaults.slippage))


def _level(part: Mapping[str, Any] | None, default: CostLevel) -> CostLevel:
    if part is None:
        return default
    return CostLevel(float(part["mean"]), float(part["p50"]), float(part["p90"]), int(part["samples"]))


def filled(mid: Money, direction: Money, away_bps: float) -> Money:
    """The price of a fill ``away_bps`` worse than ``mid``; ``direction`` is +1 for a buy, −1 for a sale."""
    return mid * (1 + direction * away_bps * BPS)
