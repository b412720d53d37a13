"""Promoted models on candles as they close: the same as a batch, and silent where something is missing."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.events import CandlesCleaned, ModelFailed, ModelRefused, ModelWarmed
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.ensemble import EnsembleConfig
from tradingai.engine.features.compute import live_tail
from tradingai.engine.features.registry import feature_set, peers_of
from tradingai.engine.inference.blocks import BlockFeatures
from tradingai.engine.inference.market import LONGEST_CATCH_UP
from tradingai.engine.inference.promoted import LiveModel, PromotedModels, PromotionWatch, load_promoted
from tradingai.engine.inference.stream import MarketStream

from tests.fakes.homes import new_home
from tests.fakes.live import RunningClock, promote, sure_artifact
from tests.fakes.lstm_world import with_part
from tests.fakes.stored_market import (
    COINS,
    WARMUP,
    batch_probability,
    candles,
    live_model,
    opinionated,
    promoted,
)

BTC, ETH, BNB = COINS
MARKET = candles()
START = 3200
"""The row at which streams take over from history."""


def stream(models=None, symbols=COINS, start=START, **how):
    made = MarketStream(symbols, promoted() if models is None else models, EnsembleConfig(), **how)
    made.warm({name: MARKET[name][:start] for name in COINS})
    return made


def take(made, lo, hi, **instead):
    """The candles of rows [lo, hi) arrive; a coin may be given something else."""
    at = int(MARKET[BTC].ts[hi - 1]) + MINUTE_US
    return made.take({**{name: MARKET[name][lo:hi] for name in COINS}, **instead}, at)


def probabilities(made, cadence, start=START, stop=START + 240):
    """Every coin's probability at each scan, [scans, coins]."""
    scans = [take(made, lo, lo + cadence) for lo in range(start, stop, cadence)]
    return np.array([[coin.p_up for coin in scan.coins] for scan in scans])


def test_the_carried_state_agrees_with_the_batch():
    found = probabilities(stream(), 4, stop=START + 120)
    for column, name in enumerate(COINS):
        ts, expected = batch_probability(name)
        rows = np.searchsorted(ts, MARKET[name].ts[START + 3 : START + 120 : 4])
        assert np.abs(found[:, column] - expected[rows]).max() < 1e-5
        assert np.ptp(expected[rows]) > 0.3


def test_how_candles_are_bundled_changes_no_bit():
    first = START + 8
    made = [stream() for _ in range(3)]
    for one in made:
        take(one, START, first)
    every, fourth, all_at_once = (
        probabilities(one, cadence, first, first + 40) for one, cadence in zip(made, (1, 4, 40), strict=True)
    )
    np.testing.assert_array_equal(every[3::4], fourth)
    np.testing.assert_array_equal(every[-1:], all_at_once)


def test_a_coin_input_carries_what_decisions_need():
    scan = take(stream(), START, START + 2)
    coin = scan.coins[0]
    assert (coin.symbol, coin.candle_us) == (BTC, int(MARKET[BTC].ts[START + 1]))
    assert coin.close == float(MARKET[BTC].close[START + 1])
    features = feature_set(BTC, (ETH, BNB))
    row = live_tail(features, MARKET[BTC][: START + 2], {n: MARKET[n].close[: START + 2] for n in (ETH, BNB)})
    assert coin.atr == float(row[0, features.names.index("atr_14_ratio")]) * coin.close
    assert coin.outputs == {"lstm_BTC-USD": coin.p_up}
    assert coin.versions == {"lstm_BTC-USD": "v1.0.0"}
    assert [(ts, sorted(bars)) for ts, bars in scan.minutes] == [
        (int(MARKET[BTC].ts[START]), sorted(COINS)), (int(MARKET[BTC].ts[START + 1]), sorted(COINS)),
    ]  # fmt: skip
    assert scan.minutes[1][1][BTC].close == coin.close
    np.testing.assert_array_equal(scan.seen[0].rows[-1], row[0])


def test_models_start_cold_once_and_say_from_where():
    made = stream()
    scan = take(made, START, START + 2)
    newest = int(MARKET[BTC].ts[START + 1])
    assert [(start.live.symbols[0], start.last_us) for start in scan.warm_starts] == [
        (n, newest) for n in COINS
    ]
    assert {start.first_us for start in scan.warm_starts} == {newest - WARMUP * MINUTE_US}
    (event, *_) = [item for item in scan.events if isinstance(item, ModelWarmed)]
    assert (event.bars, event.model) == (WARMUP + 1, "lstm_BTC-USD")
    assert take(made, START + 2, START + 4).warm_starts == ()


# -------------------------------------------------------------------------- what is missing or broken


def test_a_scan_without_news_repeats_the_reading():
    made = stream()
    first = take(made, START, START + 2)
    again = take(made, START, START + 2)
    assert [coin.candle_us for coin in again.coins] == [coin.candle_us for coin in first.coins]
    assert [coin.p_up for coin in again.coins] == [coin.p_up for coin in first.coins]
    assert again.minutes == ()
    assert all(len(seen.raw) == len(seen.rows) == 0 for seen in again.seen)


def test_a_late_peer_silences_its_neighbours_until_it_comes():
    late, whole = stream(), stream()
    nothing = MARKET[ETH][:0]
    take(late, START, START + 2)
    take(whole, START, START + 2)
    silent = take(late, START + 2, START + 4, **{ETH: nothing})
    assert [coin.p_up for coin in silent.coins] == [None, pytest.approx(silent.coins[1].p_up), None]
    assert silent.coins[0].note == "features end before the newest candle"
    assert silent.coins[0].outputs == {}
    take(whole, START + 2, START + 4)
    back = take(late, START + 4, START + 6, **{ETH: MARKET[ETH][START + 2 : START + 6]})
    expected = take(whole, START + 4, START + 6)
    assert [coin.p_up for coin in back.coins] == [coin.p_up for coin in expected.coins]


def test_too_little_history_and_a_warm_up_are_told():
    lookback = feature_set(BTC, (ETH, BNB)).lookback
    made = MarketStream(COINS, promoted(), EnsembleConfig())
    made.warm({name: MARKET[name][: lookback - 1] for name in COINS})
    scan = take(made, lookback - 1, lookback)
    assert scan.coins[0].p_up is None
    assert scan.coins[0].note == f"{lookback:,} candles, features need {lookback + 1:,}"
    scan = take(made, lookback, lookback + 2)
    assert scan.coins[0].p_up is None
    assert scan.coins[0].note == f"lstm_BTC-USD is warming up, {WARMUP - 1} more minutes"
    scan = take(made, lookback + 2, lookback + WARMUP + 1)
    assert 0.0 < scan.coins[0].p_up < 1.0


def test_a_network_without_a_number_is_silent_is_told_and_starts_cold_again():
    broken = sure_artifact(BTC, nan=True)
    models = PromotedModels((LiveModel(broken.model, "v1.0.0", broken), live_model(ETH)))
    made = stream(models)
    scan = take(made, START, START + 2)
    assert np.isnan(scan.coins[0].p_up)
    assert scan.coins[0].note == "lstm_BTC-USD gave no number"
    assert 0.0 < scan.coins[1].p_up < 1.0
    (failed,) = [event for event in scan.events if isinstance(event, ModelFailed)]
    assert (failed.model, failed.error) == ("lstm_BTC-USD", "its logit is nan")
    assert [start.live.symbols[0] for start in take(made, START + 2, START + 4).warm_starts] == [BTC]


def test_a_model_that_starts_again_leaves_the_state_of_its_neighbour_alone():
    broken = replace(opinionated(BTC), model="lstm_broken")
    tensors = {name: value.clone() for name, value in broken.tensors.items()}
    tensors["head.bias"].fill_(float("nan"))
    broken = LiveModel("lstm_broken", "v1.0.0", replace(broken, tensors=tensors))
    both, alone = stream(PromotedModels((live_model(BTC), broken))), stream(promoted(BTC))
    for lo in range(START, START + 8, 2):
        for made in (both, alone):
            take(made, lo, lo + 2)
            take(made, lo, lo + 2)
        logits = [made._models._carried[0]._logits[0] for made in (both, alone)]
        assert logits[0] == logits[1]


def test_an_exception_inside_a_model_silences_its_coin_alone(monkeypatch):
    made = stream()
    take(made, START, START + 2)
    carried = made._models._carried[0]
    monkeypatch.setattr(carried, "advance", lambda rows: 1 / 0)
    scan = take(made, START + 2, START + 4)
    assert np.isnan(scan.coins[0].p_up)
    assert 0.0 < scan.coins[1].p_up < 1.0
    (failed,) = [event for event in scan.events if isinstance(event, ModelFailed)]
    assert failed.error == "ZeroDivisionError: division by zero"


def test_a_coin_without_a_model_says_so():
    scan = take(stream(promoted(BTC)), START, START + 2)
    assert scan.coins[1].p_up is None
    assert scan.coins[1].note == "no model is promoted"
    assert scan.coins[1].versions == {}


def test_times_that_are_no_minutes_are_refused_and_told():
    made = stream()
    odd = MARKET[BTC][START : START + 2]
    odd = Candles(odd.ts + 1_000_000, odd.open, odd.high, odd.low, odd.close, odd.volume)
    scan = take(made, START, START + 2, **{BTC: odd})
    (told,) = [event for event in scan.events if isinstance(event, CandlesCleaned)]
    assert told.symbol == BTC
    assert "after a whole minute" in told.detail
    assert scan.coins[0].candle_us == int(MARKET[BTC].ts[START - 1])


def test_a_long_gap_starts_the_networks_cold():
    made = stream(start=3200 - LONGEST_CATCH_UP - 10)
    lo = 3200 - LONGEST_CATCH_UP - 10
    take(made, lo, lo + 2)
    scan = take(made, lo + 2, 3202)
    assert [start.live.symbols[0] for start in scan.warm_starts] == list(COINS)
    assert [coin.p_up for coin in scan.coins] == [
        coin.p_up for coin in take(stream(start=3200), 3200, 3202).coins
    ]


# ----------------------------------------------------------------------------------- changing models


def test_a_new_version_is_warm_at_once_and_the_others_go_on():
    made, whole = stream(), stream()
    for one in (made, whole):
        take(one, START, START + 2)
    newer = live_model(BTC, "v1.1.0", seed=1)
    made.install(PromotedModels((newer, *promoted().models[1:])))
    scan, expected = take(made, START + 2, START + 4), take(whole, START + 2, START + 4)
    assert [start.live.version for start in scan.warm_starts] == ["v1.1.0"]
    assert scan.coins[0].versions == {"lstm_BTC-USD": "v1.1.0"}
    assert scan.coins[0].p_up != expected.coins[0].p_up
    assert [coin.p_up for coin in scan.coins[1:]] == [coin.p_up for coin in expected.coins[1:]]


def test_a_refused_model_is_told_once_with_its_reason():
    refused = ModelRefused(model="lstm_BTC-USD", version="v1.1.0", reason="model.pt is damaged")
    made = stream(PromotedModels((live_model(ETH),), (refused,)))
    scan = take(made, START, START + 2)
    assert scan.coins[0].note == "lstm_BTC-USD v1.1.0 was refused: model.pt is damaged"
    assert refused in scan.events
    assert refused not in take(made, START + 2, START + 4).events


# ------------------------------------------------------------------------------------- feature blocks


def test_blocks_give_the_bits_of_live_tails():
    blocks = BlockFeatures(dict(MARKET))
    in_blocks, in_tails = stream(source=blocks), stream()
    for lo in range(START, START + 60, 3):
        left, right = take(in_blocks, lo, lo + 3), take(in_tails, lo, lo + 3)
        assert [coin.p_up for coin in left.coins] == [coin.p_up for coin in right.coins]
        for one, other in zip(left.seen, right.seen, strict=True):
            np.testing.assert_array_equal(one.rows, other.rows)
    assert sum(len(kept) for kept in blocks._blocks.values()) >= 3


def test_blocks_compute_what_they_were_not_made_of():
    changed = {name: series[:] for name, series in MARKET.items()}
    other = replace(MARKET[BTC], close=MARKET[BTC].close.copy())
    other.close[START + 1] *= 1.0001
    changed[BTC] = other
    found = take(stream(source=BlockFeatures(changed)), START, START + 2)
    expected = take(stream(), START, START + 2)
    assert [coin.p_up for coin in found.coins] == [coin.p_up for coin in expected.coins]


# -------------------------------------------------------------------------------------- the ledger


@pytest.fixture
def home(tmp_path):
    clock = RunningClock()
    paths = new_home(tmp_path / "home", clock)
    for symbol in (BTC, ETH):
        promote(paths, clock, opinionated(symbol))
    return paths, clock


def test_what_is_live_is_loaded_with_its_hash(home):
    paths, _ = home
    found = load_promoted(paths, read_ledger(paths.ledger), COINS)
    assert [(live.model, live.version, live.kind) for live in found.models] == [
        ("lstm_BTC-USD", "v1.0.0", "lstm"), ("lstm_ETH-USD", "v1.0.0", "lstm"),
    ]  # fmt: skip
    assert found.hashes["lstm_BTC-USD"] == opinionated(BTC).sha256
    assert found.refused == ()
    assert [live.symbols[0] for live in load_promoted(paths, read_ledger(paths.ledger), [ETH]).models] == [
        ETH
    ]


def test_a_damaged_artifact_is_refused_and_the_others_run(home):
    paths, _ = home
    file = paths.versions / "lstm_BTC-USD" / "v1.0.0" / "model.pt"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.chmod(0o600)
    file.write_bytes(content)
    found = load_promoted(paths, read_ledger(paths.ledger), COINS)
    assert [live.symbols[0] for live in found.models] == [ETH]
    (event,) = found.refused
    assert (event.model, event.version) == ("lstm_BTC-USD", "v1.0.0")
    assert event.reason
    assert found.note(BTC).startswith("lstm_BTC-USD v1.0.0 was refused: ")
    file.unlink()
    (event,) = load_promoted(paths, read_ledger(paths.ledger), COINS).refused
    assert "there is no model at" in event.reason


def test_another_artifact_under_the_version_is_refused(home):
    paths, clock = home
    other = promote(paths, clock, opinionated(BNB))
    target = paths.versions / "lstm_BTC-USD" / "v1.0.0" / "model.pt"
    target.chmod(0o600)
    target.write_bytes(other.read_bytes())
    (event,) = load_promoted(paths, read_ledger(paths.ledger), COINS).refused
    assert "is not the expected artifact" in event.reason


def test_a_model_of_other_features_is_refused(home):
    paths, clock = home
    artifact = opinionated(BTC)
    promote(paths, clock, with_part(artifact, definitions_sha256="0" * 64, feature_sha256=("0" * 64,) * 70))
    (event,) = load_promoted(paths, read_ledger(paths.ledger), [BTC]).refused
    assert "was trained on other features than this version computes: defined differently" in event.reason


def test_the_watch_looks_again_only_when_the_ledger_changed(home):
    paths, clock = home
    watch = PromotionWatch(paths, COINS)
    assert watch.look() is True
    first = watch.current
    assert watch.look() is False
    promote(paths, clock, opinionated(BTC, seed=1))
    assert watch.look() is True
    assert [live.version for live in watch.current.models] == ["v1.1.0", "v1.0.0"]
    assert watch.current.models[1] is first.models[1]
    text = json.loads(paths.ledger.read_text())
    paths.ledger.write_text(json.dumps(text))
    assert watch.look() is False


def test_the_peers_of_a_model_are_read_from_its_columns():
    assert peers_of(feature_set(BTC, (BNB, ETH)).names) == (BNB, ETH)
    assert peers_of(feature_set(BTC).names) == ()
