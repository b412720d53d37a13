"""``tradingai telegram``: whether messages arrive."""

from __future__ import annotations

import asyncio
from typing import Any

import typer

from tradingai.cli.context import Invocation, JsonFlag, invocation
from tradingai.cli.output import write_json, write_line

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def telegram() -> None:
    """Telegram: check."""


@app.command()
def check(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Send a test message to TELEGRAM_CHAT_ID and report its delivery."""
    found = asyncio.run(send_test(invocation(ctx)))
    if as_json:
        write_json(found)
    else:
        write_line(
            f"Delivered by @{found['bot']} to chat {found['chat']} in {found['seconds']:.2f} s "
            f"(message {found['message']})"
        )
    return 0


async def send_test(call: Invocation) -> dict[str, Any]:
    """Send it. Raises MissingError without a token, TradingAIError when it is not delivered."""
    from tradingai.engine.core.clock import RealClock
    from tradingai.engine.core.home import open_home
    from tradingai.engine.core.settings import load_settings
    from tradingai.telegram.check import check_delivery

    clock = RealClock()
    settings = load_settings(call.home)
    open_home(call.home, clock, read_only=True)
    return await check_delivery(settings, clock)
