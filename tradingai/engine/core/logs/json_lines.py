"""A log record as one line of JSON, whatever is in it."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.logs.emf import metadata
from tradingai.engine.core.logs.redact import Redactor

LARGEST_LINE: Final = 250_000
"""Bytes; CloudWatch takes 256 KB a line."""
LONGEST_TEXT: Final = 8_000
"""Characters of one value; a traceback may have four times as many."""
LONGEST_LIST: Final = 200
_DEEPEST: Final = 6
_SHORT: Final = 200
_OWN: Final = ("ts", "level", "logger", "msg", "process", "pid", "exc", "_aws")
"""Members that no field of a record replaces."""


class JsonLines(logging.Formatter):
    """Formats records of one process, without secrets.

    A record may carry ``fields``, a mapping of further members, and ``metrics``, a tuple of
    :class:`~tradingai.engine.core.logs.emf.Directive`: both come in through ``extra``.
    """

    def __init__(self, process: str, clock: Clock, redactor: Redactor, *, emf: bool) -> None:
        """``emf`` adds CloudWatch Embedded Metric Format to records that carry metrics."""
        super().__init__()
        self._process = process
        self._clock = clock
        self._redactor = redactor
        self._emf = emf

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end. Never raises: a record that has no form is a line that says so."""
        now = self._clock.now()
        try:
            return self._line(record, now)
        except Exception as error:  # noqa: BLE001 - the log's boundary: a strange value in a record ends nothing
            words = f"a record of {record.name} has no form as JSON ({type(error).__name__})"
            return _text({**self._head(record, now), "msg": self._redactor(words)})

    def _line(self, record: logging.LogRecord, now: datetime) -> str:
        document = self._head(record, now)
        document["msg"] = self._plain(_message(record))
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            own = {str(name): value for name, value in fields.items() if name not in _OWN}
            document |= self._plain(own)
        if record.exc_info:
            document["exc"] = self._cut(self.formatException(record.exc_info), 4 * LONGEST_TEXT)
        if self._emf and (directives := getattr(record, "metrics", ())):
            aws = metadata(document, directives, now)
            if aws is not None:
                document["_aws"] = aws
        line = _text(document)
        return line if len(line) <= LARGEST_LINE // 4 or _size(line) <= LARGEST_LINE else _shortened(document)

    def _head(self, record: logging.LogRecord, now: datetime) -> dict[str, Any]:
        return {
            "ts": now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": self._cut(record.name, _SHORT),
            "msg": "",
            "process": self._process,
            "pid": os.getpid(),
        }

    def _plain(self, value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - one branch a type
        """JSON types only, texts redacted and cut, NaN and infinities as None."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return self._plain(value.value, depth)
        if isinstance(value, str):
            return self._cut(value, LONGEST_TEXT)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, datetime):
            return iso_z(value)
        if depth < _DEEPEST and isinstance(value, Mapping):
            listed = list(value.items())[:LONGEST_LIST]
            return {self._cut(str(key), _SHORT): self._plain(item, depth + 1) for key, item in listed}
        if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [self._plain(item, depth + 1) for item in list(value)[:LONGEST_LIST]]
        if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
            return self._plain(value.item(), depth + 1)
        return self._cut(str(value), LONGEST_TEXT)

    def _cut(self, text: str, longest: int) -> str:
        """Redacted before it is cut: half a secret is one too."""
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode("utf-8")
        text = self._redactor(text)
        return text if len(text) <= longest else text[: longest - 1] + "…"


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a library's arguments that do not fit its text
        return f"{record.msg} {record.args}"


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _size(line: str) -> int:
    return len(line.encode("utf-8"))


def _shortened(document: dict[str, Any]) -> str:
    """The line without what makes it too long; its metrics stay while they have room."""
    entries = document.get("_aws", {}).get("CloudWatchMetrics", ())
    needed = {item["Name"] for entry in entries for item in entry["Metrics"]}
    needed |= {name for entry in entries for names in entry["Dimensions"] for name in names}
    kept = {"cut": True} | {
        name: value if name in needed or name == "_aws" or not isinstance(value, str) else value[:_SHORT]
        for name, value in document.items()
        if name in needed or name == "_aws" or not isinstance(value, Mapping | list)
    }
    line = _text(kept)
    if _size(line) <= LARGEST_LINE:
        return line
    return _text({name: value for name, value in kept.items() if name in _OWN and name != "_aws"})
