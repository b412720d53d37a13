"""The job ``simulate``: a run's trades by Prague days, and the odds of a challenge drawn from them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tradingai.engine.challenge.history import ChallengeConfig
from tradingai.engine.challenge.odds import OddsRequest, odds, summary
from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.errors import MissingError, UsageError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.core.settings import Settings
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.decision.state import DeskConfig
from tradingai.engine.runtime.challenge_source import MORE, Source, read_source
from tradingai.engine.store.database import Store
from tradingai.engine.store.execution_metrics import read_execution_metrics

KIND: Final = "simulate"
MAX_ATTEMPTS: Final = 1_000_000
MAX_RISK_PCT: Final = 10.0


def check_request(attempts: int, seed: int, risk_pct: float | None) -> None:
    """Raise UsageError for numbers that no simulation can go by."""
    if not 1 <= attempts <= MAX_ATTEMPTS:
        raise UsageError(
            f"--attempts {attempts:,} cannot be played",
            remedy=f"Give 1 … {MAX_ATTEMPTS:,}, for example 10000.",
        )
    if seed < 0:
        raise UsageError(f"--seed {seed} is negative", remedy="Give a whole number from 0 on.")
    if risk_pct is not None and not 0 < risk_pct <= MAX_RISK_PCT:
        raise UsageError(
            f"--risk {risk_pct:g} is no risk of a trade in per cent",
            remedy=f"Give more than 0 and at most {MAX_RISK_PCT:g}, for example 0.25.",
        )


def simulate_job(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """The worker's function for a ``SimulateChallenge`` command."""
    given = params["risk_pct"]
    risk_pct = None if given is None else float(given)
    attempts, seed = int(params["attempts"]), int(params["seed"])
    check_request(attempts, seed, risk_pct)
    account = params["account"]
    if account is not None:
        settings = settings.model_copy(update={"ftmo_account": account})
    numbers = desk_config(settings, read_execution_metrics(paths))
    if risk_pct is not None:
        numbers = replace(numbers, paper=replace(numbers.paper, risk_fraction=risk_pct / 100))
    source = asyncio.run(_source(paths, settings, params["run"], RealClock()))
    found = simulate(source, numbers, OddsRequest(attempts, seed), reporter)
    return {"summary": summary(found), "odds": found}


def simulate(source: Source, numbers: DeskConfig, request: OddsRequest, reporter: Reporter) -> dict[str, Any]:
    """The document of ``ftmo simulate --json``."""
    config = ChallengeConfig(numbers.risk, numbers.decision.rates, numbers.paper.risk_fraction)
    clock = RealClock()
    began = clock.monotonic()
    found = odds(source.history, config, request, reporter)
    return {"source": source.as_json(), **found, "wall_s": clock.monotonic() - began}


async def _source(paths: HomePaths, settings: Settings, run_id: str | None, clock: Clock) -> Source:
    store = await Store.open_existing(settings.database_path(paths.root), clock)
    if store is None:
        raise MissingError("nothing has traded in this home yet", remedy=MORE)
    async with store:
        return await read_source(store, paths, run_id)
