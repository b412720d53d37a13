"""The command line as an operator uses it: a real process, its exit status and both streams."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclass(frozen=True)
class Called:
    """What a finished process left."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The failure document's content."""
        return self.document["error"]


def environment(**extra: str) -> dict[str, str]:
    """A clean environment: no TradingAI setting of whoever runs the tests."""
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent", **extra}


def command(home: Path | None, *arguments: str) -> list[str]:
    """The arguments of a process that runs ``tradingai``."""
    where = [] if home is None else ["--home", str(home)]
    return [sys.executable, "-m", "tradingai", *where, *arguments]


def tradingai(
    home: Path | None, *arguments: str, timeout: float = 280, cwd: Path | None = None, **extra: str
) -> Called:
    """Run ``tradingai`` to its end, without a terminal; ``extra`` are environment variables."""
    done = subprocess.run(
        command(home, *arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        cwd=cwd,
        env=environment(**extra),
    )
    return Called(done.returncode, done.stdout, done.stderr)


def start(home: Path, *arguments: str, **extra: str) -> subprocess.Popen[str]:
    """Start ``tradingai`` in a session of its own, so that signals reach only it and its children."""
    return subprocess.Popen(
        command(home, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**extra),
        start_new_session=True,
    )
