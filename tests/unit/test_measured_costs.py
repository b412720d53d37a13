"""From samples to the metrics document, the dated files and their link, and what that does to a trade."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.errors import ArtifactError, MissingError, UsageError
from tradingai.engine.core.jsonio import dumps, parse_iso
from tradingai.engine.decision.configure import execution_costs
from tradingai.engine.decision.fills import close_position, ending_of, open_position
from tradingai.engine.decision.orders import Bar, Exit, Order, PaperConfig
from tradingai.engine.decision.records import Side
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.costs import CostLevel, parse_pairs
from tradingai.engine.risk.measured_costs import (
    CostSketch,
    Measurement,
    by_session,
    check_document,
    level_of,
    merge,
)
from tradingai.engine.store.execution_metrics import (
    linked_file,
    metrics_files,
    publish_metrics,
    read_execution_metrics,
    roll_back,
)

from tests.fakes.homes import new_home, plain_settings

HOUR = 3_600_000_000
MIDNIGHT = datetime_to_us(parse_iso("2025-11-10T00:00:00Z"))
HEADER = {"source": "a test", "written_at": "2025-11-10T12:00:00Z", "who": "jane", "previous": "defaults"}
ORIGIN = {"kind": "MT5 ticks", "name": "a.csv", "end": "2025-11-10T11:00:00Z"}


def levels(**of_session: tuple[float, int]) -> dict[str, CostLevel]:
    return {name: CostLevel(bps, bps, bps, samples) for name, (bps, samples) in of_session.items()}


def spread(symbol="BTC-USD", **of_session):
    return Measurement(symbol, "spread_bps", levels(**of_session))


def slippage(symbol="BTC-USD", **of_session):
    return Measurement(symbol, "slippage_bps", levels(**of_session))


FULL = spread(tokyo=(8.0, 500), london=(6.0, 700), new_york=(7.0, 900), day=(6.9, 2100))
SLIPS = slippage(tokyo=(2.0, 150), london=(1.0, 150), new_york=(1.5, 150), day=(1.5, 450))


# ----------------------------------------------------------------------------------------------- figures


def test_percentiles_are_by_nearest_rank():
    assert level_of([5.0]) == CostLevel(5.0, 5.0, 5.0, 1)
    assert level_of(list(range(1, 101))) == CostLevel(50.5, 50.0, 90.0, 100)
    assert level_of([3.0, -1.0]) == CostLevel(1.0, -1.0, 3.0, 2)


def test_samples_go_to_the_session_they_were_taken_in():
    ts = MIDNIGHT + np.array([0, 7, 8, 15, 16, 23, 24]) * HOUR
    found = by_session("BTC-USD", "spread_bps", ts, np.array([1.0, 3, 10, 20, 100, 300, 5]))
    assert {name: (level.mean, level.samples) for name, level in found.sessions.items()} == {
        "tokyo": (3.0, 3), "london": (15.0, 2), "new_york": (200.0, 2), "day": (439 / 7, 7),
    }  # fmt: skip


def test_the_sketch_says_what_the_exact_figures_are_within_its_bins():
    rng = np.random.default_rng(3)
    values = np.exp(rng.normal(2, 0.8, 50_000))
    ts = MIDNIGHT + rng.integers(0, 72 * HOUR, len(values))
    sketch = CostSketch()
    for part in np.array_split(np.arange(len(values)), 7):
        sketch.add(ts[part], values[part])
    found, exact = sketch.measurement("X", "spread_bps"), by_session("X", "spread_bps", ts, values)
    assert sketch.samples == len(values)
    for name, level in exact.sessions.items():
        seen = found.sessions[name]
        assert seen.samples == level.samples
        assert seen.mean == pytest.approx(level.mean, rel=1e-12)
        assert (seen.p50, seen.p90) == pytest.approx((level.p50, level.p90), rel=5.1e-5)


# ---------------------------------------------------------------------------------------------- document


def test_thin_sessions_take_the_whole_day_and_say_so():
    found = spread(tokyo=(9.0, 99), london=(6.0, 100), day=(7.5, 199))
    merged = merge(None, [found], ORIGIN, HEADER)
    cells = merged.document["pairs"]["BTC-USD"]
    day = {"mean": 7.5, "p50": 7.5, "p90": 7.5, "samples": 199, "basis": "day"}
    assert cells["tokyo"]["spread_bps"] == {**day, "session_samples": 99}
    assert cells["new_york"]["spread_bps"] == {**day, "session_samples": 0}
    assert cells["london"]["spread_bps"]["mean"] == 6.0
    assert cells["london"]["spread_bps"]["basis"] == "session"
    assert "BTC-USD: 99 samples of spread in tokyo are fewer than 100: the whole day's figures" in "\n".join(
        merged.notes
    )
    assert "BTC-USD: slippage was never measured: the default holds" in merged.notes
    parsed = parse_pairs(merged.document)
    assert parsed["BTC-USD"]["tokyo"].spread == CostLevel(7.5, 7.5, 7.5, 199)
    assert parsed["BTC-USD"]["tokyo"].slippage == CostLevel.constant(3.0)
    assert parsed["BTC-USD"]["tokyo"].slippage.is_default


def test_a_day_of_too_few_samples_is_kept_on_file_and_not_used():
    merged = merge(None, [spread(london=(6.0, 99), day=(6.0, 99))], ORIGIN, HEADER)
    assert merged.document["pairs"]["BTC-USD"]["london"]["spread_bps"] is None
    assert merged.document["measurements"]["BTC-USD"]["spread_bps"]["sessions"]["day"]["samples"] == 99
    assert "BTC-USD: fewer than 100 samples of spread: not used, the default holds" in merged.notes


def test_what_a_source_does_not_speak_of_stays_with_its_own_origin():
    first = merge(None, [FULL, slippage("ETH-USD", day=(4.0, 300))], ORIGIN, HEADER).document
    later = {"kind": "MT5 deals", "name": "b.html", "end": "2025-12-01T00:00:00Z"}
    second = merge(first, [SLIPS], later, HEADER)
    cells = parse_pairs(second.document)
    assert cells["BTC-USD"]["london"].spread.mean == 6.0
    assert cells["BTC-USD"]["london"].slippage.mean == 1.0
    assert cells["ETH-USD"]["london"].slippage.mean == 4.0
    assert second.document["measurements"]["BTC-USD"]["spread_bps"]["origin"] == 0
    assert second.document["measurements"]["BTC-USD"]["slippage_bps"]["origin"] == 1
    assert second.document["origins"] == [ORIGIN, later]
    # The file is as old as the oldest of what holds.
    assert second.document["measured_at"] == ORIGIN["end"]
    assert merge(None, [SLIPS], later, HEADER).document["measured_at"] == later["end"]
    assert "BTC-USD: spread as measured before (MT5 ticks a.csv, until 2025-11-10)" in second.notes
    again = merge(second.document, [FULL], later, HEADER)
    assert (
        "BTC-USD: spread replaces the earlier measurement (MT5 ticks a.csv, until 2025-11-10)" in again.notes
    )
    thin = merge(second.document, [slippage(day=(9.0, 20))], later, HEADER)
    assert parse_pairs(thin.document)["BTC-USD"]["london"].slippage.mean == 1.0
    assert "20 samples of slippage are fewer than 100: the earlier measurement" in "\n".join(thin.notes)


def test_a_document_of_the_first_schema_is_carried_on():
    cell = {"mean": 8.0, "p50": 8.0, "p90": 8.0, "samples": 40}
    first = {"schema": 1, "source": "hand", "measured_at": "2025-01-01",
             "pairs": {"BTC-USD": {"tokyo": {"spread_bps": cell, "slippage_bps": cell}}}}  # fmt: skip
    found = parse_pairs(merge(first, [slippage("ETH-USD", day=(1.0, 100))], ORIGIN, HEADER).document)
    assert found["BTC-USD"]["tokyo"].spread == CostLevel(8.0, 8.0, 8.0, 40)
    assert found["BTC-USD"]["london"].spread.is_default
    assert found["ETH-USD"]["tokyo"].slippage.mean == 1.0


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document["origins"].clear(),
        lambda document: document.pop("origins"),
        lambda document: document["measurements"]["BTC-USD"].pop("slippage_bps"),
        lambda document: document["measurements"]["BTC-USD"]["spread_bps"].update(origin="first"),
        lambda document: document["measurements"]["BTC-USD"]["spread_bps"]["sessions"]["day"].pop("mean"),
        lambda document: document["measurements"]["BTC-USD"].update(spread_bps=7),
        lambda document: document.update(measurements=[]),
        lambda document: document.update(pairs={"BTC-USD": {"tokyo": 1}}),
    ],
)
def test_damage_to_any_part_of_the_document_is_named(damage):
    document = merge(None, [FULL, SLIPS], ORIGIN, HEADER).document
    check_document(document)
    check_document({"schema": 1, "pairs": {}})
    damage(document)
    with pytest.raises(ArtifactError, match="cannot be read") as refused:
        check_document(document)
    assert "execution rollback" in refused.value.remedy


def test_a_newer_document_is_refused():
    document = merge(None, [FULL], ORIGIN, HEADER).document
    with pytest.raises(ArtifactError, match="schema 99 is newer") as refused:
        parse_pairs({**document, "schema": 99})
    assert "execution rollback" in refused.value.remedy


# ------------------------------------------------------------------------------- what it does to a trade


@pytest.mark.parametrize(("hour", "spread_bps", "slip_bps"), [(2, 8.0, 2.0), (10, 6.0, 1.0), (18, 7.0, 1.5)])
@pytest.mark.parametrize("side", [Side.LONG, Side.SHORT])
@pytest.mark.parametrize("exit_reason", [Exit.STOP, Exit.TARGET, Exit.TIME])
def test_a_measured_file_costs_a_trade_exactly_what_it_says(hour, spread_bps, slip_bps, side, exit_reason):
    document = json.loads(dumps(merge(None, [FULL, SLIPS], ORIGIN, HEADER).document))
    costs = replace(execution_costs(plain_settings(), document), commission_rate=0.0)
    config, sign, entry_mid = PaperConfig(), side.sign, 40_000.0
    ts = MIDNIGHT + hour * HOUR
    order = Order(
        key="k", symbol="BTC-USD", side=side, tier=Tier.HIGH, confidence=0.8, decided_us=ts - 1,
        earliest_us=ts, expires_us=ts + HOUR, reference=entry_mid, quantity=2.0, stop_distance=160.0,
        target_distance=320.0,
    )  # fmt: skip
    position = open_position(order, Bar(ts, entry_mid, entry_mid, entry_mid, entry_mid), config, costs)
    # Half the spread and the slippage each way, of the price it is filled at.
    away = (spread_bps / 2 + slip_bps) / 1e4
    entry = entry_mid * (1 + sign * away)
    assert position.entry == pytest.approx(entry, rel=1e-15)
    level = {Exit.STOP: entry - sign * 160.0, Exit.TARGET: entry + sign * 320.0, Exit.TIME: 40_050.0}
    price = level[exit_reason]
    at = ts + (15 * 60_000_000 if exit_reason is Exit.TIME else 60_000_000)
    bar = Bar(at - 60_000_000, price, price + 1, price - 1, price)
    if exit_reason is not Exit.TIME:
        bar = Bar(at - 60_000_000, entry_mid, max(entry_mid, price), min(entry_mid, price), price)
    ending = ending_of(position, bar, None)
    assert ending is not None
    assert ending.reason is exit_reason
    trade, _ = close_position(position, ending, bar, costs)
    exit_away = (spread_bps / 2 + (0.0 if exit_reason is Exit.TARGET else slip_bps)) / 1e4
    left = price * (1 - sign * exit_away)
    assert trade.exit == pytest.approx(left, rel=1e-15)
    assert trade.net == pytest.approx(2.0 * sign * (left - entry), rel=1e-9)
    assert (trade.spread_bps, trade.slippage_bps) == (spread_bps, slip_bps)
    assert trade.r == pytest.approx(trade.net / (2.0 * 160.0))


def test_draws_have_the_mean_and_the_percentiles_of_the_file():
    wide = Measurement("BTC-USD", "spread_bps", {"day": CostLevel(10.0, 8.0, 16.0, 1000)})
    costs = execution_costs(plain_settings(), merge(None, [wide], ORIGIN, HEADER).document)
    draws = np.array([costs.drawn("BTC-USD", MIDNIGHT + n * 60_000_000).spread_bps for n in range(40_000)])
    assert draws.mean() == pytest.approx(10.0, rel=0.01)
    ratio = np.quantile(draws, 0.9) / np.quantile(draws, 0.5)
    assert ratio == pytest.approx(2.0, rel=0.02)
    assert costs.stressed("BTC-USD", MIDNIGHT).spread_bps == 16.0


# ------------------------------------------------------------------------------------------ dated files

NOON = datetime(2025, 11, 10, 12, tzinfo=UTC)


@pytest.fixture
def home(tmp_path):
    clock = SimulatedClock(NOON)
    return new_home(tmp_path, clock), clock


def document_of(mean: float):
    def make(before, file):
        del before
        found = spread(day=(mean, 500))
        return merge(None, [found], ORIGIN, {**HEADER, "previous": file or "defaults"}).document

    return make


def holds(paths) -> float | None:
    document = read_execution_metrics(paths)
    return None if document is None else parse_pairs(document)["BTC-USD"]["tokyo"].spread.mean


def test_each_measurement_is_a_file_of_its_own_and_a_link_names_the_one_that_holds(home):
    paths, clock = home
    assert publish_metrics(paths, clock, document_of(1.0)) == "execution_metrics_2025-11-10.json"
    assert publish_metrics(paths, clock, document_of(2.0)) == "execution_metrics_2025-11-10_2.json"
    clock.advance(86_400)
    for mean in range(3, 13):
        publish_metrics(paths, clock, document_of(float(mean)))
    assert holds(paths) == 12.0
    assert linked_file(paths) == "execution_metrics_2025-11-11_10.json"
    assert len(metrics_files(paths)) == 12
    assert metrics_files(paths)[-1] == "execution_metrics_2025-11-11_10.json"
    assert not [item for item in paths.data.iterdir() if item.name.startswith(".")]
    for item in metrics_files(paths):
        assert (paths.data / item).stat().st_mode & 0o777 == 0o600


def test_rollback_goes_back_to_what_held_before_and_to_any_day(home):
    paths, clock = home
    for mean in (1.0, 2.0):
        publish_metrics(paths, clock, document_of(mean))
        clock.advance(86_400)
    first, second = metrics_files(paths)
    assert roll_back(paths, clock, None, parse_pairs) == (second, first)
    assert holds(paths) == 1.0
    assert roll_back(paths, clock, "2025-11-11", parse_pairs) == (first, second)
    assert roll_back(paths, clock, "2025-11-10", parse_pairs) == (second, first)
    assert roll_back(paths, clock, None, parse_pairs) == (first, "defaults")
    assert (holds(paths), linked_file(paths)) == (None, None)
    with pytest.raises(MissingError, match="nothing was measured"):
        roll_back(paths, clock, None, parse_pairs)
    assert roll_back(paths, clock, second, parse_pairs) == ("defaults", second)
    publish_metrics(paths, clock, document_of(3.0))
    assert roll_back(paths, clock, None, parse_pairs)[1] == second
    assert roll_back(paths, clock, "defaults", parse_pairs)[1] == "defaults"
    for wrong in ("2024-01-01", "yesterday", "2025-11-10_7", "../registry", ""):
        with pytest.raises(UsageError, match="no execution metrics of") as refused:
            roll_back(paths, clock, wrong, parse_pairs)
        assert "2025-11-11, " in refused.value.remedy
    assert linked_file(paths) is None


def test_a_file_of_several_of_one_day_may_be_named(home):
    paths, clock = home
    for mean in (1.0, 2.0, 3.0):
        publish_metrics(paths, clock, document_of(mean))
    assert roll_back(paths, clock, "2025-11-10_2", parse_pairs)[1].endswith("_2.json")
    assert roll_back(paths, clock, "2025-11-10", parse_pairs)[1].endswith("_3.json")
    assert roll_back(paths, clock, "execution_metrics_2025-11-10.json", parse_pairs)[1].endswith("_3.json")


def test_damage_is_refused_and_left_by_a_rollback(home):
    paths, clock = home
    publish_metrics(paths, clock, document_of(1.0))
    publish_metrics(paths, clock, document_of(2.0))
    first, second = metrics_files(paths)
    (paths.data / second).write_text("{")
    with pytest.raises(ArtifactError, match="not readable JSON") as refused:
        read_execution_metrics(paths)
    assert "execution rollback" in refused.value.remedy
    with pytest.raises(ArtifactError):
        publish_metrics(paths, clock, document_of(3.0))
    assert metrics_files(paths) == (first, second)
    assert roll_back(paths, clock, None, parse_pairs) == (second, first)
    with pytest.raises(ArtifactError):
        roll_back(paths, clock, "2025-11-10_2", parse_pairs)
    assert holds(paths) == 1.0


def test_a_link_that_leads_nowhere_is_no_default(home):
    paths, clock = home
    name = publish_metrics(paths, clock, document_of(1.0))
    (paths.data / name).unlink()
    with pytest.raises(ArtifactError, match="which is gone"):
        read_execution_metrics(paths)
    assert roll_back(paths, clock, None, parse_pairs) == (name, "defaults")
    assert read_execution_metrics(paths) is None


def test_a_plain_file_in_the_place_of_the_link_is_kept(home):
    paths, clock = home
    plain = merge(None, [FULL], ORIGIN, HEADER).document
    (paths.data / "execution_metrics.json").write_text(dumps(plain))
    name = publish_metrics(paths, clock, document_of(2.0))
    assert name == "execution_metrics_2025-11-10_2.json"
    assert roll_back(paths, clock, None, parse_pairs)[1] == "execution_metrics_2025-11-10.json"
    assert read_execution_metrics(paths) == json.loads(dumps(plain))


def test_death_between_file_and_link_leaves_the_old_one(home, monkeypatch):
    paths, clock = home
    publish_metrics(paths, clock, document_of(1.0))

    class DiedError(BaseException):
        pass

    def dies(*_):
        raise DiedError

    with monkeypatch.context() as patched:
        patched.setattr("tradingai.engine.store.execution_metrics._set_link", dies)
        with pytest.raises(DiedError):
            publish_metrics(paths, clock, document_of(2.0))
    assert holds(paths) == 1.0
    (paths.data / ".execution_metrics.json.x.tmp").write_text("{")
    assert publish_metrics(paths, clock, document_of(3.0)) == "execution_metrics_2025-11-10_3.json"
    assert holds(paths) == 3.0
    assert roll_back(paths, clock, None, parse_pairs)[1] == "execution_metrics_2025-11-10.json"
    assert not (paths.data / ".execution_metrics.json.x.tmp").exists()


def test_what_cannot_be_made_changes_nothing(home):
    paths, clock = home
    publish_metrics(paths, clock, document_of(1.0))

    def fails(before, file):
        raise ArtifactError(f"{before['source']} {file}")

    with pytest.raises(ArtifactError, match=r"a test execution_metrics_2025-11-10\.json"):
        publish_metrics(paths, clock, fails)
    assert (holds(paths), len(metrics_files(paths))) == (1.0, 1)
    assert math.isfinite(holds(paths))
