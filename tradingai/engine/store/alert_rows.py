"""Rows of the tables of alerts, as plain values."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.store.stamps import unstamp

AlertKind = Literal["kill", "guard", "signal", "data", "engine", "digest", "summary"]
AlertState = Literal["waiting", "sending", "delivered", "missed", "stopped", "dead"]


@dataclass(frozen=True, slots=True)
class AlertDraft:
    """What an event asks to be told: text without any markup."""

    seq: int
    """The event's number; one event makes at most one alert a channel."""
    run_id: str | None
    """None: the event belongs to no run and is told with the live one."""
    kind: AlertKind
    priority: int
    """Lower goes first."""
    title: str
    body: str
    at: datetime
    """When it happened."""
    expires_at: datetime | None = None
    """A signal's horizon; from then on it is missed."""
    subject: str = ""
    """What it is about: of a signal its key."""
    stops_signals: bool = False
    """Whatever signal happened before and is not sent yet is held back."""


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert as it stands in the store."""

    channel: str
    seq: int
    run_id: str
    kind: AlertKind
    title: str
    body: str
    at: datetime
    expires_at: datetime | None
    state: AlertState
    attempts: int
    unknown: int
    delivered_at: datetime | None
    delivery_s: float | None
    error: str

    @property
    def event_id(self) -> str:
        """The short id its message carries: the event's number in hexadecimal."""
        return event_id(self.seq)


def event_id(seq: int) -> str:
    """An event's number as messages write it, at least four digits."""
    return f"{seq:04x}"


def alert_row(row: sqlite3.Row) -> AlertRow:
    """A row of the table as an AlertRow."""
    return AlertRow(
        channel=row["channel"],
        seq=row["seq"],
        run_id=row["run_id"],
        kind=row["kind"],
        title=row["title"],
        body=row["body"],
        at=parse_iso(row["at"]),
        expires_at=unstamp(row["expires_at"]),
        state=row["state"],
        attempts=row["attempts"],
        unknown=row["unknown"],
        delivered_at=unstamp(row["delivered_at"]),
        delivery_s=row["delivery_s"],
        error=row["error"],
    )
