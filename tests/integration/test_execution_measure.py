"""``tradingai execution measure`` against an exchange on loopback, through the real ccxt."""

import signal
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import InterruptedRunError, ProviderError, UsageError
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.jobs.execution_measure import measure_execution, paper_notional
from tradingai.engine.providers.generate import generate_dataset
from tradingai.engine.risk.book_walk import book_costs
from tradingai.engine.store.execution_metrics import read_execution_metrics

from tests.fakes.command_line import start, tradingai
from tests.fakes.exchange_api import exchange_api
from tests.fakes.homes import new_home, plain_settings

NOBODY = Candles(*(np.zeros(0, dtype=kind) for kind in ("int64", *["float64"] * 5)))
PARAMS = {
    "who": "jane", "duration_s": 1000.0, "every_s": 10.0, "symbols": ("BTC-USD",), "exchange": None,
    "notional": 3000.0, "effect": False,
}  # fmt: skip


@pytest.fixture(params=["binance", "coinbase", "kraken"])
def api(request):
    with exchange_api(request.param, lambda: 0) as served:
        served.list("BTC", "USDT" if request.param == "binance" else "USD", NOBODY, bid=999.0, ask=1001.0)
        yield served
    assert served.odd == []


class QuickClock(RealClock):
    """Sleeping moves it on at once."""

    ahead_s = 0.0

    def now(self):
        return super().now() + timedelta(seconds=self.ahead_s)

    def monotonic(self):
        return super().monotonic() + self.ahead_s

    async def sleep(self, seconds: float) -> None:
        QuickClock.ahead_s += max(0.0, seconds)
        await super().sleep(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("tradingai.engine.jobs.execution_measure.RealClock", QuickClock)


def test_spread_and_slippage_are_those_of_the_book(tmp_path, api):
    paths = new_home(tmp_path)
    result = measure_execution(paths, api.settings(), PARAMS, SilentReporter())
    assert (result["stopped"], result["previous"]) == ("", "defaults")
    assert result["origin"]["counts"] == {"samples": 100, "zero": 0, "failed": 0, "missed": 0, "thin": 0}
    document = read_execution_metrics(paths)
    day = document["measurements"]["BTC-USD"]
    assert day["spread_bps"]["sessions"]["day"] == {"mean": 20.0, "p50": 20.0, "p90": 20.0, "samples": 100}
    # 3 BTC at a mid of 1000: asks hold 2.5 at 1001 and the rest at 1002, bids 1.5 at 999 and 1.5 at 998, so
    # that buying costs 0.5 / 3 more than the best price and selling 0.5: a third on average, of 1000.
    assert day["slippage_bps"]["sessions"]["day"]["mean"] == pytest.approx(10 / 3)
    session = next(name for name in ("tokyo", "london", "new_york") if name in day["spread_bps"]["sessions"])
    assert document["pairs"]["BTC-USD"][session]["spread_bps"]["mean"] == 20.0
    assert api.exchange in result["origin"]["name"]
    assert "worth 3,000 from 100 levels" in result["origin"]["assumptions"][0]


def test_a_book_too_thin_for_the_size_measures_no_slippage():
    bids, asks = [(99.0, 1.5), (98.0, 1.5)], [(101.0, 2.5)]
    assert book_costs(bids, asks, 250.0).slippage_bps == pytest.approx(100 * 0.4 / 2)
    assert book_costs(bids, asks, 260.0).slippage_bps is None
    assert book_costs(bids, asks, None).slippage_bps is None


@pytest.fixture
def binance():
    with exchange_api("binance", lambda: 0) as served:
        served.list("BTC", "USDT", NOBODY, bid=999.0, ask=1001.0)
        yield served


def test_slippage_too_large_for_the_book_keeps_the_default(tmp_path, binance):
    paths = new_home(tmp_path)
    result = measure_execution(paths, binance.settings(), {**PARAMS, "notional": 1e6}, SilentReporter())
    assert result["origin"]["counts"]["thin"] == 100
    assert "not measured: 100 of 100 books of 100 levels are thinner" in result["origin"]["assumptions"][0]
    assert "BTC-USD: slippage was never measured: the default holds" in result["notes"]


def test_without_candles_nobody_knows_the_paper_accounts_size(tmp_path, binance):
    result = measure_execution(
        new_home(tmp_path), binance.settings(), {**PARAMS, "notional": None}, SilentReporter()
    )
    assert "no candles tell the paper account's size" in result["origin"]["assumptions"][0]


def test_the_paper_accounts_size_is_its_risk_over_the_stop(tmp_path):
    paths, end = new_home(tmp_path), datetime(2025, 11, 10, tzinfo=UTC)
    start_at = end - timedelta(minutes=2879)
    generate_dataset(paths, "BTC-USD", "cycles", 7, start_at, end, None, SilentReporter())
    settings = plain_settings()
    notional = paper_notional(paths, settings, "BTC-USD")
    # 0.25 % of 200,000 is 500; a stop of 4 ATR that is 0.4 % of the price makes 125,000.
    ratio = 500 / (4 * notional)
    assert 1e-4 < ratio < 5e-3
    assert paper_notional(paths, plain_settings(paper_risk_pct=0.5), "BTC-USD") == pytest.approx(2 * notional)
    assert paper_notional(paths, settings, "ETH-USD") is None


class StopsAfter(SilentReporter):
    """Asks to stop after so many looks."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks

    def safe_point(self):
        if self.last_progress is not None and self.last_progress.done >= self.looks:
            raise InterruptedRunError("stopped: Ctrl-C")


def test_looks_that_were_missed_are_not_made_up_for(tmp_path, binance, monkeypatch):
    real = binance.format.depth

    def sometimes_late(query, now_us):
        QuickClock.ahead_s += (
            35.0 if sum(one.path.endswith("/depth") for one in binance.requests) == 12 else 0.0
        )
        return real(query, now_us)

    monkeypatch.setattr(binance.format, "depth", sometimes_late)
    result = measure_execution(new_home(tmp_path), binance.settings(), PARAMS, SilentReporter())
    # Look 13 of one each 10 s takes 35 s: three are past when it is over.
    assert result["origin"]["counts"] == {"samples": 97, "zero": 0, "failed": 0, "missed": 3, "thin": 0}


def test_stopped_early_it_keeps_what_was_sampled(tmp_path, binance):
    paths = new_home(tmp_path)
    result = measure_execution(paths, binance.settings(), PARAMS, StopsAfter(30))
    assert result["stopped"] == "stopped: Ctrl-C"
    assert result["origin"]["counts"]["samples"] == 30
    assert "BTC-USD: fewer than 100 samples of spread: not used, the default holds" in result["notes"]
    assert read_execution_metrics(paths)["pairs"]["BTC-USD"]["tokyo"]["spread_bps"] is None


def test_stopped_before_the_first_look_nothing_changes(tmp_path, binance):
    paths = new_home(tmp_path)

    class Stops(SilentReporter):
        def safe_point(self):
            if binance.requests:
                raise InterruptedRunError("stopped: Ctrl-C")

    with pytest.raises(InterruptedRunError):
        measure_execution(paths, binance.settings(), PARAMS, Stops())
    assert read_execution_metrics(paths) is None


def test_looks_that_fail_are_counted_and_a_first_one_that_fails_is_told(tmp_path, binance, monkeypatch):
    paths, real, seen = new_home(tmp_path), binance.format.depth, []

    def sometimes(query, now_us):
        seen.append(1)
        if len(seen) % 10 == 0:
            raise ValueError("not now")
        return real(query, now_us)

    monkeypatch.setattr(binance.format, "depth", sometimes)
    settings = binance.settings(provider_retries=0)
    result = measure_execution(paths, settings, PARAMS, SilentReporter())
    assert result["origin"]["counts"] == {"samples": 90, "zero": 0, "failed": 10, "missed": 0, "thin": 0}
    monkeypatch.setattr(binance.format, "depth", lambda *_: (_ for _ in ()).throw(ValueError("never")))
    with pytest.raises(ProviderError):
        measure_execution(paths, settings, PARAMS, SilentReporter())


def test_ctrl_c_on_the_command_line_keeps_what_was_sampled(tmp_path, binance):
    home = tmp_path / "home"
    new_home(home)
    arguments = ("execution", "measure", "--duration", "5", "--every", "0.05", "--symbols", "BTC-USD")
    process = start(home, *arguments, "--notional", "3000", "--no-effect", **binance.environment)
    with process:
        while sum(request.path.endswith("/depth") for request in list(binance.requests)) < 3:
            assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "samples until then are kept in execution_metrics_" in err
    assert "not used, the default holds" in out
    shown = tradingai(home, "execution", "show", "--json").document
    assert shown["measured"]
    assert shown["source"] == "order book of binance"


def test_what_cannot_be_measured_is_said(tmp_path, binance):
    paths = new_home(tmp_path)
    with pytest.raises(UsageError, match="has no market ABC/USD"):
        measure_execution(paths, binance.settings(), {**PARAMS, "symbols": ("ABC-USD",)}, SilentReporter())
    with pytest.raises(UsageError, match="knows no exchange 'nowhere'"):
        measure_execution(paths, binance.settings(), {**PARAMS, "exchange": "nowhere"}, SilentReporter())
    called = tradingai(tmp_path, "execution", "measure", "--duration", "nan", "--json")
    assert called.status == 2
    assert called.error["message"] == "--duration nan is not above zero"
