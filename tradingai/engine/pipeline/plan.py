"""What a pipeline is asked for, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.jsonio import plain
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.settings import Settings
from tradingai.engine.core.symbols import MULTI_COIN_MODELS, Market, lstm_name

LAST_CANDLE: Final = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
"""Open time of the last candle of both workloads: fixed, so that a second run finds its work done."""
MODEL_KINDS: Final = ("lstm", "transformer", "ppo")
"""What ``--models`` may name."""
ENSEMBLE_NAME: Final = "ensemble"
REPLAY_HOURS: Final = 72.0
"""How much of the scan loop a pipeline ends with."""

Provider = Literal["synthetic", "ccxt", "yfinance"]
"""Whose candles a pipeline can get by itself."""
Promotion = Literal["promoted", "live", "refused", "held", "waiting"]


@dataclass(frozen=True, slots=True)
class Workload:
    """A range of candles, both ends included."""

    name: str
    start: datetime
    end: datetime = LAST_CANDLE

    @property
    def minutes(self) -> int:
        """Candles a coin."""
        return int((self.end - self.start) / timedelta(minutes=1)) + 1


WORKLOADS: Final = {
    "quick": Workload("quick", LAST_CANDLE - timedelta(days=120) + timedelta(minutes=1)),
    "full": Workload("full", datetime(2020, 1, 1, tzinfo=UTC)),
}


@dataclass(frozen=True, slots=True)
class PipelineRequest:
    """What to run the pipeline on."""

    workload: Workload
    market: Market | None
    """None where candles are fetched."""
    seed: int
    """Of the market and of training."""
    symbols: tuple[str, ...]
    kinds: tuple[str, ...] = MODEL_KINDS
    """Which kinds of models to train."""
    epochs: int = 10
    why: str = "pipeline"
    provider: Provider = "synthetic"
    """Where the candles come from."""
    exchange: str | None = None
    """Of ccxt; None for any other provider."""

    @property
    def source(self) -> str:
        """Where the candles come from, in words: ``Synthetic market cycles``, ``Real candles of binance``."""
        if self.provider == "synthetic":
            return f"Synthetic market {self.market}"
        return f"Real candles of {self.exchange or 'Yahoo'}"

    @property
    def trained(self) -> tuple[str, ...]:
        """The models it trains, the longest training first."""
        several = [kind for kind in ("transformer", "ppo") if kind in self.kinds]
        return (*several, *(lstm_name(symbol) for symbol in self.symbols if "lstm" in self.kinds))

    @property
    def models(self) -> tuple[str, ...]:
        """The models it brings to a verdict, in the order in which they are judged."""
        coins = tuple(model for model in self.trained if model not in MULTI_COIN_MODELS)
        several = tuple(model for model in self.trained if model in MULTI_COIN_MODELS)
        ensemble = (ENSEMBLE_NAME,) if len(self.kinds) > 1 else ()
        return (*coins, *several, *ensemble)

    @property
    def steps(self) -> int:
        """Jobs of a whole run: candles and features a coin, training and evaluation a model, the replay."""
        return 2 * len(self.symbols) + len(self.trained) + len(self.models) + 1

    def peers(self, symbol: str) -> tuple[str, ...]:
        """The coins whose candles a coin's features look at."""
        return tuple(other for other in self.symbols if other != symbol)


@dataclass(frozen=True, slots=True)
class ModelOutcome:
    """What became of one model: its evaluation, and whether it is live now."""

    report: ModelReport
    promotion: Promotion
    detail: str

    def as_json(self) -> dict[str, Any]:
        """The evaluation's document with ``promotion`` and ``promotion_detail``."""
        return {**self.report.as_json(), "promotion": self.promotion, "promotion_detail": self.detail}


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """A pipeline that ran to its end."""

    request: PipelineRequest
    models: tuple[ModelOutcome, ...]
    replay: Mapping[str, Any]
    """The document of ``replay --json``: the scan loop over the last hours of the candles."""
    steps: int
    skipped: int
    """Steps that found their work done."""
    seconds: float

    @property
    def passed(self) -> bool:
        """Every gate of every model passed."""
        return all(outcome.report.passed for outcome in self.models)

    @property
    def all_done_before(self) -> bool:
        """Nothing had to be done."""
        return self.skipped == self.steps and all(model.promotion != "promoted" for model in self.models)

    def as_json(self) -> dict[str, Any]:
        """The document of ``pipeline --json``."""
        request = self.request
        document: dict[str, Any] = plain(
            {
                "workload": request.workload.name,
                "start": request.workload.start,
                "end": request.workload.end,
                "provider": request.provider,
                "exchange": request.exchange,
                "market": request.market,
                "seed": request.seed,
                "symbols": request.symbols,
                "models": [outcome.as_json() for outcome in self.models],
                "passed": self.passed,
                "replay": self.replay,
                "steps": self.steps,
                "skipped": self.skipped,
                "seconds": self.seconds,
            }
        )
        return document


def pipeline_request(
    settings: Settings,
    workload: Workload,
    market: Market | None,
    *,
    seed: int | None = None,
    kinds: tuple[str, ...] = MODEL_KINDS,
    why: str = "pipeline",
) -> PipelineRequest:
    """A request on DATA_PROVIDER's candles. ``market`` and ``seed`` default to the settings'.

    Raises UsageError for a provider whose candles a pipeline cannot get, and for a market of real ones.
    """
    provider = settings.data_provider
    if provider == "file":
        raise UsageError(
            "DATA_PROVIDER=file, but the pipeline has no file to take candles from",
            remedy="Set DATA_PROVIDER to synthetic, ccxt or yfinance. Candles of your own go through "
            "`tradingai data import`, `features build`, `train lstm` and `evaluate`.",
        )
    if provider != "synthetic" and market is not None:
        raise UsageError(
            f"market {market} is synthetic, but DATA_PROVIDER={provider}",
            remedy="Leave out --market, or set DATA_PROVIDER=synthetic.",
        )
    return PipelineRequest(
        workload=workload,
        market=(market or settings.synthetic_market) if provider == "synthetic" else None,
        seed=settings.synthetic_seed if seed is None else seed,
        symbols=settings.symbols,
        kinds=kinds,
        why=why,
        provider=provider,
        exchange=settings.exchange if provider == "ccxt" else None,
    )


def own_range(workload: Workload, start: datetime | None, end: datetime | None, now: datetime) -> Workload:
    """``workload`` with another start or end (aware, both included).

    A start without an end goes to the last whole day before ``now``, so that the same request on the same
    day finds its work done. Raises UsageError when nothing is between them.
    """
    if start is None and end is None:
        return workload
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = workload.start if start is None else start
    last = midnight - timedelta(minutes=1) if end is None else end
    if last <= first:
        raise UsageError(
            f"--end {last:%Y-%m-%dT%H:%MZ} is not after --start {first:%Y-%m-%dT%H:%MZ}",
            remedy="Give a range that has minutes.",
        )
    return Workload("own range", first, last)


def parse_workload(text: str) -> Workload:
    """A workload by name. Raises UsageError naming them."""
    if text not in WORKLOADS:
        raise UsageError(f"unknown workload {text!r}", remedy=f"Choose one of {', '.join(WORKLOADS)}.")
    return WORKLOADS[text]


def parse_models(text: str) -> tuple[str, ...]:
    """Kinds of models, comma-separated. Raises UsageError naming those there are."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in MODEL_KINDS:
            raise UsageError(f"unknown model {name!r}", remedy=f"There is: {', '.join(MODEL_KINDS)}.")
    if not names:
        raise UsageError("no model named", remedy=f"Name at least one of {', '.join(MODEL_KINDS)}.")
    return names
