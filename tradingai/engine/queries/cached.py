"""Reading files again only when they changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")


class FileCache:
    """Parsed files by path, kept while the file's identity, size and time stay the same."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Path], tuple[tuple[int, int, int], Any]] = {}

    def get(self, path: Path, parse: Callable[[Path], Value]) -> Value | None:
        """``parse(path)``, from memory where nothing changed; None when there is no such file.

        Whatever ``parse`` raises is not kept.
        """
        key = (getattr(parse, "__qualname__", repr(parse)), path)
        try:
            stat = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            self._kept.pop(key, None)
            return None
        stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        kept = self._kept.get(key)
        if kept is not None and kept[0] == stamp:
            value: Value = kept[1]
            return value
        value = parse(path)
        self._kept[key] = (stamp, value)
        return value
