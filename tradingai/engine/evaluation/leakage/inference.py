"""Check 7: one decision from a bounded tail of raw candles equals the same bar of the batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.report import CheckResult
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.evaluation.leakage.causality import Market
from tradingai.engine.evaluation.leakage.pipeline import Pipeline, until, window

Features = npt.NDArray[np.float32]
ColdStart = Callable[[Mapping[str, Features]], float]
"""Each coin's unscaled features of the last W + 1 bars [W + 1, F] to P(up) of the last, from a cold start."""

DECISIONS: Final = 24
TOLERANCE: Final = 1e-5


def truncated_inference(
    market: Market,
    pipelines: Mapping[str, Pipeline],
    warmup: int,
    cold_start: ColdStart,
    batch: tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]],
    rng: np.random.Generator,
    reporter: Reporter,
) -> CheckResult:
    """Recompute :data:`DECISIONS` decisions as the live loop would: raw tail, cleaning, features, cold start.

    ``pipelines`` has one for each coin whose features the model looks at.
    ``warmup`` is W, the bars after which a cold start agrees with carried state. ``batch`` holds test rows
    [n] and the P(up) that the evaluation scored there.
    """
    rows, probability = batch
    raw = market.raw()
    reach = warmup + max(pipeline.lookback for pipeline in pipelines.values())
    past = rows >= reach
    chosen = rng.choice(np.flatnonzero(past), min(DECISIONS, int(past.sum())), replace=False)
    away = np.zeros(len(chosen))
    for number, index in enumerate(chosen):
        reporter.safe_point()
        row = int(rows[index])
        start, at = (int(market.own.ts[r]) for r in (row - reach, row))
        series = until(window(raw, start, at), at)
        tails = {
            symbol: pipeline.run(series, symbol, start, at).features[-warmup - 1 :].astype(np.float32)
            for symbol, pipeline in pipelines.items()
        }
        live = cold_start(tails)
        away[number] = abs(live - float(probability[index]))
    if not len(chosen):
        reason = f"no test bar has {reach:,} bars before it"
        return CheckResult("truncated_inference", passed=False, detail=reason, ran=False)
    worst = float(np.max(away))
    passed = worst <= TOLERANCE
    worst_at = us_to_datetime(int(market.own.ts[rows[chosen[int(np.argmax(away))]]]))
    where = "" if passed else f" at {iso_z(worst_at)}"
    return CheckResult(
        name="truncated_inference",
        passed=passed,
        detail=(
            f"{len(chosen)} decisions from a cold start of {warmup} bars, largest difference "
            f"{worst:.1g}{where} (limit {TOLERANCE:.0e})"
        ),
        evidence={"decisions": len(chosen), "warmup": warmup, "largest": worst},
        accused=() if passed else ("inference",),
    )
