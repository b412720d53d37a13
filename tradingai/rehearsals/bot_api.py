"""A Bot API on loopback for rehearsals: what the real bot asks of Telegram, answered on this machine.

It knows the five methods the bot uses, refuses everything else, and remembers when each answer arrived.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs

from tradingai.engine.core.clock import Clock

TOKEN: Final = "1:rehearsal-rehearsal-rehearsal-rehear"  # noqa: S105 - no secret: it is asked of this server
"""Belongs to nobody."""
CHAT: Final = 1
METHODS: Final = frozenset({"getMe", "deleteWebhook", "getUpdates", "sendMessage", "setMyCommands"})
_LOOK_S: Final = 0.2


@dataclass
class BotApi:
    """What was asked and answered."""

    clock: Clock
    port: int = 0
    odd: list[str] = field(default_factory=list)
    """Requests the bot should not make."""
    _updates: list[dict[str, Any]] = field(default_factory=list)
    _answers: list[tuple[str, float]] = field(default_factory=list)
    _next: int = 1
    _news: threading.Condition = field(default_factory=threading.Condition)
    _closing: bool = False

    @property
    def url(self) -> str:
        """TELEGRAM_API_URL of this server."""
        return f"http://127.0.0.1:{self.port}"

    def say(self, text: str) -> tuple[float, int]:
        """The rehearsed user writes: when (monotonic seconds), and how many answers there were."""
        person = {"id": CHAT, "is_bot": False, "first_name": "Rehearsal"}
        with self._news:
            number, self._next = self._next, self._next + 1
            message = {
                "message_id": number,
                "date": int(self.clock.now().timestamp()),
                "chat": {"id": CHAT, "type": "private", "first_name": "Rehearsal"},
                "from": person,
                "text": text,
            }
            self._updates.append({"update_id": number, "message": message})
            self._news.notify_all()
            return self.clock.monotonic(), len(self._answers)

    def answer_after(self, count: int, seconds: float) -> tuple[str, float] | None:
        """Text and arrival of the answer after the first ``count``; None when none came in time."""
        with self._news:
            self._news.wait_for(lambda: len(self._answers) > count, timeout=seconds)
            return self._answers[count] if len(self._answers) > count else None

    def end(self) -> None:
        """Hold no poll any longer."""
        with self._news:
            self._closing = True
            self._news.notify_all()

    def reply_to(self, method: str, form: dict[str, str]) -> Any:
        """The result of one call."""
        if method == "getMe":
            return {"id": 1, "is_bot": True, "first_name": "Rehearsal", "username": "rehearsal_bot"}
        if method == "getUpdates":
            return self._poll(int(form.get("offset", 0)), float(form.get("timeout", 0)))
        if method == "sendMessage":
            return self._take(form)
        return True

    def _poll(self, offset: int, hold_s: float) -> list[dict[str, Any]]:
        deadline = self.clock.monotonic() + hold_s
        with self._news:
            self._updates = [one for one in self._updates if one["update_id"] >= offset]
            while not self._updates and not self._closing and self.clock.monotonic() < deadline:
                self._news.wait(_LOOK_S)
            return list(self._updates)

    def _take(self, form: dict[str, str]) -> dict[str, Any]:
        with self._news:
            self._answers.append((form["text"], self.clock.monotonic()))
            self._news.notify_all()
            number = len(self._answers)
        chat = {"id": int(form["chat_id"]), "type": "private"}
        date = int(self.clock.now().timestamp())
        return {"message_id": number, "date": date, "chat": chat, "text": form["text"]}


@contextmanager
def bot_api(clock: Clock) -> Iterator[BotApi]:
    """A running server."""
    api = BotApi(clock)
    with _Server(("127.0.0.1", 0), _handler(api)) as server:
        api.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield api
        finally:
            api.end()
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


def _handler(api: BotApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Nothing on stderr."""

        def do_POST(self) -> None:
            """One method."""
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length).decode()
            path, _, query = self.path.partition("?")
            form = {name: values[0] for name, values in parse_qs(f"{body}&{query}").items()}
            method = path.removeprefix(f"/bot{TOKEN}/")
            if method not in METHODS:
                api.odd.append(path.replace(TOKEN, "TOKEN"))
                self._reply(404, {"ok": False, "error_code": 404, "description": "Not Found"})
                return
            self._reply(200, {"ok": True, "result": api.reply_to(method, form)})

        def _reply(self, status: int, document: Any) -> None:
            text = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    return Handler
