"""The parts of the exchange client that need no exchange: turns, back-off, faults, rows, markets."""

import math
import subprocess
import sys

import numpy as np
import pytest
from tradingai.engine.core.errors import TradingAIError, UsageError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.exchange.faults import Answer, MalformedAnswerError
from tradingai.engine.providers.exchange.market import Market, market_of
from tradingai.engine.providers.exchange.pace import LONGEST_HOLD_S, OwnPace, SharedPace
from tradingai.engine.providers.exchange.retry import LONGEST_WAIT_S, backoff_s
from tradingai.engine.providers.exchange.rows import page_of
from tradingai.engine.providers.exchange.traits import traits_of

from tests.fakes.command_line import ROOT, environment
from tests.fakes.leaping_clock import LeapingClock

M = MINUTE_US // 1000
TURNS = """
import sys
from pathlib import Path
from tests.fakes.leaping_clock import LeapingClock
from tradingai.engine.providers.exchange.pace import SharedPace
pace = SharedPace(Path(sys.argv[1]), LeapingClock())
print("ready", flush=True)
sys.stdin.readline()
for _ in range(2000):
    print(pace.reserve(0.25))
"""


@pytest.mark.parametrize("shared", [False, True])
def test_turns_are_spaced_and_a_hold_is_for_everybody(tmp_path, shared):
    clock = LeapingClock()
    one = SharedPace(tmp_path / "pace", clock) if shared else OwnPace(clock)
    other = SharedPace(tmp_path / "pace", clock) if shared else one
    assert [one.reserve(0.5), other.reserve(0.5), one.reserve(2.0)] == pytest.approx([0, 0.5, 1.0])
    clock.slept += 1.0
    assert other.reserve(0.1) == pytest.approx(2.0)
    one.hold(30)
    assert other.reserve(0.1) == pytest.approx(30)
    other.hold(5)
    assert one.reserve(0.1) == pytest.approx(30.1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "1e99 {boot}",
        "nan {boot}",
        f"{1000 + 3 * LONGEST_HOLD_S} {{boot}}",
        "1010 before",
        "1010",
    ],
)
def test_a_pace_file_of_an_earlier_boot_or_of_nobody_is_past(tmp_path, text):
    pace = SharedPace(tmp_path / "pace", LeapingClock())
    (tmp_path / "pace").write_text(text.format(boot=pace._boot))
    assert pace._boot
    assert pace.reserve(0.5) == 0
    assert pace.reserve(0.5) == pytest.approx(0.5)
    (tmp_path / "pace").write_text(f"1010 {pace._boot}")
    assert pace.reserve(0.5) == pytest.approx(10)


def test_a_pace_file_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "pace").mkdir()
    with pytest.raises(TradingAIError, match=r"cannot write .*pace"):
        SharedPace(tmp_path / "pace", LeapingClock()).reserve(1)


def test_processes_take_turns(tmp_path):
    """Three at once, on clocks that stand still: every moment is taken by one of them, none left out."""
    command = [sys.executable, "-c", TURNS, str(tmp_path / "pace")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    children = [subprocess.Popen(command, env=environment(), **pipes) for _ in range(3)]
    assert [child.stdout.readline() for child in children] == ["ready\n"] * 3
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    taken = sorted(float(line) for child in children for line in child.communicate()[0].splitlines())
    np.testing.assert_allclose(taken, 0.25 * np.arange(6000), atol=1e-6)


def test_back_off_doubles_to_a_limit_with_jitter():
    rng = np.random.default_rng(3)
    waits = np.array([[backoff_s(attempt, rng) for attempt in range(10)] for _ in range(400)])
    full = np.minimum(LONGEST_WAIT_S, 2.0 ** np.arange(10))
    assert (waits >= full / 2).all()
    assert (waits <= full).all()
    assert (waits.std(axis=0) > 0.1 * full).all()
    assert backoff_s(0, np.random.default_rng(3)) == backoff_s(0, np.random.default_rng(3))


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), (" 12 ", 12.0), ("soon", None), ("-1", None)])
def test_retry_after_in_any_spelling(value, seconds):
    assert Answer(429, {"retry-AFTER": value}).retry_after_s == seconds
    assert Answer(429, {"x": value}).retry_after_s is None


def test_an_answer_is_quoted_without_its_tags():
    assert Answer(502, {}, "<html>\n <b>Bad</b>  Gateway</html>").quoted == "Bad Gateway"
    assert len(Answer(502, {}, "word " * 100).quoted) == 161


def test_rows_are_placed_by_their_minute():
    rows = [
        [3 * M, 1, 2, 0.5, 1.5, 9],
        [1 * M, 1, 2, 0.5, None, 9],
        [2 * M + 15_000, 1, 2, 0.5, 1.5, 9],
        [3 * M + 15_000, 7, 7, 7, 7, 7],
        [4 * M, 1, 2, 0.5, 1.5, 9],
        [0, 1, 2, 0.5, 1.5, 9],
    ]
    page = page_of(rows, MINUTE_US, 4 * MINUTE_US)
    assert (page.candles.ts // MINUTE_US).tolist() == [1, 2, 3, 3]
    assert [math.isnan(value) for value in page.candles.close] == [True, True, False, True]
    assert [math.isnan(value) for value in page.candles.open] == [False, True, False, True]
    assert page.unread == ("1970-01-01 00:01 close",)
    assert page.off_minute == 2
    assert len(page_of([], 0, MINUTE_US).candles) == 0


@pytest.mark.parametrize(
    "row", [[None, 1, 2, 3, 4, 5], [], None, ["60000", 1, 2, 3, 4, 5], [True], [math.inf]]
)
def test_a_row_without_a_time_is_no_answer(row):
    with pytest.raises(MalformedAnswerError, match="row 1 without a time"):
        page_of([row], 0, MINUTE_US)


def listed(name, *, spot=True, active=True):
    return {"symbol": name, "id": name.replace("/", ""), "spot": spot, "active": active}


def test_a_symbol_is_its_own_pair_or_for_dollars_a_stable_coin():
    markets = {
        item["symbol"]: item
        for item in (
            listed("BTC/USDT"), listed("BTC/USDC"), listed("ETH/USD", active=False), listed("ETH/USDC"),
            listed("BNB/USD", spot=False), listed("SOL/USDT", active=None), listed("LUNA/USDT", active=False),
            listed("BTC/EUR"),
        )
    }  # fmt: skip
    assert market_of(markets, "BTC-USD", "x") == Market("BTC-USD", "BTC/USDT", "BTCUSDT")
    assert market_of(markets, "ETH-USD", "x").name == "ETH/USDC"
    assert market_of(markets, "SOL-USD", "x").name == "SOL/USDT"
    assert market_of(markets, "BTC-EUR", "x").name == "BTC/EUR"
    for symbol, words in (
        ("BNB-USD", "x has no market BNB/USD or BNB/USDT or BNB/USDC"),
        ("ETH-EUR", "x has no market ETH/EUR"),
        ("LUNA-USD", "x does not trade LUNA/USDT now: delisted, or halted"),
    ):
        with pytest.raises(UsageError, match=words):
            market_of(markets, symbol, "x")


def test_an_exchange_nobody_listed_goes_by_what_ccxt_says():
    assert traits_of("bybit", {"spot": {"fetchOHLCV": {"limit": 1000}}}).page == 1000
    assert [traits_of("x", features).page for features in (None, {}, {"spot": None}, {"spot": {}})] == [
        300
    ] * 4
    assert traits_of("kraken").history_minutes == 720
