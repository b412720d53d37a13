"""The document of a window as a table of ``name, value, unit``, for programs that want no nesting."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

HEADER: Final = ("name", "value", "unit")
UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "win_rate": "fraction",
        "max_drawdown": "fraction",
        "net_r": "R",
        "mean_r": "R",
        "net": "money",
        "balance": "money",
        "equity": "money",
        "lowest_equity": "money",
        "highest_equity": "money",
        "start": "time",
        "end": "time",
        "at": "time",
        "newest_candle": "time",
    }
)
"""By the last part of a name; ``money`` is the account's currency."""
_SUFFIXES: Final = {"_ms": "ms", "_s": "s"}
_TYPES: Final = {bool: "yes or no", int: "count", str: "text"}


def metric_rows(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Every leaf of the document: its dotted name, its value (empty where there is none), its unit."""
    for name, value in _leaves("", document):
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        yield name, text, _unit(name, value)


def metric_csv(document: Mapping[str, Any]) -> str:
    """The rows as CSV with a header (RFC 4180 quoting, lines that end in a line feed)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(metric_rows(document))
    return text.getvalue()


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(f"{prefix}.{name}" if prefix else name, item)
    elif isinstance(value, list):
        yield f"{prefix}.count", len(value)
        for number, item in enumerate(value, 1):
            yield from _leaves(f"{prefix}.{number}", item)
    else:
        yield prefix, value


def _unit(name: str, value: Any) -> str:
    last = name.rpartition(".")[2]
    suffixed = next((unit for suffix, unit in _SUFFIXES.items() if last.endswith(suffix)), None)
    return UNITS.get(last) or suffixed or _TYPES.get(type(value), "")
