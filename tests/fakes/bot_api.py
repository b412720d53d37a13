"""A strict Bot API on loopback for the real python-telegram-bot: what is not expected is kept and refused.

Scenarios are given for ``sendMessage`` one after another; each tells whether the message arrived.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from pydantic import SecretStr
from tradingai.engine.core.settings import Settings

from tests.fakes.homes import plain_settings
from tests.fakes.serving import serving

TOKEN = "123456789:AAHsecretSecretSecret-secretSecret_12"
CHAT = 42
FIELDS = {
    "getMe": set(),
    "deleteWebhook": {"drop_pending_updates"},
    "getUpdates": {"timeout", "offset", "limit", "allowed_updates"},
    "sendMessage": {"chat_id", "text", "parse_mode"},
    "setMyCommands": {"commands"},
}
_TAGS = re.compile(r"<(/?)([a-z-]+)>")


@dataclass
class BotApi:
    """What the server was asked and what it does next."""

    port: int = 0
    script: deque[str] = field(default_factory=deque)
    """For sendMessage: ``ok``, ``429:3``, ``500``, ``502``, ``drop`` (not taken), ``drop-after``, ``hang:2``
    (taken), ``parse`` (formatting refused), ``blocked``, ``chat``, ``401``, ``false``, ``migrate:-1007``."""
    always: str = "ok"
    """What it does once the script is empty."""
    arrived: list[dict[str, str]] = field(default_factory=list)
    attempts: list[dict[str, str]] = field(default_factory=list)
    answered: Counter[str] = field(default_factory=Counter)
    """How often a well-formed message was answered in which way, by the words of ``script``."""
    odd: list[str] = field(default_factory=list)
    """Requests no client should make."""
    unknown: int = 0
    """Messages that were taken and whose sender was not told, and 5xx answers."""
    chats: set[int] = field(default_factory=lambda: {CHAT})
    polls: deque[str] = field(default_factory=deque)
    on_message: Callable[[dict[str, str]], None] = lambda _form: None
    _updates: list[dict[str, Any]] = field(default_factory=list)
    _next: int = 1000
    _offset: int = 0
    _news: threading.Condition = field(default_factory=threading.Condition)
    closing: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, **changes: Any) -> Settings:
        """The defaults with this server and its token."""
        plain = plain_settings(telegram_chat_id=CHAT, telegram_api_url=self.url, **changes)
        return plain.model_copy(update={"telegram_token": SecretStr(TOKEN)})

    @property
    def environment(self) -> dict[str, str]:
        return {"TELEGRAM_TOKEN": TOKEN, "TELEGRAM_CHAT_ID": str(CHAT), "TELEGRAM_API_URL": self.url}

    def say(
        self, text: str, *, user: int = CHAT, chat: int = CHAT, kind: str = "private", age_s: float = 0,
        at: float | None = None,
    ) -> int:  # fmt: skip
        """A user writes; the number of the update."""
        date = int((time.time() if at is None else at) - age_s)
        sender = {"id": user, "is_bot": False, "first_name": "A"}
        place = {"id": chat, "type": kind} | ({"first_name": "A"} if kind == "private" else {"title": "G"})
        message = {"message_id": self._next, "date": date, "chat": place, "from": sender, "text": text}
        with self._news:
            number, self._next = self._next, self._next + 1
            self._updates.append({"update_id": number, "message": message})
            self._news.notify_all()
        return number

    def texts(self) -> list[str]:
        return [form["text"] for form in self.arrived]

    def wait(self, count: int, seconds: float = 20) -> list[str]:
        """The texts that arrived, once there are ``count``."""
        deadline = time.monotonic() + seconds
        while len(self.arrived) < count:
            assert time.monotonic() < deadline, (count, self.texts())
            time.sleep(0.01)
        return self.texts()

    # -- methods; each returns status, document

    def answer(self, method: str, form: dict[str, str]) -> tuple[int, Any]:
        if method == "getMe":
            me = {"id": 123456789, "is_bot": True, "first_name": "T", "username": "t_bot"}
            return 200, {"ok": True, "result": me}
        if method == "getUpdates":
            return self.get_updates(form)
        if method == "sendMessage":
            return self.send(form)
        return 200, {"ok": True, "result": True}

    def get_updates(self, form: dict[str, str]) -> tuple[int, Any]:
        if self.polls:
            return failure(int(self.polls.popleft()))
        offset, timeout = int(form.get("offset", 0)), int(form.get("timeout", 0))
        if offset and offset < self._offset:
            self.odd.append(f"offset went back from {self._offset} to {offset}")
        self._offset = max(self._offset, offset)
        deadline = time.monotonic() + timeout
        with self._news:
            self._updates = [one for one in self._updates if one["update_id"] >= offset]
            while not self._updates and not self.closing and time.monotonic() < deadline:
                self._news.wait(min(0.2, max(0.0, deadline - time.monotonic())))
            return 200, {"ok": True, "result": self._updates[:100]}

    def send(self, form: dict[str, str]) -> tuple[int, Any]:
        self.attempts.append(form)
        scene = self.script.popleft() if self.script else self.always
        what, _, number = scene.partition(":")
        problem = self.problem(form)
        if problem:
            return refusal(400, problem)
        self.answered[scene] += 1
        if what == "429":
            return 429, refusal(429, "Too Many Requests: retry after", {"retry_after": int(number)})[1]
        if what in {"500", "502", "401"}:
            self.unknown += what != "401"
            return failure(int(what))
        if what == "parse" and "parse_mode" in form:
            return refusal(400, 'can\'t parse entities: Unsupported start tag "x" at byte offset 3')
        if what == "blocked":
            return refusal(403, "Forbidden: bot was blocked by the user")
        if what == "chat":
            return refusal(400, "chat not found")
        if what == "migrate":
            self.chats = {int(number)}
            return refusal(400, "group chat was upgraded", {"migrate_to_chat_id": int(number)})
        if what == "drop":
            self.unknown += 1
            return 0, None
        if what == "false":
            self.unknown += 1
            return 200, {"ok": False}
        return self.take(what, number, form)

    def take(self, what: str, number: str, form: dict[str, str]) -> tuple[int, Any]:
        self.arrived.append(form)
        self.on_message(form)
        if what == "hang":
            self.unknown += 1
            time.sleep(float(number))
        if what == "drop-after":
            self.unknown += 1
            return 0, None
        chat = {"id": int(form["chat_id"]), "type": "private"}
        message = {
            "message_id": len(self.arrived),
            "date": int(time.time()),
            "chat": chat,
            "text": form["text"],
        }
        return 200, {"ok": True, "result": message}

    def problem(self, form: dict[str, str]) -> str:
        if int(form["chat_id"]) not in self.chats:
            return "chat not found"
        if not form.get("text"):
            return "message text is empty"
        if len(form["text"]) > 4096:
            return "message is too long"
        mode = form.get("parse_mode")
        if mode not in {None, "HTML"}:
            return "unsupported parse_mode"
        return "" if mode is None or well_formed(form["text"]) else "can't parse entities: Unclosed start tag"


def well_formed(text: str) -> bool:
    """Only b and i, closed in order, and no other angle bracket or bare ampersand."""
    open_tags: list[str] = []
    for closing, tag in _TAGS.findall(text):
        if tag not in {"b", "i"}:
            return False
        if not closing:
            open_tags.append(tag)
        elif not open_tags or open_tags.pop() != tag:
            return False
    rest = re.sub(r"&(lt|gt|amp|quot|#x27);", "", _TAGS.sub("", text))
    return not open_tags and not set("<>&") & set(rest)


def refusal(code: int, words: str, parameters: dict[str, Any] | None = None) -> tuple[int, Any]:
    text = words if code != 400 else f"Bad Request: {words}"
    more = {} if parameters is None else {"parameters": parameters}
    return code, {"ok": False, "error_code": code, "description": text, **more}


def failure(code: int) -> tuple[int, Any]:
    if code == 502:
        return 502, "<html><body>Bad Gateway</body></html>"
    return refusal(code, {401: "Unauthorized", 409: "Conflict"}.get(code, "Internal Server Error"))


def handler(api: BotApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            api.odd.append(f"GET {self.path}")
            self.reply(404, {"ok": False, "error_code": 404, "description": "Not Found"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(body, keep_blank_values=True).items()}
            path, _, query = self.path.partition("?")
            form |= {name: values[0] for name, values in parse_qs(query).items()}
            method = path.removeprefix(f"/bot{TOKEN}/")
            if method not in FIELDS:
                api.odd.append(f"POST {self.path}")
                return self.reply(404, {"ok": False, "error_code": 404, "description": "Not Found"})
            if set(form) - FIELDS[method]:
                api.odd.append(f"{method} with {sorted(set(form) - FIELDS[method])}")
            return self.reply(*api.answer(method, form))

        def reply(self, status: int, document: Any) -> None:
            self.close_connection = status == 0
            if status == 0:
                return
            text = document if isinstance(document, str) else json.dumps(document)
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())
            except OSError:
                self.close_connection = True

    return Handler


@contextmanager
def bot_api() -> Iterator[BotApi]:
    """A running server."""
    api = BotApi()
    with serving(handler(api)) as port:
        api.port = port
        try:
            yield api
        finally:
            api.closing = True
