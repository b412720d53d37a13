"""What the Risk screen can have done: leaving HALTED, drilling the guard; the questions asked before."""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.commands import Drill, ResetAccount
from tradingai.engine.queries.run_snapshot import RiskView
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.dialog import Dialog, Field
from tradingai.screens.port import Host
from tradingai.screens.risk_words import newest_drill

SHORTEST_REASON: Final = 10
"""Characters of a reason for leaving HALTED."""
_DRILL: Final = (
    "A simulated loss takes an account of its own below the daily limit, on stored candles. The guard has to "
    "halt it, close what is open and hold back every signal that a twin without the loss emits."
)


def may_leave(risk: RiskView) -> bool:
    """Whether leaving HALTED would be carried out."""
    return risk.live and risk.facts.leaving in {"on", "fresh"}


def may_drill(snapshot: ConsoleSnapshot) -> bool:
    """Whether there are models and candles to drill with, and no drill runs."""
    models = any(item.live_version for item in snapshot.evaluations)
    busy = snapshot.active_job("drill") is not None
    return models and bool(snapshot.datasets) and not busy and not snapshot.header.read_only


def leave_halted(host: Host) -> None:
    """Say what leaving HALTED does, ask why, and do it."""
    risk = host.snapshot.risk
    if risk is None or not may_leave(risk):
        return
    if risk.facts.leaving == "fresh":
        initial = f"$ {risk.account['initial_balance']:,.0f}"
        texts = [
            f"This account is lost; a fresh one of {initial} takes its place.",
            "Hourly limits and what was decided before remain. The reason is kept with the account.",
        ]
    else:
        texts = [
            f"The guard halted the account: {risk.account['detail']}.",
            "It goes on with its balance and floors. The reason is kept with the account.",
        ]
    texts.append("! Signals may be emitted from the next scan on.")
    dialog = Dialog(
        "Leave HALTED", texts, verb="leave HALTED", keep="stay HALTED",
        fields=(Field("reason", "Why may it go on?", check=_a_reason),), live=True,
        waits_for=f"with {SHORTEST_REASON} characters",
    )  # fmt: skip
    host.ask(dialog, lambda values: host.order(ResetAccount(**host.engine.issue(), reason=values["reason"])))


def drill(host: Host) -> None:
    """Say what a drill is and how the newest one ended, and begin one."""
    if not may_drill(host.snapshot):
        return
    texts = [_DRILL, "Nothing is sent, and the live account is not touched. It takes about 10 s."]
    newest = newest_drill(host.snapshot)
    if newest:
        texts.append(newest)
    dialog = Dialog("Drill the guard", texts, verb="drill", keep="leave it")
    host.ask(dialog, lambda _: host.order(Drill(**host.engine.issue())))


def _a_reason(text: str) -> str:
    return "" if len(text.strip()) >= SHORTEST_REASON else f"At least {SHORTEST_REASON} characters"
