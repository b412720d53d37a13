"""The reports of an observation on disk: each as JSON and Markdown, both of one document.

The JSON is written first, each file in one step; what a killed writer left out is written again. Files of an
observation before are moved into a folder of their own, never overwritten.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.core.files import (
    make_directory,
    read_json,
    storage_error,
    sweep_temporaries,
    write_atomic,
)
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.queries.observation_days import FOLDER
from tradingai.engine.queries.observation_report import as_markdown

SUMMARY: Final = "summary"


class Written(NamedTuple):
    """Two files that stand, relative to the home, and the JSON's SHA-256."""

    json_path: str
    markdown_path: str
    sha256: str


def write_report(paths: HomePaths, clock: Clock, name: str, document: Mapping[str, Any]) -> Written:
    """Write ``<name>.json`` and ``<name>.md``. Raises TradingAIError naming the file and the remedy."""
    folder = paths.root / FOLDER
    text = (dumps(document, indent=2) + "\n").encode()
    lock = FileLock(
        paths.locks / "observation-reports",
        command="observation reports",
        clock=clock,
        subject=str(folder),
    )
    lock.acquire(block=True)
    try:
        make_directory(folder)
        sweep_temporaries(folder)
        if not document["replay"]:
            _make_room(folder, str(document["observation"]))
        write_atomic(folder / f"{name}.json", lambda stream: stream.write(text))
        markdown = as_markdown(document).encode()
        write_atomic(folder / f"{name}.md", lambda stream: stream.write(markdown))
    except OSError as error:
        raise storage_error(error, folder / f"{name}.json") from error
    finally:
        lock.release()
    return Written(f"{FOLDER}/{name}.json", f"{FOLDER}/{name}.md", hashlib.sha256(text).hexdigest())


def _make_room(folder: Path, observation: str) -> None:
    """Move files of other observations into a folder named after theirs."""
    for file in sorted(folder.glob("*.json")):
        owner = _owner(file)
        if owner is None or owner == observation:
            continue
        kept = make_directory(folder / owner)
        for old in (file, file.with_suffix(".md")):
            if old.exists():
                old.replace(kept / old.name)


def _owner(file: Path) -> str | None:
    """The observation a file is about; None for one that is about a replay, or is none of these files."""
    try:
        document = read_json(file)
    except ArtifactError:
        return None
    owner = document.get("observation") if isinstance(document, dict) else None
    return owner if isinstance(owner, str) and "/" not in owner else None
