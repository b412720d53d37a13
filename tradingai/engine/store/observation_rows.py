"""Rows of the tables of observations, as plain values."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.store.stamps import unstamp


@dataclass(frozen=True, slots=True)
class ObservationRow:
    """One observation. At most one of a home is open at a time."""

    observation_id: str
    started_at: datetime
    after_beat: int
    """Number of the newest heartbeat when it was started: the clock begins with a later one."""
    sender: str
    surface: str
    required: Mapping[str, Any]
    """The OBSERVATION_* settings as they were, by name, lower case."""
    baseline: Mapping[str, Any]
    told_restarts: int = 0
    ended_at: datetime | None = None
    ended_beat: int | None = None
    """The last heartbeat that belongs to it."""
    ended_why: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """An operator's approval of an observation."""

    observation_id: str
    number: int
    at: datetime
    clock_beat: int
    """The heartbeat the clock counted from then."""
    hours: float
    sender: str
    surface: str
    typed: str


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A day's snapshot that was written."""

    observation_id: str
    day: int
    at: datetime
    whole: bool
    json_path: str
    """Relative to the home."""
    markdown_path: str
    sha256: str
    """Of the JSON file."""


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """A report that was written."""

    observation_id: str
    number: int
    at: datetime
    word: str
    decided_by: str
    text: str
    sender: str
    surface: str
    path: str
    """``summary.md``, relative to the home."""


def observation_row(row: sqlite3.Row) -> ObservationRow:
    """A row of the table as an ObservationRow."""
    return ObservationRow(
        observation_id=row["observation_id"],
        started_at=parse_iso(row["started_at"]),
        after_beat=row["after_beat"],
        sender=row["sender"],
        surface=row["surface"],
        required=json.loads(row["required"]),
        baseline=json.loads(row["baseline"]),
        told_restarts=row["told_restarts"],
        ended_at=unstamp(row["ended_at"]),
        ended_beat=row["ended_beat"],
        ended_why=row["ended_why"],
    )


def approval_row(row: sqlite3.Row) -> ApprovalRow:
    """A row of the table as an ApprovalRow."""
    return ApprovalRow(
        row["observation_id"],
        row["number"],
        parse_iso(row["at"]),
        row["clock_beat"],
        row["hours"],
        row["sender"],
        row["surface"],
        row["typed"],
    )


def snapshot_row(row: sqlite3.Row) -> SnapshotRow:
    """A row of the table as a SnapshotRow."""
    return SnapshotRow(
        row["observation_id"],
        row["day"],
        parse_iso(row["at"]),
        bool(row["whole"]),
        row["json_path"],
        row["markdown_path"],
        row["sha256"],
    )


def verdict_row(row: sqlite3.Row) -> VerdictRow:
    """A row of the table as a VerdictRow."""
    return VerdictRow(
        row["observation_id"],
        row["number"],
        parse_iso(row["at"]),
        row["word"],
        row["decided_by"],
        row["text"],
        row["sender"],
        row["surface"],
        row["path"],
    )
