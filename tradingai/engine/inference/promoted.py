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
from tradingai.engine.features.declaration import FeatureSet
from tradingai.engine.features.registry import feature_set
from tradingai.engine.models.artifact import ModelArtifact, feature_difference, load_artifact
from tradingai.engine.registry.versions import MODEL_FILE, version_folder

RUNNABLE: Final = frozenset({"lstm"})
"""Kinds of models that this version can run minute by minute."""


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A version with its artifact, ready to run on one coin. Raises ArtifactError when it cannot be."""

    model: str
    version: str
    artifact: ModelArtifact

    def __post_init__(self) -> None:
        if self.artifact.kind not in RUNNABLE:
            raise ArtifactError(
                f"{self.model} is of kind {self.artifact.kind!r}, which this version cannot run",
                remedy="Use the version of tradingai that made it.",
            )
        (part,) = self.artifact.coins
        if part.definitions_sha256 != self.features.sha256:
            trained = dict(zip(part.feature_names, part.feature_sha256, strict=True))
            now = {feature.name: feature.sha256 for feature in self.features.features}
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
    def symbol(self) -> str:
        """The coin."""
        return self.artifact.symbols[0]

    @property
    def sha256(self) -> str:
        """The artifact's value hash."""
        return self.artifact.sha256

    @cached_property
    def features(self) -> FeatureSet:
        """The features it was trained on, as this version computes them."""
        part = self.artifact.coins[0]
        return feature_set(part.symbol, part.peers)


@dataclass(frozen=True, slots=True)
class PromotedModels:
    """What the ledger says is live: the models that can run, and why the others cannot."""

    models: tuple[LiveModel, ...] = ()
    refused: tuple[ModelRefused, ...] = ()

    @property
    def hashes(self) -> dict[str, str]:
        """Model id to artifact hash, for the run's record."""
        return {live.model: live.sha256 for live in self.models}

    def note(self, symbol: str) -> str:
        """Why a coin has no probability when no model of it runs."""
        for event in self.refused:
            if event.model.endswith(symbol):
                return f"{event.model} {event.version} was refused: {event.reason}"
        return "no model is promoted"


def load_promoted(
    paths: HomePaths, ledger: Ledger, symbols: Iterable[str], known: PromotedModels | None = None
) -> PromotedModels:
    """Load what is live of the models of ``symbols``; those in ``known`` that still are stay as they are.

    A model whose file is missing, damaged or not the one the ledger recorded is refused: nothing is raised.
    """
    wanted = list(symbols)
    before = {(live.model, live.version, live.sha256): live for live in (known or PromotedModels()).models}
    models: list[LiveModel] = []
    refused: list[ModelRefused] = []
    coins = {model: _symbol(ledger, entry) for model, entry in ledger.live().items()}
    live = [(model, entry) for model, entry in ledger.live().items() if coins[model] in wanted]
    for model, entry in sorted(live, key=lambda item: (wanted.index(coins[item[0]]), item[0])):
        try:
            kept = before.get((model, entry.version, entry.artifact_sha256))
            models.append(kept or load_version(paths, entry))
        except TradingAIError as error:
            refused.append(
                ModelRefused(model=model, version=entry.version, reason=error.message, remedy=error.remedy)
            )
    return PromotedModels(tuple(models), tuple(refused))


def load_version(paths: HomePaths, entry: LedgerEntry) -> LiveModel:
    """The version an entry made live. Raises ArtifactError or MissingError when it cannot be used."""
    path = version_folder(paths, entry.model, entry.version) / MODEL_FILE
    return LiveModel(entry.model, entry.version, load_artifact(path, expect_sha256=entry.artifact_sha256))


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
    return {f"{live.model} {live.version}": live.sha256 for live in promoted.models}, promoted.refused


def _symbol(ledger: Ledger, entry: LedgerEntry) -> str:
    """The coin a live version was evaluated on."""
    evaluations = ledger.evaluations(entry.model, entry.version)
    return str(evaluations[-1].details["symbol"])
