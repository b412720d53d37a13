"""What the Risk screen shows of one run: its account as ``ftmo status`` has it, equity curve and floors,
trades of the day, a halt, the newest drill.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol

from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.queries.equity_curve import EquityCurve, Levels, midnight_balances
from tradingai.engine.queries.model_snapshot import Problem
from tradingai.engine.queries.run_snapshot import (
    NO_ACCOUNT,
    AccountFacts,
    DayView,
    EquityPoint,
    RiskView,
    TradeView,
    WatchedRun,
)
from tradingai.engine.queries.run_views import live_run
from tradingai.engine.store.stamps import stamp

TRADES_SHOWN: Final = 200
RUNS_SHOWN: Final = 30
_OF_ACCOUNT: Final = "run_id IN (SELECT run_id FROM runs WHERE run_id = ? OR kind = ?)"
_TRADES: Final = f"SELECT * FROM trades WHERE {_OF_ACCOUNT} AND exit_at >= ?"  # noqa: S608 - fixed texts
_SUMS: Final = (
    "SELECT count(*), coalesce(sum(r), 0.0), coalesce(sum(swap - commission), 0.0) FROM trades"  # noqa: S608 - fixed
    f" WHERE {_OF_ACCOUNT} AND exit_at >= ?"
)
_FRESH: Final = (
    f"SELECT coalesce(max(at), '') FROM desk_changes WHERE {_OF_ACCOUNT}"  # noqa: S608 - fixed texts
    " AND json_extract(desk, '$.paper.trades') = 0"
)
"""When the account was last one that had closed nothing: what was closed before is another one's."""
_RUNS: Final = (
    "SELECT run_id FROM runs WHERE kind IN ('live', 'replay', 'drill')"
    " AND EXISTS (SELECT 1 FROM run_accounts WHERE run_accounts.run_id = runs.run_id)"
    " ORDER BY started_at DESC LIMIT ?"
)
_EVENTS: Final = (
    "SELECT seq, type, payload FROM events JOIN runs USING (run_id)"
    " WHERE seq > ? AND (run_id = ? OR kind = ?)"
    " AND type IN ('FtmoDayStarted', 'GuardStateChanged', 'PriceRejected') ORDER BY seq"
)


class StoredAccount(NamedTuple):
    """A run's account as the store has it."""

    run: str
    at: datetime
    desk: Mapping[str, Any]


class AccountChange(NamedTuple):
    """An account that no scan made, with the numbers it goes by from then on (empty: as before)."""

    at: datetime
    desk: Mapping[str, Any]
    config: Mapping[str, Any]


class MidnightBalance(NamedTuple):
    """A Prague midnight and the balance it found; None where nobody knows."""

    at: datetime
    balance: float | None


class FloorStep(NamedTuple):
    """The internal stops from a time on; None where they are not known."""

    at: datetime
    daily_stop: float | None
    total_stop: float | None


class AccountCode(Protocol):
    """The risk code as pictures need it; it lies above the queries and is handed down."""

    def facts(self, stored: StoredAccount | None, now: datetime, *, live: bool) -> AccountFacts:
        """The account at ``now``, a live one after the midnights up to it. Raises TradingAIError when it
        cannot be read.
        """
        ...

    def floor_steps(
        self, changes: Sequence[AccountChange], midnights: Sequence[MidnightBalance]
    ) -> tuple[FloorStep, ...]:
        """The internal stops from each time on, oldest first. Raises TradingAIError as ``facts``."""
        ...

    def midnights(self, after: datetime, until: datetime) -> tuple[datetime, ...]:
        """Prague's midnights after the one time, up to and with the other."""
        ...


@dataclass(slots=True)
class _Kept:
    """What was read of a run so far."""

    curve: EquityCurve
    changes: list[AccountChange] = field(default_factory=list)
    event: int = 0
    logged: dict[datetime, float] = field(default_factory=dict)
    """What the midnights found, as the run's events say."""
    halts: dict[str, tuple[int, str]] = field(default_factory=dict)
    """When the account halted: the event's number, and the price that was rejected just before."""
    rejected: str = ""
    """The newest price that was rejected since."""
    steps: tuple[FloorStep, ...] = ()
    steps_of: tuple[int, int, int] = (-1, -1, -1)


class RiskReader:
    """Reads the Risk screen's part of pictures, one after another; only what is new is read again."""

    def __init__(self, code: AccountCode) -> None:
        self._code = code
        self._kept: _Kept | None = None
        self._simulated: tuple[str, Mapping[str, Any]] = ("", {})

    def read(self, connection: sqlite3.Connection, run: WatchedRun, now: datetime) -> RiskView:
        """The run's account at ``now``. An account that cannot be read is told as the view's problem."""
        problem: Problem | None = None
        facts = NO_ACCOUNT
        curve: tuple[EquityPoint, ...] = ()
        kept = self._kept_of(run)
        live = run.run == live_run(connection)
        self._read_on(connection, kept, live=live)
        try:
            facts = self._code.facts(_account(connection, run.run), now, live=live)
            curve = self._curve(kept)
        except TradingAIError as error:
            problem = Problem(error.message, error.remedy)
        document = facts.document
        trades, day = _day(connection, run.run, document, live=live)
        halted = document.get("status") == "HALTED"
        event, price = kept.halts.get(str(document.get("since")), (None, "")) if halted else (None, "")
        points = kept.curve.bounds()
        drill, drill_at = _drill(connection)
        odds, odds_at = self._odds(connection)
        return RiskView(
            run=run,
            live=live,
            facts=facts,
            problem=problem,
            trades=trades,
            day=day,
            curve=curve,
            resets=self._code.midnights(*points) if points else (),
            halt_event=event,
            halt_price=price if document.get("cause") == "not_a_number" else "",
            runs=tuple(row[0] for row in reversed(connection.execute(_RUNS, (RUNS_SHOWN,)).fetchall())),
            halt_closed=_closed_by_halt(connection, run.run, document, live=live) if halted else (),
            drill=drill,
            drill_at=drill_at,
            odds=odds,
            odds_at=odds_at,
        )

    def _odds(self, connection: sqlite3.Connection) -> tuple[Mapping[str, Any], datetime | None]:
        """The newest simulation; its document is read once."""
        row = connection.execute(
            "SELECT job_id, ended_at FROM jobs WHERE kind = 'simulate' AND state = 'finished'"
            " ORDER BY ended_at DESC LIMIT 1"
        ).fetchone()
        if row is None:
            return {}, None
        if self._simulated[0] != row["job_id"]:
            text = connection.execute(
                "SELECT json_extract(result, '$.odds') FROM jobs WHERE job_id = ?", (row["job_id"],)
            ).fetchone()[0]
            self._simulated = (row["job_id"], json.loads(text))
        return self._simulated[1], parse_iso(row["ended_at"])

    def _kept_of(self, run: WatchedRun) -> _Kept:
        if self._kept is None or self._kept.curve.run != run.run:
            self._kept = _Kept(EquityCurve(run.run, self._code.midnights))
        return self._kept

    def _read_on(self, connection: sqlite3.Connection, kept: _Kept, *, live: bool) -> None:
        run = kept.curve.run
        kept.curve.read_on(connection)
        rows = connection.execute(
            "SELECT at, desk, config FROM desk_changes WHERE run_id = ? AND number > ? ORDER BY number",
            (run, len(kept.changes)),
        )
        kept.changes += [
            AccountChange(parse_iso(at), json.loads(desk), json.loads(config)) for at, desk, config in rows
        ]
        newest = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        for seq, name, text in connection.execute(_EVENTS, (kept.event, run, _others(live=live))):
            payload = json.loads(text)
            if name == "FtmoDayStarted":
                kept.logged[parse_iso(payload["at"])] = payload["balance"]
            elif name == "PriceRejected":
                kept.rejected = f"{payload['symbol']} had {payload['detail']}"
            elif payload["status"] == "HALTED":
                kept.halts[payload["at"]] = (seq, kept.rejected)
                kept.rejected = ""
        kept.event = newest

    def _curve(self, kept: _Kept) -> tuple[EquityPoint, ...]:
        state = (len(kept.changes), len(kept.curve.crossings), len(kept.logged))
        if state != kept.steps_of:
            found = midnight_balances(kept.curve.crossings, kept.logged)
            midnights = [MidnightBalance(at, balance) for at, balance in found]
            kept.steps, kept.steps_of = self._code.floor_steps(kept.changes, midnights), state
        levels = Levels(kept.steps)
        return tuple(EquityPoint(at, equity, *levels.at(at)) for at, equity in kept.curve.points())


def _others(*, live: bool) -> str:
    """The kind of run whose account this one goes on with: a live account outlives its runs."""
    return "live" if live else ""


def _account(connection: sqlite3.Connection, run: str) -> StoredAccount | None:
    row = connection.execute("SELECT at, desk FROM run_accounts WHERE run_id = ?", (run,)).fetchone()
    return None if row is None else StoredAccount(run, parse_iso(row["at"]), json.loads(row["desk"]))


def _day(
    connection: sqlite3.Connection, run: str, document: Mapping[str, Any], *, live: bool
) -> tuple[tuple[TradeView, ...], DayView]:
    """What was closed since the account's last Prague midnight."""
    if not document:
        return (), DayView()
    whose = (run, _others(live=live))
    fresh = connection.execute(_FRESH, whose).fetchone()[0]
    since = max(stamp(parse_iso(document["day_start"])), fresh)
    rows = connection.execute(
        f"{_TRADES} ORDER BY exit_at DESC, key DESC LIMIT {TRADES_SHOWN}", (*whose, since)
    ).fetchall()
    count, net_r, paid = connection.execute(_SUMS, (*whose, since)).fetchone()
    return tuple(_trade(row) for row in rows), DayView(count, net_r, paid)


def _closed_by_halt(
    connection: sqlite3.Connection, run: str, document: Mapping[str, Any], *, live: bool
) -> tuple[TradeView, ...]:
    since = stamp(parse_iso(document["since"]))
    rows = connection.execute(
        f"{_TRADES} AND exit_reason = 'halt' ORDER BY exit_at, key", (run, _others(live=live), since)
    )
    return tuple(_trade(row) for row in rows)


def _trade(row: sqlite3.Row) -> TradeView:
    return TradeView(
        key=row["key"],
        exit_at=parse_iso(row["exit_at"]),
        symbol=row["symbol"],
        side=row["side"],
        entry=row["entry"],
        exit=row["exit"],
        exit_reason=row["exit_reason"],
        net=row["net"],
        r=row["r"],
        detail={name: row[name] for name in row.keys()},  # noqa: SIM118 - a sqlite3.Row iterates over values
    )


def _drill(connection: sqlite3.Connection) -> tuple[Mapping[str, Any], datetime | None]:
    """The result of the newest finished guard drill, and when it ended."""
    row = connection.execute(
        "SELECT result, ended_at FROM run_results JOIN runs USING (run_id)"
        " WHERE kind = 'drill' AND state = 'finished' ORDER BY started_at DESC LIMIT 1"
    ).fetchone()
    return ({}, None) if row is None else (json.loads(row["result"]), parse_iso(row["ended_at"]))
