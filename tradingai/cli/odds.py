"""The odds of a challenge as text: a table, a histogram of days to pass, other risks; 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any, Final

from tradingai.cli.output import count, table, write_line
from tradingai.widgets.numbers import share

WIDTH: Final = 80
BAR: Final = 48
ENDING_WORDS: Final = {
    "passed": "passes",
    "daily": "daily loss limit broken",
    "total": "total loss limit broken",
    "total_stop": "halted at the total stop for good",
    "undecided": "undecided",
}


def interval(bounds: tuple[float, float] | list[float]) -> str:
    """``60.3–62.3 %``."""
    low, high = bounds
    return f"{100 * low:.1f}–{100 * high:.1f} %"


def show_odds(document: Mapping[str, Any]) -> None:
    """Everything `ftmo simulate` says to a person."""
    source = document["source"]
    write_line(
        f"{document['account']} challenge, {document['initial_balance']:,.0f} $, "
        f"{document['risk_pct']:g} % risk a trade; rules as of {document['rules_as_of']}"
    )
    write_line(
        f"Drawn from {source['days']} days ({source['first_day']} to {source['last_day']}) with "
        f"{count(source['trades'])} trades,"
    )
    write_line(f"mean {source['mean_r']:+.3f} R net, of run {source['run']}")
    write_line(f"Trades {source['sha256'][:16]}; costs: {source['costs']}; seed {document['seed']}")
    write_line()
    _show_outcomes(document)
    _show_days(document)
    write_line()
    _show_risks(document)
    for warning in document["warnings"]:
        _paragraph(f"WARNING {warning}.")
    write_line()
    write_line("Assumed:")
    for text in document["assumptions"]:
        write_line(textwrap.fill(text, WIDTH, initial_indent="- ", subsequent_indent="  "))
    checked = document["checked"]
    if checked:
        _paragraph(f"{checked} of these attempts were played again event by event: they ended the same.")


def _paragraph(text: str) -> None:
    write_line()
    write_line(textwrap.fill(text, WIDTH))


def _show_outcomes(document: Mapping[str, Any]) -> None:
    ends = document["endings"]
    words = {**ENDING_WORDS, "undecided": f"undecided at {document['max_days']} days"}
    write_line(
        table(
            (f"of {count(document['attempts'])} attempts", "share"),
            [(words[name], share(part)) for name, part in ends.items()],
            right=("share",),
        )
    )
    if document["stuck"] > 0:
        write_line(
            f"{share(document['stuck'])} of all are undecided because the total stop refuses every entry"
        )
    write_line()
    write_line(f"Pass rate {share(document['pass_rate'])}")
    write_line(f"  Monte-Carlo 95 % {interval(document['monte_carlo']):>16}  finitely many attempts")
    write_line(f"  sampling 95 %    {interval(document['sampling']):>16}  finitely many days of history")


def _show_days(document: Mapping[str, Any]) -> None:
    days, rule = document["days_to_pass"], document["best_day"]
    if days is None:
        write_line("Days to pass: no attempt passed")
        return
    write_line(f"Days to pass: median {days['median']}, p10 {days['p10']}, p90 {days['p90']}")
    if rule is not None:
        longer = "" if rule["median_days"] is None else f", by {rule['median_days']} days in the median"
        write_line(f"The best-day rule alone delayed {share(rule['delayed'])} of the passes{longer}")
    write_line()
    write_line("days to pass   attempts")
    most = max(item["attempts"] for item in document["histogram"])
    for item in document["histogram"]:
        label = f"{item['from']:>4} – {item['to']:<4}" if item["from"] < item["to"] else f"{item['from']:>4}"
        bar = "█" * round(BAR * item["attempts"] / most)
        write_line(f"{label:<12} {count(item['attempts']):>10}  {bar}".rstrip())


def _show_risks(document: Mapping[str, Any]) -> None:
    rows = [
        (
            f"{row['risk_pct']:g} %{' *' if row['risk_pct'] == document['risk_pct'] else ''}",
            share(row["pass_rate"]),
            interval(row["monte_carlo"]),
            share(row["endings"]["daily"]),
            share(row["endings"]["total"] + row["endings"]["total_stop"]),
            share(row["endings"]["undecided"]),
            "–" if row["median_days"] is None else count(row["median_days"]),
        )
        for row in document["sensitivity"]
    ]
    headers = ("risk", "passes", "Monte-Carlo", "daily", "total", "undecided", "days")
    write_line(table(headers, rows, right=headers[1:]))
    others = [row["attempts"] for row in document["sensitivity"]]
    write_line(f"{count(min(others))} attempts each, * as asked; total: limit broken or halted at its stop")
