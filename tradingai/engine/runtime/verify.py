"""Live parity: the decisions of a run, computed again from the candles its scans saw.

Features come from live tails, whatever the run itself used, and models start cold where they did then. Equal
inputs give equal bits, so each decision is the same, or something is not what it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.events import ModelRefused
from tradingai.engine.core.jsonio import iso_z, plain
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.decision.state import config_from_json, desk_from_json
from tradingai.engine.features.compute import Features
from tradingai.engine.inference.promoted import LiveEnsemble, LiveModel, PromotedModels, load_version
from tradingai.engine.inference.stream import MarketStream, SeenCoin, features_sha256
from tradingai.engine.runtime.batch_parity import BatchAgreement, BatchParity
from tradingai.engine.runtime.records import stored_decision
from tradingai.engine.runtime.runs import code_version
from tradingai.engine.runtime.seen_again import (
    ON_RECEIVED,
    Delivery,
    ReceivedCandles,
    SeenCandles,
    StoredCandles,
)
from tradingai.engine.runtime.step import Controls, ScanStep
from tradingai.engine.store.database import Store
from tradingai.engine.store.run_table import RunRow
from tradingai.engine.store.scan_rows import (
    DecisionRow,
    DeskChangeRow,
    InputRow,
    ScanRow,
    SignalRow,
    WarmStartRow,
)

SCANS_AT_ONCE: Final = 120
Numbered = TypeVar("Numbered", DecisionRow, InputRow, WarmStartRow)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that is not what it was."""

    scan: int
    at: str
    symbol: str
    what: str
    """``candles``, ``feature``, ``decision`` or ``account``."""
    name: str
    """The feature, or the field of the decision."""
    recorded: Any
    recomputed: Any

    @property
    def text(self) -> str:
        """In a sentence."""
        where = f"{self.symbol} in scan {self.scan} ({self.at})".strip()
        return f"{self.what} {self.name} of {where} was {self.recorded!r}, it is {self.recomputed!r} now"


@dataclass(slots=True)
class Verification:
    """What came of verifying one run."""

    run: RunRow
    same_code: bool
    """Whether this is the code the run was made with."""
    scans: int = 0
    decisions: int = 0
    identical: int = 0
    features: int = 0
    """Coins of scans whose features were computed again."""
    features_identical: int = 0
    first: Difference | None = None
    batch: BatchAgreement | None = None
    """How the probabilities compare with those of a batch over the same candles."""

    @property
    def verified(self) -> bool:
        """Everything is what it was, and there was something."""
        return self.decisions > 0 and self.identical == self.decisions and self.first is None

    def note(self, difference: Difference) -> None:
        """Keep the first one."""
        self.first = self.first or difference

    def as_json(self) -> dict[str, Any]:
        """The document of ``observe verify --json``."""
        document: dict[str, Any] = plain(
            {
                "run": self.run.run_id,
                "kind": self.run.kind,
                "scans": self.scans,
                "decisions": self.decisions,
                "identical": self.identical,
                "features": self.features,
                "features_identical": self.features_identical,
                "verified": self.verified,
                "first_difference": None
                if self.first is None
                else {name: getattr(self.first, name) for name in (*Difference.__slots__, "text")},
                "same_code": self.same_code,
                "batch": None if self.batch is None else self.batch.as_json(),
            }
        )
        return document


async def verify_run(
    store: Store, paths: HomePaths, run_id: str | None, reporter: Reporter, clock: Clock
) -> Verification:
    """Compute all decisions of a run again; ``run_id`` None takes the live run, else the newest one.

    Raises MissingError for an unknown run, one without decisions and one whose candles or models are not
    there any more, ArtifactError for a damaged model, StoreError.
    """
    run = await _run(store, run_id)
    found = Verification(run, same_code=run.code_version == code_version())
    again, candles = await _begin(store, paths, run)
    record = _Record(store, run.run_id)
    total = await store.scans.newest_scan(run.run_id)
    account = await store.scans.account(run.run_id)
    begun = clock.monotonic()
    for after in range(0, total, SCANS_AT_ONCE):
        done = min(after + SCANS_AT_ONCE, total)
        await again.verify(await record.scans(after, done), candles, found)
        rate = done / max(clock.monotonic() - begun, 1e-9)
        detail = {"identical": found.identical, "decisions": found.decisions}
        eta_s = (total - done) / rate
        reporter.progress(Progress(done, total, "scans", rate=rate, eta_s=eta_s, detail=detail))
        reporter.safe_point()
    if account is not None and account.scan_seq <= total:
        again.compare_account(total, account.desk, found)
    found.batch = again.parity.agreement()
    return found


async def _run(store: Store, run_id: str | None) -> RunRow:
    rows = await store.runs.with_scans()
    if run_id is not None:
        rows = [row for row in rows if row.run_id == run_id]
    if not rows:
        what = "no run has scanned anything yet" if run_id is None else f"there is no run {run_id} with scans"
        raise MissingError(
            what, remedy="`tradingai run` scans live, `tradingai replay` goes through stored candles."
        )
    live = [row for row in rows if row.kind == "live"]
    return (live or rows)[0]


class _Scan(NamedTuple):
    """What is recorded of one scan."""

    row: ScanRow
    decisions: Sequence[DecisionRow]
    inputs: Sequence[InputRow]
    starts: Sequence[WarmStartRow]

    @property
    def versions(self) -> dict[str, str]:
        """The models that spoke, or should have: id to version."""
        return {model: version for row in self.decisions for model, version in row.versions.items()}


class _Record:
    """What a run left in the store, read some scans at a time."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._scans = store.scans
        self._run_id = run_id

    async def scans(self, after: int, until: int) -> list[_Scan]:
        """The scans ``after`` + 1 … ``until``, in order."""
        rows = await self._scans.scans(self._run_id, after=after, limit=until - after)
        decisions = _by_scan(await self._scans.decisions(self._run_id, after=after, until=until))
        inputs = _by_scan(await self._scans.inputs(self._run_id, after=after, until=until))
        starts = _by_scan(await self._scans.warm_starts(self._run_id, after=after, until=until))
        return [
            _Scan(row, decisions.get(row.seq, ()), inputs.get(row.seq, ()), starts.get(row.seq, ()))
            for row in rows
        ]


class _Cast:
    """Which models ran when, loaded from their versions."""

    def __init__(self, paths: HomePaths) -> None:
        self._paths = paths
        self._ledger = read_ledger(paths.ledger)
        self._loaded: dict[tuple[str, str], LiveModel | LiveEnsemble] = {}
        self._versions: dict[str, str] = {}
        self._refused: dict[str, ModelRefused] = {}

    def follow(self, scan: _Scan, stream: MarketStream) -> None:
        """Install what ran in this scan, cold where it was. Raises MissingError or ArtifactError."""
        refused = {
            row.model: ModelRefused(model=row.model, version=row.version, reason=row.refused)
            for row in scan.starts if row.refused
        }  # fmt: skip
        versions = self._versions if scan.row.state == "failed" else scan.versions
        if len(scan.decisions) < len(stream.symbols):
            # A decision is gone; its coin's models ran all the same.
            versions = {**self._versions, **versions}
        if versions != self._versions or refused:
            kept = {name: event for name, event in self._refused.items() if name not in versions}
            self._versions, self._refused = dict(versions), {**kept, **refused}
            found = [self._model(model, version) for model, version in versions.items()]
            models = tuple(one for one in found if isinstance(one, LiveModel))
            ensemble = next((one for one in found if isinstance(one, LiveEnsemble)), None)
            stream.install(PromotedModels(models, tuple(self._refused.values()), ensemble))
        cold = [row.model for row in scan.starts if not row.refused]
        if cold:
            stream.restart(cold)

    @property
    def running(self) -> dict[str, LiveModel]:
        """The models of the newest scan by id."""
        found = {model: self._loaded[model, version] for model, version in self._versions.items()}
        return {model: one for model, one in found.items() if isinstance(one, LiveModel)}

    def _model(self, model: str, version: str) -> LiveModel | LiveEnsemble:
        key = (model, version)
        if key not in self._loaded:
            entries = self._ledger.evaluations(model, version)
            if not entries:
                raise MissingError(
                    f"the ledger does not know {model} {version}, which this run used",
                    remedy="Restore the registry from a backup (`tradingai restore FILE`).",
                )
            self._loaded[key] = load_version(self._paths, entries[-1])
        return self._loaded[key]


class _Again:
    """A run's step, gone through once more."""

    def __init__(
        self, step: ScanStep, cast: _Cast, changes: Sequence[DeskChangeRow], signals: Sequence[SignalRow]
    ) -> None:
        self._step = step
        self._cast = cast
        self._changes = list(changes)
        self._signals = {signal.key: signal for signal in signals}
        self._first = True
        self.parity = BatchParity()

    async def verify(self, scans: Sequence[_Scan], candles: SeenCandles, found: Verification) -> None:
        """Go through some scans, the ones before them having been gone through."""
        rows = [row for scan in scans for row in scan.inputs]
        seen = await candles.of_scans(rows) if rows else {}
        for scan in scans:
            self._cast.follow(scan, self._step.stream)
            if self._first:
                history = await candles.history()
                self._step.stream.warm(history)
                for name, series in history.items():
                    self.parity.saw(name, series)
                self._first = False
            found.scans += 1
            self._scan(scan, seen.get(scan.row.seq, {}), found)

    def _scan(self, scan: _Scan, candles: Delivery, found: Verification) -> None:
        self._apply_changes(scan.row.seq - 1)
        row = scan.row
        if row.state == "failed" and not scan.inputs:
            return
        prepared = self._step.prepare(datetime_to_us(row.due), datetime_to_us(row.at), candles)
        for seen in prepared.taken.seen:
            self.parity.saw(seen.symbol, seen.raw)
        for seen, recorded in _paired(prepared.taken.seen, scan.inputs):
            self._compare_input(row, seen, recorded, found)
        if row.state == "failed":
            return
        outcome = self._step.decide(prepared, Controls(row.threshold, row.killed, row.kill_source))
        self._step.adopt(outcome)
        counts = len(scan.decisions), len(outcome.decisions)
        if counts[0] != counts[1]:
            found.note(_difference(row, "", "decision", "count", *counts))
        for stored, again in zip(scan.decisions, outcome.decisions, strict=False):
            then = stored_decision(stored, self._signals.get(stored.signal_key or ""))
            found.decisions += 1
            self.parity.said(then, self._cast.running)
            if then.canonical() == again.canonical():
                found.identical += 1
            else:
                found.note(_decision_difference(row, stored.symbol, then.as_json(), again.as_json()))

    def _compare_input(self, scan: ScanRow, seen: SeenCoin, recorded: InputRow, found: Verification) -> None:
        if seen.sha256 != recorded.input_sha256:
            found.note(_difference(scan, seen.symbol, "candles", "hash", recorded.input_sha256, seen.sha256))
        if not len(seen.rows) and recorded.features is None:
            return
        found.features += 1
        if features_sha256(seen.rows) == recorded.features_sha256:
            found.features_identical += 1
            return
        names = self._step.stream.feature_names(seen.symbol)
        found.note(_feature_difference(scan, seen, recorded, names))

    def _apply_changes(self, after_scan: int) -> None:
        while self._changes and self._changes[0].after_scan <= after_scan:
            change = self._changes.pop(0)
            self._step.replace_desk(desk_from_json(change.desk))
            if change.config:
                self._step.config = config_from_json(change.config)

    def compare_account(self, scan_seq: int, desk: Mapping[str, Any], found: Verification) -> None:
        """Whether the account after the last scan is the stored one."""
        self._apply_changes(scan_seq)
        mine = self._step.desk.as_json()
        for name in mine:
            if mine[name] != desk.get(name):
                found.note(Difference(scan_seq, "", "", "account", name, desk.get(name), mine[name]))


async def _begin(store: Store, paths: HomePaths, run: RunRow) -> tuple[_Again, SeenCandles]:
    """A step as the run began with, and the candles it saw."""
    changes = await store.scans.desk_changes(run.run_id)
    symbols = await store.scans.decided_symbols(run.run_id)
    if not symbols or not changes or not changes[0].config:
        raise MissingError(f"run {run.run_id} has decided nothing", remedy="Name another one with --run.")
    config, desk = config_from_json(changes[0].config), desk_from_json(changes[0].desk)
    held = desk.paper.coins if run.kind in ON_RECEIVED else ()
    stream = MarketStream(symbols, PromotedModels(), config.decision.ensemble, held=held)
    step = ScanStep(stream, config, desk, mode="verify")
    again = _Again(step, _Cast(paths), changes[1:], await store.scans.signals(run.run_id))
    if run.kind in ON_RECEIVED:
        return again, ReceivedCandles(store, run.run_id)
    span = await store.scans.input_span(run.run_id)
    if span is None:
        raise MissingError(f"run {run.run_id} saw no candle", remedy="Name another one with --run.")
    return again, StoredCandles.read(paths, span.coins, datetime_to_us(span.first), datetime_to_us(span.last))


def _paired(seen: Sequence[SeenCoin], recorded: Sequence[InputRow]) -> Iterator[tuple[SeenCoin, InputRow]]:
    by_symbol = {row.symbol: row for row in recorded}
    return ((coin, by_symbol[coin.symbol]) for coin in seen if coin.symbol in by_symbol)


def _difference(
    scan: ScanRow, symbol: str, what: str, name: str, recorded: Any, recomputed: Any
) -> Difference:
    return Difference(scan.seq, iso_z(scan.at), symbol, what, name, recorded, recomputed)


def _feature_difference(
    scan: ScanRow, seen: SeenCoin, recorded: InputRow, names: Sequence[str]
) -> Difference:
    """The first value that differs among the rows that were kept."""
    then = _kept_rows(recorded, len(names))
    now = np.asarray(seen.rows, dtype=np.float32)[-len(then) :] if len(then) else seen.rows[:0]
    if not len(then) or now.shape != then.shape:
        counts = f"{len(then)} rows", f"{len(seen.rows)} rows"
        return _difference(scan, seen.symbol, "feature", "rows", *counts)
    row, column = np.unravel_index(int(np.argmax(then != now)), then.shape)
    if then[row, column] == now[row, column]:
        return _difference(scan, seen.symbol, "feature", "of an earlier minute", "one value", "another")
    values = float(then[row, column]), float(now[row, column])
    return _difference(scan, seen.symbol, "feature", names[int(column)], *values)


def _kept_rows(recorded: InputRow, columns: int) -> Features:
    flat: Features = np.frombuffer(recorded.features or b"", dtype="<f4")
    return flat.reshape(-1, columns) if columns and flat.size % columns == 0 else flat.reshape(0, 1)


def _decision_difference(
    scan: ScanRow, symbol: str, then: Mapping[str, Any], now: Mapping[str, Any]
) -> Difference:
    name = next((key for key in then if then[key] != now[key]), "canonical")
    return _difference(scan, symbol, "decision", name, then.get(name), now.get(name))


def _by_scan(rows: Sequence[Numbered]) -> dict[int, list[Numbered]]:
    found: dict[int, list[Numbered]] = {}
    for row in rows:
        found.setdefault(row.scan_seq, []).append(row)
    return found
