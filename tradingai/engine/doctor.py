"""What is wrong with a home, and what to do about it.

Looks only: makes nothing, locks nothing, repairs nothing.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import MissingError, TradingAIError
from tradingai.engine.core.files import DIRECTORY_MODE, FILE_MODE
from tradingai.engine.core.home import open_home
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import load_settings
from tradingai.engine.registry.verify import verify
from tradingai.engine.store.failures import is_database
from tradingai.engine.store.manifests import list_dataset_manifests, list_feature_manifests
from tradingai.engine.store.read_only import reading

MIN_FREE_GB: Final = 1.0
"""Below this the quick workload's files or a migration's copy may not fit."""
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_SHOWN: Final = 5
_FIRST_POSSIBLE: Final = datetime.fromisoformat("2025-11-10T00:00:00+00:00")
"""No correct clock shows a time before this version was made."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Examination:
    """One thing that was looked at."""

    name: str
    detail: str
    findings: tuple[Finding, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For ``doctor --json``."""
        return {**asdict(self), "ok": not self.findings}


def examine(root: Path, clock: Clock) -> tuple[Examination, ...]:
    """Look at everything; a part that fails is a finding and hides no other."""
    paths = HomePaths(root)
    steps: tuple[tuple[str, Callable[[], Examination]], ...] = (
        ("home", lambda: _home(root, clock)),
        ("settings", lambda: _settings(root)),
        ("disk", lambda: _disk(root)),
        ("permissions", lambda: _permissions(paths)),
        ("database", lambda: _database(paths)),
        ("candles", lambda: _candles(paths)),
        ("features", lambda: _features(paths)),
        ("models", lambda: _models(paths)),
        ("clock", lambda: _clock(paths, clock)),
        ("torch", _torch),
    )
    return tuple(_guarded(name, step) for name, step in steps)


def _guarded(name: str, step: Callable[[], Examination]) -> Examination:
    try:
        return step()
    except TradingAIError as error:
        return Examination(name, "cannot be read", (Finding(error.message, error.remedy),))
    except OSError as error:
        finding = Finding(str(error), "Check the disk and its permissions.")
        return Examination(name, "cannot be read", (finding,))


def _home(root: Path, clock: Clock) -> Examination:
    try:
        open_home(root, clock, read_only=True)
    except MissingError:
        return Examination("home", f"{root} is no home yet; the first command that writes makes it one")
    return Examination("home", str(root))


def _settings(root: Path) -> Examination:
    settings = load_settings(root)
    return Examination("settings", f"all valid, database {settings.database_path(root)}")


def _disk(root: Path) -> Examination:
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    findings: list[Finding] = []
    if free_gb < MIN_FREE_GB:
        message = f"{free_gb:.2f} GB are free at {existing}, the full workload needs about 4 GB"
        findings.append(Finding(message, "Free space on that disk, or choose another --home."))
    if root.exists() and not os.access(root, os.W_OK | os.X_OK):
        findings.append(Finding(f"{root} is not writable", "Give this user write permission there."))
    return Examination("disk", f"{free_gb:.1f} GB free", tuple(findings))


def _permissions(paths: HomePaths) -> Examination:
    """Whatever others may read or write: folders looser than 0700, files looser than 0600."""
    if not paths.marker.exists():
        return Examination("permissions", "nothing there yet")
    loose = [item for item in _own_files(paths) if stat.S_IMODE(item.lstat().st_mode) & 0o077]
    folders = [item for item in loose if item.is_dir()]
    files = [item for item in loose if not item.is_dir()]
    findings = [
        *_loose(folders, "folder", DIRECTORY_MODE, "d"),
        *_loose(files, "file", FILE_MODE, "f"),
    ]
    return Examination("permissions", "folders 0700, files 0600", tuple(findings))


def _loose(items: list[Path], noun: str, mode: int, kind: str) -> Iterator[Finding]:
    if items:
        shown = ", ".join(f"{item} ({stat.S_IMODE(item.lstat().st_mode):04o})" for item in items[:_SHOWN])
        more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
        remedy = (
            f"chmod {mode:o} {items[0]}"
            if len(items) == 1
            else f"find {os.path.commonpath([*items])} -type {kind} -perm /077 -exec chmod {mode:o} {{}} +"
        )
        plural = noun if len(items) == 1 else f"{len(items)} {noun}s"
        yield Finding(f"{plural} open to other users: {shown}{more}", f"Close it: {remedy}")


def _own_files(paths: HomePaths) -> Iterator[Path]:
    """The home's folders with all they hold, and its own files; not what else lies in the same folder."""
    yield paths.root
    with suppress(TradingAIError):
        database = load_settings(paths.root).database_path(paths.root)
        yield from (item for item in database.parent.glob(f"{database.name}*") if item.is_file())
    yield from (item for item in (paths.marker, paths.env_file) if item.exists())
    for folder in (paths.data, paths.models, paths.reports, paths.logs, paths.locks, paths.backups):
        if folder.is_dir():
            yield folder
            yield from (item for item in folder.rglob("*") if not item.is_symlink())


def _database(paths: HomePaths) -> Examination:
    database = load_settings(paths.root).database_path(paths.root)
    if not is_database(database):
        return Examination("database", "none yet")
    with reading(database) as connection:
        answers = [row[0] for row in connection.execute("PRAGMA quick_check(5)")]
        events = connection.execute("SELECT count(*) FROM events").fetchone()[0]
    if answers != ["ok"]:
        message = f"{database} is damaged: {'; '.join(answers)}"
        finding = Finding(message, "`tradingai restore FILE` from a backup.")
        return Examination("database", "damaged", (finding,))
    return Examination("database", f"{database.name} is whole, {events:,} events")


def _candles(paths: HomePaths) -> Examination:
    """Manifests and the files they name; values are verified whenever they are read."""
    manifests = list_dataset_manifests(paths)
    missing = [
        Finding(
            f"{paths.candles / item.symbol / file.name} is missing",
            f"Make the candles again: `tradingai data generate --symbols {item.symbol}`, or import them.",
        )
        for item in manifests
        for file in item.files
        if not (paths.candles / item.symbol / file.name).is_file()
    ]
    detail = ", ".join(f"{item.symbol} {item.rows:,}" for item in manifests) or "none yet"
    return Examination("candles", detail, tuple(missing))


def _features(paths: HomePaths) -> Examination:
    candles = {item.symbol: item.sha256 for item in list_dataset_manifests(paths)}
    findings: list[Finding] = []
    manifests = list_feature_manifests(paths)
    for item in manifests:
        again = f"`tradingai features build --symbols {item.symbol}` builds them again."
        if not (paths.features / item.symbol / item.file).is_file():
            findings.append(Finding(f"the feature matrix of {item.symbol} is missing", again))
        elif candles.get(item.symbol) != item.candles_sha256:
            message = f"the features of {item.symbol} are of other candles than there are"
            findings.append(Finding(message, again))
    detail = ", ".join(item.symbol for item in manifests) or "none yet"
    return Examination("features", detail, tuple(findings))


def _models(paths: HomePaths) -> Examination:
    """The ledger's chain, versions, certificates and links."""
    found = verify(paths)
    findings = [
        Finding(
            f"{item.model or 'links'} {item.version}: {item.detail}",
            "`tradingai models rollback` goes to an intact version, `tradingai restore FILE` to a backup; "
            "links are repaired when the next command that writes starts.",
        )
        for item in found
        if not item.ok
    ]
    live = [f"{model} {entry.version}" for model, entry in read_ledger(paths.ledger).live().items()]
    return Examination("models", f"live: {', '.join(live) or 'none'}", tuple(findings))


def _clock(paths: HomePaths, clock: Clock) -> Examination:
    """The clock against what this home has already seen: time does not go back."""
    now = clock.now()
    seen = [_FIRST_POSSIBLE, *(entry.at for entry in read_ledger(paths.ledger))]
    newest = max(seen)
    if now + CLOCK_TOLERANCE < newest:
        message = f"the clock shows {iso_z(now)}, but {iso_z(newest)} has been seen already"
        finding = Finding(message, "Set the clock, and turn time synchronisation on.")
        return Examination("clock", iso_z(now), (finding,))
    return Examination("clock", f"{iso_z(now.replace(microsecond=0))}, not before anything stored")


def _torch() -> Examination:
    try:
        import torch

        from tradingai.engine.models.device import choose_compute
    except (ImportError, OSError) as error:
        remedy = f"Install it again: {sys.executable} -m pip install --force-reinstall torch"
        return Examination("torch", "does not load", (Finding(f"torch does not load: {error}", remedy),))
    detail = f"{torch.__version__} on {choose_compute().label}, {torch.get_num_threads()} threads by default"
    return Examination("torch", detail)
