"""One measured pipeline, as growth.py starts it: the product's own, with growth_worker's meter in its jobs.

    python benchmarks/growth_pipeline.py HOME OUT START

START is the first candle's time. The engine, the job runner and the order of the jobs are the product's; what
a job cost is what its process wrote into ``$GROWTH_OUT``. Which cores it may use is what this process may.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tradingai.bootstrap import open_engine
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.commands import Command, JobCommand
from tradingai.engine.core.events import JobStarted
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.facade import Engine
from tradingai.engine.jobs.spec import JobResult, JobUpdate, OnUpdate
from tradingai.engine.pipeline.plan import PipelineResult, Workload, pipeline_request
from tradingai.engine.pipeline.run import Pipeline
from tradingai.engine.store.job_rows import JobRow


class Timed:
    """The engine, with the time of what is no job: the promotions."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds: dict[str, float] = {}
        """What a job cost by the product's own count, by id."""
        self.pids: dict[str, int] = {}
        """The process of each job."""
        self.executed: list[dict[str, Any]] = []

    def issue(self) -> Any:
        """The engine's."""
        return self._engine.issue()

    def hear(self, update: JobUpdate) -> None:
        """Note which process does a job."""
        if isinstance(update.event, JobStarted):
            self.pids[update.spec.id] = update.event.pid

    async def run(self, command: JobCommand, on_update: OnUpdate | None = None) -> JobResult:
        """The engine's; keeps the seconds it counted."""
        result = await self._engine.run(command, on_update)
        self.seconds[result.job_id] = result.seconds
        return result

    async def execute(self, command: Command, on_update: OnUpdate | None = None) -> Mapping[str, Any]:
        """The engine's, timed. CPU is that of this process meanwhile, whatever else it did in it."""
        began, cpu = time.perf_counter(), time.process_time()
        done = await self._engine.execute(command, on_update)
        self.executed.append(
            {
                "command": type(command).__name__,
                "wall_s": time.perf_counter() - began,
                "cpu_s": time.process_time() - cpu,
            }
        )
        return done


def job_document(row: JobRow, seconds: float, account: dict[str, Any], began: datetime) -> dict[str, Any]:
    """One job: when, how long by the product's count, what its process cost, and what it was about."""
    result = dict(row.result or {})
    coins = ModelReport.from_json(result["report"]).coins if "report" in result else ()
    started, ended = row.started_at, row.ended_at
    return {
        "kind": row.kind,
        "target": row.target,
        "started_s": (started - began).total_seconds() if started else None,
        "ended_s": (ended - began).total_seconds() if ended else None,
        "wall_s": seconds,
        **account,
        "rows": result.get("rows"),
        "epochs": result.get("epochs"),
        "passed": result.get("passed"),
        "checks_s": {coin.symbol: {check.name: check.seconds for check in coin.leakage} for coin in coins},
    }


async def run(home: Path, start: datetime) -> dict[str, Any]:
    """The pipeline from ``start`` to the workloads' last candle; everything that was measured of it."""
    clock = RealClock()
    began, at = time.perf_counter(), clock.now()
    async with open_engine(home, clock=clock, worker_module="growth_worker") as engine:
        timed, settings = Timed(engine), engine.settings
        request = pipeline_request(settings, Workload("growth", start), None)
        result = await Pipeline(timed, engine.paths, settings, clock, timed.hear).run(request)
        rows = await engine.jobs(limit=1000)
        workers = settings.workers
    return document(timed, result, rows, workers, at) | {"wall_s": time.perf_counter() - began}


def document(
    timed: Timed, result: PipelineResult, rows: list[JobRow], workers: int, began: datetime
) -> dict[str, Any]:
    """Jobs in the order of their start, promotions, and the engine's own process."""
    written = (json.loads(path.read_text()) for path in Path(os.environ["GROWTH_OUT"]).glob("*.json"))
    accounts = {one["pid"]: one for one in written}
    jobs = [
        job_document(row, timed.seconds[row.job_id], accounts[timed.pids[row.job_id]], began) for row in rows
    ]
    return {
        "rows": result.request.workload.minutes,
        "coins": len(result.request.symbols),
        "cores": len(os.sched_getaffinity(0)),
        "workers": workers,
        "models_live": sum(item.promotion == "promoted" for item in result.models),
        "models": len(result.models),
        "jobs": sorted(jobs, key=lambda job: job["started_s"]),
        "promotions": timed.executed,
        "engine_cpu_s": time.process_time(),
    }


def main() -> None:
    home, out, start = sys.argv[1:]
    found = asyncio.run(run(Path(home), datetime.fromisoformat(start)))
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
