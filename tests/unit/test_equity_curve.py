"""The equity curve and its floors, against a plain recount of all scans and midnights worked out by hand."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.errors import StoreError
from tradingai.engine.decision.state import DeskConfig, open_desk
from tradingai.engine.queries.equity_curve import MOST_SPANS, Equity, EquityCurve, Levels, midnight_balances
from tradingai.engine.queries.risk_views import AccountChange, MidnightBalance
from tradingai.engine.risk.ftmo import ONE_STEP
from tradingai.engine.runtime.account_facts import HomeAccounts, floor_steps
from tradingai.engine.store.migrate import migrations
from tradingai.engine.store.stamps import stamp

from tests.fakes.homes import plain_settings

RUN = "live-1"
START = datetime(2025, 11, 7, 1, 10, tzinfo=UTC)
ONE = DeskConfig(risk=replace(DeskConfig().risk, rules=ONE_STEP))


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """An empty database of today's schema with one run."""
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.row_factory = sqlite3.Row
    for migration in migrations():
        made.executescript(migration.sql)
    made.execute(
        "INSERT INTO runs (run_id, kind, clock, started_at, settings_hash, code_version, model_hashes)"
        " VALUES (?, 'live', 'real', ?, '', '', '{}')",
        (RUN, stamp(START)),
    )
    yield made
    made.close()


def midnights(after: datetime, until: datetime) -> tuple[datetime, ...]:
    return HomeAccounts(plain_settings(), None).midnights(after, until)


def store(connection: sqlite3.Connection, scans: list[tuple[datetime, float | None, float | None]]) -> None:
    first = connection.execute("SELECT coalesce(max(seq), 0) FROM scans").fetchone()[0] + 1
    connection.executemany(
        "INSERT INTO scans VALUES (?, ?, ?, ?, 'done', '', 1, 1, NULL, 0, '', ?, ?, 0, 'ACTIVE')",
        [
            (RUN, first + index, stamp(at), stamp(at), balance, equity)
            for index, (at, balance, equity) in enumerate(scans)
        ],
    )


def walk(count: int, *, seconds: float = 2.0, seed: int = 1) -> list[tuple[datetime, float, float]]:
    steps = np.random.default_rng(seed).normal(0, 20, count).cumsum()
    return [
        (START + timedelta(seconds=seconds * index), 200_000.0 + round(step / 100) * 50, 200_000.0 + step)
        for index, step in enumerate(steps)
    ]


def test_reading_on_gives_what_reading_at_once_gives(connection: sqlite3.Connection):
    scans = walk(6_000, seconds=60)
    bit_by_bit = EquityCurve(RUN, midnights)
    for first in range(0, len(scans), 700):
        store(connection, scans[first : first + 700])
        bit_by_bit.read_on(connection)
    at_once = EquityCurve(RUN, midnights)
    at_once.read_on(connection)
    assert bit_by_bit.points() == at_once.points()
    assert bit_by_bit.crossings == at_once.crossings
    assert len(at_once.crossings) == 4


def test_no_extreme_is_lost_and_no_point_is_made_up(connection: sqlite3.Connection):
    scans = walk(50_000)
    store(connection, scans)
    curve = EquityCurve(RUN, midnights)
    curve.read_on(connection)
    points = curve.points()
    every = [Equity(at, equity) for at, _, equity in scans]
    assert set(points) <= set(every)
    assert list(points) == sorted(points)
    assert len(points) <= 2 * MOST_SPANS + 1
    for extreme in (min, max):
        assert extreme(point.equity for point in points) == extreme(point.equity for point in every)
    assert points[0] in every[: len(every) // MOST_SPANS * 2]
    assert points[-1] == every[-1] == curve.last
    width = timedelta(days=1)
    for start in (START + timedelta(hours=hour) for hour in range(27)):
        hour = [item for item in every if start <= item.at < start + timedelta(hours=1)]
        shown = [item for item in points if start - width < item.at < start + width]
        assert min(item.equity for item in shown) <= min(item.equity for item in hour)


def test_a_scan_without_equity_has_no_point(connection: sqlite3.Connection):
    scans = [(START, 200_000.0, 200_000.0), (START + timedelta(minutes=2), None, None)]
    store(connection, scans)
    curve = EquityCurve(RUN, midnights)
    curve.read_on(connection)
    assert curve.points() == (Equity(START, 200_000.0),)
    assert curve.bounds() == (START, START)


def test_a_scan_at_midnight_says_what_the_midnight_found(connection: sqlite3.Connection):
    midnight = datetime(2025, 11, 7, 23, tzinfo=UTC)
    minutes = timedelta(minutes=2)
    store(
        connection,
        [(midnight - minutes, 200_100.0, 200_050.0), (midnight, 200_200.0, 200_300.0),
         (midnight + minutes, 200_250.0, 200_250.0)],
    )  # fmt: skip
    curve = EquityCurve(RUN, midnights)
    curve.read_on(connection)
    assert list(midnight_balances(curve.crossings, {})) == [(midnight, 200_200.0)]


@pytest.mark.parametrize(("after", "found"), [(200_100.0, 200_100.0), (200_150.0, None)])
def test_between_scans_a_midnight_is_known_when_nothing_changed(connection, after, found):
    midnight = datetime(2025, 11, 7, 23, tzinfo=UTC)
    store(
        connection,
        [(midnight - timedelta(seconds=30), 200_100.0, 1.0), (midnight + timedelta(seconds=90), after, 1.0)],
    )
    curve = EquityCurve(RUN, midnights)
    curve.read_on(connection)
    assert list(midnight_balances(curve.crossings, {})) == [(midnight, found)]
    assert list(midnight_balances(curve.crossings, {midnight: 7.0})) == [(midnight, 7.0)]


def test_levels_hold_until_the_next_step():
    steps = [(START, 1.0, 2.0), (START + timedelta(hours=1), None, None)]
    levels = Levels(steps)
    moments = [START - timedelta(seconds=1), START, START + timedelta(minutes=59), START + timedelta(hours=2)]
    assert [levels.at(moment) for moment in moments] == [
        (None, None), (1.0, 2.0), (1.0, 2.0), (None, None),
    ]  # fmt: skip


def change(at: datetime, config: DeskConfig = ONE, **numbers: bool) -> AccountChange:
    desk = open_desk(config, datetime_to_us(at)).as_json()
    return AccountChange(at, desk, config.as_json() if numbers.get("numbers", True) else {})


def found(*days: tuple[datetime, float | None]) -> list[MidnightBalance]:
    return [MidnightBalance(at, balance) for at, balance in days]


def test_floors_of_the_two_step_move_with_the_day_and_not_in_all():
    config = DeskConfig()
    steps = floor_steps([change(START, config)], found((datetime(2025, 11, 7, 23, tzinfo=UTC), 204_000.0)))
    assert [(step.daily_stop, step.total_stop) for step in steps] == [
        (191_000.0, 182_000.0),
        (195_000.0, 182_000.0),
    ]


def test_the_one_step_floor_follows_the_highest_midnight_and_never_falls():
    night = timedelta(days=1)
    first = datetime(2025, 11, 7, 23, tzinfo=UTC)
    days = found((first, 210_000.0), (first + night, 205_000.0), (first + 2 * night, 199_000.0))
    steps = floor_steps([change(START)], days)
    assert [step.total_stop for step in steps] == [182_000.0, 192_000.0, 192_000.0, 192_000.0]
    assert [step.daily_stop for step in steps] == [194_600.0, 204_600.0, 199_600.0, 193_600.0]


@pytest.mark.parametrize(
    ("month", "first", "hours"), [(3, 29, (23, 22, 22)), (10, 25, (22, 23, 23))], ids=["spring", "autumn"]
)
def test_days_of_23_and_25_hours(connection: sqlite3.Connection, month: int, first: int, hours):
    """Scans every ten minutes over a night on which the clocks change."""
    before = datetime(2025, month, first, 12, tzinfo=UTC)
    moments = [before + timedelta(minutes=10 * index) for index in range(6 * 60)]
    wanted = [datetime(2025, month, first + index, hour, tzinfo=UTC) for index, hour in enumerate(hours)]
    balances = [200_000.0 + 1_000.0 * sum(moment >= at for at in wanted) for moment in moments]
    store(connection, list(zip(moments, balances, balances, strict=True)))
    curve = EquityCurve(RUN, midnights)
    curve.read_on(connection)
    days = [MidnightBalance(*day) for day in midnight_balances(curve.crossings, {})]
    assert [day.at for day in days] == wanted
    steps = floor_steps([change(before, DeskConfig())], days)
    assert [step.daily_stop for step in steps] == [191_000.0, 192_000.0, 193_000.0, 194_000.0]
    assert list(midnights(before, moments[-1])) == wanted


def test_what_is_not_known_is_not_drawn():
    night, first = timedelta(days=1), datetime(2025, 11, 7, 23, tzinfo=UTC)
    days = found((first, None), (first + night, 205_000.0))
    static = floor_steps([change(START, DeskConfig())], days)
    assert [step[1:] for step in static[1:]] == [(None, None), (196_000.0, 182_000.0)]
    trailing = floor_steps([change(START)], days)
    assert [step[1:] for step in trailing[1:]] == [(None, None), (199_600.0, None)]


def test_a_fresh_account_begins_with_floors_of_its_own():
    later = START + timedelta(hours=50)
    days = found((datetime(2025, 11, 7, 23, tzinfo=UTC), 210_000.0))
    steps = floor_steps([change(START), change(later, numbers=False)], days)
    assert steps[-1] == (later, 194_600.0, 182_000.0)


def test_an_account_that_cannot_be_read_is_an_error():
    with pytest.raises(StoreError, match="cannot be read"):
        floor_steps([AccountChange(START, {"paper": math.nan}, {})], [])
