"""``reports/pipeline.json``: what the last whole run was asked for, what code did it, and what it left.

Every step finds out for itself, from hashes of all its values, whether it has anything to do; for twelve
steps that takes a while. Whoever asks for the very same again, with the same code and with files nobody has
touched since, gets the answer from here. Anything but a full match means only that the steps are asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tradingai.engine.core.code import code_sha256
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.files import read_json, write_json
from tradingai.engine.core.jsonio import digest, plain
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.pipeline.plan import PipelineRequest
from tradingai.engine.registry.registry import Registry
from tradingai.engine.store.execution_metrics import read_execution_metrics

NAME: Final = "pipeline.json"
_DECIDING: Final = ("torch", "numpy", "polars", "scipy")
"""Packages whose version may change a value."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a request came to."""

    reports: tuple[ModelReport, ...]
    replay: Mapping[str, Any]


def write_receipt(paths: HomePaths, request: PipelineRequest, settings: Settings, receipt: Receipt) -> None:
    """Note that ``request`` was carried out and what it came to."""
    document = {
        **_question(paths, request, settings),
        "files": _files(paths, request),
        "live": _live(paths),
        "versions": {report.model: report.version for report in receipt.reports},
        "replay": receipt.replay,
    }
    write_json(paths.reports / NAME, document)


def recall(
    paths: HomePaths, request: PipelineRequest, settings: Settings, registry: Registry
) -> Receipt | None:
    """What exactly this request came to when nothing has changed since, else None."""
    try:
        document = read_json(paths.reports / NAME)
        question = plain(_question(paths, request, settings))
        if {name: document.get(name) for name in question} != question:
            return None
        if document["files"] != plain(_files(paths, request)) or document["live"] != _live(paths):
            return None
        versions, replay = document["versions"], dict(document["replay"])
        reports = tuple(registry.certificate(model, versions[model]) for model in request.models)
        return Receipt(reports, replay)
    except (TradingAIError, OSError, AttributeError, KeyError, TypeError):
        return None


def _question(paths: HomePaths, request: PipelineRequest, settings: Settings) -> dict[str, Any]:
    """Everything the result depends on. Raises ArtifactError for damaged execution metrics."""
    return {
        "start": request.workload.start,
        "end": request.workload.end,
        "provider": request.provider,
        "exchange": request.exchange,
        "market": request.market,
        "seed": request.seed,
        "symbols": request.symbols,
        "kinds": request.kinds,
        "epochs": request.epochs,
        "threads": settings.job_threads,
        "settings": settings.settings_hash(),
        "execution_metrics": digest(read_execution_metrics(paths)),
        "packages": {name: version(name) for name in _DECIDING},
        "code_sha256": code_sha256(),
    }


def _live(paths: HomePaths) -> dict[str, str]:
    """Which version of each model is live."""
    return {model: entry.version for model, entry in read_ledger(paths.ledger).live().items()}


def _files(paths: HomePaths, request: PipelineRequest) -> dict[str, list[int]]:
    """Size and time of last change of every file the steps left. Raises OSError for a missing one."""
    found = {}
    for file in _left_by(paths, request):
        state = file.stat()
        found[str(file.relative_to(paths.root))] = [state.st_size, state.st_mtime_ns]
    return found


def _left_by(paths: HomePaths, request: PipelineRequest) -> Iterator[Path]:
    for symbol in request.symbols:
        made = (paths.oracle / symbol,) if request.provider == "synthetic" else ()
        for folder in (paths.candles / symbol, *made, paths.features / symbol):
            yield from sorted(folder.iterdir())
    for model in request.models:
        best = paths.checkpoints / f"{model}_best.pt"
        yield from (best, best.with_suffix(".json"))
