"""``tradingai features``: what models see."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tradingai.cli.context import JsonFlag, invocation, writing
from tradingai.cli.output import count, moment, table, write_json, write_line
from tradingai.engine.core.symbols import parse_symbols

if TYPE_CHECKING:
    from tradingai.engine.features.check import FeatureCheckReport

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)

SymbolsOption = Annotated[
    str | None, typer.Option("--symbols", metavar="A,B", help="Pairs; default: all that have candles.")
]


@app.callback()
def features() -> None:
    """Features: build, list, check."""


@app.command()
def build(
    ctx: typer.Context,
    symbols: SymbolsOption = None,
    force: Annotated[bool, typer.Option("--force", help="Build although nothing changed.")] = False,
    as_json: JsonFlag = False,
) -> int:
    """Compute the feature matrices; skipped where candles and definitions are unchanged."""
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import BuildFeatures
    from tradingai.engine.store.manifests import read_feature_manifest

    named = None if symbols is None else parse_symbols(symbols)

    async def body(current: Work) -> tuple[str, ...]:
        chosen = named or symbols_with_candles(current.engine.paths)
        await current.run([BuildFeatures(**current.issue(), symbol=symbol, force=force) for symbol in chosen])
        return chosen

    call = writing(ctx)
    manifests = [read_feature_manifest(call.paths, symbol) for symbol in work(call, body)]
    if as_json:
        write_json([item.as_json() for item in manifests])
        return 0
    rows = [
        (item.symbol, count(item.rows), str(len(item.names)), moment(item.start), moment(item.end),
         ", ".join(item.peers) or "–", item.sha256[:12])
        for item in manifests
    ]  # fmt: skip
    headers = ("symbol", "rows", "features", "first", "last", "other coins", "values")
    write_line(table(headers, rows, right=("rows", "features")))
    return 0


def symbols_with_candles(paths: Any) -> tuple[str, ...]:
    """Every pair with candles. Raises MissingError when there is none."""
    from tradingai.engine.core.errors import MissingError
    from tradingai.engine.store.manifests import list_dataset_manifests

    found = tuple(item.symbol for item in list_dataset_manifests(paths))
    if not found:
        raise MissingError("there are no candles", remedy="Make some with `tradingai data generate`.")
    return found


@app.command(name="list")
def list_features(as_json: JsonFlag = False) -> int:
    """The declared features: group, look-back, meaning and source."""
    from tradingai.engine.features.registry import FEATURES

    if as_json:
        names = ("name", "group", "lookback", "meaning", "source")
        write_json([{name: getattr(feature, name) for name in names} for feature in FEATURES])
        return 0
    rows = [(item.name, item.group, count(item.lookback), item.meaning) for item in FEATURES]
    write_line(table(("feature", "group", "look-back", "meaning"), rows, right=("look-back",)))
    write_line(f"{len(FEATURES)} features; a coin's matrix adds its peers' where it has any.")
    return 0


@app.command()
def check(ctx: typer.Context, symbols: SymbolsOption = None, as_json: JsonFlag = False) -> int:
    """Prove on the stored candles that no feature knows the future and that live equals batch."""
    from tradingai.cli.progress import progress_view
    from tradingai.cli.reporting import ViewReporter
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.features.check import check_features

    clock = RealClock()
    paths = open_home(invocation(ctx).home, clock, read_only=True).paths
    chosen = symbols_with_candles(paths) if symbols is None else parse_symbols(symbols)
    reports = []
    with progress_view(clock) as view:
        for symbol in chosen:
            with ViewReporter(view, f"check {symbol}") as reporter:
                reports.append(check_features(paths, symbol, reporter))
    if as_json:
        write_json([check_document(report) for report in reports])
    else:
        for report in reports:
            show_check(report)
    return 0 if all(report.passed for report in reports) else 1


def check_document(report: FeatureCheckReport) -> dict[str, Any]:
    """A report as JSON, with ``passed`` for the whole and for each check."""
    checks = [{**asdict(item), "passed": item.passed} for item in report.checks]
    return {**asdict(report), "checks": checks, "passed": report.passed}


def show_check(report: FeatureCheckReport) -> None:
    """One coin's answers."""
    size = f"{report.features} features, {count(report.rows)} rows, {len(report.cuts)} cuts"
    write_line(f"{report.symbol}: {size}")
    rows = [
        ("passed" if item.passed else "FAILED", item.name, count(item.values), item.question)
        for item in report.checks
    ]
    write_line(table(("", "check", "values", "question"), rows, right=("values",)))
    for item in report.checks:
        for wrong in item.failures:
            values = f"{wrong.got:g} instead of {wrong.expected:g}"
            write_line(f"  {item.name}: {wrong.feature} at {moment(wrong.ts)}: {values}")
