"""The checklist before real money: each item rehearsed on an isolated copy, its evidence kept."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.code import code_sha256
from tradingai.engine.core.errors import MissingError, TradingAIError, UsageError
from tradingai.engine.core.files import (
    DIRECTORY_MODE,
    make_directory,
    storage_error,
    write_atomic,
    write_json,
)
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.queries.checklist_views import (
    DOCUMENT,
    ITEMS,
    MARKDOWN,
    ChecklistItem,
    ChecklistView,
    ItemId,
)
from tradingai.rehearsals.copies import NO_MODEL, PIPELINE, LiveWatch, clean_environment
from tradingai.rehearsals.evidence import markdown
from tradingai.rehearsals.stage import Finding, Stage

Say = Callable[[str, str], None]
"""Tells the operator how far an item is: its id, and what is going on."""
Told = Callable[[ChecklistItem], None]
"""Hears of every item that ended."""
_MODULES: Final[Mapping[ItemId, str]] = {
    "rollback": "rollback",
    "kill-switch": "kill",
    "rate-limiter": "rates",
    "guard": "guard",
    "bot": "bot",
    "restart": "restart",
    "costs": "costs",
}
"""Where each item is rehearsed, imported when it is its turn."""


def chosen_items(only: Sequence[str]) -> tuple[ItemId, ...]:
    """The items to rehearse, in their order; all when none is named. Raises UsageError for another name."""
    unknown = [name for name in only if name not in ITEMS]
    if unknown:
        raise UsageError(
            f"{unknown[0]!r} is no item of the checklist", remedy=f"Items are {', '.join(ITEMS)}."
        )
    return tuple(name for name in ITEMS if not only or name in only)


async def rehearse(
    live: HomePaths, settings: Settings, clock: Clock, items: Sequence[ItemId], say: Say, told: Told
) -> ChecklistView:
    """Rehearse ``items`` one after another and keep their evidence below ``reports/checklist``.

    An item that cannot be rehearsed does not pass and says why; the others go on. Raises MissingError when no
    model is promoted, TradingAIError when nothing can be written.
    """
    if not read_ledger(live.ledger).live():
        raise MissingError(NO_MODEL, remedy=PIPELINE)
    started = clock.now()
    folder = _folder(live, started)
    watch = LiveWatch(live, settings.database_path(live.root))
    view = ChecklistView(
        str(folder.relative_to(live.root)), started, None, tuple(items), code=code_sha256()[:12]
    )
    _keep(folder, view)
    with clean_environment() as environment:
        for name in items:
            stage = Stage(name, live, settings, clock, folder, partial(say, name), environment)
            stage.say("copying the home" if name != "costs" else "reading the measurement")
            item = await _one(stage)
            view = replace(view, items=(*view.items, item))
            _keep(folder, view)
            told(item)
    view = replace(view, live_state=watch.compare(), ended_at=clock.now())
    _keep(folder, view)
    return view


async def _one(stage: Stage) -> ChecklistItem:
    began = stage.clock.monotonic()
    finding = Finding()
    try:
        module = import_module(f"tradingai.rehearsals.{_MODULES[stage.item]}")
        act = cast("Callable[[Stage], Awaitable[Finding]]", module.rehearse)
        finding = await act(stage)
    except TradingAIError as error:
        finding = Finding(failures=[error.message], remedy=error.remedy)
    except Exception as error:  # noqa: BLE001 - an item's boundary: what breaks one does not hide the others
        finding = Finding(failures=[f"unexpected {type(error).__name__}: {error}"])
    return _item(stage, finding, stage.clock.monotonic() - began)


def _item(stage: Stage, finding: Finding, seconds: float) -> ChecklistItem:
    home = str(stage.home.relative_to(stage.live.root)) if stage.home.is_dir() else ""
    look = f"tradingai --home {shlex.quote(str(stage.home))} {finding.look}" if home and finding.look else ""
    return ChecklistItem(
        id=stage.item,
        title=ITEMS[stage.item],
        passed=finding.passed,
        summary=finding.summary if finding.passed else "; ".join(finding.failures),
        steps=tuple(finding.steps),
        measured=finding.measured,
        not_rehearsed=tuple(finding.not_rehearsed),
        remedy="" if finding.passed else finding.remedy,
        command=f"tradingai observe checklist --only {stage.item}",
        home=home,
        look=look,
        seconds=seconds,
    )


def _folder(live: HomePaths, started: datetime) -> Path:
    """A new folder named by the time; a second one of the same second waits its turn in the name."""
    name = f"{started:%Y-%m-%dT%H-%M-%SZ}"
    try:
        make_directory(live.checklists)
        for number in range(1, 100):
            folder = live.checklists / (name if number == 1 else f"{name}-{number}")
            with suppress(FileExistsError):
                folder.mkdir(mode=DIRECTORY_MODE)
                return folder
    except OSError as error:
        raise storage_error(error, live.checklists) from error
    raise TradingAIError(f"{live.checklists / name} is taken", remedy="Call it again in a second.")


def _keep(folder: Path, view: ChecklistView) -> None:
    write_json(folder / DOCUMENT, view.as_json())
    write_atomic(folder / MARKDOWN, lambda stream: stream.write(markdown(view).encode()))
