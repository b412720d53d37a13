"""An evaluation report as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tradingai.cli.output import count, moment, percent, table, write_line
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.report import EvaluationReport, GateResult, Interval
from tradingai.engine.core.symbols import model_coin, model_kind

if TYPE_CHECKING:
    from tradingai.engine.core.paths import HomePaths
    from tradingai.engine.queries.model_snapshot import AgentView, EnsembleView


def show_model(report: ModelReport, made: EnsembleView | None = None) -> None:
    """Everything an operator judges one version by: coin by coin, then the verdict over all.

    ``made`` says how an ensemble is made.
    """
    for number, coin in enumerate(report.coins):
        if number:
            write_line()
        show_report(coin)
    for model, version, sha256 in report.components:
        write_line(f"Made of {model} {version} ({sha256[:8]}){_weight(model, made)}")
    if made is not None and made.agent is not None:
        show_agent(made.agent)
    if len(report.coins) > 1:
        write_line()
        verdict = "PASSED on every coin" if report.passed else f"REFUSED by {report.refused}"
        write_line(f"{report.model} {report.version}: {verdict}")


def how_made(paths: HomePaths, report: ModelReport) -> EnsembleView | None:
    """How a stored version of the ensemble is made; None of another model."""
    from tradingai.engine.core.settings import load_settings
    from tradingai.engine.core.symbols import ENSEMBLE
    from tradingai.engine.queries.ensemble_views import EnsembleRules
    from tradingai.engine.runtime.desk_facts import HomeDesks

    if report.model != ENSEMBLE:
        return None
    return EnsembleRules(paths).view(report.version, HomeDesks(load_settings(paths.root)))


def _weight(model: str, made: EnsembleView | None) -> str:
    """``, weight 0.50``: a component's share on its coin, of a model of several on the first."""
    if made is None:
        return ""
    coin = model_coin(model) or next(iter(made.shares), "")
    share = made.shares.get(coin, {}).get(model_kind(model))
    return ", takes no part" if share is None else f", weight {share:.2f}"


def show_agent(agent: AgentView) -> None:
    """The ensemble with the agent beside the one without, over the second half of validation."""
    difference = f"no interval from {agent.days} days"
    if agent.difference is not None:
        low, high = agent.difference
        difference = (
            f"{100 * (1 - agent.alpha):g} % interval [{low:+.2f}, {high:+.2f}] over {agent.days} days"
        )
    verdict = "joins" if agent.joins else f"does not join: {agent.reason}"
    write_line(f"Agent {verdict}")
    write_line(
        f"  {agent.daily_r_with:+.2f} R a day with it, {agent.daily_r_without:+.2f} R without; "
        f"difference: {difference}"
    )


def show_report(report: EvaluationReport) -> None:
    """Everything an operator judges one coin of a model by."""
    origin = (
        f"synthetic market {report.market}"
        if report.synthetic
        else f"real candles, {report.inputs.get('provider', 'unknown provider')}"
    )
    write_line(f"{report.model} {report.version} on {report.symbol}, {origin}")
    write_line(
        f"Test range {moment(report.start)} to {moment(report.end)}: {count(report.n)} labelled bars "
        f"on {report.days} days; attempt {report.attempt} on this data"
    )
    write_line(f"Accuracy {accuracy(report)}; log loss {number(report.log_loss)}, "
               f"Brier {number(report.brier)}, ECE {percent(report.ece)}")  # fmt: skip
    write_line(oracle(report))
    write_line()
    show_baselines(report)
    show_tiers(report)
    show_backtest(report)
    show_gates(report.gates)
    verdict = "PASSED" if report.passed else "REFUSED"
    write_line(f"Verdict: {verdict}" + (" (EXPLORATORY: cannot be promoted)" if report.exploratory else ""))


def show_baselines(report: EvaluationReport) -> None:
    """The naive rules on the same bars."""
    rows = [
        (item.name.replace("_", " "), percent(item.accuracy), points(item.difference),
         interval(item.interval, points))
        for item in report.baselines
    ]  # fmt: skip
    headers = ("baseline", "accuracy", "model is better by", f"{100 * (1 - report.alpha):.4g} % interval")
    write_line(table(headers, rows, right=headers[1:3]))
    write_line()


def show_tiers(report: EvaluationReport) -> None:
    """Confidence against hits."""
    rows = [
        (f"{item.name} [{item.lo:.2f}, {item.hi:.2f})", count(item.n), count(item.non_overlapping),
         percent(item.confidence), percent(item.hit_rate), points(item.gap),
         "yes" if item.counts else "too few")
        for item in report.tiers
    ]  # fmt: skip
    headers = ("tier", "bars", "apart", "confidence", "hits", "gap", "counts")
    write_line(table(headers, rows, right=headers[1:6]))
    write_line(f"Tier MAE {percent(report.tier_mae)}")
    write_line()


def show_backtest(report: EvaluationReport) -> None:
    """The test range through the decision code of the live loop."""
    from tradingai.cli.replay_report import show_account

    traded = report.backtest
    if traded is None:
        write_line(f"Backtest: {report.backtest_reason}")
    else:
        write_line(
            f"Backtest, fresh account: {count(traded.scans)} scans every {traded.interval_s} s, "
            f"{count(traded.signals)} signals, costs from {traded.costs}"
        )
        show_account(traded.as_json())
    write_line()


def show_gates(gates: Sequence[GateResult]) -> None:
    """Every gate: value, threshold, what it looked at, and what would have to change."""
    for gate in gates:
        verdict = "passed " if gate.passed else "REFUSED"
        write_line(f"{verdict}  {gate.id:<12}  {gate.detail}")
        if gate.to_pass:
            write_line(f"{'':<9}{'':<12}  → {gate.to_pass}")


def accuracy(report: EvaluationReport) -> str:
    """``75.1 % [74.2 %, 76.0 %]``."""
    return f"{percent(report.accuracy)} {interval(report.accuracy_ci, percent)}"


def oracle(report: EvaluationReport) -> str:
    """What there was to learn."""
    if report.oracle is None:
        return "Oracle: none, nobody knows what there was to learn in a real market"
    return f"Oracle (what there was to learn): {oracle_share(report)} of {count(report.oracle.n)} bars"


def oracle_share(report: EvaluationReport) -> str:
    """How often the market's own expectation was right."""
    return percent(report.oracle.accuracy if report.oracle else None)


def gate_condition(gates: Sequence[GateResult]) -> str:
    """What passes; the same gate of several models may have looked at different measures."""
    measures = " or ".join(dict.fromkeys(gate.measure for gate in gates))
    return f"{measures} {gates[0].comparison} {gate_value(gates[0], gates[0].threshold)}"


def gate_cell(gate: GateResult) -> str:
    """``passed 71.8 %``."""
    return f"{'passed' if gate.passed else 'REFUSED'} {gate_value(gate, gate.value)}"


def gate_value(gate: GateResult, value: float | None) -> str:
    """A gate's value or threshold in its own unit."""
    if value is None:
        return "–"
    return percent(value) if gate.unit == "fraction" else f"{value:,.0f}"


def interval(item: Interval, text: Callable[[float], str]) -> str:
    """``[lo, hi]`` in the form of ``text``, or why there is none."""
    if item.lo is None or item.hi is None:
        return f"(no interval: {item.reason})"
    return f"[{text(item.lo)}, {text(item.hi)}]"


def points(value: float | None) -> str:
    """A difference of fractions in percentage points."""
    return "–" if value is None else f"{100 * value:+.1f} pt"


def number(value: float | None) -> str:
    """Four digits after the point."""
    return "–" if value is None else f"{value:.4f}"
