"""What every rehearsal works with, and what it gives back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.queries.checklist_views import ItemId
from tradingai.rehearsals.copies import isolated_settings, make_copy

HOMES: Final = "homes"
"""Folder of the isolated homes, below the rehearsal's own."""
LOWEST_THRESHOLD: Final = 0.5
"""A confidence is at least this: with it every scored decision reaches the rules that are rehearsed."""


class Copied(NamedTuple):
    """An isolated home and the settings that hold in it."""

    paths: HomePaths
    settings: Settings


@dataclass(slots=True)
class Finding:
    """What a rehearsal found. It passes when nothing failed."""

    failures: list[str] = field(default_factory=list)
    """What did not hold, in sentences."""
    steps: list[str] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    not_rehearsed: list[str] = field(default_factory=list)
    summary: str = ""
    """In a line, when it passed."""
    remedy: str = ""
    look: str = ""
    """Arguments of ``tradingai --home COPY`` that look into the isolated home."""

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return not self.failures

    def expect(self, holds: bool, failure: str) -> None:
        """Write ``failure`` down unless it holds."""
        if not holds:
            self.failures.append(failure)


@dataclass(frozen=True, slots=True)
class Stage:
    """One rehearsal's place: the live home, which it only reads, and where its own may stand."""

    item: ItemId
    live: HomePaths
    settings: Settings
    """The live home's, secrets included; those of a copy have none."""
    clock: Clock
    folder: Path
    """Where this checklist's evidence is kept."""
    say: Callable[[str], None]
    """Tells the operator how far it is."""
    environment: Mapping[str, str]
    """For child processes: no setting of the live home is in it."""

    @property
    def home(self) -> Path:
        """Where this item's isolated home stands."""
        return self.folder / HOMES / self.item

    def copy(self) -> Copied:
        """Make the isolated home. Raises MissingError without promoted models or candles."""
        shutil.rmtree(self.home, ignore_errors=True)
        settings = isolated_settings(self.settings)
        return Copied(make_copy(self.live, self.home, settings, self.clock), settings)
