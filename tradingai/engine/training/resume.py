"""How a resume state lies on disk: a JSON document and named tensors in one file, under one hash."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import Tensor

from tradingai.engine.core.errors import ArtifactError, OutdatedArtifactError
from tradingai.engine.core.jsonio import canonical
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.models.artifact import read_payload, value_hash, write_payload

RESUME_SCHEMA: Final = 2
_FORMAT: Final = "tradingai-resume"


def last_path(paths: HomePaths, model: str) -> Path:
    """Where a model's resume state lies, for example ``lstm_BTC-USD_last.pt``."""
    return paths.checkpoints / f"{model}_last.pt"


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """A resume state as read from disk. Tensors are named ``group/name``."""

    path: Path
    document: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def identity(self) -> dict[str, Any]:
        """What is being trained: inputs, settings, device."""
        identity: dict[str, Any] = self.document["identity"]
        return identity

    @property
    def run(self) -> dict[str, Any]:
        """The run it belongs to: its id, when it started, how often it was resumed."""
        run: dict[str, Any] = self.document["run"]
        return run

    @property
    def finished_epochs(self) -> int:
        """How far it is; of the agent, stages."""
        return len(self.document["history"])

    def group(self, name: str) -> dict[str, Tensor]:
        """The tensors of one group by their names in it."""
        prefix = f"{name}/"
        return {key.removeprefix(prefix): self.tensors[key] for key in self.tensors if key.startswith(prefix)}

    def damaged(self, reason: str) -> ArtifactError:
        """The error for a state that cannot be used."""
        return _damaged(self.path, reason)

    def restore_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Put the moments back. Raises KeyError, ValueError or RuntimeError when they do not fit."""
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in self.group("optimizer").items():
            index, _, name = key.partition("/")
            moments.setdefault(int(index), {})[name] = tensor
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


State = TypeVar("State", bound=Saved)


def save_state(path: Path, document: Mapping[str, Any], groups: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Publish document and tensors under ``path`` in one step."""
    tensors = {
        f"{group}/{name}": tensor.detach().cpu()
        for group, own in groups.items()
        for name, tensor in own.items()
    }
    payload = {
        "format": _FORMAT, "schema_version": RESUME_SCHEMA, "sha256": value_hash(document, tensors),
        "document": canonical(dict(document)).decode(), "tensors": tensors,
    }  # fmt: skip
    write_payload(path, payload)


def optimizer_groups(optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    """The optimiser's moments as :func:`save_state` takes them."""
    return {f"optimizer/{index}": moments for index, moments in optimizer.state_dict()["state"].items()}


def load_state(path: Path, kind: type[State]) -> State | None:
    """The resume state as a ``kind`` of :class:`Saved`, or None when there is none.

    Raises ArtifactError when it is damaged, OutdatedArtifactError when another version wrote it.
    """
    try:
        payload = read_payload(path, _FORMAT, _over(path))
    except FileNotFoundError:
        return None
    if payload.get("schema_version") != RESUME_SCHEMA:
        raise OutdatedArtifactError(
            f"{path} has schema version {payload.get('schema_version')} instead of {RESUME_SCHEMA}",
            remedy=_over(path),
        )
    try:
        document, tensors = json.loads(payload["document"]), dict(payload["tensors"])
        intact = value_hash(document, tensors) == payload["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__} {error}") from error
    if not intact:
        raise _damaged(path, "its contents were changed")
    return kind(path, document, tensors)


def _damaged(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(f"{path} is damaged: {reason}", remedy=_over(path))


def _over(path: Path) -> str:
    kind, _, coin = path.name.removesuffix("_last.pt").partition("_")
    options = f" --coin {coin}" if coin else ""
    return f"Start this unfinished training over: `tradingai train {kind}{options} --fresh`."
