"""The evidence tables accuse what does not behave, and the clock model learns what there is to learn."""

import json
import sys

import numpy as np
import pytest
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.datasets.splits import Rows

from tests.fakes.command_line import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import evidence_tables as tables
from clock_model import clock_accuracy

GOOD = {
    "cycles": {"oracle": 0.79, "accuracy": 0.76, "validation_accuracy": 0.77, "promotion": "promoted"},
    "null": {"oracle": 0.5, "accuracy": 0.5, "validation_accuracy": 0.5, "promotion": "refused"},
    "weak": {"oracle": 0.56, "accuracy": 0.555, "validation_accuracy": 0.55, "promotion": "refused"},
    "drift": {"oracle": 0.5, "accuracy": 0.5, "validation_accuracy": 0.77, "promotion": "refused"},
}


def coin(market, **changes):
    refused = [] if market == "cycles" else ["accuracy", "significance"]
    made = {
        "symbol": "BTC-USD",
        "baselines": {"majority": 0.5, "momentum": 0.55},
        "clock": {"harmonics": 0.51, "slots": 0.54},
        "refused_by": refused,
        **GOOD[market],
        **changes,
    }
    return {"accuracy_ci": [made["accuracy"] - 0.01, made["accuracy"] + 0.01], **made}


def found(market="cycles", **changes):
    return {
        "codes": ["abc"],
        "wanted": 1,
        "quick": [{"market": market, "seed": 1, "coins": [coin(market, **changes)]}],
        "clock_full_range": [
            {"market": "cycles", "seed": 1, "coins": {"BTC-USD": {"harmonics": 0.5, "slots": 0.51}}}
        ],
    }


@pytest.mark.parametrize("market", GOOD)
def test_a_market_that_behaves_is_as_required(market):
    assert tables.misses(found(market)) == []
    assert tables.as_required(found(market))
    assert "1 of 1 |" in tables.verdict_table(found(market))


@pytest.mark.parametrize(
    ("market", "changes", "words"),
    [
        ("cycles", {"oracle": 0.82}, "oracle 82.0%"),
        ("cycles", {"accuracy": 0.70}, "LSTM 70.0%"),
        ("cycles", {"promotion": "refused", "refused_by": ["sample"]}, "refused by sample"),
        ("null", {"promotion": "promoted"}, "promoted"),
        ("null", {"accuracy": 0.56}, "LSTM 56.0% is not 50 %"),
        ("weak", {"accuracy": 0.49}, "does not beat 50 %"),
        ("weak", {"accuracy": 0.58}, "beats momentum by 3.0%"),
        ("weak", {"refused_by": ["accuracy"]}, "significance did not refuse"),
        ("drift", {"validation_accuracy": 0.6}, "validation only 60.0%"),
        ("drift", {"accuracy": 0.75}, "test 75.0%"),
        ("null", {"clock": {"harmonics": 0.54, "slots": 0.5}}, "the clock alone (harmonics)"),
    ],
)
def test_a_row_that_does_not_is_named(market, changes, words):
    (line,) = tables.misses(found(market, **changes))
    assert words in line
    assert not tables.as_required(found(market, **changes))


def many(market, coins):
    return {
        "codes": ["abc"],
        "wanted": len(coins),
        "quick": [{"market": market, "seed": seed, "coins": [made]} for seed, made in enumerate(coins, 1)],
        "clock_full_range": [],
    }


def test_an_oracle_outside_its_band_is_shown_beside_the_others():
    told = many("cycles", [coin("cycles", oracle=value) for value in (0.79, 0.80, 0.79, 0.82)])
    (line,) = tables.outside(told)
    assert line.startswith(
        "`cycles` seed 4 BTC-USD: oracle 82.0%. The 4 oracles have a mean of 80.0 % and a "
    )
    assert "standard deviation of 1.4; this one is +1.4 deviations from it: chance" in line
    assert "1 of 4; they stay as they came" in tables.section(told)
    assert line in tables.section(told)


def test_a_model_that_should_not_be_significant_is_shown_with_its_interval():
    differences = {"majority": [0.03, 0.09], "momentum": [0.0002, 0.0153]}
    made = coin("weak", refused_by=["accuracy", "sample"], differences=differences)
    (line,) = tables.outside(many("weak", [coin("weak")] * 14 + [made]))
    assert "seed 15 BTC-USD: significance did not refuse." in line
    assert "against momentum is +0.02 to +1.53 points, at α 0.0304" in line
    assert "of 15 independent models without an edge at least one is above zero with a chance of 21%" in line
    assert line.endswith("It was refused all the same, by accuracy, sample.")


def test_a_repetition_is_compared_number_by_number():
    run = {"coins": [coin("cycles", artifact_sha256="1", tier_mae=0.0223)]}
    same = {"coins": [coin("cycles", artifact_sha256="2", tier_mae=0.0223 + 1e-8)]}
    assert tables.differences(run, same) == []
    other = {
        "coins": [coin("cycles", artifact_sha256="1", tier_mae=0.0223, accuracy=0.77, accuracy_ci=[0.7, 0.8])]
    }
    assert tables.differences(run, other) == [
        "BTC-USD accuracy_ci: [0.7, 0.8] instead of [0.75, 0.77]",
        "BTC-USD accuracy: 0.77 instead of 0.76",
    ]
    again = {"market": "cycles", "seed": 1, "code": "def", "models": 1, "differences": []}
    told = {**found(), "repeated": [again]}
    assert "code `def`: `cycles` seed 1, 1 models. Every number came out the same to 1e-06" in tables.section(
        told
    )
    told["repeated"] = [{**again, "differences": ["BTC-USD accuracy: 0.77 instead of 0.76"]}]
    assert "Not the same:\n\n- cycles 1 BTC-USD accuracy: 0.77 instead of 0.76" in tables.section(told)


def test_missing_runs_are_not_as_required():
    assert not tables.as_required({**found(), "wanted": 2})


def test_publishing_replaces_what_stands_between_the_markers(tmp_path):
    document = tmp_path / "evidence.md"
    document.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    tables.publish(document, found())
    text = document.read_text()
    assert text.startswith(f"before\n{tables.BEGIN}\n")
    assert text.endswith(f"\n{tables.END}\nafter\n")
    assert "old" not in text
    assert "| `cycles` | 1 | BTC | 76.0 [75.0, 77.0] | 77.0 | 79.0 | 50.0 | 55.0 | 51.0 | – | yes |" in text
    document.write_text("no markers")
    with pytest.raises(ValueError, match="evidence:begin"):
        tables.publish(document, found())


def test_the_document_has_the_markers_and_the_command():
    text = (ROOT / "docs" / "evidence.md").read_text()
    assert text.index(tables.BEGIN) < text.index(tables.END)
    assert tables.COMMAND in text
    assert tables.section(json.loads((ROOT / "docs" / "evidence.json").read_text())) in text


def test_the_clock_model_finds_what_the_clock_tells_and_nothing_else():
    """Up in the first half of each hour except on Sundays: nine of ten labels follow, the tenth is noise."""
    rows = 60 * 1440
    minute = np.arange(rows)
    rng = np.random.default_rng(1)
    rule = minute // 30 % 2 == 0
    labels = np.where(rng.random(rows) < 0.9, rule, ~rule).astype(np.int8)
    labels[::50] = -1
    train, test = Rows(0, 42 * 1440), Rows(51 * 1440, rows)
    told = clock_accuracy(minute * MINUTE_US, labels, train, test)
    assert all(0.88 < value < 0.92 for value in told.values())
    coin_flips = rng.integers(0, 2, rows).astype(np.int8)
    assert all(0.47 < v < 0.53 for v in clock_accuracy(minute * MINUTE_US, coin_flips, train, test).values())
