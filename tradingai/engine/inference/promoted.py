"""Which models are live, by the ledger, and their artifacts, checked by hash."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tradingai.engine.core.errors import ArtifactError, TradingAIError
from tradingai.engine.core.events import ModelRefused
from tradingai.engine.core.ledger import Ledger, LedgerEntry, read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.decision.ensemble import (
    MODEL_KINDS,
    OTHER_WEIGHTS,
    EnsembleConfig,
    made_otherwise,
)
from tradingai.engine.features.declaration import FeatureSet
from tradingai.engine.features.registry import feature_set
from tradingai.engine.models.artifact import ModelArtifact, feature_difference, load_artifact
from tradingai.engine.models.ensemble import ENSEMBLE, EnsembleRule, components_of, rule_of

RUNNABLE: Final = frozenset(MODEL_KINDS)
"""Kinds of models that this version can run minute by minute."""


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A version with its artifact, ready to run. Raises ArtifactError when it cannot be."""

    model: str
    version: str
    artifact: ModelArtifact

    def __post_init__(self) -> None:
        if self.artifact.kind not in RUNNABLE:
            raise ArtifactError(
                f"{self.model} is of kind {self.artifact.kind!r}, which this version cannot run",
                remedy="Use the version of tradingai that made it.",
            )
        for part in self.artifact.coins:
            if part.definitions_sha256 != self.features[part.symbol].sha256:
                trained = dict(zip(part.feature_names, part.feature_sha256, strict=True))
                now = {feature.name: feature.sha256 for feature in self.features[part.symbol].features}
                raise ArtifactError(
                    f"{self.model} {self.version} was trained on other features than this version computes: "
                    f"{feature_difference(trained, now)}",
                    remedy=f"Train it again, or roll back: `tradingai models rollback {self.model}`.",
                )

    @property
    def kind(self) -> str:
        """``lstm`` and so on: what its weight in the ensemble goes by."""
        return self.artifact.kind

    @property
    def symbols(self) -> tuple[str, ...]:
        """The coins it looks at and speaks of."""
        return self.artifact.symbols

    @property
    def sha256(self) -> str:
        """The artifact's value hash."""
        return self.artifact.sha256

    @cached_property
    def features(self) -> dict[str, FeatureSet]:
        """By coin the features it was trained on, as this version computes them."""
        return {part.symbol: feature_set(part.symbol, part.peers) for part in self.artifact.coins}

    @property
    def reach(self) -> int:
        """Minutes of candles before its first probability."""
        return max(one.lookback for one in self.features.values()) + self.artifact.warmup.bars + 1


@dataclass(frozen=True, eq=False)
class LiveEnsemble:
    """A promoted ensemble: how the models it was made of become one probability."""

    version: str
    artifact: ModelArtifact

    @cached_property
    def rule(self) -> EnsembleRule:
        """Weights, calibrators, and whether the agent takes part."""
        return rule_of(self.artifact)

    def unfit(self, models: Iterable[LiveModel], config: EnsembleConfig) -> str:
        """Why it says nothing of these models with these weights; empty when it does."""
        parts = [(part.model, part.version, part.sha256) for part in components_of(self.artifact)]
        otherwise = made_otherwise(((live.model, live.version, live.sha256) for live in models), parts)
        if not otherwise and self.rule.config != config:
            return OTHER_WEIGHTS
        return otherwise


@dataclass(frozen=True, slots=True)
class PromotedModels:
    """What the ledger says is live: the models that can run, and why the others cannot."""

    models: tuple[LiveModel, ...] = ()
    refused: tuple[ModelRefused, ...] = ()
    ensemble: LiveEnsemble | None = None

    @property
    def hashes(self) -> dict[str, str]:
        """Model id to artifact hash, for the run's record."""
        found = {live.model: live.sha256 for live in self.models}
        return found if self.ensemble is None else {**found, ENSEMBLE: self.ensemble.artifact.sha256}

    @property
    def versions(self) -> dict[str, str]:
        """Model id to version."""
        found = {live.model: live.version for live in self.models}
        return found if self.ensemble is None else {**found, ENSEMBLE: self.ensemble.version}

    def note(self, symbol: str) -> str:
        """Why a coin has no probability when no model of it runs."""
        for event in self.refused:
            if event.model.endswith(symbol) or "_" not in event.model:
                return f"{event.model} {event.version} was refused: {event.reason}"
        return "no model is promoted"


def load_promoted(
    paths: HomePaths, ledger: Ledger, symbols: Iterable[str], known: PromotedModels | None = None
) -> PromotedModels:
    """Load what is live of the models of ``symbols``; those in ``known`` that still are stay as they are.

    A model whose file is missing, damaged or not the one the ledger recorded is refused: nothing is raised.
    """
    wanted = list(symbols)
    known = known or PromotedModels()
    before: dict[tuple[str, str, str], LiveModel | LiveEnsemble] = {
        (live.model, live.version, live.sha256): live for live in known.models
    }
    if known.ensemble is not None:
        before[ENSEMBLE, known.ensemble.version, known.ensemble.artifact.sha256] = known.ensemble
    found: list[LiveModel | LiveEnsemble] = []
    refused: list[ModelRefused] = []
    coins = {model: _coins(ledger, entry, wanted) for model, entry in ledger.live().items()}
    live = [(model, entry) for model, entry in ledger.live().items() if coins[model]]
    for model, entry in sorted(live, key=lambda item: (coins[item[0]][0], item[0])):
        try:
            kept = before.get((model, entry.version, entry.artifact_sha256))
            found.append(kept or load_version(paths, entry))
        except TradingAIError as error:
            refused.append(
                ModelRefused(model=model, version=entry.version, reason=error.message, remedy=error.remedy)
            )
    models = tuple(one for one in found if isinstance(one, LiveModel))
    ensembles = [one for one in found if isinstance(one, LiveEnsemble)]
    return PromotedModels(models, tuple(refused), next(iter(ensembles), None))


def load_version(paths: HomePaths, entry: LedgerEntry) -> LiveModel | LiveEnsemble:
    """The version an entry made live. Raises ArtifactError or MissingError when it cannot be used."""
    path = paths.version_model(entry.model, entry.version)
    artifact = load_artifact(path, expect_sha256=entry.artifact_sha256)
    if artifact.kind == ENSEMBLE:
        ensemble = LiveEnsemble(entry.version, artifact)
        components_of(artifact), ensemble.rule
        return ensemble
    return LiveModel(entry.model, entry.version, artifact)


class PromotionWatch:
    """Notices between scans that the ledger changed, at the cost of looking at one file's date."""

    def __init__(self, paths: HomePaths, symbols: Iterable[str]) -> None:
        self._paths = paths
        self._symbols = tuple(symbols)
        self._seen: tuple[int, ...] | None = None
        self.current = PromotedModels()

    def look(self) -> bool:
        """Load again when the ledger changed; True when something else is live, or refused, than before.

        Raises RegistryError when the ledger cannot be read: what was live stays so.
        """
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        before = _identity(self.current)
        self.current = load_promoted(
            self._paths, read_ledger(self._paths.ledger), self._symbols, self.current
        )
        self._seen = stamp
        return _identity(self.current) != before

    def _stamp(self) -> tuple[int, ...]:
        try:
            state = self._paths.ledger.stat()
        except FileNotFoundError:
            return ()
        return (state.st_ino, state.st_size, state.st_mtime_ns)


def _identity(promoted: PromotedModels) -> tuple[Mapping[str, str], tuple[ModelRefused, ...]]:
    versions = promoted.versions
    return {
        f"{model} {versions[model]}": sha256 for model, sha256 in promoted.hashes.items()
    }, promoted.refused


def _coins(ledger: Ledger, entry: LedgerEntry, wanted: list[str]) -> list[int]:
    """Which of the wanted coins a live version was evaluated on, by their places."""
    evaluated = ledger.evaluations(entry.model, entry.version)[-1].coins
    return sorted(wanted.index(symbol) for symbol in evaluated if symbol in wanted)
