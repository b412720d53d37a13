"""The invariants of a soak, each looked up in what the home says of itself in another place."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.jsonio import parse_iso
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.decision.records import REASONS
from tradingai.engine.registry.verify import verify

from soak_account import equity
from soak_alerts import alert_file, alerts, told_while_killed
from soak_candles import candle_files
from soak_evidence import SCANNED, Evidence, Verdict, repeated
from soak_hits import faults_hit, trouble
from soak_plan import CALM_S, DAY, HOUR

if TYPE_CHECKING:
    from soak_world import Sample

GROWTH_MB: Final = 16.0
"""More than this between the second and the last tenth of the longest life is growth."""
LONG_LIFE_S: Final = 5 * DAY
"""A life that begins its second tenth after the first compaction of a day."""
GROWTH_OF_A_DAY_MB: Final = 48.0
"""For shorter ones: the first compaction loads polars, which was measured to take 26 to 35 MB."""


def judge(evidence: Evidence, samples: Sequence[Sample], unplanned: Sequence[str]) -> list[Verdict]:
    """Every invariant. ``samples``: memory over time; ``unplanned``: ends and requests nothing explains."""
    return [
        Verdict.of("ends only as planned", len(evidence.noted("start")), unplanned),
        faults_hit(evidence),
        trouble(evidence),
        signals_once(evidence),
        signals_end(evidence),
        alerts(evidence),
        alert_file(evidence),
        not_while_killed(evidence),
        not_while_halted(evidence),
        ledger(evidence),
        funnel(evidence),
        scans(evidence),
        equity(evidence),
        candle_files(evidence),
        memory(samples, evidence.plan.seconds),
    ]


def signals_once(evidence: Evidence) -> Verdict:
    """Decisions that emitted, rows of signals and SignalEmitted are the same set, each once."""
    rows = [row["key"] for row in evidence.rows("SELECT key FROM signals")]
    decided = [
        row["signal_key"]
        for row in evidence.rows("SELECT signal_key FROM decisions WHERE reason = 'emitted'")
    ]
    told = [one.payload["key"] for one in evidence.told("SignalEmitted")]
    stray = evidence.rows(
        "SELECT signal_key FROM decisions WHERE reason <> 'emitted' AND signal_key IS NOT NULL"
    )
    found = [f"{row['signal_key']} of a decision that did not emit" for row in stray]
    for name, keys in (("signals", rows), ("decisions", decided), ("events", told)):
        found += [f"{key} twice among the {name}" for key in repeated(keys)]
    for name, keys in (("decisions", decided), ("events", told)):
        found += [f"{key} is lost: no row of signals" for key in sorted(set(keys) - set(rows), key=str)]
        found += [f"{key} is not among the {name}" for key in sorted(set(rows) - set(keys))]
    return Verdict.of("no signal lost or doubled", len(rows), found)


def signals_end(evidence: Evidence) -> Verdict:
    """Each signal is filled once and closed once, or given up once, or open at the end; nothing else is.

    While one goes on, its coin has no other.
    """
    steps: dict[str, list[str]] = defaultdict(list)
    for one in evidence.told("SignalEmitted", "PositionOpened", "PositionClosed", "EntryCancelled"):
        steps[one.payload["key"]].append(one.type)
    traded = [row["key"] for row in evidence.rows("SELECT key FROM trades")]
    held, dropped = _held(evidence)
    found = [f"{key} was traded twice" for key in repeated(traded)]
    found += _side_by_side(evidence)
    ends = {
        ("SignalEmitted", "PositionOpened", "PositionClosed"),
        ("SignalEmitted", "EntryCancelled"),
    }
    for key, way in steps.items():
        if tuple(way) not in ends and key not in held | dropped:
            found.append(f"{key} went {' → '.join(way)} and is not open")
        if ("PositionClosed" in way) != (key in traded):
            found.append(f"{key} has {'no' if 'PositionClosed' in way else 'a'} trade, its events: {way}")
    found += [f"{key} was traded and never told" for key in set(traded) - set(steps)]
    return Verdict.of(
        "each signal ends once", len(steps), found, f"{len(traded):,} trades, {len(held)} open at the end"
    )


def _side_by_side(evidence: Evidence) -> Iterator[str]:
    """Signals of a coin that has one going: what a kill doubled under another name."""
    going: dict[str, str] = {}
    for one in evidence.told("SignalEmitted", "PositionClosed", "EntryCancelled", "AccountReset"):
        if one.type == "AccountReset":
            if one.payload["fresh"]:
                going.clear()
            continue
        key, coin = one.payload["key"], one.payload["symbol"]
        if one.type != "SignalEmitted":
            going.pop(coin, None)
        elif coin in going:
            yield f"{key} was emitted while {going[coin]} was going on"
        else:
            going[coin] = key


def _held(evidence: Evidence) -> tuple[set[str], set[str]]:
    """Keys that are open at the end, and those that were when an operator opened a fresh account."""

    def keys(paper: dict[str, list[dict[str, object]]]) -> set[str]:
        orders = [*paper["orders"], *(position["order"] for position in paper["positions"])]
        return {str(order["key"]) for order in orders}  # type: ignore[index]

    rows = evidence.rows(
        "SELECT desk FROM run_accounts JOIN runs USING (run_id) WHERE kind = 'live' AND ended_at IS NULL"
    )
    held = keys(json.loads(rows[0]["desk"])["paper"]) if rows else set()
    going: set[str] = set()
    dropped: set[str] = set()
    for one in evidence.told("SignalEmitted", "PositionClosed", "EntryCancelled", "AccountReset"):
        if one.type == "SignalEmitted":
            going.add(one.payload["key"])
        elif one.type == "AccountReset":
            dropped |= going if one.payload["fresh"] else set()
        else:
            going.discard(one.payload["key"])
    return held, dropped


def not_while_killed(evidence: Evidence) -> Verdict:
    """Between KillSwitchSet on and off no SignalEmitted, no delivery that began; no killed scan emitted.

    And nothing of a signal arrived at the chat meanwhile, by the Bot API's own watch.
    """
    found, killed, delivered, windows = [], False, 0, 0
    for one in evidence.told("KillSwitchSet", "SignalEmitted", "AlertDelivered"):
        if one.type == "KillSwitchSet":
            windows += one.payload["on"] and not killed
            delivered = delivered if killed else 0
            killed = bool(one.payload["on"])
        elif killed and one.type == "SignalEmitted":
            found.append(f"{one.payload['key']} was emitted (event {one.seq}) while killed")
        elif killed and one.payload["kind"] == "signal":
            delivered += 1
            if delivered > 1:
                found.append(f"alert {one.payload['event_id']} was delivered while killed")
    rows = evidence.rows(
        "SELECT scan_seq, symbol FROM decisions JOIN scans ON scans.run_id = decisions.run_id"
        " AND scans.seq = decisions.scan_seq WHERE killed = 1 AND reason = 'emitted'"
    )
    found += [f"scan {row['scan_seq']} emitted {row['symbol']} while killed" for row in rows]
    found += told_while_killed(evidence)
    asked = len(evidence.noted("switch_on"))
    set_on = sum(bool(one.payload["on"]) for one in evidence.told("KillSwitchSet"))
    if set_on < asked:
        found.append(f"the switch was turned on {asked} times and {set_on} are told")
    held = evidence.rows("SELECT count(*) FROM decisions WHERE reason = 'killed'")[0][0]
    return Verdict.of("no emission while killed", windows, found, f"{held:,} decisions held back")


def not_while_halted(evidence: Evidence) -> Verdict:
    """Between a GuardStateChanged to HALTED and the next state no SignalEmitted; no HALTED scan emitted."""
    found, halted, windows = [], False, 0
    for one in evidence.told("GuardStateChanged", "AccountReset", "SignalEmitted"):
        if one.type == "SignalEmitted":
            if halted:
                found.append(f"{one.payload['key']} was emitted (event {one.seq}) while halted")
            continue
        before, halted = halted, one.type == "GuardStateChanged" and one.payload["status"] == "HALTED"
        windows += halted and not before
    rows = evidence.rows(
        "SELECT scan_seq, symbol FROM decisions JOIN scans ON scans.run_id = decisions.run_id"
        " AND scans.seq = decisions.scan_seq WHERE guard = 'HALTED' AND reason = 'emitted'"
    )
    found += [f"scan {row['scan_seq']} emitted {row['symbol']} while halted" for row in rows]
    held = evidence.rows("SELECT count(*) FROM scans WHERE guard = 'HALTED'")[0][0]
    return Verdict.of("no emission while halted", windows, found, f"{held:,} scans were HALTED")


def ledger(evidence: Evidence) -> Verdict:
    """The chain, every version's files and every link are what the ledger says; decisions follow it."""
    try:
        book = read_ledger(evidence.paths.ledger)
        entries, live = book.entries, book.live()
        bad = [one for one in verify(evidence.paths) if not one.ok]
    except TradingAIError as error:
        return Verdict.of("ledger valid", 1, [str(error)])
    changes = sum(entry.kind in {"promoted", "rolled_back"} for entry in entries)
    found = [f"{one.model} {one.version}: {one.detail}" for one in bad]
    newest = evidence.rows(
        "SELECT symbol, versions, max(at) FROM decisions WHERE versions <> '{}' GROUP BY symbol"
    )
    for row in newest:
        for model, version in json.loads(row["versions"]).items():
            if live[model].version != version:
                found.append(
                    f"{row['symbol']} is decided by {model} {version}, live is {live[model].version}"
                )
    return Verdict.of("ledger valid", len(entries), found, f"{changes} promotions and rollbacks")


def funnel(evidence: Evidence) -> Verdict:
    """One decision a coin and scan, none of a failed one; the counts a scan told are those of its rows."""
    counted: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    coins: dict[tuple[str, int], list[str]] = defaultdict(list)
    found = []
    for row in evidence.rows("SELECT run_id, scan_seq, symbol, reason FROM decisions"):
        key = (row["run_id"], row["scan_seq"])
        counted[key][row["reason"]] += 1
        coins[key].append(row["symbol"])
        if row["reason"] not in set(REASONS):
            found.append(f"scan {row['scan_seq']}: {row['reason']!r} is no reason")
    told = {(one.run, one.payload["seq"]): one.payload["reasons"] for one in evidence.told("ScanCompleted")}
    every = {symbol for symbols in coins.values() for symbol in symbols}
    rows = evidence.rows("SELECT run_id, seq, state FROM scans")
    for row in rows:
        key, seq = (row["run_id"], row["seq"]), row["seq"]
        expected = [] if row["state"] == "failed" else sorted(every)
        if sorted(coins.get(key, [])) != expected:
            found.append(f"scan {seq} ({row['state']}) decided on {sorted(coins.get(key, []))}")
        if row["state"] != "failed" and told.get(key) != dict(counted[key]):
            found.append(f"scan {seq} told {told.get(key)} and its decisions are {dict(counted[key])}")
    total: Counter[str] = sum(counted.values(), Counter())
    words = ", ".join(f"{total[reason]:,} {reason.replace('_', ' ')}" for reason in REASONS if total[reason])
    return Verdict.of("funnel adds up", total.total(), found, words)


def scans(evidence: Evidence) -> Verdict:
    """Numbers without a gap, and no time between two scans that is not told of."""
    found = []
    rows = evidence.rows("SELECT run_id, seq, state FROM scans ORDER BY run_id, seq")
    runs: dict[str, int] = defaultdict(int)
    for row in rows:
        runs[row["run_id"]] += 1
        if row["seq"] != runs[row["run_id"]]:
            found.append(f"scan {runs[row['run_id']]} of {row['run_id']} is missing")
            runs[row["run_id"]] = row["seq"]
    told = evidence.told(*SCANNED)
    if len(told) != len(rows):
        found.append(f"{len(rows)} scans are stored and {len(told)} are told")
    found += _silent_gaps(evidence)
    states = Counter(row["state"] for row in rows)
    words = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    return Verdict.of("no scan skipped in silence", len(rows), found, words)


def _silent_gaps(evidence: Evidence) -> Iterator[str]:
    """Dues that are not where the one before, or the engine's start, and the told overruns put them."""
    interval_s = evidence.plan.interval_s
    before = started = ""
    missed, jumped = 0, False
    for one in evidence.events:
        match one.type:
            case "ScanOverrun":
                missed += one.payload["missed"]
            case "ClockJumped":
                jumped = True
            case "EngineStarted":
                before, started, missed, jumped = "", one.at, 0, False
            case "ScanCompleted" | "ScanFailed":
                due = one.payload["due"]
                if before and not jumped and _apart(before, due) != (1 + missed) * interval_s:
                    yield (
                        f"{_apart(before, due):g} s from the scan due {before} to that of {due},"
                        f" {missed} told as missed"
                    )
                if started and not jumped and not 0 <= _apart(started, due) <= (1 + missed) * interval_s:
                    yield f"{_apart(started, due):g} s from the start at {started} to the scan due {due}"
                before, started, missed, jumped = due, "", 0, False


def _apart(earlier: str, later: str) -> float:
    """Seconds."""
    return (parse_iso(later) - parse_iso(earlier)).total_seconds()


def memory(samples: Sequence[Sample], seconds: float) -> Verdict:
    """Of the process that lived longest: its largest size in the last tenth over that in the second.

    ``seconds``: of the plan, which spares its middle third, so that one process lives at least that long.
    """
    lives: dict[int, list[Sample]] = defaultdict(list)
    for one in samples:
        lives[one.start].append(one)
    longest = max(lives.values(), key=lambda life: life[-1].at - life[0].at, default=[])
    if not longest:
        return Verdict.of("memory flat", 0, [])
    lasted = longest[-1].at - longest[0].at
    tenth = max(1, len(longest) // 10)
    first = max(one.mb for one in longest[tenth : 2 * tenth] or longest[:1])
    growth = max(one.mb for one in longest[-tenth:]) - first
    allowed = GROWTH_MB if lasted >= LONG_LIFE_S else GROWTH_OF_A_DAY_MB
    words = (
        f"{growth:+.1f} MB on {first:.0f} MB within {lasted / DAY:.1f} days of one process"
        f" ({allowed:g} MB allowed)"
    )
    found = [] if growth <= allowed else [words]
    third = (seconds - 2 * CALM_S) / 3
    if third >= LONG_LIFE_S and lasted < third - 2 * HOUR:
        found.append(f"no process lived through the middle third: the longest {lasted / DAY:.1f} days")
    return Verdict.of("memory flat", len(longest), found, words)
