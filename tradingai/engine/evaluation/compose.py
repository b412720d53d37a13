"""Making an ensemble of the models there are: its calibrators, and whether the agent takes part.

It is made of the versions that are live. While models of no two kinds are live it is made of the newest
version of every model, so that what the gates say of it can be seen; the registry promotes it only when all
it is made of is live. Everything is fitted on the second half of validation, as the calibrators of single
models are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tradingai.engine.core.candles import Floats
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import ArtifactError, MissingError
from tradingai.engine.core.jsonio import iso_z, plain
from tradingai.engine.core.ledger import Ledger, LedgerEntry
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.datasets.together import load_together
from tradingai.engine.decision.ensemble import AGENT, MODEL_KINDS
from tradingai.engine.evaluation.agent import AgentComparison, Weighed, compare_agent
from tradingai.engine.evaluation.backtest import BacktestPlan
from tradingai.engine.models.artifact import (
    CoinPart,
    ModelArtifact,
    Warmup,
    best_path,
    check_data,
    load_artifact,
    save_artifact,
)
from tradingai.engine.models.calibration import CalibrationFit, Calibrator, fit_calibrator
from tradingai.engine.models.device import choose_compute, reproducible
from tradingai.engine.models.ensemble import (
    ENSEMBLE,
    Component,
    EnsembleRule,
    ensemble_document,
    mean_logit,
    said_by,
    subset_name,
    subsets,
)
from tradingai.engine.models.voice import NetworkVoice

THREADS: Final = 1
"""Part of what an ensemble is made by: sums in another order round differently."""


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """The versions, what they say, and the data of every coin they look at."""

    components: tuple[Component, ...]
    voices: tuple[NetworkVoice, ...]
    data: tuple[Dataset, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The coins that somebody speaks of; the agent alone decides nothing."""
        spoken = {
            symbol
            for voice in self.voices
            for symbol in voice.artifact.symbols
            if voice.artifact.kind != AGENT
        }
        return tuple(one.symbol for one in self.data if one.symbol in spoken)

    def coin(self, symbol: str) -> Dataset:
        """One coin's data."""
        return next(one for one in self.data if one.symbol == symbol)

    def part(self, symbol: str) -> CoinPart:
        """What the first component that speaks of the coin has of it."""
        voice = next(voice for voice in self.voices if symbol in voice.artifact.symbols)
        return voice.artifact.coin(symbol)

    def said(self, lo: int, hi: int) -> dict[str, dict[str, Floats]]:
        """Coin to kind to calibrated P(up) of rows [lo, hi)."""
        values = {one.symbol: one.values for one in self.data}
        first = self.data[0].features.first_valid
        return said_by(self.voices, self.symbols, values, Rows(lo, hi), first)


def compose_ensemble(
    paths: HomePaths, ledger: Ledger, plan: BacktestPlan, reporter: Reporter, *, clock: Clock
) -> ModelArtifact:
    """Make the ensemble, publish it as a checkpoint like that of a trained model, and return it.

    Weights and thresholds are those of ``plan``. Raises MissingError when no two kinds of models speak of
    any coin, ArtifactError when a version cannot be used or was trained on other data than is stored.
    """
    parts = _parts(paths, ledger)
    reporter.safe_point()
    with reproducible(choose_compute("cpu"), THREADS):
        rows = parts.data[0].split.calibration
        said = parts.said(rows.lo, rows.hi)
        fits = {symbol: _calibrations(parts.coin(symbol), said[symbol], plan) for symbol in parts.symbols}
        calibrators = {
            symbol: {name: fit.calibrator for name, fit in found.items()} for symbol, found in fits.items()
        }
        rule = EnsembleRule(plan.config.decision.ensemble, calibrators)
        comparison = _compare(paths, parts, said, rule, plan, reporter)
    rule = replace(rule, agent_joins=comparison is not None and comparison.joins)
    artifact = _artifact(parts, rule, fits, comparison, clock)
    if _kept(paths) != artifact.sha256:
        save_artifact(best_path(paths, ENSEMBLE), artifact)
    return artifact


def _kept(paths: HomePaths) -> str:
    """The hash of the ensemble that is there already; empty without one that can be read."""
    try:
        return load_artifact(best_path(paths, ENSEMBLE)).sha256
    except (ArtifactError, MissingError):
        return ""


def component_entries(ledger: Ledger) -> tuple[LedgerEntry, ...]:
    """The versions an ensemble would be made of: what is live, or else of every model the newest."""
    live = {model: entry for model, entry in ledger.live().items() if _kind(model)}
    newest = {model: ledger.evaluations(model)[-1] for model in ledger.models() if _kind(model)}
    chosen = live if len({_kind(model) for model in live}) > 1 else newest
    return tuple(
        chosen[model] for model in sorted(chosen, key=lambda name: (MODEL_KINDS.index(_kind(name)), name))
    )


def _kind(model: str) -> str:
    """The kind of a model that can be part of an ensemble, else empty."""
    kind = model.partition("_")[0]
    return kind if kind in MODEL_KINDS else ""


def _parts(paths: HomePaths, ledger: Ledger) -> _Parts:
    entries = component_entries(ledger)
    voices = []
    for entry in entries:
        path = paths.version_model(entry.model, entry.version)
        voices.append(NetworkVoice(load_artifact(path, expect_sha256=entry.artifact_sha256)))
    kinds: dict[str, set[str]] = {}
    for voice in voices:
        for symbol in voice.artifact.symbols:
            kinds.setdefault(symbol, set()).add(voice.artifact.kind)
    if not any(len(found) > 1 for found in kinds.values()):
        there = ", ".join(f"{entry.model} {entry.version}" for entry in entries) or "no model"
        raise MissingError(
            f"an ensemble needs two kinds of models of a coin; there is {there}",
            remedy="Train, evaluate and promote another kind: `tradingai train transformer`, "
            "`tradingai evaluate transformer`, `tradingai models promote transformer`.",
        )
    inputs = dict.fromkeys(symbol for voice in reversed(voices) for symbol in voice.inputs)
    data = load_together(paths, tuple(inputs))
    for voice in voices:
        for one in data:
            if one.symbol in voice.artifact.symbols:
                check_data(voice.artifact, one)
    components = (
        Component(entry.model, voice.artifact.kind, entry.version, entry.artifact_sha256)
        for entry, voice in zip(entries, voices, strict=True)
    )
    return _Parts(tuple(components), tuple(voices), data)


def _calibrations(data: Dataset, said: Mapping[str, Floats], plan: BacktestPlan) -> dict[str, CalibrationFit]:
    """Subset to the calibrator fitted on the mean's logit over the second half of validation."""
    labels = data.labels[data.split.calibration.slice]
    return {
        subset_name(kinds): fit_calibrator(mean_logit(said, kinds, plan.config.decision.ensemble), labels)
        for kinds in subsets(said)
    }


def _compare(
    paths: HomePaths,
    parts: _Parts,
    said: Mapping[str, Mapping[str, Floats]],
    rule: EnsembleRule,
    plan: BacktestPlan,
    reporter: Reporter,
) -> AgentComparison | None:
    """The ensemble with the agent beside the one without, on every coin of which others speak too."""
    coins = []
    for symbol, outputs in said.items():
        if AGENT not in outputs or len(outputs) < 2:
            continue
        others = {kind: one for kind, one in outputs.items() if kind != AGENT}
        with_agent = replace(rule, agent_joins=True).probability(symbol, dict(outputs))
        coins.append(Weighed(parts.coin(symbol), with_agent, rule.probability(symbol, others)))
    return compare_agent(paths, coins, plan, reporter) if coins else None


def _artifact(
    parts: _Parts,
    rule: EnsembleRule,
    fits: Mapping[str, Mapping[str, CalibrationFit]],
    comparison: AgentComparison | None,
    clock: Clock,
) -> ModelArtifact:
    first = parts.data[0]
    return ModelArtifact(
        model=ENSEMBLE,
        kind=ENSEMBLE,
        coins=tuple(
            replace(parts.part(symbol), calibrator=_main(rule, fits[symbol])) for symbol in parts.symbols
        ),
        config=plain(ensemble_document(rule, parts.components)),
        tensors={},
        warmup=_warmup([voice.artifact.warmup for voice in parts.voices]),
        record=_record(parts, fits, comparison),
        market=first.features.market,
        synthetic=first.features.synthetic,
        notes={"created_at": iso_z(clock.now())},
    )


def _main(rule: EnsembleRule, fits: Mapping[str, CalibrationFit]) -> Calibrator:
    """The calibrator of all that takes part; the identity where one model speaks alone."""
    kinds = {kind for name in fits for kind in name.split("+")}
    found = fits.get(subset_name(rule.speaking(kinds)))
    return Calibrator() if found is None else found.calibrator


def _warmup(of: Sequence[Warmup]) -> Warmup:
    """The longest of the components'."""
    return max(of, key=lambda warmup: warmup.bars)


def _record(
    parts: _Parts, fits: Mapping[str, Mapping[str, CalibrationFit]], comparison: AgentComparison | None
) -> dict[str, Any]:
    """As :mod:`tradingai.engine.training.record` has it; what was trained on is what the components were."""
    split = parts.data[0].split
    calibration = [list(split.calibration)]
    trained = [voice.artifact.record["consumed"] for voice in parts.voices]
    consumed: dict[str, Any] = {
        purpose: {
            part: _union(one[purpose].get(part, []) for one in trained if purpose in one)
            for part in ("fed", "scored")
        }
        for purpose in ("train", "early_stop")
    }
    reach = max(voice.warmup for voice in parts.voices)
    first = parts.data[0].features.first_valid
    fed = [[max(first, split.calibration.lo - reach), split.calibration.hi]]
    consumed["calibration"] = {"fed": fed, "scored": calibration}
    record: dict[str, Any] = plain(
        {
            "identity": {"model": ENSEMBLE, "threads": THREADS},
            "seed": 0,
            "threads": THREADS,
            "device": "cpu",
            "coins": {
                symbol: {
                    "inputs": {"inputs_sha256": parts.coin(symbol).inputs_sha256},
                    "calibrators": {name: fit.as_dict() for name, fit in fits[symbol].items()},
                }
                for symbol in parts.symbols
            },
            "split": split.as_dict(),
            "consumed": consumed,
            "fitted": {"calibrator": {"rows": list(split.calibration)}},
            "agent": None if comparison is None else comparison.as_json(),
        }
    )
    return record


def _union(ranges: Iterable[Iterable[Sequence[int]]]) -> list[list[int]]:
    """Every row that some component consumed, as ranges in order; components may share rows.

    >>> _union([[[0, 5], [9, 12]], [[3, 6]]])
    [[0, 6], [9, 12]]
    """
    merged: list[list[int]] = []
    for lo, hi in sorted(tuple(pair) for found in ranges for pair in found):
        if merged and lo <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], hi)
        else:
            merged.append([lo, hi])
    return merged
