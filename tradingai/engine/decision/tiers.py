"""Confidence tiers with hysteresis."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Tier(StrEnum):
    """Ascending. A confidence below the lowest has no tier."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


TIERS: Final = tuple(Tier)
_RANK: Final = {tier: rank for rank, tier in enumerate(TIERS)}


@dataclass(frozen=True, slots=True)
class TierConfig:
    """Where low, medium and high begin, and how far below its beginning a tier is left."""

    bounds: tuple[float, float, float] = (0.55, 0.65, 0.75)
    hysteresis: float = 0.02

    def __post_init__(self) -> None:
        if list(self.bounds) != sorted(self.bounds) or not 0 <= self.hysteresis < 1:
            raise ValueError(f"tier bounds ascend and the hysteresis is not negative: {self}")


def tier_of(confidence: float, config: TierConfig, previous: Tier | None = None) -> Tier | None:
    """The tier of ``confidence`` when the coin's last tier on the same side was ``previous``.

    A tier is entered at its bound and left only below bound − hysteresis, each bound by itself: from high,
    0.74 is still high and 0.64 is medium. NaN has no tier.
    """
    held = -1 if previous is None else _RANK[previous]
    for rank in range(len(TIERS) - 1, -1, -1):
        bound = config.bounds[rank] - (config.hysteresis if held >= rank else 0.0)
        if confidence >= bound:
            return TIERS[rank]
    return None
