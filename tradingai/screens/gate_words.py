"""The gates screen in words: which model and coin is looked at, its verdict, and the models beside it."""

from __future__ import annotations

from tradingai.engine.core.report import EvaluationReport
from tradingai.engine.core.symbols import ENSEMBLE, model_kind
from tradingai.engine.queries.model_snapshot import EvaluationView
from tradingai.engine.queries.snapshot import ConsoleSnapshot, JobView
from tradingai.screens.view import Extent, headline, opening
from tradingai.widgets import numbers
from tradingai.widgets.line import Line, Span, crop, pad


def chosen(snapshot: ConsoleSnapshot, wanted: str) -> EvaluationView | None:
    """The model looked at: the chosen one, else one that is refused, else the first with a report, else
    the first.
    """
    by_model = {item.model: item for item in snapshot.evaluations}
    model = wanted.partition(" ")[0]
    if model in by_model:
        return by_model[model]
    running = snapshot.active_job("evaluate")
    if running is not None and running.target in by_model:
        return by_model[running.target]
    refused = [item for item in snapshot.evaluations if item.report and not item.report.passed]
    reported = [item for item in snapshot.evaluations if item.report]
    return next(iter(refused or reported or snapshot.evaluations), None)


def subjects(item: EvaluationView) -> tuple[str, ...]:
    """What there is to look at: the model, or each of its coins (``transformer BTC-USD``)."""
    if item.report is None or len(item.report.coins) == 1:
        return (item.model,)
    return tuple(f"{item.model} {symbol}" for symbol in item.report.symbols)


def coin_report(item: EvaluationView, wanted: str) -> EvaluationReport | None:
    """The report of the coin that is looked at: the chosen one, else one that is refused, else the first."""
    if item.report is None:
        return None
    _, _, symbol = wanted.partition(" ")
    if symbol in item.report.symbols:
        return item.report.coin(symbol)
    refused = (report for report in item.report.coins if not report.passed)
    return next(refused, item.report.coins[0])


def sentence(
    item: EvaluationView | None, report: EvaluationReport | None, job: JobView | None, last: JobView | None
) -> Line:
    """May it go live?"""
    if item is None:
        return headline("There is no model yet that could be evaluated.")
    if job is not None:
        what = (
            f"leakage battery {numbers.count(job.done)} of {numbers.count(job.total)}"
            if job.unit == "checks"
            else "measuring"
        )
        return headline(f"{item.model} is being evaluated: {what}.")
    if last is not None and last.state in {"failed", "interrupted"}:
        return headline(f"{opening(last.title)}: {last.message}", alarm=True)
    if item.problem is not None:
        return headline(f"{opening(item.problem.message)}.", alarm=True)
    if report is None:
        return headline(f"{item.model} has not been evaluated.")
    return _verdict(item, report)


def _verdict(item: EvaluationView, report: EvaluationReport) -> Line:
    passed = sum(1 for gate in report.gates if gate.passed)
    several = item.report is not None and len(item.report.coins) > 1
    name = f"{item.model} {item.version or report.version}{f' on {report.symbol}' if several else ''}"
    if report.exploratory:
        return headline(
            f"EXPLORATORY: {name} passes {passed} of {len(report.gates)} looser gates.", alarm=True
        )
    if report.passed:
        live = "and is live" if item.version == item.live_version else "and may be promoted"
        if item.report is not None and not item.report.passed:
            return headline(
                f"{item.model} {item.version} passes on {report.symbol}; another coin refuses it."
            )
        if item.missing and item.version != item.live_version:
            return headline(f"{name} passes; not all it is made of is live.")
        return headline(f"{name} passes all {len(report.gates)} gates {live}.")
    return headline(f"{name} is refused: {passed} of {len(report.gates)} gates pass.")


def models_line(snapshot: ConsoleSnapshot, model: str, extent: Extent) -> Line:
    """All models with their verdicts; the selected one underlined."""
    spans: list[Span] = []
    looked_at, _, coin = model.partition(" ")
    for item in snapshot.evaluations:
        if spans:
            spans.append(pad(3 if extent.narrow else 4))
        report = item.report
        mark = (
            Span("○ ", "faint")
            if report is None
            else Span("✓ ", "blue")
            if report.passed
            else Span("✗ ", "orange")
        )
        name = item.model if not extent.narrow else item.model.replace("lstm_", "lstm ").removesuffix("-USD")
        target = ("action", f"model:{item.model}")
        spans += [
            mark._replace(target=target),
            Span(name, "strong+bu" if item.model == looked_at else "muted", target),
        ]
        if coin and item.model == looked_at:
            spans.append(
                Span(f" {coin.removesuffix('-USD') if extent.narrow else coin}", "strong+bu", target)
            )
    return Line(tuple(spans))


def coins_line(item: EvaluationView, report: EvaluationReport | None, extent: Extent) -> Line | None:
    """Every coin of a model of several with its verdict, accuracy and what refuses it; the one looked at
    underlined. None of a model of one coin.
    """
    if item.report is None or report is None or len(item.report.coins) < 2:
        return None
    spans: list[Span] = [pad(2)]
    for coin in item.report.coins:
        if len(spans) > 1:
            spans.append(pad(3))
        failed = ", ".join(gate.id for gate in coin.gates if not gate.passed)
        target = ("action", f"model:{item.model} {coin.symbol}")
        mark = Span("✓ ", "blue", target) if coin.passed else Span("✗ ", "orange", target)
        here = coin.symbol == report.symbol
        spans += [
            mark,
            Span(
                coin.symbol.removesuffix("-USD") if extent.narrow else coin.symbol,
                "strong+bu" if here else "muted",
                target,
            ),
            Span(f" {numbers.percent(coin.accuracy)}", "text" if here else "muted"),
            Span(f" {failed}" if failed else "", "orange"),
        ]
    return Line(crop(tuple(spans), extent.width))


def made_text(snapshot: ConsoleSnapshot, item: EvaluationView) -> str:
    """What evaluating an ensemble would make it of."""
    live = [
        f"{other.model} {other.live_version}"
        for other in snapshot.evaluations
        if other.live_version and other.model != ENSEMBLE
    ]
    kinds = {model_kind(name.partition(" ")[0]) for name in live}
    of = f"of what is live ({', '.join(live)})" if len(kinds) > 1 else "of the newest version of every model"
    return (
        f"The ensemble has not been evaluated. It is made {of}, with a calibrator for each choice of "
        f"models, and counts as attempt {item.next_attempt or 1} on this test data."
    )
