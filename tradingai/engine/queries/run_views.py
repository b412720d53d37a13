"""The run that Monitor and Risk are about: which one, how far it is, and how it ended."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, cast

from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.model_snapshot import EMPTY_MAP
from tradingai.engine.queries.run_snapshot import NEWEST_REPLAY, RunState, WatchedRun
from tradingai.engine.store.stamps import unstamp

_RUNS: Final = (
    "SELECT runs.run_id, kind, started_at, ended_at, state, request, first_at, last_at, speed"
    " FROM runs LEFT JOIN run_results USING (run_id) LEFT JOIN replay_runs USING (run_id)"
)
_LIVE: Final = (
    f"{_RUNS} JOIN live_runs USING (run_id)"
    " WHERE kind = 'live' ORDER BY ended_at IS NOT NULL, started_at DESC LIMIT 1"
)
_REPLAY: Final = f"{_RUNS} WHERE kind = 'replay' ORDER BY started_at DESC LIMIT 1"
_BY_ID: Final = f"{_RUNS} WHERE runs.run_id = ? AND kind IN ('live', 'replay', 'drill')"
_FIRST: Final = "SELECT at FROM scans WHERE run_id = ? ORDER BY seq LIMIT 1"
_NEWEST: Final = "SELECT seq, at FROM scans WHERE run_id = ? ORDER BY seq DESC LIMIT 1"
_MODELS: Final = (
    "SELECT versions FROM decisions WHERE run_id = ? AND scan_seq ="
    " (SELECT max(scan_seq) FROM decisions WHERE run_id = ?) ORDER BY place"
)
_AT_WORK: Final = "SELECT 1 FROM jobs WHERE kind = ? AND state IN ('queued', 'running') LIMIT 1"


def choose_run(connection: sqlite3.Connection, wanted: str = "") -> WatchedRun | None:
    """The run a page is about; None where there is no such run.

    ``wanted`` is a run's id, NEWEST_REPLAY, or empty for the live one (where none was ever begun, the newest
    replay).
    """
    if wanted not in {"", NEWEST_REPLAY}:
        row = connection.execute(_BY_ID, (wanted,)).fetchone()
    elif wanted == NEWEST_REPLAY:
        row = connection.execute(_REPLAY).fetchone()
    else:
        row = connection.execute(_LIVE).fetchone() or connection.execute(_REPLAY).fetchone()
    return None if row is None else _watched(connection, row)


def live_run(connection: sqlite3.Connection) -> str | None:
    """The run whose account the scan loop goes on with; None where none was ever begun."""
    row = connection.execute(_LIVE).fetchone()
    return None if row is None else str(row["run_id"])


def _watched(connection: sqlite3.Connection, row: sqlite3.Row) -> WatchedRun:
    run = str(row["run_id"])
    request = EMPTY_MAP if row["request"] is None else json.loads(row["request"])
    first = connection.execute(_FIRST, (run,)).fetchone()
    newest = connection.execute(_NEWEST, (run,)).fetchone()
    return WatchedRun(
        run=run,
        kind=cast('Literal["live", "replay", "drill"]', row["kind"]),
        state=_state(connection, row),
        started_at=parse_iso(row["started_at"]),
        now=None if newest is None else unstamp(newest["at"]),
        scans=0 if newest is None else int(newest["seq"]),
        first_at=unstamp(row["first_at"]) or (None if first is None else unstamp(first["at"])),
        last_at=unstamp(row["last_at"]) or _time(request, "end"),
        speed=row["speed"],
        models=_models(connection, run),
        candles=request.get("candles", EMPTY_MAP),
    )


def _state(connection: sqlite3.Connection, row: sqlite3.Row) -> RunState:
    if row["state"] is not None:
        return cast("RunState", row["state"])
    if row["ended_at"] is not None:
        return "finished"
    if row["kind"] == "live" or connection.execute(_AT_WORK, (row["kind"],)).fetchone() is not None:
        return "open"
    return "interrupted"


def _models(connection: sqlite3.Connection, run: str) -> Mapping[str, str]:
    """The models that the run's newest decisions rest on, with their versions."""
    found: dict[str, str] = {}
    for row in connection.execute(_MODELS, (run, run)):
        found |= json.loads(row["versions"])
    return found


def _time(document: Mapping[str, Any], name: str) -> datetime | None:
    text = document.get(name)
    return None if text is None else parse_iso(text)
