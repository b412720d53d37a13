"""Raw closed candles of one coin as they arrive: cleaned against what came before, counted, hashed."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tradingai.engine.core.candles import Candles, Ints
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.inference.window import CandleWindow
from tradingai.engine.providers.cleaning import Bools, clean, differing
from tradingai.engine.providers.quality import Rule
from tradingai.engine.store.candle_files import values_sha256

_COUNTED: Final = (
    ("filled", "minutes filled flat"),
    ("non_finite", "without a number"),
    ("non_positive", "not positive"),
    ("ohlc_repaired", "with high or low inside the body, repaired"),
    ("volume_repaired", "with a volume that is none, set to 0"),
    ("leading_dropped", "before the first usable one, dropped"),
)
"""Counters of cleaning that an operator hears of, and how."""


class Arrived(NamedTuple):
    """What one delivery added."""

    raw: Candles
    """The delivered candles that were new, one a minute, ascending."""
    sha256: str
    """Of their values."""
    cleaned: Candles
    """The minutes that became known, up to the newest real candle; a gap before it is filled."""
    real: Ints
    """Rows of ``cleaned`` that are candles and not fillings."""
    detail: str
    """What cleaning had to change or leave out; empty when nothing."""


class CoinIntake:
    """Cleans what arrives of one coin exactly as cleaning everything at once would."""

    def __init__(self, keep: int) -> None:
        self.window = CandleWindow(keep)

    def take(self, delivered: Candles, at_us: int) -> Arrived:
        """Add what is closed by ``at_us`` and newer than what is known; nothing else of it is used.

        A minute without a usable candle is filled once a later one arrives. Raises DataError for times that
        are no whole minutes.
        """
        raw, known = self._new_rows(delivered[delivered.ts <= at_us - MINUTE_US])
        changed = self._changed(known) if len(known) else 0
        last = self.window.last_us
        details = [f"{changed} came after their minute was passed over"] if changed else []
        nothing = Arrived(raw, values_sha256(raw), raw[0:0], np.zeros(0, dtype=np.int64), "; ".join(details))
        if not len(raw) or (last is None and not _sound(raw).any()):
            return nothing
        if last is not None and _clean_already(raw, last):
            self.window.append(raw)
            return nothing._replace(cleaned=raw, real=np.arange(len(raw)))
        anchor = [] if last is None else [self.window.until(last, 1)]
        cleaned = clean(Candles.concatenate([*anchor, raw]))
        counts = ((getattr(cleaned.report, name), words) for name, words in _COUNTED)
        details += [f"{count} {words}" for count, words in counts if count]
        real = np.flatnonzero((cleaned.flags & int(Rule.FILLED)) == 0)
        real = real[real >= len(anchor)] - len(anchor)
        rows = cleaned.candles[len(anchor) :]
        rows = rows[: int(real[-1]) + 1 if len(real) else 0]
        self.window.append(rows)
        return nothing._replace(cleaned=rows, real=real, detail="; ".join(details))

    def _new_rows(self, closed: Candles) -> tuple[Candles, Candles]:
        """The first row of each new minute, ascending; and the rows of minutes that are known."""
        ascending = (closed.ts[1:] >= closed.ts[:-1]).all()
        ordered = closed if ascending else closed[np.argsort(closed.ts, kind="stable")]
        first = np.ones(len(ordered), dtype=bool)
        first[1:] = ordered.ts[1:] != ordered.ts[:-1]
        last = self.window.last_us
        if last is None or (len(ordered) and int(ordered.ts[0]) > last):
            return ordered if first.all() else ordered[first], ordered[0:0]
        return ordered[first & (ordered.ts > last)], ordered[ordered.ts <= last]

    def _changed(self, known: Candles) -> int:
        """How many of these rows differ from what the window holds for their minute."""
        first = self.window.first_us
        known = known if first is None else known[known.ts >= first]
        if first is None or not len(known):
            return 0
        held = self.window.until(int(known.ts[-1]), (int(known.ts[-1]) - first) // MINUTE_US + 1)
        return int(differing(known, held[(known.ts - first) // MINUTE_US]).sum())


def _clean_already(raw: Candles, last_us: int) -> bool:
    """Whether cleaning would leave these rows as they are: most deliveries, and cleaning takes a while."""
    follow = (np.diff(raw.ts, prepend=last_us) == MINUTE_US).all()
    return bool(follow and _sound(raw).all() and _ordered(raw).all())


def _sound(raw: Candles) -> Bools:
    """Where all prices are finite and positive: rows that cleaning does not treat as missing."""
    prices = np.stack((raw.open, raw.high, raw.low, raw.close))
    sound: Bools = np.logical_and.reduce(np.isfinite(prices) & (prices > 0.0), axis=0)
    return sound


def _ordered(raw: Candles) -> Bools:
    """Where high and low hold open and close, and the volume is one."""
    held = (raw.high >= np.maximum(raw.open, raw.close)) & (raw.low <= np.minimum(raw.open, raw.close))
    ordered: Bools = held & np.isfinite(raw.volume) & (raw.volume >= 0.0)
    return ordered
