"""What cleaning counts, on faults planted into real and synthetic candles, and how a person is told."""

import json
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from tradingai.cli.quality import balance, headline, rule_rows
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.providers.flag_spans import WORDS, FlagSpan, flag_spans, longest_gaps
from tradingai.engine.providers.quality import QualityReport, Rule
from tradingai.engine.providers.synthetic.market import SyntheticMarket

from tests.fakes.command_line import tradingai
from tests.fakes.real_candles import real_candles

LAST = int(datetime(2025, 11, 10, 1, 7, tzinfo=UTC).timestamp()) // 60


def calm_candles():
    """Real ones from after their only outlier: one row less at the start would leave it unjudged."""
    return real_candles()[400:]


def synthetic_candles():
    return SyntheticMarket("null", 3).candles("BTC-USD", LAST - 4319, LAST)


def faulty(raw):
    """One fault of each kind, on rows far apart, and by how much each moves the counters."""
    columns = {name: column.copy() for name, column in raw.columns().items()}
    found = clean(raw).flags != 0
    quiet = np.flatnonzero(~np.convolve(found, np.ones(41), "same").astype(bool))
    at = iter([int(quiet[quiet >= 400 + 150 * number][0]) for number in range(11)])
    non_finite, non_positive, volume, ohlc, outlier, stale, still, late, twice, other, gap = (
        next(at) for _ in range(11)
    )
    columns["open"][0] = np.nan
    columns["close"][non_finite] = np.inf
    columns["low"][non_positive] = 0.0
    columns["volume"][volume] = -1.0
    columns["high"][ohlc] = 0.9 * columns["low"][ohlc]
    columns["high"][outlier] = 1.5 * columns["high"][outlier]
    for name in ("open", "high", "low", "close"):
        columns[name][stale : stale + 12] = columns["close"][stale - 1]
    columns["volume"][stale : stale + 12] = 3.0
    columns["volume"][still] = 0.0
    columns["high"][still] = 1.001 * max(columns["open"][still], columns["close"][still])
    rows = np.arange(len(raw))
    rows[[late, late + 1]] = rows[[late + 1, late]]
    changed = Candles(**columns)
    again = {name: column[other : other + 1].copy() for name, column in columns.items()}
    conflict = Candles(**{**again, "volume": again["volume"] + 1.0})
    parts = [changed[rows[:twice]], changed[twice : twice + 1], changed[rows[twice:other]], conflict]
    joined = Candles.concatenate(
        [*parts[:3], changed[other : other + 1], conflict, changed[rows[other + 1 :]]]
    )
    missing = (joined.ts > raw.ts[gap]) & (joined.ts <= raw.ts[gap + 7])
    moves = {
        "rows_in": 2 - 7,
        "rows_out": -1,
        "out_of_order": 1,
        "duplicates": 2,
        "conflicting_duplicates": 1,
        "non_finite": 2,
        "non_positive": 1,
        "volume_repaired": 1,
        "ohlc_repaired": 1,
        "leading_dropped": 1,
        "gaps": 3,
        "filled": 1 + 1 + 7,
        "outliers": 1,
        "stale_runs": 1,
        "stale_bars": 3,
    }
    return joined[np.flatnonzero(~missing)], moves, int(raw.minute[gap]) + 1


@pytest.mark.parametrize("source", [calm_candles, synthetic_candles])
def test_every_rule_counts_exactly_what_was_planted(source):
    raw = source()
    before, (spoiled, moves, gap_at) = clean(raw).report.as_json(), faulty(raw)
    cleaned = clean(spoiled)
    after = cleaned.report.as_json()
    assert {name: after[name] - before[name] for name in moves} == moves
    assert (after["longest_gap"], after["longest_gap_at"]) == (7, gap_at)
    assert cleaned.report.accounted
    seen = np.bitwise_or.reduce(cleaned.flags)
    assert [rule.name for rule in Rule if not seen & rule] == []


def test_every_rule_has_words_and_a_row():
    assert set(WORDS) == set(Rule)
    report = QualityReport(**dict.fromkeys(QualityReport.__dataclass_fields__, 1))
    assert all(found == "1" for _, found, _ in rule_rows(report))


def spans(*items):
    ts = np.array([minute for minute, _ in items], dtype=np.int64) * MINUTE_US
    return ts, np.array([int(mask) for _, mask in items], dtype=np.int32)


def moment(minute):
    return datetime(1970, 1, 1, minute // 60, minute % 60, tzinfo=UTC)


def test_neighbours_with_the_same_findings_are_one_span():
    both = Rule.DUPLICATE | Rule.CONFLICT
    found = flag_spans(*spans((3, Rule.FILLED), (4, Rule.FILLED), (5, both), (9, both), (10, Rule.OUTLIER)))
    assert found == [
        FlagSpan(moment(3), moment(4), 2, ("filled",)),
        FlagSpan(moment(5), moment(5), 1, ("duplicate", "conflicting duplicate")),
        FlagSpan(moment(9), moment(9), 1, ("duplicate", "conflicting duplicate")),
        FlagSpan(moment(10), moment(10), 1, ("outlier",)),
    ]
    assert flag_spans(*spans()) == []


def test_a_gap_is_one_whatever_else_is_known_of_its_minutes():
    """A filled minute whose price was not finite does not cut a gap in two."""
    flags = spans(
        (3, Rule.FILLED), (4, Rule.FILLED | Rule.NON_FINITE), (5, Rule.FILLED), (7, Rule.FILLED),
        (20, Rule.FILLED), (30, Rule.OUTLIER),
    )  # fmt: skip
    assert longest_gaps(*flags, 2) == [
        FlagSpan(moment(3), moment(5), 3, ("filled",)), FlagSpan(moment(7), moment(7), 1, ("filled",)),
    ]  # fmt: skip


def test_the_headline_says_whether_anything_was_changed():
    whole = QualityReport(rows_in=1440, rows_out=1440)
    assert headline("BTC-USD", whole) == "BTC-USD: nothing missing, nothing changed in 1,440 minutes."
    flagged = QualityReport(rows_in=1440, rows_out=1440, outliers=2, zero_volume=3)
    assert headline("A-USD", flagged).endswith("in 1,440 minutes; 5 findings flagged and left alone.")
    changed = QualityReport(rows_in=1430, rows_out=1440, filled=12, gaps=2, duplicates=2, ohlc_repaired=1)
    assert (
        headline("A-USD", changed)
        == "A-USD: of 1,440 minutes 12 filled (0.83 %), 1 repaired, 2 rows dropped."
    )
    assert balance(changed) == "1,430 rows in − 2 dropped + 12 filled = 1,440 minutes out"


def test_the_balance_adds_up_for_the_worst_of_files():
    spoiled, *_ = faulty(real_candles())
    report = clean(spoiled).report
    numbers = [int(word.replace(",", "")) for word in balance(report).split() if word[0].isdigit()]
    rows, dropped, unusable, filled, out = numbers
    assert rows - dropped - unusable + filled == out


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Real candles with forty minutes missing in two places and one row twice."""
    folder = tmp_path_factory.mktemp("quality")
    raw = real_candles()
    kept = np.r_[0:1000, 1030:2000, 2010:4320, 3000]
    frame = pl.DataFrame({name: pl.Series(column[np.sort(kept)]) for name, column in raw.columns().items()})
    frame.write_csv(folder / "prices.csv")
    done = tradingai(folder / "home", "data", "import", str(folder / "prices.csv"), "--symbol", "BTC")
    assert done.status == 0, done.err
    return folder / "home"


def test_the_report_reads_from_the_top(home):
    done = tradingai(home, "data", "quality", "BTC")
    lines = done.out.splitlines()
    assert lines[0].startswith("BTC-USD: of 4,320 minutes 40 filled (0.93 %), 1 row dropped; ")
    assert "Real candles, provider file, file prices.csv" in lines[1]
    assert "4,281 rows in − 1 dropped + 40 filled = 4,320 minutes out" in lines
    gaps = lines[lines.index("Gaps") + 3 :]
    assert gaps[0].split() == ["2023-03-10T04:40Z", "2023-03-10T05:09Z", "30"]
    assert gaps[1].split() == ["2023-03-10T21:20Z", "2023-03-10T21:29Z", "10"]
    assert "--flags lists them" in lines[-1]


def test_flags_lists_every_flagged_bar(home):
    shown = tradingai(home, "data", "quality", "BTC", "--flags")
    assert "2023-03-10T04:40Z  2023-03-10T05:09Z    30  filled" in shown.out
    document = tradingai(home, "data", "quality", "BTC", "--flags", "--json").document
    assert sum(span["bars"] for span in document["flags"] if "filled" in span["rules"]) == 40
    assert [span["start"] for span in document["flags"] if "duplicate" in span["rules"]] == [
        "2023-03-11T14:00:00Z"
    ]
    plain = tradingai(home, "data", "quality", "BTC", "--json").document
    assert {**plain, "flags": document["flags"]} == document
    manifest = json.loads((home / "data" / "candles" / "BTC-USD" / "manifest.json").read_text())
    assert plain == {"symbol": "BTC-USD", "rows": 4320, **manifest["quality"]}
