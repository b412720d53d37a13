"""JSON as the product writes it: canonical for hashes, ISO-8601 with Z for times, null for NaN."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any


def iso_z(moment: datetime) -> str:
    """An aware time as ``2025-11-10T01:07:00Z``, with microseconds only when there are any."""
    text = moment.astimezone(UTC).isoformat()
    return text.replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """The inverse of :func:`iso_z`. Raises ValueError for a time without a zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time without a zone: {text!r}")
    return moment.astimezone(UTC)


def plain(value: Any) -> Any:  # noqa: PLR0911 - one branch a type
    """``value`` with every leaf a JSON type: aware times as ISO-8601 Z, NaN and infinities as None."""
    if value is None or (isinstance(value, bool | str | int) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return iso_z(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return plain(value.item())
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: Any, *, indent: int | None = None) -> str:
    """JSON text of ``plain(value)``."""
    return json.dumps(plain(value), indent=indent, ensure_ascii=False, allow_nan=False)


def canonical(value: Any) -> bytes:
    """Canonical JSON bytes (sorted keys, no white space, UTF-8): the input of every hash over a document."""
    text = json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def digest(value: Any) -> str:
    """SHA-256 over :func:`canonical`, as 64 hex digits."""
    return hashlib.sha256(canonical(value)).hexdigest()
