"""What a home holds, seen from outside: value hashes, running jobs, processes."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tradingai.engine.core.ledger import read_ledger


def value_hashes(home: Path) -> dict[str, str]:
    """Every value hash that the manifests, finished checkpoints and the ledger's live entries name."""
    found = {}
    for kind in ("candles", "oracle", "features"):
        for manifest in sorted((home / "data" / kind).glob("*/manifest.json")):
            found[f"{kind} {manifest.parent.name}"] = json.loads(manifest.read_text())["sha256"]
    for card in sorted((home / "models" / "checkpoints").glob("*_best.json")):
        found[card.stem] = json.loads(card.read_text())["sha256"]
    for model, entry in read_ledger(home / "models" / "registry.json").live().items():
        found[f"live {model}"] = f"{entry.version} {entry.artifact_sha256}"
    return found


def first_row(home: Path, statement: str, *values: Any) -> tuple[Any, ...] | None:
    """The first row of that question; none as long as the database or its tables are still to be made."""
    database = home / "tradingai.db"
    if not database.exists():
        return None
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
        try:
            row: tuple[Any, ...] | None = connection.execute(statement, values).fetchone()
        except sqlite3.OperationalError:
            return None
    return row


def open_scans(home: Path, kind: str) -> int:
    """The scans stored of a run of that kind that has not ended."""
    row = first_row(
        home,
        "SELECT count(*) FROM scans JOIN runs USING (run_id) WHERE kind = ? AND ended_at IS NULL",
        kind,
    )
    return 0 if row is None else int(row[0])


def worker_of(home: Path, kind: str) -> int | None:
    """The process of a running job of that kind."""
    row = first_row(
        home, "SELECT pid FROM jobs WHERE kind = ? AND state = 'running' AND pid IS NOT NULL", kind
    )
    return None if row is None else int(row[0])


def alive(pid: int) -> bool:
    """Whether a process runs (one that has ended and was not waited for does not)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    return fields[0] != "Z"


def wait_for(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What ``look`` returns as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found
