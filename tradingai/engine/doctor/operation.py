"""What an engine needs to run unattended: disk, logs, costs, the exchange's time, Telegram, its port."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

import numpy as np

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings, load_settings
from tradingai.engine.decision.configure import execution_costs
from tradingai.engine.doctor.examination import Examination, Finding
from tradingai.engine.queries.status import engine_state
from tradingai.engine.risk.costs import ExecutionCosts
from tradingai.engine.store.execution_metrics import linked_file, read_execution_metrics

FREE_GB: Final = 1.0
"""For candles, features and checkpoints of the quick workload; the full one needs about 4 GB."""
LOG_PROCESSES: Final = 2
"""Processes whose logs are rotated at the same time: an engine and a console or a job."""
FRESH_COSTS_DAYS: Final = 30
"""Costs whose newest samples are older should be measured again."""
MOST_SKEW_S: Final = 2.0
"""A clock that is further off takes open candles for closed ones, or closed ones for open."""
_EXCHANGE_PATIENCE_S: Final = 15.0
_PROBE_S: Final = 2.0
_LARGEST_ANSWER: Final = 65_536
_MB: Final = 1e6
_LOOPBACK: Final = "127.0.0.1"


def examine_disk(paths: HomePaths) -> Examination:
    """Free space against what can still come: data, full logs, and a migration's copy of the database."""
    existing = next(folder for folder in (paths.root, *paths.root.parents) if folder.exists())
    free_gb = shutil.disk_usage(existing).free / 1e9
    needs = dict(_needs(paths))
    needed_gb = sum(needs.values())
    findings: list[Finding] = []
    if free_gb < needed_gb:
        parts = ", ".join(f"{what} {size_gb:.2f} GB" for what, size_gb in needs.items())
        message = f"{free_gb:.2f} GB are free at {existing}, {needed_gb:.2f} GB may be needed: {parts}"
        findings.append(Finding(message, "Free space on that disk, or choose another --home."))
    if paths.root.exists() and not os.access(paths.root, os.W_OK | os.X_OK):
        findings.append(Finding(f"{paths.root} is not writable", "Give this user write permission there."))
    return Examination("disk", f"{free_gb:.1f} GB free, {needed_gb:.1f} GB may be needed", tuple(findings))


def _needs(paths: HomePaths) -> Iterator[tuple[str, float]]:
    """What for, and how many GB."""
    yield "data", FREE_GB
    try:
        settings = load_settings(paths.root)
    except TradingAIError:  # another examination tells what is wrong with them
        return
    yield "logs", LOG_PROCESSES * settings.log_file_mb * (settings.log_files + 1) * _MB / 1e9
    database = settings.database_path(paths.root)
    if database.is_file():
        yield "a copy of the database", database.stat().st_size / 1e9


def examine_logs(paths: HomePaths) -> Examination:
    """Whether the engine can write its log."""
    folder = paths.logs
    if not folder.exists():
        return Examination("logs", "none yet")
    findings: list[Finding] = []
    if not folder.is_dir():
        findings.append(Finding(f"{folder} is no folder", "Move it away; the engine makes the folder."))
    elif not os.access(folder, os.W_OK | os.X_OK):
        message = f"{folder} is not writable: scans go on, but nobody can read what happened"
        findings.append(Finding(message, f"Give this user write permission: chown or chmod 700 {folder}"))
    else:
        shut = [item for item in sorted(folder.iterdir()) if item.is_file() and not os.access(item, os.W_OK)]
        findings += [
            Finding(f"{item} is not writable", f"Give it to this user, or delete it: chown or rm {item}")
            for item in shut
        ]
    size = sum(item.stat().st_size for item in folder.rglob("*") if item.is_file()) if folder.is_dir() else 0
    return Examination("logs", f"{folder}, {size / _MB:.1f} MB", tuple(findings))


def examine_costs(paths: HomePaths, clock: Clock) -> Examination:
    """Whether spread and slippage were measured, and lately, or are defaults.

    Raises ArtifactError for a file that cannot be used.
    """
    settings, metrics = load_settings(paths.root), read_execution_metrics(paths)
    if metrics is not None:
        return _measured_costs(execution_costs(settings, metrics), str(linked_file(paths)), clock)
    spread, slippage = settings.default_spread_bps, settings.default_slippage_bps
    hint = Finding(
        "execution costs were never measured: win rate and profit rest on the defaults",
        "`tradingai execution measure` samples an exchange, `execution import FILE` reads MetaTrader 5.",
    )
    detail = f"defaults: spread {spread:g} bps, slippage {slippage:g} bps"
    return Examination("costs", detail, hints=(hint,))


def _measured_costs(costs: ExecutionCosts, file: str, clock: Clock) -> Examination:
    age = costs.age_days(clock.now())
    if age is None or age <= FRESH_COSTS_DAYS:
        return Examination("costs", f"{costs.label}: {file}")
    hint = Finding(
        f"execution costs are {age:.0f} days old ({costs.label}): markets and brokers change",
        "`tradingai execution measure` or `execution import FILE` replaces them.",
    )
    return Examination("costs", f"{costs.label}: {file}", hints=(hint,))


def examine_exchange(paths: HomePaths, clock: Clock) -> Examination:
    """This machine's clock against the exchange's, when candles come from one."""
    settings = load_settings(paths.root)
    if settings.data_provider != "ccxt":
        return Examination("exchange", f"not asked: DATA_PROVIDER={settings.data_provider}")
    return asyncio.run(_exchange(settings, clock))


async def _exchange(settings: Settings, clock: Clock) -> Examination:
    from tradingai.engine.providers.exchange.client import ExchangeClient
    from tradingai.engine.providers.exchange.pace import OwnPace

    once = settings.model_copy(update={"provider_retries": 0})
    name = settings.exchange
    try:
        async with (
            asyncio.timeout(_EXCHANGE_PATIENCE_S),
            ExchangeClient(once, clock=clock, rng=np.random.default_rng(0), pace=OwnPace(clock)) as client,
        ):
            found = await client.time()
    except TradingAIError as error:
        return Examination("exchange", f"{name} gave no time", (Finding(error.message, error.remedy),))
    except TimeoutError:
        message = f"{name} gave no time within {_EXCHANGE_PATIENCE_S:g} s"
        finding = Finding(message, "Check the network and PROXY_URL, or choose another EXCHANGE.")
        return Examination("exchange", "no answer", (finding,))
    way = "ahead of" if found.skew_s > 0 else "behind"
    skew = f"{abs(found.skew_s):.2f} ± {found.uncertain_s:.2f} s {way} {name}"
    if abs(found.skew_s) - found.uncertain_s <= MOST_SKEW_S:
        return Examination("exchange", f"the clock is {skew}")
    finding = Finding(
        f"the clock is {skew}: candles would be taken for closed at the wrong time",
        "Turn time synchronisation on (`timedatectl set-ntp true`), then look again.",
    )
    return Examination("exchange", "the clock is off", (finding,))


def examine_telegram(paths: HomePaths) -> Examination:
    """Whether token and chat can be ones; nothing is sent."""
    settings = load_settings(paths.root)
    token, chat = settings.telegram_token, settings.telegram_chat_id
    if token is None:
        hints: tuple[Finding, ...] = ()
        if chat is not None:
            hints = (Finding("TELEGRAM_CHAT_ID is set, TELEGRAM_TOKEN is not", "Set the token, or neither."),)
        return Examination("telegram", "off: TELEGRAM_TOKEN is not set", hints=hints)
    bot = token.get_secret_value().split(":", 1)[0]
    hints = ()
    if chat is not None and chat < 0 and not settings.telegram_allowed_users:
        message = f"{chat} is a group, and TELEGRAM_ALLOWED_USERS is empty: nobody's commands are obeyed"
        hints = (Finding(message, "List the numbers of those who may command in TELEGRAM_ALLOWED_USERS."),)
    detail = f"bot {bot}, chat {chat}; `tradingai telegram check` sends a test message"
    return Examination("telegram", detail, hints=hints)


def examine_metrics(paths: HomePaths) -> Examination:
    """METRICS_PORT: off, free, served by this home's engine, or somebody else's."""
    port = load_settings(paths.root).metrics_port
    if not port:
        return Examination("metrics", "off: METRICS_PORT=0")
    document = _health(port)
    if document is None:
        return _unserved(paths, port)
    if not _is_ours(document, paths.root):
        message = f"port {port} is taken by something that is not this home's engine"
        remedy = f"Choose another METRICS_PORT, or stop what listens there: ss -ltnp 'sport = :{port}'"
        return Examination("metrics", f"port {port} is taken", (Finding(message, remedy),))
    findings = tuple(
        Finding(f"/healthz on port {port}: {reason}", "`tradingai status` and the engine's log say more.")
        for reason in document.get("reasons", ())
    )
    return Examination("metrics", f"served on port {port} by process {document.get('pid')}", findings)


def _unserved(paths: HomePaths, port: int) -> Examination:
    engine = engine_state(paths)
    if engine["running"]:
        message = f"the engine (process {engine['pid']}) runs, but nothing is served on port {port}"
        remedy = "It tries a lost port again every 30 s; METRICS_PORT itself it reads when it is started."
        return Examination("metrics", "not served", (Finding(message, remedy),))
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_LOOPBACK, port))
    except OSError as error:
        finding = Finding(f"port {port} cannot be had: {error.strerror}", "Choose another METRICS_PORT.")
        return Examination("metrics", f"port {port} cannot be had", (finding,))
    return Examination("metrics", f"port {port} is free")


def _health(port: int) -> dict[str, Any] | None:
    """What ``/healthz`` says there; empty for something else, None when nothing accepts a connection."""
    connection = HTTPConnection(_LOOPBACK, port, timeout=_PROBE_S)
    try:
        connection.connect()
    except OSError:
        return None
    try:
        connection.request("GET", "/healthz")
        document = json.loads(connection.getresponse().read(_LARGEST_ANSWER))
    except (OSError, HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return document if isinstance(document, dict) else {}


def _is_ours(document: dict[str, Any], root: Path) -> bool:
    home = document.get("home")
    return isinstance(home, str) and Path(home).resolve() == root.resolve()
