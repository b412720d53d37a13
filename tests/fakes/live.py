"""A live home for tests: a model that is always sure, a feed that can be spoilt, a clock that runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.clock import Clock, RealClock, SimulatedClock
from tradingai.engine.core.events import Event
from tradingai.engine.core.ledger import Candidate, read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
from tradingai.engine.datasets.labels import direction_labels
from tradingai.engine.features.registry import feature_set
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.inference.promoted import PromotionWatch
from tradingai.engine.models.artifact import CoinPart, ModelArtifact, save_artifact
from tradingai.engine.models.calibration import Calibrator
from tradingai.engine.models.lstm import LstmConfig, LstmNetwork
from tradingai.engine.models.warmup import Warmup
from tradingai.engine.providers.live import SyntheticFeed
from tradingai.engine.providers.synthetic.market import SyntheticMarket
from tradingai.engine.registry.registry import Registry
from tradingai.engine.runtime.live_run import Begun, begin_live
from tradingai.engine.runtime.loop import LoopParts, ScanLoop
from tradingai.engine.runtime.reader import FeedReader
from tradingai.engine.runtime.scanned import Scanned
from tradingai.engine.store.candle_files import DatasetIdentity
from tradingai.engine.store.database import Store

from tests.fakes.evaluations import calibrated, decided, numbered, wave_close
from tests.fakes.homes import new_home, plain_settings

NOW = datetime(2026, 3, 4, 12, 0, 30, tzinfo=UTC)
"""A Wednesday, half a minute after a candle closed."""
BTC = "BTC-USD"


class RunningClock(SimulatedClock):
    """Sleeping moves it on at once; ``at`` lists what is done when a time has come."""

    def __init__(self, start: datetime = NOW) -> None:
        super().__init__(start)
        self.at: list[tuple[float, Callable[[], object]]] = []
        """Monotonic seconds, and what to do then."""
        self.on_read: Callable[[], object] | None = None
        """Called once, the next time somebody reads the monotonic clock."""

    def monotonic(self) -> float:
        hook, self.on_read = self.on_read, None
        if hook is not None:
            hook()
        return super().monotonic()

    async def sleep(self, seconds: float) -> None:
        self.advance(max(0.0, seconds))
        due = [item for item in self.at if item[0] <= super(RunningClock, self).monotonic()]
        for item in due:
            self.at.remove(item)
            item[1]()
        await asyncio.sleep(0)


@dataclass
class SpoiltFeed:
    """A synthetic market between which and the loop something may come.

    ``spoil`` maps a coin to what becomes of its candles; it may raise, or wait for ever.
    """

    market: SyntheticMarket = field(default_factory=lambda: SyntheticMarket("cycles", 7))
    spoil: dict[str, Callable[[Candles], Any]] = field(default_factory=dict)
    asked: list[tuple[str, int, int]] = field(default_factory=list)

    @property
    def identity(self) -> str:
        return SyntheticFeed(self.market).identity

    @property
    def origin(self) -> DatasetIdentity:
        return SyntheticFeed(self.market).origin

    async def closed(self, symbol: str, after_us: int, until_us: int) -> Candles:
        self.asked.append((symbol, after_us, until_us))
        candles = await SyntheticFeed(self.market).closed(symbol, after_us, until_us)
        spoilt = self.spoil.get(symbol, lambda found: found)(candles)
        return await spoilt if asyncio.iscoroutine(spoilt) else spoilt

    def told(self) -> tuple[Event, ...]:
        return ()

    async def close(self) -> None:
        pass


def changed(candles: Candles, row: int, **columns: float) -> Candles:
    """The candles with some numbers of one row replaced."""
    copies = {name: column.copy() for name, column in candles.columns().items()}
    for name, value in columns.items():
        copies[name][row] = value
    return Candles(**copies)


def sure_artifact(symbol: str = BTC, *, logit: float = 2.0, nan: bool = False) -> ModelArtifact:
    """A network whose calibrator says σ(logit) whatever it sees: 0.881 for 2. ``nan``: it gives no number."""
    features = feature_set(symbol)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = LstmNetwork(LstmConfig(len(features), projection=4, hidden=4)).eval()
    tensors = {name: value.clone() for name, value in network.state_dict().items()}
    if nan:
        tensors["head.bias"].fill_(float("nan"))
    names = tuple(feature.name for feature in features.features)
    return ModelArtifact(
        model=f"lstm_{symbol}",
        kind="lstm",
        coins=(
            CoinPart(
                symbol,
                Scaler(names, np.zeros(len(names)), np.ones(len(names)), 0, 1),
                Calibrator("platt", 0.0, logit),
                names,
                tuple(feature.sha256 for feature in features.features),
                features.sha256,
            ),
        ),
        config=network.config.as_dict(),
        tensors=tensors,
        warmup=Warmup(30, 10, agrees=True, difference=1e-8, tolerance=1e-6, starts=10),
        record={"identity": {"seed": 1, "logit": logit}, "epochs_run": 1},
        market="cycles",
        synthetic=True,
    )


@cache
def passing_report() -> Any:
    close, _ = wave_close(days=16)
    return decided(calibrated(0.85, direction_labels(close)), close)


def promote(paths: HomePaths, clock: Clock, artifact: ModelArtifact) -> Path:
    """Make an artifact live, as an evaluation that passed would; the file of its version."""
    file = paths.checkpoints / f"{artifact.model}_best.pt"
    digest = save_artifact(file, artifact)
    report = replace(passing_report(), model=artifact.model, symbol=artifact.symbols[0])
    registry = Registry(paths, clock, who="test")
    tests = {artifact.symbols[0]: "t" * 64}
    candidate = Candidate(artifact.model, tests, digest, file, file.with_suffix(".json"), digest)
    recorded = registry.record(candidate, numbered(report))
    registry.promote(artifact.model, recorded.version, why="test")
    return paths.versions / artifact.model / recorded.version / "model.pt"


def sure_home(home: Path) -> HomePaths:
    """A home without candles whose models of all coins are always sure."""
    paths = new_home(home)
    for symbol in PIPELINE_SYMBOLS:
        promote(paths, RealClock(), sure_artifact(symbol))
    return paths


@dataclass
class Bench:
    """A live loop over a home, its parts within reach."""

    paths: HomePaths
    store: Store
    settings: Settings
    clock: RunningClock
    feed: SpoiltFeed
    begun: Begun
    loop: ScanLoop
    scans: list[Scanned]

    @property
    def run_id(self) -> str:
        return self.begun.run.run_id

    async def scan(self, count: int = 1) -> list[Scanned]:
        """Let the loop make ``count`` more scans."""
        before = len(self.scans)
        await self.loop.run(asyncio.Event(), self.loop.scanned + count)
        return self.scans[before:]

    async def events(self, *types: str) -> list[dict[str, Any]]:
        """What the store's events of these types say, oldest first."""
        found = await self.store.events.after(0, limit=100_000)
        return [{"type": item.type, **item.payload} for item in found if item.type in types]

    async def decisions(self, symbol: str = BTC) -> list[Any]:
        return [row for row in await self.store.scans.decisions(self.run_id) if row.symbol == symbol]

    async def reasons(self, symbol: str = BTC) -> list[str]:
        return [row.reason for row in await self.decisions(symbol)]


@asynccontextmanager
async def open_bench(
    root: Path,
    *,
    clock: RunningClock | None = None,
    feed: SpoiltFeed | None = None,
    interval_s: float = 60,
    timeout_s: float = 5.0,
    artifacts: tuple[ModelArtifact, ...] | None = None,
    **changes: Any,
) -> AsyncIterator[Bench]:
    """A loop over the home at ``root``, made with the artifacts live (None: a sure BTC's) if it is new."""
    clock, feed = clock or RunningClock(), feed or SpoiltFeed()
    settings = plain_settings(**{"symbols": (BTC,), **changes})
    paths = new_home(root, clock)
    if not read_ledger(paths.ledger).entries:
        for artifact in (sure_artifact(),) if artifacts is None else artifacts:
            promote(paths, clock, artifact)
    async with await Store.open(root / "tradingai.db", paths, clock) as store:
        watch = PromotionWatch(paths, settings.symbols)
        watch.look()
        begun = await begin_live(
            store, paths, settings, clock, feed.identity, settings.symbols, watch.current
        )
        reader = FeedReader(feed, clock, np.random.default_rng(1), timeout_s)
        parts = LoopParts(store, begun.run, begun.step, reader, watch, settings, clock, interval_s)
        scans: list[Scanned] = []
        yield Bench(paths, store, settings, clock, feed, begun, ScanLoop(parts, scans.append), scans)
