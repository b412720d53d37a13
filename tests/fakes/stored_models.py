"""Models of several coins that have an opinion on every minute of the small stored market."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from tradingai.engine.decision.ensemble import EnsembleConfig
from tradingai.engine.features.compute import Features, compute
from tradingai.engine.features.registry import feature_set
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.inference.promoted import LiveEnsemble, LiveModel
from tradingai.engine.models.artifact import CoinPart, ModelArtifact, Warmup
from tradingai.engine.models.calibration import Calibrator
from tradingai.engine.models.ensemble import Component, EnsembleRule, EnsembleVoice, ensemble_document
from tradingai.engine.models.policy import PolicyConfig, PolicyNetwork
from tradingai.engine.models.transformer import TransformerConfig, TransformerNetwork
from tradingai.engine.models.voice import NetworkVoice

from tests.fakes.stored_market import COINS, candles, live_model

CALIBRATOR = Calibrator("platt", 1.3, 0.1)


@cache
def features_of_all() -> dict[str, Features]:
    """Features of every coin over the whole small market, NaN before the look-back."""
    market = candles()
    values = {}
    for symbol in COINS:
        features = feature_set(symbol, tuple(set(COINS) - {symbol}))
        values[symbol] = compute(features, market[symbol], {one: market[one].close for one in features.peers})
    return values


def first_row() -> int:
    """The first row with features of every coin."""
    return max(feature_set(symbol, tuple(set(COINS) - {symbol})).lookback for symbol in COINS)


@cache
def opinionated_market(kind: str, seed: int = 0) -> ModelArtifact:
    """An untrained Transformer or agent of all coins whose probability wanders between 0 and 1."""
    values, first = features_of_all(), first_row()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = tuple(values[symbol].shape[1] for symbol in COINS)
        if kind == "transformer":
            network = TransformerNetwork(TransformerConfig(widths, projection=6, width=16, window=16))
        else:
            network = PolicyNetwork(PolicyConfig(len(COINS), widths[0], hidden=8, width=8))
    parts = []
    for symbol in COINS:
        features = feature_set(symbol, tuple(set(COINS) - {symbol}))
        parts.append(
            CoinPart(
                symbol,
                Scaler.fit(features.names, values[symbol], first, len(values[symbol])),
                Calibrator(),
                features.names,
                tuple(feature.sha256 for feature in features.features),
                features.sha256,
            )
        )
    bars = 30 if kind == "transformer" else 0
    artifact = ModelArtifact(
        model=kind,
        kind=kind,
        coins=tuple(parts),
        config=network.config.as_dict(),
        tensors={name: value.clone() for name, value in network.state_dict().items()},
        warmup=Warmup(bars, bars, agrees=True, difference=1e-8, tolerance=1e-6, starts=10),
        record={"identity": {"seed": seed}, "epochs_run": 1},
        market="cycles",
        synthetic=True,
    )
    logits = NetworkVoice(artifact).logits(values, first, len(values[COINS[0]]), first)
    calibrators = [
        Calibrator("platt", 1.2 / float(own.std()), -1.2 * float(own.mean() / own.std())) for own in logits.T
    ]
    coins = (replace(part, calibrator=one) for part, one in zip(parts, calibrators, strict=True))
    return replace(artifact, coins=tuple(coins))


def live_market(kind: str, version: str = "v1.0.0") -> LiveModel:
    """The same, promoted."""
    return LiveModel(kind, version, opinionated_market(kind))


def live_ensemble(models: tuple[LiveModel, ...], *, agent_joins: bool = False) -> LiveEnsemble:
    """An ensemble made of these, with one calibrator for every subset that can speak."""
    components = [Component(live.model, live.kind, live.version, live.sha256) for live in models]
    names = ("lstm+transformer", "lstm+ppo", "transformer+ppo", "lstm+transformer+ppo")
    rule = EnsembleRule(
        EnsembleConfig(), {symbol: dict.fromkeys(names, CALIBRATOR) for symbol in COINS}, agent_joins
    )
    artifact = replace(
        opinionated_market("transformer"), model="ensemble", kind="ensemble", tensors={},
        config=ensemble_document(rule, components),
    )  # fmt: skip
    return LiveEnsemble("v1.0.0", artifact)


def everybody() -> tuple[LiveModel, ...]:
    """An LSTM of every coin, a Transformer and an agent."""
    return (*(live_model(symbol) for symbol in COINS), live_market("transformer"), live_market("ppo"))


def batch_of(models: tuple[LiveModel, ...], ensemble: LiveEnsemble) -> dict[str, np.ndarray]:
    """Coin to the ensemble's P(up) of every row from the first with features."""
    voice = EnsembleVoice(ensemble.artifact, [NetworkVoice(live.artifact) for live in models])
    values, first = features_of_all(), first_row()
    return voice.probabilities(values, first, len(values[COINS[0]]), first)
