"""How the agent is trained: every number that changes the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from tradingai.engine.core.errors import UsageError

FEWEST_STEPS: Final = 3_000_000
VISITS: Final = 1.0
"""Long histories are walked through this often."""


@dataclass(frozen=True, slots=True)
class PpoTraining:
    """Settings of one training of the agent.

    All are part of its identity but ``fresh``, ``replace_unfinished`` and ``checkpoint_every_s``. Raises
    UsageError for numbers that cannot be trained with.
    """

    seed: int = 1
    threads: int = 1
    """torch threads: part of the identity, because sums in another order round differently."""
    steps: int | None = None
    """Environment steps (minutes of a lane) to collect, rounded up to whole stages; None: as many as
    :func:`planned_steps` says."""
    lanes: int = 768
    """Lanes of all coins together."""
    rollout: int = 32
    """Steps of every lane between two updates."""
    passes: int = 1
    """How often an update goes over what was collected."""
    minibatch: int = 4096
    """Steps of one gradient."""
    hidden: int = 32
    width: int = 32
    peak_learning_rate: float = 3e-3
    """Falls linearly to a tenth over the training."""
    discount: float = 0.95
    """A minute. The future counts for about twenty minutes, near the horizon everything else trades."""
    gae_lambda: float = 0.95
    clip: float = 0.2
    """The probability ratio is followed up to this far from 1."""
    entropy_bonus: float = 0.1
    value_weight: float = 0.5
    gradient_limit: float = 0.5
    """Gradients are scaled down to this norm."""
    weight_decay: float = 0.5
    """Decoupled (AdamW), and strong as the LSTM's: most of what can be memorised is noise."""
    cost_rise: float = 0.25
    """Share of the training in which costs rise from nothing to all: an agent that meets them at once learns
    to stay flat before it has learnt what moves."""
    stages: int = 25
    """The training is looked at, told about and judged on the early-stopping range this many times."""
    fresh: bool = False
    """Start over, whatever checkpoint there is."""
    replace_unfinished: bool = False
    """Start over when the unfinished checkpoint is of other inputs or settings, instead of refusing."""
    checkpoint_every_s: float = 10.0

    def __post_init__(self) -> None:
        counts = (
            "threads", "steps", "lanes", "rollout", "passes", "minibatch", "hidden", "width", "stages",
        )  # fmt: skip
        for name in counts:
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}", remedy="Give at least 1.")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"the seed is {self.seed}", remedy="Give a number from 0 to 2^63 - 1.")

    def identity(self) -> dict[str, Any]:
        """Everything that changes the weights, by name."""
        outside = {"fresh", "replace_unfinished", "checkpoint_every_s"}
        return {name: value for name, value in asdict(self).items() if name not in outside}


def planned_steps(bars: int) -> int:
    """How many environment steps to learn from so many training minutes of all coins together.

    >>> planned_steps(357_000), planned_steps(6_471_000)
    (3000000, 6471000)
    """
    return max(FEWEST_STEPS, round(VISITS * bars))
