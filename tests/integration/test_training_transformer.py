"""Training all coins' Transformer from a home: publishing, skipping, resuming after kill -9, refusing."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from tradingai.engine.core.errors import ArtifactError, DataError, InterruptedRunError
from tradingai.engine.core.events import EpochFinished, TrainingFinished, TrainingStarted
from tradingai.engine.core.jsonio import canonical
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.datasets.market import load_market
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.build import build_features
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.artifact import best_path, load_artifact, value_hash, write_payload
from tradingai.engine.models.calibration import fit_calibrator
from tradingai.engine.models.predict import Predictor, predict_rows
from tradingai.engine.training.checkpoint import load_checkpoint
from tradingai.engine.training.config import TransformerTraining
from tradingai.engine.training.history import read_history
from tradingai.engine.training.job import fit_scalers
from tradingai.engine.training.resume import last_path
from tradingai.engine.training.transformer import train_transformer

from tests.fakes.lstm_world import StopAt
from tests.fakes.market_world import SHAPE
from tests.unit.test_market_dataset import COINS, fill

MODEL = "transformer"
TRAINING = TransformerTraining(epochs=3, checkpoint_every_s=0.0, **SHAPE)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A home with candles and features of two coins, and the artifact of an undisturbed training."""
    paths = HomePaths(tmp_path_factory.mktemp("prepared"))
    fill(paths)
    reporter = SilentReporter()
    return paths, train_transformer(paths, COINS, TRAINING, reporter), reporter


@pytest.fixture
def paths(prepared, tmp_path):
    """The same candles and features, nothing trained."""
    shutil.copytree(prepared[0].data, tmp_path / "data", copy_function=os.link)
    return HomePaths(tmp_path)


def train(paths, reporter=None, training=TRAINING, coins=COINS):
    return train_transformer(paths, coins, training, reporter or SilentReporter())


def test_a_training_tells_and_leaves_one_artifact_of_all_coins(prepared):
    paths, result, reporter = prepared
    started, *epochs, finished = reporter.events
    assert isinstance(started, TrainingStarted)
    assert started.model == MODEL
    assert [type(event) for event in epochs] == [EpochFinished] * 3
    assert isinstance(finished, TrainingFinished)
    path = best_path(paths, MODEL)
    assert path.name == "transformer_best.pt"
    artifact = load_artifact(path)
    assert finished.sha256 == result.sha256 == artifact.sha256
    assert (artifact.model, artifact.kind, artifact.symbols) == (MODEL, MODEL, COINS)
    assert artifact.config["inputs"] == [len(part.feature_names) for part in artifact.coins]
    assert json.loads(path.with_suffix(".json").read_text())["sha256"] == result.sha256
    assert not last_path(paths, MODEL).exists()
    ((run, curve),) = read_history(paths, MODEL)
    assert run["run"] == started.run
    assert [entry["validation_loss"] for entry in curve] == [epoch.validation_loss for epoch in epochs]
    assert artifact.warmup.measured <= artifact.network().config.reach
    assert artifact.warmup.agrees


def test_the_record_says_what_was_consumed_of_every_coin(prepared):
    paths, result, _ = prepared
    market, record = load_market(paths, COINS), result.record
    split, consumed = market.split, record["consumed"]
    assert consumed["train"]["fed"] == consumed["train"]["scored"] == [list(split.train)]
    assert consumed["train"]["labels"] == int((market.labels[split.train.slice] >= 0).sum())
    assert all(rows[1] <= split.test.lo for part in consumed.values() for rows in part["fed"])
    for coin in market.coins:
        inputs = record["coins"][coin.symbol]["inputs"]
        assert inputs["features_sha256"] == coin.features.sha256
        assert record["identity"][f"data of {coin.symbol}"] == coin.inputs_sha256
    assert record["identity"]["coins"] == "BTC-USD, ETH-USD"


def test_each_coin_has_the_constants_of_its_own_refit(prepared):
    paths, result, _ = prepared
    market, artifact = load_market(paths, COINS), load_artifact(result.path)
    rows = Rows(*result.record["fitted"]["calibrator"]["rows"])
    logits = predict_rows(artifact, market.values, rows.lo, rows.hi, market.first_valid)
    grid = np.linspace(-4, 4, 50)
    for number, (coin, part) in enumerate(zip(market.coins, artifact.coins, strict=True)):
        again = Scaler.fit(coin.features.names, coin.values, *result.record["fitted"]["scaler"]["rows"])
        assert again.matches(part.scaler).all()
        refit = fit_calibrator(np.ascontiguousarray(logits[:, number]), coin.labels[rows.slice])
        assert refit.calibrator.method == part.calibrator.method
        np.testing.assert_allclose(
            refit.calibrator.probability(grid), part.calibrator.probability(grid), atol=1e-6
        )
        recorded = result.record["coins"][coin.symbol]["validation"]["calibration_before"]["accuracy"]
        known = coin.labels[rows.slice] >= 0
        right = (logits[known, number] > 0) == (coin.labels[rows.slice][known] == 1)
        assert right.mean() == pytest.approx(recorded, abs=1e-12)


def test_the_record_says_how_well_the_trend_is_known(prepared):
    paths, result, _ = prepared
    market, artifact = load_market(paths, COINS), load_artifact(result.path)
    lo, hi = market.split.calibration
    scaler = Scaler.beside({part.symbol: part.scaler for part in artifact.coins})
    scaled = scaler.transform(market.values[slice(lo - artifact.warmup.bars, hi)])
    with torch.inference_mode():
        outputs = artifact.network().outputs(torch.from_numpy(scaled)[:, None])
    for number, coin in enumerate(market.coins):
        said = outputs.trend[artifact.warmup.bars :, 0, number].double().numpy()
        came = np.log(coin.close[lo + 15 : hi + 15] / coin.close[lo:hi])
        recorded = result.record["coins"][coin.symbol]["trend"]["correlation"]
        assert np.corrcoef(said, came)[0, 1] == pytest.approx(recorded, abs=1e-6)


def test_a_cold_start_after_the_warm_up_answers_as_the_stream_does(prepared):
    paths, result, _ = prepared
    market, artifact = load_market(paths, COINS), load_artifact(result.path)
    test, warmup = market.split.test, artifact.warmup.bars
    streamed = predict_rows(artifact, market.values, test.lo, test.hi, market.first_valid)
    rows = np.linspace(0, test.size - 1, 40).astype(np.int64)
    for number, symbol in enumerate(COINS):
        cold = Predictor.of(artifact, symbol).truncated(market.values, test.lo + rows, warmup)
        np.testing.assert_allclose(cold, streamed[rows, number], atol=1e-5)


def test_the_second_time_it_is_done_and_says_so(prepared):
    paths, first, _ = prepared
    reporter = SilentReporter()
    result = train(paths, reporter)
    assert result.skipped
    assert result.sha256 == first.sha256
    assert result.reason.startswith("transformer stands: trained for 3 epochs on the same data")
    assert reporter.events == []


def test_stopping_in_the_middle_and_going_on_ends_in_the_same_values(paths, prepared):
    with pytest.raises(InterruptedRunError):
        train(paths, StopAt(18))
    assert not best_path(paths, MODEL).exists()
    assert load_checkpoint(last_path(paths, MODEL)).finished_epochs == 1
    reporter = SilentReporter()
    resumed = train(paths, reporter)
    assert reporter.events[0].resumed
    assert resumed.sha256 == prepared[1].sha256
    tensors, expected = (load_artifact(one.path).tensors for one in (resumed, prepared[1]))
    assert {name: value.numpy().tobytes() for name, value in tensors.items()} == {
        name: value.numpy().tobytes() for name, value in expected.items()
    }


def test_a_killed_training_goes_on_to_the_same_values(paths, prepared):
    command = [sys.executable, "-m", "tests.fakes.train_loop", str(paths.root), *COINS]
    killed = 0
    for chunks in (4, 6, 9):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
        ) as child:
            for _ in range(chunks):
                child.stdout.readline()
            child.kill()
        killed += child.returncode == -9
    assert killed == 3
    assert last_path(paths, MODEL).exists()
    assert train(paths).sha256 == prepared[1].sha256


@pytest.fixture
def stopped(paths):
    """A home whose training was stopped in its second epoch."""
    with pytest.raises(InterruptedRunError):
        train(paths, StopAt(18))
    return paths


def test_the_checkpoint_of_other_coins_is_refused_with_both_named(stopped):
    before = last_path(stopped, MODEL).read_bytes()
    with pytest.raises(ArtifactError, match="coins BTC-USD, ETH-USD instead of ETH-USD, BTC-USD") as caught:
        train(stopped, coins=COINS[::-1])
    assert "--fresh" in caught.value.remedy
    with pytest.raises(ArtifactError, match="coins BTC-USD, ETH-USD instead of BTC-USD"):
        train(stopped, coins=COINS[:1])
    assert last_path(stopped, MODEL).read_bytes() == before


def test_the_checkpoint_of_another_feature_set_is_refused_with_the_coin_named(stopped):
    build_features(stopped, "ETH-USD", (), SilentReporter())
    with pytest.raises(ArtifactError, match=r"feature set of ETH-USD [0-9a-f]{8} instead of [0-9a-f]{8}"):
        train(stopped)


@pytest.mark.parametrize("name", ["artifact_schema", "training_schema"])
def test_the_checkpoint_of_another_schema_version_is_refused_with_both_named(stopped, name):
    path = last_path(stopped, MODEL)
    payload = torch.load(path, weights_only=True)
    document = json.loads(payload["document"])
    document["identity"][name] = 0
    sha256 = value_hash(document, payload["tensors"])
    write_payload(path, {**payload, "document": canonical(document).decode(), "sha256": sha256})
    with pytest.raises(ArtifactError, match=f"{name.replace('_', ' ')} 0 instead of [1-9]"):
        train(stopped)


def test_coins_of_other_minutes_are_refused(paths):
    fill(paths, ["ETH-USD"], days=4)
    build_features(paths, "BTC-USD", (), SilentReporter())
    with pytest.raises(DataError, match=r"BTC-USD has candles .*, ETH-USD has 2025"):
        train(paths)


def test_scalers_see_the_training_range_alone(prepared):
    market = load_market(prepared[0], COINS)
    expected = fit_scalers(market)
    test = market.split.test
    values = np.array(market.coins[1].values)
    values[market.split.early_stop.lo : test.hi] += 5.0
    changed = replace(market, coins=(market.coins[0], replace(market.coins[1], values=values)))
    assert all(expected[name].matches(scaler).all() for name, scaler in fit_scalers(changed).items())
