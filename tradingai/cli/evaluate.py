"""``tradingai evaluate``: is this model good enough?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tradingai.cli.arguments import parse_model
from tradingai.cli.context import JsonFlag, writing
from tradingai.cli.output import write_json, write_line
from tradingai.engine.core.errors import GateRefusedError

app = typer.Typer(rich_markup_mode=None)


@app.command()
def evaluate(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(metavar="MODEL", help="lstm_BTC-USD, or a checkpoint's path.")],
    min_accuracy: Annotated[
        float | None, typer.Option("--min-accuracy", help="Default 0.68; looser is exploratory.")
    ] = None,
    max_calibration_error: Annotated[
        float | None, typer.Option("--max-calibration-error", help="Default 0.05; looser is exploratory.")
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Metrics, leakage checks and gates; exit 3 when a gate refuses.

    Only the test range is scored, which no training saw. Every new artifact on the same test data counts as a
    further attempt, and the intervals get wider with it.
    """
    from tradingai.cli.report import show_report
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import Evaluate
    from tradingai.engine.core.report import EvaluationReport

    name = parse_model(model)

    async def body(current: Work) -> dict[str, Any]:
        command = Evaluate(
            **current.issue(), model=name, min_accuracy=min_accuracy,
            max_calibration_error=max_calibration_error,
        )  # fmt: skip
        document: dict[str, Any] = (await current.run([command]))[0].result["report"]
        return document

    document = work(writing(ctx), body)
    report = EvaluationReport.from_json(document)
    if as_json:
        write_json(document)
    else:
        show_report(report)
        if report.promotable:
            write_line(f"Next: `tradingai models promote {report.model} --version {report.version}`")
    return 0 if report.passed else GateRefusedError.exit_status
