"""The measured execution costs: ``data/execution_metrics.json``, a link to the newest dated measurement."""

from __future__ import annotations

from typing import Any, Final

from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.core.files import read_json
from tradingai.engine.core.paths import HomePaths

NAME: Final = "execution_metrics.json"


def read_execution_metrics(paths: HomePaths) -> dict[str, Any] | None:
    """The document, or None when nothing was measured yet. Raises ArtifactError when it is damaged."""
    path = paths.data / NAME
    try:
        document = read_json(path)
    except FileNotFoundError:
        return None
    if not isinstance(document, dict):
        raise ArtifactError(
            f"{path} holds no execution metrics", remedy="Measure again with `tradingai execution measure`."
        )
    return document
