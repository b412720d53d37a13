"""The pipeline's own decisions: order, what goes live, what a stop and a failure leave, the receipt."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.commands import (
    BuildFeatures,
    Command,
    Evaluate,
    FetchCandles,
    GenerateCandles,
    Replay,
    StartTraining,
)
from tradingai.engine.core.errors import InterruptedRunError, JobError, LockHeldError, UsageError
from tradingai.engine.core.ledger import Candidate
from tradingai.engine.core.locks import FileLock
from tradingai.engine.core.symbols import lstm_name
from tradingai.engine.datasets.labels import direction_labels
from tradingai.engine.evaluation.assess import Subject, assess
from tradingai.engine.gates import Thresholds
from tradingai.engine.jobs.spec import JobResult
from tradingai.engine.pipeline.plan import (
    LAST_CANDLE,
    WORKLOADS,
    PipelineRequest,
    own_range,
    parse_models,
    parse_workload,
    pipeline_request,
)
from tradingai.engine.pipeline.run import Pipeline
from tradingai.engine.registry.registry import Registry

from tests.fakes.evaluations import CLEAN, assessed, calibrated, judged, wave_close
from tests.fakes.homes import new_home, plain_settings

NOW = datetime(2025, 11, 10, 5, 0, tzinfo=UTC)
COINS = ("BTC-USD", "ETH-USD")
REQUEST = PipelineRequest(WORKLOADS["quick"], "cycles", 7, COINS, kinds=("lstm",))
SETTINGS = plain_settings()


@pytest.fixture(scope="module")
def bars():
    """Bars on which a model passes (confidence 0.85) or fails (0.6)."""
    close, _ = wave_close(days=16)
    labels = direction_labels(close)
    return {
        word: judged(calibrated(confidence, labels), close)
        for word, confidence in (("good", 0.85), ("bad", 0.6))
    }


class FakeEngine:
    """Carries commands out on a real registry, without workers; remembers their order."""

    def __init__(self, root, bars):
        self.clock = SimulatedClock(NOW)
        self.paths = new_home(root, self.clock)
        self.registry = Registry(self.paths, self.clock, who="test")
        self.quality = dict.fromkeys(COINS, "good")
        self.artifact = dict.fromkeys(COINS, "a" * 64)
        self.fails: set[tuple[type, str]] = set()
        self.skips = False
        self.done: list[tuple[str, str]] = []
        self.commands: list[Command] = []
        self._bars = bars

    def issue(self):
        return {"sender": "test", "surface": "cli", "issued_at": self.clock.now()}

    async def run(self, command, on_update=None):
        self.commands.append(command)
        if isinstance(command, Replay):
            self.done.append(("Replay", ",".join(command.symbols)))
            result = {"replay": {"hours": command.hours}, "skipped": self.skips}
            return JobResult("job", "replay", "candles", result, 1.0, 0)
        models = isinstance(command, Evaluate | StartTraining)
        symbol = command.model.removeprefix("lstm_") if models else command.symbol
        self.done.append((type(command).__name__, symbol))
        if (type(command), symbol) in self.fails:
            raise JobError(f"{symbol} failed")
        result = {"report": self._evaluate(symbol).as_json()} if isinstance(command, Evaluate) else {}
        if isinstance(command, GenerateCandles | FetchCandles):
            self._leave_files(symbol, oracle=isinstance(command, GenerateCandles))
        return JobResult("job", "kind", symbol, {**result, "skipped": self.skips}, 1.0, 0)

    async def execute(self, command, on_update=None):
        self.done.append((type(command).__name__, command.model))
        self.clock.advance(60)
        return self.registry.promote(command.model, command.version, why=command.why).as_json()

    def _evaluate(self, symbol):
        model = lstm_name(symbol)
        subject = Subject(model, symbol, "cycles", True, {"data_sha256": "d" * 64, "features_sha256": "f"})
        made = assess(subject, self._bars[self.quality[symbol]], Thresholds(), CLEAN)
        best = self.paths.checkpoints / f"{model}_best.pt"
        sha = self.artifact[symbol]
        tests = {symbol: "t" * 64}
        candidate = Candidate(model, tests, sha, best, best.with_suffix(".json"), f"{sha} {symbol}")
        self.clock.advance(60)
        return self.registry.record(candidate, assessed(made))

    def _leave_files(self, symbol, *, oracle):
        made = (self.paths.oracle,) if oracle else ()
        for folder in (self.paths.candles, *made, self.paths.features):
            (folder / symbol).mkdir(exist_ok=True)
            (folder / symbol / "manifest.json").write_text("{}")
        best = self.paths.checkpoints / f"{lstm_name(symbol)}_best.pt"
        best.write_bytes(b"weights")
        best.with_suffix(".json").write_text("{}")

    async def pipeline(self, request=REQUEST, settings=SETTINGS):
        return await Pipeline(self, self.paths, settings, self.clock, lambda _update: None).run(request)


@pytest.fixture
def engine(tmp_path, bars):
    return FakeEngine(tmp_path / "home", bars)


async def test_candles_of_all_coins_come_before_any_features_and_those_before_any_training(engine):
    result = await engine.pipeline()
    kinds = [kind for kind, _ in engine.done]
    assert kinds[:4] == ["GenerateCandles"] * 2 + ["BuildFeatures"] * 2
    for coin in COINS:
        own = [kind for kind, target in engine.done if coin in target and kind != "Replay"]
        assert own == ["GenerateCandles", "BuildFeatures", "StartTraining", "Evaluate", "Promote"]
    assert engine.done[-1] == ("Replay", "BTC-USD,ETH-USD")
    assert (result.steps, result.skipped, result.passed) == (9, 0, True)
    assert result.replay == {"hours": 72.0}


async def test_what_passes_goes_live_and_what_is_refused_does_not(engine):
    engine.quality["ETH-USD"] = "bad"
    result = await engine.pipeline()
    assert [outcome.promotion for outcome in result.models] == ["promoted", "refused"]
    assert "accuracy" in result.models[1].detail
    assert set(engine.registry.ledger().live()) == {"lstm_BTC-USD"}
    assert result.passed is False
    assert result.all_done_before is False


async def test_a_second_version_replaces_the_first_only_when_it_passes(engine):
    await engine.pipeline()
    engine.artifact = {"BTC-USD": "b" * 64, "ETH-USD": "b" * 64}
    engine.quality["ETH-USD"] = "bad"
    result = await engine.pipeline(replace(REQUEST, seed=8))
    assert [outcome.promotion for outcome in result.models] == ["promoted", "refused"]
    live = {model: entry.version for model, entry in engine.registry.ledger().live().items()}
    assert live == {"lstm_BTC-USD": "v1.1.0", "lstm_ETH-USD": "v1.0.0"}


async def test_an_operators_rollback_is_respected(engine):
    await engine.pipeline()
    engine.artifact["BTC-USD"] = "b" * 64
    await engine.pipeline(replace(REQUEST, seed=8))
    engine.registry.rollback("lstm_BTC-USD")
    result = await engine.pipeline(replace(REQUEST, seed=8))
    assert result.models[0].promotion == "held"
    assert "models promote lstm_BTC-USD --version v1.1.0" in result.models[0].detail
    assert engine.registry.ledger().live()["lstm_BTC-USD"].version == "v1.0.0"


async def test_a_failure_lets_the_other_coin_come_to_its_end_and_is_raised(engine):
    engine.fails = {(StartTraining, "BTC-USD")}
    with pytest.raises(JobError, match="BTC-USD failed"):
        await engine.pipeline()
    assert ("Promote", "lstm_ETH-USD") in engine.done
    assert ("Evaluate", "BTC-USD") not in engine.done


async def test_without_candles_of_one_coin_no_features_are_built(engine):
    engine.fails = {(GenerateCandles, "ETH-USD")}
    with pytest.raises(JobError):
        await engine.pipeline()
    assert not [kind for kind, _ in engine.done if kind == BuildFeatures.__name__]


async def test_after_a_stop_no_further_job_starts(engine):
    pipeline = Pipeline(engine, engine.paths, SETTINGS, engine.clock, lambda _update: None)
    pipeline.stop("Ctrl-C")
    with pytest.raises(InterruptedRunError, match="Ctrl-C") as caught:
        await pipeline.run(REQUEST)
    assert "goes on from there" in caught.value.remedy
    assert engine.done == []


async def test_one_pipeline_a_home(engine):
    lock = FileLock(engine.paths.locks / "pipeline", command="pipeline --workload full", clock=engine.clock)
    with lock, pytest.raises(LockHeldError, match="pipeline --workload full"):
        await engine.pipeline()
    assert engine.done == []


async def test_the_receipt_answers_the_same_request_without_a_job(engine):
    first = await engine.pipeline()
    engine.done.clear()
    second = await engine.pipeline()
    assert engine.done == []
    assert (second.steps, second.skipped, second.all_done_before) == (9, 9, True)
    assert second.replay == first.replay
    assert [item.report for item in second.models] == [item.report for item in first.models]


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 8},
        {"market": "null"},
        {"epochs": 9},
        {"symbols": COINS[:1]},
        {"workload": WORKLOADS["full"]},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_another_request_asks_the_jobs(engine, other):
    await engine.pipeline()
    engine.done.clear()
    await engine.pipeline(replace(REQUEST, **other))
    assert engine.done


@pytest.mark.parametrize(
    "change", ["threads", "threshold", "promoted", "touched", "missing", "certificate", "damaged", "costs"]
)
async def test_anything_changed_asks_the_jobs(engine, change):
    await engine.pipeline()
    engine.done.clear()
    settings = SETTINGS
    candles = engine.paths.candles / "BTC-USD" / "manifest.json"
    match change:
        case "threads":
            settings = plain_settings(job_threads=2)
        case "threshold":
            settings = plain_settings(confidence_threshold=0.8)
        case "promoted":
            engine.artifact["BTC-USD"] = "b" * 64
            engine._evaluate("BTC-USD")
            engine.registry.promote("lstm_BTC-USD", "v1.1.0")
        case "touched":
            os.utime(candles, ns=(0, 0))
        case "missing":
            (engine.paths.checkpoints / "lstm_BTC-USD_best.json").unlink()
        case "certificate":
            (certificate,) = (engine.paths.versions / "lstm_BTC-USD" / "v1.0.0").glob("certificate*")
            certificate.write_text("{}")
        case "damaged":
            (engine.paths.reports / "pipeline.json").write_text("{")
        case "costs":
            (engine.paths.data / "execution_metrics.json").write_text('{"pairs": {}}')
    await engine.pipeline(settings=settings)
    assert engine.done


async def test_a_failed_run_leaves_no_receipt(engine):
    engine.fails = {(Evaluate, "BTC-USD")}
    with pytest.raises(JobError):
        await engine.pipeline()
    assert not (engine.paths.reports / "pipeline.json").exists()


async def test_the_result_as_a_document(engine):
    document = json.loads(json.dumps((await engine.pipeline()).as_json()))
    assert document["start"] == "2025-07-13T01:08:00Z"
    assert document["end"] == "2025-11-10T01:07:00Z"
    assert [item["promotion"] for item in document["models"]] == ["promoted", "promoted"]
    assert document["seconds"] == 4 * 60


def test_the_workloads_are_the_ones_that_are_specified():
    assert WORKLOADS["full"].minutes == 3_081_668
    assert WORKLOADS["quick"].minutes == 120 * 1440
    assert {workload.end for workload in WORKLOADS.values()} == {LAST_CANDLE}


def test_where_candles_come_from_is_the_settings_to_say():
    quick = WORKLOADS["quick"]
    made = pipeline_request(SETTINGS, quick, None)
    assert (made.provider, made.market, made.seed, made.exchange) == ("synthetic", "cycles", 7, None)
    assert made.source == "Synthetic market cycles"
    assert pipeline_request(SETTINGS, quick, "null", seed=3).market == "null"
    real = plain_settings(data_provider="ccxt", exchange="kraken")
    fetched = pipeline_request(real, quick, None)
    assert (fetched.provider, fetched.market, fetched.exchange) == ("ccxt", None, "kraken")
    assert fetched.source == "Real candles of kraken"
    assert pipeline_request(plain_settings(data_provider="yfinance"), quick, None).exchange is None
    with pytest.raises(UsageError, match="market cycles is synthetic, but DATA_PROVIDER=ccxt"):
        pipeline_request(real, quick, "cycles")
    with pytest.raises(UsageError, match="no file to take candles from"):
        pipeline_request(plain_settings(data_provider="file"), quick, None)


def test_a_range_of_its_own_ends_with_the_last_whole_day():
    quick = WORKLOADS["quick"]
    day = datetime(2025, 10, 1, tzinfo=UTC)
    assert own_range(quick, None, None, NOW) is quick
    assert own_range(quick, day, None, NOW).end == datetime(2025, 11, 9, 23, 59, tzinfo=UTC)
    assert own_range(quick, None, day, NOW).start == quick.start
    with pytest.raises(UsageError, match="is not after --start"):
        own_range(quick, day, day, NOW)


async def test_real_candles_are_fetched_and_leave_no_oracle_in_the_receipt(tmp_path, bars):
    engine = FakeEngine(tmp_path / "home", bars)
    real = plain_settings(data_provider="ccxt", exchange="kraken")
    request = replace(REQUEST, provider="ccxt", exchange="kraken", market=None)
    pipeline = Pipeline(engine, engine.paths, real, engine.clock, lambda _: None)
    await pipeline.run(request)
    assert engine.done[:2] == [("FetchCandles", coin) for coin in COINS]
    fetched = engine.commands[0].payload()
    assert (fetched["provider"], fetched["exchange"], fetched["start"], fetched["end"]) == (
        "ccxt", "kraken", "2025-07-13T01:08:00Z", "2025-11-10T01:07:00Z",
    )  # fmt: skip
    engine.done.clear()
    again = await Pipeline(engine, engine.paths, real, engine.clock, lambda _: None).run(request)
    assert engine.done == []
    assert again.all_done_before


@pytest.mark.parametrize(
    ("parse", "text"),
    [(parse_workload, "huge"), (parse_models, "gpt"), (parse_models, ",")],
)
def test_what_does_not_exist_is_refused(parse, text):
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert caught.value.remedy
