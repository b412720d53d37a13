"""Execution costs as jobs: from MetaTrader's exports or an exchange's order book to the metrics file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.errors import DataError, InterruptedRunError, TradingAIError
from tradingai.engine.core.events import ExecutionCostsChanged
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.decision.configure import desk_config, execution_costs
from tradingai.engine.providers.mt5.deals import read_slippage
from tradingai.engine.providers.mt5.export_file import ExportFile, recognise
from tradingai.engine.providers.mt5.quotes import QuoteReader
from tradingai.engine.providers.mt5.report import read_report
from tradingai.engine.providers.mt5.server_time import ServerClock, ServerTime
from tradingai.engine.providers.mt5.symbols import known_pair
from tradingai.engine.risk.measured_costs import (
    CostSketch,
    Measurement,
    by_session,
    check_document,
    merge,
)
from tradingai.engine.store.execution_metrics import DEFAULTS, publish_metrics

_BAR_NOTE: Final = "a bar's SPREAD is the one that MetaTrader stored with it; each bar counts once"
_TICK_NOTE: Final = "each tick counts once, however long it stood"
_STOP_NOTE: Final = (
    "slippage is that of stop orders (deal's price against order's price); market orders do not say what "
    "they asked for, limit orders cannot slip"
)
_SKETCH_NOTE: Final = "percentiles of ticks and bars are right to 0.005 % of their value; means are exact"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a source says, before it is written down."""

    measurements: tuple[Measurement, ...]
    origin: dict[str, Any]
    label: str
    """The source in a few words, for screens and reports."""


def import_execution(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """The worker's function for an ``ImportExecution`` command. Nothing is written before all was read."""
    server = ServerTime.named(params["timezone"])
    export = recognise(Path(params["file"]), params["export_kind"])
    read = _read_deals if export.kind == "deals" else _read_quotes
    measured = read(export, server, params, reporter)
    return publish(paths, settings, measured, params, reporter, RealClock())


def publish(
    paths: HomePaths,
    settings: Settings,
    measured: Measured,
    params: Mapping[str, Any],
    reporter: Reporter,
    clock: Clock,
) -> dict[str, Any]:
    """Write the new file and move the link; what it holds, what was assumed, and what it does to a backtest.

    ``params`` names who asked (``who``) and whether the ``effect`` is wanted. An interruption while that is
    computed leaves the new file in place and the effect out.
    """
    who = str(params["who"])
    notes: tuple[str, ...] = ()
    previous: str = DEFAULTS
    documents: dict[str, dict[str, Any] | None] = {}

    def make(before: dict[str, Any] | None, file: str | None) -> dict[str, Any]:
        nonlocal notes, previous
        previous = file or DEFAULTS
        if before is not None:
            check_document(before)
        header = {
            "source": measured.label,
            "written_at": clock.now(),
            "who": who,
            "tool": f"tradingai {version('tradingai')}",
            "previous": previous,
        }
        origin = {**measured.origin, "who": who, "at": clock.now(), "tool": header["tool"]}
        merged = merge(before, measured.measurements, origin, header)
        check_document(merged.document)
        notes = merged.notes
        documents.update(before=before, after=merged.document)
        return merged.document

    reporter.safe_point()
    name = publish_metrics(paths, clock, make)
    reporter.emit(ExecutionCostsChanged(file=name, previous=previous, source=measured.label, who=who))
    samples = {
        f"{item.symbol} {item.component.removesuffix('_bps')}": item.samples for item in measured.measurements
    }
    return {
        "summary": f"{name}: " + ", ".join(f"{count:,} samples of {what}" for what, count in samples.items()),
        "file": name,
        "previous": previous,
        "origin": measured.origin,
        "notes": list(notes),
        "commission_pct": settings.ftmo_commission_pct,
        "effect": _effect(paths, settings, documents, reporter) if params["effect"] else None,
    }


def _effect(
    paths: HomePaths, settings: Settings, documents: Mapping[str, dict[str, Any] | None], reporter: Reporter
) -> dict[str, Any]:
    """The live models' backtest by the costs before and after; why there is none where there is none.

    Torch is loaded only where a model is live.
    """
    try:
        live = bool(read_ledger(paths.ledger).live())
    except TradingAIError as error:
        return _no_effect(error.message)
    if not live:
        return _no_effect("no model is live")
    from tradingai.engine.evaluation.backtest import BacktestPlan
    from tradingai.engine.evaluation.cost_effect import cost_effect

    before, after = (execution_costs(settings, documents[name]) for name in ("before", "after"))
    plan = BacktestPlan(desk_config(settings), settings.scan_interval_s)
    try:
        return cost_effect(paths, plan, before, after, reporter)
    except InterruptedRunError as error:
        return _no_effect(error.message)


def _no_effect(reason: str) -> dict[str, Any]:
    return {"how": "", "coins": [], "reason": reason}


def _read_quotes(
    export: ExportFile, server: ServerTime, params: Mapping[str, Any], reporter: Reporter
) -> Measured:
    """Spreads of one symbol's ticks or bars."""
    name = export.path.stem.partition("_")[0]
    pair = params["symbol"] or known_pair(name, str(export.path))
    reader = QuoteReader(export, ServerClock(server), params["point"])
    sketch, clock, total = CostSketch(), RealClock(), export.path.stat().st_size
    begun = clock.monotonic()
    for spreads in reader:
        if len(spreads.ts_us):
            sketch.add(spreads.ts_us, spreads.bps)
        rows, seconds = reader.counts.rows, max(clock.monotonic() - begun, 1e-9)
        left = (total - spreads.read_bytes) * seconds / max(spreads.read_bytes, 1)
        detail = {"reading": export.path.name, "rows": rows, "rows_per_s": rows / seconds}
        reporter.progress(Progress(spreads.read_bytes, total, "bytes", rate=spreads.read_bytes / seconds,
                                   eta_s=left, detail=detail))  # fmt: skip
        reporter.safe_point()
    counts = reader.counts
    if not counts.used or counts.first_us is None or counts.last_us is None:
        raise DataError(
            f"{export.path}: none of its {counts.rows:,} rows has a positive spread "
            f"({counts.before_both:,} before both sides were known, {counts.zero:,} zero, "
            f"{counts.negative:,} negative)",
            remedy="Export ticks of a symbol that is quoted with bid and ask.",
        )
    assumed = [server.words, *reader.clock.notes(), _TICK_NOTE if export.kind == "ticks" else _BAR_NOTE]
    assumed += [_SKETCH_NOTE, f"{export.path.name} holds quotes of {pair}"]
    if reader.point is not None:
        how = "given" if params["point"] else "inferred from the decimals of the prices"
        assumed.append(f"a point is {reader.point:g} ({how})")
    origin = {
        **_of_file(export, reader.sha256, counts.first_us, counts.last_us),
        "counts": {**counts.as_json(), "disordered": reader.clock.disordered},
        "assumptions": assumed,
    }
    found = sketch.measurement(pair, "spread_bps")
    return Measured((found,), origin, f"MT5 {export.kind} {export.path.name}")


def _read_deals(
    export: ExportFile, server: ServerTime, params: Mapping[str, Any], reporter: Reporter
) -> Measured:
    """Slippage of the stop orders in a history report."""
    reporter.progress(Progress(0, 1, "reports", detail={"reading": export.path.name}))
    report = read_report(export)
    slips, counts, clock = read_slippage(report, export.path, server, params["symbol"])
    if not slips or counts.first_us is None or counts.last_us is None:
        others = ", ".join(f"{name} {number:,}" for name, number in counts.other_symbols.items())
        raise DataError(
            f"{export.path} holds no stop order that was filled: {counts.deals:,} deals, {counts.limits:,} "
            f"limit and {counts.markets:,} market orders" + (f"; left out: {others}" if others else ""),
            remedy="Slippage can be read from stop orders alone: a market order does not say what price it "
            "hoped for.",
        )
    measured = tuple(by_session(one.pair, "slippage_bps", one.ts_us, one.bps) for one in slips)
    assumed = [
        server.words,
        *clock.notes(),
        _STOP_NOTE,
        "the spread cannot be read from a report",
    ]
    origin = {
        **_of_file(export, report.sha256, counts.first_us, counts.last_us),
        "counts": {**counts.as_json(), "disordered": clock.disordered},
        "assumptions": assumed,
    }
    return Measured(measured, origin, f"MT5 report {export.path.name}")


def _of_file(export: ExportFile, sha256: str, first_us: int, last_us: int) -> dict[str, Any]:
    return {
        "kind": f"MT5 {export.kind}",
        "name": export.path.name,
        "sha256": sha256,
        "start": iso_z(us_to_datetime(first_us)),
        "end": iso_z(us_to_datetime(last_us)),
    }
