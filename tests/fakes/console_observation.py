"""The observation of the story: 54 hours in, one late scan, 251 of 300 trades."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tradingai.engine.queries.observation_views import (
    ApprovalView,
    BaselineView,
    CellState,
    Criterion,
    DaySnapshot,
    DeliveryView,
    Incident,
    ObservationView,
    ObservedView,
    Restart,
    ScaledSetting,
    StripCell,
    VerdictView,
)

from tests.fakes.console_home import NOW

BEGAN = datetime(2025, 11, 10, 6, 0, 12, tzinfo=UTC)
LATE = datetime(2025, 11, 12, 11, 48, tzinfo=UTC)
HOUR = timedelta(hours=1)
RESTARTED = datetime(2025, 11, 12, 11, 12, 40, tzinfo=UTC)


def cells(
    began: datetime, now: datetime, each: timedelta, required: timedelta, incidents: tuple[Incident, ...] = ()
) -> tuple[StripCell, ...]:
    """A strip without a break."""
    made = []
    for index in range(round(required / each)):
        start = began + index * each
        end = start + each
        inside = tuple(item for item in incidents if start <= item.at < end)
        state: CellState = "to_come" if start > now else "open" if end > now else "whole"
        made.append(StripCell(start, end, "late" if inside else state, inside))
    return tuple(made)


def criteria(
    *, hours: str = "54:04 of 72:00", done: bool = False, trades: int = 251, approved: bool = False
) -> tuple[Criterion, ...]:
    """The six, as in the 55th hour; ``done``: as at the end of a good one."""
    missing = 300 - trades
    short = Criterion(
        "win_rate", "win rate within ±5 pt of 57.1 %", "short", "56.2 %", f"{trades} of 300 trades",
        "within 5 pt, the interval above 47.1 %",
        {"win_rate": 0.562, "baseline": 0.571},
        f"{missing} more closed trades; at 4.6 an hour that is about 10:40 h.",
        "tradingai observe report --json",
    )  # fmt: skip
    return (
        Criterion(
            "continuous", "72 h continuous, zero crashes", "holds" if done else "counting", hours,
            "0 crashes", "at least 72 h", {"hours": 54.07}, "6,488 beats of one engine, longest gap 31 s.",
            "tradingai observe status",
        ),
        Criterion(
            "drill", "guard held in a simulated breach", "holds", "Tue 09:12Z", "0 emitted after",
            "nothing emitted after the breach", {"emitted_after": 0.0},
            "Run drill-20251111T091200-5f0c11: HALTED after the breach, 0 of the twin's 101 signals emitted.",
            "tradingai observe drill",
        ),
        Criterion(
            "delivery", "every high-tier signal delivered", "holds", "251 of 251", "p95 1.9 s",
            "all of them", {"signals": 251.0, "delivered": 251.0}, "Each of them has a delivery time.",
            "tradingai signals --since 72h --json",
        ),
        replace(short, state="holds", note="312 trades", evidence="Interval 50.6–61.6 %.") if done else short,
        Criterion(
            "tiers", "tiers within ±5 pt", "holds", "worst 3.0 pt", "high tier", "each within 5 pt",
            {"worst": 0.030}, "6,480 scored decisions: none 37.9 %, low 21.1 %, medium 18.0 %, high 23.0 %.",
            "tradingai observe report --json",
        ),
        Criterion(
            "approval", "operator approval", "holds" if approved else "open",
            "Thu 06:30Z" if approved else "none yet", "operator" if approved else "a approves", "one",
            {}, "Given by operator." if approved else "Somebody has to type GO once the others hold.",
            "tradingai observe approve",
        ),
    )  # fmt: skip


BASELINE = BaselineView(
    run="replay-20251110T054800-77aa01",
    start=datetime(2025, 10, 11, 1, 7, tzinfo=UTC),
    end=datetime(2025, 11, 10, 1, 7, tzinfo=UTC),
    trades=3_104,
    win_rate=0.571,
    tiers={"none": 0.381, "low": 0.230, "medium": 0.189, "high": 0.200},
    scored=64_800,
    threshold=0.75,
    interval_s=120,
    models={"lstm_BTC-USD": "v1.0.0"},
    synthetic=True,
    command="tradingai replay --hours 720 --end 2025-11-10T01:07Z",
)
SNAPSHOTS = (
    *(
        DaySnapshot(
            f"day{day}", BEGAN + day * 24 * HOUR, "written", BEGAN + day * 24 * HOUR + timedelta(seconds=20),
            f"reports/phase6_5/day{day}.json", f"reports/phase6_5/day{day}.md",
        )
        for day in range(3)
    ),
    DaySnapshot("day3", BEGAN + 72 * HOUR, "waiting"),
)  # fmt: skip


def observing() -> ObservationView:
    """In the 55th hour."""
    incidents = (Incident(LATE, "late", "1.2 s late"),)
    required = 72 * HOUR
    return ObservationView(
        state="running",
        id="obs-20251110T060012-31c2",
        started_at=BEGAN - timedelta(minutes=12),
        by="operator, cli",
        required_hours=72.0,
        heartbeat_s=30.0,
        continuous_s=(NOW - BEGAN).total_seconds(),
        clock_started_at=BEGAN,
        counting=True,
        go_not_before=BEGAN + required,
        half_hours=cells(BEGAN, NOW, HOUR / 2, required, incidents),
        hours=cells(BEGAN, NOW, HOUR, required, incidents),
        criteria=criteria(),
        snapshots=SNAPSHOTS,
        delivery=DeliveryView(24.0, 131, 131, 0.7, 1.9, repeats=1, dead=0, configured=True),
        baseline=BASELINE,
        observed=ObservedView(
            trades=251, wins=141, win_rate=0.562, low=0.498, high=0.626, method="blocks of 15 minutes",
            trades_per_hour=4.6, missing_trades=49, missing_s=38_400.0,
            tiers={"none": 0.379, "low": 0.211, "medium": 0.180, "high": 0.230}, scored=6_480,
            net_r=8.2, high_signals=251, high_delivered=251, high_p95_s=1.9,
        ),
        loop_running=True,
        promoted=True,
    )  # fmt: skip


def restarted() -> ObservationView:
    """A power loss 52 minutes ago."""
    lost = (RESTARTED - BEGAN).total_seconds() / 3600
    text = "gap of 412 s"
    broken = Incident(RESTARTED - timedelta(seconds=412), "break", text)

    def strip(each: timedelta) -> tuple[StripCell, ...]:
        before = tuple(
            replace(one, state="break", incidents=(broken,), end=RESTARTED)
            if one.start <= broken.at < one.end
            else replace(one, state="whole", incidents=())
            for one in cells(BEGAN, RESTARTED, each, 72 * HOUR)
            if one.start <= broken.at
        )
        return (*before, *cells(RESTARTED, NOW, each, 72 * HOUR))

    return replace(
        observing(),
        continuous_s=(NOW - RESTARTED).total_seconds(),
        clock_started_at=RESTARTED,
        go_not_before=RESTARTED + 72 * HOUR,
        half_hours=strip(HOUR / 2),
        hours=strip(HOUR),
        criteria=criteria(hours="0:51:37 of 72:00", trades=4),
        restarts=(Restart(RESTARTED, "reboot", text, lost, 412.0),),
        snapshots=(
            DaySnapshot("day0", RESTARTED, "due", problem="no space left on device"),
            DaySnapshot("day1", RESTARTED + 24 * HOUR, "waiting"),
        ),
        delivery=DeliveryView(24.0, 131, 128, 0.7, 1.9, dead=2, configured=True),
    )


def begun() -> ObservationView:
    """Two minutes in, by criteria that were scaled."""
    began = NOW - timedelta(seconds=108)
    return replace(
        observing(),
        required_hours=0.5,
        continuous_s=108.0,
        clock_started_at=began,
        go_not_before=began + HOUR / 2,
        half_hours=cells(began, NOW, HOUR / 2, HOUR / 2),
        hours=cells(began, NOW, HOUR, HOUR),
        criteria=criteria(hours="0:01:48 of 0:30:00", trades=2),
        snapshots=(DaySnapshot("day0", began, "written", began, "day0.json", "day0.md"),),
        delivery=DeliveryView(configured=False),
        observed=ObservedView(trades=2, wins=1, missing_trades=298),
        scaled=(ScaledSetting("OBSERVATION_HOURS", 0.5, 72.0),),
    )


def decided(word: str = "GO") -> ObservationView:
    """After 72 hours; NO-GO for want of a good win rate."""
    approved = word == "GO"
    final = criteria(hours="73:10 of 72:00", done=True, approved=approved)
    began = NOW - timedelta(hours=73, minutes=10)
    verdict = VerdictView("GO", None, "All six criteria hold.")
    if not approved:
        final = tuple(
            replace(one, state="failed", measured="49.0 %", evidence="8.1 pt below the backtest.")
            if one.id == "win_rate"
            else one
            for one in final
        )
        verdict = VerdictView("NO-GO", "win_rate", "The win rate is 8.1 pt below the backtest's.")
    approvals = (
        (ApprovalView(NOW - HOUR, "operator", "console", "GO", 72.2, counts=True),) if approved else ()
    )
    return replace(
        observing(),
        continuous_s=(NOW - began).total_seconds(),
        clock_started_at=began,
        go_not_before=began + 72 * HOUR,
        half_hours=cells(began, NOW, HOUR / 2, 72 * HOUR),
        hours=cells(began, NOW, HOUR, 72 * HOUR),
        criteria=final,
        verdict=verdict,
        approvals=approvals,
    )
