"""A trained model from its checkpoint to the ledger, on a small synthetic home."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import ArtifactError, DataError, InterruptedRunError, MissingError
from tradingai.engine.core.events import EpochFinished, EvaluationFinished, GateDecided, JobSkipped
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.decision.state import DeskConfig
from tradingai.engine.evaluation import cost_effect, evaluate
from tradingai.engine.evaluation.backtest import BacktestPlan, backtest
from tradingai.engine.evaluation.evaluate import evaluate_model, report_path
from tradingai.engine.evaluation.leakage import battery
from tradingai.engine.features.build import build_features
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.gates import LEAKAGE_CHECKS, Thresholds
from tradingai.engine.models.artifact import best_path, load_artifact, save_artifact
from tradingai.engine.models.voice import NetworkVoice
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.registry.registry import Registry
from tradingai.engine.registry.verify import recomputing, verify
from tradingai.engine.risk.costs import SESSIONS, CostLevel, ExecutionCosts, SessionCosts
from tradingai.engine.training.config import LstmTraining
from tradingai.engine.training.lstm import train_lstm

from tests.fakes.lstm_world import with_part

MODEL = "lstm_BTC-USD"
END = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
CLOCK = RealClock()


class Bench:
    """A home with one trained model."""

    def __init__(self, root):
        self.paths = HomePaths(root)
        self.registry = Registry(self.paths, CLOCK, who="test")

    def generate(self, seed=5, days=10):
        for symbol in ("BTC-USD", "ETH-USD"):
            start = END - timedelta(days=days) + timedelta(minutes=1)
            generate_dataset(
                self.paths, symbol, "cycles", seed, start, END, None, SilentReporter(), replace=True
            )
        build_features(self.paths, "BTC-USD", ["ETH-USD"], SilentReporter())

    def train(self, seed=1):
        train_lstm(self.paths, "BTC-USD", LstmTraining(epochs=2, seed=seed, fresh=True), SilentReporter())

    def evaluate(self, target=MODEL, reporter=None, thresholds=None, **more):
        return evaluate_model(
            self.paths, target, thresholds or Thresholds(), self.registry, reporter or SilentReporter(),
            clock=CLOCK, **more,
        )  # fmt: skip

    def examined(self):
        loaded = evaluate.load_judged(self.paths, best_path(self.paths, MODEL))
        return evaluate._examined(loaded, loaded.coins[0])

    def entries(self):
        return len(read_ledger(self.paths.ledger))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The home after one evaluation, and what was said meanwhile."""
    bench = Bench(tmp_path_factory.mktemp("evaluate") / "home")
    bench.generate()
    bench.train()
    reporter = SilentReporter()
    return bench, bench.evaluate(reporter=reporter), reporter


@pytest.fixture
def bench(built, tmp_path):
    """A copy to change."""
    shutil.copytree(built[0].paths.root, tmp_path / "home", symlinks=True)
    return Bench(tmp_path / "home")


def test_the_report_is_complete_and_kept(built):
    bench, evaluated, _ = built
    (report,) = evaluated.report.coins
    assert not evaluated.skipped
    assert (report.model, report.version, report.attempt, report.symbol) == (MODEL, "v1.0.0", 1, "BTC-USD")
    assert (report.market, report.synthetic, report.exploratory) == ("cycles", True, False)
    assert report.n == sum(item.n for item in report.sessions) == sum(item.n for item in report.months)
    assert report.oracle.n == report.n
    assert 0.6 < report.oracle.accuracy < 0.95
    assert (report.backtest.scans, report.backtest_reason) == (865, "")
    assert sum(report.backtest.by_reason.values()) == report.backtest.decisions == 865
    assert report.inputs["backtest"]["interval_s"] == 120
    kept = ModelReport.from_json(json.loads(report_path(bench.paths, evaluated.report).read_text()))
    assert kept == evaluated.report == bench.registry.certificate(MODEL)


def test_every_check_of_the_battery_ran_and_no_clean_feature_is_accused(built):
    (report,) = built[1].report.coins
    assert tuple(check.name for check in report.leakage) == LEAKAGE_CHECKS
    for check in report.leakage:
        assert check.passed, check.detail
        assert (check.ran, check.accused) == (True, ())


def test_three_test_days_are_too_few_and_the_gates_say_so(built):
    report = built[1].report
    significance = next(gate for gate in report.gates if gate.id == "significance")
    assert not report.passed
    assert "3 test days are too few" in significance.detail


def test_events_tell_of_each_gate_and_nothing_of_the_short_training(built):
    events = built[2].events
    assert [event.gate for event in events if isinstance(event, GateDecided)] == [
        "accuracy", "calibration", "leakage", "significance", "sample",
    ]  # fmt: skip
    assert isinstance(events[-1], EvaluationFinished)
    assert not any(isinstance(event, EpochFinished) for event in events)
    assert (built[2].last_progress.done, built[2].last_progress.total) == (7, 7)


def test_the_same_again_finds_the_work_done(bench, built):
    before = bench.paths.ledger.read_bytes()
    reporter = SilentReporter()
    again = bench.evaluate(str(best_path(bench.paths, MODEL)), reporter)
    assert again.skipped
    assert again.report == built[1].report
    assert [type(event) for event in reporter.events] == [JobSkipped]
    assert bench.paths.ledger.read_bytes() == before


def test_done_afresh_it_gives_the_same_certificate(bench, built):
    before = bench.paths.ledger.read_bytes()
    again = bench.evaluate(fresh=True)
    assert not again.skipped
    assert again.report.sha256 == built[1].report.sha256
    first, second = (item.report.as_json() for item in (built[1], again))
    del first["times"], second["times"]
    assert first == second
    assert bench.paths.ledger.read_bytes() == before


def test_a_lost_report_file_is_written_again(bench, built):
    path = report_path(bench.paths, built[1].report)
    path.unlink()
    assert bench.evaluate().skipped
    assert path.exists()


def test_other_costs_keep_the_attempt_and_change_the_backtest(bench, built):
    before, first = bench.entries(), built[1].report
    dear = BacktestPlan(DeskConfig(costs=ExecutionCosts(default_spread_bps=60)))
    again = bench.evaluate(plan=dear).report
    assert (again.attempt, again.version, again.accuracy) == (1, "v1.0.0", first.accuracy)
    assert again.coins[0].backtest.mean_r < first.coins[0].backtest.mean_r - 0.1
    assert again.sha256 != first.sha256
    assert bench.entries() == before + 1
    assert bench.evaluate(plan=dear).skipped


def test_the_effect_of_measured_costs_is_that_of_the_real_backtest(built, monkeypatch):
    bench, evaluated, _ = built
    entry = read_ledger(bench.paths.ledger).evaluations(MODEL)[-1]
    monkeypatch.setattr(cost_effect, "_traded", lambda _paths, _reasons: (entry,))
    level = SessionCosts(CostLevel(3.0, 3.0, 3.0, 500), CostLevel(0.5, 0.5, 0.5, 500))
    measured = ExecutionCosts(pairs={"BTC-USD": dict.fromkeys(SESSIONS, level)})
    plan, none = BacktestPlan(), ExecutionCosts()
    effect = cost_effect.cost_effect(bench.paths, plan, none, measured, SilentReporter())
    assert effect["reason"] == ""
    (coin,) = effect["coins"]
    assert (coin["model"], coin["version"], coin["symbol"]) == (MODEL, "v1.0.0", "BTC-USD")
    (report,) = evaluated.report.coins
    names = ("trades", "win_rate", "net_r", "accuracy", "break_even_accuracy")
    assert coin["before"] == {name: getattr(report.backtest, name) for name in names}
    examined = bench.examined()
    loaded = evaluate.load_judged(bench.paths, best_path(bench.paths, MODEL))
    traded = loaded.coins[0].traded(MODEL, examined.test, examined.probability)
    again = backtest(BacktestPlan(DeskConfig(costs=measured)), traded, SilentReporter())
    assert coin["after"] == {name: getattr(again, name) for name in names}
    assert coin["after"]["net_r"] > coin["before"]["net_r"]
    other = ExecutionCosts(pairs={"ETH-USD": dict.fromkeys(SESSIONS, level)})
    nothing = cost_effect.cost_effect(bench.paths, plan, none, other, SilentReporter())
    assert (nothing["coins"], nothing["reason"]) == (
        [], "no live model speaks of a coin whose costs changed",
    )  # fmt: skip


def test_without_a_live_model_there_is_no_effect_to_show(built):
    level = SessionCosts(CostLevel.constant(1.0), CostLevel.constant(1.0))
    measured = ExecutionCosts(pairs={"BTC-USD": {"tokyo": level}})
    effect = cost_effect.cost_effect(
        built[0].paths, BacktestPlan(), ExecutionCosts(), measured, SilentReporter()
    )
    assert (effect["coins"], effect["reason"]) == ([], "no model is live")


def test_other_thresholds_keep_the_attempt_and_are_marked(bench):
    looser = bench.evaluate(thresholds=Thresholds(min_accuracy=0.5)).report
    assert (looser.attempt, looser.version, looser.exploratory) == (1, "v1.0.0", True)
    assert bench.entries() == 2
    assert [item.state for item in verify(bench.paths)] == ["intact"]


def test_verify_recomputes_every_number(bench):
    recompute = recomputing(bench.paths, SilentReporter(), CLOCK)
    (found,) = verify(bench.paths, MODEL, recompute)
    assert (found.state, found.recomputed) == ("intact", True), found.detail


def test_differences_name_the_number(built):
    (report,) = built[1].report.coins
    whole, other = ModelReport((report,)), ModelReport((replace(report, accuracy=report.accuracy + 1e-5),))
    assert evaluate.differences(whole, whole) == []
    (found,) = evaluate.differences(whole, other)
    assert found.startswith("accuracy is ")
    worse = tuple(replace(gate, passed=not gate.passed) for gate in report.gates)
    assert len(evaluate.differences(whole, ModelReport((replace(report, gates=worse),)))) >= 5


def test_other_data_are_refused_and_cannot_verify(bench):
    bench.generate(seed=6)
    with pytest.raises(ArtifactError, match="was trained on other data of BTC-USD") as error:
        bench.evaluate()
    assert "tradingai train lstm --coin BTC-USD" in error.value.remedy
    (found,) = verify(bench.paths, MODEL, recomputing(bench.paths, SilentReporter(), CLOCK))
    assert (found.state, found.ok) == ("not recomputed", True)
    assert bench.entries() == 1


def test_another_artifact_on_the_same_data_is_the_second_attempt(bench):
    bench.train(seed=2)
    report = bench.evaluate().report
    assert (report.attempt, report.version) == (2, "v1.1.0")
    assert report.alpha == pytest.approx(0.05 * 6 / (np.pi**2 * 4))


def test_a_missing_model_names_the_command(bench):
    with pytest.raises(MissingError, match="lstm_XRP-USD") as error:
        bench.evaluate("lstm_XRP-USD")
    assert "tradingai train lstm --coin XRP-USD" in error.value.remedy


def test_a_tampered_checkpoint_is_refused(bench):
    path = best_path(bench.paths, MODEL)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError):
        bench.evaluate()
    assert bench.entries() == 1


def test_a_stop_leaves_nothing_half_done(bench):
    class Stopping(SilentReporter):
        points = 0

        def safe_point(self):
            self.points += 1
            if self.points == 30:
                raise InterruptedRunError("stopped")

    bench.train(seed=3)
    before = bench.paths.ledger.read_bytes()
    with pytest.raises(InterruptedRunError):
        bench.evaluate(reporter=Stopping())
    assert bench.paths.ledger.read_bytes() == before


def planted(examined, **record):
    """The same artifact with another training record."""
    artifact = replace(examined.artifact, record={**examined.record, **record})
    return replace(examined, voice=NetworkVoice(artifact))


def test_planted_leaks_in_the_training_record_are_named(built):
    """Overlapping splits, a test range inside training, and a scaler fitted on everything."""
    examined = built[0].examined()
    test, consumed = examined.test, examined.record["consumed"]
    whole = {**consumed, "train": {**consumed["train"], "scored": [[2_878, test.hi]]}}
    check = battery._separation(planted(examined, consumed=whole))
    assert {"train", "test"} <= set(check.accused)
    lo, hi = consumed["early_stop"]["scored"][0]
    overlapping = {**consumed, "early_stop": {**consumed["early_stop"], "scored": [[lo - 200, hi]]}}
    check = battery._separation(planted(examined, consumed=overlapping))
    assert set(check.accused) == {"train", "early_stop"}
    assert battery._constants(examined).passed
    names = examined.coin.feature_names
    everything = Scaler.fit(names, examined.data.values, 2_878, len(examined.data.values))
    voice = NetworkVoice(with_part(examined.artifact, scaler=everything))
    check = battery._constants(replace(examined, voice=voice))
    assert {"scaler", "mean of atr_14_ratio", "best_epoch", "calibrator"} <= set(check.accused)
    check = battery._constants(planted(examined, fitted={**examined.record["fitted"], "threshold": {}}))
    assert check.accused == ("threshold",)


def test_a_test_range_inside_training_is_remembered_by_the_shuffled_fits(built):
    examined = built[0].examined()
    consumed = examined.record["consumed"]
    whole = {**consumed, "train": {**consumed["train"], "scored": [[2_878, examined.test.hi]]}}
    check = battery._shuffled(
        planted(examined, consumed=whole), np.random.default_rng(0), SilentReporter(), CLOCK
    )
    assert "memory" in check.accused


def test_a_leaking_artifact_is_refused_by_the_gate_by_name(bench):
    path = best_path(bench.paths, MODEL)
    artifact = load_artifact(path)
    values = bench.examined().data.values
    (part,) = artifact.coins
    everything = Scaler.fit(part.feature_names, values, 2_878, len(values))
    save_artifact(path, with_part(artifact, scaler=replace(everything, lo=part.scaler.lo, hi=part.scaler.hi)))
    report = bench.evaluate().report
    leakage = next(gate for gate in report.gates if gate.id == "leakage")
    assert not leakage.passed
    assert "fitted constants failed: scaler differs from a refit" in leakage.detail
    assert "scaler" in leakage.to_pass


def test_a_check_that_cannot_run_says_so_and_does_not_pass(built, monkeypatch):
    def refuse(*_):
        raise DataError("no candles to cut")

    monkeypatch.setattr(battery, "causality", refuse)
    results = battery.run_battery(built[0].examined(), np.random.default_rng(0), SilentReporter(), CLOCK)
    assert [(check.name, check.ran, check.passed, check.detail) for check in results[:2]] == [
        ("prefix_invariance", False, False, "no candles to cut"),
        ("future_perturbation", False, False, "no candles to cut"),
    ]
    assert all(check.ran for check in results[2:])
