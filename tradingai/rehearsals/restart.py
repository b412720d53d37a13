"""Rehearsal: a scanning process is killed within a scan and started again; nothing is lost or doubled."""

from __future__ import annotations

import signal
import sqlite3
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Final, NamedTuple

from tradingai.engine.core.commands import SetThreshold
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.facade import operator
from tradingai.engine.runtime.controls import carry_out
from tradingai.engine.runtime.verify import verify_run
from tradingai.engine.store.database import Store
from tradingai.engine.store.read_only import reading
from tradingai.engine.store.scan_rows import ScanRow
from tradingai.engine.store.stamps import stamp
from tradingai.rehearsals.processes import Scanner, call
from tradingai.rehearsals.stage import LOWEST_THRESHOLD, Copied, Finding, Stage

KILLS: Final = 2
INTERVAL_S: Final = 1
SCANS_BETWEEN: Final = 3
"""Scans that have to be told of before the next kill."""
MOST_SCANS: Final = 300
"""A scanning process ends by itself after so many, whatever becomes of the rehearsal."""
START_S: Final = 120.0
"""How long a process may take until its first scans are stored."""
TRIES: Final = 60
"""Seconds in which to catch a scan that is due and not stored yet."""
LEAST_WORK_MS: Final = 1.0
"""CPU time since the scan was due, from which on it is under way."""


async def rehearse(stage: Stage) -> Finding:
    """Kill it KILLS times, let it end well once, then look at every row."""
    finding, copied = Finding(), stage.copy()
    await _lower_threshold(stage, copied)
    told: set[int] = set()
    for number in range(1, KILLS + 1):
        stage.say(f"scanning until kill {number} of {KILLS}")
        scanner = await Scanner.start(stage, INTERVAL_S, MOST_SCANS)
        try:
            await scanner.until_told(SCANS_BETWEEN, START_S)
            caught = await _kill_within_a_scan(stage, copied, scanner)
            status = await scanner.ended()
        finally:
            scanner.drop()
        told |= set(scanner.told)
        finding.expect(status == -signal.SIGKILL, f"kill {number}: the process ended with {status}")
        finding.steps.append(
            f"kill {number}: SIGKILL {caught.late_ms:.0f} ms after a scan was due and before it was stored"
            f"{caught.worked}; {len(scanner.told)} scans had been told of"
        )
    stage.say("starting again")
    last = await call(stage, "run", "--interval", str(INTERVAL_S), "--scans", str(SCANS_BETWEEN), "--json")
    finding.expect(last.status == 0, f"started again it ended with {last.status}: {last.err[-300:].strip()}")
    await _examine(stage, copied, finding, told)
    finding.remedy = "`tradingai doctor` looks at the database; `observe verify` recomputes a run."
    finding.not_rehearsed += [
        "a power failure: the kernel lived on, so that what was written reached the disk in time",
        f"the settings' interval: scans came every {INTERVAL_S} s",
    ]
    return finding


async def _lower_threshold(stage: Stage, copied: Copied) -> None:
    """So that signals are emitted and positions are open when it is killed."""
    path = copied.settings.database_path(copied.paths.root)
    command = SetThreshold(
        sender=operator(), surface="cli", issued_at=stage.clock.now(), value=LOWEST_THRESHOLD
    )
    async with await Store.open(path, copied.paths, stage.clock) as store:
        await carry_out(store, copied.settings, copied.paths, stage.clock, command)


class _Caught(NamedTuple):
    """A process that was killed within a scan."""

    late_ms: float
    """Between the time the scan was due and the stop."""
    cpu_ms: float | None
    """What it had worked in that time; None where the kernel does not tell."""

    @property
    def worked(self) -> str:
        """In words."""
        return "" if self.cpu_ms is None else f", {self.cpu_ms:.1f} ms of work into it"


async def _kill_within_a_scan(stage: Stage, copied: Copied, scanner: Scanner) -> _Caught:
    """Stop the process right after a scan was due; kill it when it worked and that scan is not stored.

    Raises TradingAIError when every scan was stored by then.
    """
    clock, path = stage.clock, copied.settings.database_path(copied.paths.root)
    for attempt in range(TRIES):
        now = clock.now()
        due = now.replace(microsecond=0) + timedelta(seconds=1)
        await clock.sleep((due - now).total_seconds())
        before = _worked_ms(scanner.process.pid)
        await clock.sleep(0.004 * (1 + attempt % 8))
        if scanner.process.returncode is not None:
            break
        scanner.send(signal.SIGSTOP)
        late_ms = (clock.now() - due).total_seconds() * 1000
        await clock.sleep(0.02)
        after = _worked_ms(scanner.process.pid)
        cpu_ms = None if before is None or after is None else after - before
        if not _is_stored(path, stamp(due)) and (cpu_ms is None or cpu_ms >= LEAST_WORK_MS):
            scanner.send(signal.SIGKILL)
            return _Caught(late_ms, cpu_ms)
        scanner.send(signal.SIGCONT)
    raise TradingAIError("no scan could be caught before it was stored", remedy="Rehearse it again.")


def _worked_ms(pid: int) -> float | None:
    """CPU time of a process's main thread; None where there is no /proc that tells."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e6
    except (OSError, ValueError, IndexError):
        return None


def _is_stored(path: Path, due: str) -> bool:
    with reading(path) as connection:
        return connection.execute("SELECT 1 FROM scans WHERE due >= ? LIMIT 1", (due,)).fetchone() is not None


# -- what is there


async def _examine(stage: Stage, copied: Copied, finding: Finding, told: set[int]) -> None:
    path = copied.settings.database_path(copied.paths.root)
    async with await Store.open(path, copied.paths, stage.clock) as store:
        newest = await store.live.newest_run()
        if newest is None:
            finding.failures.append("there is no live run")
            return
        run = newest[0].run_id
        scans = await store.scans.scans(run)
        events = [(one.type, one.payload) for one in await store.events.after(0, limit=100_000)]
        verified = await verify_run(store, copied.paths, run, SilentReporter(), stage.clock)
    starts = [payload for kind, payload in events if kind == "EngineStarted"]
    _expect_starts(finding, starts, run)
    _expect_scans(finding, scans, told)
    with reading(path) as connection:
        _expect_rows(finding, connection, run)
    finding.expect(
        verified.verified,
        f"computed again {verified.identical} of {verified.decisions} decisions are identical",
    )
    finding.measured |= {
        "kills": KILLS,
        "run": run,
        "scans": len(scans),
        "scans_told_before_kills": len(told),
        "decisions": verified.decisions,
        "identical_when_computed_again": verified.identical,
    }
    finding.steps += [
        "started again each time: the same run went on, and named the start before as died",
        (
            "every scan it had told of is stored once, numbers without a gap, every signal and trade once, "
            f"every candle received once; {verified.identical} of {verified.decisions} decisions computed "
            "again are identical"
        ),
    ]
    finding.summary = (
        f"{KILLS} kills within a scan, {len(scans)} scans: none lost, none doubled; "
        f"{verified.identical} of {verified.decisions} decisions identical when computed again"
    )
    finding.look = f"observe verify --run {run}"


def _expect_starts(finding: Finding, starts: list[dict[str, object]], run: str) -> None:
    found = [start["previous"] for start in starts]
    finding.expect(
        found == ["", *["died"] * KILLS], f"the starts say of the ones before: {', '.join(map(str, found))}"
    )
    runs = {str(start["run_id"]) for start in starts}
    finding.expect(runs == {run}, f"not one run went on: {', '.join(sorted(runs))}")


def _expect_scans(finding: Finding, scans: list[ScanRow], told: set[int]) -> None:
    numbers = [row.seq for row in scans]
    finding.expect(numbers == list(range(1, len(scans) + 1)), f"scan numbers have a gap: {numbers}")
    lost = sorted(told - set(numbers))
    finding.expect(not lost, f"scans that were told of are not stored: {lost}")
    doubled = [due for due, count in Counter(row.due for row in scans).items() if count > 1]
    finding.expect(not doubled, f"scans were made twice for the same time: {doubled}")
    failed = [row.seq for row in scans if row.state == "failed"]
    finding.expect(not failed, f"scans failed: {failed}")


_DOUBLED: Final = {
    "a coin was decided on twice in a scan": (
        "SELECT count(*) FROM (SELECT 1 FROM decisions WHERE run_id = :run"
        " GROUP BY scan_seq, symbol HAVING count(*) > 1)"
    ),
    "scans have no decisions": (
        "SELECT count(*) FROM scans WHERE run_id = :run AND state <> 'failed'"
        " AND NOT EXISTS (SELECT 1 FROM decisions WHERE decisions.run_id = :run AND scan_seq = seq)"
    ),
    "signals were emitted twice for one candle": (
        "SELECT count(*) FROM (SELECT 1 FROM decisions WHERE run_id = :run AND reason = 'emitted'"
        " GROUP BY symbol, candle HAVING count(*) > 1)"
    ),
    "emitted decisions have no signal, or signals no decision": (
        "SELECT abs((SELECT count(*) FROM decisions WHERE run_id = :run AND reason = 'emitted')"
        " - (SELECT count(*) FROM signals WHERE run_id = :run))"
    ),
    "trades belong to no signal": (
        "SELECT count(*) FROM trades WHERE run_id = :run"
        " AND key NOT IN (SELECT key FROM signals WHERE run_id = :run)"
    ),
    "candles were received twice": (
        "SELECT count(*) FROM (SELECT 1 FROM live_candles WHERE run_id = :run AND warm = 0"
        " GROUP BY symbol, ts_us HAVING count(*) > 1)"
    ),
    "signal events differ from the signals": (
        "SELECT abs((SELECT count(*) FROM events WHERE run_id = :run AND type = 'SignalEmitted')"
        " - (SELECT count(*) FROM signals WHERE run_id = :run))"
    ),
}
"""What must count nothing."""


def _expect_rows(finding: Finding, connection: sqlite3.Connection, run: str) -> None:
    for words, query in _DOUBLED.items():
        count = connection.execute(query, {"run": run}).fetchone()[0]
        finding.expect(count == 0, f"{words}: {count}")
    signals = connection.execute("SELECT count(*) FROM signals WHERE run_id = ?", (run,)).fetchone()[0]
    trades = connection.execute("SELECT count(*) FROM trades WHERE run_id = ?", (run,)).fetchone()[0]
    finding.measured |= {"signals": signals, "trades": trades}
    finding.expect(signals > 0, "nothing was emitted: no position was open when it was killed")
