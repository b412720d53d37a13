"""``tradingai evaluate --walk-forward`` and ``--k-fold``: how steady a model's training is over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from tradingai.cli.context import Invocation
from tradingai.cli.output import count, moment, percent, table, write_json, write_line
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.jsonio import parse_iso

Method = Literal["walk_forward", "k_fold"]
MOST_FOLDS = 50


def chosen_method(walk_forward: int | None, k_fold: int | None) -> tuple[Method, int] | None:
    """Which folds were asked for; None for an evaluation. Raises UsageError."""
    if walk_forward is not None and k_fold is not None:
        raise UsageError("--walk-forward and --k-fold were both given", remedy="Ask for one at a time.")
    asked: tuple[tuple[Method, int | None], ...] = (("walk_forward", walk_forward), ("k_fold", k_fold))
    for method, folds in asked:
        if folds is None:
            continue
        if not 2 <= folds <= MOST_FOLDS:
            option = f"--{method.replace('_', '-')}"
            raise UsageError(f"{option} {folds}", remedy=f"Ask for 2 to {MOST_FOLDS} folds; 5 is usual.")
        return method, folds
    return None


def evaluate_folds(call: Invocation, model: str, method: Method, folds: int, *, as_json: bool) -> int:
    """Train and score the folds in a worker and show them. No gate decides, so the exit status is 0."""
    from tradingai.cli.work import Work, work
    from tradingai.engine.core.commands import ScoreFolds

    if "/" in model:
        raise UsageError(
            "folds train a model again, so they take a model's id, not a checkpoint",
            remedy="For example `tradingai evaluate lstm_BTC-USD --walk-forward 5`.",
        )

    async def body(current: Work) -> dict[str, Any]:
        command = ScoreFolds(**current.issue(), model=model, method=method, folds=folds)
        document: dict[str, Any] = (await current.run([command]))[0].result["report"]
        return document

    document = work(call, body)
    if as_json:
        write_json(document)
    else:
        show_folds(document)
    return 0


def show_folds(document: Mapping[str, Any]) -> None:
    """One line a fold, all of them together, and what this is not."""
    name = {"walk_forward": "Walk-forward", "k_fold": "Purged k-fold"}[document["method"]]
    folds = document["folds"]
    gap = f"{folds[0]['purged_size']} bars purged at each boundary"
    embargo = folds[0]["embargo_size"]
    write_line(
        f"{name} of {document['model']}, {len(folds)} folds: {gap}"
        + (f", {count(embargo)} more embargoed where training follows the test" if embargo else "")
    )
    write_line()
    headers = ("fold", "trained on", "scored on", "bars", "accuracy", "95 % interval", "majority", "momentum")
    write_line(table(headers, [_row(fold) for fold in folds], right=("fold", "bars", *headers[4:])))
    write_line()
    extremes = f"worst {percent(document['worst'])}, best {percent(document['best'])}"
    write_line(
        f"All folds: {percent(document['accuracy'])} {_interval(document['accuracy_ci'])} "
        f"of {count(document['n'])} bars; {extremes}"
    )
    test = document["untouched_test"]
    write_line(
        f"The test range {_span(test)} was not looked at: this is a diagnosis, no attempt and no promotion."
    )


def _row(fold: Mapping[str, Any]) -> tuple[str, ...]:
    trained = " and ".join(_span(part) for part in fold["train"])
    baselines = fold["baselines"]
    return (
        str(fold["fold"]), trained, _span(fold["test"]), count(fold["n"]), percent(fold["accuracy"]),
        _interval(fold["accuracy_ci"]) if fold["accuracy_ci"] else fold["reason"],
        percent(baselines["majority"]["accuracy"]), percent(baselines["momentum"]["accuracy"]),
    )  # fmt: skip


def _span(part: Mapping[str, Any]) -> str:
    first, last = (moment(parse_iso(part[name])) for name in ("start", "end"))
    return f"{first} … {last}"


def _interval(bounds: list[float] | None) -> str:
    return "–" if bounds is None else f"[{percent(bounds[0])}, {percent(bounds[1])}]"
