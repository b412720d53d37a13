"""What an evaluation found, as plain types that every surface can read without numpy or torch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any, Final, Literal

from tradingai.engine.core.backtest import BacktestResult
from tradingai.engine.core.jsonio import digest, parse_iso, plain

GateId = Literal["accuracy", "calibration", "leakage", "significance", "sample"]
GATE_IDS: Final[tuple[GateId, ...]] = ("accuracy", "calibration", "leakage", "significance", "sample")

Unit = Literal["fraction", "count", "checks"]

REPORT_SCHEMA: Final = 2
"""Version of the evaluation's definitions: a change of any formula raises it, and work done is done again."""

_TIME_KEYS: Final = ("times", "certificate_sha256")


@dataclass(frozen=True, slots=True)
class Interval:
    """A two-sided interval at level 1 − alpha, or the reason why there is none (``lo`` and ``hi`` None)."""

    lo: float | None
    hi: float | None
    alpha: float
    blocks: int
    """Independent blocks the interval rests on (UTC days)."""
    reason: str = ""

    @property
    def bounds(self) -> list[float] | None:
        """``[lo, hi]`` or None."""
        return None if self.lo is None or self.hi is None else [self.lo, self.hi]


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """A naive rule on the same bars, and the paired difference (model right − rule right)."""

    name: str
    accuracy: float
    difference: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Bars whose confidence lies in [lo, hi): mean confidence and hit rate are None in an empty bin."""

    lo: float
    hi: float
    n: int
    confidence: float | None
    hit_rate: float | None


@dataclass(frozen=True, slots=True)
class TierResult:
    """One confidence tier [lo, hi) on the test range (the high tier includes 1)."""

    name: str
    lo: float
    hi: float
    n: int
    non_overlapping: int
    """The most bars of this tier that lie at least one horizon apart."""
    confidence: float | None
    hit_rate: float | None
    counts: bool
    """Whether the tier is large enough to be judged."""

    @property
    def gap(self) -> float | None:
        """Mean confidence − hit rate: positive when the tier says more than it hits."""
        if self.confidence is None or self.hit_rate is None:
            return None
        return self.confidence - self.hit_rate


@dataclass(frozen=True, slots=True)
class GroupAccuracy:
    """Accuracy within a session (``tokyo``) or a month (``2025-11``)."""

    name: str
    n: int
    accuracy: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """Predictions at or above the confidence threshold."""

    threshold: float
    n: int
    share: float
    """Of all labelled test bars."""
    accuracy: float | None
    non_overlapping: int
    days: int
    """UTC days with at least one of the non-overlapping predictions."""
    test_days: int
    busiest_day: date | None
    busiest_share: float | None
    """The busiest day's share of the non-overlapping predictions."""

    @property
    def day_share(self) -> float:
        """Share of the test days that hold such a prediction."""
        return self.days / self.test_days if self.test_days else 0.0


@dataclass(frozen=True, slots=True)
class OracleLine:
    """What there was to learn: the sign of the expected return given the market's hidden state."""

    accuracy: float
    n: int


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One check of the leakage battery."""

    name: str
    passed: bool
    detail: str
    """What was looked at and found, for a person."""
    evidence: dict[str, Any] = field(default_factory=dict)
    accused: tuple[str, ...] = ()
    """Features, constants or ranges that this check names as leaking."""
    ran: bool = True
    """False when the check could not be carried out; it does not pass then."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class GateResult:
    """One promotion gate: measured value, threshold, margin (positive is good), what it looked at."""

    id: GateId
    passed: bool
    value: float | None
    threshold: float
    margin: float | None
    detail: str
    to_pass: str = ""
    """What would have to change; empty when the gate passes."""
    measure: str = ""
    """What ``value`` is."""
    unit: Unit = "fraction"
    comparison: str = "≥"
    """How ``value`` must stand to ``threshold``."""


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """One artifact on one coin's test range. ``gates`` is empty until the gates have decided."""

    model: str
    version: str
    symbol: str
    market: str | None
    synthetic: bool
    exploratory: bool
    start: datetime | None
    """Open time of the first scored bar."""
    end: datetime | None
    days: int
    """UTC days with a scored bar."""
    n: int
    """Labelled test bars: every one is scored."""
    accuracy: float | None
    accuracy_ci: Interval
    baselines: tuple[BaselineResult, ...]
    log_loss: float | None
    brier: float | None
    ece: float | None
    reliability: tuple[ReliabilityBin, ...]
    tier_mae: float | None
    tiers: tuple[TierResult, ...]
    sessions: tuple[GroupAccuracy, ...]
    months: tuple[GroupAccuracy, ...]
    coverage: Coverage
    oracle: OracleLine | None
    leakage: tuple[CheckResult, ...]
    attempt: int
    """How many distinct artifacts were evaluated on this coin's test data, this one included."""
    alpha: float
    """The level of the paired intervals, from the attempt."""
    inputs: dict[str, Any]
    """Hashes and ranges from which everything here can be computed again."""
    thresholds: dict[str, float]
    gates: tuple[GateResult, ...] = ()
    backtest: BacktestResult | None = None
    backtest_reason: str = "no backtest was made"
    """Why there is none; empty when there is one."""
    evaluated_at: datetime | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Every gate has decided and passed."""
        return tuple(gate.id for gate in self.gates) == GATE_IDS and all(gate.passed for gate in self.gates)

    @property
    def promotable(self) -> bool:
        """Passed, and at thresholds no looser than the product's."""
        return self.passed and not self.exploratory

    @property
    def sha256(self) -> str:
        """The certificate's hash: over everything but times."""
        return digest(certificate_body(self.as_json()))

    def as_json(self) -> dict[str, Any]:
        """The document of ``evaluate --json``."""
        document: dict[str, Any] = plain(
            {
                "schema": REPORT_SCHEMA,
                "model": self.model,
                "version": self.version,
                "symbol": self.symbol,
                "market": self.market,
                "synthetic": self.synthetic,
                "exploratory": self.exploratory,
                "start": self.start,
                "end": self.end,
                "days": self.days,
                "accuracy": self.accuracy,
                "accuracy_ci": self.accuracy_ci.bounds,
                "accuracy_interval": _as_dict(self.accuracy_ci),
                "n": self.n,
                "baselines": {item.name: _baseline_json(item) for item in self.baselines},
                "brier": self.brier,
                "log_loss": self.log_loss,
                "ece": self.ece,
                "reliability": [_as_dict(item) for item in self.reliability],
                "tier_mae": self.tier_mae,
                "tiers": {item.name: _tier_json(item) for item in self.tiers},
                "sessions": {item.name: _without_name(item) for item in self.sessions},
                "months": {item.name: _without_name(item) for item in self.months},
                "coverage": _coverage_json(self.coverage),
                "oracle": None if self.oracle is None else oracle_json(self.oracle),
                "leakage": [_check_json(item) for item in self.leakage],
                "attempt": self.attempt,
                "alpha": self.alpha,
                "gates": [gate_json(item) for item in self.gates],
                "passed": self.passed,
                "backtest": None if self.backtest is None else self.backtest.as_json(),
                "backtest_reason": self.backtest_reason,
                "thresholds": self.thresholds,
                "inputs": self.inputs,
                "times": {
                    "evaluated_at": self.evaluated_at,
                    "seconds": self.seconds,
                    "checks": {item.name: item.seconds for item in self.leakage},
                },
            }
        )
        document["certificate_sha256"] = digest(certificate_body(document))
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> EvaluationReport:
        """The inverse of :meth:`as_json`. Raises KeyError or TypeError for another document."""
        seconds = document["times"]["checks"]
        return cls(
            **{name: document[name] for name in _PLAIN_FIELDS},
            start=_time(document["start"]),
            end=_time(document["end"]),
            accuracy_ci=Interval(**document["accuracy_interval"]),
            baselines=tuple(_baseline(name, item) for name, item in document["baselines"].items()),
            reliability=tuple(ReliabilityBin(**item) for item in document["reliability"]),
            tiers=tuple(_tier(name, item) for name, item in document["tiers"].items()),
            sessions=tuple(GroupAccuracy(name, **item) for name, item in document["sessions"].items()),
            months=tuple(GroupAccuracy(name, **item) for name, item in document["months"].items()),
            coverage=_coverage(document["coverage"]),
            oracle=None if document["oracle"] is None else OracleLine(**document["oracle"]),
            leakage=tuple(_check(item, seconds) for item in document["leakage"]),
            gates=tuple(GateResult(**item) for item in document["gates"]),
            backtest=None if document["backtest"] is None else BacktestResult.from_json(document["backtest"]),
            evaluated_at=_time(document["times"]["evaluated_at"]),
            seconds=document["times"]["seconds"],
        )


_PLAIN_FIELDS: Final = (
    "model", "version", "symbol", "market", "synthetic", "exploratory", "days", "n", "accuracy", "log_loss",
    "brier", "ece", "tier_mae", "attempt", "alpha", "inputs", "thresholds", "backtest_reason",
)  # fmt: skip


def oracle_json(line: OracleLine) -> dict[str, Any]:
    """What there was to learn, in the document of ``evaluate --json``."""
    return _as_dict(line)


def gate_json(gate: GateResult) -> dict[str, Any]:
    """A gate in the document of ``evaluate --json``."""
    return _as_dict(gate)


def certificate_body(document: dict[str, Any]) -> dict[str, Any]:
    """The part of a report's document that its hash covers: everything but times and the hash itself."""
    return {key: value for key, value in document.items() if key not in _TIME_KEYS}


def _as_dict(item: Any) -> dict[str, Any]:
    return {part.name: getattr(item, part.name) for part in fields(item)}


def _without_name(item: Any) -> dict[str, Any]:
    document = _as_dict(item)
    del document["name"]
    return document


def _baseline_json(item: BaselineResult) -> dict[str, Any]:
    return {
        "accuracy": item.accuracy,
        "difference": item.difference,
        "difference_ci": item.interval.bounds,
        "alpha": item.interval.alpha,
        "blocks": item.interval.blocks,
        "reason": item.interval.reason,
    }


def _baseline(name: str, document: dict[str, Any]) -> BaselineResult:
    lo, hi = document["difference_ci"] or (None, None)
    interval = Interval(lo, hi, document["alpha"], document["blocks"], document["reason"])
    return BaselineResult(name, document["accuracy"], document["difference"], interval)


def _tier_json(item: TierResult) -> dict[str, Any]:
    return {**_without_name(item), "gap": item.gap}


def _tier(name: str, document: dict[str, Any]) -> TierResult:
    return TierResult(name, **{key: value for key, value in document.items() if key != "gap"})


def _coverage_json(item: Coverage) -> dict[str, Any]:
    day = None if item.busiest_day is None else item.busiest_day.isoformat()
    return {**_as_dict(item), "busiest_day": day, "day_share": item.day_share}


def _coverage(document: dict[str, Any]) -> Coverage:
    values = {key: value for key, value in document.items() if key != "day_share"}
    day = values.pop("busiest_day")
    return Coverage(**values, busiest_day=None if day is None else date.fromisoformat(day))


def _check_json(item: CheckResult) -> dict[str, Any]:
    document = _as_dict(item)
    del document["seconds"]
    return document


def _check(document: dict[str, Any], seconds: dict[str, float]) -> CheckResult:
    values = {**document, "accused": tuple(document["accused"])}
    return CheckResult(**values, seconds=seconds.get(document["name"], 0.0))


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_iso(text)
