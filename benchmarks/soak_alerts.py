"""What reached the chat and the alert file, against the outbox's rows."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from typing import Final

from soak_evidence import Evidence, Verdict

_ID: Final = re.compile(r"id ([0-9a-f]{4,})(?:</i>)?$")
_SETTLED: Final = frozenset({"delivered", "missed", "stopped"})


def alerts(evidence: Evidence) -> Verdict:
    """Every high signal is told once a channel; what was delivered arrived; a repeat says REPEAT."""
    rows = evidence.rows("SELECT * FROM alerts WHERE channel = ? ORDER BY seq", evidence.channel)
    told = [one for one in evidence.told("SignalEmitted") if one.payload["tier"] == "high"]
    subjects = Counter(row["subject"] for row in rows if row["kind"] == "signal")
    found = [
        f"{one.payload['key']} has {subjects[one.payload['key']]} alerts"
        for one in told
        if subjects[one.payload["key"]] != 1
    ]
    arrived, unmarked = _arrivals(evidence)
    missed = {one for event in evidence.told("SignalsMissed") for one in event.payload["ids"]}
    for row in rows:
        number = f"{row['seq']:04x}"
        count = arrived.pop(number, 0)
        if unmarked[number] > 1:
            found.append(f"alert {number} arrived {unmarked[number]} times without saying REPEAT")
        if row["state"] not in _SETTLED:
            found.append(f"alert {number} is {row['state']} at the end: {row['error']}")
        if row["state"] == "delivered" and not count:
            found.append(f"alert {number} is delivered and never arrived")
        if row["state"] != "delivered" and count and not row["unknown"]:
            found.append(f"alert {number} is {row['state']} and arrived")
        if row["state"] == "missed" and number not in missed:
            found.append(f"alert {number} was missed and no digest names it")
    found += [f"message {number} belongs to no alert" for number in arrived]
    states = Counter(row["state"] for row in rows if row["kind"] == "signal")
    words = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    marked = sum(text.removeprefix("<b>").startswith("REPEAT") for text in evidence.texts)
    return Verdict.of("alerts at least once", len(rows), found, f"signals: {words}; {marked} say REPEAT")


def _arrivals(evidence: Evidence) -> tuple[dict[str, int], dict[str, int]]:
    """By id: how often it arrived, and how often without REPEAT."""
    arrived: dict[str, int] = defaultdict(int)
    unmarked: dict[str, int] = defaultdict(int)
    for text in evidence.texts:
        match = _ID.search(text)
        if match is not None:
            arrived[match.group(1)] += 1
            unmarked[match.group(1)] += not text.removeprefix("<b>").startswith("REPEAT")
    return arrived, unmarked


def alert_file(evidence: Evidence) -> Verdict:
    """Every alert that the log's channel delivered is a whole line of logs/alerts.jsonl."""
    file = evidence.paths.alert_log
    lines = [
        line
        for one in (file.with_name(file.name + ".1"), file)
        if one.exists()
        for line in one.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    written: set[str] = set()
    torn = 0
    for line in lines:
        try:
            written.add(json.loads(line)["id"])
        except ValueError:
            torn += 1
    rows = evidence.rows("SELECT seq, state FROM alerts WHERE channel = 'log'")
    found = [
        f"alert {row['seq']:04x} is delivered and in no line of {file.name}"
        for row in rows
        if row["state"] == "delivered" and f"{row['seq']:04x}" not in written
    ]
    found += [
        f"alert {row['seq']:04x} is {row['state']} at the end" for row in rows if row["state"] not in _SETTLED
    ]
    return Verdict.of("alert file complete", len(rows), found, f"{len(lines):,} lines, {torn} torn")
