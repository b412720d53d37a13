"""Times as the store writes them: UTC text whose order is time order."""

from __future__ import annotations

from datetime import UTC, datetime

from tradingai.engine.core.jsonio import parse_iso


def stamp(moment: datetime) -> str:
    """An aware time as ``2025-11-10T01:07:00.000000Z``. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"naive time {moment!r}")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def unstamp(text: str | None) -> datetime | None:
    """The inverse of :func:`stamp`; None stays None."""
    return None if text is None else parse_iso(text)
