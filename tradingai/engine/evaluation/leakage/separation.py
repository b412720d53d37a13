"""Check 3: the rows that training consumed, and the test rows, share nothing, not even a label window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from tradingai.engine.core.report import CheckResult
from tradingai.engine.core.symbols import HORIZON_MINUTES


@dataclass(frozen=True, slots=True)
class ConsumedRows:
    """Rows [lo, hi) whose labels were used for one purpose, as the trainer recorded them."""

    purpose: str
    """``train``, ``early_stop``, ``calibration`` or ``test``."""
    lo: int
    hi: int

    def __str__(self) -> str:
        return f"{self.purpose} [{self.lo}, {self.hi})"


def split_separation(
    consumed: Sequence[ConsumedRows],
    test: ConsumedRows,
    fed: Sequence[ConsumedRows] = (),
    horizon: int = HORIZON_MINUTES,
) -> CheckResult:
    """No row is used twice, and no label window reaches into the rows of another purpose.

    The label of row t looks at the closes of rows t … t + ``horizon``. Ranges of the same purpose (the lanes
    of a streaming trainer) may touch, but not overlap. The test range must come after everything else, and
    before it no row of it was as much as ``fed`` to the network.
    """
    found = list(_problems(consumed, test, horizon))
    found += [
        (f"{item} was fed to the network although it reaches into {test}", (item.purpose,))
        for item in fed
        if item.hi > test.lo
    ]
    rows = sum(item.hi - item.lo for item in consumed)
    gap = test.lo - max((item.hi for item in consumed), default=test.lo)
    used = f"{rows:,} rows consumed in {len(consumed)} ranges, 0 shared, {gap} purged before the test"
    return CheckResult(
        name="split_separation",
        passed=not found,
        detail="; ".join(problem for problem, _ in found) or used,
        evidence={
            "consumed": [[item.purpose, item.lo, item.hi] for item in consumed],
            "fed": [[item.purpose, item.lo, item.hi] for item in fed],
            "test": [test.lo, test.hi],
            "horizon": horizon,
        },
        accused=tuple(dict.fromkeys(name for _, names in found for name in names)),
    )


def _problems(
    consumed: Sequence[ConsumedRows], test: ConsumedRows, horizon: int
) -> Iterator[tuple[str, tuple[str, ...]]]:
    if not consumed:
        yield "the training record names no rows that were consumed", ("train",)
    for item in (*consumed, test):
        if item.hi <= item.lo:
            yield f"{item} holds no row", (item.purpose,)
    for pair in combinations((*consumed, test), 2):
        earlier, later = sorted(pair, key=lambda item: (item.lo, item.hi))
        shared = min(earlier.hi, later.hi) - later.lo
        names = (earlier.purpose, later.purpose)
        if shared > 0:
            yield f"{earlier} and {later} share {shared:,} rows", names
        elif earlier.purpose != later.purpose and earlier.hi - 1 + horizon >= later.lo:
            yield f"labels of {earlier} reach into {later}", names
    for item in consumed:
        if item.lo >= test.hi:
            yield f"{item} lies after {test}", (item.purpose,)
