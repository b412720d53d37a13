"""The machine under the engine, from ``/proc``; what this system does not tell is None."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from tradingai.engine.queries.snapshot import SystemView

_PROC: Final = Path("/proc")


def resident_bytes(pid: int) -> int | None:
    """Memory a process has in use."""
    try:
        pages = int((_PROC / str(pid) / "statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


class SystemReader:
    """Reads the machine's load; the processors' use is that since the reading before."""

    def __init__(self, home: Path, database: Path) -> None:
        self._home = home
        self._database = database
        self._before: tuple[int, int] | None = None
        self._cpu()

    def read(self, up_s: float) -> SystemView:
        """The machine now; ``up_s`` is how long the engine runs."""
        total, free = _disk(self._home)
        memory, used = _memory()
        return SystemView(
            cpu_used=self._cpu(),
            cpu_cores=os.cpu_count(),
            memory_used_bytes=used,
            memory_bytes=memory,
            disk_free_bytes=free,
            disk_bytes=total,
            database_bytes=_database_bytes(self._database),
            up_s=up_s,
        )

    def _cpu(self) -> float | None:
        """Cores busy since the last reading, whoever uses them."""
        try:
            fields = [
                int(text)
                for text in (_PROC / "stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
            ]
        except (OSError, ValueError, IndexError):
            return None
        busy, whole = sum(fields) - fields[3] - fields[4], sum(fields)
        before, self._before = self._before, (busy, whole)
        if before is None or whole <= before[1]:
            return None
        return (busy - before[0]) / (whole - before[1]) * (os.cpu_count() or 1)


def _disk(home: Path) -> tuple[int | None, int | None]:
    try:
        usage = shutil.disk_usage(home)
    except OSError:
        return None, None
    return usage.total, usage.free


def _memory() -> tuple[int | None, int | None]:
    """Total, and what is in use; a container's own limit wins over the machine's."""
    try:
        rows = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
        kilobytes = {row.split(":")[0]: int(row.split()[1]) for row in rows}
        total = kilobytes["MemTotal"] * 1024
        return total, total - kilobytes["MemAvailable"] * 1024
    except (OSError, ValueError, KeyError, IndexError):
        return None, None


def _database_bytes(path: Path) -> int | None:
    sizes = []
    for suffix in ("", "-wal"):
        try:
            sizes.append(path.with_name(path.name + suffix).stat().st_size)
        except OSError:
            continue
    return sum(sizes) if sizes else None
