"""The whole pipeline on real candles that an exchange on loopback serves."""

import pytest
from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.paths import HomePaths

from tests.fakes.command_line import tradingai
from tests.fakes.exchange_api import exchange_api
from tests.fakes.fetching import check_stored
from tests.fakes.real_candles import REAL_MARKET, real_candles

MARKET = REAL_MARKET / "BTC-USDT_1m_2023-03-01_2023-03-21.parquet"
"""Three weeks of Binance.US; the project's own excerpt is too short to train on."""


@pytest.mark.slow
@pytest.mark.skipif(not MARKET.exists(), reason="the market data is not on this machine")
def test_from_an_exchange_to_a_verdict_and_a_replayed_day(tmp_path):
    """A model of coin tosses is refused by the accuracy gate, and that is right."""
    home, candles = tmp_path / "home", real_candles(MARKET)
    first, last = iso_z(us_to_datetime(int(candles.ts[0]))), iso_z(us_to_datetime(int(candles.ts[-1])))
    with exchange_api("binance", int(candles.ts[-1]) + 60_000_000) as api:
        api.list("BTC", "USDT", candles)
        environment = {**api.environment, "SYMBOLS": "BTC-USD"}

        def pipeline(*arguments):
            span = ("--start", first, "--end", last, "--models", "lstm")
            return tradingai(home, "pipeline", *span, *arguments, timeout=900, **environment)

        done = pipeline("--json")
        assert done.status == 3, done.err
        requests = len(api.requests)
        again = pipeline()
        status = tradingai(home, "status", "--json", **environment).document
        listed = tradingai(home, "data", "list", **environment)
        replay = tradingai(home, "replay", "--hours", "24", "--json", **environment)
        report = tradingai(home, "models", "show", "lstm_BTC-USD", **environment)
    check_stored(HomePaths(home), candles)
    document = done.document
    assert (document["provider"], document["exchange"], document["market"]) == ("ccxt", "binance", None)
    assert not document["passed"]
    (model,) = document["models"]
    refused = [gate["id"] for gate in model["gates"] if not gate["passed"]]
    assert "accuracy" in refused
    assert model["promotion"] == "refused"
    assert 0.4 < model["accuracy"] < 0.6
    assert again.status == 3
    assert len(api.requests) == requests
    assert again.out.startswith("Real candles of binance, seed 7: 30,240 candles a coin")
    assert "What there was to learn" not in again.out
    candles_phase = next(phase for phase in status["phases"] if phase["id"] == "candles")
    assert candles_phase["detail"] == "30,240 candles of BTC-USD (ccxt binance BTC/USDT)"
    assert "binance BTC/USDT" in listed.out
    assert replay.status == 0, replay.err
    assert replay.document["scans"] == 720
    assert "on BTC-USD, real candles, ccxt" in report.out
    assert replay.document["providers"] == ["ccxt"]
    assert "ccxt candles of BTC-USD" in again.out
    for said in (done.out, done.err, again.out, listed.out, report.out, replay.out, str(status)):
        assert "synthetic" not in said.lower().replace('"synthetic": false', "").replace(
            "'synthetic': false", ""
        )
