"""What stands of a training already: the finished artifact, the resume state of an unfinished one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tradingai.engine.core.errors import ArtifactError, MissingError, OutdatedArtifactError
from tradingai.engine.core.events import TrainingDiscarded
from tradingai.engine.core.files import make_directory
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.models.artifact import best_path, load_artifact, write_card
from tradingai.engine.training.record import identity_difference
from tradingai.engine.training.resume import Saved, last_path


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The published artifact, and whether anything had to be done for it."""

    model: str
    path: Path
    sha256: str
    record: dict[str, Any]
    skipped: bool
    reason: str = ""
    seconds: float = 0.0
    bars_per_s: float | None = None
    """Mean over the epochs of this run; of the agent, environment steps."""


State = TypeVar("State", bound=Saved)
Load = Callable[[Path], State | None]
"""Reads a resume state; None when there is none."""


def finished(
    paths: HomePaths, model: str, identity: Mapping[str, Any], load: Load[State]
) -> TrainingResult | None:
    """The artifact when it is of this very training; its JSON is made again should it be missing.

    Raises ArtifactError when it is damaged.
    """
    path = best_path(paths, model)
    try:
        artifact = load_artifact(path)
    except (MissingError, OutdatedArtifactError):
        return None
    if artifact.record.get("identity") != identity:
        return None
    write_card(path, artifact)
    _drop_finished(last_path(paths, model), identity, load)
    epochs, accuracy = artifact.record["epochs_run"], artifact.record["validation"]["early_stop"]["accuracy"]
    reason = (
        f"{model} stands: trained for {epochs} epochs on the same data with the same settings, "
        f"validation accuracy {100 * accuracy:.1f} % ({artifact.sha256[:8]})"
    )
    return TrainingResult(model, path, artifact.sha256, artifact.record, skipped=True, reason=reason)


def _drop_finished(path: Path, identity: Mapping[str, Any], load: Load[State]) -> None:
    """Remove the resume state that a kill left beside the artifact it led to; another training's stays."""
    with suppress(ArtifactError):  # a damaged one is of no training that could be told apart: it stays, too
        left = load(path)
        if left is not None and left.identity == identity:
            path.unlink()


def resumable(
    paths: HomePaths,
    model: str,
    identity: Mapping[str, Any],
    load: Load[State],
    *,
    replace_unfinished: bool,
    reporter: Reporter,
) -> State | None:
    """The resume state of this training, if there is one. Raises ArtifactError for that of another."""
    state = load(last_path(paths, model))
    difference = identity_difference(state.identity, identity) if state else ""
    if state is None or not difference:
        return state
    done = state.finished_epochs
    if not replace_unfinished:
        raise ArtifactError(
            f"the unfinished training of {model}, {done} epochs done, is another one: {difference}",
            remedy="Finish it with its own settings and data, or start over with --fresh.",
        )
    reporter.emit(TrainingDiscarded(model=model, finished_epochs=done, difference=difference))
    return None


def sweep(paths: HomePaths, model: str) -> None:
    """Remove temporary files that killed trainings of this model left; others may be training beside."""
    for leftover in make_directory(paths.checkpoints).glob(f".{model}_*.tmp"):
        leftover.unlink(missing_ok=True)
