"""The yearly files that live candles were compacted into, against the rows that scans received."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

import numpy as np
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.runtime.compaction import LivePaths
from tradingai.engine.store.candle_files import read_candles, verify_dataset

from soak_evidence import Evidence, Verdict

_CLOSES: Final = "SELECT symbol, ts_us, close FROM live_candles WHERE close IS NOT NULL"


def candle_files(evidence: Evidence) -> Verdict:
    """Each coin's files are whole up to the last midnight, no minute is missing, closes are received ones.

    Minutes that were never received with a number are filled by cleaning and not compared.
    """
    received: dict[str, dict[int, set[float]]] = defaultdict(lambda: defaultdict(set))
    for row in evidence.rows(_CLOSES):
        received[row["symbol"]][row["ts_us"]].add(row["close"])
    until_us = _last_midnight_us(evidence)
    folders = sorted((evidence.paths.data / "live").glob("*"))
    found = [] if len(folders) == 1 else [f"{len(folders)} feeds have live candles"]
    checked = 0
    for folder in folders:
        for symbol, closes in sorted(received.items()):
            complete = {ts: some for ts, some in closes.items() if ts < until_us}
            checked += len(complete)
            found += _differences(LivePaths(evidence.home, folder.name), symbol, complete)
    return Verdict.of("candles kept whole", checked, found, f"{len(received)} coins")


def _last_midnight_us(evidence: Evidence) -> int:
    """Before the newest scan that was carried through: candles before it are in the files."""
    newest = evidence.rows("SELECT max(at) AS at FROM scans WHERE state <> 'failed'")[0]["at"]
    midnight = parse_iso(newest).replace(hour=0, minute=0, second=0, microsecond=0)
    return datetime_to_us(midnight)


def _differences(paths: LivePaths, symbol: str, received: dict[int, set[float]]) -> Iterator[str]:
    try:
        verify_dataset(paths, symbol)
        stored = read_candles(paths, symbol)
    except TradingAIError as error:
        yield f"{symbol}: {error}"
        return
    apart = np.diff(stored.ts)
    if (apart != MINUTE_US).any():
        yield f"{symbol}: {int((apart != MINUTE_US).sum())} minutes are missing from the files"
    closes = dict(zip(stored.ts.tolist(), stored.close.tolist(), strict=True))
    for ts, some in sorted(received.items()):
        if closes.get(ts) not in some:
            yield f"{symbol}: minute {ts} has {closes.get(ts)} in the files, received was {sorted(some)}"
