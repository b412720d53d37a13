"""``tradingai execution`` as an operator uses it: import, show, rollback, bad files, and being killed."""

import contextlib
import io
import json
import signal
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from tradingai.cli.execution_report import show_effect
from tradingai.cli.main import main
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.jobs.execution import import_execution

from tests.fakes.command_line import Called, start
from tests.fakes.homes import new_home, plain_settings
from tests.fakes.mt5_exports import (
    FIRST,
    HistoryReport,
    Placed,
    bar_file,
    random_quotes,
    spreads_of,
    tick_file,
)

TICKS = "BTCUSD_202607010000_202607040000.csv"


@pytest.fixture
def home(tmp_path):
    new_home(tmp_path / "home")
    return tmp_path / "home"


def run(home, *arguments: str) -> Called:
    """``tradingai`` in this process; its jobs have processes of their own as always."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["--home", str(home), *arguments])
    return Called(status, out.getvalue(), err.getvalue())


def write(folder, content: bytes, name=TICKS):
    path = folder / name
    path.write_bytes(content)
    return str(path)


def data_of(home):
    return {
        item.name: item.readlink().name if item.is_symlink() else item.read_bytes()
        for item in (home / "data").glob("*execution_metrics*")
    }


def stops(count):
    first = datetime(2026, 7, 1, tzinfo=UTC)
    return [
        Placed(first + timedelta(minutes=11 * n), "BTCUSD", "buy stop", 40_000.0, ((0.01, 40_004.0 + n % 3),))
        for n in range(count)
    ]


def test_ticks_then_a_report_then_back(home, tmp_path):
    quotes = random_quotes(2000)
    ticks = run(home, "execution", "import", write(tmp_path, tick_file(quotes)))
    assert ticks.status == 0, ticks.err
    assert "Assumed: server time is FTMO's: New York's wall time + 7 h" in ticks.out
    assert "Note: BTC-USD: slippage was never measured: the default holds" in ticks.out
    shown = run(home, "execution", "show", "--json").document
    assert shown["measured"]
    # Measured when the newest tick was, not when the file was read.
    assert shown["measured_at"].startswith("2026-07-02T09:19")
    assert shown["age_days"] == pytest.approx(
        (datetime.now(UTC) - (FIRST + timedelta(minutes=1999))).total_seconds() / 86_400, abs=0.1
    )
    assert shown["written_at"][:4].isdigit()
    expected = [value for at, value in spreads_of(quotes) if at.hour < 8]
    tokyo = shown["pairs"]["BTC-USD"]["tokyo"]
    assert tokyo["spread"]["mean"] == pytest.approx(sum(expected) / len(expected), rel=1e-9)
    assert tokyo["spread"]["samples"] == len(expected)
    assert tokyo["spread"]["basis"] == "session"
    assert tokyo["slippage"] == {
        "mean": 3.0, "p50": 3.0, "p90": 3.0, "samples": 0, "basis": "default", "measured_until": None,
    }  # fmt: skip
    assert shown["pairs"]["ETH-USD"]["tokyo"]["default"]

    report = write(tmp_path, HistoryReport(stops(150)).html(), "ReportHistory-1.html")
    deals = run(home, "execution", "import", report, "--json")
    assert deals.status == 0, deals.err
    assert deals.document["origin"]["counts"]["stop_orders"] == 150
    both = run(home, "execution", "show", "--json").document
    assert both["pairs"]["BTC-USD"]["tokyo"]["spread"] == tokyo["spread"]
    assert both["pairs"]["BTC-USD"]["london"]["slippage"]["basis"] == "day"
    # Fills 4, 5 and 6 above 40,000 in equal numbers: 1.25 bps on average.
    assert both["pairs"]["BTC-USD"]["london"]["slippage"]["mean"] == pytest.approx(1.25)
    text = run(home, "execution", "show").out
    assert "measured, whole day" in text
    assert "Measured until 2026-07-02 (" in text
    assert "days ago), source MT5 report ReportHistory-1.html" in text

    back = run(home, "execution", "rollback")
    assert back.status == 0
    assert shown["file"] in back.out
    assert run(home, "execution", "show", "--json").document["pairs"] == shown["pairs"]
    assert run(home, "execution", "rollback", "--json").document["file"] == "defaults"
    assert not run(home, "execution", "show", "--json").document["measured"]
    assert run(home, "execution", "rollback").status == 4


SHORT = tick_file(random_quotes(30))
NO_STOPS = HistoryReport(stops(1), labels={"buy stop": "buy"}).html()


@pytest.mark.parametrize(
    ("content", "name", "arguments", "status", "word"),
    [
        (SHORT[:-20], TICKS, [], 1, "cells instead of 7"),
        (SHORT, "EURUSD_x.csv", [], 2, "no symbol that is known"),
        (NO_STOPS, "r.html", [], 1, "no stop order"),
    ],
    ids=["cut off", "unknown symbol", "no stop orders"],
)
def test_bad_input_is_one_error_and_changes_nothing(home, tmp_path, content, name, arguments, status, word):
    before = data_of(home)
    called = run(home, "execution", "import", write(tmp_path, content, name), *arguments, "--json")
    assert called.status == status
    assert word in called.error["message"]
    assert called.error["remedy"]
    assert data_of(home) == before == {}


def test_a_damaged_file_is_refused_everywhere_and_rollback_leaves_it(home, tmp_path):
    path = write(tmp_path, tick_file(random_quotes(300)))
    assert run(home, "execution", "import", path).status == 0
    (home / "data" / "execution_metrics.json").write_text('{"pairs": {"BTC-USD": {"tokyo": {}}}}')
    for arguments in (("show",), ("import", path)):
        called = run(home, "execution", *arguments, "--json")
        assert called.status == 1
        assert "cannot be read" in called.error["message"]
        assert "execution rollback" in called.error["remedy"]
    assert run(home, "execution", "rollback").status == 0
    assert run(home, "execution", "show").status == 0


def in_process(home, path, **changes):
    params = {
        "file": path, "who": "jane", "export_kind": "auto", "symbol": None, "timezone": "ftmo", "point": None,
        "effect": False, **changes,
    }  # fmt: skip
    return import_execution(HomePaths(home), plain_settings(), params, SilentReporter())


def test_bars_say_what_a_point_was_taken_for(home, tmp_path):
    bars = [(FIRST + timedelta(minutes=5 * n), 40_000.0, 1600) for n in range(300)]
    result = in_process(home, write(tmp_path, bar_file(bars), "ETHUSD_M5.csv"))
    assert "a point is 0.01 (inferred from the decimals of the prices)" in result["origin"]["assumptions"]
    document = json.loads((home / "data" / result["file"]).read_text())
    # 1600 points of 0.01 are 16 on a bid of 40,000: 16 / 40,008.
    assert document["pairs"]["ETH-USD"]["tokyo"]["spread_bps"]["mean"] == pytest.approx(16 / 40_008 * 1e4)
    assert (document["who"], document["previous"]) == ("jane", "defaults")
    assert document["origins"][0]["sha256"] == sha256((tmp_path / "ETHUSD_M5.csv").read_bytes()).hexdigest()
    given = in_process(home, str(tmp_path / "ETHUSD_M5.csv"), point=0.1)
    assert "a point is 0.1 (given)" in given["origin"]["assumptions"]


def test_what_was_left_out_and_what_the_broker_took_is_said(home, tmp_path):
    orders = [
        *stops(120),
        Placed(FIRST + timedelta(days=2), "EURUSD", "sell stop", 1.1, ((0.01, 1.09),)),
        Placed(FIRST + timedelta(days=3), "ETHUSD", "buy stop", 2_000.0, ((2.0, 2_000.0),), commission=-13.0),
    ]
    called = run(home, "execution", "import", write(tmp_path, HistoryReport(orders).html(), "r.html"))
    assert called.status == 0, called.err
    assert "Left out: deals of other symbols: EURUSD 1" in called.out
    assert "Commission: ETH-USD 0.0325 % a side in the report, as the settings say" in called.out
    assert "Commission: BTC-USD 3.2496 % a side in the report, the settings say 0.0325 %" in called.out
    assert "Note: ETH-USD: fewer than 100 samples of slippage: not used, the default holds" in called.out
    assert "Effect on a backtest not shown: no model is live" in called.out


def test_the_effect_is_shown_before_and_after(capsys):
    figures = {"trades": 1113, "win_rate": 0.511, "net_r": -31.9, "accuracy": 0.803}
    coin = {
        "model": "ensemble", "version": "v1.0.0", "symbol": "BTC-USD", "start": "2025-10-23T08:20:00Z",
        "end": "2025-11-10T01:08:00Z", "before": {**figures, "break_even_accuracy": 0.826},
        "after": {**figures, "net_r": 247.8, "break_even_accuracy": None},
    }  # fmt: skip
    show_effect({"how": "a backtest", "coins": [coin], "reason": "lstm: gone"})
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Effect on a backtest:"
    assert out[3].split()[-8:] == ["1,113", "51.1", "%", "-31.9", "80.3", "%", "82.6", "%"]
    assert out[4].split()[-7:] == ["1,113", "51.1", "%", "+247.8", "80.3", "%", "–"]
    assert out[5] == "Effect on a backtest not shown: lstm: gone"


def test_kill_during_an_import_leaves_the_link_on_the_old_file(home, tmp_path):
    assert run(home, "execution", "import", write(tmp_path, tick_file(random_quotes(300)))).status == 0
    before = data_of(home)
    row = tick_file(random_quotes(2)).splitlines(keepends=True)
    path = tmp_path / "BTCUSD_big.csv"
    with path.open("wb") as stream:
        stream.write(row[0])
        for _ in range(60):
            stream.write(row[1] * 100_000)
    process = start(home, "execution", "import", str(path))
    with process:
        for line in process.stderr:
            if "started" in line:
                break
        process.send_signal(signal.SIGKILL)
    assert data_of(home) == before
    assert json.loads(before["execution_metrics_" + _day(before) + ".json"])["previous"] == "defaults"
    assert run(home, "execution", "show").status == 0


def _day(found):
    return found["execution_metrics.json"].removeprefix("execution_metrics_").removesuffix(".json")
