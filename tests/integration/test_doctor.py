"""What doctor finds before an engine is left alone: each fault is named with what to do about it."""

import asyncio
import json
import os
import re
import shutil
import socket
import threading
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
from tradingai.cli.main import main
from tradingai.engine.core.clock import RealClock, SimulatedClock
from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.core.locks import FileLock
from tradingai.engine.doctor import operation
from tradingai.engine.doctor.models import STALE_AFTER, examine_models
from tradingai.engine.telemetry.server import MetricsServer, Reply

from tests.fakes.exchange_api import exchange_api
from tests.fakes.homes import new_home, open_store
from tests.fakes.leaping_clock import LeapingClock
from tests.fakes.live import promote, sure_artifact

TOKEN = "123456:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"


@pytest.fixture
def paths(tmp_path, monkeypatch):
    """A home; the environment of whoever runs the tests says nothing."""
    for name in ("METRICS_PORT", "DATA_PROVIDER", "TELEGRAM_TOKEN", "TELEGRAM_CHAT_ID", "SYMBOLS"):
        monkeypatch.delenv(name, raising=False)
    return new_home(tmp_path / "home")


def write_env(paths, *lines):
    paths.env_file.write_text("\n".join(lines) + "\n")
    paths.env_file.chmod(0o600)


def only(findings):
    (finding,) = findings
    assert finding.message
    assert finding.remedy
    return f"{finding.message} → {finding.remedy}"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


# -- the port


def test_a_port_that_is_off_or_free(paths):
    assert operation.examine_metrics(paths).detail == "off: METRICS_PORT=0"
    port = free_port()
    write_env(paths, f"METRICS_PORT={port}")
    found = operation.examine_metrics(paths)
    assert (found.detail, found.findings) == (f"port {port} is free", ())


@pytest.mark.parametrize("answer", [None, b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n\r\n[1]"])
def test_a_port_of_somebody_else(paths, answer, monkeypatch):
    monkeypatch.setattr(operation, "_PROBE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                if answer is not None:
                    connection.recv(1000)
                    connection.sendall(answer)
                else:
                    connection.recv(1000)
                    connection.recv(1000)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        write_env(paths, f"METRICS_PORT={port}")
        found = operation.examine_metrics(paths)
        thread.join()
    assert f"port {port} is taken by something" in only(found.findings)
    assert f"ss -ltnp 'sport = :{port}'" in only(found.findings)


@pytest.mark.parametrize("ours", [True, False])
async def test_our_own_engine_is_no_stranger(paths, tmp_path, ours):
    document = {
        "home": str(paths.root if ours else tmp_path / "another"), "pid": 7,
        "reasons": ["the last heartbeat is 99 s old"],
    }  # fmt: skip

    async def health():
        return Reply(HTTPStatus.SERVICE_UNAVAILABLE, "application/json", json.dumps(document))

    async with open_store(tmp_path / "store") as (store, _):
        server = MetricsServer({"/healthz": health}, 0, store, RealClock())
        task = asyncio.create_task(server.run())
        while server.address is None:  # noqa: ASYNC110 - of another task
            await asyncio.sleep(0.005)
        port = server.address[1]
        write_env(paths, f"METRICS_PORT={port}")
        found = await asyncio.to_thread(operation.examine_metrics, paths)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    if ours:
        assert found.detail == f"served on port {port} by process 7"
        assert "the last heartbeat is 99 s old" in only(found.findings)
    else:
        assert "is not this home's engine" in only(found.findings)


def test_an_engine_that_serves_nothing(paths):
    port = free_port()
    write_env(paths, f"METRICS_PORT={port}")
    with FileLock(paths.locks / "engine", command="tradingai run", clock=RealClock()):
        found = operation.examine_metrics(paths)
    assert f"(process {os.getpid()}) runs, but nothing is served on port {port}" in only(found.findings)


# -- disk and logs


def test_space_against_what_may_be_needed(paths, monkeypatch):
    (paths.root / "tradingai.db").write_bytes(bytes(30_000_000))
    write_env(paths, "LOG_FILE_MB=100", "LOG_FILES=4")
    assert operation.examine_disk(paths).findings == ()
    assert sum(size for _, size in operation._needs(paths)) == pytest.approx(1.0 + 2 * 0.1 * 5 + 0.03)
    usage = operation.shutil.disk_usage(paths.root)
    monkeypatch.setattr(operation.shutil, "disk_usage", lambda _: usage._replace(free=1_900_000_000))
    said = only(operation.examine_disk(paths).findings)
    assert "1.90 GB are free" in said
    assert "2.03 GB may be needed: data 1.00 GB, logs 1.00 GB, a copy of the database 0.03 GB" in said


def test_logs_nobody_can_write(paths, monkeypatch):
    assert operation.examine_logs(paths).findings == ()
    paths.logs.mkdir(exist_ok=True)
    (paths.logs / "engine.jsonl").write_bytes(bytes(2_000_000))
    found = operation.examine_logs(paths)
    assert found.findings == ()
    assert found.detail == f"{paths.logs}, 2.0 MB"
    with monkeypatch.context() as other:
        other.setattr(operation.os, "access", lambda path, _mode: path == paths.logs)
        assert "engine.jsonl is not writable" in only(operation.examine_logs(paths).findings)
        other.setattr(operation.os, "access", lambda *_: False)
        assert "scans go on" in only(operation.examine_logs(paths).findings)
    shutil.rmtree(paths.logs)
    paths.logs.write_text("")
    assert "is no folder" in only(operation.examine_logs(paths).findings)


# -- costs, Telegram


def test_costs_that_were_never_measured_are_a_hint(paths):
    found = operation.examine_costs(paths, RealClock())
    assert found.findings == ()
    assert "tradingai execution measure" in only(found.hints)
    assert "spread 12 bps, slippage 3 bps" in found.detail
    paths.data.mkdir(exist_ok=True)
    (paths.data / "execution_metrics.json").write_text("{}")
    with pytest.raises(ArtifactError, match="cannot be read"):
        operation.examine_costs(paths, RealClock())
    document = {"pairs": {}, "source": "ticks", "measured_at": "2025-11-10T00:00:00Z"}
    (paths.data / "execution_metrics.json").write_text(json.dumps(document))
    for day, old in ((9, False), (12, True)):
        found = operation.examine_costs(paths, SimulatedClock(datetime(2025, 12, day, tzinfo=UTC)))
        assert found.detail == "measured 2025-11-10: execution_metrics.json"
        assert [hint.message[:27] for hint in found.hints] == ["execution costs are 32 days"] * old


@pytest.mark.parametrize(
    ("lines", "detail", "hint"),
    [
        ([], "off: TELEGRAM_TOKEN is not set", ""),
        (["TELEGRAM_CHAT_ID=5"], "off: TELEGRAM_TOKEN is not set", "TELEGRAM_TOKEN is not"),
        ([f"TELEGRAM_TOKEN={TOKEN}", "TELEGRAM_CHAT_ID=5"], "bot 123456, chat 5", ""),
        ([f"TELEGRAM_TOKEN={TOKEN}", "TELEGRAM_CHAT_ID=-5"], "bot 123456, chat -5", "-5 is a group"),
    ],
)
def test_telegram(paths, lines, detail, hint):
    write_env(paths, *lines)
    found = operation.examine_telegram(paths)
    assert found.detail.startswith(detail)
    assert found.findings == ()
    assert hint in only(found.hints) if hint else found.hints == ()
    assert TOKEN.split(":")[1] not in str(found)


def test_a_token_that_is_none_is_named_without_being_shown(paths, capsys):
    write_env(paths, "TELEGRAM_TOKEN=secret-words", "TELEGRAM_CHAT_ID=5")
    status = main(["--home", str(paths.root), "doctor", "--json"])
    out = capsys.readouterr().out
    assert status == 1
    assert "TELEGRAM_TOKEN" in out
    assert "secret-words" not in out


# -- the exchange's time


def skew_of(text):
    """The seconds of "the clock is 0.01 ± 0.50 s ahead of …", and how far they may be wrong."""
    return map(float, re.search(r"the clock is ([0-9.]+) ± ([0-9.]+) s", text).groups())


def served(paths, api, **more):
    write_env(paths, *(f"{name}={value}" for name, value in {**api.environment, **more}.items()))


@pytest.mark.parametrize("exchange", ["binance", "coinbase", "kraken"])
def test_a_clock_that_agrees_with_the_exchange(paths, exchange):
    clock = RealClock()
    with exchange_api(exchange, lambda: round(clock.now().timestamp() * 1e6)) as api:
        served(paths, api)
        found = operation.examine_exchange(paths, clock)
    assert found.findings == ()
    skew, uncertain = skew_of(found.detail)
    assert skew <= uncertain + 0.01
    assert found.detail.endswith(exchange)
    assert api.odd == []


@pytest.mark.parametrize(("ahead_s", "words"), [(90, "ahead of binance"), (-90, "behind binance")])
def test_a_clock_that_is_off(paths, ahead_s, words):
    clock = RealClock()
    with exchange_api("binance", lambda: round((clock.now().timestamp() - ahead_s) * 1e6)) as api:
        served(paths, api)
        said = only(operation.examine_exchange(paths, clock).findings)
    assert words in said
    skew, uncertain = skew_of(said)
    assert abs(skew - 90) <= uncertain + 0.01
    assert "timedatectl set-ntp true" in said


def test_an_exchange_that_cannot_be_reached(paths):
    write_env(paths, "DATA_PROVIDER=ccxt", f"EXCHANGE_API_URL=http://127.0.0.1:{free_port()}")
    found = operation.examine_exchange(paths, RealClock())
    assert found.detail == "binance gave no time"
    assert "PROXY_URL" in only(found.findings)


def test_an_exchange_that_never_answers(paths, monkeypatch):
    monkeypatch.setattr(operation, "_EXCHANGE_PATIENCE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        write_env(paths, "DATA_PROVIDER=ccxt", f"EXCHANGE_API_URL=http://127.0.0.1:{silent.getsockname()[1]}")
        found = operation.examine_exchange(paths, RealClock())
    assert "gave no time within 0.3 s" in only(found.findings)


def test_a_proxy_that_is_not_there(paths):
    write_env(
        paths, "DATA_PROVIDER=ccxt", f"PROXY_URL=http://user:hidden@127.0.0.1:{free_port()}",
        "EXCHANGE=kraken",
    )  # fmt: skip
    said = only(operation.examine_exchange(paths, RealClock()).findings)
    assert "hidden" not in said


def test_an_exchange_nobody_knows(paths):
    write_env(paths, "DATA_PROVIDER=ccxt", "EXCHANGE=nobody")
    assert "ccxt knows no exchange 'nobody'" in only(operation.examine_exchange(paths, RealClock()).findings)


def test_other_providers_are_not_asked(paths):
    assert operation.examine_exchange(paths, RealClock()).detail == "not asked: DATA_PROVIDER=synthetic"


# -- models


def test_models_that_are_missing_are_hints(paths):
    found = examine_models(paths, RealClock())
    assert (found.detail, found.findings) == ("live: none", ())
    assert "no live model speaks of BTC-USD, ETH-USD, BNB-USD" in only(found.hints)
    write_env(paths, "SYMBOLS=BTC-USD")
    promote(paths, RealClock(), sure_artifact())
    found = examine_models(paths, RealClock())
    assert (found.findings, found.hints) == ((), ())
    assert found.detail == "live: lstm_BTC-USD v1.0.0"


def test_models_of_the_made_up_market_must_not_decide_on_real_candles(paths):
    promote(paths, RealClock(), sure_artifact())
    write_env(paths, "SYMBOLS=BTC-USD", "DATA_PROVIDER=ccxt")
    said = only(examine_models(paths, RealClock()).findings)
    assert "DATA_PROVIDER=ccxt, but lstm_BTC-USD learnt the synthetic market" in said


def test_an_old_model_of_real_candles(paths, monkeypatch):
    clock = LeapingClock()
    promote(paths, clock, sure_artifact())
    write_env(paths, "SYMBOLS=BTC-USD", "DATA_PROVIDER=ccxt")
    assert examine_models(paths, clock).hints == ()
    clock.slept += (STALE_AFTER + timedelta(days=1)).total_seconds()
    assert "was tested 91 days ago" in only(examine_models(paths, clock).hints)


def test_a_model_this_version_cannot_run(paths, monkeypatch):
    from tradingai.engine.inference import promoted

    promote(paths, RealClock(), sure_artifact())
    write_env(paths, "SYMBOLS=BTC-USD")
    monkeypatch.setattr(promoted, "RUNNABLE", frozenset())
    found = examine_models(paths, RealClock())
    assert "lstm_BTC-USD v1.0.0 is refused: lstm_BTC-USD is of kind 'lstm'" in only(found.findings)


# -- all of it


def test_hints_are_shown_and_are_no_faults(paths, capsys):
    assert main(["--home", str(paths.root), "doctor"]) == 0
    out = capsys.readouterr().out
    assert "hint     costs" in out
    assert "Nothing is wrong." in out
    assert main(["--home", str(paths.root), "doctor", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in document["checks"]}
    assert set(checks) >= {"disk", "logs", "models", "costs", "clock", "exchange", "telegram", "metrics"}
    assert (checks["costs"]["ok"], len(checks["costs"]["hints"])) == (True, 1)
