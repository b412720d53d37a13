"""One-minute candles as columns of numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.symbols import MINUTE_US

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PRICE_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Candles:
    """n one-minute bars of one symbol.

    ``ts`` is the open time in microseconds since 1970 UTC, int64 [n]; the rest float64 [n].
    Cleaned candles have strictly consecutive minutes; raw ones may not.
    """

    ts: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __post_init__(self) -> None:
        lengths = {len(self.ts), *(len(getattr(self, name)) for name in PRICE_COLUMNS)}
        if len(lengths) != 1:
            raise ValueError(f"candle columns of different lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.ts)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_] | Ints) -> Candles:
        return Candles(
            self.ts[rows],
            self.open[rows],
            self.high[rows],
            self.low[rows],
            self.close[rows],
            self.volume[rows],
        )

    @property
    def start(self) -> datetime:
        """Open time of the first bar."""
        return us_to_datetime(int(self.ts[0]))

    @property
    def end(self) -> datetime:
        """Open time of the last bar."""
        return us_to_datetime(int(self.ts[-1]))

    @property
    def minute(self) -> Ints:
        """Minutes since 1970 UTC, int64 [n]."""
        return self.ts // MINUTE_US

    def columns(self) -> dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int64]]:
        """Column name to array, in canonical order."""
        return {"ts": self.ts, **{name: getattr(self, name) for name in PRICE_COLUMNS}}

    @classmethod
    def concatenate(cls, parts: list[Candles]) -> Candles:
        """The parts one after another, as they are."""
        return cls(
            *(np.concatenate([part.columns()[name] for part in parts]) for name in ("ts", *PRICE_COLUMNS))
        )


def datetime_to_us(moment: datetime) -> int:
    """Microseconds since 1970 UTC of an aware time. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"naive time {moment!r}")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def us_to_datetime(us: int) -> datetime:
    """The inverse of :func:`datetime_to_us`."""
    seconds, rest = divmod(us, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)
