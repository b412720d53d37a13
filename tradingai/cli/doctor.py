"""``tradingai doctor``: what is wrong, and what to do about it."""

from __future__ import annotations

import typer

from tradingai.cli.context import JsonFlag, invocation
from tradingai.cli.output import write_json, write_line

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def doctor(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """What is wrong with this home, and what to do about it.

    Exit 1 when there is a finding. Looks only: nothing is made, locked or repaired.
    """
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.doctor import examine

    found = examine(invocation(ctx).home, RealClock())
    findings = [finding for item in found for finding in item.findings]
    if as_json:
        write_json({"ok": not findings, "checks": [item.as_json() for item in found]})
        return 1 if findings else 0
    for item in found:
        write_line(f"{'ok     ' if not item.findings else 'FINDING'}  {item.name:<12}  {item.detail}")
        for finding in item.findings:
            write_line(f"{'':<9}{'':<14}{finding.message}")
            write_line(f"{'':<9}{'':<14}→ {finding.remedy}")
    count = "1 finding." if len(findings) == 1 else f"{len(findings)} findings."
    write_line(count if findings else "Nothing is wrong.")
    return 1 if findings else 0
