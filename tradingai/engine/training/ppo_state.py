"""The resume state of an unfinished training of the agent: ``models/checkpoints/ppo_last.pt``.

Everything the next update depends on is in it: weights, optimiser moments, where every lane stands and what
it holds, the states of both random generators, the best weights so far. A resumed run computes what an
undisturbed one would have, bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.core.jsonio import canonical
from tradingai.engine.models.artifact import read_payload, value_hash, write_payload
from tradingai.engine.training.ppo_fit import PpoFit, PpoState, Stage

RESUME_SCHEMA: Final = 1
_FORMAT: Final = "tradingai-agent-resume"
_OVER: Final = "Start this unfinished training over: `tradingai train ppo --fresh`."


@dataclass(frozen=True, slots=True, eq=False)
class AgentCheckpoint:
    """A resume state as read from disk."""

    path: Path
    document: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def identity(self) -> dict[str, Any]:
        """What is being trained: inputs, costs, settings."""
        identity: dict[str, Any] = self.document["identity"]
        return identity

    @property
    def run(self) -> dict[str, Any]:
        """The run it belongs to: its id, when it started, how often it was resumed."""
        run: dict[str, Any] = self.document["run"]
        return run

    @property
    def finished_stages(self) -> int:
        """How far it is."""
        return len(self.document["history"])

    def restore(self, fit: PpoFit) -> None:
        """Put the state into a new fit of the same identity. Raises ArtifactError when it does not fit."""
        document = self.document
        try:
            fit.network.load_state_dict(self._group("network"))
            _restore_optimizer(fit, self._group("optimizer"))
            fit.env.restore(self._group("env"))
            fit.generator.set_state(self.tensors["generator"])
            fit.state = PpoState(
                update=document["update"],
                sums=self.tensors["sums"].clone(),
                seconds=document["seconds"],
                history=[Stage(**stage) for stage in document["history"]],
                steps_per_s=list(document["steps_per_s"]),
                best=self._group("best"),
            )
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise _damaged(self.path, f"{type(error).__name__} {error}") from error

    def _group(self, name: str) -> dict[str, Tensor]:
        prefix = f"{name}/"
        return {key.removeprefix(prefix): self.tensors[key] for key in self.tensors if key.startswith(prefix)}


def save_agent(path: Path, fit: PpoFit, identity: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Publish the training's state under ``path`` in one step."""
    state = fit.state
    document = {
        "identity": dict(identity), "run": dict(run), "update": state.update, "seconds": state.seconds,
        "history": [asdict(stage) for stage in state.history], "steps_per_s": state.steps_per_s,
    }  # fmt: skip
    tensors = {
        "sums": state.sums,
        "generator": fit.generator.get_state(),
        **_named("network", fit.network.state_dict()),
        **_named("best", state.best),
        **_named("env", fit.env.state()),
    }
    for index, moments in fit.optimizer.state_dict()["state"].items():
        tensors |= _named(f"optimizer/{index}", moments)
    payload = {
        "format": _FORMAT, "schema_version": RESUME_SCHEMA, "sha256": value_hash(document, tensors),
        "document": canonical(document).decode(), "tensors": tensors,
    }  # fmt: skip
    write_payload(path, payload)


def load_agent(path: Path) -> AgentCheckpoint | None:
    """The resume state, or None when there is none. Raises ArtifactError when it is damaged."""
    try:
        payload = read_payload(path, _FORMAT, _OVER)
    except FileNotFoundError:
        return None
    if payload.get("schema_version") != RESUME_SCHEMA:
        raise ArtifactError(
            f"{path} has schema version {payload.get('schema_version')}, this version reads {RESUME_SCHEMA}",
            remedy=_OVER,
        )
    try:
        document, tensors = json.loads(payload["document"]), dict(payload["tensors"])
        intact = value_hash(document, tensors) == payload["sha256"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__} {error}") from error
    if not intact:
        raise _damaged(path, "its contents were changed")
    return AgentCheckpoint(path, document, tensors)


def _damaged(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(f"{path} is damaged: {reason}", remedy=_OVER)


def _named(group: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{group}/{name}": tensor.detach() for name, tensor in tensors.items()}


def _restore_optimizer(fit: PpoFit, flat: Mapping[str, Tensor]) -> None:
    moments: dict[int, dict[str, Tensor]] = {}
    for key, tensor in flat.items():
        index, _, name = key.partition("/")
        moments.setdefault(int(index), {})[name] = tensor
    groups = fit.optimizer.state_dict()["param_groups"]
    fit.optimizer.load_state_dict({"state": moments, "param_groups": groups})
