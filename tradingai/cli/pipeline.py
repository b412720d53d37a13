"""``tradingai pipeline``: everything from candles to promoted models and a replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tradingai.cli.arguments import parse_time
from tradingai.cli.context import JsonFlag, writing
from tradingai.cli.output import count, duration, moment, percent, table, write_json, write_line
from tradingai.engine.core.errors import GateRefusedError
from tradingai.engine.core.symbols import parse_market

if TYPE_CHECKING:
    from tradingai.engine.core.model_report import ModelReport
    from tradingai.engine.core.report import EvaluationReport
    from tradingai.engine.pipeline.plan import PipelineResult

app = typer.Typer(rich_markup_mode=None, add_completion=False)

WorkloadOption = Annotated[str, typer.Option("--workload", help="quick (120 days) or full (since 2020).")]
MarketOption = Annotated[
    str | None, typer.Option("--market", help="cycles, null, weak or drift; default: the settings'.")
]
TimeOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="UTC, instead of the workload's; a start alone goes to yesterday."),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, help="Of market and training; default: the settings'.")
]
ModelsOption = Annotated[str, typer.Option("--models", help="Kinds of models, comma-separated.")]


@app.command()
def pipeline(
    ctx: typer.Context,
    *,
    workload: WorkloadOption = "quick",
    market: MarketOption = None,
    seed: SeedOption = None,
    models: ModelsOption = "lstm,transformer,ppo",
    start: TimeOption = None,
    end: TimeOption = None,
    as_json: JsonFlag = False,
) -> int:
    """Everything from candles to promoted models and a replay; skips what is done.

    DATA_PROVIDER says where candles come from: synthetic, ccxt (real ones of EXCHANGE) or yfinance.

    Candles, features, training, evaluation, gates, promotion, 72 replayed hours. It runs to its end and then
    exits 3 when a gate refused a model.
    """
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.pipeline.plan import own_range, parse_models, parse_workload, pipeline_request
    from tradingai.engine.pipeline.run import Pipeline

    first = None if start is None else parse_time(start, "--start")
    last = None if end is None else parse_time(end, "--end")
    span = own_range(parse_workload(workload), first, last, RealClock().now())
    kinds = parse_models(models)
    preset = None if market is None else parse_market(market)

    async def body(current: Work) -> PipelineResult:
        settings = current.settings
        request = pipeline_request(settings, span, preset, seed=seed, kinds=kinds)
        engine = current.engine
        steps = Pipeline(engine, engine.paths, settings, engine.clock, current.hear)
        current.on_stop = steps.stop
        return await steps.run(request)

    result = work(writing(ctx), body)
    if as_json:
        write_json(result.as_json())
    else:
        show_result(result)
    return 0 if result.passed else GateRefusedError.exit_status


def show_result(result: PipelineResult) -> None:
    """The table a run ends with."""
    from tradingai.cli.replay_report import show_replay
    from tradingai.cli.report import oracle_share

    request = result.request
    span = f"{moment(request.workload.start)} to {moment(request.workload.end)}"
    size = f"{count(request.workload.minutes)} candles a coin"
    write_line(f"{request.source}, seed {request.seed}: {size}, {span}")
    write_line()
    show_models(result)
    write_line()
    show_verdicts(result)
    write_line()
    if request.provider == "synthetic":
        coins = {coin.symbol: oracle_share(coin) for item in result.models for coin in item.report.coins}
        learnable = ", ".join(f"{symbol} {share}" for symbol, share in coins.items())
        write_line(f"What there was to learn (oracle on the same bars): {learnable}")
        write_line()
    show_replay(result.replay)
    write_line()
    write_line(closing_line(result))


def show_models(result: PipelineResult) -> None:
    """Accuracy, interval, baselines and tier MAE of every model."""
    from tradingai.cli.report import interval

    names = [item.name for item in result.models[0].report.coins[0].baselines]
    titles = [name.replace("_", " ") for name in names]
    headers = ("model", "version", "accuracy", "95 % interval", *titles, "tier MAE", "state")
    rows = []
    for outcome in result.models:
        for report in outcome.report.coins:
            baselines = [percent(item.accuracy) for item in report.baselines]
            rows.append(
                (_title(outcome.report, report), report.version, percent(report.accuracy),
                 interval(report.accuracy_ci, percent), *baselines, percent(report.tier_mae), outcome.detail)
            )  # fmt: skip
    write_line(table(headers, rows, right=("accuracy", "tier MAE", *headers[4:-2])))


def show_verdicts(result: PipelineResult) -> None:
    """Every gate of every model: verdict and value, and below what a refusal would take to pass."""
    from tradingai.cli.report import gate_cell, gate_condition, show_gates

    reports = [(outcome.report, coin) for outcome in result.models for coin in outcome.report.coins]
    gates = [gate.id for gate in reports[0][1].gates]
    rows = [(_title(model, coin), *(gate_cell(gate) for gate in coin.gates)) for model, coin in reports]
    write_line(table(("model", *gates), rows))
    conditions = zip(*(coin.gates for _, coin in reports), strict=True)
    write_line(f"Passes when: {'; '.join(gate_condition(found) for found in conditions)}")
    for model, coin in reports:
        if not coin.passed:
            write_line()
            write_line(f"{_title(model, coin)} {coin.version} was refused:")
            show_gates([gate for gate in coin.gates if not gate.passed])


def _title(model: ModelReport, coin: EvaluationReport) -> str:
    """``lstm_BTC-USD``, ``transformer BTC-USD``."""
    return coin.model if len(model.coins) == 1 else f"{coin.model} {coin.symbol}"


def closing_line(result: PipelineResult) -> str:
    """What was done and how long it took."""
    if result.all_done_before:
        return f"All {result.steps} steps were done already; nothing has changed since."
    live = sum(outcome.promotion in {"promoted", "live"} for outcome in result.models)
    done = f"{result.steps - result.skipped} of {result.steps} steps done now in {duration(result.seconds)}"
    return f"{live} of {len(result.models)} models live; {done}."
