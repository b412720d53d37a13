"""Numbers as the console writes them: thousands with commas, a true minus, the unit beside the value,
nothing as –.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final

NOTHING: Final = "–"
MINUS: Final = "−"

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def known(value: float | None) -> bool:
    """Whether there is a finite number to show."""
    return value is not None and math.isfinite(value)


def count(value: float | None) -> str:
    """``3,081,668``."""
    return signed_minus(f"{round(value):,}") if value is not None and math.isfinite(value) else NOTHING


def decimal(value: float | None, digits: int) -> str:
    """``0.511`` with ``digits`` decimals."""
    return signed_minus(f"{value:,.{digits}f}") if value is not None and math.isfinite(value) else NOTHING


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as ``71.5 %``."""
    if fraction is None or not math.isfinite(fraction):
        return NOTHING
    return signed_minus(f"{fraction * 100:.{digits}f} %")


def share(fraction: float | None) -> str:
    """Per cent with one digit; with two where one would make all of it, or nothing, of what is not."""
    if fraction is None:
        return percent(None)
    reads_as_an_end = 0 < fraction < 0.0005 or 0.9995 <= fraction < 1
    return percent(fraction, 2 if reads_as_an_end else 1)


def points(fraction: float | None, digits: int = 1, *, sign: bool = True) -> str:
    """A difference of fractions as ``+3.5 pt``."""
    if fraction is None or not math.isfinite(fraction):
        return NOTHING
    form = f"{fraction * 100:+.{digits}f} pt" if sign else f"{fraction * 100:.{digits}f} pt"
    return signed_minus(form)


def signed_minus(text: str) -> str:
    """An ASCII minus as U+2212; a negative zero loses its sign."""
    if text.startswith("-") and not any(character in "123456789" for character in text):
        return text[1:]
    return text.replace("-", MINUS)


def short(value: float | None, unit: str = "") -> str:
    """``204 k bars/s``, ``1.4 M``: three digits and a prefix."""
    if value is None or not math.isfinite(value):
        return NOTHING
    for limit, factor, prefix in ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if abs(value) >= limit:
            scaled = value / factor
            digits = 1 if scaled < 10 else 0
            return f"{scaled:.{digits}f}{prefix} {unit}".rstrip()
    return f"{value:,.0f} {unit}".rstrip()


def size(value: float | None) -> str:
    """Bytes as ``148 MB`` or ``1.9 GB``, powers of ten."""
    if value is None or not math.isfinite(value):
        return NOTHING
    for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= factor:
            scaled = value / factor
            return f"{scaled:.1f} {unit}" if scaled < 10 else f"{scaled:.0f} {unit}"
    return f"{value:.0f} B"


def gigabytes(value: float | None) -> str:
    """Bytes as ``1.9`` of a GB, for pairs that share one unit."""
    return NOTHING if value is None else f"{value / 1e9:.1f}"


def stopwatch(seconds: float | None) -> str:
    """``0:44``, ``1:47``, ``2:03:10``: time to go and time taken in tables."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def took(seconds: float | None) -> str:
    """``11.8 s``, ``14m 02s``, ``2h 04m``: how long a phase took."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {rest:02d}s"
    return f"{minutes // 60}h {minutes % 60:02d}m"


def about(seconds: float | None) -> str:
    """``2 s``, ``3 min``: an estimate, for sentences."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min"


def age(seconds: float | None) -> str:
    """``17s``, ``312s``, ``21m``, ``5h``, ``3d``: how old something is."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    whole = max(0, int(seconds))
    for limit, divisor, unit in ((1000, 1, "s"), (7200, 60, "m"), (172_800, 3600, "h")):
        if whole < limit:
            return f"{whole // divisor}{unit}"
    return f"{whole // 86_400}d"


def uptime(seconds: float | None) -> str:
    """``54:04 h``, ``12 min``."""
    if seconds is None or not math.isfinite(seconds):
        return NOTHING
    minutes = int(seconds) // 60
    return f"{minutes // 60}:{minutes % 60:02d} h" if minutes >= 60 else f"{minutes} min"


def time_z(moment: datetime | None, *, seconds: bool = True) -> str:
    """``12:04:17Z`` or ``12:04Z``."""
    if moment is None:
        return NOTHING
    return moment.strftime("%H:%M:%SZ" if seconds else "%H:%MZ")


def date(moment: datetime | None) -> str:
    """``2025-11-12``."""
    return moment.strftime("%Y-%m-%d") if moment is not None else NOTHING


def day_time(moment: datetime | None, now: datetime | None = None) -> str:
    """``Wed 06:00Z`` within six days of ``now``, else ``11-02 06:00Z``."""
    if moment is None:
        return NOTHING
    if now is None or abs((now - moment).total_seconds()) < 6 * 86_400:
        return f"{_WEEKDAYS[moment.weekday()]} {moment:%H:%MZ}"
    return f"{moment:%m-%d %H:%MZ}"


def hash8(value: str) -> str:
    """``9f3c71ab``: enough of a hash to tell two apart."""
    return value[:8] if value else NOTHING


def hash_groups(value: str, groups: int = 2) -> str:
    """``9f3c 71ab``: a hash to read aloud."""
    if not value:
        return NOTHING
    return " ".join(value[4 * index : 4 * index + 4] for index in range(groups))


def plural(number: int, one: str, many: str = "") -> str:
    """``1 coin``, ``3 coins``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
