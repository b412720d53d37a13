"""Rehearsal: the bot answers every command within 5 s, while the scan loop works beside it."""

from __future__ import annotations

import asyncio
from typing import Final

from tradingai.bootstrap import open_engine
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.runtime.scanner import engine_lock
from tradingai.rehearsals.chat import Answer, Chat, rehearsed_chat
from tradingai.rehearsals.scanning import RehearsedLoop, rehearsed_loop
from tradingai.rehearsals.stage import Finding, Stage
from tradingai.telegram.check import check_delivery
from tradingai.telegram.commands import HELP

LIMIT_S: Final = 5.0
ROUNDS: Final = 3
SCANS_BEFORE: Final = 20


async def rehearse(stage: Stage) -> Finding:
    """Each command ROUNDS times, measured at the server; with a token also one real message."""
    finding, copied = Finding(), stage.copy()
    lock = engine_lock(copied.paths, stage.clock, "observe checklist")
    with lock:
        async with (
            open_engine(stage.home, clock=stage.clock) as engine,
            rehearsed_loop(engine.store, copied.paths, copied.settings) as loop,
            rehearsed_chat(engine.store, copied.paths, copied.settings, stage.clock) as chat,
        ):
            await loop.scan(SCANS_BEFORE)
            answers, scans = await _ask_all(stage, chat, loop)
            finding.failures += [f"a request the bot should not make: {path}" for path in chat.odd]
            run = loop.run_id
    judge(finding, answers, scans)
    await real_round_trip(stage, finding)
    finding.remedy = "`tradingai telegram check` and `doctor` look at the real chat."
    finding.look = f"signals --run {run}"
    return finding


async def _ask_all(
    stage: Stage, chat: Chat, loop: RehearsedLoop
) -> tuple[dict[str, list[Answer | None]], int]:
    answers: dict[str, list[Answer | None]] = {name: [] for name in HELP}
    scanning = asyncio.create_task(_scan_on(loop))
    try:
        for number in range(1, ROUNDS + 1):
            stage.say(f"asking {len(HELP)} commands, round {number} of {ROUNDS}")
            for name in HELP:
                answers[name].append(await chat.ask(f"/{name}"))
    finally:
        scanning.cancel()
        (scans,) = await asyncio.gather(scanning, return_exceptions=True)
    if isinstance(scans, BaseException) and not isinstance(scans, asyncio.CancelledError):
        raise scans
    return answers, loop.scanned


async def _scan_on(loop: RehearsedLoop) -> None:
    """Scan after scan without a pause: far busier than the real loop."""
    while True:
        await loop.scan(1)


def judge(finding: Finding, answers: dict[str, list[Answer | None]], scans: int) -> None:
    """Every question was answered, in time, with what was asked for; ``scans`` were made by then."""
    for name, found in answers.items():
        lost = sum(one is None for one in found)
        finding.expect(not lost, f"/{name}: {lost} of {len(found)} questions were not answered")
        slow = [one.seconds for one in found if one is not None and one.seconds > LIMIT_S]
        finding.expect(not slow, f"/{name}: answered after {max(slow, default=0):.1f} s")
        wrong = [one.text for one in found if one is not None and _is_trouble(one.text)]
        finding.failures += [f"/{name}: {text.splitlines()[0]}" for text in wrong[:1]]
    times = sorted(one.seconds for found in answers.values() for one in found if one is not None)
    finding.measured |= {
        "limit_s": LIMIT_S,
        "questions": sum(len(found) for found in answers.values()),
        "answers": len(times),
        "longest_s": times[-1] if times else None,
        "median_s": times[len(times) // 2] if times else None,
        "by_command_longest_s": {
            name: max((one.seconds for one in found if one is not None), default=None)
            for name, found in answers.items()
        },
        "scans_meanwhile": scans - SCANS_BEFORE,
    }
    finding.steps += [
        (
            f"the product's bot polled a Bot API server on this machine; /{', /'.join(HELP)} were asked "
            f"{ROUNDS} times each while the scan loop made {scans - SCANS_BEFORE} scans in the same process"
        ),
        "measured at that server, from when it had the question to when the answer arrived",
    ]
    slowest = f"{times[-1]:.2f} s" if times else "none"
    finding.summary = f"{len(times)} answers on loopback, the slowest after {slowest}"


def _is_trouble(text: str) -> bool:
    return text.startswith(("busy:", "unexpected ", "no command"))


async def real_round_trip(stage: Stage, finding: Finding) -> None:
    """A message to the real chat where there is one; the bot's polling is never disturbed."""
    if stage.settings.telegram_token is None:
        finding.not_rehearsed.append(
            "Telegram's own servers and the way to them: TELEGRAM_TOKEN is not set (docs/telegram.md)"
        )
        finding.summary += "; Telegram itself not rehearsed (no token)"
        return
    try:
        found = await check_delivery(stage.settings, stage.clock)
    except TradingAIError as error:
        finding.failures.append(f"the real chat: {error.message}")
        return
    finding.measured["real_message_s"] = found["seconds"]
    finding.expect(found["seconds"] <= LIMIT_S, f"a message to the real chat took {found['seconds']:.1f} s")
    finding.steps.append(
        f"a test message went to the real chat as `telegram check` sends it: taken after "
        f"{found['seconds']:.2f} s"
    )
    finding.not_rehearsed.append(
        "questions asked in the real chat: only the running engine's bot may poll it"
    )
    finding.summary += f"; a real message {found['seconds']:.2f} s"
