"""The odds of a challenge: pass rate with both its intervals, days to pass, what broke, other risks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from tradingai.engine.challenge.attempt import ENDINGS, play
from tradingai.engine.challenge.history import ChallengeConfig, History
from tradingai.engine.challenge.intervals import between_histories, wilson
from tradingai.engine.challenge.many import Outcomes, play_many
from tradingai.engine.challenge.table import PASSED, DayTable, Draws, Floats, Ints
from tradingai.engine.core.errors import JobError
from tradingai.engine.core.reporting import Progress, Reporter

FEW_DAYS: Final = 60
"""Fewer days of history are warned of."""
RISKS_PCT: Final = (0.10, 0.15, 0.25, 0.35, 0.50, 0.75, 1.00)
"""Risk a trade, per cent of the initial balance, that the odds are compared at."""
HISTORIES: Final = 200
ATTEMPTS_A_HISTORY: Final = 50
ATTEMPTS_A_RISK: Final = 2_000
BINS: Final = 9
_CHUNK: Final = 10_000
"""Attempts whose days are drawn at once; part of what a seed means."""
_CHECKED: Final = 5
_CHECKED_EVENTS: Final = 10_000
"""About so many events are played again one by one."""
_MAIN, _SAMPLING = range(2)
"""Streams of random numbers of one seed."""


@dataclass(frozen=True, slots=True)
class OddsRequest:
    """What is asked."""

    attempts: int = 10_000
    seed: int = 7
    risks_pct: Sequence[float] = RISKS_PCT
    histories: int = HISTORIES
    """Resampled histories for the sampling interval, 2 or more."""


class _Teller:
    """Says how many attempts of all are done."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        self._reporter, self._total, self._before, self._stage = reporter, total, 0, ""

    def begin(self, stage: str, before: int) -> None:
        """A stage begins, with so many attempts done before it."""
        self._stage, self._before = stage, before
        self.hear(0)
        self.safe_point()

    def hear(self, done: int) -> None:
        """So many attempts of this stage are done."""
        self._reporter.progress(
            Progress(self._before + done, self._total, "attempts", detail={"stage": self._stage})
        )

    def safe_point(self) -> None:
        """Raise InterruptedRunError when a stop was asked for."""
        self._reporter.safe_point()


def odds(
    history: History, config: ChallengeConfig, request: OddsRequest, reporter: Reporter
) -> dict[str, Any]:
    """Everything `ftmo simulate` says of a history, but where it is from. Fractions of 1; days from 1.

    The same history, numbers and seed give the same document. Raises InterruptedRunError at a safe point;
    JobError when an attempt played again event by event ends otherwise.
    """
    table = DayTable.of(history)
    others = [pct for pct in request.risks_pct if not _same(pct, config)]
    sampled = request.histories * ATTEMPTS_A_HISTORY
    per_risk = min(ATTEMPTS_A_RISK, request.attempts)
    teller = _Teller(reporter, request.attempts + sampled + per_risk * len(others))

    teller.begin("this risk", 0)
    drawn = _draws(len(history.days), config, request)
    _, draws = next(drawn)
    played = [_play(table, draws, config, teller)]
    played += [_play(table, more, config, teller, before) for before, more in drawn]
    outcomes = Outcomes.together(played)
    checked = _check(history, draws, config, outcomes)
    teller.begin("resampled histories", request.attempts)
    rate = outcomes.share("passed")
    low, high = _sampling(table, config, request, teller)
    rows = [_risk_row(config.risk_fraction, outcomes)]
    for number, pct in enumerate(others):
        teller.begin("other risks", request.attempts + sampled + per_risk * number)
        other = replace(config, risk_fraction=pct / 100)
        rows.append(_risk_row(other.risk_fraction, _play(table, draws[:per_risk], other, teller)))
    return {
        **_account(config),
        "attempts": request.attempts,
        "seed": request.seed,
        **_rates(outcomes),
        "sampling": [min(low, rate), max(high, rate)],
        "stuck": float(outcomes.stuck.mean()),
        "days_to_pass": _days(outcomes),
        "histogram": _histogram(outcomes),
        "best_day": _best_day(outcomes, config),
        "sensitivity": sorted(rows, key=lambda row: float(row["risk_pct"])),
        "checked": checked,
        "warnings": _warnings(history),
        "assumptions": list(ASSUMPTIONS),
    }


ASSUMPTIONS: Final = (
    "Days are drawn one by one, all equally likely: runs of good or bad days in the history are not kept.",
    "The history is the future: what never happened in it never happens to an attempt.",
    "R is net of the spread, slippage and commission of that run; risk a trade changes none of them.",
    "Between two events every open trade stands at its own worst price at once.",
    "An entry that the hourly limits or the guard refuse is left out; no other takes its place.",
    "What the run itself refused or left out stays out, also where an attempt would have had room for it.",
    "A halted account closes at the worst price, and goes on at the first Prague midnight that allows it.",
    "What is open at midnight closes before the next drawn day begins; hourly limits start afresh with it.",
    "A phase is passed at its first flat moment with the objective met; the next begins the day after.",
)


def _same(pct: float, config: ChallengeConfig) -> bool:
    return abs(pct / 100 - config.risk_fraction) < 1e-12


def _draws(days: int, config: ChallengeConfig, request: OddsRequest) -> Iterator[tuple[int, Draws]]:
    """The asked attempts' days, a part at a time, each with how many attempts came before it."""
    rng = np.random.default_rng([request.seed, _MAIN])
    for first in range(0, request.attempts, _CHUNK):
        count = min(_CHUNK, request.attempts - first)
        yield first, rng.integers(0, days, (count, config.max_days), dtype=np.uint16)


def _play(
    table: DayTable, draws: Draws, config: ChallengeConfig, teller: _Teller, before: int = 0
) -> Outcomes:
    """Play attempts; ``before`` of the same stage were played already."""

    def hear(done: int) -> None:
        teller.hear(before + done)
        teller.safe_point()

    return play_many(table, draws, config, hear)


def _sampling(
    table: DayTable, config: ChallengeConfig, request: OddsRequest, teller: _Teller
) -> tuple[float, float]:
    """The outer bootstrap: histories of as many days, drawn from the days there are."""
    rng = np.random.default_rng([request.seed, _SAMPLING])
    days = len(table.least_stop)
    count = request.histories
    histories = rng.integers(0, days, (count, 1, days))
    inner = rng.integers(0, days, (count, ATTEMPTS_A_HISTORY, config.max_days), dtype=np.uint16)
    draws = np.take_along_axis(histories, inner.astype(np.int64), axis=2).astype(np.uint16)
    outcomes = _play(table, draws.reshape(-1, config.max_days), config, teller)
    shares: Floats = (outcomes.ending == PASSED).reshape(count, -1).mean(axis=1)
    return between_histories(shares, ATTEMPTS_A_HISTORY)


def _account(config: ChallengeConfig) -> dict[str, Any]:
    rules = config.risk.rules
    return {
        "account": rules.name,
        "rules_as_of": rules.rules_as_of,
        "initial_balance": config.risk.initial_balance,
        "risk_pct": _pct(config.risk_fraction),
        "max_days": config.max_days,
    }


def _pct(fraction: float) -> float:
    return float(f"{100 * fraction:.10g}")


def _rates(outcomes: Outcomes) -> dict[str, Any]:
    count = len(outcomes.ending)
    hits = int((outcomes.ending == PASSED).sum())
    return {
        "pass_rate": hits / count,
        "monte_carlo": list(wilson(hits, count)),
        "endings": {ending: outcomes.share(ending) for ending in ENDINGS},
    }


def _risk_row(fraction: float, outcomes: Outcomes) -> dict[str, Any]:
    days = _days(outcomes)
    return {
        "risk_pct": _pct(fraction),
        "attempts": len(outcomes.ending),
        **_rates(outcomes),
        "median_days": None if days is None else days["median"],
    }


def _passed_on(outcomes: Outcomes) -> Ints:
    return np.asarray(outcomes.day[outcomes.ending == PASSED])


def _days(outcomes: Outcomes) -> dict[str, int] | None:
    """Days of the attempts that passed, all phases together; None where none did."""
    days = _passed_on(outcomes)
    if len(days) == 0:
        return None
    found = np.quantile(days, (0.1, 0.5, 0.9), method="inverted_cdf")
    return dict(zip(("p10", "median", "p90"), (int(day) for day in found), strict=True))


def _histogram(outcomes: Outcomes) -> list[dict[str, int]]:
    """How many attempts passed on days ``from`` … ``to``, in bins of one width."""
    days = _passed_on(outcomes)
    if len(days) == 0:
        return []
    first, last = int(days.min()), int(days.max())
    width = -(-(last - first + 1) // BINS)
    counts = np.bincount((days - first) // width)
    return [
        {"from": first + width * place, "to": first + width * (place + 1) - 1, "attempts": int(count)}
        for place, count in enumerate(counts)
    ]


def _best_day(outcomes: Outcomes, config: ChallengeConfig) -> dict[str, Any] | None:
    """How often and how long the best-day rule alone put passing off; None without such a rule."""
    if config.risk.rules.best_day_share is None:
        return None
    passed = outcomes.ending == PASSED
    delays = outcomes.delay_days[passed & (outcomes.delay_days > 0)]
    share = len(delays) / int(passed.sum()) if passed.any() else None
    median = int(np.quantile(delays, 0.5, method="inverted_cdf")) if len(delays) else None
    return {"delayed": share, "median_days": median}


def _check(history: History, draws: Draws, config: ChallengeConfig, outcomes: Outcomes) -> int:
    """Play some attempts again through the risk code itself. Raises JobError when one ends otherwise."""
    events = outcomes.day * max(1.0, 2 * history.trades / len(history.days))
    shortest = np.argsort(events[:_CHUNK], kind="stable")[:_CHECKED]
    rows = shortest[np.cumsum(events[shortest]) <= _CHECKED_EVENTS]
    for row in rows:
        again = play(history, draws[row].tolist(), config)
        found = (ENDINGS[outcomes.ending[row]], int(outcomes.day[row]))
        if found != (again.ending, again.day):
            raise JobError(
                f"attempt {row} of the simulation ended {found[0]} on day {found[1]}, "
                f"by the guard itself {again.ending} on day {again.day}",
                remedy="This is a defect: report it with the run and the seed.",
            )
    return len(rows)


def _warnings(history: History) -> list[str]:
    found = []
    days = len(history.days)
    if days < FEW_DAYS:
        found.append(f"{days} days of history, under {FEW_DAYS}: too few to trust the sampling interval")
    return found


def summary(document: Mapping[str, Any]) -> str:
    """One line."""
    low, high = (100 * bound for bound in document["sampling"])
    return f"passes {100 * document['pass_rate']:.1f} %, sampling {low:.0f}–{high:.0f} %"
