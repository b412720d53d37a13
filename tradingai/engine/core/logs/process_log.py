"""One process's log: its file, the queue in front of it, the handler that everybody's records come through.

A file belongs to the process that holds its lock; the next process of that name goes on in it, and one beside
it takes a file of its own. Nothing here raises or waits for a disk: what cannot be written is lost, counted
and told.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, Final, Literal, NamedTuple

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import LockHeldError, TradingAIError
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.logs.json_lines import JsonLines
from tradingai.engine.core.logs.redact import redact_handlers, settings_redactor
from tradingai.engine.core.logs.rotating import Losses, RotatingLines
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings

ProcessName = Literal["run", "console", "worker", "cli"]
LOGGER: Final = "tradingai.process"
SCANS: Final = "tradingai.scans"
"""The logger of what carries metrics: with CLOUDWATCH_EMF it writes whatever LOG_LEVEL says."""
MOST_WAITING: Final = 10_000
"""Lines that wait for a slow disk; more are lost."""
PATIENCE_S: Final = 5.0
"""How long the end of a process waits for lines that are still to be written."""
_MOST_FILES: Final = 64
"""Processes of one name at a time that have a log."""
_MEGABYTE: Final = 1_000_000
_WORDY: Final = ("aiosqlite",)
"""Loggers that write every statement with its values when they may; never below info."""


class _Slot(NamedTuple):
    """A file of one process name, and the lock by which it is this process's."""

    file: Path
    lock: FileLock


class ProcessLog(NamedTuple):
    """An open log."""

    process: ProcessName
    file: Path
    losses: Losses


class _Intake(QueueHandler):
    """Where records come in: formatted in the thread they come from, written in another."""

    queue: Queue[Any]

    def __init__(self, waiting: Queue[Any], level: int, losses: Losses, *, emf: bool) -> None:
        super().__init__(waiting)
        self._least = level
        self._emf = emf
        self._losses = losses

    def filter(self, record: logging.LogRecord) -> bool:
        """Important enough, or a metric, which has no level."""
        return record.levelno >= self._least or (self._emf and hasattr(record, "metrics"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """The disk is so slow that the queue is full."""
        del record
        self._losses.lose(f"{MOST_WAITING:,} lines wait for the disk")


class _Writer(QueueListener):
    """Writes in a thread of its own; its end waits for the lines that are left, but not for a dead disk."""

    queue: Queue[Any]

    def stop(self) -> None:
        """Write what is waiting, for PATIENCE_S at the most."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        end = self._sentinel  # type: ignore[attr-defined]
        try:
            self.queue.put(end, timeout=PATIENCE_S)
        except Full:
            with suppress(Empty):
                self.queue.get_nowait()
            with suppress(Full):
                self.queue.put_nowait(end)
        thread.join(PATIENCE_S)


@contextmanager
def process_log(
    paths: HomePaths, settings: Settings, clock: Clock, process: ProcessName
) -> Iterator[ProcessLog]:
    """Log into ``logs/<process>.jsonl`` until the block ends, LOG_LEVEL and what is above it.

    Further processes of the same name at the same time take ``<process>-2.jsonl`` and so on. Whatever
    handlers the root logger has write no secrets any more. Raises nothing of its own.
    """
    slot, reason = _take_slot(paths, clock, process)
    file = paths.logs / f"{process}.jsonl" if slot is None else slot.file
    losses = Losses(f"{paths.logs.name}/{file.name}", clock)
    log = ProcessLog(process, file, losses)
    redactor = settings_redactor(settings)
    redact_handlers(redactor)
    if slot is None:
        losses.lose(reason, lines=0)
        yield log
        return
    try:
        prune(paths, clock, process, own=slot.file, kept=settings.log_files)
        lines = JsonLines(process, clock, redactor, emf=settings.cloudwatch_emf)
        target = RotatingLines(
            file,
            largest=settings.log_file_mb * _MEGABYTE,
            kept=settings.log_files,
            losses=losses,
            note=_notes(lines),
        )
        with _connected(settings, lines, target, losses):
            yield from _told(log)
    finally:
        slot.lock.release()


def prune(paths: HomePaths, clock: Clock, process: ProcessName, *, own: Path, kept: int) -> int:
    """Delete files that no process of this name writes to, but the newest ``kept``; return how many.

    Of the caller's ``own`` file those go that rotation put aside beyond ``kept``. Never raises.
    """
    pattern = re.compile(rf"({process}(?:-\d+)?)\.jsonl(?:\.(\d+))?")
    count, others = 0, []
    with suppress(OSError):
        for file in paths.logs.iterdir():
            found = pattern.fullmatch(file.name)
            if found is None:
                continue
            if f"{found[1]}.jsonl" != own.name:
                with suppress(OSError):
                    others.append((file.stat().st_mtime, found[1], file))
            elif int(found[2] or 0) > kept:
                count += _deleted(file)
    for _, stem, file in sorted(others, reverse=True)[kept:]:
        with suppress(TradingAIError), _lock(paths, clock, stem):
            count += _deleted(file)
    return count


def _deleted(file: Path) -> int:
    try:
        file.unlink()
    except OSError:
        return 0
    return 1


def _take_slot(paths: HomePaths, clock: Clock, process: ProcessName) -> tuple[_Slot | None, str]:
    """The first file of this name that no other process holds; None with the reason when there is none."""
    for number in range(1, _MOST_FILES + 1):
        stem = process if number == 1 else f"{process}-{number}"
        lock = _lock(paths, clock, stem)
        try:
            lock.acquire()
        except LockHeldError:
            continue
        except (TradingAIError, OSError) as error:
            return None, f"no lock: {error}"
        return _Slot(paths.logs / f"{stem}.jsonl", lock), ""
    return None, f"{_MOST_FILES} processes named {process} have a log already"


def _lock(paths: HomePaths, clock: Clock, stem: str) -> FileLock:
    return FileLock(paths.log_lock(stem), command=f"log {stem}", clock=clock)


@contextmanager
def _connected(settings: Settings, lines: JsonLines, target: RotatingLines, losses: Losses) -> Iterator[None]:
    """The root logger writes through the queue until the block ends."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    waiting: Queue[Any] = Queue(MOST_WAITING)
    intake = _Intake(waiting, level, losses, emf=settings.cloudwatch_emf)
    intake.setFormatter(lines)
    writer = _Writer(waiting, target)
    root = logging.getLogger()
    levels = {root: min(root.level, level)}
    levels |= {logging.getLogger(name): logging.INFO for name in _WORDY}
    if settings.cloudwatch_emf:
        levels[logging.getLogger(SCANS)] = logging.INFO
    before = {logger: logger.level for logger in levels}
    writer.start()
    for logger, wanted in levels.items():
        logger.setLevel(wanted)
    root.addHandler(intake)
    try:
        yield
    finally:
        root.removeHandler(intake)
        for logger, kept in before.items():
            logger.setLevel(kept)
        writer.stop()
        target.close()


def _told(log: ProcessLog) -> Iterator[ProcessLog]:
    """The first and the last line of a process, and what ended it."""
    logger = logging.getLogger(LOGGER)
    about = {"event": "begin", "argv": sys.argv[1:], "python": sys.version.split()[0]}
    logger.info("%s begins", log.process, extra={"fields": about})
    try:
        yield log
    except TradingAIError as error:
        fields = {"event": "end", "code": error.code, "remedy": error.remedy}
        logger.log(logging.ERROR, "%s ends: %s", log.process, error.message, extra={"fields": fields})
        raise
    except Exception:
        logger.exception("%s ends unexpectedly", log.process, extra={"fields": {"event": "end"}})
        raise
    except BaseException as error:
        logger.warning("%s ends: %s", log.process, type(error).__name__, extra={"fields": {"event": "end"}})
        raise
    logger.info("%s ends", log.process, extra={"fields": {"event": "end"}})


def _notes(lines: JsonLines) -> Callable[[str], str]:
    """Forms a line that comes from the log itself."""

    def note(text: str) -> str:
        return lines.format(logging.LogRecord(LOGGER, logging.WARNING, "", 0, text, (), None))

    return note
