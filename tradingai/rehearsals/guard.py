"""Rehearsal: the guard drill of ``observe drill``, in an isolated home."""

from __future__ import annotations

import asyncio

from tradingai.engine.core.events import Event
from tradingai.engine.core.reporting import Progress
from tradingai.engine.runtime.drill import drill, read_drill
from tradingai.engine.store.database import Store
from tradingai.rehearsals.stage import Finding, Stage

_KEPT = (
    "run", "cause", "positions_closed", "closed_by", "scans_after", "emitted_after", "risk_blocked_after",
    "twin_emitted", "held_back", "halted_at", "breach", "wall_s",
)  # fmt: skip


class _Told:
    """Passes progress on as words."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def emit(self, event: Event) -> None:
        """Nothing: the drill's run keeps what happened."""

    def progress(self, progress: Progress) -> None:
        """Say how far it is."""
        self._stage.say(f"{progress.done:,.0f} of {progress.total:,.0f} {progress.unit}")

    def safe_point(self) -> None:
        """Nothing: Ctrl-C interrupts the whole checklist."""


async def rehearse(stage: Stage) -> Finding:
    """A simulated loss below FTMO's daily limit, and a twin without it."""
    copied = stage.copy()
    inputs = await asyncio.to_thread(read_drill, copied.paths, copied.settings)
    path = copied.settings.database_path(copied.paths.root)
    async with await Store.open(path, copied.paths, stage.clock) as store:
        result = await drill(store, copied.settings, inputs, _Told(stage), stage.clock)
    breach = result["breach"]
    finding = Finding(failures=list(result["failures"]))
    finding.expect(bool(result["held"]) or bool(finding.failures), "the guard did not hold")
    finding.measured = {name: result[name] for name in _KEPT}
    finding.steps = [
        (
            f"stored candles of {', '.join(result['symbols'])} from {result['start']} were scanned until a "
            "position was open"
        ),
        (
            f"a loss of {breach['loss']:,.2f} was booked at {breach['at']}: equity {breach['equity']:,.2f}, "
            f"below the {breach['limit']} limit at {breach['floor']:,.2f}"
        ),
        f"{result['scans_after']:,} scans went on, beside a twin account without the loss",
    ]
    finding.not_rehearsed = ["a loss in the total limit: the drill breaches the daily one"]
    finding.summary = (
        f"HALTED ({result['cause']}), {result['positions_closed']} positions closed, "
        f"{result['emitted_after']} emitted of the twin's {result['twin_emitted']}"
    )
    finding.remedy = "`tradingai observe drill` does it alone; `ftmo status` shows the rules."
    finding.look = f"observe verify --run {result['run']}"
    return finding
