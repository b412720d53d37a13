"""A home whose store has a replay with made-up trades over some weeks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.decision.state import DeskConfig, open_desk
from tradingai.engine.store.database import Store
from tradingai.engine.store.run_table import RunKind, RunRow
from tradingai.engine.store.scan_rows import DecisionRow, DeskChangeRow, ScanRecord, ScanRow, TradeRow
from tradingai.engine.store.scan_table import RunResultRow

from tests.fakes.homes import open_store

START = datetime(2025, 10, 1, 1, 10, tzinfo=UTC)
RUN = "replay-20251101T120000-0a0b0c"


def made_trade(number: int, decided: datetime, r: float) -> TradeRow:
    """A long trade of 500 $ risk that lasts 15 minutes; its worst is at most 0.4 R, or its result."""
    entry, reference = decided + timedelta(minutes=1), 40_000.0
    return TradeRow(
        key=f"BTC-USD@{number:05}", scan_seq=1, symbol="BTC-USD", side="long", tier="high", confidence=0.9,
        quantity=2.5, decided_at=decided, reference=reference, entry_at=entry, entry=40_020.0, stop=39_820.0,
        target=40_420.0, exit_at=entry + timedelta(minutes=15), exit=40_020.0 + 200 * r, exit_reason="time",
        spread_bps=12.0, slippage_bps=3.0, commission=65.0, swap=0.0, risk_money=500.0, net=500 * r, r=r,
        mae_r=min(r, -0.4), mfe_r=max(r, 0.4),
    )  # fmt: skip


def trades_of(days: int, seed: int = 4) -> list[TradeRow]:
    """Four trades a day, at noon and after, of either result."""
    rng = np.random.default_rng(seed)
    return [
        made_trade(4 * day + k, START + timedelta(days=day, hours=11 + 2 * k), float(r))
        for day in range(days)
        for k, r in enumerate(rng.choice([1.5, 0.6, -0.7, -1.2], size=4))
    ]


async def add_run(
    store: Store,
    run: str,
    days: int,
    *,
    kind: RunKind = "replay",
    halted_days: tuple[int, ...] = (),
    models: dict[str, str] | None = None,
) -> None:
    """A finished run of so many days from START with :func:`trades_of` them and a scan an hour."""
    config = DeskConfig()
    await store.runs.start(RunRow(run, kind, "simulated", START, None, "s", "c", {}))
    desk = open_desk(config, datetime_to_us(START)).as_json()
    await store.scans.change_desk(run, DeskChangeRow(1, 0, START, "started", "", desk, config.as_json()), [])
    records = []
    for hour in range(24 * days + 1):
        at = START + timedelta(hours=hour)
        guard = "HALTED" if hour // 24 in halted_days else "ACTIVE"
        scan = ScanRow(hour + 1, at, at, "done", "", 9.0, 9.0, None, False, "", 2e5, 2e5, 0.0, guard)
        decision = DecisionRow(
            hour + 1, 0, "BTC-USD", at, at, "below_threshold", "", 0.6, 0.6, "long", "low", 0.75, 1.0, {},
            models or {}, "i", False, None,
        )  # fmt: skip
        records.append(ScanRecord(scan, (decision,), trades=tuple(trades_of(days)) if hour == 0 else ()))
    await store.scans.append(run, records, desk)
    await store.scans.finish(RunResultRow(run, "finished", {}, {}))


async def traded_home(root: Path, days: int = 30) -> Path:
    """The home with one replay."""
    async with open_store(root) as (store, _):
        await add_run(store, RUN, days)
    return root
