"""The checklist before real money as it was last rehearsed: items with their evidence, and where they stand.

``reports/checklist/<UTC time>/checklist.json`` holds one; it is written after every item, so that one that
was killed says so (``complete`` false) instead of passing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.core.files import read_json
from tradingai.engine.core.jsonio import parse_iso, plain
from tradingai.engine.core.paths import HomePaths

ItemId = Literal["rollback", "kill-switch", "rate-limiter", "guard", "bot", "restart", "costs"]
ITEMS: Final[Mapping[ItemId, str]] = {
    "rollback": "rollback and back again",
    "kill-switch": "kill switch from each surface",
    "rate-limiter": "rate limiter",
    "guard": "guard breach",
    "bot": "bot answers within 5 s",
    "restart": "restart after a kill",
    "costs": "execution costs measured and recent",
}
"""What has to work before real money, in the order in which it is rehearsed."""
DOCUMENT: Final = "checklist.json"
MARKDOWN: Final = "checklist.md"
_REMEDY: Final = "Rehearse again: `tradingai observe checklist`."


@dataclass(frozen=True, slots=True)
class ChecklistItem:
    """One item with its evidence."""

    id: ItemId
    title: str
    passed: bool
    summary: str
    """What was found, in a line."""
    steps: tuple[str, ...] = ()
    """What was done, in order."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    """Numbers by name; units are in the names."""
    not_rehearsed: tuple[str, ...] = ()
    """What this item says nothing about."""
    remedy: str = ""
    """What to do about it where it did not pass."""
    command: str = ""
    """Rehearses this item again."""
    home: str = ""
    """The isolated home it was rehearsed in, relative to this one; it is kept."""
    look: str = ""
    """A command that looks into that home."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class LiveState:
    """Whether the home that was rehearsed for is what it was before."""

    unchanged: bool
    compared: tuple[str, ...]
    """What was hashed before and after."""
    changed: tuple[str, ...] = ()
    left_out: str = ""
    """What was not compared, and why."""


@dataclass(frozen=True, slots=True)
class ChecklistView:
    """One rehearsal of the checklist, or of some of its items."""

    folder: str
    """Relative to the home."""
    started_at: datetime
    ended_at: datetime | None
    """None: it was cut off."""
    asked: tuple[str, ...]
    """Which items were to be rehearsed."""
    items: tuple[ChecklistItem, ...] = ()
    live_state: LiveState | None = None
    code: str = ""
    """Version of the code."""

    @property
    def complete(self) -> bool:
        """Whether it came to its end."""
        return self.ended_at is not None

    @property
    def whole(self) -> bool:
        """Whether every item was asked for."""
        return set(self.asked) == set(ITEMS)

    @property
    def passed(self) -> bool:
        """Whether it came to its end, every item it was asked for passed, and the live state is as before."""
        done = {item.id for item in self.items if item.passed}
        return (
            self.complete and done == set(self.asked) and bool(self.live_state and self.live_state.unchanged)
        )

    def as_json(self) -> dict[str, Any]:
        """The document of ``observe checklist --json``."""
        document: dict[str, Any] = plain(asdict(self))
        return {**document, "complete": self.complete, "whole": self.whole, "passed": self.passed}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ChecklistView:
        """The inverse of :meth:`as_json`. Raises KeyError, TypeError or ValueError for anything else."""
        live = document["live_state"]
        return cls(
            folder=str(document["folder"]),
            started_at=parse_iso(document["started_at"]),
            ended_at=None if document["ended_at"] is None else parse_iso(document["ended_at"]),
            asked=tuple(document["asked"]),
            items=tuple(_item(item) for item in document["items"]),
            live_state=None if live is None else _live_state(live),
            code=str(document["code"]),
        )


def newest_checklist(paths: HomePaths) -> ChecklistView | None:
    """The newest rehearsal; None where there is none. Raises ArtifactError when it cannot be read."""
    found = sorted(paths.checklists.glob(f"*/{DOCUMENT}"))
    return read_checklist(found[-1].parent) if found else None


def read_checklist(folder: Path) -> ChecklistView:
    """The rehearsal in one folder. Raises ArtifactError when it cannot be read."""
    path = folder / DOCUMENT
    try:
        return ChecklistView.from_json(read_json(path))
    except (KeyError, TypeError, ValueError, FileNotFoundError) as error:
        raise ArtifactError(f"{path} is no checklist ({error})", remedy=_REMEDY) from error


def _item(document: Mapping[str, Any]) -> ChecklistItem:
    listed = {name: tuple(document[name]) for name in ("steps", "not_rehearsed")}
    return ChecklistItem(**{**document, **listed})


def _live_state(document: Mapping[str, Any]) -> LiveState:
    listed = {name: tuple(document[name]) for name in ("compared", "changed")}
    return LiveState(**{**document, **listed})
