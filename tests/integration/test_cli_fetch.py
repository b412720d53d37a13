"""``tradingai data fetch`` as an operator types it, against exchanges on loopback."""

import json
import os
import re
import signal
import socket
import socketserver
import threading
from contextlib import contextmanager

import pytest
from tradingai.cli.main import main
from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.errors import ProviderError
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import MINUTE_US

from tests.fakes.command_line import start, tradingai
from tests.fakes.exchange_api import exchange_api
from tests.fakes.fetching import check_stored, minutes_later, worst_minute
from tests.fakes.fetching import fetch as fetch_here
from tests.fakes.homes import new_home
from tests.fakes.loopback_only import loopback_only
from tests.fakes.random_candles import random_candles
from tests.fakes.real_candles import real_candles

REAL = real_candles()
FIRST, LAST = int(REAL.ts[0]), int(REAL.ts[-1])
START = iso_z(us_to_datetime(FIRST))
NOW = LAST + 30_000_000


@pytest.fixture(autouse=True)
def guarded():
    """Nothing here reaches any other machine."""
    with loopback_only():
        yield


def fetch(home, api, *arguments, **environment):
    return tradingai(home, "data", "fetch", "--json", *arguments, **{**api.environment, **environment})


@pytest.mark.slow
def test_three_coins_at_once_within_one_rate_limit_and_again(tmp_path):
    """Three workers in real time; the exchange counts the weight of every request it gets."""
    home = tmp_path / "home"
    coins = {
        coin: random_candles(30_000, seed=seed, start_minute=FIRST // MINUTE_US - 30_000)
        for seed, coin in enumerate(("BTC", "ETH", "BNB"))
    }
    begin = iso_z(us_to_datetime(int(coins["BTC"].ts[0])))
    with exchange_api("binance", FIRST + 1) as api:
        for coin, candles in coins.items():
            api.list(coin, "USDT", candles)
        done = fetch(home, api, "--symbols", "BTC,ETH,BNB", "--start", begin, JOB_WORKERS="3")
        assert done.status == 0, done.err
        pages = len(api.pages)
        again = fetch(home, api, "--symbols", "BTC", "--start", begin)
    assert [item["symbol"] for item in done.document] == ["BNB-USD", "BTC-USD", "ETH-USD"]
    assert {item["provider"] for item in done.document} == {"ccxt"}
    assert {item["synthetic"] for item in done.document} == {False}
    assert done.document[1]["exchange"] == "binance"
    assert done.document[1]["market_symbol"] == "BTC/USDT"
    assert done.document[1]["market"] is None
    for coin, candles in coins.items():
        check_stored(HomePaths(home), candles, f"{coin}-USD")
    assert pages == 3 * 30
    assert len(api.pages) == pages
    assert again.document == done.document[1:2]
    assert "nothing to do: 30,000 candles up to 2023-03-09 11:59 stand" in again.err
    assert worst_minute(api, 1.0) <= 6000 / 60 + 20
    assert "clock is" in done.err
    assert api.odd == []


@pytest.mark.slow
def test_a_failure_says_where_it_stopped_and_the_same_command_goes_on(tmp_path):
    home = tmp_path / "home"
    with exchange_api("binance", NOW) as api:
        api.list("BTC", "USDT", REAL)
        api.on = {1: "451"}
        failed = fetch(home, api, "--symbols", "BTC", "--start", START)
        api.on = {}
        done = fetch(home, api, "--symbols", "BTC", "--start", START)
        again = [int(page.query["startTime"]) * 1000 for page in api.pages[2:]]
    assert failed.status == 1
    assert failed.error["code"] == "provider"
    assert failed.error["message"].startswith(
        "fetch of BTC-USD stopped at 2023-03-10 04:40: binance does not"
    )
    assert "EXCHANGE_API_URL" in failed.error["remedy"]
    assert done.status == 0, done.err
    assert again == [minutes_later(FIRST, minute) for minute in (1000, 2000, 3000, 4000)]
    check_stored(HomePaths(home), REAL[:-1])


@pytest.mark.slow
def test_a_worker_that_is_killed_is_started_again_and_goes_on(tmp_path):
    home = tmp_path / "home"
    killed = []

    def kill(number):
        if number == 2 and not killed:
            (log,) = (home / "logs" / "jobs").glob("*.log")
            killed.append(int(re.search(r"starts as process (\d+)", log.read_text())[1]))
            os.kill(killed[0], signal.SIGKILL)

    with exchange_api("binance", NOW) as api:
        api.list("BTC", "USDT", REAL)
        api.on_page = kill
        done = fetch(home, api, "--symbols", "BTC", "--start", START)
        asked = [int(page.query["startTime"]) * 1000 for page in api.pages]
    assert done.status == 0, done.err
    assert "the worker of fetch BTC-USD" in done.err
    assert asked == [minutes_later(FIRST, minute) for minute in (0, 1000, 2000, 2000, 3000, 4000)]
    check_stored(HomePaths(home), REAL[:-1])


@pytest.mark.slow
def test_ctrl_c_keeps_what_came(tmp_path):
    home = tmp_path / "home"
    asked = threading.Event()
    with exchange_api("binance", NOW) as api:
        api.list("BTC", "USDT", REAL)
        api.on, api.on_page = {3: "slow:0.5"}, lambda number: number == 3 and asked.set()
        child = start(home, "data", "fetch", "--symbols", "BTC", "--start", START, **api.environment)
        assert asked.wait(60)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
        pages = len(api.pages)
        done = fetch(home, api, "--symbols", "BTC", "--start", START)
        assert len(api.pages) <= pages + 2
    assert child.returncode == 130, err
    assert out == ""
    assert "what was finished is kept" in err
    assert done.status == 0, done.err
    check_stored(HomePaths(home), REAL[:-1])


@contextmanager
def http_proxy(target_port):
    """Passes every request on to the port, whatever host it names; keeps their first lines. No tunnels."""
    lines: list[str] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            data = self.request.recv(65536)
            lines.append(data.partition(b"\r\n")[0].decode())
            if lines[-1].startswith("CONNECT"):
                self.request.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", target_port)) as onward:
                method, url, version = lines[-1].split(" ")
                path = "/" + url.split("/", 3)[3]
                rest = data.partition(b"\r\n")[2].replace(b"keep-alive", b"close")
                onward.sendall(f"{method} {path} {version}\r\nConnection: close\r\n".encode() + rest)
                while chunk := onward.recv(65536):
                    self.request.sendall(chunk)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://user:secret@127.0.0.1:{server.server_address[1]}", lines
        server.shutdown()
        thread.join()


def test_every_request_goes_through_the_proxy(tmp_path):
    paths = new_home(tmp_path / "home")
    with exchange_api("binance", NOW) as api, http_proxy(api.port) as (proxy, lines):
        api.list("BTC", "USDT", REAL)
        settings = {"proxy_url": proxy, "exchange_api_url": "http://exchange.example:81"}
        fetch_here(paths, api, FIRST, **settings)
        assert len(lines) == len(api.requests) == 7
    assert {line.split("/")[2] for line in lines} == {"exchange.example:81"}
    check_stored(paths, REAL[:-1])


def test_a_proxy_is_asked_for_a_tunnel_to_an_https_exchange_and_its_refusal_is_named(tmp_path):
    with exchange_api("binance", NOW) as api, http_proxy(api.port) as (proxy, lines):
        with pytest.raises(
            ProviderError, match="the proxy of PROXY_URL does not pass requests on to binance"
        ):
            fetch_here(new_home(tmp_path / "home"), api, FIRST, proxy_url=proxy, exchange_api_url=None)
        assert api.requests == []
    assert lines == ["CONNECT api.binance.com:443 HTTP/1.1"]


def test_a_proxy_that_is_not_there_is_named_without_its_password(tmp_path):
    paths, proxy = new_home(tmp_path / "home"), "http://u:secret@127.0.0.1:9"
    with exchange_api("binance", NOW) as api:
        api.list("BTC", "USDT", REAL)
        with pytest.raises(ProviderError) as caught:
            fetch_here(paths, api, FIRST, proxy_url=proxy, provider_retries=0)
    assert caught.value.message == "the proxy of PROXY_URL does not pass requests on to binance"
    assert "secret" not in caught.value.message + caught.value.remedy
    assert api.requests == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--provider", "bloomberg"), "nothing can be fetched from 'bloomberg'"),
        (("--provider", "yfinance", "--exchange", "kraken"), "yfinance has no --exchange"),
        (("--symbols", "?"), "unknown symbol '?'"),
        (("--start", "soon"), "--start 'soon' is no time"),
    ],
)
def test_what_cannot_be_is_one_clear_error(tmp_path, capsys, arguments, words):
    status = main(
        ["--home", str(tmp_path / "home"), "data", "fetch", "--json", "--symbols", "BTC", *arguments]
    )
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert status == 2
    assert words in error["message"]
    assert error["remedy"]
