"""The resume state of an unfinished training: ``models/checkpoints/<model>_last.pt``.

Everything the next chunk depends on is in it: weights, optimiser moments, the lanes' states, the best weights
so far, the position. Nothing random is drawn after the first weights, and the learning rate follows from the
position, so a resumed run computes what an undisturbed one would have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tradingai.engine.datasets.splits import Rows
from tradingai.engine.training.resume import Saved, load_state, optimizer_groups, save_state
from tradingai.engine.training.stream import Epoch, FitState, StreamFit


class Checkpoint(Saved):
    """The resume state of a streaming training."""

    def restore(self, fit: StreamFit) -> None:
        """Put the state into a new fit of the same identity. Raises ArtifactError when it does not fit."""
        document = self.document
        try:
            fit.network.load_state_dict(self.group("network"))
            self.restore_optimizer(fit.optimizer)
            lanes = self.group("lanes")
            device = fit.compute.device
            fit.state = FitState(
                chunk=document["chunk"],
                loss_sum=document["loss_sum"],
                right=document["right"],
                labelled=document["labelled"],
                epoch_seconds=document["epoch_seconds"],
                lanes=tuple(lanes[str(part)].to(device) for part in range(len(lanes))) if lanes else None,
                history=[Epoch(**epoch) for epoch in document["history"]],
                bars_per_s=list(document["bars_per_s"]),
                best=self.group("best"),
                consumed=tuple(Rows(*rows) for rows in document["consumed"]),
            )
            fit.reader.position = document["chunk"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise self.damaged(f"{type(error).__name__} {error}") from error


def save_checkpoint(path: Path, fit: StreamFit, identity: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Publish the fit's state under ``path`` in one step."""
    state = fit.state
    document = {
        "identity": dict(identity), "run": dict(run), "chunk": state.chunk, "loss_sum": state.loss_sum,
        "right": state.right, "labelled": state.labelled, "epoch_seconds": state.epoch_seconds,
        "history": [asdict(epoch) for epoch in state.history], "bars_per_s": state.bars_per_s,
        "consumed": [list(rows) for rows in state.consumed],
    }  # fmt: skip
    groups = {"network": fit.network.state_dict(), "best": state.best, **optimizer_groups(fit.optimizer)}
    if state.lanes is not None:
        groups["lanes"] = {str(part): tensor for part, tensor in enumerate(state.lanes)}
    save_state(path, document, groups)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """The resume state, or None when there is none.

    Raises ArtifactError when it is damaged, OutdatedArtifactError when another version wrote it.
    """
    return load_state(path, Checkpoint)
