"""Check 4: every constant that was fitted to data equals a refit on the rows it declares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.report import CheckResult
from tradingai.engine.datasets.splits import Rows

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FittedConstant:
    """Values [k] that were fitted to ``rows``, and the function that fits them again.

    ``labels`` name the values one by one; ``allowed`` are the rows that may have been used for them;
    ``tolerance`` [k] is the largest difference that rounding explains.
    """

    name: str
    labels: tuple[str, ...]
    stored: Values
    rows: Rows
    allowed: Rows
    refit: Callable[[], Values]
    tolerance: Values


def fitted_constants(constants: Sequence[FittedConstant], unknown: Sequence[str] = ()) -> CheckResult:
    """Refit every constant on its declared rows, which must lie within the allowed ones.

    ``unknown`` names constants that the training record declares and that nobody here knows how to refit.
    """
    problems = [f"{name} was fitted to data, and no refit of it is known" for name in unknown]
    accused = list(unknown)
    total = 0
    for constant in constants:
        total += len(constant.labels)
        where = f"rows [{constant.rows.lo}, {constant.rows.hi})"
        if constant.rows.lo < constant.allowed.lo or constant.rows.hi > constant.allowed.hi:
            allowed = f"[{constant.allowed.lo}, {constant.allowed.hi})"
            problems.append(f"{constant.name} was fitted on {where}, and only {allowed} may be used")
            accused.append(constant.name)
            continue
        wrong = _differing(constant, constant.refit())
        if wrong:
            named = ", ".join(wrong[:4]) + (f" and {len(wrong) - 4} more" if len(wrong) > 4 else "")
            problems.append(f"{constant.name} differs from a refit on {where}: {named}")
            accused += [constant.name, *wrong]
    if not constants:
        problems.append("no fitted constant is known, so none could be checked")
    return CheckResult(
        name="fitted_constants",
        passed=not problems,
        detail="; ".join(problems) or f"{total} of {total} equal their refit",
        evidence={"constants": {item.name: [len(item.labels), *item.rows] for item in constants}},
        accused=tuple(dict.fromkeys(accused)),
    )


def _differing(constant: FittedConstant, again: Values) -> list[str]:
    if again.shape != constant.stored.shape:
        return [f"{len(again)} values instead of {len(constant.stored)}"]
    wrong = ~(np.abs(again - constant.stored) <= constant.tolerance)
    return [constant.labels[index] for index in np.flatnonzero(wrong)]
