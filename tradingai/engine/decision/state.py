"""Everything a run of the scan loop carries from minute to minute, as one frozen value stored whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tradingai.engine.core.errors import StoreError
from tradingai.engine.core.jsonio import plain
from tradingai.engine.decision.orders import PaperConfig
from tradingai.engine.decision.paper import PaperState, open_paper
from tradingai.engine.decision.records import DecisionConfig, Side
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.risk.ftmo import FtmoState, open_account
from tradingai.engine.risk.guard import GuardState, RiskConfig
from tradingai.engine.risk.limits import RateState


@dataclass(frozen=True, slots=True)
class DeskConfig:
    """All numbers that decisions, fills and the guard go by."""

    decision: DecisionConfig = field(default_factory=DecisionConfig)
    paper: PaperConfig = field(default_factory=PaperConfig)
    risk: RiskConfig = field(default_factory=RiskConfig)
    costs: ExecutionCosts = field(default_factory=ExecutionCosts)

    def as_json(self) -> dict[str, Any]:
        """Every number with JSON leaves; floats come back bit for bit."""
        document: dict[str, Any] = plain(asdict(self))
        return document


@dataclass(frozen=True, slots=True)
class TierMemory:
    """A coin's last scored side and tier, which hysteresis holds on to."""

    side: Side
    tier: Tier | None


@dataclass(frozen=True, slots=True)
class DeskState:
    """Accounts, guard, rate counters, tiers, and the newest candle each coin decided on."""

    paper: PaperState
    ftmo: FtmoState
    guard: GuardState
    rates: RateState = field(default_factory=RateState)
    tiers: Mapping[str, TierMemory] = field(default_factory=dict)
    seen_us: Mapping[str, int] = field(default_factory=dict)

    def with_account(self, paper: PaperState, ftmo: FtmoState, guard: GuardState) -> DeskState:
        """The desk with this account, everything else as it is; the same desk when that changes nothing."""
        if paper is self.paper and ftmo is self.ftmo and guard is self.guard:
            return self
        return DeskState(paper, ftmo, guard, self.rates, self.tiers, self.seen_us)

    def having_seen(self, tiers: Mapping[str, TierMemory], seen_us: Mapping[str, int]) -> DeskState:
        """The desk with these memories of its coins, everything else as it is."""
        return DeskState(self.paper, self.ftmo, self.guard, self.rates, tiers, seen_us)

    def as_json(self) -> dict[str, Any]:
        """The document the store keeps; floats come back bit for bit."""
        document: dict[str, Any] = plain(asdict(self))
        return document


def open_desk(config: DeskConfig, at_us: int) -> DeskState:
    """A fresh run at ``at_us``: initial balance, ACTIVE, nothing counted."""
    balance = config.risk.initial_balance
    return DeskState(
        paper=open_paper(balance),
        ftmo=open_account(balance, at_us, phase=config.risk.phase),
        guard=GuardState(since_us=at_us),
    )


def desk_from_json(document: Mapping[str, Any]) -> DeskState:
    """The inverse of :meth:`DeskState.as_json`. Raises StoreError for anything else."""
    try:
        return _adapter().validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StoreError(
            f"the stored account cannot be read: {place}: {first['msg']} ({error.error_count()} faults)",
            remedy="Restore the database from a backup, or open a fresh account with `tradingai ftmo reset`.",
        ) from error


def config_from_json(document: Mapping[str, Any]) -> DeskConfig:
    """The inverse of :meth:`DeskConfig.as_json`. Raises StoreError for anything else."""
    try:
        return _config_adapter().validate_python(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise StoreError(
            f"stored numbers of a run cannot be read: {place}: {first['msg']}",
            remedy="Use the version of tradingai that wrote them.",
        ) from error


@cache
def _config_adapter() -> TypeAdapter[DeskConfig]:
    return TypeAdapter(DeskConfig)


@cache
def _adapter() -> TypeAdapter[DeskState]:
    return TypeAdapter(DeskState)
