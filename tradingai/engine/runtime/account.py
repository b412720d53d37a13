"""The live account outside of scans: how it stands, and letting it out of HALTED."""

from __future__ import annotations

from typing import Any, Final

from tradingai.engine.core.candles import datetime_to_us
from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import ResetAccount
from tradingai.engine.core.errors import MissingError, StoreError, UsageError
from tradingai.engine.core.events import AccountReset
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.decision.configure import desk_config
from tradingai.engine.decision.desk import status_of
from tradingai.engine.decision.state import DeskState, desk_from_json
from tradingai.engine.queries.risk_views import StoredAccount
from tradingai.engine.risk.guard import SHORTEST_REASON
from tradingai.engine.runtime.account_facts import HomeAccounts, released, rolled
from tradingai.engine.store.database import Store
from tradingai.engine.store.execution_metrics import read_execution_metrics

_ATTEMPTS: Final = 20
"""Tries of a change that scans of a running engine overtake."""


async def account_status(
    store: Store | None, settings: Settings, paths: HomePaths, clock: Clock, run_id: str | None = None
) -> dict[str, Any]:
    """The account of a run (None: the live one) now: money to each floor, the next reset, the objective.

    Before the first run it is the fresh account that one would open. Raises MissingError for an unknown run,
    StoreError for an account that cannot be read.
    """
    found = None if store is None else await store.live.newest_run()
    wanted = run_id or (None if found is None else found[0].run_id)
    account = None if store is None or wanted is None else await store.scans.account(wanted)
    if account is None and run_id is not None:
        raise MissingError(
            f"there is no account of run {run_id}", remedy="`tradingai status --json` names the live run."
        )
    stored = None if account is None else StoredAccount(account.run_id, account.at, account.desk)
    facts = HomeAccounts(settings, paths).facts(stored, clock.now(), live=run_id is None)
    return dict(facts.document)


async def reset_account(
    store: Store, settings: Settings, paths: HomePaths, clock: Clock, command: ResetAccount
) -> dict[str, Any]:
    """Leave HALTED; a breached account, or one at its total stop, is replaced by a fresh one.

    Returns the account's status. Raises UsageError when there is nothing to leave, the reason is too short or
    what halted the account still holds; MissingError without an account; StoreError.
    """
    config = desk_config(settings, read_execution_metrics(paths))
    reason = command.reason.strip()
    if len(reason) < SHORTEST_REASON:
        raise UsageError(
            f"the reason {reason!r} is shorter than {SHORTEST_REASON} characters",
            remedy="Say why the account may go on: it is kept with it.",
        )
    for _ in range(_ATTEMPTS):
        run_id = await _live_run(store)
        mark = await store.overrides.mark(run_id)
        state = await _account(store, run_id)
        now = clock.now()
        at_us = datetime_to_us(now)
        state = None if state is None else rolled(state, config, at_us)
        after, events, fresh = released(state, config, at_us, reason, command.sender)
        told = AccountReset(run_id=run_id, fresh=fresh, who=command.sender, reason=reason)
        written = await store.overrides.put(
            run_id, mark, command, at=now, cause="reset", detail=f"{command.sender}: {reason}",
            desk=after.as_json(), events=[event.as_json() for event in (*events, told)],
        )  # fmt: skip
        if written:
            return {"run": run_id, "fresh": fresh, **status_of(after, config, at_us).as_json()}
    raise StoreError("the account changes faster than it can be reset", remedy="Run this again.")


async def _live_run(store: Store) -> str:
    found = await store.live.newest_run()
    if found is None:
        raise MissingError("there is no live account yet", remedy="`tradingai run` opens one.")
    return found[0].run_id


async def _account(store: Store, run_id: str) -> DeskState | None:
    """The run's account; None when it cannot be read, which only a fresh one mends."""
    account = await store.scans.account(run_id)
    if account is None:
        return None
    try:
        return desk_from_json(account.desk)
    except StoreError:
        return None
