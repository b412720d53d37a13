"""A disk that is really full: a small file system of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_file_system(disk: Path) -> Iterator[Path]:
    """24 MB at ``disk``; the test is skipped where this user may not mount."""
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system; the page limit stands for the full disk")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(path: Path) -> None:
    """Take every free byte of the file system."""
    with path.open("wb", buffering=0) as stream, suppress(OSError):
        while stream.write(bytes(65_536)):
            pass
