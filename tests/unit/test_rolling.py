"""Sums that follow a window against counting everything again."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.queries.rolling import RECENT, HeldByKill, RollingScans
from tradingai.engine.store.read_only import reading
from tradingai.engine.store.run_table import RunRow
from tradingai.engine.store.scan_rows import DecisionRow, ScanRecord, ScanRow

from tests.fakes.homes import open_store

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
REASONS = ("no_new_candle", "stale", "below_threshold", "killed", "rate_limited", "emitted")
COINS = ("BTC-USD", "ETH-USD")
RUN = "live"


def records(rng: random.Random, first: int, count: int) -> list[ScanRecord]:
    """Scans a minute apart, some failed, each coin with some reason."""
    made = []
    for seq in range(first, first + count):
        at = NOW + timedelta(minutes=seq)
        state = rng.choice(["done", "done", "done", "late", "failed"])
        latency = None if state == "failed" else rng.choice([10.0, 19.0, 44.0, rng.uniform(5, 900)])
        scan = ScanRow(seq, at, at, state, "", latency, 1.0, None, False, "", 1.0, 1.0, 0.0, "ACTIVE")
        coins = () if state == "failed" else COINS
        made.append(ScanRecord(scan, tuple(decision(rng, seq, place, at) for place, _ in enumerate(coins))))
    return made


def decision(rng: random.Random, seq: int, place: int, at: datetime) -> DecisionRow:
    scored = rng.random() < 0.8
    tier = rng.choice([None, "low", "medium", "high"]) if scored else None
    return DecisionRow(
        seq, place, COINS[place], at, at, rng.choice(REASONS), "", 0.6, 0.6 if scored else None, "long", tier,
        0.75, 1.0, {}, {}, "i", False, None,
    )  # fmt: skip


def recounted(made: list[ScanRecord], first: int, last: int):
    """The same sums from the records themselves."""
    window = [record for record in made if first <= record.scan.seq <= last]
    decisions = [one for record in window for one in record.decisions]
    reasons = Counter(one.reason for one in decisions)
    tiers = Counter(one.tier or "none" for one in decisions if one.confidence is not None)
    latencies = [record.scan.latency_ms for record in window if record.scan.latency_ms is not None]
    return reasons, tiers, Counter(record.scan.state for record in window), latencies


def same(rolling: RollingScans, made: list[ScanRecord], first: int, last: int) -> None:
    reasons, tiers, states, latencies = recounted(made, first, last)
    assert (rolling.by_reason, rolling.by_tier, rolling.by_state) == (reasons, tiers, states)
    assert (rolling.scans, rolling.decisions) == (states.total(), reasons.total())
    for share in (0.5, 0.99):
        at_most = [value for value in latencies if value <= (rolling.percentile(share) or 0)]
        assert len(at_most) >= share * len(latencies)
        if latencies:
            below = [value for value in latencies if value < rolling.percentile(share)]
            assert len(below) < share * len(latencies)


@pytest.mark.parametrize("seed", range(4))
async def test_a_window_that_moves_counts_what_a_recount_counts(tmp_path: Path, seed: int):
    rng = random.Random(seed)
    made = records(rng, 1, 400)
    async with open_store(tmp_path / "home", SimulatedClock(NOW)) as (store, _):
        await store.runs.start(RunRow(RUN, "live", "real", NOW, None, "s", "c", {}))
        await store.scans.append(RUN, made, None)
        with reading(tmp_path / "home" / "tradingai.db") as connection:
            rolling = RollingScans(RUN, live=True)
            for _ in range(60):
                first = rng.randint(1, 400)
                last = min(400, first + rng.randint(-1, 200))
                rolling.move(connection, first, last)
                same(rolling, made, first, last)


async def test_the_last_hours_of_a_run_that_goes_on(tmp_path: Path):
    rng = random.Random(7)
    made: list[ScanRecord] = []
    rolling = RollingScans(RUN, live=True)
    async with open_store(tmp_path / "home", SimulatedClock(NOW)) as (store, _):
        await store.runs.start(RunRow(RUN, "live", "real", NOW, None, "s", "c", {}))
        for _ in range(30):
            fresh = records(rng, len(made) + 1, rng.randint(1, 12))
            made += fresh
            await store.scans.append(RUN, fresh, None)
            last = len(made)
            with reading(tmp_path / "home" / "tradingai.db") as connection:
                rolling.follow(connection, made[-1].scan.at - timedelta(hours=1), last)
            same(rolling, made, max(1, last - 59), last)
            latencies = recounted(made, 1, last)[3]
            assert list(rolling.recent) == latencies[-RECENT:]


async def test_what_the_kill_switch_held_since_it_was_turned_on(tmp_path: Path):
    rng = random.Random(3)
    made = records(rng, 1, 200)
    async with open_store(tmp_path / "home", SimulatedClock(NOW)) as (store, _):
        await store.runs.start(RunRow(RUN, "live", "real", NOW, None, "s", "c", {}))
        held = HeldByKill(RUN)
        for begin, until in ((0, 50), (50, 120), (120, 200)):
            await store.scans.append(RUN, made[begin:until], None)
            for since in (40, 90):
                with reading(tmp_path / "home" / "tradingai.db") as connection:
                    found = held.follow(connection, NOW + timedelta(minutes=since), until)
                assert found == recounted(made, since, until)[0]["killed"]
