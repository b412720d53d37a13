"""What an operator asks for: frozen dataclasses in the imperative, each audited with its result.

A command that was not carried out within 30 s of being given is expired and never fires: nobody wants
yesterday's "promote" to take effect when a stalled engine wakes up.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from tradingai.engine.core.jsonio import plain

Surface = Literal["console", "cli", "telegram", "engine"]
EXPIRY: Final = timedelta(seconds=30)


@dataclass(frozen=True, kw_only=True)
class Command:
    """Base of all commands."""

    sender: str
    """Who asks: the operating system's user, or ``telegram:<user number>``."""
    surface: Surface
    issued_at: datetime
    command_id: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def expires_at(self) -> datetime:
        """Not carried out by then, it never is."""
        return self.issued_at + EXPIRY

    def expired(self, now: datetime) -> bool:
        """True when it must not fire any more."""
        return now > self.expires_at

    def payload(self) -> dict[str, Any]:
        """The command's own fields as JSON types, as they were given: NaN as ``nan``."""
        base = {item.name for item in fields(Command)}
        return {item.name: _given(getattr(self, item.name)) for item in fields(self) if item.name not in base}


def _given(value: Any) -> Any:
    """JSON has no NaN, and null would say that nothing was given."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return plain(value)


@dataclass(frozen=True, kw_only=True)
class JobCommand(Command):
    """Base of the commands that a worker process carries out."""


@dataclass(frozen=True, kw_only=True)
class GenerateCandles(JobCommand):
    """Make synthetic candles of one symbol; ``start`` and ``end`` are minutes, both included."""

    symbol: str
    market: str
    seed: int
    start: datetime
    end: datetime
    drift_at: datetime | None = None
    replace: bool = False
    """Overwrite candles of another provider."""


@dataclass(frozen=True, kw_only=True)
class ImportCandles(JobCommand):
    """Read candles of one symbol from a CSV or Parquet file."""

    symbol: str
    file: str
    assume_utc: bool = False
    """Read times without a zone as UTC instead of refusing them."""
    replace: bool = False
    """Overwrite candles of another provider."""


@dataclass(frozen=True, kw_only=True)
class ImportExecution(JobCommand):
    """Read spreads or slippage from an export of MetaTrader 5 into the execution metrics."""

    file: str
    who: str
    """Kept with the measurement."""
    export_kind: Literal["auto", "ticks", "deals", "bars"] = "auto"
    symbol: str | None = None
    """The pair; None: by the name of the file, or all of a report."""
    timezone: str = "ftmo"
    point: float | None = None
    """Price of one point of a bar's SPREAD; None: by the decimals of the prices."""
    effect: bool = True
    """Whether to trade the live models by the costs before and after."""


@dataclass(frozen=True, kw_only=True)
class MeasureExecution(JobCommand):
    """Sample spread and slippage from an exchange's order book into the execution metrics."""

    who: str
    """Kept with the measurement."""
    duration_s: float
    every_s: float
    symbols: tuple[str, ...] | None = None
    """None: SYMBOLS."""
    exchange: str | None = None
    """None: EXCHANGE."""
    notional: float | None = None
    """Worth of the order whose slippage is measured; None: the paper account's."""
    effect: bool = True
    """Whether to trade the live models by the costs before and after."""


@dataclass(frozen=True, kw_only=True)
class FetchCandles(JobCommand):
    """Download candles of one symbol; ``start`` and ``end`` are minutes, both included."""

    symbol: str
    provider: Literal["ccxt", "yfinance"]
    exchange: str | None = None
    """Of ccxt; None: EXCHANGE."""
    start: datetime | None = None
    """None: where the stored candles end."""
    end: datetime | None = None
    """None: the newest closed candle."""
    replace: bool = False
    """Overwrite candles of another provider, exchange or market."""


@dataclass(frozen=True, kw_only=True)
class BuildFeatures(JobCommand):
    """Compute one symbol's feature matrix."""

    symbol: str
    peers: tuple[str, ...] | None = None
    """Coins that may lead it; None: the home's other coins of the same market."""
    force: bool = False
    """Build although nothing changed."""


@dataclass(frozen=True, kw_only=True)
class StartTraining(JobCommand):
    """Train a model by its id; continues from a checkpoint unless ``fresh``."""

    model: str
    symbols: tuple[str, ...] | None = None
    """The coins of a model of several; None: SYMBOLS."""
    epochs: int = 10
    """Of a network; the agent goes by environment steps."""
    seed: int = 7
    fresh: bool = False
    replace_unfinished: bool = False
    """Give up an unfinished training of other data or settings instead of refusing."""
    threads: int | None = None
    """None: JOB_THREADS."""


@dataclass(frozen=True, kw_only=True)
class Evaluate(JobCommand):
    """Evaluate a model (its id, or a checkpoint's path) and let the gates decide."""

    model: str
    min_accuracy: float | None = None
    max_calibration_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Replay(JobCommand):
    """Run the scan loop over stored candles on a simulated clock, as a run of its own."""

    hours: float
    symbols: tuple[str, ...] | None = None
    """The coins that are decided on; None: SYMBOLS."""
    end: datetime | None = None
    """The newest moment it may scan at; None: where the stored candles end."""
    reuse: bool = False
    """Take the result of an earlier replay of the same inputs instead of doing it again."""
    speed: float | None = None
    """Simulated seconds that pass in a real one, so that it can be watched; None: as fast as it goes."""
    threads: int = 1
    """Scans use one thread, and so do replays."""


@dataclass(frozen=True, kw_only=True)
class Drill(JobCommand):
    """Breach the daily limit on an isolated account and see whether the guard holds every signal back."""

    threads: int = 1
    """As a replay."""


@dataclass(frozen=True, kw_only=True)
class StartObservation(JobCommand):
    """Replay the live models' test range as the baseline, then let the continuous clock begin."""

    anew: bool = False
    """Give up the observation that runs, with all it has counted, instead of refusing."""
    threads: int = 1
    """As a replay."""

    def payload(self) -> dict[str, Any]:
        """With who gave it: the job writes that down with the observation it begins."""
        given = {"command_id": self.command_id, "issued_at": plain(self.issued_at)}
        return {**super().payload(), "sender": self.sender, "surface": self.surface, **given}


@dataclass(frozen=True, kw_only=True)
class SimulateChallenge(JobCommand):
    """Play attempts at a challenge with whole days of a run's trades."""

    attempts: int = 10_000
    run: str | None = None
    """None: the replay that covers most whole days."""
    seed: int = 7
    risk_pct: float | None = None
    """Risk a trade, per cent of the initial balance; None: PAPER_RISK_PCT."""
    account: Literal["2-step", "1-step"] | None = None
    """None: FTMO_ACCOUNT."""
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class ScoreFolds(JobCommand):
    """Repeat a model's training on folds of the past and score each; promotes nothing, is no attempt."""

    model: str
    method: Literal["walk_forward", "k_fold"]
    folds: int


@dataclass(frozen=True, kw_only=True)
class Promote(Command):
    """Make a version that passed every gate live."""

    model: str
    version: str | None = None
    """None: the newest version that passed."""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class Rollback(Command):
    """Make an earlier promoted version live again."""

    model: str
    version: str | None = None
    """None: the one before the live one."""
    why: str = ""


@dataclass(frozen=True, kw_only=True)
class StartScanLoop(Command):
    """Scan live candles in this process from now on, and whenever a console opens this home."""

    interval_s: float | None = None
    """None: SCAN_INTERVAL_S."""


@dataclass(frozen=True, kw_only=True)
class StopScanLoop(Command):
    """Stop scanning in this process; consoles that open this home later do not begin either."""


@dataclass(frozen=True, kw_only=True)
class ObservationCommand(Command):
    """Base of what an operator does with an observation that has begun."""


@dataclass(frozen=True, kw_only=True)
class WriteSnapshot(ObservationCommand):
    """Write a daily snapshot of the observation that runs, as JSON and Markdown."""

    day: str | None = None
    """``day0``, ``day1``, …; None: the day in progress, marked as partial."""


@dataclass(frozen=True, kw_only=True)
class ApproveObservation(ObservationCommand):
    """Record the operator's approval; refused unless every other criterion holds."""

    typed: str
    """What the operator typed: GO, or ``GO --yes`` where a flag stood for it."""


@dataclass(frozen=True, kw_only=True)
class ReportObservation(ObservationCommand):
    """Write ``summary.md`` with the verdict and every criterion's evidence."""

    run: str | None = None
    """A replayed run to assess with the same report, which never counts; None: the observation."""


@dataclass(frozen=True, kw_only=True)
class CancelJob(Command):
    """Stop a job at its next safe point."""

    job_id: str


@dataclass(frozen=True, kw_only=True)
class ResumeJob(Command):
    """Start an interrupted, cancelled or failed job again where it stopped."""

    job_id: str


@dataclass(frozen=True, kw_only=True)
class BackUp(Command):
    """Write database, registry and promoted versions to a new file."""

    file: str


@dataclass(frozen=True, kw_only=True)
class ControlCommand(Command):
    """Base of the commands that are never queued: their sender writes them, engine or no engine."""


@dataclass(frozen=True, kw_only=True)
class SetKillSwitch(ControlCommand):
    """Turn the kill switch on or off."""

    on: bool
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class SetThreshold(ControlCommand):
    """Set the confidence a signal needs; None goes back to the settings'."""

    value: float | None


@dataclass(frozen=True, kw_only=True)
class ResetAccount(ControlCommand):
    """Let the live paper account out of HALTED, or open a fresh one where that is the only way on."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class BotRequest(Command):
    """A message to the bot, whoever it came from; what it asks to change is a command of its own."""

    update_id: int
    chat_id: int
    command: str
    """The command's name without its slash; empty for a message that is none."""
    value: str = ""
    """What it was given, without any confirmation code."""
