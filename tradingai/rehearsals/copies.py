"""Isolated homes: what a rehearsal needs of a home, with a fresh database and without any secret.

Candle files are hard-linked where the file system can: their names carry their values' hash, and nothing ever
writes into one. Everything else is copied.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.files import FILE_MODE, make_directory, storage_error
from tradingai.engine.core.home import open_home
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.locks import seen_held
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings, env_text, settings_from_worker
from tradingai.engine.queries.checklist_views import LiveState
from tradingai.engine.store.execution_metrics import NAME as EXECUTION_METRICS
from tradingai.engine.store.manifests import MANIFEST_NAME

NO_MODEL: Final = "no model is promoted: there is nothing to rehearse with"
PIPELINE: Final = "`tradingai pipeline --workload quick` trains, evaluates and promotes."
_BLOCK: Final = 1 << 20
_OFF: Final = {
    "db_url": "sqlite:///tradingai.db",
    "kill_switch": False,
    "telegram_chat_id": None,
    "telegram_allowed_chats": (),
    "telegram_allowed_users": (),
    "metrics_port": 0,
    "cloudwatch_emf": False,
}
"""Settings through which a copy could reach the live home, its chat or its ports."""
_SUPERVISION: Final = ("TRADINGAI_HOME", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


def isolated_settings(settings: Settings) -> Settings:
    """The same numbers to decide by, with nothing that leads out of an isolated home."""
    return settings_from_worker({**settings.for_worker(), **_OFF})


def make_copy(live: HomePaths, root: Path, settings: Settings, clock: Clock) -> HomePaths:
    """An isolated home at ``root`` with the candles and promoted models of ``live``, and ``settings``.

    Raises MissingError without promoted models or candles, TradingAIError when it cannot be written.
    """
    ledger = read_ledger(live.ledger)
    if not ledger.live():
        raise MissingError(NO_MODEL, remedy=PIPELINE)
    if not any(live.candles.glob(f"*/{MANIFEST_NAME}")):
        raise MissingError("there are no candles to scan", remedy=PIPELINE)
    paths = open_home(root, clock, create=True).paths
    try:
        _take_candles(live, paths)
        _copy_file(live.ledger, paths.ledger)
        for entry in {(one.model, one.version) for one in ledger.entries if one.kind == "promoted"}:
            _copy_folder(live.versions.joinpath(*entry), paths.versions.joinpath(*entry))
        if (live.data / EXECUTION_METRICS).exists():
            _copy_file(live.data / EXECUTION_METRICS, paths.data / EXECUTION_METRICS)
        paths.env_file.write_text(env_text(settings), encoding="utf-8")
        paths.env_file.chmod(FILE_MODE)
    except OSError as error:
        raise storage_error(error, root) from error
    return paths


def _take_candles(live: HomePaths, paths: HomePaths) -> None:
    for source in sorted(live.candles.glob("*/*")):
        target = paths.candles / source.relative_to(live.candles)
        make_directory(target.parent)
        if source.name != MANIFEST_NAME and source.is_file():
            _link(source, target)
    for manifest in sorted(live.candles.glob(f"*/{MANIFEST_NAME}")):
        _copy_file(manifest, paths.candles / manifest.relative_to(live.candles))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        _copy_file(source, target)


def _copy_folder(source: Path, target: Path) -> None:
    make_directory(target.parent)
    shutil.copytree(source, target)


def _copy_file(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(FILE_MODE)


# -- the environment


@contextmanager
def clean_environment() -> Iterator[dict[str, str]]:
    """Take every setting out of this process's environment, so that a copy's ``.env`` alone holds.

    Child processes that are started meanwhile inherit none either. Yields what is left.
    """
    names = {*(name.upper() for name in Settings.model_fields), *_SUPERVISION}
    taken = {name: value for name, value in os.environ.items() if name.upper() in names}
    for name in taken:
        del os.environ[name]
    try:
        yield dict(os.environ)
    finally:
        os.environ.update(taken)


# -- the live state


class LiveWatch:
    """Hashes of the live home from before the first rehearsal, to be compared after the last.

    A scan loop that runs there goes on writing its own rows: then what it writes is left out.
    """

    def __init__(self, live: HomePaths, database: Path) -> None:
        self._live = live
        self._database = database
        self._engine = self._engine_runs()
        self._before = self._hashes()

    def compare(self) -> LiveState:
        """What changed since."""
        busy = self._engine or self._engine_runs()
        before, after = self._before, self._hashes()
        theirs = {name for name in {*before, *after} if busy and self._is_engines(name)}
        changed = sorted(name for name in {*before, *after} - theirs if before.get(name) != after.get(name))
        left_out = "the database and the candles, which the running engine writes" if busy else ""
        return LiveState(not changed, tuple(sorted({*before} - theirs)), tuple(changed), left_out)

    def _engine_runs(self) -> bool:
        return seen_held(self._live.locks / "engine")

    def _is_engines(self, name: str) -> bool:
        return name.startswith((self._database.name, "data/candles/"))

    def _hashes(self) -> dict[str, str]:
        live = self._live
        files = [live.ledger, live.env_file, live.marker, *live.data.glob("execution_metrics*")]
        files += [*live.candles.glob("*/*"), *live.versions.glob("*/*/*")]
        found = {str(path.relative_to(live.root)): _sha256(path) for path in files if path.is_file()}
        for link in [*live.promoted.glob("[!.]*"), live.data / EXECUTION_METRICS]:
            if link.is_symlink():
                found[f"{link.relative_to(live.root)} (link)"] = str(link.readlink())
        for suffix in ("", "-wal"):
            path = self._database.with_name(self._database.name + suffix)
            if path.is_file() and path.stat().st_size:
                found[path.name] = _sha256(path)
        return found


def _sha256(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()
