"""Whether the live home's execution costs were measured, and recently: they are read, not rehearsed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.decision.configure import execution_costs
from tradingai.engine.risk.costs import SESSIONS, ExecutionCosts, Session
from tradingai.engine.store.execution_metrics import NAME, read_execution_metrics
from tradingai.rehearsals.stage import Finding, Stage

Part = Literal["spread", "slippage"]
PARTS: Final[tuple[Part, ...]] = ("spread", "slippage")
MOST_DAYS: Final = 30
"""A measurement that is older is not recent."""
MEASURE: Final = "Measure them: `tradingai execution measure` (or `execution import` of an MT5 export)."


async def rehearse(stage: Stage) -> Finding:
    """Every coin in every session has measured costs, none older than MOST_DAYS."""
    finding = Finding(remedy=MEASURE)
    metrics = read_execution_metrics(stage.live)
    costs = execution_costs(stage.settings, metrics)
    finding.steps.append(f"data/{NAME} of the live home was read")
    finding.measured = {
        "measured": metrics is not None,
        "source": costs.source,
        "measured_at": costs.measured_at,
        "limit_days": MOST_DAYS,
    }
    if metrics is None:
        finding.failures.append(
            f"not measured: spread {costs.default_spread_bps:g} bps and slippage "
            f"{costs.default_slippage_bps:g} bps are the settings' defaults"
        )
        return finding
    _judge_age(finding, costs, stage.clock.now())
    missing = {
        (symbol, part): [name for name in SESSIONS if _is_default(costs, symbol, name, part)]
        for symbol in stage.settings.symbols
        for part in PARTS
    }
    cells = len(missing) * len(SESSIONS)
    left = sum(map(len, missing.values()))
    finding.measured["measured_cells"] = f"{cells - left} of {cells}"
    words = [_words(symbol, part, names) for (symbol, part), names in missing.items() if names]
    finding.expect(not words, f"not measured, so that defaults hold: {', '.join(words)}")
    finding.summary = (
        f"measured {finding.measured.get('age_days', 0):.0f} days ago ({costs.source}), spread and slippage "
        f"of {len(stage.settings.symbols)} pairs in every session"
    )
    return finding


def _is_default(costs: ExecutionCosts, symbol: str, session: Session, part: Part) -> bool:
    levels = costs.session_levels(symbol, session)
    return (levels.spread if part == "spread" else levels.slippage).is_default


def _words(symbol: str, part: Part, sessions: Sequence[Session]) -> str:
    some = ", ".join(name.replace("_", " ") for name in sessions)
    return f"{symbol} {part}" if len(sessions) == len(SESSIONS) else f"{symbol} {part} ({some})"


def _judge_age(finding: Finding, costs: ExecutionCosts, now: datetime) -> None:
    try:
        measured_at = parse_iso(str(costs.measured_at))
    except ValueError:
        finding.failures.append(f"nobody knows when: measured_at is {costs.measured_at!r}")
        return
    age = now - measured_at
    finding.measured["age_days"] = age / timedelta(days=1)
    finding.expect(
        age <= timedelta(days=MOST_DAYS),
        f"measured {age.days} days ago; at most {MOST_DAYS} days are recent",
    )
    finding.expect(age >= timedelta(), f"measured_at {costs.measured_at} is in the future")
