"""What the decision code says of a run's stored account, for the Monitor."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from tradingai.engine.core.candles import datetime_to_us, us_to_datetime
from tradingai.engine.core.settings import Settings
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.decision.ensemble import (
    OTHER_WEIGHTS,
    EnsembleConfig,
    ensemble_weights,
    made_otherwise,
    speaking_kinds,
)
from tradingai.engine.decision.state import DeskConfig, config_from_json, desk_from_json
from tradingai.engine.queries.run_snapshot import DeskFacts, RateView
from tradingai.engine.risk.limits import RateLimits, RateState, rate_use
from tradingai.engine.runtime.account_facts import position_view


class HomeDesks:
    """Accounts of one home's runs, each by the numbers its run goes by. Implements
    ``queries.monitor_views.DeskCode``.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read: tuple[Mapping[str, Any], DeskConfig] | None = None

    def desk(self, desk: Mapping[str, Any], config: Mapping[str, Any], at: datetime) -> DeskFacts:
        """The account with its rate limits at ``at``. Raises StoreError when it cannot be read."""
        state, numbers = desk_from_json(desk), self._config(config)
        paper, guard = state.paper, state.guard
        positions = sorted(paper.positions, key=lambda position: position.order.symbol)
        return DeskFacts(
            known=True,
            positions=tuple(position_view(position, numbers.costs) for position in positions),
            waiting=frozenset(order.key for order in paper.orders),
            rates=rate_view(state.rates, numbers.decision.rates, at),
            hysteresis=numbers.decision.tiers.hysteresis,
            guard=guard.status.value,
            guard_since=us_to_datetime(guard.since_us),
            guard_detail=guard.detail or guard.cause,
            closed=paper.trades,
            win_rate=paper.win_rate,
            net_r=paper.net_r,
        )

    def shares(
        self, kinds: Collection[str], config: Mapping[str, Any], rule: Mapping[str, Any] | None
    ) -> Mapping[str, float]:
        """The share of each kind of model that takes part: by the ensemble's ``rule``, the configuration in
        its artifact; None: by the run's weights, without the agent. Raises StoreError as ``desk``.
        """
        weights = self._config(config).decision.ensemble if rule is None else _weights(rule)
        speaking = speaking_kinds(kinds, agent_joins=rule is not None and bool(rule["agent_joins"]))
        return ensemble_weights(speaking, weights)

    def unfit(self, live: Iterable[tuple[str, str, str]], rule: Mapping[str, Any]) -> str:
        """Why a live ensemble says nothing of the models that are live; empty when it does.

        ``live`` are (model, version, artifact hash).
        """
        parts = [(model, version, sha256) for model, _, version, sha256 in rule["components"]]
        otherwise = made_otherwise(live, parts)
        if not otherwise and _weights(rule) != desk_config(self._settings).decision.ensemble:
            return OTHER_WEIGHTS
        return otherwise

    def _config(self, document: Mapping[str, Any]) -> DeskConfig:
        if not document:
            return desk_config(self._settings)
        if self._read is None or self._read[0] is not document:
            self._read = (document, config_from_json(document))
        return self._read[1]


def rate_view(state: RateState, limits: RateLimits, at: datetime) -> RateView:
    """How much of the limits is used at ``at``, and when the next slots are free."""
    use = rate_use(state, limits, datetime_to_us(at))
    return RateView(
        total=use.total,
        total_limit=limits.total,
        high=use.high,
        high_limit=limits.high,
        window_minutes=limits.window_minutes,
        next_total_at=_moment(use.next_total_us),
        next_high_at=_moment(use.next_high_us),
    )


def _weights(rule: Mapping[str, Any]) -> EnsembleConfig:
    """The weights in an ensemble's configuration."""
    return EnsembleConfig(tuple(rule["weights"]), tuple(rule["without_rl"]))


def _moment(us: int | None) -> datetime | None:
    return None if us is None else us_to_datetime(us)
