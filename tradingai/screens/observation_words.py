"""What the Observation screen says in words: the headline, when GO may come, a criterion's detail."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from tradingai.engine.queries.observation_views import (
    Criterion,
    CriterionState,
    ObservationView,
    Restart,
    hours_words,
)
from tradingai.screens.view import headline, opening
from tradingai.widgets import numbers
from tradingai.widgets.line import Line, Span, line

STATE_WORDS: Final[dict[CriterionState, tuple[str, str, str]]] = {
    "holds": ("✓", "blue", "holds"),
    "counting": ("●", "blue", "counting"),
    "short": ("!", "orange", "short"),
    "insufficient": ("!", "orange", "insufficient"),
    "failed": ("✗", "orange", "failed"),
    "open": ("○", "faint", "open"),
}
"""Sign, ink and word of a criterion's state."""
_COUNTED: Final[tuple[CriterionState, ...]] = ("holds", "counting", "short", "insufficient", "failed", "open")
_FRESH_S: Final = 3600.0
"""So long a restart of the clock leads the page."""
_VERDICT_INK: Final = {"GO": "blue+b", "NO-GO": "orange+b", "INSUFFICIENT": "orange+b"}


def moment_text(moment: datetime) -> str:
    """``Wed 03:12:40Z``."""
    return f"{moment:%a %H:%M:%SZ}"


def fresh_restart(view: ObservationView) -> Restart | None:
    """The newest restart of the clock, while what it has counted since is little."""
    if not view.restarts or view.verdict.word or view.continuous_s >= _FRESH_S:
        return None
    return view.restarts[-1]


def sentence(view: ObservationView | None) -> Line:
    """Can this run for real?"""
    if view is None:
        return headline("Reading the observation …")
    if view.problem is not None:
        return headline("The observation cannot be read.", alarm=True)
    if view.state == "none":
        return headline("No observation has run.")
    if view.verdict.word:
        return _verdict(view)
    if view.state == "ended":
        why = f": {view.ended_why}" if view.ended_why else ""
        return headline(f"The observation ended{why}.")
    return _running(view)


def _verdict(view: ObservationView) -> Line:
    word = view.verdict.word
    head = Span(word, _VERDICT_INK[word])
    if view.verdict.decided_by is None:
        return line(head, Span(f": {_all_hold(view)}", "strong+b"))
    decided = view.criterion(view.verdict.decided_by)
    if decided is None:
        return line(head, Span(f": {view.verdict.text}", "strong+b"))
    return line(head, Span(f": {decided.title}, {decided.measured}", "strong+b"))


def _all_hold(view: ObservationView) -> str:
    scaled = ", by scaled criteria" if view.scaled else ""
    return f"all {len(view.criteria)} criteria hold{scaled}"


def _running(view: ObservationView) -> Line:
    counted = hours_words(view.continuous_s)
    restart = fresh_restart(view)
    if restart is not None:
        return headline(f"Clock restarted {moment_text(restart.at)}: {restart.text}", alarm=True)
    if not view.loop_running:
        return headline(f"The clock stands at {counted} h: the scan loop is off.", alarm=True)
    if view.clock_started_at is None:
        return headline("The clock begins with the first heartbeat.")
    holds = f"{view.holding} of {len(view.criteria)} criteria hold."
    return headline(f"{counted} of {view.required_hours:g} h without a break. {holds}")


def when_go(view: ObservationView | None, now: datetime) -> str:
    """``GO from Thu 06:00Z``; empty where nothing counts or the clock is full."""
    if view is None or view.verdict.word or view.go_not_before is None or view.go_not_before <= now:
        return ""
    return f"GO from {numbers.day_time(view.go_not_before, now)}"


def states_text(view: ObservationView) -> str:
    """``3 hold, 1 counting, 1 short, 1 open``."""
    found = [(state, sum(one.state == state for one in view.criteria)) for state in _COUNTED]
    return ", ".join(
        f"{number} {'hold' if state == 'holds' and number != 1 else STATE_WORDS[state][2]}"
        for state, number in found
        if number
    )


def detail_words(criterion: Criterion) -> tuple[Span, str]:
    """The word that leads a criterion's evidence, and the evidence."""
    _, ink, word = STATE_WORDS[criterion.state]
    loud = criterion.state in {"short", "insufficient", "failed"}
    text = "INSUFFICIENT" if criterion.state in {"short", "insufficient"} else word
    return Span(text.upper() if loud else text, f"{ink}+b" if loud else "muted"), opening(criterion.evidence)


def remarks(view: ObservationView) -> list[tuple[Span, str]]:
    """What stands under the strip when it is to be said: a restart, a standing clock, scaled criteria."""
    found: list[tuple[Span, str]] = []
    attention = Span("!", "orange+b")
    restart = fresh_restart(view)
    if restart is not None:
        found.append((attention, f"{_hours(restart.hours_lost)} h before it do not count."))
    if view.state == "running" and not view.loop_running:
        text = f"L on Monitor begins it; a gap of more than {view.max_gap_s:g} s restarts the clock."
        found.append((attention, text))
    elif view.state == "running" and view.clock_started_at is not None and not view.counting:
        found.append(
            (attention, f"No heartbeat: a gap of more than {view.max_gap_s:g} s restarts the clock.")
        )
    if view.scaled:
        found.append((Span("SCALED", "orange+b"), ", ".join(one.text for one in view.scaled)))
    return found


def _hours(hours: float) -> str:
    return hours_words(hours * 3600)
