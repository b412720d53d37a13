"""The odds of the story's challenge as `ftmo simulate --json` prints them, and jobs that make some."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tradingai.engine.challenge.odds import ASSUMPTIONS
from tradingai.engine.queries.snapshot import ConsoleSnapshot, JobView

from tests.fakes.console_home import at
from tests.fakes.console_runs import job

ENDINGS = {"passed": 0.613, "daily": 0.041, "total": 0.002, "total_stop": 0.04, "undecided": 0.304}
BINS = (612, 1_804, 1_472, 902, 571, 388, 214, 117, 50)


def _risk(pct: float, rate: float, half: float, daily: float, total: float, days: int) -> dict[str, Any]:
    rest = round(1 - rate - daily - total, 4)
    ends = {"passed": rate, "daily": daily, "total": 0.0, "total_stop": total, "undecided": rest}
    return {
        "risk_pct": pct, "attempts": 2_000, "pass_rate": rate, "monte_carlo": [rate - half, rate + half],
        "endings": ends, "median_days": days,
    }  # fmt: skip


ODDS: dict[str, Any] = {
    "source": {
        "run": "replay-20251110T010700-8782df", "kind": "replay", "first_day": "2024-12-24",
        "last_day": "2025-11-09", "start": "2024-12-23T23:00:00Z", "end": "2025-11-09T23:00:00Z",
        "days": 321, "traded_days": 308, "trades": 6_214, "left_out": 31, "mean_r": 0.021,
        "costs": "defaults", "sha256": "4f1d2a6b7c8e9f00" * 4,
    },
    "account": "2-Step", "rules_as_of": "2025-11", "initial_balance": 200_000.0, "risk_pct": 0.25,
    "max_days": 365, "attempts": 10_000, "seed": 7, "pass_rate": 0.613, "monte_carlo": [0.6034, 0.6225],
    "endings": ENDINGS, "sampling": [0.47, 0.74], "stuck": 0.212,
    "days_to_pass": {"p10": 12, "median": 23, "p90": 48},
    "histogram": [
        {"from": 9 + 8 * place, "to": 16 + 8 * place, "attempts": count} for place, count in enumerate(BINS)
    ],
    "best_day": None,
    "sensitivity": [
        _risk(0.10, 0.402, 0.0215, 0.0, 0.006, 61),
        _risk(0.15, 0.534, 0.0218, 0.002, 0.018, 41),
        {**_risk(0.25, 0.613, 0.0096, 0.041, 0.0, 23), "attempts": 10_000, "endings": ENDINGS},
        _risk(0.35, 0.588, 0.0216, 0.102, 0.051, 17),
        _risk(0.50, 0.497, 0.0219, 0.198, 0.066, 12),
        _risk(0.75, 0.351, 0.0209, 0.371, 0.058, 9),
        _risk(1.00, 0.244, 0.0188, 0.488, 0.047, 8),
    ],
    "checked": 5, "warnings": [], "assumptions": list(ASSUMPTIONS), "wall_s": 1.9,
}  # fmt: skip
FEW_DAYS = "17 days of history, under 60: too few to trust the sampling interval"


def with_odds(snapshot: ConsoleSnapshot, **changes: Any) -> ConsoleSnapshot:
    """The picture with the odds, changed."""
    assert snapshot.risk is not None
    risk = replace(snapshot.risk, odds={**ODDS, **changes}, odds_at=at("09:30:00"))
    return replace(snapshot, risk=risk)


def without_odds(snapshot: ConsoleSnapshot) -> ConsoleSnapshot:
    """Nobody has asked yet."""
    assert snapshot.risk is not None
    return replace(snapshot, risk=replace(snapshot.risk, odds={}, odds_at=None))


def playing() -> JobView:
    """Attempts are being played."""
    return job(
        31, "simulate", "challenge", "running", "12:04:14", done=7_500, total=32_000, unit="attempts",
        detail={"stage": "this risk"},
    )  # fmt: skip


def refused() -> JobView:
    """There were too few days."""
    return job(
        31, "simulate", "challenge", "failed", "12:04:14", ended_at=at("12:04:16"), took_s=2.0,
        message="run replay-20251110T010700-8782df holds 2 usable days with 237 trades; "
        "odds need 10 days and 30 trades",
        remedy="`tradingai replay --hours 432` trades 18 days; then run this again.",
    )  # fmt: skip


def with_job(snapshot: ConsoleSnapshot, made: JobView) -> ConsoleSnapshot:
    """The picture with a job, the newest."""
    return replace(snapshot, jobs=(made, *snapshot.jobs))
