"""The resume state of an unfinished training: ``models/checkpoints/<model>_last.pt``.

Everything the next chunk depends on is in it: weights, optimiser moments, the lanes' states, the best weights
so far, the position. Nothing random is drawn after the first weights, and the learning rate follows from the
position, so a resumed run computes what an undisturbed one would have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from tradingai.engine.core.errors import ArtifactError, OutdatedArtifactError
from tradingai.engine.core.jsonio import canonical
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.models.artifact import read_payload, value_hash, write_payload
from tradingai.engine.training.stream import Epoch, FitState, StreamFit

CHECKPOINT_SCHEMA: Final = 2
_FORMAT: Final = "tradingai-resume"


def last_path(paths: HomePaths, model: str) -> Path:
    """Where a model's resume state lies, for example ``lstm_BTC-USD_last.pt``."""
    return paths.checkpoints / f"{model}_last.pt"


class Checkpoint:
    """A resume state as read from disk."""

    def __init__(self, path: Path, document: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self._path, self._document, self._tensors = path, document, tensors

    @property
    def identity(self) -> dict[str, Any]:
        """What is being trained: inputs, settings, device."""
        identity: dict[str, Any] = self._document["identity"]
        return identity

    @property
    def run(self) -> dict[str, Any]:
        """The run it belongs to: its id, when it started, how often it was resumed."""
        run: dict[str, Any] = self._document["run"]
        return run

    @property
    def finished_epochs(self) -> int:
        """How far it is."""
        return len(self._document["history"])

    def restore(self, fit: StreamFit) -> None:
        """Put the state into a new fit of the same identity. Raises ArtifactError when it does not fit."""
        document = self._document
        try:
            fit.network.load_state_dict(self._group("network"))
            _restore_optimizer(fit.optimizer, self._group("optimizer"))
            lanes = self._group("lanes")
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
                best=self._group("best"),
                consumed=tuple(Rows(*rows) for rows in document["consumed"]),
            )
            fit.reader.position = document["chunk"]
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise damaged(self._path, f"{type(error).__name__} {error}") from error

    def _group(self, name: str) -> dict[str, Tensor]:
        prefix = f"{name}/"
        return {
            key.removeprefix(prefix): self._tensors[key] for key in self._tensors if key.startswith(prefix)
        }


def save_checkpoint(path: Path, fit: StreamFit, identity: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Publish the fit's state under ``path`` in one step."""
    state = fit.state
    document = {
        "identity": dict(identity), "run": dict(run), "chunk": state.chunk, "loss_sum": state.loss_sum,
        "right": state.right, "labelled": state.labelled, "epoch_seconds": state.epoch_seconds,
        "history": [asdict(epoch) for epoch in state.history], "bars_per_s": state.bars_per_s,
        "consumed": [list(rows) for rows in state.consumed],
    }  # fmt: skip
    tensors = {
        **_named("network", fit.network.state_dict()),
        **_named("best", state.best),
    }
    for index, moments in fit.optimizer.state_dict()["state"].items():
        tensors |= _named(f"optimizer/{index}", moments)
    if state.lanes is not None:
        tensors |= _named("lanes", {str(part): tensor for part, tensor in enumerate(state.lanes)})
    payload = {
        "format": _FORMAT, "schema_version": CHECKPOINT_SCHEMA, "sha256": value_hash(document, tensors),
        "document": canonical(document).decode(), "tensors": tensors,
    }  # fmt: skip
    write_payload(path, payload)


def load_checkpoint(path: Path) -> Checkpoint | None:
    """The resume state, or None when there is none.

    Raises ArtifactError when it is damaged, OutdatedArtifactError when another version wrote it.
    """
    try:
        payload = read_payload(path, _FORMAT, _over(path))
    except FileNotFoundError:
        return None
    if payload.get("schema_version") != CHECKPOINT_SCHEMA:
        raise OutdatedArtifactError(
            f"{path} has schema version {payload.get('schema_version')} instead of {CHECKPOINT_SCHEMA}",
            remedy=_over(path),
        )
    try:
        document, tensors = json.loads(payload["document"]), dict(payload["tensors"])
        intact = value_hash(document, tensors) == payload["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(path, f"{type(error).__name__} {error}") from error
    if not intact:
        raise damaged(path, "its contents were changed")
    return Checkpoint(path, document, tensors)


def damaged(path: Path, reason: str) -> ArtifactError:
    """The error for a resume state that cannot be used."""
    return ArtifactError(f"{path} is damaged: {reason}", remedy=_over(path))


def _over(path: Path) -> str:
    kind, _, coin = path.name.removesuffix("_last.pt").partition("_")
    options = f" --coin {coin}" if coin else ""
    return f"Start this unfinished training over: `tradingai train {kind}{options} --fresh`."


def _named(group: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{group}/{name}": tensor.detach().cpu() for name, tensor in tensors.items()}


def _restore_optimizer(optimizer: torch.optim.Optimizer, flat: Mapping[str, Tensor]) -> None:
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in flat.items():
        index, _, name = key.partition("/")
        moments.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
