"""An alert as a message: the mode and the event's id are in every one."""

from __future__ import annotations

from html import escape
from typing import Final

from tradingai.engine.alerts.protocols import Message
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.store.alert_rows import AlertRow

LONGEST: Final = 3500
"""Characters of a body; a message may have 4,096."""


def message_of(alert: AlertRow, mode: str) -> Message:
    """The message of one attempt; it says REPEAT when an earlier one may have arrived."""
    repeat = "REPEAT " if alert.unknown else ""
    body = alert.body if len(alert.body) <= LONGEST else alert.body[: LONGEST - 1] + "…"
    foot = f"{mode} · {alert.at:%H:%M:%S}Z · id {alert.event_id}"
    return Message(
        event_id=alert.event_id,
        plain=f"{repeat}{alert.title}\n{body}\n{foot}",
        html=f"<b>{repeat}{escape(alert.title)}</b>\n{escape(body)}\n<i>{escape(foot)}</i>",
        document={
            "id": alert.event_id,
            "repeat": bool(alert.unknown),
            "kind": alert.kind,
            "title": alert.title,
            "body": alert.body,
            "at": iso_z(alert.at),
            "run": alert.run_id,
            "mode": mode,
        },
    )
