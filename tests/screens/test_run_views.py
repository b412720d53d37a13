"""Which run Monitor and Risk show, and what they say of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.events import JobStarted
from tradingai.engine.queries.run_snapshot import NEWEST_REPLAY, WatchedRun
from tradingai.engine.queries.run_views import choose_run
from tradingai.engine.store.database import Store
from tradingai.engine.store.read_only import reading
from tradingai.engine.store.run_table import ReplayPlanRow, RunKind, RunRow
from tradingai.engine.store.scan_rows import DecisionRow, ScanRecord, ScanRow
from tradingai.engine.store.scan_table import RunResultRow

from tests.fakes.homes import open_store

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


async def begin(store: Store, run: str, kind: RunKind, minutes: int = 0) -> None:
    """A run, begun so many minutes after the first."""
    clock = "real" if kind == "live" else "simulated"
    await store.runs.start(RunRow(run, kind, clock, NOW + timedelta(minutes=minutes), None, "s", "c", {}))
    if kind == "live":
        await store.live.describe_run(run, "synthetic:cycles")


async def scanned(store: Store, run: str, count: int, **versions: str) -> None:
    """So many scans two minutes apart, each with one decision."""
    records = []
    for seq in range(1, count + 1):
        at = NOW + timedelta(minutes=2 * seq)
        scan = ScanRow(seq, at, at, "done", "", 19.0, 19.0, None, False, "", 1.0, 1.0, 0.0, "ACTIVE")
        decision = DecisionRow(
            seq, 0, "BTC-USD", at, at, "below_threshold", "", 0.6, 0.6, "long", "low", 0.75, 1.0, {},
            versions, "i", False, None,
        )  # fmt: skip
        records.append(ScanRecord(scan, (decision,)))
    await store.scans.append(run, records, {})


def chosen(home: Path, wanted: str = "") -> WatchedRun | None:
    with reading(home / "tradingai.db") as connection:
        return choose_run(connection, wanted)


async def test_the_live_run_else_the_newest_replay(tmp_path: Path):
    home = tmp_path / "home"
    async with open_store(home, SimulatedClock(NOW)) as (store, _):
        assert chosen(home) is None
        await begin(store, "old", "replay")
        await begin(store, "new", "replay", 5)
        await begin(store, "drill", "drill", 9)
        await begin(store, "backtest", "backtest", 9)
        assert chosen(home).run == "new"
        assert chosen(home, "old").run == "old"
        await begin(store, "ended", "live", 1)
        await store.live.end_runs()
        assert (chosen(home).run, chosen(home).state) == ("ended", "finished")
        await begin(store, "live", "live", 2)
        assert (chosen(home).run, chosen(home).state, chosen(home).replay) == ("live", "open", False)
        assert chosen(home, NEWEST_REPLAY).run == "new"
        assert (chosen(home, "drill").kind, chosen(home, "drill").replay) == ("drill", True)
        assert chosen(home, "backtest") is None
        assert chosen(home, "nobody") is None


async def test_how_far_a_run_is_and_what_it_rests_on(tmp_path: Path):
    home = tmp_path / "home"
    async with open_store(home, SimulatedClock(NOW)) as (store, _):
        await begin(store, "live", "live")
        fresh = chosen(home)
        assert (fresh.scans, fresh.now, fresh.first_at, fresh.models) == (0, None, None, {})
        await scanned(store, "live", 3, **{"lstm_BTC-USD": "v1.0.0"})
        run = chosen(home)
    assert (run.scans, run.first_at, run.now) == (
        3, NOW + timedelta(minutes=2), NOW + timedelta(minutes=6),
    )  # fmt: skip
    assert run.models == {"lstm_BTC-USD": "v1.0.0"}
    assert run.started_at == NOW


@pytest.mark.parametrize("state", ["finished", "interrupted", "failed"])
async def test_how_a_replay_ended(tmp_path: Path, state):
    home = tmp_path / "home"
    async with open_store(home, SimulatedClock(NOW)) as (store, _):
        await begin(store, "r", "replay")
        await store.scans.finish(RunResultRow("r", state, {"end": "2026-03-07T12:00:00Z"}, {}))
        run = chosen(home)
    assert (run.state, run.last_at) == (state, NOW + timedelta(days=3))


async def test_a_replay_under_way_says_how_far_it_will_go_and_how_fast(tmp_path: Path):
    home = tmp_path / "home"
    async with open_store(home, SimulatedClock(NOW)) as (store, _):
        plan = ReplayPlanRow(NOW, NOW + timedelta(hours=72), 120, 600.0)
        await store.runs.start(RunRow("r", "replay", "simulated", NOW, None, "s", "c", {}), plan)
        run = chosen(home)
    assert (run.first_at, run.last_at, run.speed) == (NOW, NOW + timedelta(hours=72), 600.0)


async def test_a_replay_without_a_job_is_dead(tmp_path: Path):
    home = tmp_path / "home"
    async with open_store(home, SimulatedClock(NOW)) as (store, _):
        await begin(store, "r", "replay")
        assert chosen(home).state == "interrupted"
        await store.jobs.create(
            job_id="j", kind="replay", target="", params={}, threads=1, runner="r", log="l", command_id=None
        )
        event = JobStarted(job_id="j", kind="replay", target="", pid=1)
        await store.jobs.started("j", runner="r", pid=1, resumes=0, event=event)
        assert chosen(home).state == "open"
