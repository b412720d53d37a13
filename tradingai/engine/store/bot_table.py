"""What the bot has to remember across restarts: updates it saw, wrong codes, and the day's summary."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import Command
from tradingai.engine.core.events import DaySummarised
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.store.connection import Database
from tradingai.engine.store.control_rows import CommandState
from tradingai.engine.store.control_table import insert_command
from tradingai.engine.store.event_log import insert_events
from tradingai.engine.store.stamps import stamp

_KEPT: Final = timedelta(days=3)
"""The Bot API offers an update again for at most a day."""
Audit = tuple[Command, CommandState, dict[str, Any]]
"""A command with what became of it."""
_SCANS: Final = (
    "SELECT count(*), coalesce(sum(state = 'failed'), 0) FROM scans JOIN runs USING (run_id)"
    " WHERE kind = 'live' AND at > ?"
)
_SIGNALS: Final = (
    "SELECT count(*), coalesce(sum(tier = 'high'), 0) FROM signals JOIN runs USING (run_id)"
    " WHERE kind = 'live' AND at > ?"
)
_TRADES: Final = (
    "SELECT count(*), coalesce(sum(r > 0), 0), coalesce(sum(net), 0.0) FROM trades JOIN runs USING (run_id)"
    " WHERE kind = 'live' AND exit_at > ?"
)
_ACCOUNT: Final = (
    "SELECT equity, guard FROM scans JOIN runs USING (run_id) WHERE kind = 'live' AND at > ?"
    " AND equity IS NOT NULL ORDER BY at DESC LIMIT 1"
)
_ALERTS: Final = (
    "SELECT coalesce(sum(state = 'delivered'), 0), coalesce(sum(state IN ('dead', 'missed', 'stopped')), 0)"
    " FROM alerts WHERE channel = ? AND at > ?"
)


class BotTable:
    """Processed updates, wrong codes, daily summaries."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def fresh(self, bot_id: int, update_ids: Sequence[int]) -> set[int]:
        """Those of the updates that were never seen."""
        marks = ",".join("?" * len(update_ids))
        rows = await self._database.rows(
            f"SELECT update_id FROM bot_updates WHERE bot_id = ? AND update_id IN ({marks})",  # noqa: S608 - marks only
            (bot_id, *update_ids),
        )
        return set(update_ids) - {row[0] for row in rows}

    async def seen(self, bot_id: int, update_ids: Sequence[int], audits: Sequence[Audit] = ()) -> None:
        """Remember updates and write down what became of them, in one transaction."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await connection.executemany(
                "INSERT OR IGNORE INTO bot_updates VALUES (?, ?, ?)",
                [(bot_id, number, stamp(now)) for number in update_ids],
            )
            for command, state, result in audits:
                await insert_command(connection, command, state, result, now)
            await connection.execute("DELETE FROM bot_updates WHERE at < ?", (stamp(now - _KEPT),))

    # -- wrong codes

    async def failed(self, user_id: int) -> None:
        """A wrong code was given."""
        async with self._database.transaction() as connection:
            now = stamp(self._clock.now())
            await connection.execute("INSERT INTO bot_failures VALUES (?, ?)", (user_id, now))

    async def forgive(self, user_id: int) -> None:
        """A right code was given: wrong ones before it no longer count."""
        async with self._database.transaction() as connection:
            await connection.execute("DELETE FROM bot_failures WHERE user_id = ?", (user_id,))

    async def failures(self, user_id: int, since: datetime) -> list[datetime]:
        """When wrong codes were given, newest first."""
        rows = await self._database.rows(
            "SELECT at FROM bot_failures WHERE user_id = ? AND at > ? ORDER BY at DESC",
            (user_id, stamp(since)),
        )
        return [parse_iso(row["at"]) for row in rows]

    # -- the day's summary

    async def summarise(self, channel: str, run_id: str) -> bool:
        """Write today's DaySummarised over the 24 hours before; True when it was written.

        There is one a day, and none where nothing was scanned.
        """
        now = self._clock.now()
        since, day = stamp(now - timedelta(hours=24)), now.date().isoformat()
        made = await self._database.rows(
            "SELECT 1 FROM events WHERE type = 'DaySummarised'"
            " AND json_extract(payload, '$.day') = ? LIMIT 1",
            (day,),
        )
        scans = (await self._database.rows(_SCANS, (since,)))[0]
        if made or not scans[0]:
            return False
        signals = (await self._database.rows(_SIGNALS, (since,)))[0]
        trades = (await self._database.rows(_TRADES, (since,)))[0]
        account = await self._database.rows(_ACCOUNT, (since,))
        alerts = (await self._database.rows(_ALERTS, (channel, since)))[0]
        event = DaySummarised(
            day=day, scans=scans[0], failed=scans[1], signals=signals[0], high_signals=signals[1],
            trades=trades[0], wins=trades[1], net=trades[2],
            equity=account[0]["equity"] if account else None, guard=account[0]["guard"] if account else "",
            alerts_delivered=alerts[0], alerts_lost=alerts[1],
        )  # fmt: skip
        async with self._database.transaction() as connection:
            await insert_events(connection, now, [event.as_json()], run_id=run_id)
        return True
