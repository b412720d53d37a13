"""Which column of an operator's file is which, whatever it is called there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tradingai.engine.core.errors import DataError

NAMES: Final[dict[str, tuple[str, ...]]] = {
    "ts": (
        "ts", "open_time", "opentime", "timestamp", "time", "datetime", "date_time", "date", "unix",
        "unix_timestamp", "unixtime", "epoch", "time_utc", "timestamp_utc", "timestamp_ms", "time_open",
        "start_time", "start", "t",
    ),
    "open": ("open", "o", "open_price", "price_open"),
    "high": ("high", "h", "high_price", "price_high", "max"),
    "low": ("low", "l", "low_price", "price_low", "min"),
    "close": ("close", "c", "close_price", "price_close", "last"),
    "volume": (
        "volume", "v", "vol", "base_volume", "volume_base", "volume_traded", "tick_volume", "tickvol", "qty",
        "amount",
    ),
}  # fmt: skip
"""Canonical column to the names it goes by, the preferred first; compared in lower snake case."""

_PREFIXED_VOLUME: Final = re.compile(r"(volume|vol)_(\w+)|(\w+)_(volume|vol)")


def find_columns(header: Sequence[str], base: str, where: str) -> dict[str, str]:
    """Canonical name to the name in ``header``, for all six columns.

    ``base`` is the coin (``BTC``): of ``Volume BTC`` and ``Volume USDT`` the first is meant. Raises
    DataError naming what is missing or repeated; ``where`` says which file.
    """
    present: dict[str, list[str]] = {}
    for name in header:
        present.setdefault(_normal(name), []).append(name)
    found: dict[str, str] = {}
    for column, names in NAMES.items():
        wanted = (*names, f"volume_{base.lower()}", f"{base.lower()}_volume") if column == "volume" else names
        matches = [present[name] for name in wanted if name in present]
        if not matches:
            continue
        if len(matches[0]) > 1:
            raise DataError(
                f"{where}: {len(matches[0])} columns are called {matches[0][0]!r}",
                remedy=f"Keep one column for {column}.",
            )
        found[column] = matches[0][0]
    missing = [column for column in NAMES if column not in found]
    if missing:
        raise _missing(missing, header, where)
    return found


def _normal(name: str) -> str:
    """``" Open Time"`` and ``<OPEN_TIME>`` as ``open_time``."""
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def _missing(missing: list[str], header: Sequence[str], where: str) -> DataError:
    shown = ", ".join(name if name.isprintable() else repr(name) for name in header[:12]) + (
        ", …" if len(header) > 12 else ""
    )
    if header and all(_is_number(name) for name in header):
        return DataError(
            f"{where}: the first line holds numbers, not column names ({shown})",
            remedy="Put a header line above it: ts,open,high,low,close,volume.",
        )
    volumes = [name for name in header if _PREFIXED_VOLUME.fullmatch(_normal(name))]
    if missing == ["volume"] and volumes:
        return DataError(
            f"{where}: none of {', '.join(volumes)} is clearly the volume in coins",
            remedy="Rename the one that counts coins to volume.",
        )
    return DataError(
        f"{where}: no column for {', '.join(missing)}; there are {shown or 'none'}",
        remedy="Rename the columns to ts, open, high, low, close, volume (other common names work too).",
    )


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?\d+(\.\d*)?([eE][-+]?\d+)?", text.strip()) is not None
