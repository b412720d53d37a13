"""How far an account is from its floors: the figures of `ftmo status`, the Risk screen and the bot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.jsonio import iso_z, plain
from tradingai.engine.risk.ftmo import (
    Floors,
    FtmoRules,
    FtmoState,
    Objective,
    floors,
    floors_after_reset,
    is_below,
    objective,
)
from tradingai.engine.risk.guard import GuardState, Reading, RiskConfig
from tradingai.engine.risk.prague import day_name, midnight_us

_MINUTE_S = 60.0


class FloorDistance(NamedTuple):
    """One floor."""

    name: str
    fraction: float
    """Of the initial balance, below what the floor is measured from."""
    at: float
    left: float
    """Equity minus floor: what may be lost from here. Negative when it is crossed."""
    room: float
    """``left`` as a share of the whole allowance, 0 … 1."""
    crossed: bool


class ResetOutlook(NamedTuple):
    """The next Prague midnight, and what it would do to today's account."""

    at: str
    in_s: float
    daily_limit: float
    total_limit: float
    left: float
    """Equity minus the higher limit as the reset would set them; negative: the reset itself breaches."""
    left_to_stop: float
    would_breach: bool
    warn: bool
    """It would breach and is near."""


@dataclass(frozen=True, slots=True)
class FtmoStatus:
    """Everything an operator asks about an account, in money."""

    rules: str
    rules_as_of: str
    status: str
    since: str
    cause: str
    detail: str
    initial_balance: float
    balance: float
    equity: float
    floating: float
    equity_if_stopped: float
    day: str
    day_start: str
    day_start_balance: float
    closed_today: float
    floors: tuple[FloorDistance, ...]
    nearest: str
    """Name of the internal stop with the least money left."""
    reset: ResetOutlook
    objective: Objective

    def as_json(self) -> dict[str, Any]:
        """The document of `tradingai ftmo status --json`."""
        document = {name: getattr(self, name) for name in self.__slots__}
        document["floors"] = [floor._asdict() for floor in self.floors]
        document["reset"], document["objective"] = self.reset._asdict(), self.objective._asdict()
        result: dict[str, Any] = plain(document)
        return result


def ftmo_status(
    guard: GuardState, account: FtmoState, config: RiskConfig, reading: Reading, equity_if_stopped: float
) -> FtmoStatus:
    """The projection of guard and account at ``reading``; ``equity_if_stopped`` as for ``entry_refusal``."""
    distances = floor_distances(account, config.rules, reading.equity)
    stops = [floor for floor in distances if floor.name.endswith("stop")]
    return FtmoStatus(
        rules=config.rules.name,
        rules_as_of=config.rules.rules_as_of,
        status=guard.status.value,
        since=iso_z(us_to_datetime(guard.since_us)),
        cause=guard.cause,
        detail=guard.detail,
        initial_balance=account.initial_balance,
        balance=reading.balance,
        equity=reading.equity,
        floating=reading.equity - reading.balance,
        equity_if_stopped=equity_if_stopped,
        day=day_name(account.day),
        day_start=iso_z(us_to_datetime(midnight_us(account.day))),
        day_start_balance=account.day_start_balance,
        closed_today=reading.balance - account.day_start_balance,
        floors=distances,
        nearest=min(stops, key=lambda floor: floor.left).name,
        reset=reset_outlook(account, config, reading),
        objective=objective(account, config.rules, reading.balance, flat=reading.priced_at_us is None),
    )


def floor_distances(account: FtmoState, rules: FtmoRules, equity: float) -> tuple[FloorDistance, ...]:
    """Daily stop, daily limit, total stop, total limit, each with the money left to it."""
    now = floors(account, rules)
    part = rules.internal_fraction
    rows: Sequence[tuple[str, float, float]] = (
        ("daily stop", part * rules.daily_loss, now.daily_stop),
        ("daily limit", rules.daily_loss, now.daily_limit),
        ("total stop", part * rules.max_loss, now.total_stop),
        ("total limit", rules.max_loss, now.total_limit),
    )
    initial = account.initial_balance
    return tuple(_distance(name, fraction, at, equity, initial) for name, fraction, at in rows)


def _distance(name: str, fraction: float, at: float, equity: float, initial: float) -> FloorDistance:
    left = equity - at
    room = min(1.0, max(0.0, left / (fraction * initial)))
    return FloorDistance(name, fraction, at, left, room, is_below(equity, at, initial))


def reset_outlook(account: FtmoState, config: RiskConfig, reading: Reading) -> ResetOutlook:
    """What the next midnight would do if it found today's balance and equity.

    The limit is set from the balance, so a floating loss carried over midnight may breach at the reset.
    """
    later: Floors = floors_after_reset(account, config.rules, reading.balance)
    limit = max(later.daily_limit, later.total_limit)
    in_s = (account.next_reset_us - reading.at_us) / 1e6
    breaches = is_below(reading.equity, limit, account.initial_balance)
    return ResetOutlook(
        at=iso_z(us_to_datetime(account.next_reset_us)),
        in_s=in_s,
        daily_limit=later.daily_limit,
        total_limit=later.total_limit,
        left=reading.equity - limit,
        left_to_stop=reading.equity - later.stop,
        would_breach=breaches,
        warn=breaches and in_s <= config.reset_warning_minutes * _MINUTE_S,
    )
