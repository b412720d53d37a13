"""How a network is trained: every number that changes the result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

from tradingai.engine.core.errors import UsageError

UPDATES_PER_EPOCH: Final = 60
"""Lanes are chosen so that an epoch has about this many weight updates, whatever the number of bars."""
FEWEST_LANES: Final = 8
MOST_LANES: Final = 256
"""Wider than this the activations of a chunk leave the CPU's second-level cache."""
_MANY_BARS: Final = 250_000


@dataclass(frozen=True, slots=True)
class Training:
    """What every training has.

    All are part of its identity but ``fresh``, ``replace_unfinished`` and ``checkpoint_every_s``; of
    ``device`` the kind that was chosen is. Raises UsageError for numbers that cannot be trained with.
    """

    at_least_one: ClassVar[tuple[str, ...]] = ("epochs", "threads", "patience")

    epochs: int = 10
    seed: int = 1
    threads: int = 1
    """torch threads: part of the identity, because sums in another order round differently."""
    device: str = "auto"
    peak_learning_rate: float = 3e-3
    rise_share: float = 0.2
    """Share of all updates in which the learning rate rises to its peak; a cosine brings it down after."""
    weight_decay: float = 0.5
    """Decoupled (AdamW). Strong: most of what can be memorised is noise, and small weights forget sooner."""
    gradient_limit: float = 1.0
    """Gradients are scaled down to this norm."""
    patience: int = 3
    """Training stops after this many epochs without a lower validation loss."""
    fresh: bool = False
    """Start over, whatever checkpoint there is."""
    replace_unfinished: bool = False
    """Start over when the unfinished checkpoint is of other inputs or settings, instead of refusing."""
    checkpoint_every_s: float = 10.0

    def __post_init__(self) -> None:
        for name in self.at_least_one:
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}", remedy="Give at least 1.")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"the seed is {self.seed}", remedy="Give a number from 0 to 2^63 - 1.")

    def identity(self) -> dict[str, Any]:
        """Everything that changes the weights, by name."""
        outside = {"device", "fresh", "replace_unfinished", "checkpoint_every_s"}
        return {name: value for name, value in asdict(self).items() if name not in outside}


@dataclass(frozen=True, slots=True)
class LstmTraining(Training):
    """Settings of one LSTM training, with the shape of its network."""

    at_least_one: ClassVar[tuple[str, ...]] = ("epochs", "threads", "patience", "projection", "hidden")

    projection: int = 16
    hidden: int = 32


@dataclass(frozen=True, slots=True)
class TransformerTraining(Training):
    """Settings of one Transformer training, with the shape of its network."""

    at_least_one: ClassVar[tuple[str, ...]] = (
        "epochs", "threads", "patience", "projection", "width", "heads", "layers", "window", "feed_forward",
    )  # fmt: skip

    peak_learning_rate: float = 1e-3
    projection: int = 16
    width: int = 48
    heads: int = 2
    layers: int = 2
    window: int = 64
    """Minutes that a layer attends to, the current one included."""
    feed_forward: int = 96
    trend_share: float = 0.2
    """Weight of the trend head's loss beside that of the direction head."""

    def __post_init__(self) -> None:
        Training.__post_init__(self)
        if self.width % self.heads:
            raise UsageError(
                f"a width of {self.width} cannot be shared by {self.heads} heads",
                remedy="Give a multiple of the number of heads.",
            )


def lane_shape(bars: int) -> tuple[int, int]:
    """Lanes, and steps of a chunk, for so many training bars.

    >>> lane_shape(118_000), lane_shape(2_150_000)
    ((64, 32), (256, 64))
    """
    chunk = 64 if bars >= _MANY_BARS else 32
    lanes = round(bars / (UPDATES_PER_EPOCH * chunk) / 8) * 8
    return min(max(lanes, FEWEST_LANES), MOST_LANES), chunk
