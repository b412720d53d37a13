"""One scan from raw candles to decisions: the step that live loop, replay and verification share.

It has two halves, so that kill switch and threshold are read as late as can be: :meth:`ScanStep.prepare`
does the work (clean, features, models), :meth:`ScanStep.decide` is quick and may be repeated until its
outcome could be stored. Only then :meth:`ScanStep.adopt` makes it the state that the next scan begins with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from tradingai.engine.core.candles import Candles
from tradingai.engine.core.events import Event
from tradingai.engine.decision.orders import Bar, Trade
from tradingai.engine.decision.records import Decision, Scan
from tradingai.engine.decision.scanning import Minute, scan_desk
from tradingai.engine.decision.state import DeskConfig, DeskState
from tradingai.engine.inference.market import WarmStart
from tradingai.engine.inference.stream import MarketStream, SeenCoin, Taken


@dataclass(frozen=True, slots=True)
class Controls:
    """What an operator may change between two scans."""

    threshold: float | None = None
    """The runtime's override; None takes the configured one."""
    killed: bool = False
    kill_source: str = ""


class Prepared(NamedTuple):
    """A scan that only has to be decided."""

    due_us: int
    at_us: int
    taken: Taken
    minutes: tuple[Minute, ...]
    """Not yet lived through by the desk, those of scans that could not be stored included."""


class Outcome(NamedTuple):
    """A decided scan, and the desk it would leave."""

    due_us: int
    at_us: int
    controls: Controls
    desk: DeskState
    decisions: tuple[Decision, ...]
    trades: tuple[Trade, ...]
    seen: tuple[SeenCoin, ...]
    warm_starts: tuple[WarmStart, ...]
    events: tuple[Event, ...]
    latency_ms: float


def no_latency() -> float:
    """For a clock that nobody measures."""
    return 0.0


class ScanStep:
    """A run's stream of candles and its desk."""

    def __init__(self, stream: MarketStream, config: DeskConfig, desk: DeskState, *, mode: str) -> None:
        """``mode`` goes into every signal: ``dry-run``, ``replay``."""
        self.stream = stream
        self.config = config
        self.desk = desk
        self.mode = mode
        self._waiting: dict[int, dict[str, Bar]] = {}

    def prepare(self, due_us: int, at_us: int, candles: Mapping[str, Candles]) -> Prepared:
        """Take new raw candles (a coin that is missing has none) and bring every model to ``at_us``.

        ``due_us`` is when the scan should have begun, ``at_us`` the time it decides by.
        """
        taken = self.stream.take(candles, at_us)
        for ts_us, bars in taken.minutes:
            self._waiting.setdefault(ts_us, {}).update(bars)
        return Prepared(due_us, at_us, taken, tuple(sorted(self._waiting.items())))

    def decide(
        self, prepared: Prepared, controls: Controls, latency_ms: Callable[[], float] = no_latency
    ) -> Outcome:
        """Live through the new minutes and decide; changes nothing, so it can be done again.

        ``latency_ms`` is asked for the time since the scan was due, right before the decisions.
        """
        measured = latency_ms()
        scan = Scan(
            at_us=prepared.at_us,
            coins=prepared.taken.coins,
            threshold=controls.threshold,
            killed=controls.killed,
            kill_source=controls.kill_source,
            mode=self.mode,
            latency_ms=measured,
        )
        scanned = scan_desk(self.desk, self.config, prepared.minutes, scan)
        return Outcome(
            due_us=prepared.due_us,
            at_us=prepared.at_us,
            controls=controls,
            desk=scanned.state,
            decisions=scanned.decisions,
            trades=scanned.trades,
            seen=prepared.taken.seen,
            warm_starts=prepared.taken.warm_starts,
            events=prepared.taken.events + scanned.events,
            latency_ms=measured,
        )

    def adopt(self, outcome: Outcome) -> None:
        """Go on from an outcome that was stored."""
        self.desk = outcome.desk
        self._waiting.clear()

    def restart(self, stream: MarketStream, owed: Iterable[Minute]) -> None:
        """Go on from another stream; ``owed`` are minutes it knows and the desk has not lived through."""
        self.stream = stream
        self._waiting = {ts_us: dict(bars) for ts_us, bars in owed}

    def replace_desk(self, desk: DeskState) -> None:
        """Go on from an account that an operator changed; store it first."""
        self.desk = desk
