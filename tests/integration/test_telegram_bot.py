"""The bot's commands, typed into a strict Bot API on loopback and polled by the real python-telegram-bot."""

import asyncio
import io
import json
import logging
import re
import shutil
import sqlite3
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from telegram.error import InvalidToken
from tradingai.bootstrap import open_engine
from tradingai.engine.alerts.beside import supervise
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.commands import SetKillSwitch
from tradingai.engine.core.logs.redact import Redactor
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
from tradingai.engine.queries.live_views import live_view
from tradingai.engine.store.database import Store
from tradingai.engine.store.read_only import reading
from tradingai.telegram.client import Client
from tradingai.telegram.redact import guard_logs
from tradingai.telegram.service import Telegram, open_telegram

from tests.fakes.bot_api import CHAT, TOKEN, BotApi, bot_api
from tests.fakes.command_line import start, tradingai
from tests.fakes.homes import new_home, open_store
from tests.fakes.live import promote, sure_artifact

CODE = re.compile(r"\b(\d{6})$", re.MULTILINE)


class ShiftedClock(RealClock):
    """The real one, set on at will."""

    ahead_s = 0.0

    def now(self):
        return super().now() + timedelta(seconds=self.ahead_s)

    def monotonic(self):
        return super().monotonic() + self.ahead_s


@dataclass
class Chat:
    api: BotApi
    store: Store
    clock: ShiftedClock
    telegram: Telegram

    async def ask(self, text, **who):
        """Say it and wait for the answer; it is there within 5 s."""
        count = len(self.api.arrived)
        self.api.say(text, at=self.clock.now().timestamp(), **who)
        await asyncio.to_thread(self.api.wait, count + 1, 5)
        return self.api.texts()[count]

    async def silence(self, *texts, **who):
        """Say it; nothing is answered before the next command of an allowed chat is."""
        for text in texts:
            self.api.say(text, **{"at": self.clock.now().timestamp(), **who})
        assert "does everything work" in await self.ask("/help")

    async def kill(self):
        row = (await self.store.controls.all()).get("kill_switch")
        return row is not None and row.value

    async def turn_kill_on(self):
        assert "ON" in await self.ask("/kill_switch on")

    async def audits(self):
        return [
            (row.payload["command"], row.payload["value"], row.sender, row.state)
            for row in reversed(await self.store.commands.latest(3000))
            if row.type == "BotRequest"
        ]


@asynccontextmanager
async def open_chat(root, api, **changes):
    clock, settings = ShiftedClock(), api.settings(**changes)
    async with open_store(root, clock) as (store, paths):
        telegram = open_telegram(store, paths, settings, clock, "dry-run")
        task = asyncio.create_task(supervise(store, clock, telegram.bot))
        try:
            yield Chat(api, store, clock, telegram)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await telegram.close()


@pytest.fixture
def api():
    with bot_api() as server:
        yield server
        assert server.odd == []


async def test_every_command_answers_within_five_seconds_with_the_mode(tmp_path, api):
    async with open_chat(tmp_path / "home", api) as chat:
        answers = {
            command: await chat.ask(f"/{command}")
            for command in (
                "check",
                "stats",
                "ftmo_status",
                "signals",
                "models",
                "threshold",
                "kill_switch",
                "help",
            )
        }
        assert all("dry-run · " in answer for answer in answers.values())
        assert "engine does not run" in answers["check"]
        assert "nothing was scanned yet" in answers["stats"]
        assert "2-Step guard ACTIVE" in answers["ftmo_status"]
        assert "daily limit: 10,000.00 left to 190,000.00" in answers["ftmo_status"]
        assert "0 signals in 24 h" in answers["signals"]
        assert "no model is live" in answers["models"]
        assert "threshold 0.75 (CONFIDENCE_THRESHOLD)" in answers["threshold"]
        assert "kill switch off (default)" in answers["kill_switch"]
        assert "no command /dance" in await chat.ask("/dance")
        assert "threshold 0.75" in await chat.ask("/threshold@t_bot")
        await chat.silence("/check@another_bot", "hello")


async def test_kill_on_is_at_once_and_off_needs_the_code(tmp_path, api):
    async with open_chat(tmp_path / "home", api) as chat:
        await chat.turn_kill_on()
        assert await chat.kill() is True
        code = CODE.search(await chat.ask("/kill_switch off")).group(1)
        assert await chat.kill() is True
        wrong = f"{(int(code) + 1) % 1_000_000:06d}"
        assert "wrong or old code" in await chat.ask(f"/kill_switch off {wrong}")
        assert await chat.kill() is True
        assert "kill switch off (telegram" in await chat.ask(f"/kill_switch off {code}")
        assert await chat.kill() is False
        assert "off (telegram, by telegram:42) already" in await chat.ask(f"/kill_switch off {code}")
        written = [row.type for row in await chat.store.commands.latest(100)]
        assert written.count("SetKillSwitch") == 2
        audits = await chat.audits()
        assert ("kill_switch", "off", "telegram:42", "done") in audits
        assert not any(
            code in str(row.payload) + str(row.result) for row in await chat.store.commands.latest(100)
        )


async def test_an_old_code_is_no_code(tmp_path, api):
    async with open_chat(tmp_path / "home", api) as chat:
        await chat.turn_kill_on()
        code = CODE.search(await chat.ask("/kill_switch off")).group(1)
        chat.clock.ahead_s = 61
        assert "wrong or old code" in await chat.ask(f"/kill_switch off {code}")
        assert await chat.kill() is True


async def test_a_code_is_bound_to_user_command_and_value(tmp_path, api):
    group = {"chat": -100, "kind": "group"}
    api.chats.add(-100)
    allowed = {"telegram_allowed_chats": (-100,), "telegram_allowed_users": (7, 8)}
    async with open_chat(tmp_path / "home", api, **allowed) as chat:
        await chat.turn_kill_on()
        code = CODE.search(await chat.ask("/kill_switch off", user=7, **group)).group(1)
        assert "wrong or old" in await chat.ask(f"/kill_switch off {code}", user=8, **group)
        assert "wrong or old" in await chat.ask(f"/kill_switch off {code}", user=7, chat=CHAT)
        assert await chat.kill() is True
        raised = CODE.search(await chat.ask("/threshold 0.8", user=7, **group)).group(1)
        assert "wrong or old" in await chat.ask(f"/threshold 0.6 {raised}", user=7, **group)
        assert "wrong or old" in await chat.ask(f"/kill_switch off {raised}", user=7, **group)
        assert "threshold 0.8 (telegram)" in await chat.ask(f"/threshold 0.8 {raised}", user=7, **group)
        assert (await chat.store.controls.all())["threshold"].value == 0.8
        assert "not from 0.5" in await chat.ask("/threshold 1.5", user=7, **group)
        assert "not from 0.5" in await chat.ask("/threshold nan", user=7, **group)


async def test_five_wrong_codes_lock_for_an_hour_also_across_a_restart(tmp_path, api):
    async with open_chat(tmp_path / "home", api) as chat:
        await chat.turn_kill_on()
        code = CODE.search(await chat.ask("/kill_switch off")).group(1)
        for number in range(1, 5):
            wrong = f"{(int(code) + number) % 1_000_000:06d}"
            assert "wrong or old" in await chat.ask(f"/kill_switch off {wrong}")
        assert "locked until" in await chat.ask("/kill_switch off 12345x")
        assert "locked until" in await chat.ask(f"/kill_switch off {code}")
        assert await chat.kill() is True
    async with open_chat(tmp_path / "home", api) as chat:
        assert "locked until" in await chat.ask("/kill_switch off")
        assert "locked until" in await chat.ask("/threshold 0.8")
        assert "ON" in await chat.ask("/kill_switch on")
        chat.clock.ahead_s = 3601
        code = CODE.search(await chat.ask("/kill_switch off")).group(1)
        assert "kill switch off" in await chat.ask(f"/kill_switch off {code}")


async def test_two_people_at_once_get_one_result(tmp_path, api):
    group = {"chat": -100, "kind": "group"}
    api.chats.add(-100)
    allowed = {"telegram_allowed_chats": (-100,), "telegram_allowed_users": (7, 8)}
    async with open_chat(tmp_path / "home", api, **allowed) as chat:
        codes = {
            user: CODE.search(await chat.ask(f"/threshold 0.{user}", user=user, **group)).group(1)
            for user in (7, 8)
        }
        count, at = len(api.arrived), chat.clock.now().timestamp()
        for user, code in codes.items():
            api.say(f"/threshold 0.{user} {code}", user=user, at=at, **group)
        answers = (await asyncio.to_thread(api.wait, count + 2, 5))[count:]
        assert "threshold 0.7 (telegram)" in answers[0]
        assert "changed meanwhile" in answers[1]
        assert [row.type for row in await chat.store.commands.latest(100)].count("SetThreshold") == 1
        assert (await chat.store.controls.all())["threshold"].value == 0.7


async def test_the_environments_kill_switch_stays_on(tmp_path, api):
    async with open_chat(tmp_path / "home", api, kill_switch=True) as chat:
        code = CODE.search(await chat.ask("/kill_switch off")).group(1)
        assert "KILL_SWITCH=true" in await chat.ask(f"/kill_switch off {code}")


async def test_a_stranger_gets_silence_and_an_entry(tmp_path, api):
    async with open_chat(tmp_path / "home", api, telegram_allowed_users=(9,)) as chat:
        await chat.silence("/kill_switch on", "hello", user=666, chat=666)
        await chat.silence("/kill_switch on", user=666, chat=-5, kind="group")
        await chat.silence("/kill_switch on", user=9, chat=9)
        await chat.silence("/kill_switch on", user=666, chat=CHAT, kind="group")
        assert await chat.kill() is False
        audits = await chat.audits()
        assert [one for one in audits if one[2] != f"telegram:{CHAT}"] == [
            ("kill_switch", "on", "telegram:666", "refused"), ("", "", "telegram:666", "refused"),
            ("kill_switch", "on", "telegram:666", "refused"), ("kill_switch", "on", "telegram:9", "refused"),
            ("kill_switch", "on", "telegram:666", "refused"),
        ]  # fmt: skip


async def test_old_updates_are_ignored_except_kill_on(tmp_path, api):
    async with open_chat(tmp_path / "home", api) as chat:
        await chat.silence("/stats", age_s=61)
        assert ("stats", "", "telegram:42", "expired") in await chat.audits()
        assert "ON" in await chat.ask("/kill_switch on", age_s=3600)
        assert await chat.kill() is True


async def test_no_update_is_acted_on_twice(tmp_path, api):
    async with open_chat(tmp_path / "home", api) as chat:
        await chat.turn_kill_on()
        updates = list(api._updates)
    command = SetKillSwitch(sender="ann", surface="cli", issued_at=chat.clock.now(), on=False)
    async with open_chat(tmp_path / "home", api) as chat:
        from tradingai.engine.runtime.controls import carry_out

        bot = chat.telegram.bot
        await carry_out(chat.store, bot._settings, None, chat.clock, command)
        with api._news:
            api._updates = updates + api._updates
        assert "does everything work" in await chat.ask("/help")
        assert await chat.kill() is False


async def test_a_flood_is_worked_off_without_holding_a_scan(tmp_path, api):
    async with open_chat(tmp_path / "home", api) as chat:
        await chat.ask("/help")
        longest, done = 0.0, False

        async def scan():
            nonlocal longest
            while not done:
                before = time.monotonic()
                async with chat.store._database.transaction() as connection:
                    await connection.execute("UPDATE counters SET value = value WHERE name = 'jobs'")
                longest = max(longest, time.monotonic() - before)
                await asyncio.sleep(0.005)

        task = asyncio.create_task(scan())
        at = chat.clock.now().timestamp()
        for number in range(1000):
            stranger = {"user": 666, "chat": 666} if number % 2 else {}
            api.say("/stats", at=at, **stranger)
        assert "ON" in await flood_end(chat, at)
        done = True
        await task
        assert await chat.kill() is True
        audits = await chat.audits()
        assert len(audits) == 1002
        assert sum(one[3] == "done" for one in audits) <= 31


async def flood_end(chat, at):
    chat.api.say("/kill_switch on", at=at)
    for _ in range(2000):
        found = [text for text in chat.api.texts() if "kill switch ON" in text]
        if found:
            return found[0]
        await asyncio.sleep(0.01)
    raise AssertionError("no answer")


@pytest.mark.slow
async def test_polling_survives_what_telegram_answers_and_says_so_once(tmp_path, api):
    api.polls.extend(["502", "401", "409"])
    async with open_chat(tmp_path / "home", api) as chat:
        await chat.store.events.latest(10)
        count = len(api.arrived)
        api.say("/help", at=chat.clock.now().timestamp())
        await asyncio.to_thread(api.wait, count + 1, 15)
        told = [one.payload for one in await chat.store.events.after(0) if one.type == "TelegramFailed"]
        assert len(told) == 3
        assert not any(TOKEN.partition(":")[2] in str(one) for one in told)


async def test_an_update_that_nobody_can_read_is_passed_over(tmp_path, api):
    async with open_chat(tmp_path / "home", api) as chat:
        number = api.say("/stats", at=chat.clock.now().timestamp())
        with api._news:
            strange = {"update_id": number + 1, "message": {"message_id": 1, "chat": "none"}}
            api._updates.append(strange)
            api._next = number + 2
        assert "nothing was scanned" in (await asyncio.to_thread(api.wait, 1, 5))[0]
        assert "does everything work" in await chat.ask("/help")
        assert ("", "", "telegram:0", "refused") in await chat.audits()


async def raising(error):
    raise error


def test_whatever_a_handler_writes_is_redacted(caplog):
    handler = logging.StreamHandler(stream := io.StringIO())
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        guard_logs(Redactor(TOKEN))
        error = InvalidToken(f"The token `{TOKEN}` was rejected by the server.")
        try:
            asyncio.run(raising(error))
        except InvalidToken:
            logging.getLogger("anything").exception("https://api.telegram.org/bot%s/getMe", TOKEN)
    finally:
        root.removeHandler(handler)
    assert TOKEN.partition(":")[2] not in stream.getvalue()
    assert "<token>" in stream.getvalue()


def test_a_client_says_nothing_of_its_token(api):
    client = Client(api.settings())
    error = InvalidToken(f"The token `{TOKEN}` was rejected by the server.")
    assert client.words(error) == "InvalidToken: The token `<token>` was rejected by the server."
    asyncio.run(client.close())


@pytest.fixture(scope="module")
def sure_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("bot") / "home"
    paths = new_home(home)
    for symbol in PIPELINE_SYMBOLS:
        promote(paths, RealClock(), sure_artifact(symbol))
    return home


@pytest.mark.slow
def test_a_flood_delays_no_scan_and_the_bot_answers_beside_the_loop(sure_home, tmp_path, api):
    home = tmp_path / "home"
    shutil.copytree(sure_home, home, symlinks=True)
    engine = start(home, "run", "--interval", "1", "--scans", "12", "--json", **api.environment)
    try:
        api.wait(1, 60)
        for number in range(1000):
            stranger = {"user": 666, "chat": 666} if number % 2 else {}
            api.say("/stats", **stranger)
        api.say("/kill_switch on")
        out, err = engine.communicate(timeout=120)
    finally:
        engine.kill()
        engine.communicate()
    assert engine.returncode == 0, err
    document = json.loads(out)
    assert (document["scans"], document["failed"]) == (12, 0)
    assert any("kill switch ON" in text for text in api.texts())
    assert any("scans (" in text for text in api.texts())
    assert tradingai(home, "kill", "status", "--json").document["source"] == "telegram"
    secret = TOKEN.partition(":")[2]
    assert secret not in out + err
    assert not any(secret.encode() in file.read_bytes() for file in home.rglob("*") if file.is_file())


@pytest.mark.slow
def test_a_proxy_nobody_can_use_or_a_dead_server_keeps_no_loop_from_scanning(sure_home, tmp_path):
    for name, more in (
        ("socks", {"PROXY_URL": "socks5://user:hunter2@127.0.0.1:9"}),
        ("dead", {"TELEGRAM_API_URL": "http://127.0.0.1:9"}),
    ):
        home = tmp_path / name
        shutil.copytree(sure_home, home, symlinks=True)
        environment = {"TELEGRAM_TOKEN": TOKEN, "TELEGRAM_CHAT_ID": "42", **more}
        done = tradingai(home, "run", "--interval", "1", "--scans", "2", "--json", **environment)
        assert done.status == 0, done.err
        assert (done.document["scans"], done.document["failed"]) == (2, 0)
        with sqlite3.connect(home / "tradingai.db") as connection:
            (told,) = connection.execute(
                "SELECT payload FROM events WHERE type = 'TelegramFailed'"
            ).fetchone()
        connection.close()
        assert "hunter2" not in told
        written = b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())
        assert TOKEN.partition(":")[2].encode() not in written


async def test_the_consoles_scan_loop_has_alerts_and_bot_too(sure_home, tmp_path, api, monkeypatch):
    home = tmp_path / "home"
    shutil.copytree(sure_home, home, symlinks=True)
    for name, value in api.environment.items():
        monkeypatch.setenv(name, value)
    async with open_engine(home, surface="console") as engine:
        await engine.scanner.start(1)
        assert "engine started" in (await asyncio.to_thread(api.wait, 1, 60))[0]
        count = len(api.arrived)
        api.say("/help")
        texts = await asyncio.to_thread(api.wait, count + 1, 5)
        await engine.scanner.stop("a test")
        assert any("does everything work" in text for text in [*texts, *api.texts()])
        assert "engine stopped\na test" in api.texts()[-1].replace("<b>", "").replace("</b>", "")
        with reading(engine.store.path) as connection:
            view = live_view(connection, engine.clock.now(), CHAT).telegram
        sent = {text.rsplit("id ", 1)[1] for text in api.texts() if "id " in text}
        assert (view.state, view.delivered, view.waiting) == ("ok", len(sent), 0)
    assert TOKEN.partition(":")[2] not in repr(view)
