"""How an observation is started, approved, verified; the questions asked before."""

from __future__ import annotations

from typing import Final

from tradingai.engine.core.commands import ApproveObservation, ReportObservation, StartObservation
from tradingai.engine.queries.observation_views import hours_words
from tradingai.engine.queries.snapshot import ConsoleSnapshot
from tradingai.screens.commands import RunChecklist, VerifyDecisions
from tradingai.screens.dialog import Dialog, Field
from tradingai.screens.port import Host
from tradingai.screens.risk_steps import drill, may_drill

__all__ = [
    "approve",
    "checklist",
    "drill",
    "may_approve",
    "may_drill",
    "may_observe",
    "may_start",
    "may_verify",
    "start",
    "verify",
    "write_summary",
]

APPROVAL: Final = "GO"
"""What an operator types to approve, and to give up what a clock has counted."""


def may_start(snapshot: ConsoleSnapshot) -> bool:
    """Whether there is a live model, candles, and no start under way."""
    seen = snapshot.observation
    busy = snapshot.active_job("observe") is not None
    ready = seen is not None and seen.promoted and bool(snapshot.datasets)
    return ready and not busy and not snapshot.header.read_only


def may_observe(snapshot: ConsoleSnapshot) -> bool:
    """Whether an observation would be started without giving one up."""
    seen = snapshot.observation
    return may_start(snapshot) and (seen is None or seen.state != "running")


def may_verify(snapshot: ConsoleSnapshot) -> bool:
    """Whether work in the background may be begun from here."""
    return not snapshot.header.read_only


def may_approve(snapshot: ConsoleSnapshot) -> bool:
    """Whether an approval would be recorded: every other criterion holds, and none counts yet."""
    seen = snapshot.observation
    if seen is None or seen.state != "running" or snapshot.header.read_only:
        return False
    others = all(one.state == "holds" for one in seen.criteria if one.id != "approval")
    return others and not any(one.counts for one in seen.approvals)


def start(host: Host) -> None:
    """Say what an observation needs and what a new one gives up, and start it."""
    snapshot, seen = host.snapshot, host.snapshot.observation
    if seen is None or not may_start(snapshot):
        return
    texts = [
        (
            f"The clock counts until {seen.required_hours:g} h without a break are full. First the live "
            "models' test range is replayed with today's settings: what the win rate is compared with."
        ),
        (
            "A change of model, threshold, settings or code, a crash, or a gap of more than "
            f"{seen.max_gap_s:g} s restarts the clock."
        ),
    ]
    if not seen.loop_running:
        texts.append("! The scan loop is off: L on Monitor begins it, and the clock with it.")
    running = seen.state == "running"
    fields: tuple[Field, ...] = ()
    if running:
        texts.append(f"! An observation runs: {hours_words(seen.continuous_s)} h are given up.")
        fields = (Field("typed", "Type anew", check=lambda text: "" if text == "anew" else "type anew"),)
    dialog = Dialog("Start an observation", texts, verb="start", keep="leave it", fields=fields, live=running)
    host.ask(dialog, lambda _: host.order(StartObservation(**host.engine.issue(), anew=running)))


def approve(host: Host) -> None:
    """Ask for GO, and record who said so."""
    seen = host.snapshot.observation
    if seen is None or not may_approve(host.snapshot):
        return
    texts = [
        f"{hours_words(seen.continuous_s)} h without a break; every other criterion holds.",
        "The approval is kept with your name and time. A restart of the clock takes it back.",
    ]
    if seen.baseline is not None and seen.baseline.synthetic:
        texts.append("! These are SYNTHETIC candles: this GO says nothing of a real market.")
    if seen.scaled:
        texts.append(f"! Criteria are scaled: {', '.join(one.text for one in seen.scaled)}.")
    field = Field("typed", "Type GO", check=lambda text: "" if text == APPROVAL else f"type {APPROVAL}")
    dialog = Dialog("Approve", texts, verb="approve", keep="not yet", fields=(field,), live=True)
    host.ask(
        dialog, lambda values: host.order(ApproveObservation(**host.engine.issue(), typed=values["typed"]))
    )


def verify(host: Host) -> None:
    """Compute the live run's decisions again, in the background."""
    host.order(VerifyDecisions(**host.engine.issue()))


def checklist(host: Host) -> None:
    """Say what the rehearsals are, and begin them."""
    texts = [
        (
            "Rehearses what must work before real money, on isolated copies: rollback and back, the kill "
            "switch from each surface, rate limits, a guard breach, the bot, a restart after a kill, "
            "execution costs."
        ),
        "The live state is not touched. The evidence is written to reports/checklist.",
    ]
    dialog = Dialog("Checklist", texts, verb="rehearse", keep="leave it")
    host.ask(dialog, lambda _: host.order(RunChecklist(**host.engine.issue())))


def write_summary(host: Host) -> None:
    """Have ``summary.md`` written, where this console may write; a GO ends the observation, so it asks."""
    seen = host.snapshot.observation
    if seen is None or host.snapshot.header.read_only:
        return
    if seen.state == "running" and seen.holding == len(seen.criteria):
        texts = ["Every criterion holds: summary.md will say GO, and with it this observation ends."]
        dialog = Dialog("Write the summary", texts, verb="write it", keep="not yet", live=True)
        host.ask(dialog, lambda _: host.order(ReportObservation(**host.engine.issue())))
        return
    host.order(ReportObservation(**host.engine.issue()))
