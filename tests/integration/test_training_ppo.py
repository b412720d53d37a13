"""Training the agent from a home: what it leaves, skipping, resuming after kill -9, what it refuses."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tradingai.engine.core.errors import ArtifactError, DataError, InterruptedRunError, MissingError
from tradingai.engine.core.events import PolicyUpdated, TrainingDiscarded, TrainingFinished, TrainingStarted
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.datasets.dataset import load_dataset
from tradingai.engine.datasets.market import load_market
from tradingai.engine.features.build import build_features
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.artifact import best_path, load_artifact
from tradingai.engine.models.calibration import fit_calibrator, sigmoid
from tradingai.engine.models.policy import FLAT, LONG, build_policy
from tradingai.engine.models.predict import predict_rows
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.training import resume
from tradingai.engine.training.history import read_history
from tradingai.engine.training.market_env import CoinRows
from tradingai.engine.training.policy_run import action_logits
from tradingai.engine.training.ppo import net_returns, train_ppo
from tradingai.engine.training.ppo_state import load_agent
from tradingai.engine.training.resume import last_path

from tests.fakes.lstm_world import StopAt
from tests.fakes.small_environments import AGENT_COINS, COSTS, agent_training

END = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
CHILD = "tests.fakes.train_agent_loop"


def generate(paths, symbol, seed=1, days=7, end=END):
    generate_dataset(paths, symbol, "cycles", seed, end - timedelta(days=days), end, None, SilentReporter())


def fill(paths, **options):
    for symbol in AGENT_COINS:
        generate(paths, symbol, **options)
    for symbol in AGENT_COINS:
        build_features(paths, symbol, AGENT_COINS, SilentReporter())


def train(paths, reporter=None, training=None, coins=AGENT_COINS, costs=COSTS):
    return train_ppo(paths, coins, training or agent_training(), reporter or SilentReporter(), costs=costs)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A home with two coins, and the artifact of an undisturbed training."""
    paths = HomePaths(tmp_path_factory.mktemp("prepared"))
    fill(paths)
    reporter = SilentReporter()
    return paths, train(paths, reporter), reporter


@pytest.fixture
def paths(prepared, tmp_path):
    """The same candles and features, nothing trained."""
    shutil.copytree(prepared[0].data, tmp_path / "data", copy_function=os.link)
    return HomePaths(tmp_path)


@pytest.fixture
def trained(prepared, paths):
    """As ``paths``, with the finished training."""
    shutil.copytree(prepared[0].models, paths.models)
    return paths


def test_a_training_tells_and_leaves_an_artifact_and_its_curve(prepared):
    paths, result, reporter = prepared
    started, *stages, finished = reporter.events
    assert isinstance(started, TrainingStarted)
    assert (started.model, started.lanes, started.chunk, started.resumed) == ("ppo", 64, 16, False)
    assert [type(event) for event in stages] == [PolicyUpdated] * 5
    assert [event.env_steps for event in stages] == [started.bars * stage for stage in range(1, 6)]
    assert isinstance(finished, TrainingFinished)
    artifact = load_artifact(best_path(paths, "ppo"))
    assert finished.sha256 == result.sha256 == artifact.sha256
    assert (artifact.kind, artifact.symbols) == ("ppo", AGENT_COINS)
    assert (artifact.warmup.bars, artifact.warmup.agrees) == (0, True)
    assert json.loads((paths.checkpoints / "ppo_best.json").read_text())["sha256"] == result.sha256
    assert not last_path(paths, "ppo").exists()
    ((run, curve),) = read_history(paths, "ppo")
    assert run["run"] == started.run
    for entry, event in zip(curve, stages, strict=True):
        for name, value in entry.items():
            assert getattr(event, name) == value


def test_the_return_that_chose_the_stage_is_that_of_the_kept_weights_in_basis_points(prepared):
    paths, _, reporter = prepared
    artifact = load_artifact(best_path(paths, "ppo"))
    unseen = [
        CoinRows.of(one, artifact.coin(one.symbol).scaler, one.split.early_stop)
        for one in (load_dataset(paths, symbol) for symbol in AGENT_COINS)
    ]
    found = np.mean(net_returns(build_policy(artifact.config, artifact.tensors), unseen, COSTS)) * 1e4
    told = [event for event in reporter.events if isinstance(event, PolicyUpdated)]
    kept = next(event for event in reversed(told) if event.best)
    assert kept.validation_return_bps == pytest.approx(found, abs=1e-9)
    assert kept.validation_return_bps == max(event.validation_return_bps for event in told)
    assert artifact.record["best_epoch"] == kept.stage


def test_the_record_says_what_was_consumed_and_fitted_where(prepared):
    paths, result, _ = prepared
    split, record = load_dataset(paths, AGENT_COINS[0]).split, result.record
    assert record["split"] == split.as_dict()
    consumed = record["consumed"]
    assert consumed["train"]["scored"] == [[split.train.lo, split.train.hi - 1]]
    assert consumed["train"]["fed"] == [list(split.train)]
    assert consumed["train"]["labels"] == 0
    assert consumed["train"]["rewards"] == 2 * (split.train.size - 1)
    assert consumed["early_stop"]["scored"] == [list(split.early_stop)]
    assert consumed["calibration"]["scored"] == [list(split.calibration)]
    assert record["fitted"]["scaler"]["rows"] == list(split.train)
    assert list(record["coins"]) == list(AGENT_COINS)
    assert len(record["history"]) == record["epochs_run"] == 5
    assert 0.4 < record["validation"]["early_stop"]["accuracy"] < 1.0


def test_each_coin_has_its_scaler_and_its_calibrator_refitted_to_the_same(prepared):
    paths, result, _ = prepared
    artifact = load_artifact(result.path)
    network = build_policy(artifact.config, artifact.tensors)
    for number, symbol in enumerate(AGENT_COINS):
        data, part = load_dataset(paths, symbol), artifact.coin(symbol)
        again = Scaler.fit(data.features.names, data.values, *data.split.train)
        assert again.matches(part.scaler).all()
        rows = data.split.calibration
        policy = (
            action_logits(network, number, CoinRows.of(data, again, rows))[:, FLAT].double().softmax(dim=-1)
        )
        rise = (policy[:, LONG] + 0.5 * policy[:, FLAT]).numpy()
        logits = np.log(rise / (1.0 - rise))
        refit = fit_calibrator(logits, data.labels[rows.slice])
        assert refit.calibrator.method == part.calibrator.method
        np.testing.assert_allclose(
            refit.calibrator.probability(logits), part.calibrator.probability(logits), atol=1e-4
        )
        np.testing.assert_allclose(sigmoid(logits), rise, atol=1e-12)
    market = load_market(paths, AGENT_COINS)
    said = predict_rows(artifact, market.values, *rows)
    np.testing.assert_allclose(sigmoid(said[:, number]), rise, atol=1e-6)


def test_the_second_time_it_is_done_and_says_so(trained, prepared):
    (trained.checkpoints / "ppo_best.json").write_text("{}")
    reporter = SilentReporter()
    result = train(trained, reporter)
    assert result.skipped
    assert result.sha256 == prepared[1].sha256
    assert "5 epochs on the same data" in result.reason
    assert reporter.events == []
    assert json.loads((trained.checkpoints / "ppo_best.json").read_text())["sha256"] == result.sha256


def test_fresh_trains_again_to_the_same_values(trained, prepared):
    result = train(trained, training=agent_training(fresh=True))
    assert not result.skipped
    assert result.sha256 == prepared[1].sha256


@pytest.mark.parametrize("safe_point", [1, 8, 29])
def test_stopping_at_a_safe_point_loses_nothing(paths, prepared, safe_point):
    """At the first update, within a stage, and shortly before the end."""
    with pytest.raises(InterruptedRunError):
        train(paths, StopAt(safe_point))
    assert not best_path(paths, "ppo").exists()
    assert load_agent(last_path(paths, "ppo")).finished_epochs == safe_point // 6
    reporter = SilentReporter()
    assert train(paths, reporter).sha256 == prepared[1].sha256
    assert reporter.events[0].resumed
    assert reporter.events[0].finished_epochs == safe_point // 6
    ((run, curve),) = read_history(paths, "ppo")
    assert run["resumes"] == 1
    assert len(curve) == 5


def test_kill_nine_at_random_moments_ends_in_the_same_values(paths, prepared):
    rng, killed = np.random.default_rng(1), 0
    for _ in range(3):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", CHILD, str(paths.root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
            for _ in range(rng.integers(1, 12)):
                child.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.01))
            child.kill()
        killed += child.returncode == -9
    assert killed > 0
    assert train(paths).sha256 == prepared[1].sha256
    assert not last_path(paths, "ppo").exists()
    assert not list(paths.checkpoints.glob(".*.tmp"))


def test_an_unfinished_training_of_another_kind_is_refused_by_name(paths):
    with pytest.raises(InterruptedRunError):
        train(paths, StopAt(8))
    before = last_path(paths, "ppo").read_bytes()
    dearer = replace(COSTS, default_spread_bps=20.0)
    for options, difference in (
        ({"training": agent_training(seed=2)}, "seed 1 instead of 2"),
        ({"coins": AGENT_COINS[:1]}, "coins BTC-USD, ETH-USD instead of BTC-USD"),
        ({"costs": dearer}, "execution costs"),
        ({"training": agent_training(discount=0.5)}, "discount 0.8 instead of 0.5"),
    ):
        with pytest.raises(ArtifactError, match=difference) as caught:
            train(paths, **options)
        assert "--fresh" in caught.value.remedy
    build_features(paths, "BTC-USD", (), SilentReporter())
    build_features(paths, "ETH-USD", (), SilentReporter())
    with pytest.raises(ArtifactError, match="feature set of BTC-USD"):
        train(paths)
    assert last_path(paths, "ppo").read_bytes() == before
    reporter = SilentReporter()
    train(paths, reporter, agent_training(replace_unfinished=True))
    assert isinstance(reporter.events[0], TrainingDiscarded)
    assert reporter.events[0].finished_epochs == 1


def test_a_resume_state_of_another_schema_or_damaged_is_refused(paths, monkeypatch):
    with pytest.raises(InterruptedRunError):
        train(paths, StopAt(3))
    monkeypatch.setattr(resume, "RESUME_SCHEMA", 9)
    with pytest.raises(ArtifactError, match="has schema version 2 instead of 9"):
        train(paths)
    monkeypatch.undo()
    path = last_path(paths, "ppo")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ArtifactError, match="damaged") as caught:
        train(paths)
    assert "train ppo --fresh" in caught.value.remedy


def test_other_costs_train_another_agent(trained, prepared):
    """What a change of position costs is part of what the agent learns from."""
    free = replace(COSTS, default_spread_bps=0.0, default_slippage_bps=0.0, commission_rate=0.0)
    result = train(trained, costs=free)
    assert not result.skipped
    assert result.sha256 != prepared[1].sha256
    later = replace(free, measured_at="2025-11-10T00:00:00Z", latency_ms=9.0)
    assert train(trained, costs=later).skipped


def test_coins_of_other_minutes_are_refused(tmp_path):
    paths = HomePaths(tmp_path)
    fill(paths)
    generate(paths, "ETH-USD", days=6)
    for symbol in AGENT_COINS:
        build_features(paths, symbol, (), SilentReporter())
    with pytest.raises(DataError, match="needs the same minutes"):
        train(paths)
    with pytest.raises(MissingError, match="no candles"):
        train(HomePaths(tmp_path / "empty"))
    with pytest.raises(DataError, match="no coin to train on"):
        train(paths, coins=())
