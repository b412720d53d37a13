"""Replays at a pace: the same decisions, each scan when it is due, and all of it readable while it runs."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.commands import Replay
from tradingai.engine.core.errors import InterruptedRunError, UsageError
from tradingai.engine.core.events import ReplayStarted
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.runtime.pace import Pace, check_speed
from tradingai.engine.runtime.replay import _replay_job, replay
from tradingai.engine.runtime.runs import Run

from tests.fakes.stored_market import open_replays, replay_home

SPEED = 600.0
"""A scan every 0.2 s."""
SCANS = 30


class OwnTime:
    """A clock that sleeping moves, and that every look at it moves a little, as work does."""

    def __init__(self, *, tick_s=0.0):
        self.at_s = 100.0
        self.slept: list[float] = []
        self._tick_s = tick_s

    def now(self):
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.at_s)

    def monotonic(self):
        self.at_s += self._tick_s
        return self.at_s

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.at_s += seconds


class Watcher(SilentReporter):
    """Keeps every progress with the time it came, and asks to stop after so many looks."""

    def __init__(self, clock, stop_after=None):
        super().__init__()
        self.told = []
        self.asked = 0
        self._clock = clock
        self._stop_after = stop_after

    def progress(self, progress):
        super().progress(progress)
        self.told.append((self._clock.at_s, progress))

    def safe_point(self):
        self.asked += 1
        if self._stop_after is not None and self.asked > self._stop_after:
            raise InterruptedRunError("stopped: Ctrl-C")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return replay_home(tmp_path_factory.mktemp("watched") / "home").root


@pytest.fixture
def home(made, tmp_path):
    return shutil.copytree(made, tmp_path / "home", symlinks=True)


async def watched(bench, clock, reporter, *, hours=1, speed=SPEED):
    return await replay(bench.store, bench.settings, bench.inputs(hours), reporter, clock, speed=speed)


@pytest.fixture
def stores(monkeypatch):
    """(time, scans) of every transaction that stored some."""
    found = []
    whole = Run.store

    async def spied(self, finished, **how):
        if finished:
            found.append((self._clock.at_s, len(finished)))
        await whole(self, finished, **how)

    monkeypatch.setattr(Run, "store", spied)
    return found


async def test_a_pace_changes_no_decision(home):
    async with open_replays(home) as bench:
        whole = await bench.replay(1)
        paced = await watched(bench, OwnTime(), SilentReporter())
        hurried = await watched(bench, OwnTime(tick_s=0.01), SilentReporter(), speed=1e6)
        varying = {"run", "wall_s", "scan_ms"}
        kept = [{k: v for k, v in one.items() if k not in varying} for one in (whole, paced, hurried)]
        assert kept[0] == kept[1] == kept[2]
        assert whole["signals"] > 0
        assert (await bench.verify(paced["run"])).verified


async def test_every_scan_is_due_at_its_planned_moment_and_stored_within_half_a_second(home, stores):
    clock = OwnTime()
    watcher = Watcher(clock)
    async with open_replays(home) as bench:
        await watched(bench, clock, watcher)
    assert clock.at_s == pytest.approx(100.0 + (SCANS - 1) * 0.2)
    assert sum(scans for _, scans in stores) == SCANS
    assert {scans for _, scans in stores} == {3}
    assert [at_s for at_s, _ in stores] == pytest.approx([100.4 + 0.6 * n for n in range(10)])
    assert all(seconds <= 0.25 for seconds in clock.slept)


async def test_what_scans_take_delays_no_other_scan(home, stores):
    clock = OwnTime(tick_s=0.02)
    async with open_replays(home) as bench:
        await watched(bench, clock, SilentReporter())
    late = [at_s - (100.4 + 0.6 * number) for number, (at_s, _) in enumerate(stores)]
    assert len(late) == 10
    assert max(late) < 0.4
    assert late[-1] < late[0] + 0.2


async def test_slow_ones_are_stored_one_by_one_and_unpaced_ones_in_portions(home, stores):
    async with open_replays(home) as bench:
        await watched(bench, OwnTime(), SilentReporter(), speed=60.0)
        assert [scans for _, scans in stores] == [1] * SCANS
        stores.clear()
        await watched(bench, OwnTime(tick_s=0.3), SilentReporter(), hours=5, speed=None)
        assert [scans for _, scans in stores] == [120, 30]


async def test_progress_names_run_time_and_speed(home):
    clock = OwnTime()
    watcher = Watcher(clock)
    async with open_replays(home) as bench:
        found = await watched(bench, clock, watcher)
    first, newest = watcher.told[0][1], watcher.told[-1][1]
    assert (first.done, first.total) == (0, SCANS)
    assert (first.detail["run"], first.detail["speed"]) == (found["run"], SPEED)
    assert newest.detail == {
        "run": found["run"], "speed": SPEED, "at": parse_iso(found["end"]), "signals": found["signals"],
    }  # fmt: skip
    for at_s, progress in watcher.told[1:]:
        assert progress.eta_s == pytest.approx(100.0 + 29 * 0.2 - at_s, abs=1e-9)
        passed = timedelta(seconds=120 * (progress.done - 1))
        assert progress.detail["at"] == parse_iso(found["start"]) + passed
    (begun,) = [event for event in watcher.events if isinstance(event, ReplayStarted)]
    assert (begun.run_id, begun.scans, begun.first_at, begun.last_at, begun.interval_s, begun.speed) == (
        found["run"], SCANS, found["start"], found["end"], 120, SPEED,
    )  # fmt: skip


async def test_a_reader_finds_the_open_replay_its_plan_and_its_account(home):
    """Through the database alone, by another connection, while it runs."""
    seen = []

    class Reader(Watcher):
        def safe_point(self):
            database = f"{(home / 'tradingai.db').as_uri()}?mode=ro"
            with closing(sqlite3.connect(database, uri=True)) as connection:
                seen.append(connection.execute(
                    "SELECT runs.run_id, first_at, last_at, interval_s, speed, run_accounts.scan_seq,"
                    " run_accounts.at, scans.equity, scans.guard, json_extract(desk, '$.guard.status')"
                    " FROM runs JOIN replay_runs USING (run_id) JOIN run_accounts USING (run_id)"
                    " LEFT JOIN scans ON scans.run_id = runs.run_id AND seq = run_accounts.scan_seq"
                    " WHERE kind = 'replay' AND ended_at IS NULL"
                ).fetchall())  # fmt: skip

    clock = OwnTime()
    async with open_replays(home) as bench:
        found = await watched(bench, clock, Reader(clock))
        plan = await bench.store.runs.plan(found["run"])
        scans = await bench.store.scans.scans(found["run"])
        unpaced = await bench.replay(1)
        assert (await bench.store.runs.plan(unpaced["run"])).speed is None
        assert await bench.store.runs.plan("nothing") is None
    assert (plan.first_at, plan.last_at) == (parse_iso(found["start"]), parse_iso(found["end"]))
    assert (plan.interval_s, plan.speed, plan.scans) == (120, SPEED, SCANS)
    assert all(len(rows) == 1 and rows[0][0] == found["run"] for rows in seen)
    assert {rows[0][3:5] for rows in seen} == {(120, SPEED)}
    assert sorted({rows[0][5] for rows in seen}) == list(range(3, SCANS + 1, 3))
    for ((*_, seq, at, equity, guard, account_guard),) in seen:
        row = scans[seq - 1]
        assert (parse_iso(at), equity, guard, account_guard) == (row.at, row.equity, row.guard, row.guard)


async def test_it_stops_while_it_waits_and_keeps_what_it_scanned(home):
    """Speed 1: the next scan is two minutes away."""
    clock = OwnTime()
    async with open_replays(home) as bench:
        watcher = Watcher(clock, stop_after=2)
        with pytest.raises(InterruptedRunError):
            await watched(bench, clock, watcher, speed=1.0)
        (row,) = await bench.store.runs.latest(1)
        assert (await bench.store.scans.result(row.run_id)).state == "interrupted"
        assert await bench.store.scans.newest_scan(row.run_id) == 1
    assert clock.at_s <= 101.0


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
async def test_a_speed_that_is_none_is_refused_before_a_run_begins(home, speed):
    with pytest.raises(UsageError, match="cannot run at a speed of"):
        check_speed(speed)
    with pytest.raises(UsageError, match="cannot run at a speed of"):
        Pace(RealClock(), 120, speed)
    async with open_replays(home) as bench:
        with pytest.raises(UsageError, match="cannot run"):
            await watched(bench, RealClock(), SilentReporter(), speed=speed)
        command = Replay(sender="test", surface="cli", issued_at=RealClock().now(), hours=1.0, speed=speed)
        with pytest.raises(UsageError, match="cannot run"):
            await _replay_job(bench.paths, bench.settings, command.payload(), SilentReporter(), RealClock())
        assert await bench.store.runs.latest() == []
