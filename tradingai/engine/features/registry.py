"""All declared features, and the set a coin has beside its peers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from tradingai.engine.features.declaration import Feature, FeatureSet
from tradingai.engine.features.formulas import session, timeframes, trend, volatility, volume
from tradingai.engine.features.formulas.peers import peer_features

FEATURES: Final[tuple[Feature, ...]] = (
    *session.FEATURES,
    *trend.FEATURES,
    *volatility.FEATURES,
    *volume.FEATURES,
    *timeframes.FEATURES,
)
"""What every coin has; lead-lag features come with its peers."""


ATR_RATIO: Final = "atr_14_ratio"
"""The feature that gives the paper account its ATR(14), as a share of the close."""


@cache
def feature_set(symbol: str, peers: tuple[str, ...] = ()) -> FeatureSet:
    """The features of ``symbol``: :data:`FEATURES`, then the lead-lag features of each peer by name.

    The order of ``peers`` does not matter; the coin itself is no peer.
    """
    others = tuple(sorted(set(peers) - {symbol}))
    lead_lag = (feature for peer in others for feature in peer_features(peer))
    return FeatureSet(symbol, others, (*FEATURES, *lead_lag))


def peers_of(names: Iterable[str]) -> tuple[str, ...]:
    """The coins whose lead-lag features are among these column names, in their order."""
    marks = "lead_", "_gap_15"
    found = (name.removeprefix(marks[0]).removesuffix(marks[1]) for name in names if name.endswith(marks[1]))
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class FeatureDescription:
    """One row of `features list`. ``lookback`` counts one-minute bars."""

    name: str
    group: str
    lookback: int
    meaning: str
    source: str


def describe_features(symbol: str = "", peers: tuple[str, ...] = ()) -> tuple[FeatureDescription, ...]:
    """The declared features in column order, for reading."""
    return tuple(
        FeatureDescription(feature.name, feature.group, feature.lookback, feature.meaning, feature.source)
        for feature in feature_set(symbol, peers).features
    )
