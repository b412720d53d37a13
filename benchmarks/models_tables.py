"""The evidence of all kinds of models as Markdown, between its marks in docs/evidence.md."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

BEGIN: Final = "<!-- models:begin -->"
END: Final = "<!-- models:end -->"
COMMAND: Final = "make evidence-models"
KINDS: Final = ("lstm", "transformer", "ppo", "ensemble")

_AGENT_WORDS: Final = (
    "Its greedy policy over the test range, flat at its start, one unit a coin, mean of the coins, after "
    "spread, slippage and commission; basis points a day, Student t over the days. *Joins*: the agent's "
    "rule on the second half of validation, in R a day."
)

Run = dict[str, Any]


def publish(document: Path, found: dict[str, Any]) -> None:
    """Put the tables between their marks. Raises ValueError when the document has none."""
    text = document.read_text()
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    document.write_text(f"{head}{BEGIN}\n{tables(found)}{END}{tail}")


def tables(found: dict[str, Any]) -> str:
    """Everything, as Markdown."""
    runs = sorted(found["runs"], key=lambda run: (run["market"], run["seed"]))
    codes = ", ".join(f"`{code}`" for code in found["codes"])
    parts = [
        f"Made by `{COMMAND}`: {len(runs)} of {found['wanted']} runs; deciding code {codes}.",
        verdicts(found),
        "### Every model on every coin",
        "Per cent of the test bars right, mean over the seeds (lowest … highest).",
        accuracy_table(runs),
        "### The ensemble beside the best single model of each coin",
        "Points, paired by day, 95 %. The ensemble holds its own where the interval does not lie below zero.",
        best_table(runs),
        "### What the agent earned after costs",
        _AGENT_WORDS,
        agent_table(runs),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def verdicts(found: dict[str, Any]) -> str:
    """What is required, and whether it came out."""
    lines = ["| market | required | as required |", "|---|---|---|"]
    for market, demands in (("cycles", _CYCLES), ("null", _NULL)):
        runs = [run for run in found["runs"] if run["market"] == market]
        for words, check in demands if runs else ():
            good = [check(run) for run in runs]
            lines.append(f"| `{market}` | {words} | {sum(good)} of {len(good)} seeds |")
    return "\n".join(lines)


def _passes(run: Run, kind: str) -> bool:
    return all(not row["refused_by"] for row in run["models"] if row["model"] == kind)


def _holds_its_own(run: Run) -> bool:
    return all(
        row["difference_ci"] is not None and row["difference_ci"][1] >= 0 for row in run["beside_best"]
    )


def _nothing_promoted(run: Run) -> bool:
    return all(row["promotion"] not in {"promoted", "live"} for row in run["models"])


def _no_profit(run: Run) -> bool:
    span = run["agent"]["daily_bps_ci"]
    return span is not None and span[0] <= 0


_CYCLES: Final = (
    ("Transformer passes every gate on every coin", lambda run: _passes(run, "transformer")),
    ("ensemble passes every gate on every coin", lambda run: _passes(run, "ensemble")),
    ("ensemble as accurate as the best single model, within the interval", _holds_its_own),
)
_NULL: Final = (
    ("none of LSTM, Transformer, agent and ensemble promoted", _nothing_promoted),
    ("interval of the agent's profit after costs not above zero", _no_profit),
)


def accuracy_table(runs: Sequence[Run]) -> str:
    """Market and coin by kind of model."""
    lines = ["| market | coin | oracle | LSTM | Transformer | agent | ensemble | refused by |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    for market in dict.fromkeys(run["market"] for run in runs):
        rows = [row for run in runs if run["market"] == market for row in run["models"]]
        for symbol in dict.fromkeys(row["symbol"] for row in rows):
            own = [row for row in rows if row["symbol"] == symbol]
            cells = [_span([row["accuracy"] for row in own if _kind(row) == kind]) for kind in KINDS]
            refused = dict.fromkeys(gate for row in own for gate in row["refused_by"])
            oracle = _span([row["oracle"] for row in own if _kind(row) == "lstm"])
            lines.append(
                f"| `{market}` | {symbol.removesuffix('-USD')} | {oracle} | {' | '.join(cells)} "
                f"| {', '.join(refused) or '–'} |"
            )
    return "\n".join(lines)


def best_table(runs: Sequence[Run]) -> str:
    """Every seed and coin."""
    lines = ["| market | seed | coin | best single | its accuracy | ensemble | difference |"]
    lines.append("|---|---|---|---|---|---|---|")
    lines += [
        f"| `{run['market']}` | {run['seed']} | {row['symbol'].removesuffix('-USD')} | {row['best']} "
        f"| {100 * row['best_accuracy']:.1f} | {100 * row['ensemble']:.1f} "
        f"| {_points(row['difference_ci'])} |"
        for run in runs
        for row in run["beside_best"]
    ]
    return "\n".join(lines)


def agent_table(runs: Sequence[Run]) -> str:
    """Every seed."""
    lines = ["| market | seed | bps a day [95 %] | changes a day | joins | with it | without |"]
    lines.append("|---|---|---|---|---|---|---|")
    for run in runs:
        agent, rule = run["agent"], run["agent_joins"]
        span = agent["daily_bps_ci"]
        interval = "–" if span is None else f"[{span[0]:+.1f}, {span[1]:+.1f}]"
        joins = "–" if rule is None else f"{'yes' if rule['joins'] else 'no'}"
        earned = (
            ("–", "–")
            if rule is None
            else (f"{rule['daily_r_with']:+.2f}", f"{rule['daily_r_without']:+.2f}")
        )
        lines.append(
            f"| `{run['market']}` | {run['seed']} | {agent['daily_bps']:+.1f} {interval} "
            f"| {agent['changes_a_day']:.0f} | {joins} | {earned[0]} | {earned[1]} |"
        )
    return "\n".join(lines)


def _kind(row: dict[str, Any]) -> str:
    return str(row["model"]).partition("_")[0]


def _span(values: Sequence[float]) -> str:
    if not values:
        return "–"
    mean = statistics.fmean(values)
    return f"{100 * mean:.1f} ({100 * min(values):.1f} … {100 * max(values):.1f})"


def _points(span: Sequence[float] | None) -> str:
    return "–" if span is None else f"[{100 * span[0]:+.1f}, {100 * span[1]:+.1f}]"
