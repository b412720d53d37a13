"""Rows of the tables of commands and controls, as plain values."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.store.stamps import unstamp

CommandState = Literal["queued", "running", "done", "failed", "expired", "refused"]
ControlName = Literal["kill_switch", "threshold", "scan_loop"]


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One audited command."""

    command_id: str
    type: str
    payload: Mapping[str, Any]
    sender: str
    surface: str
    issued_at: datetime
    expires_at: datetime
    state: CommandState
    result: Mapping[str, Any] | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class ControlRow:
    """A persisted control: its value, and who set it when and why."""

    name: ControlName
    value: Any
    set_at: datetime
    sender: str
    surface: str
    reason: str


def control_row(row: sqlite3.Row) -> ControlRow:
    """A row of the table as a ControlRow."""
    return ControlRow(
        row["name"],
        json.loads(row["value"]),
        parse_iso(row["set_at"]),
        row["sender"],
        row["surface"],
        row["reason"],
    )


def command_row(row: sqlite3.Row) -> CommandRow:
    """A row of the table as a CommandRow."""
    return CommandRow(
        row["command_id"],
        row["type"],
        json.loads(row["payload"]),
        row["sender"],
        row["surface"],
        parse_iso(row["issued_at"]),
        parse_iso(row["expires_at"]),
        row["state"],
        None if row["result"] is None else json.loads(row["result"]),
        unstamp(row["finished_at"]),
    )
