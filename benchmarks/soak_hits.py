"""Whether the plan's faults really hit, and whether each trouble the engine told of was planned."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Final, NamedTuple

from tradingai.engine.core.jsonio import parse_iso

from soak_evidence import Evidence, Told, Verdict
from soak_plan import DAY, Action, Window
from soak_world import START

LONG_S: Final = 10 * DAY
"""A plan of at least so many seconds holds every kind of fault often enough for one to hit."""
NO_ROOM: Final = ("disk is full", "No space left on device")
"""What a reason says that a full disk explains."""
OF_A_FULL_DISK: Final = frozenset({"ScanFailed", "UpkeepFailed", "LogsLost"})
OF_OTHER_FAULTS: Final = frozenset(
    {
        "FeedFailed", "CandlesCleaned", "CandlesRejected", "ClockJumped", "ScanLate", "ScanOverrun",
        "KillSwitchSet", "GuardStateChanged", "AccountReset", "EntryCancelled", "SignalsMissed",
        "ModelRolledBack",
    }
)  # fmt: skip
"""Warnings that the plan's other faults bring about."""


class Hit(NamedTuple):
    """One kind of fault, or of what faults have to bring about: how often planned, how often seen."""

    kind: str
    planned: int
    seen: int


def faults_hit(evidence: Evidence) -> Verdict:
    """Each kind that is planned was seen, by its mark in the home, the journal or the Bot API's answers.

    A plan shorter than LONG_S may miss a kind: what it missed is in the words.
    """
    every = hits(evidence)
    missed = [f"{one.kind}: planned {one.planned} times and never seen" for one in every if not one.seen]
    found = missed if evidence.plan.seconds >= LONG_S else []
    if evidence.plan.seconds >= LONG_S:
        found += [f"no signal on {day}" for day in quiet_days(evidence)]
    words = f"{sum(one.seen > 0 for one in every)} of {len(every)} kinds"
    if missed:
        words += ", not " + ", ".join(one.kind for one in every if not one.seen)
    return Verdict.of("every fault hit", len(every), found, words)


def hits(evidence: Evidence) -> list[Hit]:
    """Faults of the plan, then what they have to lead to."""
    seen = _seen_faults(evidence) | _seen_outcomes(evidence)
    planned = _planned(evidence)
    return [Hit(kind, often, seen[kind]) for kind, often in planned.items()]


def quiet_days(evidence: Evidence) -> list[str]:
    """Days of the wall clock without a signal; those at the two ends of the plan are not whole."""
    spoken = {row["day"] for row in evidence.rows("SELECT DISTINCT substr(at, 1, 10) AS day FROM signals")}
    first = datetime.fromtimestamp(START, UTC)
    days = [first + timedelta(days=number) for number in range(1, int(evidence.plan.seconds // DAY))]
    return [f"{day:%Y-%m-%d}" for day in days if f"{day:%Y-%m-%d}" not in spoken]


def _planned(evidence: Evidence) -> dict[str, int]:
    plan = evidence.plan
    counted = Counter(_kind(one) for one in (*plan.windows, *plan.actions))
    counted.pop("", None)
    needs = {
        "held back while killed": "switch cli", "scan while halted": "feed refused",
        "repeated alert": "telegram drop-after", "missed signal": "telegram 500",
        "signal of v1.0.0": "model", "signal of v1.1.0": "model",
    }  # fmt: skip
    return {**counted, **{outcome: counted[cause] for outcome, cause in needs.items() if counted[cause]}}


def _kind(one: Window | Action) -> str:
    """As it is counted; empty for what is no fault."""
    if isinstance(one, Window):
        return "full disk" if one.kind == "disk" else f"{one.kind} {one.detail}"
    by = "itself" if one.from_outside_ms is None else "another process"
    names = {
        "kill": f"kill by {by}",
        "stop": "graceful end",
        "jump": "clock ahead" if one.seconds > 0 else "clock back",
        "switch_on": f"switch {one.detail}",
        "models": "model",
    }
    return names.get(one.kind, "")


def _seen_faults(evidence: Evidence) -> Counter[str]:
    seen = Counter(f"kill by {line['by']}" for line in evidence.noted("kill"))
    ends = [one.payload["reason"] for one in evidence.told("EngineStopped")]
    seen["graceful end"] = ends.count("an operator")
    for one in evidence.told("ClockJumped"):
        seen["clock ahead" if one.payload["seconds"] > 0 else "clock back"] += 1
    for one in evidence.told("KillSwitchSet"):
        if one.payload["on"]:
            seen["switch chat" if one.payload["surface"] == "telegram" else "switch cli"] += 1
    seen += _seen_in_the_feed(evidence)
    seen += Counter({f"telegram {mode}": count for mode, count in evidence.answered.items()})
    full = [window for window in evidence.plan.windows if window.kind == "disk"]
    failed = [at for one in evidence.told("ScanFailed") for at in times(evidence)(one.payload["due"])]
    seen["full disk"] = sum(any(window.holds(at) for at in failed) for window in full)
    return seen


def _seen_in_the_feed(evidence: Evidence) -> Counter[str]:
    seen: Counter[str] = Counter()
    for one in evidence.told("FeedFailed"):
        seen["feed refused"] += "connection reset" in one.payload["reason"]
        seen["feed hang"] += "no answer within" in one.payload["reason"]
    for one in evidence.told("CandlesCleaned"):
        bad = "without a number" in one.payload["detail"]
        seen["feed no_number"] += bad
        seen["feed gap"] += not bad and "filled flat" in one.payload["detail"]
    rejected = evidence.told("CandlesRejected")
    seen["feed old"] = sum(one.payload["reason"] == "known already" for one in rejected)
    return seen


def _seen_outcomes(evidence: Evidence) -> Counter[str]:
    def count(sql: str, *parameters: str) -> int:
        return int(evidence.rows(f"SELECT count(*) FROM {sql}", *parameters)[0][0])

    seen = Counter(
        {
            "held back while killed": count("decisions WHERE reason = 'killed'"),
            "scan while halted": count("scans WHERE guard = 'HALTED'"),
            "missed signal": count("alerts WHERE state = 'missed' AND channel = ?", evidence.channel),
            "repeated alert": sum(text.removeprefix("<b>").startswith("REPEAT") for text in evidence.texts),
        }
    )
    before: dict[str, str] = {}
    rows = evidence.rows("SELECT symbol, versions, reason FROM decisions ORDER BY run_id, scan_seq, place")
    for row in rows:
        versions = json.loads(row["versions"])
        for model, version in versions.items():
            seen["model"] += before.get(model, version) != version
            seen[f"signal of {version}"] += row["reason"] == "emitted"
        before |= versions
    return seen


def trouble(evidence: Evidence) -> Verdict:
    """Scans and upkeep fail on a full disk that was planned for then, and nothing else warns unexplained."""
    found, counted = [], Counter[str]()
    placed = times(evidence)
    for one in evidence.events:
        if one.type in OF_A_FULL_DISK:
            counted[one.type] += 1
            found += _of_a_full_disk(evidence, one, placed)
        elif one.level in {"warning", "error"} and one.type not in OF_OTHER_FAULTS:
            found.append(f"{one.type} (event {one.seq}): {json.dumps(one.payload)}")
    words = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counted.items()))
    return Verdict.of("trouble only as planned", len(evidence.events), found, words or "none")


def _of_a_full_disk(evidence: Evidence, one: Told, placed: Callable[[str], list[float]]) -> Iterator[str]:
    """A failed scan was due within the window; other trouble is written down by the second scan after it."""
    reason = str(one.payload.get("reason", ""))
    interval_s = evidence.plan.interval_s
    at, later = (one.payload["due"], 1) if one.type == "ScanFailed" else (one.at, 2)
    full = [window for window in evidence.plan.windows if window.kind == "disk"]
    planned = any(
        window.begins - interval_s <= second <= window.ends + later * interval_s
        for second in placed(at)
        for window in full
    )
    if not planned:
        yield f"{one.type} (event {one.seq}) at {at}, when no disk was to be full: {reason}"
    elif not any(words in reason for words in NO_ROOM):
        yield f"{one.type} (event {one.seq}) at {at}, not for want of room: {reason}"


def times(evidence: Evidence) -> Callable[[str], list[float]]:
    """Wall time to seconds of the soak: several where the clock was set back, none where it was set ahead."""
    jumps = [(line["at"], line["seconds"]) for line in evidence.noted("jump")]
    begins = [0.0, *(at for at, _ in jumps)]
    ends = [*(at for at, _ in jumps), inf]
    offsets = [START]
    for _, seconds in jumps:
        offsets.append(offsets[-1] + seconds)
    spans = list(zip(begins, ends, offsets, strict=True))

    def placed(wall: str) -> list[float]:
        second = parse_iso(wall).timestamp()
        return [second - offset for begin, end, offset in spans if begin - 1 <= second - offset <= end + 1]

    return placed


def by_kind(evidence: Evidence) -> dict[str, dict[str, int]]:
    """For the report: planned and seen of each kind."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for one in hits(evidence):
        found[one.kind] = {"planned": one.planned, "seen": one.seen}
    return dict(found)
