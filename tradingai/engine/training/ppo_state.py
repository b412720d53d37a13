"""The resume state of an unfinished training of the agent: ``models/checkpoints/ppo_last.pt``.

Everything the next update depends on is in it: weights, optimiser moments, where every lane stands and what
it holds, the states of both random generators, the best weights so far. A resumed run computes what an
undisturbed one would have, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tradingai.engine.training.ppo_fit import PpoFit, PpoState, Stage
from tradingai.engine.training.resume import Saved, load_state, optimizer_groups, save_state


class AgentCheckpoint(Saved):
    """The resume state of an agent's training."""

    def restore(self, fit: PpoFit) -> None:
        """Put the state into a new fit of the same identity. Raises ArtifactError when it does not fit."""
        document, position = self.document, self.group("position")
        try:
            fit.network.load_state_dict(self.group("network"))
            self.restore_optimizer(fit.optimizer)
            fit.env.restore(self.group("env"))
            fit.generator.set_state(position["generator"])
            fit.state = PpoState(
                update=document["update"],
                sums=position["sums"].clone(),
                seconds=document["seconds"],
                history=[Stage(**stage) for stage in document["history"]],
                steps_per_s=list(document["steps_per_s"]),
                best=self.group("best"),
            )
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise self.damaged(f"{type(error).__name__} {error}") from error


def save_agent(path: Path, fit: PpoFit, identity: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Publish the training's state under ``path`` in one step."""
    state = fit.state
    document = {
        "identity": dict(identity), "run": dict(run), "update": state.update, "seconds": state.seconds,
        "history": [asdict(stage) for stage in state.history], "steps_per_s": state.steps_per_s,
    }  # fmt: skip
    groups = {
        "network": fit.network.state_dict(), "best": state.best, "env": fit.env.state(),
        "position": {"sums": state.sums, "generator": fit.generator.get_state()},
        **optimizer_groups(fit.optimizer),
    }  # fmt: skip
    save_state(path, document, groups)


def load_agent(path: Path) -> AgentCheckpoint | None:
    """The resume state, or None when there is none.

    Raises ArtifactError when it is damaged, OutdatedArtifactError when another version wrote it.
    """
    return load_state(path, AgentCheckpoint)
