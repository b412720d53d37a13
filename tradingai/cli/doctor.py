"""``tradingai doctor``: what is wrong, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tradingai.cli.context import JsonFlag, invocation
from tradingai.cli.output import write_json, write_line

if TYPE_CHECKING:
    from tradingai.engine.doctor import Examination

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def doctor(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """What is wrong with this home, and what to do about it.

    Exit 1 when there is a finding; hints are no faults. Looks only: nothing is made, locked or repaired. With
    DATA_PROVIDER=ccxt it asks the exchange for its time.
    """
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.doctor import examine

    found = examine(invocation(ctx).home, RealClock())
    findings = [finding for item in found for finding in item.findings]
    if as_json:
        write_json({"ok": not findings, "checks": [item.as_json() for item in found]})
        return 1 if findings else 0
    for item in found:
        write_line(f"{_sign(item):<7}  {item.name:<12}  {item.detail}")
        for finding in (*item.findings, *item.hints):
            write_line(f"{'':<9}{'':<14}{finding.message}")
            write_line(f"{'':<9}{'':<14}→ {finding.remedy}")
    count = "1 finding." if len(findings) == 1 else f"{len(findings)} findings."
    write_line(count if findings else "Nothing is wrong.")
    return 1 if findings else 0


def _sign(item: Examination) -> str:
    if item.findings:
        return "FINDING"
    return "hint" if item.hints else "ok"
