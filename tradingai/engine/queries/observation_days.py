"""The daily snapshots of an observation: which are due, and which stand."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.queries.observation_views import DaySnapshot, SnapshotState
from tradingai.engine.store.observation_rows import ObservationRow, SnapshotRow

FOLDER: Final = "reports/phase6_5"
"""Where snapshots and summaries stand, relative to the home."""
DAY: Final = timedelta(hours=24)
MOST_DAYS: Final = 999
_FAILED: Final = (
    "SELECT payload FROM events WHERE type = 'ObservationSnapshotFailed'"
    " AND json_extract(payload, '$.observation') = ? AND json_extract(payload, '$.day') = ?"
    " ORDER BY seq DESC LIMIT 1"
)


def day_name(day: int) -> str:
    """``day0`` is the beginning, ``day1`` the end of the first 24 h."""
    return f"day{day}"


def parse_day(text: str) -> int:
    """The inverse of :func:`day_name`. Raises UsageError for anything else."""
    number = text.removeprefix("day")
    if not (text.startswith("day") and number.isascii() and number.isdigit() and int(number) <= MOST_DAYS):
        raise UsageError(
            f"{text!r} is no day of an observation",
            remedy="Give day0 for its beginning, day1 for the end of its first 24 h, and so on.",
        )
    return int(number)


def due_at(row: ObservationRow, day: int) -> datetime:
    """When a day is over, by the wall clock."""
    return row.started_at + day * DAY


def days_over(row: ObservationRow, now: datetime) -> int:
    """Number of the newest day that is over."""
    return max(0, min(MOST_DAYS, (now - row.started_at) // DAY))


def day_snapshots(
    connection: sqlite3.Connection,
    paths: HomePaths,
    row: ObservationRow,
    written: Sequence[SnapshotRow],
    now: datetime,
) -> tuple[DaySnapshot, ...]:
    """All days that are over or were written, and the next one while the observation goes on."""
    by_day = {one.day: one for one in written}
    last = max([days_over(row, now) + (row.ended_at is None), *by_day])
    return tuple(_day(connection, paths, row, day, by_day.get(day), now) for day in range(last + 1))


def _day(
    connection: sqlite3.Connection,
    paths: HomePaths,
    row: ObservationRow,
    day: int,
    written: SnapshotRow | None,
    now: datetime,
) -> DaySnapshot:
    due, name = due_at(row, day), day_name(day)
    if written is None:
        if due > now:
            return DaySnapshot(name, due, "waiting")
        return DaySnapshot(name, due, "due", problem=_problem(connection, row, name))
    stands = all((paths.root / path).is_file() for path in (written.json_path, written.markdown_path))
    state: SnapshotState = "lost" if not stands else "written" if written.whole else "partial"
    return DaySnapshot(name, due, state, written.at, written.json_path, written.markdown_path)


def _problem(connection: sqlite3.Connection, row: ObservationRow, name: str) -> str:
    found = connection.execute(_FAILED, (row.observation_id, name)).fetchone()
    return "" if found is None else str(json.loads(found["payload"])["reason"])
