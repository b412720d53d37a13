"""The step that live loop, replay and verification share, and the small parts around it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from tradingai.engine.core.errors import ArtifactError, MissingError, StoreError
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.ensemble import EnsembleConfig
from tradingai.engine.decision.records import Reason
from tradingai.engine.decision.state import DeskConfig, config_from_json, open_desk
from tradingai.engine.inference.stream import MarketStream
from tradingai.engine.risk.costs import CostLevel, ExecutionCosts, SessionCosts
from tradingai.engine.runtime.dataset_feed import DatasetFeed, StoredSeries
from tradingai.engine.runtime.records import scan_record, stored_decision
from tradingai.engine.runtime.step import Controls, ScanStep
from tradingai.engine.runtime.timing import Timings
from tradingai.engine.store.execution_metrics import read_execution_metrics

from tests.fakes.stored_market import COINS, END, LAST, candles, promoted, store_candles

MARKET = candles()
START = 3200
CONFIG = DeskConfig()


def step():
    stream = MarketStream(COINS, promoted(), EnsembleConfig())
    stream.warm({name: MARKET[name][:START] for name in COINS})
    return ScanStep(stream, CONFIG, open_desk(CONFIG, at(0)), mode="dry-run")


def at(scan):
    return int(MARKET["BTC-USD"].ts[START + 2 * scan + 1]) + MINUTE_US


def prepare(made, scan):
    lo = START + 2 * scan
    return made.prepare(at(scan), at(scan), {name: MARKET[name][lo : lo + 2] for name in COINS})


def play(made, scans, store=lambda _scan: True):
    """Decide and adopt what could be stored."""
    outcomes = []
    for scan in range(scans):
        outcome = made.decide(prepare(made, scan), Controls())
        if store(scan):
            made.adopt(outcome)
            outcomes.append(outcome)
    return outcomes


def test_deciding_changes_nothing_until_it_is_adopted():
    made = step()
    prepared = prepare(made, 0)
    first, again = made.decide(prepared, Controls()), made.decide(prepared, Controls())
    assert first == again
    assert made.desk == open_desk(CONFIG, at(0))
    killed = made.decide(prepared, Controls(killed=True, kill_source="test"))
    assert not any(one.emitted for one in killed.decisions)
    made.adopt(first)
    assert made.desk == first.desk
    repeated = made.decide(prepared, Controls())
    assert {one.reason for one in repeated.decisions} == {Reason.NO_NEW_CANDLE}


def test_a_scan_that_could_not_be_stored_is_lived_through_by_the_next():
    whole, broken = step(), step()
    play(whole, 12)
    emitted = [
        one for outcome in play(broken, 12, store=lambda scan: scan % 4 != 2) for one in outcome.decisions
    ]
    assert broken.desk.paper.positions != () or broken.desk.paper.trades > 0
    assert any(one.emitted for one in emitted)
    lost = step()
    play(lost, 3)
    prepared = prepare(lost, 3)
    assert [ts for ts, _ in prepared.minutes] == [at(3) - 2 * MINUTE_US, at(3) - MINUTE_US]
    lost.decide(prepared, Controls())
    later = prepare(lost, 4)
    assert [ts for ts, _ in later.minutes] == [at(4) - back * MINUTE_US for back in (4, 3, 2, 1)]


def test_the_threshold_and_the_latency_of_the_moment_reach_the_signal():
    made = step()
    for scan in range(40):
        outcome = made.decide(prepare(made, scan), Controls(threshold=0.6), lambda: 12.5)
        made.adopt(outcome)
        signals = [one.signal for one in outcome.decisions if one.signal is not None]
        if signals:
            assert {(signal.latency_ms, signal.mode) for signal in signals} == {(12.5, "dry-run")}
            assert min(signal.confidence for signal in signals) >= 0.6
            assert {one.threshold for one in outcome.decisions} == {0.6}
            return
    pytest.fail("nothing was emitted")


def test_rows_rebuild_the_decisions_they_were_made_of():
    made = step()
    for scan, outcome in enumerate(play(made, 20), start=1):
        record = scan_record(scan, outcome, CONFIG, took_ms=1.0)
        signals = {signal.key: signal for signal in record.signals}
        for row, decision in zip(record.decisions, outcome.decisions, strict=True):
            again = stored_decision(row, signals.get(row.signal_key or ""))
            assert again == decision
            assert again.canonical() == decision.canonical()
        assert [row.candles for row in record.inputs] == [2, 2, 2]
        (width,) = {len(made.stream.feature_names(name)) for name in COINS}
        rows = np.frombuffer(record.inputs[0].features, dtype="<f4").reshape(-1, width)
        np.testing.assert_array_equal(rows, outcome.seen[0].rows[-8:])


# ------------------------------------------------------------------------------------------- parts


def test_percentiles_are_exact_to_two_per_cent():
    timings = Timings()
    assert timings.as_json() == {"p50": None, "p99": None}
    values = np.random.default_rng(0).lognormal(2.0, 1.0, 5000)
    for value in values:
        timings.add(float(value))
    for share in (0.01, 0.5, 0.99):
        assert timings.percentile(share) == pytest.approx(np.quantile(values, share), rel=0.025)
    timings = Timings()
    timings.add(0.0)
    timings.add(1e12)
    assert math.isfinite(timings.percentile(1.0))


def test_a_feed_delivers_the_real_candles_between_two_moments():
    series = MARKET["BTC-USD"]
    real = np.ones(len(series), dtype=bool)
    real[5] = False
    stored = StoredSeries(series, real)
    ts = series.ts
    assert stored.between(int(ts[3]), int(ts[7])).ts.tolist() == ts[[4, 6, 7]].tolist()
    assert stored.between(0, int(ts[1])).ts.tolist() == ts[:2].tolist()
    assert len(stored.between(int(ts[-1]), int(ts[-1]) + MINUTE_US)) == 0
    assert len(stored.between(int(ts[9]), int(ts[8]))) == 0


def test_a_feed_needs_the_whole_range(tmp_path):
    paths = HomePaths(tmp_path)
    store_candles(paths, 0.1, ("BTC-USD",))
    last = LAST * MINUTE_US
    feed = DatasetFeed.read(paths, ["BTC-USD"], last - 9 * MINUTE_US, last)
    assert len(feed.cleaned["BTC-USD"]) == 10
    assert feed.between(0, last)["BTC-USD"].end == END
    with pytest.raises(MissingError, match="candles of BTC-USD are needed from"):
        DatasetFeed.read(paths, ["BTC-USD"], last - 500 * MINUTE_US, last)


def test_execution_metrics_are_read_where_there_are_any(tmp_path):
    paths = HomePaths(tmp_path)
    paths.data.mkdir()
    assert read_execution_metrics(paths) is None
    file = paths.data / "execution_metrics.json"
    file.write_text('{"pairs": {}}')
    assert read_execution_metrics(paths) == {"pairs": {}}
    for damaged in ("[]", "{"):
        file.write_text(damaged)
        with pytest.raises(ArtifactError):
            read_execution_metrics(paths)


def test_the_numbers_of_a_run_survive_json_and_damage_is_named():
    level = CostLevel(1 / 3, 0.2, 0.7, 11)
    costs = ExecutionCosts(pairs={"BTC-USD": {"tokyo": SessionCosts(level, CostLevel.constant(2.0))}})
    config = replace(CONFIG, costs=costs)
    document = json.loads(dumps(config.as_json()))
    assert config_from_json(document) == config
    document["risk"]["initial_balance"] = "much"
    with pytest.raises(StoreError, match=r"risk\.initial_balance"):
        config_from_json(document)
