"""What became of the alerts to Telegram; counted, not estimated."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from tradingai.engine.queries.snapshot import TelegramView

_STATES: Final = ("delivered", "waiting", "dead", "missed", "stopped")
_COUNTS: Final = "SELECT state, count(*) FROM alerts WHERE channel = ? GROUP BY state"
_SIGNALS: Final = (
    "SELECT count(*), coalesce(sum(state = 'delivered'), 0) FROM alerts WHERE channel = ? AND kind = 'signal'"
)
_TIMES: Final = (
    "SELECT delivery_s, delivered_at FROM alerts WHERE channel = ? AND state = 'delivered'"
    " ORDER BY seq DESC LIMIT 1000"
)


def telegram_off(chat: int | None) -> dict[str, Any]:
    """The document where nothing was ever to be sent; ``chat`` is the configured one."""
    return {
        "state": "off" if chat is None else "idle",
        "chat": chat,
        **dict.fromkeys(_STATES, 0),
        "high_signals": {"alerts": 0, "delivered": 0},
        "delivery_s": {"p50": None, "p95": None},
        "last_delivered_at": None,
        "error": "",
        "error_at": None,
    }


def read_telegram(connection: sqlite3.Connection, chat: int | None) -> dict[str, Any]:
    """Counts over all alerts of the chat, delivery times of the newest 1,000 in seconds since their event.

    ``state``: ``off`` without a token, ``idle`` before the first alert, ``failing`` while the newest attempt
    failed and something waits, else ``ok``.
    """
    document = telegram_off(chat)
    channel = f"telegram:{chat}"
    row = connection.execute(
        "SELECT error, error_at FROM alert_channels WHERE channel = ?", (channel,)
    ).fetchone()
    if chat is None or row is None:
        return document
    counts = dict(connection.execute(_COUNTS, (channel,)).fetchall())
    document |= {state: counts.get(state, 0) for state in _STATES}
    document["waiting"] += counts.get("sending", 0)
    alerts, delivered = connection.execute(_SIGNALS, (channel,)).fetchone()
    document["high_signals"] = {"alerts": alerts, "delivered": delivered}
    newest = connection.execute(_TIMES, (channel,)).fetchall()
    times = sorted(one[0] for one in newest)
    document["delivery_s"] = {"p50": percentile(times, 0.50), "p95": percentile(times, 0.95)}
    last = max((str(one[1]) for one in newest), default=None)
    document |= {"last_delivered_at": last, "error": row["error"], "error_at": row["error_at"]}
    failing = row["error_at"] is not None and row["error_at"] > (last or "") and document["waiting"]
    if counts:
        document["state"] = "failing" if failing else "ok"
    return document


def telegram_view(connection: sqlite3.Connection, chat: int | None) -> TelegramView | None:
    """The same for the console; None without a token."""
    if chat is None:
        return None
    document = read_telegram(connection, chat)
    return TelegramView(
        state=document["state"],
        delivered=document["delivered"],
        waiting=document["waiting"],
        dead=document["dead"],
        not_delivered=document["missed"] + document["stopped"],
        p50_s=document["delivery_s"]["p50"],
        p95_s=document["delivery_s"]["p95"],
        error=document["error"],
    )


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest of the ascending values that ``share`` of them do not exceed; None of none."""
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else None
