"""From settings and measured execution costs to the numbers that decisions go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tradingai.engine.core.settings import Settings
from tradingai.engine.decision.ensemble import EnsembleConfig
from tradingai.engine.decision.orders import PaperConfig
from tradingai.engine.decision.records import DecisionConfig
from tradingai.engine.decision.state import DeskConfig
from tradingai.engine.decision.tiers import TierConfig
from tradingai.engine.risk.costs import ExecutionCosts, parse_pairs
from tradingai.engine.risk.ftmo import ONE_STEP, TWO_STEP, FtmoRules
from tradingai.engine.risk.guard import BackOff, RiskConfig
from tradingai.engine.risk.limits import RateLimits


def desk_config(settings: Settings, metrics: Mapping[str, Any] | None = None) -> DeskConfig:
    """Everything a run of the loop goes by. ``metrics`` is ``execution_metrics.json``, None for the defaults.

    Raises ArtifactError when ``metrics`` cannot be read.
    """
    return DeskConfig(
        decision=DecisionConfig(
            threshold=settings.confidence_threshold,
            max_candle_age_s=settings.max_candle_age_s,
            ensemble=EnsembleConfig(weights=settings.ensemble_weights),
            tiers=TierConfig(hysteresis=settings.tier_hysteresis),
            rates=RateLimits(settings.max_signals_per_hour, settings.max_signals_per_hour_high),
        ),
        paper=PaperConfig(
            risk_fraction=settings.paper_risk_pct / 100,
            stop_atr=settings.paper_stop_atr,
            target_atr=settings.paper_target_atr,
            time_exit_minutes=settings.paper_time_exit_minutes,
        ),
        risk=RiskConfig(
            rules=ftmo_rules(settings),
            initial_balance=settings.paper_balance,
            phase=settings.ftmo_phase,
            back_off=BackOff(
                settings.backoff_losses, settings.backoff_window_minutes, settings.backoff_risk_factor
            ),
            equity_max_age_s=settings.ftmo_equity_max_age_s,
            reset_warning_minutes=settings.ftmo_reset_warning_minutes,
        ),
        costs=execution_costs(settings, metrics),
    )


def ftmo_rules(settings: Settings) -> FtmoRules:
    """The rules of the account the settings name."""
    if settings.ftmo_account == "1-step":
        return replace(
            ONE_STEP,
            daily_loss=settings.ftmo_1step_daily_loss_pct / 100,
            max_loss=settings.ftmo_1step_max_loss_pct / 100,
            targets=(settings.ftmo_1step_target_pct / 100, None),
            best_day_share=settings.ftmo_1step_best_day_pct / 100,
            internal_fraction=settings.ftmo_stop_fraction,
        )
    return replace(
        TWO_STEP,
        daily_loss=settings.ftmo_2step_daily_loss_pct / 100,
        max_loss=settings.ftmo_2step_max_loss_pct / 100,
        max_loss_mode="trailing" if settings.ftmo_2step_trailing else "static",
        targets=(settings.ftmo_2step_target_1_pct / 100, settings.ftmo_2step_target_2_pct / 100, None),
        min_trading_days=settings.ftmo_2step_min_days,
        internal_fraction=settings.ftmo_stop_fraction,
    )


def execution_costs(settings: Settings, metrics: Mapping[str, Any] | None) -> ExecutionCosts:
    """The execution model: what was measured, the settings' defaults for the rest."""
    defaults = ExecutionCosts(
        default_spread_bps=settings.default_spread_bps,
        default_slippage_bps=settings.default_slippage_bps,
        commission_rate=settings.ftmo_commission_pct / 100,
        latency_ms=settings.latency_budget_ms,
    )
    if metrics is None:
        return defaults
    measured_at = metrics.get("measured_at")
    return replace(
        defaults,
        pairs=parse_pairs(metrics, defaults.defaults),
        source=str(metrics.get("source", "unknown")),
        measured_at=None if measured_at is None else str(measured_at),
    )
