"""The ledger, evaluations and training runs as the console shows them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.files import read_json
from tradingai.engine.core.ledger import Ledger, read_ledger
from tradingai.engine.core.ledger import LedgerEntry as Entry
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import ENSEMBLE, model_coin
from tradingai.engine.queries.cached import FileCache
from tradingai.engine.queries.ensemble_views import EnsembleRules, LiveShares, not_live
from tradingai.engine.queries.model_snapshot import (
    EvaluationView,
    LedgerEntry,
    LedgerView,
    Problem,
    RunView,
)
from tradingai.engine.queries.monitor_views import DeskCode
from tradingai.engine.queries.snapshot import JobView
from tradingai.engine.queries.training_views import model_runs

NO_RUNS: Final[Mapping[str, str]] = MappingProxyType({})


def attempt_alpha(attempt: int) -> float:
    """The level of attempt k: 0.05 · 6 / (π² k²), summing to 0.05 over all attempts."""
    return 0.05 * 6.0 / (math.pi**2 * attempt**2)


def next_attempt(ledger: Ledger, model: str, artifact_sha256: str) -> int:
    """The attempt that evaluating this artifact would be (empty: one that nobody has seen yet).

    On the test data of the model's own newest evaluation, or, before there is one, of the newest evaluation
    of any model on each of its coins.
    """
    tests: dict[str, str] = {}
    own = ledger.evaluations(model)
    if own:
        tests = {symbol: str(coin["test_sha256"]) for symbol, coin in own[-1].coins.items()}
    else:
        for entry in (entry for entry in ledger if entry.kind == "evaluated"):
            tests |= {symbol: str(coin["test_sha256"]) for symbol, coin in entry.coins.items()}
        if model_coin(model):
            tests = {symbol: sha256 for symbol, sha256 in tests.items() if symbol == model_coin(model)}
    return max((ledger.attempt(symbol, test, artifact_sha256) for symbol, test in tests.items()), default=1)


class ModelReader:
    """Reads what lies below a home's ``models`` folder. A damaged file is reported, and what was known
    stays.
    """

    def __init__(self, paths: HomePaths, rollback: Callable[[Ledger, str], str | None]) -> None:
        """``rollback`` gives the version a model would go back to, or None."""
        self._paths = paths
        self._rollback = rollback
        self._cache = FileCache()
        self._rules = EnsembleRules(paths)
        self._ledger = Ledger()
        self.problem: Problem | None = None

    def ledger(self) -> Ledger:
        """The newest ledger that could be read; ``problem`` says when the file cannot."""
        try:
            self._ledger = self._cache.get(self._paths.ledger, read_ledger) or Ledger()
            self.problem = None
        except TradingAIError as error:
            self.problem = Problem(error.message, error.remedy)
        return self._ledger

    def cards(self) -> dict[str, dict[str, Any]]:
        """Model to the JSON beside its best artifact."""
        found: dict[str, dict[str, Any]] = {}
        for path in sorted(self._paths.checkpoints.glob("*_best.json")):
            if path.with_suffix(".pt").exists():
                card = self._read(path)
                if card is not None:
                    found[path.stem.removesuffix("_best")] = card
        return found

    def report(self, entry: Entry) -> ModelReport | Problem:
        """The certificate an ``evaluated`` entry names, when it is what the ledger recorded."""
        path = self._paths.versions / entry.model / entry.version / str(entry.details.get("certificate_file"))
        again = f"v evaluates {entry.model} again."
        try:
            found = self._cache.get(path, _read_report)
        except TradingAIError as error:
            return Problem(error.message, error.remedy)
        except (KeyError, TypeError, ValueError):
            return Problem(f"the certificate of {entry.model} {entry.version} is of another version", again)
        if found is None:
            return Problem(f"the certificate of {entry.model} {entry.version} is missing", again)
        if found[1] != entry.details.get("certificate_sha256"):
            return Problem(
                f"the certificate of {entry.model} {entry.version} is not what was recorded", again
            )
        return found[0]

    def evaluations(
        self,
        ledger: Ledger,
        models: Sequence[str],
        cards: Mapping[str, Mapping[str, Any]],
        code: Callable[[], DeskCode],
    ) -> tuple[EvaluationView, ...]:
        """What is known of every model's gates, and what an ensemble of them is made of.

        ``code`` is called once something is live or an ensemble was evaluated.
        """
        found = (self.evaluation(ledger, model, cards.get(model)) for model in models)
        shares = LiveShares(ledger, self._rules, code()) if ledger.live() else None
        return tuple(self._together(ledger, item, shares, code) for item in found)

    def _together(
        self, ledger: Ledger, item: EvaluationView, shares: LiveShares | None, code: Callable[[], DeskCode]
    ) -> EvaluationView:
        """The view with the model's part in the ensemble, or the ensemble's parts."""
        if item.model != ENSEMBLE:
            return item if shares is None else replace(item, share=shares.of(item.model))
        made = self._rules.view(item.version, code()) if item.version is not None else None
        missing = () if made is None else not_live(ledger, made)
        idle = shares.idle if shares is not None else ""
        if missing or made is None:  # it will be made of other versions, as an artifact of its own
            attempt = next_attempt(ledger, item.model, "")
            item = replace(item, next_attempt=attempt, next_alpha=attempt_alpha(attempt))
        return replace(item, ensemble=made, missing=missing, idle=idle)

    def evaluation(self, ledger: Ledger, model: str, card: Mapping[str, Any] | None) -> EvaluationView:
        """What is known of a model's gates."""
        entries = ledger.evaluations(model)
        newest = entries[-1] if entries else None
        live = ledger.live().get(model)
        artifact = str(card.get("sha256", "")) if card else ""
        attempt = next_attempt(ledger, model, artifact or (newest.artifact_sha256 if newest else ""))
        found = self.report(newest) if newest else None
        return EvaluationView(
            model=model,
            report=found if isinstance(found, ModelReport) else None,
            problem=found if isinstance(found, Problem) else None,
            version=newest.version if newest else None,
            live_version=live.version if live else None,
            live_since=live.at if live else None,
            rollback_to=self._rollback(ledger, model) if live else None,
            trained=card is not None,
            stale=bool(newest and artifact and artifact != newest.artifact_sha256),
            next_attempt=attempt,
            next_alpha=attempt_alpha(attempt),
            certificate=str(newest.details.get("certificate_sha256", ""))
            if newest and newest.details["passed"]
            else "",
        )

    def view(self, ledger: Ledger) -> LedgerView:
        """All entries, oldest first."""
        live = {entry.seq for entry in ledger.live().values()}
        return LedgerView(
            tuple(_entry_view(ledger, entry, entry.seq in live) for entry in ledger), self.problem
        )

    def runs(
        self,
        models: Sequence[str],
        jobs: Sequence[JobView],
        ledger: Ledger,
        begun: Mapping[str, str] = NO_RUNS,
    ) -> tuple[RunView, ...]:
        """Every kept run of these models, newest first, with what the store knows of their jobs.

        ``begun`` gives, by job, the run it said it works on.
        """
        cards = self.cards()
        found: list[RunView] = []
        for model in models:
            folder = self._paths.checkpoints / f"{model}_history"
            curves = [self._curve(path) for path in sorted(folder.glob("*.jsonl"))]
            own = [job for job in jobs if job.kind == "train" and job.target == model]
            readable = [curve for curve in curves if curve is not None]
            found += model_runs(model, readable, own, begun, cards.get(model), ledger)
        return tuple(
            sorted(found, key=lambda run: run.started_at.timestamp() if run.started_at else 0.0, reverse=True)
        )

    def _curve(self, path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        try:
            return self._cache.get(path, _read_curve)
        except (OSError, ValueError):
            return None

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            document = self._cache.get(path, read_json)
        except TradingAIError:
            return None
        return document if isinstance(document, dict) else None


def _read_report(path: Path) -> tuple[ModelReport, str]:
    """A report and its hash."""
    report = ModelReport.from_json(read_json(path))
    return report, report.sha256


def _read_curve(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A run and its epochs or stages, from the JSON lines of ``training/history.py``."""
    run, *epochs = [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]
    return run, epochs


def _entry_view(ledger: Ledger, entry: Entry, live: bool) -> LedgerEntry:
    """An entry with the numbers of its version's evaluation."""
    judged = ledger.evaluations(entry.model, entry.version)
    evaluation = entry if entry.kind == "evaluated" else (judged[-1] if judged else None)
    details = evaluation.details if evaluation else {}
    gates = details.get("gates") or {}
    passed = details.get("passed")
    event = {"promoted": "promoted", "rolled_back": "rolled back"}.get(entry.kind, "evaluated")
    if entry.kind == "evaluated" and not passed:
        event = "refused"
    return LedgerEntry(
        index=entry.seq,
        version=entry.version,
        model=entry.model,
        event=event,
        at=entry.at,
        live=live,
        passed=passed,
        accuracy=(details.get("metrics") or {}).get("accuracy"),
        gates_passed=sum(1 for good in gates.values() if good) if gates else None,
        gates_total=len(gates) or None,
        artifact_sha256=entry.artifact_sha256,
        attempt=details.get("attempt"),
        who=entry.who,
        why=entry.why,
        data_sha256=str(details.get("data_sha256", "")),
        features_sha256=str(details.get("features_sha256", "")),
        certificate=str(details.get("certificate_sha256", "")) if passed else "",
        previous=str(entry.details.get("previous") or ""),
        coins=_coin_results(evaluation) if evaluation is not None else (),
        components=tuple((model, version) for model, version, _ in details.get("components") or ()),
    )


def _coin_results(evaluation: Entry) -> tuple[tuple[str, float | None, tuple[str, ...]], ...]:
    """Coin, accuracy and refusing gates of a version of several; empty of a version of one."""
    if "coins" not in evaluation.details:
        return ()
    return tuple(
        (
            symbol,
            (coin.get("metrics") or {}).get("accuracy"),
            tuple(gate for gate, good in (coin.get("gates") or {}).items() if not good),
        )
        for symbol, coin in evaluation.coins.items()
    )
