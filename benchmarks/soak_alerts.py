"""What reached the chat and the alert file, against the outbox's rows."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
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
    found += _of_another_signal(evidence)
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


def _of_another_signal(evidence: Evidence) -> Iterator[str]:
    """Messages that carry the id of a signal's alert and do not name its coin and side."""
    rows = evidence.rows(
        "SELECT alerts.seq, signals.symbol, signals.side FROM alerts JOIN signals ON signals.key = subject"
        " WHERE channel = ?",
        evidence.channel,
    )
    named = {f"{row['seq']:04x}": f"{row['symbol']} {row['side'].upper()}" for row in rows}
    for text in evidence.texts:
        match = _ID.search(text)
        if match is not None and named.get(match.group(1), "") not in text:
            yield f"message {match.group(1)} does not name {named[match.group(1)]}"


def told_while_killed(evidence: Evidence) -> Iterator[str]:
    """Signals that arrived at the chat between the journal's switch_on and switch_off.

    One whose delivery is told before the switch was told arrived before it, within the same moment of the
    simulated clock.
    """
    rows = evidence.rows("SELECT seq FROM alerts WHERE channel = ? AND kind = 'signal'", evidence.channel)
    signals = {f"{row['seq']:04x}" for row in rows}
    spans: list[tuple[float, float]] = []
    since: float | None = None
    for line in evidence.journal:
        if line["what"] == "switch_on":
            since = line["at"] if since is None else since
        elif line["what"] == "switch_off" and since is not None:
            spans.append((since, line["at"]))
            since = None
    delivered, switched = _told(evidence)
    for at, text in zip(evidence.arrived_at, evidence.texts, strict=True):
        match = _ID.search(text)
        if match is None or match.group(1) not in signals:
            continue
        for number, (on, off) in enumerate(spans):
            before = number < len(switched) and delivered.get(match.group(1), math.inf) < switched[number]
            if on < at <= off and not before:
                yield f"alert {match.group(1)} arrived at {at:.0f} s while killed"


def _told(evidence: Evidence) -> tuple[dict[str, int], list[int]]:
    """Alert to the event that told its delivery to the chat, and the events that told the switch went on."""
    delivered: dict[str, int] = {}
    switched, killed = [], False
    for one in evidence.told("KillSwitchSet", "AlertDelivered"):
        if one.type == "AlertDelivered":
            if one.payload["channel"] == evidence.channel:
                delivered.setdefault(one.payload["event_id"], one.seq)
            continue
        if one.payload["on"] and not killed:
            switched.append(one.seq)
        killed = bool(one.payload["on"])
    return delivered, switched


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
