"""Rehearsal: the hourly limits, on a scan sequence that would exceed them, beside a twin without limits."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.files import write_json
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.records import Decision, Reason
from tradingai.engine.decision.state import DeskConfig, open_desk
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.limits import RateLimits
from tradingai.engine.runtime.replay import ReplayInputs, plan_replay, read_inputs, stored_scans
from tradingai.engine.runtime.step import Controls, Prepared, ScanStep
from tradingai.rehearsals.stage import LOWEST_THRESHOLD, Finding, Stage

HOURS: Final = 4
"""Candles that are scanned with each confidence."""
INTERVAL_S: Final = 60
HELD_MINUTES: Final = 1
"""How long a rehearsed position is held: with the settings' time few coins could not reach a limit."""
RISK_FRACTION: Final = 1e-6
"""Of the balance, a rehearsed trade: its losses must not bring in the guard."""
UNLIMITED: Final = RateLimits(1_000_000, 1_000_000)
HIGH: Final = 0.95
MEDIUM: Final = 0.70
APART: Final = 0.001
"""Between the confidences of two coins in a scan, so that they have a rank."""
EMISSIONS: Final = "emissions.json"
_WINDOW_US: Final = 60 * MINUTE_US


class Emission(NamedTuple):
    """A signal that was emitted."""

    at_us: int
    symbol: str
    high: bool


@dataclass(slots=True)
class Emitted:
    """What one account emitted, and what its limits held back."""

    signals: list[Emission] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)
    out_of_rank: int = 0
    """Decisions that a limit held back although one with less confidence was emitted in the same scan."""

    def add(self, at_us: int, decisions: Sequence[Decision]) -> None:
        """One more scan."""
        self.reasons.update(decision.reason.value for decision in decisions)
        passed = [one for one in decisions if one.emitted]
        self.signals += [Emission(at_us, one.symbol, one.tier is Tier.HIGH) for one in passed]
        least = min((one.confidence or 0.0 for one in passed), default=1.0)
        self.out_of_rank += sum(
            one.reason is Reason.RATE_LIMITED and (one.confidence or 0.0) > least for one in decisions
        )

    def most(self, *, high: bool) -> int:
        """The most signals (``high``: of the high tier) in any 60 minutes, counted from the times alone."""
        return most_within([one.at_us for one in self.signals if one.high or not high], _WINDOW_US)


def most_within(times: Sequence[int], window: int) -> int:
    """The most of the ascending ``times`` in any half-open window of that length."""
    first, most = 0, 0
    for last, time in enumerate(times):
        while times[first] <= time - window:
            first += 1
        most = max(most, last - first + 1)
    return most


async def rehearse(stage: Stage) -> Finding:
    """Two sequences, all high-tier and all below it, each with the settings' limits and without any."""
    finding, copied = Finding(), stage.copy()
    limits = RateLimits(copied.settings.max_signals_per_hour, copied.settings.max_signals_per_hour_high)
    plan = plan_replay(copied.paths, copied.settings.symbols, HOURS, None, INTERVAL_S)
    inputs = await asyncio.to_thread(read_inputs, copied.paths, copied.settings, plan)
    rows: list[dict[str, Any]] = []
    for name, confidence, high in (("high", HIGH, True), ("all", MEDIUM, False)):
        stage.say(f"{plan.scans} scans of {len(plan.symbols)} coins at confidence {confidence:g}")
        limit = limits.high if high else limits.total
        limited, twin = await asyncio.to_thread(_scan_all, stage, inputs, confidence)
        _judge(finding, name, limit, (limited.most(high=high), twin.most(high=high)), limited)
        finding.measured |= {
            f"{name}_limit": limit,
            f"{name}_most_in_60_min": limited.most(high=high),
            f"{name}_most_without_limits": twin.most(high=high),
            f"{name}_emitted": len(limited.signals),
            f"{name}_rate_limited": limited.reasons["rate_limited"],
        }
        rows += [
            {"sequence": name, "at": us_to_datetime(one.at_us), "symbol": one.symbol, "high": one.high}
            for one in limited.signals
        ]
    write_json(copied.paths.reports / EMISSIONS, rows)
    _describe(finding, inputs)
    return finding


def _scan_all(stage: Stage, inputs: ReplayInputs, confidence: float) -> tuple[Emitted, Emitted]:
    """The account with the settings' limits, and its twin without, over the same candles."""
    config = _rehearsed(inputs.config)
    loop = stored_scans(replace(inputs, config=config), stage.clock, "rehearsal")
    free = replace(config, decision=replace(config.decision, rates=UNLIMITED))
    steps = (loop.step, ScanStep(loop.stream, free, open_desk(free, inputs.plan.first_us), mode="rehearsal"))
    found = (Emitted(), Emitted())
    plan = inputs.plan
    for number, at_us in enumerate(range(plan.first_us, plan.last_us + 1, plan.interval_us)):
        prepared = _sure(loop.prepare(at_us), confidence, number)
        for step, emitted in zip(steps, found, strict=True):
            outcome = step.decide(prepared, Controls(threshold=LOWEST_THRESHOLD))
            emitted.add(at_us, outcome.decisions)
            step.adopt(outcome)
    return found


def _rehearsed(config: DeskConfig) -> DeskConfig:
    paper = replace(config.paper, time_exit_minutes=HELD_MINUTES, risk_fraction=RISK_FRACTION)
    return replace(config, paper=paper)


def _sure(prepared: Prepared, confidence: float, turn: int) -> Prepared:
    """The scan with every coin's probability set; who is surest goes round."""
    coins = prepared.taken.coins
    sure = tuple(
        coin._replace(p_up=confidence - APART * ((place + turn) % len(coins)), note="")
        for place, coin in enumerate(coins)
    )
    return prepared._replace(taken=prepared.taken._replace(coins=sure))


def _judge(finding: Finding, name: str, limit: int, most: tuple[int, int], limited: Emitted) -> None:
    limited_most, free_most = most
    words = "high-tier signals" if name == "high" else "signals"
    finding.expect(limited_most <= limit, f"{limited_most} {words} within 60 minutes; the limit is {limit}")
    finding.expect(
        limited_most >= min(limit, free_most),
        f"at most {limited_most} {words} within 60 minutes: less than the limit of {limit} lets through",
    )
    finding.expect(
        free_most > limit,
        f"without limits at most {free_most} {words} within 60 minutes: nothing would exceed {limit}",
    )
    finding.expect(
        not limited.out_of_rank,
        f"{limited.out_of_rank} decisions were held back although a less confident one was emitted",
    )


def _describe(finding: Finding, inputs: ReplayInputs) -> None:
    plan, numbers = inputs.plan, finding.measured
    finding.steps += [
        (
            f"{plan.scans} scans, one a minute, of {', '.join(plan.symbols)} over stored candles from "
            f"{us_to_datetime(plan.first_us):%Y-%m-%d %H:%M} UTC, twice: confidences around {HIGH:g} (high "
            f"tier), then around {MEDIUM:g}, threshold {LOWEST_THRESHOLD:g}"
        ),
        "each beside a twin account without limits, on the same candles",
        "the most in any 60 minutes was counted from the emission times, not from the limiter's own counters",
        f"every emission stands in reports/{EMISSIONS} of the copy",
    ]
    finding.not_rehearsed += [
        "the models' confidences: they were set, so that the sequence is sure to exceed the limits",
        (
            f"the settings' holding time and size: positions were held {HELD_MINUTES} minute at a risk of "
            f"{RISK_FRACTION:.4%} of the balance, so that coins are free again and the guard stays out of it"
        ),
    ]
    finding.measured["scans"] = 2 * plan.scans
    finding.summary = (
        f"at most {numbers['all_most_in_60_min']} of {numbers['all_limit']} in 60 min "
        f"({numbers['all_most_without_limits']} without limits), high tier "
        f"{numbers['high_most_in_60_min']} of {numbers['high_limit']} "
        f"({numbers['high_most_without_limits']})"
    )
    finding.remedy = "MAX_SIGNALS_PER_HOUR and MAX_SIGNALS_PER_HOUR_HIGH hold the limits."
