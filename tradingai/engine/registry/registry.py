"""Recording evaluations, promoting and rolling back. The ledger is the truth; links follow from it.

Every change happens under ``locks/registry``: data first (version folder, certificate), then the ledger
in one rename, then the link. A process killed in between leaves a leftover that the next change or
:meth:`Registry.repair` removes, or a link that :meth:`Registry.repair` corrects. There is no force option.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import GateRefusedError, MissingError, RegistryError
from tradingai.engine.core.files import write_atomic
from tradingai.engine.core.ledger import Candidate, Ledger, LedgerEntry, read_ledger
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.report import EvaluationReport
from tradingai.engine.registry.certificates import (
    CORRUPT_REMEDY,
    certificate_name,
    check_version,
    read_certificate,
    store_certificate,
)
from tradingai.engine.registry.links import refuse_lost_ledger, repair_links, set_link
from tradingai.engine.registry.versions import (
    check_names,
    store_version,
    sweep_versions,
)


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One row of ``models list``."""

    model: str
    version: str
    promoted: bool
    """Live now."""
    created_at: datetime
    passed: bool
    exploratory: bool
    accuracy: float | None
    sha256: str
    attempt: int
    gates: dict[str, bool]

    def as_json(self) -> dict[str, Any]:
        """The document of ``models list --json``."""
        return {
            "model": self.model,
            "version": self.version,
            "promoted": self.promoted,
            "created_at": self.created_at,
            "passed": self.passed,
            "exploratory": self.exploratory,
            "accuracy": self.accuracy,
            "sha256": self.sha256,
            "attempt": self.attempt,
            "gates": self.gates,
        }


class Registry:
    """The models of one home. Reading takes no lock and writes nothing."""

    def __init__(self, paths: HomePaths, clock: Clock, *, who: str) -> None:
        """``who`` is written into every entry, for example ``operator, command line``."""
        self.paths = paths
        self._clock = clock
        self._who = who

    # -- reading

    def ledger(self) -> Ledger:
        """The verified ledger. Raises RegistryError naming a damaged entry, or when the ledger was lost."""
        refuse_lost_ledger(self.paths)
        return read_ledger(self.paths.ledger)

    def list_models(self) -> tuple[ModelVersion, ...]:
        """Every version with its newest evaluation, models in order of appearance, oldest version first."""
        ledger = self.ledger()
        live = {model: entry.version for model, entry in ledger.live().items()}
        return tuple(
            _row(ledger.evaluations(model, version)[-1], live=live.get(model) == version)
            for model in ledger.models()
            for version in ledger.versions(model)
        )

    def history(self, model: str | None = None) -> tuple[LedgerEntry, ...]:
        """What happened, oldest first."""
        return self.ledger().history(model)

    def live_at(self, moment: datetime) -> dict[str, LedgerEntry]:
        """For each model the entry whose version was live at ``moment``: "what was live at 03:12?"."""
        return self.ledger().live_at(moment)

    def certificate(self, model: str, version: str | None = None) -> ModelReport:
        """The newest report of a version (of the newest version when None).

        Raises MissingError when it was never evaluated, ArtifactError when the certificate is not what the
        ledger recorded.
        """
        return read_certificate(self.paths, self._evaluation(self.ledger(), model, version))

    # -- changing

    def recall(self, candidate: Candidate) -> ModelReport | None:
        """The report of exactly this evaluation when it is recorded and intact.

        When the version was evaluated otherwise since then, the entry is repeated, so that what was asked
        for last is what decides a promotion.
        """
        with self._locked("evaluate"):
            ledger = self.ledger()
            for entry in reversed(ledger.evaluations(candidate.model)):
                if entry.details["key"] == candidate.key:
                    return self._recalled(ledger, entry)
            return None

    def record(
        self, candidate: Candidate, build: Callable[[Mapping[str, int], str], ModelReport], *, why: str = ""
    ) -> ModelReport:
        """Give a candidate its attempt numbers and version, and record the report ``build`` makes of them.

        ``build`` gets the attempt by coin.

        The same artifact on the same test data keeps its number, the same artifact its version. A report
        equal to the newest one of its version adds nothing to the ledger.
        """
        check_names(candidate.model)
        with self._locked("evaluate"):
            ledger = self.ledger()
            sweep_versions(self.paths)
            attempts = {
                symbol: ledger.attempt(symbol, test_sha256, candidate.artifact_sha256)
                for symbol, test_sha256 in candidate.tests.items()
            }
            known = ledger.version_of(candidate.model, candidate.artifact_sha256)
            version = known or ledger.next_version(candidate.model)
            report = build(attempts, version)
            files = store_version(
                self.paths, ledger, candidate.model, version, candidate.artifact, candidate.sidecar
            )
            store_certificate(self.paths, report)
            newest = ledger.evaluations(candidate.model, version)[-1:]
            if not newest or newest[0].details["certificate_sha256"] != report.sha256:
                self._append(
                    ledger, kind="evaluated", why=why, model=candidate.model, version=version,
                    artifact_sha256=candidate.artifact_sha256,
                    details=_evaluation_details(candidate, report, files),
                )  # fmt: skip
            return report

    def promote(self, model: str, version: str | None = None, *, why: str = "") -> LedgerEntry:
        """Make a version live; without one, the newest that passed. Promoting what is live changes nothing.

        Raises MissingError for an unknown version, GateRefusedError when its certificate failed or is
        exploratory, RegistryError when a file is not what the ledger recorded.
        """
        check_names(model, version)
        with self._locked("promote"):
            ledger = self.ledger()
            evaluation = self._promotable(ledger, model, version)
            self._check(evaluation)
            _check_components(ledger, evaluation)
            previous = ledger.live().get(model)
            if previous is not None and previous.version == evaluation.version:
                set_link(self.paths, model, evaluation.version)
                return previous
            return self._go_live(ledger, evaluation, previous, kind="promoted", why=why)

    def rollback(self, model: str, to: str | None = None, *, why: str = "") -> LedgerEntry:
        """Make an earlier promoted version live again: ``to``, or the one promoted before the live one.

        Raises MissingError when nothing is live, RegistryError when there is nothing to go back to or the
        version's files are not what the ledger recorded.
        """
        check_names(model, to)
        with self._locked("rollback"):
            ledger = self.ledger()
            live = ledger.live().get(model)
            if live is None:
                raise MissingError(
                    f"no version of {model} is live",
                    remedy=f"Promote one: `tradingai models promote {model}`.",
                )
            target = rollback_target(ledger, model, to)
            evaluation = self._evaluation(ledger, model, target)
            self._check(evaluation)
            _check_components(ledger, evaluation)
            return self._go_live(ledger, evaluation, live, kind="rolled_back", why=why)

    def repair(self) -> list[str]:
        """Bring everything derived in line with the ledger; returns what was done, empty when nothing was.

        Called at start. Raises RegistryError when the ledger is damaged or lost.
        """
        with self._locked("repair"):
            return [*sweep_versions(self.paths), *repair_links(self.paths, self.ledger())]

    # -- parts

    @contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        lock = FileLock(self.paths.locks / "registry", command=f"registry {what}", clock=self._clock)
        lock.acquire(block=True)
        try:
            yield
        finally:
            lock.release()

    def _recalled(self, ledger: Ledger, entry: LedgerEntry) -> ModelReport | None:
        if check_version(self.paths, entry):
            return None
        if entry is not ledger.evaluations(entry.model, entry.version)[-1]:
            self._append(
                ledger, kind=entry.kind, why=entry.why, model=entry.model, version=entry.version,
                artifact_sha256=entry.artifact_sha256, details=entry.details,
            )  # fmt: skip
        return read_certificate(self.paths, entry)

    def _append(self, ledger: Ledger, **entry: Any) -> LedgerEntry:
        grown = ledger.append(at=self._clock.now(), who=self._who, **entry)
        write_atomic(self.paths.ledger, lambda stream: stream.write(grown.text().encode()))
        return grown.entries[-1]

    def _go_live(
        self, ledger: Ledger, evaluation: LedgerEntry, previous: LedgerEntry | None, *, kind: str, why: str
    ) -> LedgerEntry:
        entry = self._append(
            ledger, kind=kind, why=why, model=evaluation.model, version=evaluation.version,
            artifact_sha256=evaluation.artifact_sha256,
            details={
                "previous": previous.version if previous else None,
                "certificate_sha256": evaluation.details["certificate_sha256"],
            },
        )  # fmt: skip
        set_link(self.paths, entry.model, entry.version)
        return entry

    def _evaluation(self, ledger: Ledger, model: str, version: str | None) -> LedgerEntry:
        entries = ledger.evaluations(model, version)
        if not entries:
            what = f"{model} {version}" if version else model
            raise MissingError(
                f"{what} is not in the registry", remedy=f"Evaluate it first: `tradingai evaluate {model}`."
            )
        return entries[-1]

    def _promotable(self, ledger: Ledger, model: str, version: str | None) -> LedgerEntry:
        """The evaluation that decides: of the version's evaluations the newest that is not exploratory."""
        self._evaluation(ledger, model, version)
        candidates = [version] if version else list(reversed(ledger.versions(model)))
        deciding = [_deciding(ledger, model, name) for name in candidates]
        chosen = next((entry for entry in deciding if _passes(entry)), None) or deciding[0]
        if not _passes(chosen):
            raise _refusal(chosen, others=len(deciding) - 1)
        return chosen

    def _check(self, evaluation: LedgerEntry) -> None:
        """Refuse a version whose files or certificate are not what the ledger recorded."""
        problems = check_version(self.paths, evaluation)
        if problems:
            raise RegistryError(
                f"{evaluation.model} {evaluation.version} is not what its entry says: {'; '.join(problems)}",
                remedy=CORRUPT_REMEDY,
            )


def rollback_target(ledger: Ledger, model: str, to: str | None = None) -> str:
    """The version a rollback leads to. Raises RegistryError when there is none.

    ``to`` must have been promoted before; without it, the version promoted before the live one.
    """
    promoted = (entry.version for entry in reversed(ledger.promotions(model)) if entry.kind == "promoted")
    order = list(dict.fromkeys(promoted))
    live = ledger.live()[model].version
    if to is None:
        at = order.index(live)
        if at + 1 >= len(order):
            raise RegistryError(
                f"{live} is the first version of {model} that was promoted: there is nothing to go back to",
                remedy=f"`tradingai models history {model}` shows what was live.",
            )
        return order[at + 1]
    if to == live or to not in order:
        what = "is live already" if to == live else "was never promoted"
        choices = ", ".join(version for version in order if version != live) or "none"
        raise RegistryError(f"{model} {to} {what}", remedy=f"Versions to go back to: {choices}.")
    return to


def _deciding(ledger: Ledger, model: str, version: str) -> LedgerEntry:
    entries = ledger.evaluations(model, version)
    return next((entry for entry in reversed(entries) if not entry.details["exploratory"]), entries[-1])


def _passes(entry: LedgerEntry) -> bool:
    return bool(entry.details["passed"]) and not entry.details["exploratory"]


def refused_gates(evaluation: LedgerEntry) -> str:
    """The gates that refused, in words; of several coins each names them: ``BNB-USD accuracy``."""
    coins = evaluation.coins
    return ", ".join(
        gate if len(coins) == 1 else f"{symbol} {gate}"
        for symbol, details in coins.items()
        for gate, passed in details["gates"].items()
        if not passed
    )


def _check_components(ledger: Ledger, evaluation: LedgerEntry) -> None:
    """Refuse an ensemble that is made of other versions than are live."""
    live = ledger.live()
    for model, version, sha256 in evaluation.details.get("components", ()):
        now = live.get(model)
        if now is None or now.artifact_sha256 != sha256:
            state = "no version is live" if now is None else f"{now.version} is live"
            raise GateRefusedError(
                f"{evaluation.model} {evaluation.version} is made of {model} {version}, of which {state}",
                remedy=f"Promote {model} {version}, or make the ensemble of what is live: "
                "`tradingai evaluate ensemble`.",
            )


def _refusal(entry: LedgerEntry, *, others: int) -> GateRefusedError:
    name = f"{entry.model} {entry.version}"
    if entry.details["exploratory"]:
        return GateRefusedError(
            f"{name} was evaluated with looser thresholds: EXPLORATORY, never promotable",
            remedy=f"Evaluate it with the product's thresholds: `tradingai evaluate {entry.model}`.",
        )
    refused = refused_gates(entry)
    more = f", and none of its {others} other versions passed" if others else ""
    return GateRefusedError(
        f"{name} is refused by {refused}{more}",
        remedy=f"`tradingai models show {entry.model}` says what would have to change; nothing is forced.",
    )


def _evaluation_details(candidate: Candidate, report: ModelReport, files: dict[str, str]) -> dict[str, Any]:
    first = report.coins[0]
    details = {
        "market": first.market,
        "synthetic": first.synthetic,
        "split": first.inputs.get("split"),
        "metrics": {"accuracy": report.accuracy, "n": report.n},
        "gates": {gate.id: gate.passed for gate in report.gates},
        "passed": report.passed,
        "exploratory": report.exploratory,
        "thresholds": report.thresholds,
        "attempt": report.attempt,
        "alpha": report.alpha,
        "key": candidate.key,
        "certificate_sha256": report.sha256,
        "certificate_file": certificate_name(report),
        "files": files,
    }
    coins = {one.symbol: _coin_details(one, candidate.tests[one.symbol]) for one in report.coins}
    if report.components:
        details["components"] = [list(part) for part in report.components]
    if len(coins) == 1 and not report.components:
        return {**details, **coins[first.symbol], "symbol": first.symbol}
    return {**details, "coins": coins}


def _coin_details(report: EvaluationReport, test_sha256: str) -> dict[str, Any]:
    return {
        "data_sha256": report.inputs.get("data_sha256"),
        "features_sha256": report.inputs.get("features_sha256"),
        "test_sha256": test_sha256,
        "metrics": {
            "accuracy": report.accuracy,
            "accuracy_ci": report.accuracy_ci.bounds,
            "n": report.n,
            "log_loss": report.log_loss,
            "brier": report.brier,
            "ece": report.ece,
            "tier_mae": report.tier_mae,
        },
        "gates": {gate.id: gate.passed for gate in report.gates},
        "passed": report.passed,
        "attempt": report.attempt,
        "alpha": report.alpha,
    }


def _row(entry: LedgerEntry, *, live: bool) -> ModelVersion:
    return ModelVersion(
        model=entry.model,
        version=entry.version,
        promoted=live,
        created_at=entry.at,
        passed=bool(entry.details["passed"]),
        exploratory=bool(entry.details["exploratory"]),
        accuracy=entry.details["metrics"]["accuracy"],
        sha256=entry.artifact_sha256,
        attempt=int(entry.details["attempt"]),
        gates=dict(entry.details["gates"]),
    )
