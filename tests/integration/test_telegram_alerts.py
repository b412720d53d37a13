"""Alerts through the real python-telegram-bot to a strict Bot API on loopback, whatever that does."""

import json
import os
import re
import shutil
import signal as signals
import socket

import pytest
from tradingai.engine.alerts.outbox import Outbox
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
from tradingai.engine.decision.records import decisions_sha256
from tradingai.engine.runtime.records import stored_decision
from tradingai.telegram.client import Client
from tradingai.telegram.sink import TelegramSink

from tests.fakes.alerts import RUN, open_outbox, signal
from tests.fakes.bot_api import TOKEN, bot_api
from tests.fakes.command_line import start, tradingai
from tests.fakes.homes import new_home
from tests.fakes.live import open_bench, promote, sure_artifact

ID = re.compile(r"id ([0-9a-f]{4,})(?:</i>)?$")


@pytest.fixture
def api():
    with bot_api() as server:
        yield server
        assert server.odd == []


def ids(texts):
    return [ID.search(text).group(1) for text in texts]


async def open_chat(bench, api, *, timeout_s=2.0, **changes):
    """The bench's outbox, sending to the server."""
    settings = api.settings(**changes)
    client = Client(settings, timeout_s=timeout_s)
    bench.sink = TelegramSink(client)
    bench.outbox = Outbox(bench.store, bench.clock, settings, bench.sink, run_id=RUN, mode="dry-run")
    await bench.outbox.open()
    return client


async def test_every_id_arrives_in_order_through_whatever_telegram_does(tmp_path, api):
    async with open_outbox(tmp_path / "home") as bench:
        client = await open_chat(bench, api, timeout_s=0.5)
        api.script.extend(
            [
                "ok",
                "429:7",
                "ok",
                "500",
                "ok",
                "502",
                "hang:1",
                "drop",
                "drop-after",
                "parse",
                "ok",
                "false",
                "401",
            ]
        )
        await bench.tell(*(signal(number) for number in range(12)))
        await bench.go(240)
        await client.close()
        alerts = await bench.alerts()
        sent = ids(api.texts())
        assert [alert.state for alert in alerts] == ["delivered"] * 12
        assert list(dict.fromkeys(sent)) == [alert.event_id for alert in alerts]
        assert sent == sorted(sent)
        repeats = [text for text in api.texts() if "REPEAT" in text]
        assert len(set(ids([text for text in api.texts() if "REPEAT" not in text]))) == len(sent) - len(
            repeats
        )
        assert len(repeats) <= api.unknown
        assert sum(alert.unknown for alert in alerts) == api.unknown == 6
        plain = [form for form in api.arrived if "parse_mode" not in form]
        assert len(plain) == 1
        assert "<" not in plain[0]["text"]
        waits = [alert.delivery_s for alert in alerts]
        assert waits[1] == pytest.approx(7.0)


@pytest.mark.parametrize(("what", "words"), [("blocked", "bot was blocked"), ("chat", "Chat not found")])
async def test_a_refusal_is_a_dead_letter_and_never_blocks(tmp_path, api, what, words):
    async with open_outbox(tmp_path / "home") as bench:
        client = await open_chat(bench, api)
        api.script.extend(["ok", what, "ok"])
        await bench.tell(*(signal(number) for number in range(3)))
        await bench.go(1)
        await client.close()
        assert await bench.states() == ["delivered", "dead", "delivered"]
        (dead,) = await bench.events("AlertRefused")
        assert words in dead["reason"]
        assert len(api.arrived) == 2


async def test_a_group_that_moved_is_followed(tmp_path, api):
    async with open_outbox(tmp_path / "home") as bench:
        client = await open_chat(bench, api)
        api.script.extend(["migrate:-1007"])
        await bench.tell(signal(1))
        await bench.go(1)
        await client.close()
        assert [form["chat_id"] for form in api.arrived] == ["-1007"]
        assert "REPEAT" not in api.texts()[0]


async def test_an_outage_of_an_hour_ends_with_a_digest_and_nothing_is_lost(tmp_path, api):
    async with open_outbox(tmp_path / "home") as bench:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        client = await open_chat(bench, api)
        dead = Client(api.settings().model_copy(update={"telegram_api_url": f"http://127.0.0.1:{port}"}))
        live_bot, client.bot = client.bot, dead.bot
        for number in range(12):
            await bench.tell(signal(number))
            await bench.go(300)
        assert api.attempts == []
        client.bot = live_bot
        await bench.go(120)
        await dead.close()
        await client.close()
        told = [alert for alert in await bench.alerts() if alert.kind == "signal"]
        missed = [alert.event_id for alert in told if alert.state == "missed"]
        delivered = [alert.event_id for alert in told if alert.state == "delivered"]
        assert missed + delivered == [alert.event_id for alert in told]
        assert missed
        digests = [text for text in api.texts() if "missed while offline" in text]
        assert all(sum(one in text for text in digests) == 1 for one in missed)
        assert ids(api.texts())[: len(delivered)] == delivered
        assert not [text for text in api.texts() if "REPEAT" in text]


def test_the_log_and_the_errors_name_no_token(tmp_path, api):
    done = tradingai(tmp_path, "telegram", "check")
    assert done.status == 4
    new_home(tmp_path / "home")
    done = tradingai(tmp_path / "home", "telegram", "check", "--json")
    assert (done.status, done.error["code"]) == (4, "missing")
    done = tradingai(
        tmp_path / "home", "--log-level", "debug", "telegram", "check", "--json", **api.environment
    )
    assert done.status == 0, done.err
    assert (done.document["delivered"], done.document["bot"]) == (True, "t_bot")
    assert "dry-run" in api.texts()[0]
    said = [done.out + done.err]
    for script in (["blocked"], ["401"], ["500"], ["false"], ["drop"]):
        api.script.extend(script)
        failed = tradingai(
            tmp_path / "home", "--log-level", "debug", "telegram", "check", "--json", **api.environment
        )
        assert (failed.status, failed.error["code"]) == (1, "telegram"), failed.out
        assert failed.error["remedy"]
        said.append(failed.out + failed.err)
    wrong = {**api.environment, "TELEGRAM_TOKEN": "987654321:AAHother"}
    failed = tradingai(tmp_path / "home", "--log-level", "debug", "telegram", "check", "--json", **wrong)
    assert (failed.status, "TELEGRAM_TOKEN" in failed.error["remedy"]) == (1, True)
    assert "AAHother" not in failed.out + failed.err
    assert api.odd == ["POST /bot987654321:AAHother/getMe"]
    api.odd.clear()
    assert not any(part in text for text in said for part in (TOKEN, TOKEN.partition(":")[2]))


@pytest.fixture(scope="module")
def sure_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("chat") / "home"
    paths = new_home(home)
    for symbol in PIPELINE_SYMBOLS:
        promote(paths, RealClock(), sure_artifact(symbol))
    return home


@pytest.mark.slow
def test_an_engine_killed_between_sending_and_recording_repeats_no_more_than_that(sure_home, tmp_path, api):
    home = tmp_path / "home"
    shutil.copytree(sure_home, home, symlinks=True)
    kills = []

    def kill(form):
        if ("LONG high" in form["text"] or "SHORT high" in form["text"]) and len(kills) < 2:
            kills.append(form["text"])
            os.kill(engine.pid, signals.SIGKILL)

    api.on_message = kill
    said = ""
    for _ in range(2):
        engine = start(home, "--log-level", "debug", "run", "--interval", "1", **api.environment)
        _out, err = engine.communicate(timeout=120)
        assert engine.returncode == -signals.SIGKILL
        said += err
    last = tradingai(
        home, "--log-level", "debug", "run", "--interval", "1", "--scans", "2", "--json", **api.environment
    )
    assert last.status == 0, last.err
    sent = ids(api.texts())
    first = [text for text in api.texts() if "REPEAT" not in text]
    repeats = [text for text in api.texts() if "REPEAT" in text]
    assert len(set(ids(first))) == len(first)
    assert len(repeats) == 2
    assert set(ids(repeats)) == set(ids(kills))
    assert "engine started" in api.texts()[0]
    assert sum("RESTARTED after a crash" in text for text in api.texts()) == 2
    assert "engine stopped" in api.texts()[-1]
    document = tradingai(home, "status", "--json", **api.environment).document["telegram"]
    assert (document["state"], document["waiting"], document["dead"]) == ("ok", 0, 0)
    assert document["delivered"] == len(set(sent))
    assert document["high_signals"]["alerts"] == document["high_signals"]["delivered"] > 0
    assert 0 < document["delivery_s"]["p50"] <= document["delivery_s"]["p95"]
    logged = [json.loads(line) for line in (home / "logs" / "alerts.jsonl").read_text().splitlines()]
    assert {one["id"] for one in logged} == set(sent)
    secret = TOKEN.partition(":")[2]
    written = b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())
    assert secret.encode() not in written
    assert secret not in said + last.err + last.out


async def decisions_with(tmp_path, name, port):
    """What a loop decides in 40 scans beside an outbox whose Telegram is not there; None: without one."""
    async with open_bench(tmp_path / name) as bench:
        outbox = None
        if port is not None:
            with bot_api() as api:
                settings = api.settings().model_copy(update={"telegram_api_url": f"http://127.0.0.1:{port}"})
            client = Client(settings)
            outbox = Outbox(
                bench.store, bench.clock, settings, TelegramSink(client), run_id=bench.run_id, mode="dry-run"
            )
            await outbox.open()
        for _ in range(40):
            await bench.scan(1)
            if outbox is not None:
                await outbox.step()
        if outbox is not None:
            await client.close()
            alerts = await bench.store.alerts.list(f"telegram:{settings.telegram_chat_id}")
            assert {one.state for one in alerts} == {"waiting", "missed"}
        signals = {one.key: one for one in await bench.store.scans.signals(bench.run_id)}
        rows = await bench.store.scans.decisions(bench.run_id)
        return [stored_decision(row, signals.get(row.signal_key)) for row in rows]


async def test_losing_telegram_for_the_whole_run_changes_no_decision(tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    without = await decisions_with(tmp_path, "without", None)
    lost = await decisions_with(tmp_path, "lost", port)
    assert len(without) == 40
    assert any(one.signal is not None for one in without)
    assert decisions_sha256(without) == decisions_sha256(lost)
