"""The watchdog is fed by the scan loop alone; and the engine as systemd runs it."""

import asyncio
import itertools
import json
import shutil
import signal
import socket
import urllib.error
import urllib.request
from contextlib import suppress

import pytest
from tradingai.bootstrap import open_engine
from tradingai.engine.core.commands import StartScanLoop
from tradingai.engine.runtime.heart import Heart
from tradingai.engine.runtime.supervision import Supervisor

from tests.fakes.command_line import start, tradingai
from tests.fakes.exposition import parse
from tests.fakes.live import SpoiltFeed, open_bench, sure_home
from tests.fakes.service_manager import service_manager


class Recorded(Supervisor):
    """Remembers when it said what; a socket would lose what simulated time sends too fast."""

    def __init__(self, clock, watchdog_s):
        super().__init__(clock, "@nobody", watchdog_s)
        self.said = []

    def _send(self, *lines):
        self.said.append((self._clock.monotonic(), lines))

    @property
    def beats(self):
        return [at for at, lines in self.said if lines == ("WATCHDOG=1",)]


def supervised(bench, watchdog_s):
    recorded = bench.loop._supervisor = Recorded(bench.clock, watchdog_s)
    recorded.ready("here")
    return recorded


@pytest.mark.parametrize(("interval_s", "watchdog_s"), [(120, 20), (60, 1), (60, 300), (600, 60)])
async def test_the_loop_beats_twice_in_an_interval_while_it_waits(tmp_path, interval_s, watchdog_s):
    async with open_bench(tmp_path / "home", interval_s=interval_s) as bench:
        await bench.scan(1)
        recorded = supervised(bench, watchdog_s)
        ready = bench.clock.monotonic()
        await bench.scan(2)
        moments = [ready, *recorded.beats, bench.clock.monotonic()]
        gaps = [after - before for before, after in itertools.pairwise(moments)]
        assert max(gaps) <= watchdog_s / 2
        assert min(gaps[:-1]) >= watchdog_s / 4 - 1e-6


async def test_a_loop_that_hangs_misses_its_beat_while_the_heart_goes_on(tmp_path):
    hangs, free = asyncio.Event(), asyncio.Event()

    async def hanging(candles):
        hangs.set()
        await free.wait()
        return candles

    feed = SpoiltFeed(spoil={"BTC-USD": hanging})
    async with open_bench(tmp_path / "home", interval_s=60, feed=feed, timeout_s=280) as bench:
        recorded = supervised(bench, watchdog_s=20)
        heart = Heart(bench.store, bench.begun.run, bench.clock, engine="e", interval_s=60, every_s=30)
        async with heart.beating(bench.clock.now):
            scan = asyncio.create_task(bench.scan(1))
            await hangs.wait()
            before, began = len(recorded.beats), bench.clock.monotonic()
            while bench.clock.monotonic() < began + 300:  # noqa: ASYNC110 - the heart moves the clock on
                await asyncio.sleep(0)
            assert len(recorded.beats) == before
            assert not scan.done()
            assert len(await bench.store.live.heartbeats(bench.run_id)) >= 10
            free.set()
            await scan
            await bench.scan(1)
        assert len(recorded.beats) > before


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return sure_home(tmp_path_factory.mktemp("supervised") / "home").root


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def fetch(port, path):
    """Status, content type and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.mark.slow
def test_the_engine_as_a_service_with_its_port_killed_and_started_again(home, tmp_path):
    """READY once it can scan, beats between scans, STOPPING; scrapes before and after a kill."""
    port = free_port()
    with service_manager(tmp_path) as manager:
        variables = {
            "NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000", "METRICS_PORT": str(port),
        }  # fmt: skip
        engine = start(home, "run", "--interval", "2", **variables)
        try:
            said = manager.wait_for("STATUS=scan 1 ")
            assert said[0][0] == "READY=1"
            assert said[0][1].startswith("STATUS=live-")
            manager.wait_for("WATCHDOG=1", count=10)
            manager.wait_for("STATUS=scan 2 ")
            status, content_type, text = fetch(port, "/metrics")
            assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
            first = parse(text)
            assert sum(first["tradingai_scans_total"].samples.values()) >= 2
            run = dict(next(iter(first["tradingai_build_info"].samples))[1])["run"]
            status, content_type, text = fetch(port, "/healthz")
            assert (status, content_type) == (200, "application/json; charset=utf-8")
            assert json.loads(text)["pid"] == engine.pid
            assert fetch(port, "/")[0] == 404
        finally:
            engine.kill()
            engine.communicate()
        manager.forget()
        engine = start(home, "run", "--interval", "2", **variables)
        try:
            manager.wait_for("STATUS=scan ")
            second = parse(fetch(port, "/metrics")[2])
            assert dict(next(iter(second["tradingai_build_info"].samples))[1])["run"] == run
            assert sum(second["tradingai_scans_total"].samples.values()) < 100
            engine.send_signal(signal.SIGTERM)
            manager.wait_for("STOPPING=1")
            engine.communicate(timeout=120)
        finally:
            engine.kill()
            engine.communicate()
        assert engine.returncode == 0
        assert manager.lines()[-1] == "STOPPING=1"


def test_a_held_port_and_a_deaf_service_manager_keep_no_engine_from_scanning(home, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        done = tradingai(
            home, "run", "--interval", "1", "--scans", "2", "--json",
            METRICS_PORT=port, NOTIFY_SOCKET=str(tmp_path / "nobody"), WATCHDOG_USEC="1000000",
        )  # fmt: skip
    assert (done.status, done.document["scans"]) == (0, 2), done.err
    assert done.document["failed"] == 0


async def test_a_scan_loop_in_a_console_serves_as_well(home, tmp_path, monkeypatch):
    target = tmp_path / "home"
    shutil.copytree(home, target, symlinks=True)
    port = free_port()
    monkeypatch.setenv("METRICS_PORT", str(port))
    async with open_engine(target, surface="console") as engine:
        await engine.execute(StartScanLoop(**engine.issue(), interval_s=1))
        while True:
            with suppress(urllib.error.URLError):
                status, _, text = await asyncio.to_thread(fetch, port, "/healthz")
                break
            await asyncio.sleep(0.05)
        assert json.loads(text)["home"] == str(target)
        assert status in {200, 503}
        assert "tradingai_scans_total" in parse((await asyncio.to_thread(fetch, port, "/metrics"))[2])
    with pytest.raises(urllib.error.URLError):
        fetch(port, "/healthz")
