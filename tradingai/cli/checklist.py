"""``tradingai observe checklist``: what must work before real money, rehearsed."""

from __future__ import annotations

import asyncio
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from tradingai.cli.context import Invocation, JsonFlag, writing
from tradingai.cli.output import duration, write_json, write_line, write_note

if TYPE_CHECKING:
    from tradingai.engine.queries.checklist_views import ChecklistItem, ChecklistView

WIDTH = 80


def checklist(
    ctx: typer.Context,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="ITEM", help="Only this item; may be given several times."),
    ] = None,
    as_json: JsonFlag = False,
) -> int:
    """Rehearse what must work before real money; exit 3 unless everything does.

    Items: rollback, kill-switch, rate-limiter, guard, bot, restart, costs. Each is rehearsed on an isolated
    copy of the home, also beside a running engine; the live home is only read, and compared afterwards.
    Evidence is kept as JSON and Markdown under reports/checklist, with the copies, to be looked at again.
    """
    from tradingai.rehearsals.checklist import chosen_items

    items = chosen_items(only or [])
    view = asyncio.run(_rehearse(writing(ctx), items))
    if as_json:
        write_json(view.as_json())
    else:
        show(view)
    return 0 if view.passed else 3


async def _rehearse(call: Invocation, items: tuple[str, ...]) -> ChecklistView:
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.core.settings import load_settings
    from tradingai.rehearsals.checklist import chosen_items, rehearse

    clock = RealClock()
    settings = load_settings(call.home)
    paths = open_home(call.home, clock, read_only=True).paths

    def say(item: str, text: str) -> None:
        write_note(f"{clock.now():%H:%M:%S}  {item}: {text}")

    def told(item: ChecklistItem) -> None:
        say(item.id, f"{'passed' if item.passed else 'FAILED'} ({item.seconds:.1f} s)")

    return await rehearse(paths, settings, clock, chosen_items(items), say, told)


def show(view: ChecklistView) -> None:
    """The verdict, each item with what was found, and where the evidence stands."""
    from tradingai.engine.queries.checklist_views import MARKDOWN
    from tradingai.rehearsals.evidence import live_words, verdict

    for item in view.items:
        write_line(f"{'pass' if item.passed else 'FAIL'}  {item.title} ({duration(item.seconds)})")
        _wrapped(item.summary)
        if item.remedy:
            _wrapped(f"→ {item.remedy}")
        if not item.passed:
            _wrapped(f"again: {item.command}")
    write_line()
    _wrapped(live_words(view), indent="")
    write_line(f"Evidence: {view.folder}/{MARKDOWN}")
    _wrapped(verdict(view), indent="")


def _wrapped(text: str, indent: str = "      ") -> None:
    lines = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    for line in lines:
        write_line(line)
