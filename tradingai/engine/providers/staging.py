"""Fetched pages on disk until a dataset is made of them: what is here survives any end of the process.

A page is a file named after the minutes it covers, which may hold fewer candles than that: its SHA-256, then
its columns as they stand, ``ts`` (int64) and open … volume (float64), little-endian.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tradingai.engine.core.candles import PRICE_COLUMNS, Candles
from tradingai.engine.core.files import sweep_temporaries, write_atomic

Span = tuple[int, int]
"""Minutes since 1970: the first, and the one after the last."""
_NAME: Final = re.compile(r"(\d+)-(\d+)\.page")
_DIGEST: Final = 32
_ROW: Final = 8 * (1 + len(PRICE_COLUMNS))


@dataclass(frozen=True, slots=True)
class Staging:
    """The pages of one symbol from one source."""

    folder: Path

    def spans(self) -> list[Span]:
        """What the pages cover, in order. A page that cannot be read is removed: it covers nothing."""
        sweep_temporaries(self.folder)
        found: list[Span] = []
        for path in self.folder.glob("*.page"):
            match = _NAME.fullmatch(path.name)
            if match is None or _read(path) is None:
                path.unlink(missing_ok=True)
            else:
                found.append((int(match[1]), int(match[2])))
        return sorted(found)

    def add(self, span: Span, candles: Candles) -> None:
        """Keep a page. Raises TradingAIError when the disk is full or read-only."""
        data = b"".join(
            np.ascontiguousarray(column, dtype="<i8" if name == "ts" else "<f8").tobytes()
            for name, column in candles.columns().items()
        )
        content = hashlib.sha256(data).digest() + data
        write_atomic(self._path(span), lambda stream: stream.write(content))

    def candles(self, spans: list[Span]) -> Iterator[Candles]:
        """The candles of these pages, a page at a time. Raises OSError for one that is gone."""
        for span in spans:
            candles = _read(self._path(span))
            if candles is None:
                raise OSError(f"{self._path(span)} was changed while it was needed")
            yield candles

    def clear(self) -> None:
        """Remove all pages."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, span: Span) -> Path:
        return self.folder / f"{span[0]}-{span[1]}.page"


def _read(path: Path) -> Candles | None:
    """A page's candles; None when it is not what was written."""
    content = path.read_bytes()
    data = content[_DIGEST:]
    if len(data) % _ROW or hashlib.sha256(data).digest() != content[:_DIGEST]:
        return None
    rows = len(data) // _ROW
    ts = np.frombuffer(data, dtype="<i8", count=rows)
    prices = np.frombuffer(data, dtype="<f8", offset=8 * rows).reshape(len(PRICE_COLUMNS), rows)
    return Candles(ts, *prices)


def without(spans: list[Span], wanted: Span) -> list[Span]:
    """What of ``wanted`` no span covers, in order."""
    missing: list[Span] = []
    at, end = wanted
    for first, stop in sorted(spans):
        if first > at:
            missing.append((at, min(first, end)))
        at = max(at, stop)
        if at >= end:
            break
    if at < end:
        missing.append((at, end))
    return [span for span in missing if span[0] < span[1]]


def minutes(spans: list[Span]) -> int:
    """How many minutes the spans have together."""
    return sum(stop - first for first, stop in spans)
