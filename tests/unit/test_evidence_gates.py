"""Calibration of the gates: intervals and tables say what was counted, and one unit of each part works."""

import json
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from scipy.stats import t as student_t
from tradingai.engine.core.report import GATE_IDS
from tradingai.engine.providers.synthetic import cycle

from tests.fakes.command_line import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import evidence_gates as evidence
import gates_coverage as coverage
import gates_leaks
import gates_markets as markets
import gates_tables as tables


def market(seed=1, *, refused=(), promotion="refused", days=120, scale=1.0, **more):
    gates = {gate: gate not in refused for gate in GATE_IDS}
    return {
        "market": "null", "seed": seed, "days": days, "scale": scale, "accuracy": 0.71, "oracle": 0.75,
        "test_days": 19, "gates": gates, "gates_loose": {**gates, "accuracy": True}, "promotion": promotion,
        "loose_promotion": "not asked", **more,
    }  # fmt: skip


def counts(market_name="cycles", days=18, **more):
    return {
        "market": market_name, "days": days, "pieces": 100, "ranges": 2_000, "truth": 0.771, "held": 1_900,
        "below": 40, "above": 60, "half_width": 0.021, "signs": [], "placed": [1, 2],
        "variance": 0.83, "weekdays": [0.75, 0.0, 0.76],
        "gates": {"accuracy": 2_000, "calibration": 1_990, "significance": 2_000, "sample": 2_000}, **more,
    }  # fmt: skip


def leak(strength, caught, units=20, name="centred_average", kind="diluted"):
    return {
        "leak": name, "kind": kind, "strength": strength, "units": units, "caught": caught,
        "checks": {"prefix_invariance": caught, "single_feature": 0},
    }  # fmt: skip


def part(results, wanted, units=None):
    units = len(results) if units is None else units
    return {"codes": ["abc"], "wanted": wanted, "units": units, "cpu_s": 9.5, "results": results}


def found(**changes):
    everything = {
        "null": part([market(seed, refused=GATE_IDS) for seed in range(200)], 200),
        "cycles": part([market(seed, promotion="promoted") for seed in range(50)], 50),
        "power": part([market(1), market(2, refused=["accuracy"], scale=0.5)], 2),
        "coverage": {**part([counts(), counts("null")], 200), "seeds": [4001, 4100]},
        "leaks": {**part([leak(1.0, 20), leak(1e-3, 20), leak(1e-6, 3)], 20, 20), "seeds": [5001]},
    }
    return {**everything, **changes}


@pytest.mark.parametrize(
    ("passed", "n", "lo", "hi"),
    [
        (0, 200, 0.0, 0.018275),
        (5, 10, 0.187086, 0.812914),
        (1, 50, 0.000506, 0.106469),
        (7, 7, 0.590384, 1.0),
    ],
)
def test_the_interval_of_a_share_is_the_exact_one(passed, n, lo, hi):
    assert tables.clopper_pearson(passed, n) == pytest.approx((lo, hi), abs=1e-6)


def test_the_interval_of_a_share_holds_it_as_often_as_promised():
    from scipy.stats import binom

    for truth in (0.02, 0.3, 0.95):
        spans = [tables.clopper_pearson(k, 40) for k in range(41)]
        chance = sum(binom.pmf(k, 40, truth) for k, (lo, hi) in enumerate(spans) if lo <= truth <= hi)
        assert chance >= 0.95


@pytest.mark.parametrize("counted", [(3, 2), (-1, 2), (0, 0)])
def test_no_interval_of_what_is_no_share(counted):
    with pytest.raises(ValueError, match="is no share"):
        tables.clopper_pearson(*counted)


def test_each_gate_is_counted_alone_and_together():
    told = tables.gate_table(
        [market(1), market(2, refused=["accuracy"]), market(3, refused=["accuracy", "sample"])],
        {"0.68": "gates", "0.50": "gates_loose"},
    )
    assert "| accuracy | 1 of 3: 33.3 % [0.8, 90.6] | 3 of 3: 100.0 % [29.2, 100.0] |" in told
    assert "| sample | 2 of 3: 66.7 % [9.4, 99.2] | 2 of 3: 66.7 % [9.4, 99.2] |" in told
    assert "| all five | 1 of 3: 33.3 % [0.8, 90.6] | 2 of 3: 66.7 % [9.4, 99.2] |" in told


def test_refusals_are_told_together():
    told = tables.refusals([market(1), market(2, refused=["accuracy"]), market(3, refused=["accuracy"])])
    assert told.splitlines()[2:] == ["| accuracy | 2 |", "| none: it passed | 1 |"]


def test_power_is_told_by_length_and_amplitude():
    told = tables.power_table(found()["power"]["results"]).splitlines()
    assert told[2].startswith("| 19 | 22.5 | 1 | 75.0 | 71.0 | 0 of 1: 0 % [0, 98] | 0 | 1 | 1 | 1 | 1 |")
    assert told[3].startswith("| 19 | 45 | 1 | 75.0 | 71.0 | 1 of 1: 100 % [2, 100] |")


def test_everything_in_full_and_good_is_as_required():
    assert tables.as_required(found())
    assert tables.verdicts(found()).count("| yes |") == 5


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"null": part([market(seed, promotion="promoted") for seed in range(200)], 200)}, "| no |"),
        ({"null": part([market(seed, loose_promotion="promoted") for seed in range(200)], 200)}, "| no |"),
        ({"null": part([market()], 200)}, "| so far |"),
        ({"cycles": part([], 50, 0)}, "| not run |"),
        ({"coverage": part([counts(held=1_850)], 200)}, "| no |"),
        ({"coverage": part([counts(held=1_945)], 200)}, "| no |"),
        ({"coverage": part([counts(), counts("null", held=1_945)], 200)}, "| no |"),
        ({"coverage": part([counts(days=15)], 200)}, "| not run |"),
        ({"coverage": part([counts(ranges=200, held=150)], 200)}, "| not so far |"),
        ({"leaks": {**part([leak(1.0, 19)], 20, 20), "seeds": [1]}}, "| no |"),
        ({"leaks": {**part([leak(0.0, 1, name="innocent"), leak(1, 20)], 20, 20), "seeds": [1]}}, "| no |"),
    ],
)
def test_what_did_not_come_out_is_not_as_required(changes, verdict):
    assert not tables.as_required(found(**changes))
    assert verdict in tables.verdicts(found(**changes))


def test_the_weakest_strength_is_the_last_before_the_first_miss():
    ordered = [leak(1.0, 20), leak(0.1, 20), leak(0.01, 19), leak(0.001, 20)]
    assert tables.weakest_caught(ordered)["strength"] == 0.1
    assert tables.weakest_caught([leak(1.0, 19)]) is None
    told = tables.leak_table(ordered)
    assert "| 20 of 20 | prefix_invariance | 0.1 | 0.01: 19 of 20; 0.001: 20 of 20 |" in told


def test_what_makes_the_interval_wide_is_told_beside_it():
    told = tables.coverage_table([counts()]).splitlines()[2]
    assert told.endswith("| ±2.10 | 0.83 | 75.00 to 76.00 |")


def test_leaks_of_several_units_are_counted_by_check():
    one = gates_leaks.finding("x", "rare", 0.1, {"a": True, "b": False})
    other = gates_leaks.finding("x", "rare", 0.1, {"a": False, "b": False})
    (row,) = gates_leaks.counted([{"findings": [one]}, {"findings": [other]}])
    assert (row["units"], row["caught"], row["checks"]) == (2, 1, {"a": 1, "b": 0})


def test_coverage_counts_where_the_truth_lies():
    def row(right, lo, hi, gates="-", signs="000"):
        return [right, 1_000, lo, hi, gates, signs]

    ranges = [
        row(770, 0.75, 0.79, "ac", "++0"),
        row(700, 0.69, 0.71),
        row(840, 0.83, 0.85),
        row(770, 0.7, 0.84),
    ]
    piece = {"market": "cycles", "seed": 1, "ranges": {"18": ranges}}
    told = coverage.counted([piece], "cycles", 18)
    assert (told.truth, told.ranges, told.held, told.below, told.above) == (0.77, 4, 2, 1, 1)
    assert told.gates == {"accuracy": 1, "calibration": 1, "significance": 0, "sample": 0}
    assert told.signs[0] == {"-": 0, "0": 3, "+": 1}
    errors = np.array([0.02, 0.01, 0.01, 0.07]) / student_t.ppf(0.975, 17)
    assert told.variance == pytest.approx(np.var([0.77, 0.7, 0.84, 0.77]) / np.mean(errors**2), abs=1e-4)
    assert told.weekdays == [0.77, 0.84, 0.0, 0.0, 0.7, 0.77, 0.0]
    assert sum(told.placed) == 4
    assert told.placed[0] == told.placed[-1] == 1
    null = coverage.counted([{**piece, "market": "null"}], "null", 18)
    assert (null.truth, null.held, null.above) == (0.5, 0, 4)
    assert coverage.counted([piece], "null", 18) is None


def test_a_kept_result_counts_when_its_code_is_the_same(tmp_path):
    path = tmp_path / "unit.json"
    assert evidence.read_kept(path, "abc", any_code=True) is None
    unit = evidence.Unit("1", lambda seed, scale: {"seed": seed, "scale": scale}, (7,), {"scale": 0.5})
    made = evidence.make_and_keep(path, "abc", unit)
    assert made == {"seed": 7, "scale": 0.5, "code": "abc"}
    assert evidence.read_kept(path, "abc", any_code=False) == made
    assert evidence.read_kept(path, "def", any_code=False) is None
    assert evidence.read_kept(path, "def", any_code=True) == made


@pytest.mark.parametrize("name", evidence.PARTS)
def test_units_have_keys_of_their_own_and_a_full_run_has_all(name, tmp_path):
    wanted = evidence.units(name, evidence.FULL[name], tmp_path, tmp_path / "model.pt")
    assert len({unit.key for unit in wanted}) == len(wanted) == evidence.FULL[name]


def test_any_beginning_of_the_power_units_is_balanced(tmp_path):
    first = evidence.units("power", 16, tmp_path, None)
    assert {(unit.options["scale"], unit.options["days"]) for unit in first} == {
        (scale, days) for scale in evidence.AMPLITUDES for days in evidence.TEST_DAYS
    }


def test_the_amplitude_is_scaled_for_the_block_alone():
    before = cycle.AMPLITUDE_BPS
    with markets.amplitude(0.5):
        assert before / 2 == cycle.AMPLITUDE_BPS
    assert before == cycle.AMPLITUDE_BPS

    def failing():
        with markets.amplitude(0.5):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert before == cycle.AMPLITUDE_BPS


def test_rare_minutes_are_the_same_in_every_window_and_as_many_as_asked():
    minute = np.arange(20_000_000, 20_200_000)
    some = gates_leaks.chosen(minute, 0.01)
    assert some.mean() == pytest.approx(0.01, abs=0.001)
    assert (gates_leaks.chosen(minute[500:900], 0.01) == some[500:900]).all()
    assert gates_leaks.chosen(minute, 1.0).all()


def test_publishing_writes_tables_and_plots(tmp_path):
    document = tmp_path / "evidence.md"
    document.write_text(f"before\n{tables.BEGIN}\nan earlier table\n{tables.END}\nafter\n")
    tables.publish(document, found())
    text = document.read_text()
    assert text.startswith(f"before\n{tables.BEGIN}\nMade by `make evidence`")
    assert text.endswith(f"\n{tables.END}\nafter\n")
    assert "an earlier table" not in text
    for name in (tables.POWER_PLOT, tables.COVERAGE_PLOT):
        assert f"]({name})" in text
        ET.parse(tmp_path / name)
    assert "19 test days" in (tmp_path / tables.POWER_PLOT).read_text()
    document.write_text("no markers")
    with pytest.raises(ValueError, match="gates:begin"):
        tables.publish(document, found())


def test_the_document_says_what_its_numbers_say():
    numbers = json.loads((ROOT / "docs" / "evidence-gates.json").read_text())
    assert tables.section(numbers) in (ROOT / "docs" / "evidence.md").read_text()


@pytest.mark.slow
def test_one_small_null_market_is_refused_at_both_thresholds(tmp_path):
    told = markets.market_unit(tmp_path, "null", 10, days=10, epochs=1)
    assert (told["promotion"], told["loose_promotion"]) == ("refused", "refused")
    assert told["gates"]["leakage"], told["checks_failed"]
    assert {key: told["gates_loose"][key] for key in GATE_IDS[1:]} == {
        key: told["gates"][key] for key in GATE_IDS[1:]
    }
    assert list((tmp_path / "homes").iterdir()) == []


@pytest.mark.slow
def test_a_frozen_model_is_judged_over_disjoint_ranges(tmp_path):
    model = coverage.frozen_model(tmp_path, "abc", epochs=1, days=10)
    assert coverage.frozen_model(tmp_path, "abc") == model
    told = coverage.coverage_unit(model, "null", 7, days=36)
    assert {length: len(ranges) for length, ranges in told["ranges"].items()} == {"15": 2, "18": 2}
    for right, n, lo, hi, _, signs in told["ranges"]["18"]:
        assert n <= 18 * 1440 - 15
        assert lo < right / n < hi
        assert len(signs) == 3


@pytest.mark.slow
def test_every_leak_at_full_strength_is_caught_in_one_unit_and_the_innocent_column_is_not(monkeypatch):
    for name in ("FILL_RARE", "FILL_DILUTED"):
        monkeypatch.setattr(gates_leaks, name, (1.0,))
    findings = gates_leaks.counted([gates_leaks.leaks_unit(1)])
    assert len({item["leak"].split()[0] for item in findings}) == 10 + 1
    for item in findings:
        if item["leak"] == gates_leaks.CONTROL:
            assert not item["caught"]
        elif item["strength"] in {1.0, 4_000}:
            assert item["caught"], item
