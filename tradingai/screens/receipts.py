"""What became of commands and checks, in sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.commands import (
    ApproveObservation,
    CancelJob,
    Command,
    JobCommand,
    Promote,
    ReportObservation,
    ResetAccount,
    ResumeJob,
    Rollback,
    SetKillSwitch,
    SetThreshold,
    StartScanLoop,
    StopScanLoop,
    WriteSnapshot,
)
from tradingai.engine.queries.snapshot import CheckView

_WORK: Final = {
    "GenerateCandles": "Creating candles",
    "FetchCandles": "Fetching candles",
    "ImportCandles": "Importing candles",
    "BuildFeatures": "Building features",
    "StartTraining": "Training",
    "Evaluate": "Evaluating",
    "Drill": "Drilling the guard",
    "StartObservation": "Replaying the test range, the baseline of the observation",
}


def check_view(symbol: str, output: bytes, clock: Clock) -> CheckView:
    """The answer of ``features check --json`` in a line."""
    try:
        document = json.loads(output)
    except ValueError:
        return CheckView(
            passed=False, summary=f"the check of {symbol} ended without an answer", at=clock.now()
        )
    if isinstance(document, dict) and "error" in document:
        return CheckView(passed=False, summary=str(document["error"]["message"]), at=clock.now())
    report = document[0]
    for check in report["checks"]:
        for wrong in check["failures"]:
            text = f"{wrong['feature']} at {wrong['ts']}: {wrong['got']:g} instead of {wrong['expected']:g}"
            return CheckView(
                passed=False, summary=f"{check['name']}: {text}", at=clock.now(), feature=wrong["feature"]
            )
    names = ", ".join(str(check["name"]).replace("_", " ") for check in report["checks"])
    text = f"{report['features']} features at {len(report['cuts'])} cuts: {names}"
    return CheckView(passed=bool(report["passed"]), summary=text, at=clock.now())


def outcome(command: Command, result: Mapping[str, Any]) -> str:
    """What came of a command, in a sentence."""
    if isinstance(command, JobCommand):
        payload = command.payload()
        what = _WORK.get(type(command).__name__, type(command).__name__)
        target = payload.get("symbol") or payload.get("model")
        return f"{what} of {target}." if target else f"{what}."
    if isinstance(command, WriteSnapshot | ReportObservation | ApproveObservation):
        return _observed(command, result)
    return _done(command, result)


def threshold_word(value: float | None) -> str:
    """A threshold, or whose it is when none was set."""
    return "the settings' again" if value is None else f"{value:.2f}"


def _done(command: Command, result: Mapping[str, Any]) -> str:
    match command:
        case Promote():
            text = f"{command.model} {result.get('version', command.version)} is live."
        case Rollback():
            text = f"{command.model} {result.get('version', command.version)} is live again."
        case CancelJob():
            text = "It stops at its next safe point."
        case ResumeJob():
            text = "It goes on from its checkpoint."
        case ResetAccount():
            text = "A fresh account was opened." if result.get("fresh") else "The account left HALTED."
        case SetKillSwitch():
            text = "The kill switch is on: nothing is emitted." if command.on else "The kill switch is off."
        case SetThreshold():
            text = f"The threshold is {threshold_word(command.value)}."
        case StartScanLoop():
            text = "The scan loop begins: models are being loaded."
        case StopScanLoop():
            text = "The scan loop has stopped; nothing is scanned."
        case _:
            text = f"{type(command).__name__}: done."
    return text


def _observed(command: Command, result: Mapping[str, Any]) -> str:
    if isinstance(command, ApproveObservation):
        return "Your approval is recorded."
    what = (
        "summary.md"
        if isinstance(command, ReportObservation)
        else f"Snapshot {result.get('day', '')}".strip()
    )
    return f"{what} is written."


def verification_text(output: bytes) -> tuple[str, str]:
    """What ``observe verify --json`` found, in a sentence, and its level."""
    document = _answer(output)
    if isinstance(document, str):
        return f"Decisions could not be verified: {document}", "error"
    text = f"{document['identical']:,} of {document['decisions']:,} decisions are identical"
    if document["verified"]:
        return f"{text}.", "info"
    first = document["first_difference"]
    return (f"{text}; first difference: {first['text']}." if first else f"{text}."), "error"


def checklist_text(output: bytes) -> tuple[str, str]:
    """What ``observe checklist --json`` found, in a sentence, and its level."""
    document = _answer(output)
    if isinstance(document, str):
        return f"The checklist did not run: {document}", "error"
    items, folder = document["items"], document["folder"]
    if document["passed"]:
        return f"All {len(items)} rehearsals passed; evidence in {folder}.", "info"
    wrong = [str(item["title"]) for item in items if not item["passed"]]
    if not wrong:
        return f"The checklist did not pass; {folder} says why.", "error"
    named = ", ".join(wrong)
    return f"{len(wrong)} of {len(items)} rehearsals did not pass: {named}; evidence in {folder}.", "warning"


def _answer(output: bytes) -> dict[str, Any] | str:
    """The document a command answered with, or in words why there is none."""
    try:
        document = json.loads(output)
    except ValueError:
        return "it ended without an answer"
    if "error" in document:
        return sentence(f"{document['error']['message']}")
    return dict(document)


def together(done: list[str]) -> str:
    """One sentence for several commands of a kind."""
    if len(done) < 2:
        return done[0] if done else ""
    heads = {text.rsplit(" ", 1)[0] for text in done}
    if len(heads) == 1:
        names = ", ".join(text.rsplit(" ", 1)[1].rstrip(".") for text in done)
        return f"{heads.pop()} {names}."
    return " ".join(done)


def sentence(text: str) -> str:
    """The text with a large first letter and a full stop."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
