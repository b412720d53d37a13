"""What goes to stdout: one JSON document, or text for a person. Everything else goes to stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.jsonio import dumps, iso_z


def write_json(document: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(dumps(document, indent=2) + "\n")


def write_line(text: str = "") -> None:
    """Print one line for a person."""
    sys.stdout.write(text + "\n")


def write_note(text: str) -> None:
    """Print one line to stderr: progress, hints, errors."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def write_error(error: TradingAIError, *, as_json: bool) -> None:
    """Say what is wrong and what to do: as a document on stdout, or as two lines on stderr."""
    if as_json:
        write_json(error.as_json())
        return
    write_note(f"error: {error.message}")
    if error.remedy:
        write_note(f"       {error.remedy}")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> str:
    """Columns as wide as their content, two spaces apart; the headers named in ``right`` align right."""
    widths = [max(len(row[index]) for row in (headers, *rows)) for index in range(len(headers))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if header in right else cell.ljust(width)
            for cell, width, header in zip(cells, widths, headers, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return "\n".join([line(headers), line(["─" * width for width in widths]), *(line(row) for row in rows)])


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as per cent, or a dash when there is none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def count(value: int) -> str:
    """A whole number with thousands separated."""
    return f"{value:,}"


def moment(value: datetime | None) -> str:
    """A time to the minute, UTC, or a dash."""
    return "–" if value is None else iso_z(value.replace(second=0, microsecond=0)).replace(":00Z", "Z", 1)


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 05 s`` or ``1 h 02 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
