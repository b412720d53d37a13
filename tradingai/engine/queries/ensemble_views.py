"""What an ensemble is made of and by which weights it speaks, from the card beside its artifact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.files import read_json
from tradingai.engine.core.ledger import Ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import ENSEMBLE, MULTI_COIN_MODELS, model_kind
from tradingai.engine.queries.cached import FileCache
from tradingai.engine.queries.model_snapshot import AgentView, ComponentView, EnsembleView

if TYPE_CHECKING:
    from tradingai.engine.queries.monitor_views import DeskCode

_NO_CONFIG: Final[Mapping[str, Any]] = MappingProxyType({})


class EnsembleRules:
    """Reads the cards of an ensemble's versions, each once."""

    def __init__(self, paths: HomePaths) -> None:
        self._paths = paths
        self._cache = FileCache()

    def card(self, version: str) -> Mapping[str, Any] | None:
        """The JSON beside the artifact; None when it is missing, damaged or of no ensemble."""
        try:
            document = self._cache.get(self._path(version), read_json)
        except TradingAIError:
            return None
        if not isinstance(document, dict) or document.get("kind") != ENSEMBLE:
            return None
        return document

    def rule(self, version: str) -> Mapping[str, Any] | None:
        """Its configuration: components, weights, whether the agent joins."""
        card = self.card(version)
        return None if card is None else card["config"]

    def view(self, version: str, code: DeskCode) -> EnsembleView | None:
        """How a version is made; None when its card cannot be read."""
        card = self.card(version)
        if card is None:
            return None
        rule = card["config"]
        shares = {
            symbol: code.shares(_kinds(coin["calibrators"]), _NO_CONFIG, rule)
            for symbol, coin in card["record"]["coins"].items()
        }
        agent = card["record"].get("agent")
        return EnsembleView(
            version=version,
            components=tuple(ComponentView(*part) for part in rule["components"]),
            shares=MappingProxyType(shares),
            agent=None if agent is None else _agent(agent),
        )

    def _path(self, version: str) -> Path:
        return self._paths.version_model(ENSEMBLE, version).with_suffix(".json")


class LiveShares:
    """The weights that hold for the models that are live, and whether the live ensemble speaks."""

    def __init__(self, ledger: Ledger, rules: EnsembleRules, code: DeskCode) -> None:
        live = ledger.live()
        parts = {model: entry for model, entry in live.items() if model_kind(model) != ENSEMBLE}
        rule = rules.rule(live[ENSEMBLE].version) if ENSEMBLE in live else None
        self.idle = ""
        if rule is not None:
            named = [(model, entry.version, entry.artifact_sha256) for model, entry in parts.items()]
            self.idle = code.unfit(named, rule)
        elif ENSEMBLE in live:
            self.idle = f"the description of {ENSEMBLE} {live[ENSEMBLE].version} cannot be read"
        kinds = {model_kind(model) for model in parts}
        shares = code.shares(kinds, _NO_CONFIG, None if self.idle else rule)
        self._shares = {model: shares[model_kind(model)] for model in parts if model_kind(model) in shares}

    def of(self, model: str) -> float | None:
        """A live model's weight; None when it takes no part."""
        return self._shares.get(model)


def not_live(ledger: Ledger, view: EnsembleView) -> tuple[str, ...]:
    """The components of which another version is live, or none: ``ppo v1.0.0``."""
    live = ledger.live()
    return tuple(
        f"{part.model} {part.version}"
        for part in view.components
        if part.model not in live or live[part.model].artifact_sha256 != part.sha256
    )


def several_kinds(models: Mapping[str, Any]) -> bool:
    """Whether there are models of two kinds, of which an ensemble can be made."""
    return len({model_kind(model) for model in models} - {ENSEMBLE}) > 1


def in_order(models: set[str], coins_first: tuple[str, ...]) -> tuple[str, ...]:
    """``coins_first`` and the rest of the LSTMs, then transformer, agent and ensemble."""
    several = [model for model in MULTI_COIN_MODELS if model in models]
    others = sorted(models - set(coins_first) - set(several))
    return (*coins_first, *others, *several)


def _kinds(calibrators: Mapping[str, Any]) -> set[str]:
    """The kinds that speak of a coin: every one is named in some subset."""
    return {kind for subset in calibrators for kind in subset.split("+")}


def _agent(document: Mapping[str, Any]) -> AgentView:
    bounds = document["difference_ci"]
    return AgentView(
        joins=bool(document["joins"]),
        reason=str(document["reason"]),
        days=int(document["days"]),
        daily_r_with=float(document["daily_r_with"]),
        daily_r_without=float(document["daily_r_without"]),
        difference=None if bounds is None else (float(bounds[0]), float(bounds[1])),
        alpha=float(document["alpha"]),
        required_gain=float(document["required_gain"]),
    )
