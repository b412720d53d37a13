"""What the risk code says of a stored account: for ``ftmo status``, the console and the bot alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.events import Event
from tradingai.engine.core.jsonio import plain
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.decision.desk import advance, leave_halted, status_of
from tradingai.engine.decision.fills import floating
from tradingai.engine.decision.orders import Position
from tradingai.engine.decision.state import (
    DeskConfig,
    DeskState,
    config_from_json,
    desk_from_json,
    open_desk,
)
from tradingai.engine.queries.risk_views import AccountChange, FloorStep, MidnightBalance, StoredAccount
from tradingai.engine.queries.run_snapshot import AccountFacts, PositionView
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.risk.ftmo import FtmoState, floors, roll_to
from tradingai.engine.risk.guard import SHORTEST_REASON, GuardStatus, RiskConfig, size_factor
from tradingai.engine.risk.prague import midnight_us, prague_day
from tradingai.engine.store.execution_metrics import read_execution_metrics


class HomeAccounts:
    """Accounts of one home, read by the numbers of its settings and its measured costs.

    Implements ``queries.risk_views.AccountCode``.
    """

    def __init__(self, settings: Settings, paths: HomePaths) -> None:
        self._settings = settings
        self._paths = paths

    def facts(self, stored: StoredAccount | None, now: datetime, *, live: bool) -> AccountFacts:
        """The account at ``now``; without one, the fresh account that the first run would open.

        A live account passes the Prague midnights up to ``now``, also while no engine runs; another one stays
        where its run left it. Raises StoreError for an account, ArtifactError for costs that cannot be read.
        """
        config = desk_config(self._settings, read_execution_metrics(self._paths))
        now_us = datetime_to_us(now)
        if stored is None:
            return _facts(None, None, open_desk(config, now_us), config, now_us)
        state, at_us = desk_from_json(stored.desk), datetime_to_us(stored.at)
        if live:
            at_us = max(at_us, now_us)
            state = rolled(state, config, at_us)
        return _facts(stored.run, stored.at, state, config, at_us)

    def floor_steps(
        self, changes: Sequence[AccountChange], midnights: Sequence[MidnightBalance]
    ) -> tuple[FloorStep, ...]:
        """The internal stops from each time on, oldest first; see ``AccountCode.floor_steps``."""
        return floor_steps(changes, midnights)

    def midnights(self, after: datetime, until: datetime) -> tuple[datetime, ...]:
        """The Prague midnights after the one time, up to and with the other."""
        first, last = prague_day(datetime_to_us(after)) + 1, prague_day(datetime_to_us(until))
        return tuple(us_to_datetime(midnight_us(day)) for day in range(first, last + 1))


def rolled(state: DeskState, config: DeskConfig, at_us: int) -> DeskState:
    """The account once the Prague midnights up to ``at_us`` have passed."""
    return advance(state, config, {}, at_us).state


def _facts(
    run: str | None, as_of: datetime | None, state: DeskState, config: DeskConfig, at_us: int
) -> AccountFacts:
    paper, costs = state.paper, config.costs
    leaving, why, remedy = _leaving(state, config, at_us)
    return AccountFacts(
        document=plain({"run": run, "as_of": as_of, **status_of(state, config, at_us).as_json()}),
        positions=tuple(
            position_view(position, costs)
            for position in sorted(paper.positions, key=lambda p: p.order.symbol)
        ),
        risk_per_trade=config.paper.risk_fraction * state.ftmo.initial_balance,
        risk_share=config.paper.risk_fraction,
        size_factor=size_factor(state.guard, config.risk),
        reduced_factor=config.risk.back_off.factor,
        win_rate=paper.win_rate,
        closed=paper.trades,
        net_r=paper.net_r,
        costs=costs.label,
        spread_bps=costs.default_spread_bps,
        slippage_bps=costs.default_slippage_bps,
        commission_rate=costs.commission_rate,
        leaving=leaving,
        leaving_why=why,
        leaving_remedy=remedy,
    )


def released(
    state: DeskState | None, config: DeskConfig, at_us: int, reason: str, who: str
) -> tuple[DeskState, tuple[Event, ...], bool]:
    """(account, events, whether it is a fresh one) after HALTED.

    A breached account, and one at its total stop, can only be replaced; what was decided and emitted is
    remembered by either.

    ``state`` None is an account that cannot be read. Raises UsageError when there is nothing to leave, the
    reason is too short, or what halted the account still holds.
    """
    if state is None:
        return open_desk(config, at_us), (), True
    try:
        after, events = leave_halted(state, config, at_us, reason=reason, who=who)
    except UsageError:
        if state.ftmo.breach is None and state.guard.cause != "total_stop":
            raise
        fresh = open_desk(config, at_us)
        return replace(fresh, rates=state.rates, tiers=state.tiers, seen_us=state.seen_us), (), True
    return after, events, False


def _leaving(
    state: DeskState, config: DeskConfig, at_us: int
) -> tuple[Literal["", "on", "fresh", "refused"], str, str]:
    """What leaving HALTED now would do, and why it would be refused with what to do then."""
    if state.guard.status is not GuardStatus.HALTED:
        return "", "", ""
    try:
        _, _, fresh = released(state, config, at_us, "?" * SHORTEST_REASON, "")
    except UsageError as error:
        return "refused", error.message, error.remedy
    return "fresh" if fresh else "on", "", ""


def position_view(position: Position, costs: ExecutionCosts) -> PositionView:
    """An open position at its newest mark."""
    order, money = position.order, floating(position, position.mark, costs)
    return PositionView(
        key=order.key,
        symbol=order.symbol,
        side=order.side.value,
        quantity=order.quantity,
        entry_at=us_to_datetime(position.entry_us),
        entry=position.entry,
        price=position.mark,
        stop=position.stop,
        target=position.target,
        time_exit_at=us_to_datetime(position.due_us),
        floating=money,
        risk_money=order.risk_money,
        r=money / order.risk_money,
    )


def floor_steps(
    changes: Sequence[AccountChange], midnights: Sequence[MidnightBalance]
) -> tuple[FloorStep, ...]:
    """The internal stops from each time on, as account changes and Prague's midnights set them.

    A midnight whose balance is not known leaves the stops unknown until the next one that is; a total floor
    that trails the midnights stays unknown until the account changes. Raises StoreError for an account or
    numbers that cannot be read.
    """
    steps: list[FloorStep] = []
    account: FtmoState | None = None
    config, missed = RiskConfig(), False
    moments: list[AccountChange | MidnightBalance] = sorted(
        (*changes, *midnights), key=lambda item: (item.at, isinstance(item, AccountChange))
    )
    for item in moments:
        if isinstance(item, AccountChange):
            account, missed = desk_from_json(item.desk).ftmo, False
            config = config_from_json(item.config).risk if item.config else config
        elif item.balance is None or account is None:
            missed = True
            steps.append(FloorStep(item.at, None, None))
            continue
        else:
            account = roll_to(account, config.rules, datetime_to_us(item.at), item.balance)[0]
        now = floors(account, config.rules)
        trails = config.rules.max_loss_mode == "trailing"
        steps.append(FloorStep(item.at, now.daily_stop, None if missed and trails else now.total_stop))
    return tuple(steps)
