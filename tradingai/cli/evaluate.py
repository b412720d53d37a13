"""``tradingai evaluate``: is this model good enough?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tradingai.cli.arguments import parse_model
from tradingai.cli.context import JsonFlag, writing
from tradingai.cli.output import write_json, write_line
from tradingai.engine.core.errors import GateRefusedError, UsageError

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def evaluate(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="lstm_BTC-USD, transformer, ppo, ensemble; or a checkpoint."),
    ],
    min_accuracy: Annotated[
        float | None, typer.Option("--min-accuracy", help="Default 0.68; looser is exploratory.")
    ] = None,
    max_calibration_error: Annotated[
        float | None, typer.Option("--max-calibration-error", help="Default 0.05; looser is exploratory.")
    ] = None,
    walk_forward: Annotated[
        int | None,
        typer.Option("--walk-forward", metavar="N", help="Diagnosis: train on N growing pasts instead."),
    ] = None,
    k_fold: Annotated[
        int | None,
        typer.Option("--k-fold", metavar="K", help="Diagnosis: purged k-fold with embargo instead."),
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Metrics, leakage checks and gates; exit 3 when a gate refuses.

    Only the test range is scored, which no training saw. Every new artifact on the same test data counts as a
    further attempt, and the intervals get wider with it.

    A model of several coins is judged on each and passes when it passes on all. The ensemble is made first,
    of what is live.

    With --walk-forward or --k-fold the model's training is repeated on folds of the training and validation
    rows, each scored on rows it has not seen. The test range stays untouched, so it is no attempt; no gate
    decides and nothing is promoted. Finished folds are kept.
    """
    from tradingai.cli.folds import chosen_method, evaluate_folds
    from tradingai.cli.models import registry
    from tradingai.cli.report import how_made, show_model
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import Evaluate
    from tradingai.engine.core.model_report import ModelReport

    name = parse_model(model)
    folds = chosen_method(walk_forward, k_fold)
    if folds is not None:
        if min_accuracy is not None or max_calibration_error is not None:
            raise UsageError(
                "folds decide no gate, so they take no threshold",
                remedy="Leave out --min-accuracy and --max-calibration-error, or evaluate without folds.",
            )
        return evaluate_folds(writing(ctx), name, *folds, as_json=as_json)
    check_thresholds(min_accuracy, max_calibration_error)

    async def body(current: Work) -> dict[str, Any]:
        command = Evaluate(
            **current.issue(), model=name, min_accuracy=min_accuracy,
            max_calibration_error=max_calibration_error,
        )  # fmt: skip
        document: dict[str, Any] = (await current.run([command]))[0].result["report"]
        return document

    document = work(writing(ctx), body)
    report = ModelReport.from_json(document)
    if as_json:
        write_json(document)
    else:
        show_model(report, how_made(registry(ctx).paths, report))
        if report.promotable:
            write_line(f"Next: `tradingai models promote {report.model} --version {report.version}`")
    return 0 if report.passed else GateRefusedError.exit_status


def check_thresholds(min_accuracy: float | None, max_calibration_error: float | None) -> None:
    """Raise UsageError for a given value that is no fraction: a job's JSON would make NaN no value at all."""
    from tradingai.engine.gates import MAX_CALIBRATION_ERROR, MIN_ACCURACY, Thresholds

    Thresholds(
        MIN_ACCURACY if min_accuracy is None else min_accuracy,
        MAX_CALIBRATION_ERROR if max_calibration_error is None else max_calibration_error,
    )
