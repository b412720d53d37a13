"""The evaluation of one version of a model: a report for each coin it speaks of.

A version is judged as a whole: it passes when it passes on every coin. A model of one coin has that coin's
report and nothing besides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from tradingai.engine.core.jsonio import digest, plain
from tradingai.engine.core.report import (
    GATE_IDS,
    REPORT_SCHEMA,
    EvaluationReport,
    GateId,
    GateResult,
    OracleLine,
    certificate_body,
    gate_json,
    oracle_json,
)


@dataclass(frozen=True, slots=True)
class ModelReport:
    """Reports of one version in the order of its coins. Raises ValueError for none, or of several versions.

    ``components`` says of an ensemble which versions it is made of: model to version and artifact hash.
    """

    coins: tuple[EvaluationReport, ...]
    components: tuple[tuple[str, str, str], ...] = ()

    def __post_init__(self) -> None:
        if len({(report.model, report.version) for report in self.coins}) != 1:
            raise ValueError("the report of a model needs those of its coins, all of one version")

    @property
    def model(self) -> str:
        """The model's id."""
        return self.coins[0].model

    @property
    def version(self) -> str:
        """Its version."""
        return self.coins[0].version

    @property
    def symbols(self) -> tuple[str, ...]:
        """The coins, in order."""
        return tuple(report.symbol for report in self.coins)

    @property
    def exploratory(self) -> bool:
        """At thresholds looser than the product's, which are the same for all coins."""
        return self.coins[0].exploratory

    @property
    def thresholds(self) -> dict[str, float]:
        """What the gates decided by."""
        return self.coins[0].thresholds

    @property
    def passed(self) -> bool:
        """Every gate has decided and passed, for every coin."""
        return all(report.passed for report in self.coins)

    @property
    def promotable(self) -> bool:
        """Passed, and at thresholds no looser than the product's."""
        return self.passed and not self.exploratory

    @property
    def attempt(self) -> int:
        """The highest of the coins' attempts."""
        return max(report.attempt for report in self.coins)

    @property
    def alpha(self) -> float:
        """The level of the paired intervals at that attempt."""
        return min(report.alpha for report in self.coins)

    @property
    def n(self) -> int:
        """Labelled test bars of all coins."""
        return sum(report.n for report in self.coins)

    @property
    def accuracy(self) -> float | None:
        """Over all labelled test bars of all coins."""
        known = [report for report in self.coins if report.accuracy is not None]
        scored = sum(report.n for report in known)
        if not scored:
            return None
        return math.fsum((report.accuracy or 0.0) * report.n for report in known) / scored

    @property
    def gates(self) -> tuple[GateResult, ...]:
        """Each gate as it stands for the coin that is worst off; empty before the gates have decided.

        When there are several coins the detail names it.
        """
        if len(self.coins) == 1:
            return self.coins[0].gates
        if not all(report.gates for report in self.coins):
            return ()
        return tuple(self._worst(name) for name in GATE_IDS)

    @property
    def oracle(self) -> OracleLine | None:
        """What there was to learn, over all coins; None when nobody knows it of some."""
        known = [report.oracle for report in self.coins if report.oracle is not None]
        scored = sum(line.n for line in known)
        if len(known) < len(self.coins) or not scored:
            return None
        return OracleLine(math.fsum(line.accuracy * line.n for line in known) / scored, scored)

    @property
    def refused(self) -> str:
        """The gates that refuse, in words; with several coins each names them: ``BNB-USD accuracy``."""
        named: list[str] = []
        for report in self.coins:
            failed = [gate.id for gate in report.gates if not gate.passed]
            named += failed if len(self.coins) == 1 else [f"{report.symbol} {gate}" for gate in failed]
        return ", ".join(named)

    @property
    def sha256(self) -> str:
        """The certificate's hash: over everything but times."""
        return str(self.as_json()["certificate_sha256"])

    def coin(self, symbol: str) -> EvaluationReport:
        """The report of one coin. Raises KeyError for another."""
        return dict(zip(self.symbols, self.coins, strict=True))[symbol]

    def as_json(self) -> dict[str, Any]:
        """The document of ``evaluate --json``: of one coin its report, of several what they have in common
        and each report under ``coins``.
        """
        if len(self.coins) == 1 and not self.components:
            return self.coins[0].as_json()
        first = self.coins[0]
        document: dict[str, Any] = plain(
            {
                "schema": REPORT_SCHEMA, "model": self.model, "version": self.version,
                "market": first.market, "synthetic": first.synthetic, "exploratory": self.exploratory,
                "accuracy": self.accuracy, "n": self.n,
                "oracle": None if self.oracle is None else oracle_json(self.oracle),
                "attempt": self.attempt, "alpha": self.alpha,
                "gates": [gate_json(gate) for gate in self.gates],
                "passed": self.passed, "thresholds": self.thresholds,
                "components": [list(part) for part in self.components],
                "coins": {report.symbol: report.as_json() for report in self.coins},
            }
        )  # fmt: skip
        document["certificate_sha256"] = digest(_body(document))
        return document

    def _worst(self, name: GateId) -> GateResult:
        found = [(report.symbol, gate) for report in self.coins for gate in report.gates if gate.id == name]
        symbol, gate = min(
            found, key=lambda item: (item[1].passed, -math.inf if item[1].margin is None else item[1].margin)
        )
        return replace(gate, detail=f"{symbol}: {gate.detail}")

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> ModelReport:
        """The inverse of :meth:`as_json`. Raises KeyError, TypeError or ValueError for another document."""
        if "coins" not in document:
            return cls((EvaluationReport.from_json(document),))
        coins = (EvaluationReport.from_json(coin) for coin in document["coins"].values())
        components = tuple((model, version, sha256) for model, version, sha256 in document["components"])
        return cls(tuple(coins), components)

    @classmethod
    def of(
        cls, reports: Iterable[EvaluationReport], components: Iterable[tuple[str, str, str]] = ()
    ) -> ModelReport:
        """From any iterables."""
        return cls(tuple(reports), tuple(components))


def _body(document: dict[str, Any]) -> dict[str, Any]:
    """What the hash covers: the coins' reports without their times."""
    coins = {symbol: certificate_body(coin) for symbol, coin in document["coins"].items()}
    return {**certificate_body(document), "coins": coins}
