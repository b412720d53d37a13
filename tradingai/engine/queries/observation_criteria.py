"""The six exit criteria: a pure function of what was counted, measured and recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from tradingai.engine.queries.observation_views import (
    TIERS,
    ApprovalView,
    BaselineView,
    Criterion,
    CriterionId,
    CriterionState,
    ObservedView,
    Restart,
    VerdictView,
    VerdictWord,
    crash_words,
    hours_words,
)

EXACT: Final = 1e-9
"""Margins hold including their limit, whatever the last bit of a quotient says."""
_IDLE: Final = "the scan loop does not run"
REPLAYED: Final = "a replay goes by a simulated clock and sends nothing: this needs real time"


@dataclass(frozen=True, slots=True)
class Demands:
    """What an observation demands. Margins are fractions: five points are 0.05."""

    hours: float
    min_trades: int
    win_rate_margin: float
    win_rate_drop: float
    tier_margin: float

    @property
    def seconds(self) -> float:
        """Continuous runtime needed."""
        return self.hours * 3600


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """Where the continuous clock stands."""

    counted_s: float = 0.0
    counting: bool = False
    since: datetime | None = None
    crashes: int = 0
    restarts: Sequence[Restart] = ()
    died: bool = False
    """The loop ended without a word, and nobody has started it again."""
    silent_s: float | None = None
    """Seconds without a heartbeat, where that is longer than the gap."""
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class DrillFacts:
    """The newest guard drill since the clock began; ``unfit`` says why it does not count."""

    at: datetime
    document: Mapping[str, Any]
    unfit: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryFacts:
    """What became of the high-tier signals since the clock began."""

    signals: int = 0
    delivered: int = 0
    lost: int = 0
    """Missed, stopped by the kill switch, or refused for ever."""
    p95_s: float | None = None
    configured: bool = False
    """Whether there is a chat to send to."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the criteria are judged by."""

    demands: Demands
    clock: ClockFacts
    observed: ObservedView
    delivery: DeliveryFacts
    drill: DrillFacts | None = None
    baseline: BaselineView | None = None
    baseline_unfit: str = ""
    """Why the baseline is none for what is observed."""
    approvals: Sequence[ApprovalView] = field(default_factory=tuple)
    replay: bool = False
    """It is about a replayed run."""

    @property
    def full(self) -> bool:
        """Whether the clock has counted enough."""
        return self.clock.counted_s >= self.demands.seconds - EXACT


def judge(facts: Facts) -> tuple[Criterion, ...]:
    """All six, in the order of :data:`observation_views.CRITERIA`."""
    return (
        _continuous(facts),
        _drill(facts),
        _delivery(facts),
        _win_rate(facts),
        _tiers(facts),
        _approval(facts),
    )


def decide(criteria: Sequence[Criterion]) -> VerdictView:
    """The verdict as it stands: an empty word while nothing is refused and something is still to come."""
    if all(one.state == "holds" for one in criteria):
        return VerdictView("GO", None, "all six criteria hold")
    failed = [one for one in criteria if one.state == "failed"]
    short = [one for one in criteria if one.state == "insufficient"]
    if failed:
        return _verdict("NO-GO", failed)
    return _verdict("INSUFFICIENT", short) if short else VerdictView()


def final(criteria: Sequence[Criterion]) -> VerdictView:
    """The verdict if the observation ended now: what is still to come is missing, the clock before all."""
    clock = next(one for one in criteria if one.id == "continuous")
    if clock.state != "holds":
        return _verdict("NO-GO", [clock, *(one for one in criteria if one.state == "failed")])
    now = decide(criteria)
    if now.word:
        return now
    return _verdict("NO-GO", [one for one in criteria if one.state != "holds"])


def _verdict(word: VerdictWord, deciding: Sequence[Criterion]) -> VerdictView:
    """The first one decided; the others are named."""
    first = deciding[0]
    others = list(dict.fromkeys(one.title for one in deciding[1:] if one is not first))
    also = f" Not met either: {'; '.join(others)}." if others else ""
    return VerdictView(word, first.id, f"{first.title}: {first.measured}; {first.evidence}.{also}")


# -- the clock


def _continuous(facts: Facts) -> Criterion:
    clock, demands = facts.clock, facts.demands
    state, evidence = _clock_state(facts)
    return Criterion(
        id="continuous",
        title=f"{demands.hours:g} h continuous, zero crashes",
        state=state,
        measured=f"{hours_words(clock.counted_s)} of {hours_words(demands.seconds)}",
        note=crash_words(clock.crashes),
        threshold=f"at least {demands.hours:g} h without a break",
        numbers={
            "hours": clock.counted_s / 3600,
            "required_hours": demands.hours,
            "crashes": clock.crashes,
            "restarts": len(clock.restarts),
        },
        evidence=_with_restarts(evidence, clock.restarts),
        command="tradingai run" if state == "open" else "tradingai observe status --json",
    )


def _clock_state(facts: Facts) -> tuple[CriterionState, str]:
    clock = facts.clock
    if facts.replay or clock.simulated:
        return "open", REPLAYED if facts.replay else "counted on a simulated clock: this needs real time"
    if clock.died:
        return "failed", "the loop ended without a word: the clock begins anew with its next start"
    if facts.full:
        return "holds", "counted from heartbeats by the machine's monotonic clock"
    if clock.silent_s is not None:
        silent = f"no heartbeat for {clock.silent_s:,.0f} s"
        return "open", f"{silent}: the clock begins anew with the next one"
    left = facts.demands.seconds - clock.counted_s
    return ("counting", f"{hours_words(left)} h to go") if clock.counting else ("open", _IDLE)


def _with_restarts(evidence: str, restarts: Sequence[Restart]) -> str:
    if not restarts:
        return evidence
    told = "; ".join(
        f"{one.at:%a %d %b %H:%M:%SZ} ({one.cause}: {one.text}; {one.hours_lost:.2f} h given up)"
        for one in restarts
    )
    times = "once" if len(restarts) == 1 else f"{len(restarts)} times"
    return f"{evidence}. The clock was restarted {times}: {told}"


# -- drill, delivery, approval


def _drill(facts: Facts) -> Criterion:
    drill, command = facts.drill, "tradingai observe drill"
    title, threshold = "guard held in a simulated breach", "nothing emitted after the breach"
    if facts.replay:
        return Criterion("drill", title, "open", "none", "", threshold, {}, REPLAYED, command)
    if drill is None or drill.unfit:
        words = "no drill since the clock began" if drill is None else drill.unfit
        return Criterion("drill", title, "open", "none yet", "", threshold, {}, words, command)
    document = drill.document
    held = bool(document["held"])
    words = f"run {document['run']}: the twin without the loss emitted {document['twin_emitted']} signals"
    if not held:
        words = f"run {document['run']}: {'; '.join(document['failures'])}"
    return Criterion(
        id="drill",
        title=title,
        state="holds" if held else "failed",
        measured=f"{drill.at:%a %H:%MZ}",
        note=f"{document['emitted_after']} emitted after",
        threshold=threshold,
        numbers={
            "emitted_after": document["emitted_after"],
            "twin_emitted": document["twin_emitted"],
            "positions_closed": document["positions_closed"],
        },
        evidence=words,
        command=command,
    )


def _delivery(facts: Facts) -> Criterion:
    found = facts.delivery
    state, evidence = _delivery_state(facts)
    return Criterion(
        id="delivery",
        title="every high-tier signal delivered",
        state=state,
        measured=f"{found.delivered:,} of {found.signals:,}",
        note="" if found.p95_s is None else f"p95 {found.p95_s:.1f} s",
        threshold="all of them on Telegram, repeats allowed",
        numbers={
            "signals": found.signals,
            "delivered": found.delivered,
            "lost": found.lost,
            "p95_s": found.p95_s,
        },
        evidence=evidence,
        command="tradingai status --json" if found.configured else "tradingai telegram check",
    )


def _delivery_state(facts: Facts) -> tuple[CriterionState, str]:
    found = facts.delivery
    if facts.replay:
        return "open", REPLAYED
    if found.lost:
        return "failed", f"{found.lost} missed, held back by the kill switch, or refused for ever"
    if not found.configured:
        return "open", "TELEGRAM_TOKEN and TELEGRAM_CHAT_ID are not set: nothing can be delivered"
    if not found.signals:
        words = "no high-tier signal since the clock began: nothing proves that one would arrive"
        return ("insufficient" if facts.full else "counting"), words
    waiting = found.signals - found.delivered
    if waiting:
        return "counting", f"{waiting} on the way"
    return "holds", "each signal's key against the alerts of the chat"


def _approval(facts: Facts) -> Criterion:
    title, threshold = "operator approval", "typed GO, after the other five held"
    command = "tradingai observe approve"
    given = [one for one in facts.approvals if one.counts]
    if facts.replay:
        return Criterion("approval", title, "open", "none", "", threshold, {}, REPLAYED, command)
    if given:
        newest = given[-1]
        by = f"{newest.who} ({newest.surface})"
        return Criterion(
            "approval", title, "holds", f"{newest.at:%a %H:%MZ}", by, threshold, {"hours": newest.hours},
            f"{by} typed {newest.typed} at {newest.at:%Y-%m-%d %H:%M:%SZ}, the clock at {newest.hours:.2f} h",
            command,
        )  # fmt: skip
    words = "given when the other five hold"
    if facts.approvals:
        words = f"the one of {facts.approvals[-1].at:%a %H:%MZ} ended with the clock's restart"
    return Criterion("approval", title, "open", "none yet", "", threshold, {}, words, command)


# -- against the baseline


def _win_rate(facts: Facts) -> Criterion:
    seen, base, demands = facts.observed, facts.baseline, facts.demands
    rate = None if base is None else base.win_rate
    state, evidence = _win_rate_state(facts, rate)
    margin = 100 * demands.win_rate_margin
    against = "the baseline" if rate is None else f"{100 * rate:.1f} %"
    return Criterion(
        id="win_rate",
        title=f"win rate within ±{margin:g} pt of {against}",
        state=state,
        measured="–" if seen.win_rate is None else f"{100 * seen.win_rate:.1f} %",
        note=f"{seen.trades:,} of {demands.min_trades:,} trades",
        threshold=(
            f"within ±{margin:g} pt, and the interval excludes a drop of {100 * demands.win_rate_drop:g} pt; "
            f"at least {demands.min_trades:,} closed trades"
        ),
        numbers={
            "win_rate": seen.win_rate,
            "low": seen.low,
            "high": seen.high,
            "baseline": rate,
            "trades": seen.trades,
            "wins": seen.wins,
            "min_trades": demands.min_trades,
            "margin": demands.win_rate_margin,
            "drop": demands.win_rate_drop,
        },
        evidence=evidence,
        command="tradingai observe report --json" if base is None else base.command,
    )


def _win_rate_state(facts: Facts, rate: float | None) -> tuple[CriterionState, str]:
    seen, demands = facts.observed, facts.demands
    if rate is None or facts.baseline_unfit:
        return "open", facts.baseline_unfit or "the baseline closed no trade"
    if seen.trades < demands.min_trades:
        words = f"{demands.min_trades - seen.trades} more closed trades"
        if seen.missing_s is not None and seen.trades_per_hour is not None:
            words += f"; at {seen.trades_per_hour:.1f} an hour that is about {hours_words(seen.missing_s)} h"
        return ("insufficient" if facts.full else "short"), words
    if seen.win_rate is None or seen.low is None or seen.high is None:
        return "short", "no closed trade yet"
    off = seen.win_rate - rate
    words = f"{100 * off:+.1f} pt, interval {100 * seen.low:.1f} to {100 * seen.high:.1f} %"
    if abs(off) > demands.win_rate_margin + EXACT:
        return "failed", f"{words}: more than ±{100 * demands.win_rate_margin:g} pt"
    if seen.low <= rate - demands.win_rate_drop + EXACT:
        return "failed", f"{words}: a drop of {100 * demands.win_rate_drop:g} pt is not excluded"
    return "holds", f"{words} ({seen.method})"


def _tiers(facts: Facts) -> Criterion:
    seen, base, demands = facts.observed, facts.baseline, facts.demands
    margin = 100 * demands.tier_margin
    state: CriterionState
    worst, off, evidence = "", None, facts.baseline_unfit or "there is no baseline"
    if base is None or facts.baseline_unfit or not base.scored:
        state = "open"
    elif seen.scored < demands.min_trades:
        state = "insufficient" if facts.full else "short"
        evidence = f"{seen.scored:,} of {demands.min_trades:,} scored decisions"
    else:
        apart = {tier: seen.tiers.get(tier, 0.0) - base.tiers.get(tier, 0.0) for tier in TIERS}
        worst = max(TIERS, key=lambda tier: abs(apart[tier]))
        off = apart[worst]
        state = "holds" if abs(off) <= demands.tier_margin + EXACT else "failed"
        listed = ", ".join(f"{tier} {100 * apart[tier]:+.1f} pt" for tier in TIERS)
        evidence = f"over {seen.scored:,} scored decisions: {listed}"
    return Criterion(
        id="tiers",
        title=f"tiers within ±{margin:g} pt",
        state=state,
        measured="–" if off is None else f"worst {100 * abs(off):.1f} pt",
        note=f"{worst} tier" if worst and worst != "none" else "below the tiers" if worst else "",
        threshold=f"each share of all scored decisions within ±{margin:g} pt of the baseline's",
        numbers={
            "worst": off,
            "margin": demands.tier_margin,
            "scored": seen.scored,
            **{f"observed_{tier}": seen.tiers.get(tier) for tier in TIERS},
            **{f"baseline_{tier}": None if base is None else base.tiers.get(tier) for tier in TIERS},
        },
        evidence=evidence,
        command="tradingai observe report --json" if base is None else base.command,
    )


def missing_words(criteria: Sequence[Criterion]) -> str:
    """``18 h of runtime, operator approval``: what is missing for a GO, for a phase's line."""
    names: Mapping[CriterionId, str] = {
        "drill": "guard drill",
        "delivery": "Telegram delivery",
        "win_rate": "win rate",
        "tiers": "tier shares",
        "approval": "operator approval",
    }
    words = []
    for one in criteria:
        if one.state == "holds":
            continue
        if one.id == "continuous":
            left = max(0.0, (one.numbers["required_hours"] or 0.0) - (one.numbers["hours"] or 0.0))
            words.append(f"{left:.0f} h of runtime" if left >= 1 else f"{60 * left:.0f} min of runtime")
        else:
            words.append(names[one.id])
    return ", ".join(words)
