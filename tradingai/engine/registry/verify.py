"""``models verify``: chain, files, certificates and links, and on request every number again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import ArtifactError, MissingError
from tradingai.engine.core.ledger import Ledger, LedgerEntry, read_ledger
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.registry.certificates import check_version, read_certificate
from tradingai.engine.registry.links import link_problems
from tradingai.engine.registry.versions import version_folder

State = Literal["intact", "damaged", "absent", "not recomputed"]
Recompute = Callable[[ModelReport, LedgerEntry], list[str]]
"""Evaluates a version again from its artifact; returns where the result differs from the certificate."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of one version, or (``version`` empty) of a model's link."""

    model: str
    version: str
    state: State
    detail: str
    live: bool = False
    recomputed: bool = False

    @property
    def ok(self) -> bool:
        """Not damaged.

        A version that was never promoted may be absent (backups do not carry it), and one that was evaluated
        on data which is not stored any more cannot be recomputed; its files and certificate are intact.
        """
        return self.state != "damaged"


def verify(
    paths: HomePaths, model: str | None = None, recompute: Recompute | None = None
) -> tuple[Verified, ...]:
    """Check the chain, then every version of ``model`` (or all) and the links.

    Raises RegistryError when the chain itself is broken. With ``recompute`` the newest evaluation of each
    intact version is carried out again and compared with its certificate.
    """
    ledger = read_ledger(paths.ledger)
    found = [
        _version(paths, ledger, name, version, recompute)
        for name in ledger.models()
        if model in {None, name}
        for version in ledger.versions(name)
    ]
    broken = [Verified("", "", "damaged", problem) for problem in link_problems(paths, ledger)]
    return (*found, *broken)


def recomputing(paths: HomePaths, reporter: Reporter, clock: Clock) -> Recompute:
    """For :func:`verify`: every number again, from the version's own artifact and the stored data."""

    def recompute(report: ModelReport, entry: LedgerEntry) -> list[str]:
        from tradingai.engine.evaluation.evaluate import recompute_certificate

        artifact = paths.version_model(entry.model, entry.version)
        return recompute_certificate(paths, report, artifact, reporter, clock=clock)

    return recompute


def _version(
    paths: HomePaths, ledger: Ledger, model: str, version: str, recompute: Recompute | None
) -> Verified:
    evaluations = ledger.evaluations(model, version)
    entry = evaluations[-1]
    current = ledger.live().get(model)
    live = current is not None and current.version == version
    if not version_folder(paths, model, version).is_dir():
        promoted = any(item.version == version for item in ledger.promotions(model))
        detail = "its folder is missing" + (
            "" if promoted else "; it was never promoted, and no backup has it"
        )
        return Verified(model, version, "damaged" if promoted else "absent", detail, live)
    problems = list(dict.fromkeys(problem for item in evaluations for problem in check_version(paths, item)))
    recomputed = not problems and recompute is not None
    if not problems and recompute is not None:
        try:
            problems = recompute(read_certificate(paths, entry), entry)
        except (ArtifactError, MissingError) as error:
            return Verified(model, version, "not recomputed", error.message, live)
    detail = (
        "; ".join(problems)
        or f"artifact {entry.artifact_sha256[:8]} and certificate are what the ledger says"
    )
    return Verified(model, version, "damaged" if problems else "intact", detail, live, recomputed=recomputed)
