"""The whole pipeline on a few days of two coins, as a process that tests may kill.

``python -m tests.fakes.small_pipeline HOME`` does what ``tradingai pipeline`` does, with real workers.
"""

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from tradingai.bootstrap import open_engine
from tradingai.engine.core.clock import RealClock
from tradingai.engine.pipeline.plan import LAST_CANDLE, PipelineRequest, Workload
from tradingai.engine.pipeline.run import Pipeline

REQUEST = PipelineRequest(
    workload=Workload("small", LAST_CANDLE - timedelta(days=7) + timedelta(minutes=1)),
    market="cycles",
    seed=5,
    symbols=("BTC-USD", "ETH-USD"),
    kinds=("lstm",),
    epochs=3,
)


async def run(home: Path) -> None:
    """Candles to verdicts; what is done already is not done again."""
    async with open_engine(home, clock=RealClock()) as engine:
        pipeline = Pipeline(engine, engine.paths, engine.settings, engine.clock, lambda _: None)
        await pipeline.run(REQUEST)


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))
