"""Loss curves, one JSON-lines file a run, kept so that the console can lay earlier runs over the live one.

``models/checkpoints/<model>_history/<run>.jsonl``: a first line about the run, then one line an epoch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.core.files import write_atomic
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.paths import HomePaths

KEPT_RUNS: Final = 20


def history_folder(paths: HomePaths, model: str) -> Path:
    """Where a model's curves lie."""
    return paths.checkpoints / f"{model}_history"


def write_history(
    paths: HomePaths, model: str, run: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]
) -> None:
    """Publish the curve so far under the run's id, ``run["run"]``; only the newest twenty runs are kept."""
    folder = history_folder(paths, model)
    text = "".join(f"{dumps(line)}\n" for line in ({"model": model, **run}, *epochs))
    write_atomic(folder / f"{run['run']}.jsonl", lambda stream: stream.write(text.encode()))
    for old in sorted(folder.glob("*.jsonl"))[:-KEPT_RUNS]:
        old.unlink(missing_ok=True)


def read_history(paths: HomePaths, model: str) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Every kept run, oldest first: what is known about the run, and its epochs.

    Raises ArtifactError for a damaged file.
    """
    return [_read(path) for path in sorted(history_folder(paths, model).glob("*.jsonl"))]


def _read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        run, *epochs = [json.loads(line) for line in path.read_text().splitlines()]
    except ValueError as error:
        remedy = "Delete it: it holds a loss curve, no model."
        raise ArtifactError(f"{path} is damaged ({error})", remedy=remedy) from error
    return run, epochs
