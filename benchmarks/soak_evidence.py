"""What a soak left behind, and what is said of it: rows of the database, texts that reached the chat."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

from tradingai.engine.core.paths import HomePaths

from soak_plan import Plan

MOST_TOLD = 5
"""Violations of one invariant that a report lists."""
SCANNED = ("ScanCompleted", "ScanFailed")
"""The last event of every scan."""


@dataclass
class Verdict:
    """One invariant: how much it was checked on, and what breaks it."""

    name: str
    checked: int
    violations: list[str] = field(default_factory=list)
    detail: str = ""

    @property
    def holds(self) -> bool:
        """Nothing breaks it."""
        return not self.violations

    @classmethod
    def of(cls, name: str, checked: int, violations: Iterable[str], detail: str = "") -> Self:
        """Of all violations the first; a check that looked at nothing is one."""
        found = list(violations)
        if len(found) > MOST_TOLD:
            found[MOST_TOLD:] = [f"and {len(found) - MOST_TOLD} more"]
        if not checked:
            found.append("there was nothing to check")
        return cls(name, checked, found, detail)


class Told(NamedTuple):
    """An event of the log. ``scan``: of its run, the one that was stored with it, or the next one."""

    seq: int
    type: str
    payload: dict[str, Any]
    run: str
    scan: int
    at: str
    """Wall time of its writing."""
    level: str


def repeated(things: Iterable[Any]) -> list[Any]:
    """Those that occur more than once."""
    return [thing for thing, count in Counter(things).items() if count > 1]


@dataclass
class Evidence:
    """A home after its engine ended, and what left it."""

    home: Path
    connection: sqlite3.Connection
    channel: str
    """Of the chat."""
    texts: list[str]
    """Messages in the order of their arrival."""
    plan: Plan
    journal: list[dict[str, Any]]
    arrived_at: list[float]
    """When each of them did, in seconds of the soak."""
    answered: dict[str, int]
    """How often the Bot API answered a message in which way: ``ok`` and the plan's faults."""

    @classmethod
    @contextmanager
    def of(
        cls,
        home: Path,
        channel: str,
        texts: list[str],
        plan: Plan,
        journal: list[dict[str, Any]],
        arrived_at: list[float],
        answered: dict[str, int],
    ) -> Iterator[Evidence]:
        """Open the home's database for reading."""
        uri = f"file:{home / 'tradingai.db'}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            yield cls(home, connection, channel, texts, plan, journal, arrived_at, answered)

    @property
    def paths(self) -> HomePaths:
        """Where the home's files are."""
        return HomePaths(self.home)

    def rows(self, sql: str, *parameters: Any) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self.connection.execute(sql, parameters).fetchall()

    @cached_property
    def events(self) -> list[Told]:
        """The whole log, oldest first."""
        found = []
        scans: dict[str, int] = defaultdict(lambda: 1)
        for row in self.rows("SELECT seq, ts, type, level, run_id, payload FROM events ORDER BY seq"):
            payload, run = json.loads(row["payload"]), row["run_id"] or ""
            found.append(Told(row["seq"], row["type"], payload, run, scans[run], row["ts"], row["level"]))
            scans[run] += row["type"] in SCANNED
        return found

    def told(self, *types: str) -> list[Told]:
        """Events of these types."""
        return [one for one in self.events if one.type in types]

    def noted(self, what: str) -> list[dict[str, Any]]:
        """Lines of the journal."""
        return [line for line in self.journal if line["what"] == what]
