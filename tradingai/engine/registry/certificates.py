"""Certificates: the report of an evaluation, kept in its version's folder and named by the ledger."""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.core.files import read_json, write_json
from tradingai.engine.core.ledger import LedgerEntry
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.report import GateResult
from tradingai.engine.gates import Thresholds, decide
from tradingai.engine.registry.versions import check_files, version_folder

CORRUPT_REMEDY: Final = (
    "The live model stays as it is. Roll back to an intact version (`tradingai models rollback`), "
    "restore it from a backup, or evaluate the model again."
)


def certificate_name(report: ModelReport) -> str:
    """The certificate's file name, which carries its hash: a version may hold several."""
    return f"certificate.{report.sha256[:8]}.json"


def store_certificate(paths: HomePaths, report: ModelReport) -> None:
    """Write the report into its version's folder; the caller holds the registry's lock."""
    folder = version_folder(paths, report.model, report.version)
    write_json(folder / certificate_name(report), report.as_json())


def read_certificate(paths: HomePaths, entry: LedgerEntry) -> ModelReport:
    """The report an ``evaluated`` entry names. Raises ArtifactError when it is not what was recorded."""
    path = version_folder(paths, entry.model, entry.version) / entry.details["certificate_file"]
    try:
        report = ModelReport.from_json(read_json(path))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} is missing", remedy=CORRUPT_REMEDY) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} is no certificate ({error})", remedy=CORRUPT_REMEDY) from error
    if report.sha256 != entry.details["certificate_sha256"]:
        raise ArtifactError(f"{path} is not the certificate that the ledger recorded", remedy=CORRUPT_REMEDY)
    return report


def check_version(paths: HomePaths, evaluation: LedgerEntry) -> list[str]:
    """What is wrong with an evaluated version: its files, its certificate, or a verdict that does not follow.

    The gates are decided again from the certificate's numbers: nothing is believed because it is written.
    """
    folder = version_folder(paths, evaluation.model, evaluation.version)
    problems = check_files(folder, evaluation.details["files"])
    try:
        report = read_certificate(paths, evaluation)
    except ArtifactError as error:
        return [*problems, error.message]
    for coin in report.coins:
        thresholds = Thresholds(**coin.thresholds)
        again = _verdict(decide(coin, thresholds))
        if again != _verdict(coin.gates) or thresholds.exploratory != coin.exploratory:
            problems.append("the certificate's gates do not follow from its own numbers")
    if (
        report.passed != evaluation.details["passed"]
        or report.exploratory != evaluation.details["exploratory"]
    ):
        problems.append("the ledger's verdict is not the certificate's")
    return problems


def _verdict(gates: tuple[GateResult, ...]) -> list[tuple[str, bool, float | None, float]]:
    """What gates decided, without the wording."""
    return [(gate.id, gate.passed, gate.value, gate.threshold) for gate in gates]
