"""The home itself: its files, its database and what stands in it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import MissingError, TradingAIError
from tradingai.engine.core.files import DIRECTORY_MODE, FILE_MODE
from tradingai.engine.core.home import open_home
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import load_settings
from tradingai.engine.doctor.examination import Examination, Finding
from tradingai.engine.store.failures import is_database
from tradingai.engine.store.manifests import list_dataset_manifests, list_feature_manifests
from tradingai.engine.store.read_only import reading

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
_SHOWN: Final = 5
_FIRST_POSSIBLE: Final = datetime.fromisoformat("2025-11-10T00:00:00+00:00")
"""No correct clock shows a time before this version was made."""


def examine_home(root: Path, clock: Clock) -> Examination:
    """Whether there is one here, of this version's schema."""
    try:
        open_home(root, clock, read_only=True)
    except MissingError:
        return Examination("home", f"{root} is no home yet; the first command that writes makes it one")
    return Examination("home", str(root))


def examine_settings(root: Path) -> Examination:
    """Whether every setting is valid."""
    settings = load_settings(root)
    return Examination("settings", f"all valid, database {settings.database_path(root)}")


def examine_permissions(paths: HomePaths) -> Examination:
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


def examine_database(paths: HomePaths) -> Examination:
    """Whether it is whole."""
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


def examine_candles(paths: HomePaths) -> Examination:
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


def examine_features(paths: HomePaths) -> Examination:
    """Manifests, the files they name, and whether they are of the candles there are."""
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


def examine_clock(paths: HomePaths, clock: Clock) -> Examination:
    """The clock against what this home has already seen: time does not go back."""
    now = clock.now()
    seen = [_FIRST_POSSIBLE, *(entry.at for entry in read_ledger(paths.ledger))]
    newest = max(seen)
    if now + CLOCK_TOLERANCE < newest:
        message = f"the clock shows {iso_z(now)}, but {iso_z(newest)} has been seen already"
        finding = Finding(message, "Set the clock, and turn time synchronisation on.")
        return Examination("clock", iso_z(now), (finding,))
    return Examination("clock", f"{iso_z(now.replace(microsecond=0))}, not before anything stored")


def examine_torch() -> Examination:
    """Whether torch loads, and on what it runs."""
    try:
        import torch

        from tradingai.engine.models.device import choose_compute
    except (ImportError, OSError) as error:
        remedy = f"Install it again: {sys.executable} -m pip install --force-reinstall torch"
        return Examination("torch", "does not load", (Finding(f"torch does not load: {error}", remedy),))
    detail = f"{torch.__version__} on {choose_compute().label}, {torch.get_num_threads()} threads by default"
    return Examination("torch", detail)
