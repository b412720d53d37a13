"""Training a coin from a home: skipping, resuming after kill -9, refusing what does not belong together."""

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
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.errors import ArtifactError, DataError, InterruptedRunError, MissingError
from tradingai.engine.core.events import EpochFinished, TrainingDiscarded, TrainingFinished, TrainingStarted
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.datasets.dataset import load_dataset
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.build import build_features
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.jobs.spec import params_to_go_on
from tradingai.engine.models.artifact import best_path, load_artifact
from tradingai.engine.models.calibration import fit_calibrator
from tradingai.engine.models.predict import predict_rows
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.training.checkpoint import load_checkpoint
from tradingai.engine.training.config import LstmTraining
from tradingai.engine.training.history import read_history
from tradingai.engine.training.lstm import train_lstm
from tradingai.engine.training.resume import last_path

from tests.fakes.lstm_world import StopAt

SYMBOL, MODEL = "BTC-USD", "lstm_BTC-USD"
END = datetime(2025, 11, 10, 1, 7, tzinfo=UTC)
TRAINING = LstmTraining(epochs=3, checkpoint_every_s=0.0)
CHILD = "tests.fakes.train_loop"


def fill(paths, symbol=SYMBOL, days=7, seed=1, **options):
    silent = SilentReporter()
    generate_dataset(paths, symbol, "cycles", seed, END - timedelta(days=days), END, None, silent, **options)
    build_features(paths, symbol, (), silent)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A home with candles and features of one coin, and the artifact of an undisturbed training."""
    paths = HomePaths(tmp_path_factory.mktemp("prepared"))
    fill(paths)
    reporter = SilentReporter()
    return paths, train_lstm(paths, SYMBOL, TRAINING, reporter), reporter


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


def train(paths, reporter=None, training=TRAINING, **options):
    return train_lstm(paths, SYMBOL, training, reporter or SilentReporter(), **options)


def test_a_training_tells_and_leaves_an_artifact_and_its_curve(prepared):
    paths, result, reporter = prepared
    started, *epochs, finished = reporter.events
    assert isinstance(started, TrainingStarted)
    assert not started.resumed
    assert [type(event) for event in epochs] == [EpochFinished] * 3
    assert isinstance(finished, TrainingFinished)
    assert finished.sha256 == result.sha256 == load_artifact(best_path(paths, MODEL)).sha256
    assert json.loads((paths.checkpoints / f"{MODEL}_best.json").read_text())["sha256"] == result.sha256
    assert not last_path(paths, MODEL).exists()
    ((run, curve),) = read_history(paths, MODEL)
    assert run["run"] == started.run
    assert [entry["validation_loss"] for entry in curve] == [epoch.validation_loss for epoch in epochs]
    assert all(path.stat().st_mode & 0o77 == 0 for path in paths.checkpoints.rglob("*"))


def test_the_record_says_what_was_consumed_and_fitted_where(prepared):
    paths, result, _ = prepared
    data, record = load_dataset(paths, SYMBOL), result.record
    split = data.split
    assert record["split"] == split.as_dict()
    consumed = record["consumed"]
    assert consumed["train"]["scored"] == consumed["train"]["fed"] == [list(split.train)]
    assert consumed["train"]["labels"] == int((data.labels[split.train.slice] >= 0).sum())
    assert consumed["early_stop"]["scored"] == [list(split.early_stop)]
    assert consumed["early_stop"]["fed"] == [[split.early_stop.lo - 1440, split.early_stop.hi]]
    assert consumed["calibration"]["scored"] == [list(split.calibration)]
    assert all(rows[1] <= split.test.lo for part in consumed.values() for rows in part["fed"])
    assert record["fitted"]["scaler"]["rows"] == list(split.train)
    assert record["fitted"]["calibrator"]["rows"] == list(split.calibration)
    assert record["coins"][SYMBOL]["inputs"]["features_sha256"] == data.features.sha256
    assert record["identity"][f"data of {SYMBOL}"] == data.inputs_sha256
    assert (record["seed"], record["threads"], record["device"]) == (1, 1, "cpu")
    assert len(record["history"]) == record["epochs_run"] == 3


def test_fitted_constants_are_those_of_a_refit_on_their_declared_rows(prepared):
    paths, result, _ = prepared
    data, artifact = load_dataset(paths, SYMBOL), load_artifact(result.path)
    fitted, coin = result.record["fitted"], result.record["coins"][SYMBOL]
    (part,) = artifact.coins
    again = Scaler.fit(data.features.names, data.values, *fitted["scaler"]["rows"])
    assert again.matches(part.scaler).all()
    rows = Rows(*fitted["calibrator"]["rows"])
    logits = predict_rows(artifact, data.values, rows.lo, rows.hi, data.features.first_valid)[:, 0]
    refit = fit_calibrator(logits, data.labels[rows.slice])
    assert refit.calibrator.method == part.calibrator.method
    grid = np.linspace(-4, 4, 50)
    np.testing.assert_allclose(
        refit.calibrator.probability(grid), part.calibrator.probability(grid), atol=1e-6
    )
    assert refit.cv_log_loss == pytest.approx(coin["calibrator"]["cv_log_loss"], abs=1e-6)


def test_the_second_time_it_is_done_and_says_so(trained, prepared):
    (trained.checkpoints / f"{MODEL}_best.json").write_text("{}")
    reporter = SilentReporter()
    result = train(trained, reporter)
    assert result.skipped
    assert result.sha256 == prepared[1].sha256
    assert "3 epochs on the same data" in result.reason
    assert reporter.events == []
    assert json.loads((trained.checkpoints / f"{MODEL}_best.json").read_text())["sha256"] == result.sha256


def test_fresh_trains_again_to_the_same_values(trained, prepared):
    result = train(trained, training=LstmTraining(epochs=3, fresh=True), clock=SimulatedClock(END))
    assert not result.skipped
    assert result.sha256 == prepared[1].sha256
    assert load_artifact(result.path).notes["created_at"] == "2025-11-10T01:07:00Z"


def test_other_settings_train_again_and_the_old_model_stays_until_then(trained, prepared):
    other = LstmTraining(epochs=3, seed=2)
    with pytest.raises(InterruptedRunError):
        train(trained, StopAt(20), other)
    assert load_artifact(best_path(trained, MODEL)).sha256 == prepared[1].sha256
    resumed = SilentReporter()
    result = train(trained, resumed, other)
    assert resumed.events[0].resumed
    assert load_artifact(best_path(trained, MODEL)).sha256 == result.sha256 != prepared[1].sha256
    assert load_artifact(best_path(trained, MODEL)).notes["resumes"] == 1


def test_stopping_at_a_safe_point_loses_nothing(paths, prepared):
    with pytest.raises(InterruptedRunError):
        train(paths, StopAt(40), LstmTraining(epochs=3))
    assert not best_path(paths, MODEL).exists()
    state = load_checkpoint(last_path(paths, MODEL))
    assert state.finished_epochs == 1
    reporter = SilentReporter()
    assert train(paths, reporter, LstmTraining(epochs=3)).sha256 == prepared[1].sha256
    assert reporter.events[0].finished_epochs == 1
    assert len(read_history(paths, MODEL)) == 1


def test_a_training_that_started_over_and_was_stopped_goes_on_when_it_is_resumed(paths, prepared):
    with pytest.raises(InterruptedRunError):
        train(paths, StopAt(10), LstmTraining(epochs=3, seed=2))
    begun = {"epochs": 3, "fresh": True}
    with pytest.raises(InterruptedRunError):
        train(paths, StopAt(40), LstmTraining(**begun))
    reporter = SilentReporter()
    again = LstmTraining(**params_to_go_on(begun))
    assert train(paths, reporter, again).sha256 == prepared[1].sha256
    assert reporter.events[0].finished_epochs == 1


def test_the_unfinished_training_of_another_seed_is_refused_by_name(paths):
    with pytest.raises(InterruptedRunError):
        train(paths, StopAt(40))
    before = last_path(paths, MODEL).read_bytes()
    with pytest.raises(ArtifactError, match="seed 1 instead of 2") as caught:
        train(paths, training=LstmTraining(epochs=3, seed=2))
    assert "--fresh" in caught.value.remedy
    assert last_path(paths, MODEL).read_bytes() == before
    reporter = SilentReporter()
    train(paths, reporter, LstmTraining(epochs=1, seed=2, replace_unfinished=True))
    assert isinstance(reporter.events[0], TrainingDiscarded)
    assert reporter.events[0].finished_epochs == 1


def test_damaged_files_are_refused_left_alone_and_fresh_gets_past_them(trained):
    path = best_path(trained, MODEL)
    damaged = path.read_bytes()[:-400]
    path.write_bytes(damaged)
    with pytest.raises(ArtifactError, match="damaged"):
        train(trained)
    assert path.read_bytes() == damaged
    last_path(trained, MODEL).write_bytes(b"half")
    path.unlink()
    with pytest.raises(ArtifactError, match=r"_last\.pt is damaged"):
        train(trained)
    assert not train(trained, training=LstmTraining(epochs=1, fresh=True)).skipped
    assert not last_path(trained, MODEL).exists()


def test_without_features_the_command_is_named(tmp_path):
    paths = HomePaths(tmp_path)
    with pytest.raises(MissingError, match="no candles") as caught:
        train(paths)
    assert "tradingai data generate" in caught.value.remedy
    generate_dataset(paths, SYMBOL, "null", 1, END - timedelta(days=3), END, None, SilentReporter())
    with pytest.raises(MissingError, match="no features") as caught:
        train(paths)
    assert "tradingai features build --symbols BTC-USD" in caught.value.remedy
    build_features(paths, SYMBOL, (), SilentReporter())
    with pytest.raises(DataError, match="a time split needs"):
        train(paths)


def test_features_older_than_candles_are_refused(paths):
    silent = SilentReporter()
    generate_dataset(paths, SYMBOL, "cycles", 2, END - timedelta(days=7), END, None, silent)
    with pytest.raises(ArtifactError, match="built from other candles") as caught:
        train(paths)
    assert "tradingai features build --symbols BTC-USD" in caught.value.remedy
    build_features(paths, SYMBOL, (), silent)
    generate_dataset(paths, "ETH-USD", "cycles", 2, END - timedelta(days=7), END, None, silent)
    build_features(paths, SYMBOL, ("ETH-USD",), silent)
    load_dataset(paths, SYMBOL)
    generate_dataset(paths, "ETH-USD", "cycles", 3, END - timedelta(days=7), END, None, silent)
    with pytest.raises(ArtifactError, match="other candles of ETH-USD"):
        load_dataset(paths, SYMBOL)


def test_leftovers_of_a_killed_writer_go_and_those_of_other_coins_stay(paths):
    paths.checkpoints.mkdir(parents=True)
    mine, others = (paths.checkpoints / f".lstm_{coin}_last.pt.x.tmp" for coin in ("BTC-USD", "ETH-USD"))
    mine.touch()
    others.touch()
    train(paths, training=LstmTraining(epochs=1))
    assert not mine.exists()
    assert others.exists()


def kill_once(paths, rng):
    """Start a training and kill it somewhere in its next 30 chunks; whether it was still at work."""
    command = [sys.executable, "-m", CHILD, str(paths.root), SYMBOL]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
        for _ in range(rng.integers(0, 30)):
            child.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.005))
        child.kill()
    return child.returncode == -9


def killed_again_and_again(paths, kills, expected):
    rng, killed = np.random.default_rng(kills), 0
    for _ in range(kills):
        killed += kill_once(paths, rng)
        if best_path(paths, MODEL).exists():
            assert load_artifact(best_path(paths, MODEL)).sha256 == expected
    assert killed > 0
    result = train(paths)
    assert result.sha256 == expected
    assert not last_path(paths, MODEL).exists()
    assert not list(paths.checkpoints.glob(".*.tmp"))


def test_kill_nine_at_random_moments_ends_in_the_same_values(paths, prepared):
    killed_again_and_again(paths, 2, prepared[1].sha256)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_twenty_kills_end_in_the_same_values(paths, prepared):
    killed_again_and_again(paths, 20, prepared[1].sha256)


def test_the_thread_count_is_part_of_the_training(trained):
    with pytest.raises(InterruptedRunError):
        train(trained, StopAt(1), replace(TRAINING, threads=2))
    assert train(trained).skipped
    assert load_checkpoint(last_path(trained, MODEL)).identity["threads"] == 2


def test_a_kill_between_artifact_and_resume_state_leaves_nothing_to_do(trained, prepared, tmp_path):
    other = HomePaths(tmp_path / "other")
    shutil.copytree(trained.data, other.data, copy_function=os.link)
    with pytest.raises(InterruptedRunError):
        train(other, StopAt(30))
    shutil.copy(last_path(other, MODEL), last_path(trained, MODEL))
    assert train(trained).sha256 == prepared[1].sha256
    assert not last_path(trained, MODEL).exists()
