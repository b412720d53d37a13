"""Numbers on a screen equal the command line's ``--json`` for the same home."""

from __future__ import annotations

import json
import re
import sqlite3

import numpy as np
import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import load_settings
from tradingai.engine.core.symbols import model_kind
from tradingai.engine.models.artifact import load_artifact
from tradingai.engine.models.ensemble import rule_of
from tradingai.engine.queries.assemble import SnapshotReader
from tradingai.engine.queries.snapshot import ConsoleSnapshot, Interest
from tradingai.screens.carrier import surroundings
from tradingai.screens.data import DataScreen
from tradingai.screens.gates import GatesScreen
from tradingai.screens.log import LogScreen
from tradingai.screens.models import ModelsScreen
from tradingai.screens.overview import OverviewScreen
from tradingai.screens.training import TrainingScreen
from tradingai.screens.view import Extent, Selection
from tradingai.widgets import numbers

from tests.fakes.command_line import tradingai
from tests.screens.test_views import text_of

pytestmark = [pytest.mark.golden, pytest.mark.timeout(1200)]
WIDE = Extent(160, 48)


@pytest.fixture(scope="module")
def picture(golden_home) -> ConsoleSnapshot:
    """The golden home as the console sees it."""
    paths, clock = HomePaths(golden_home.path), RealClock()
    reader = SnapshotReader(paths, load_settings(paths.root), clock, surroundings())
    return reader.read(Interest(candles=True, feature_values=True))


def test_phases(picture: ConsoleSnapshot, golden_home):
    document = tradingai(golden_home.path, "status", "--json").document
    assert [phase["state"] for phase in document["phases"]] == [phase.state for phase in picture.phases]
    assert document["kill_switch"]["on"] == picture.header.kill_on


def test_overview(picture: ConsoleSnapshot, golden_home):
    """The results beside the phases are those of ``status``, ``data list`` and the replay's document."""
    status = tradingai(golden_home.path, "status", "--json").document
    details = {phase["id"]: phase["detail"] for phase in status["phases"]}
    rows = [item["rows"] for item in tradingai(golden_home.path, "data", "list", "--json").document]
    text = text_of(OverviewScreen.view(None, picture, Selection(), WIDE))
    assert numbers.count(rows[0]) in text
    shown = {phase.id: phase.result for phase in picture.phases}
    for phase in ("evaluation", "features"):
        for number in re.findall(r"\d[\d.,]*", details[phase]):
            assert number in shown[phase], (phase, number, shown[phase])
    replay = golden_home.document["replay"]
    assert f"{replay['scans']:,} scans, {replay['signals']:,} signals" in text
    assert numbers.percent(replay["win_rate"]) in text


def test_training(picture: ConsoleSnapshot, golden_home):
    """A run's numbers are those its artifact was stored with."""
    paths = HomePaths(golden_home.path)
    for model in picture.models:
        card = json.loads((paths.checkpoints / f"{model}_best.json").read_text())
        record, (run, *_) = card["record"], picture.runs_of(model)
        if model == "ppo":
            continue
        text = text_of(TrainingScreen.view(None, picture, Selection(model=model), WIDE))
        assert (run.best_epoch, len(run.points)) == (record["best_epoch"], record["epochs_run"])
        best = record["history"][record["best_epoch"] - 1]
        assert numbers.percent(best["validation_accuracy"]) in text
        assert f"{best['validation_loss']:.3f}" in text
        assert str(record["seed"]) in text


def test_training_of_the_agent(picture: ConsoleSnapshot, golden_home):
    """Stages are those of the record, returns in basis points a minute by the reward's unit."""
    paths = HomePaths(golden_home.path)
    record = json.loads((paths.checkpoints / "ppo_best.json").read_text())["record"]
    run, *_ = picture.runs_of("ppo")
    assert (run.best_epoch, len(run.stages)) == (record["best_epoch"], record["epochs_run"])
    units = {
        round(point.validation_return_bps / stage["validation_reward"], 6)
        for point, stage in zip(run.stages, record["history"], strict=True)
        if abs(stage["validation_reward"]) > 1e-6
    }
    assert len(units) <= 1
    for point, stage in zip(run.stages, record["history"], strict=True):
        for name in ("stage", "env_steps", "entropy", "approx_kl", "clip_fraction", "value_loss"):
            assert getattr(point, name) == stage[name], name
    last = run.stages[-1]
    text = text_of(TrainingScreen.view(None, picture, Selection(model="ppo"), WIDE))
    for value in (
        f"{last.entropy:.3f} nats", f"{last.approx_kl:.5f} nats", f"{last.value_loss:.2f}",
        numbers.percent(last.clip_fraction, 2), f"{len(run.stages)}/{run.epochs}",
    ):  # fmt: skip
        assert value in text, value


def test_ensemble(picture: ConsoleSnapshot, golden_home):
    """Components, weights and the agent's part are those of ``models show --json`` and of the artifact."""
    item = picture.evaluation("ensemble")
    assert item is not None
    shown = tradingai(golden_home.path, "models", "show", "ensemble", "--version", item.version, "--json")
    document = shown.document
    parts = [[part.model, part.version, part.sha256] for part in item.ensemble.components]
    assert parts == document["components"]
    card = json.loads(
        (HomePaths(golden_home.path).versions / "ensemble" / item.version / "model.json").read_text()
    )
    joins = card["config"]["agent_joins"]
    by_hand = card["config"]["weights"] if joins else [*card["config"]["without_rl"], None]
    assert {model_kind(model) for model, _, _ in parts} == {"lstm", "transformer", "ppo"}
    for symbol, coin in document["coins"].items():
        shares = item.ensemble.shares[symbol]
        assert [shares.get(kind) for kind in ("lstm", "transformer", "ppo")] == by_hand
        text = text_of(GatesScreen.view(None, picture, Selection(model=f"ensemble {symbol}"), WIDE))
        assert f"{shares['transformer']:.2f}" in text
        assert f"{symbol} {numbers.percent(coin['accuracy'])}" in text
        assert numbers.signed_minus(f"{document['agent']['daily_r_with']:+.2f} R") in text
        assert numbers.signed_minus(f"{document['agent']['daily_r_without']:+.2f} R") in text
    assert item.ensemble.agent.reason == card["record"]["agent"]["reason"] == document["agent"]["reason"]


def test_monitor_weights_are_those_of_the_ensemble_that_spoke(golden_home):
    """The replay's newest decisions: the weighted mean, calibrated, is what was decided on."""
    paths = HomePaths(golden_home.path)
    reader = SnapshotReader(paths, load_settings(paths.root), RealClock(), surroundings())
    monitor = reader.read(Interest(monitor=True)).monitor
    live = reader.read(Interest()).evaluation("ensemble").live_version
    for coin in monitor.coins:
        assert coin.versions.get("ensemble") == live
        assert set(coin.weights) <= set(coin.outputs)
        assert sum(coin.weights.values()) == pytest.approx(1.0)
        if live is None:
            continue
        config = load_artifact(paths.version_model("ensemble", live))
        said = {model_kind(model): np.array([value]) for model, value in coin.outputs.items()}
        rule = rule_of(config)
        assert float(rule.probability(coin.symbol, said)[0]) == pytest.approx(coin.p_up)
        assert {model_kind(model): share for model, share in coin.weights.items()} == rule.weights(said)


def test_log(picture: ConsoleSnapshot, golden_home):
    """Every event of the store is counted, and the newest stand on the page."""
    connection = sqlite3.connect(golden_home.path / "tradingai.db")
    stored = connection.execute("SELECT type FROM events ORDER BY seq").fetchall()
    connection.close()
    assert [event.type for event in picture.events.rows] == [kind for (kind,) in stored][-1000:]
    text = text_of(LogScreen.view(None, picture, Selection(), WIDE))
    assert stored[-1][0] in text


def test_datasets(picture: ConsoleSnapshot, golden_home):
    listed = tradingai(golden_home.path, "data", "list", "--json").document
    by_symbol = {item["symbol"]: item for item in listed}
    view = DataScreen.view(None, picture, Selection(), WIDE)
    assert {data.symbol for data in picture.datasets} == set(by_symbol)
    for data in picture.datasets:
        item = by_symbol[data.symbol]
        assert (data.rows, data.sha256) == (item["rows"], item["sha256"])
        assert {key: data.quality[key] for key in item["quality"]} == item["quality"]
        assert numbers.count(item["rows"]) in text_of(view)
        assert item["sha256"][:8] in text_of(view)


def test_gates(picture: ConsoleSnapshot, golden_home):
    documents = {item["model"]: item for item in golden_home.document["models"]}
    for item in picture.evaluations:
        document = documents[item.model]
        shown = item.report.as_json()
        for key in ("accuracy", "n", "attempt", "gates", "passed", "version"):
            assert shown[key] == document[key], key
        coins = document.get("coins", {"": document})
        for symbol, coin in coins.items():
            name = f"{item.model} {symbol}".strip()
            text = text_of(GatesScreen.view(None, picture, Selection(model=name), WIDE))
            assert numbers.percent(coin["accuracy"]) in text
            assert numbers.percent(coin["tier_mae"]) in text
            for gate in coin["gates"]:
                if gate["unit"] == "count":
                    assert numbers.count(gate["value"]) in text
            assert f"attempt {coin['attempt']}" in text


def test_models(picture: ConsoleSnapshot, golden_home):
    listed = tradingai(golden_home.path, "models", "list", "--json").document
    text = text_of(ModelsScreen.view(None, picture, Selection(), WIDE))
    live = {(entry.model, entry.version) for entry in picture.ledger.entries if entry.live}
    for item in listed:
        assert ((item["model"], item["version"]) in live) == item["promoted"]
        assert item["sha256"][:8] in text
        assert numbers.percent(item["accuracy"]) in text


def test_features_have_values_drift_and_sources(picture: ConsoleSnapshot, golden_home):
    declared = tradingai(golden_home.path, "features", "list", "--json").document
    columns = {item.name: item for item in picture.features.columns}
    for item in declared:
        if item["name"] in columns:
            shown = columns[item["name"]]
            assert (shown.group, shown.lookback_minutes) == (item["group"], item["lookback"])
            assert item["source"] in shown.source
            assert shown.drift >= 0
            assert sum(shown.histogram) == pytest.approx(1.0) or not shown.histogram


def test_candle_charts_end_where_the_data_ends(picture: ConsoleSnapshot):
    (tail,) = picture.candles.values()
    data = next(item for item in picture.datasets if item.symbol == tail.symbol)
    assert (data.end - tail.bars[-1].at).total_seconds() < 15 * 60
    assert all(
        bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in tail.bars
    )
    assert all(
        (later.at - earlier.at).total_seconds() == 900
        for earlier, later in zip(tail.bars, tail.bars[1:], strict=False)
    )


def test_runs_have_their_whole_curves(picture: ConsoleSnapshot):
    for item in picture.evaluations:
        runs = picture.runs_of(item.model)
        if item.model == "ensemble":
            assert not runs
            continue
        assert runs[0].state == "done"
        assert runs[0].version == item.version
        assert runs[0].finished >= 1
