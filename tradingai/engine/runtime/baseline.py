"""Beginning an observation: the baseline it is compared with, and its row in the store.

The baseline is a replay of the range that the live models were tested on, through the code of the live loop,
with the settings and the threshold that hold now; the same command makes the same run again. The observation
begins when its row is written: a process that dies before has begun none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.errors import MissingError, UsageError
from tradingai.engine.core.events import ObservationStarted
from tradingai.engine.core.jsonio import iso_z, parse_iso
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Reporter
from tradingai.engine.core.setting_groups import ObservationSettings
from tradingai.engine.core.settings import Settings
from tradingai.engine.inference.promoted import PromotedModels, load_promoted
from tradingai.engine.queries.observation_reader import read_observation
from tradingai.engine.queries.status import threshold
from tradingai.engine.registry.certificates import read_certificate
from tradingai.engine.runtime.replay import plan_replay, read_inputs, replay
from tradingai.engine.runtime.runs import close_dead_runs, code_version, deciding_hash
from tradingai.engine.store.database import Store
from tradingai.engine.store.observation_rows import ObservationRow

_AGAIN: Final = "Evaluate and promote them again: `tradingai evaluate MODEL`."
_NO_MODEL: Final = "`tradingai pipeline --workload quick` trains, evaluates and promotes."


@dataclass(frozen=True, slots=True)
class TestedRange:
    """What every live model was tested on, and none was trained on; both ends included."""

    start: datetime
    end: datetime

    def hours(self, most_days: float) -> int:
        """Whole hours at its end, no more than so many days. Raises MissingError for less than one."""
        whole = int((self.end - self.start) / timedelta(hours=1))
        hours = min(whole, int(24 * most_days))
        if hours < 1:
            raise MissingError(
                f"the live models were tested on {self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} "
                f"UTC, and OBSERVATION_BASELINE_DAYS={most_days:g}: no hour is left for a baseline",
                remedy="Evaluate models that were tested on the same range, or raise the setting.",
            )
        return hours


def tested_range(paths: HomePaths, promoted: PromotedModels, symbols: tuple[str, ...]) -> TestedRange:
    """What the certificates of the live models have in common.

    Raises MissingError when no model is live, ArtifactError for a certificate that is not what was recorded.
    """
    if not promoted.models:
        refused = "; ".join(f"{event.model} was refused: {event.reason}" for event in promoted.refused)
        raise MissingError(refused or "no model is promoted: there is nothing to observe", remedy=_NO_MODEL)
    ledger = read_ledger(paths.ledger)
    starts, ends = [], []
    for model, version in promoted.versions.items():
        report = read_certificate(paths, ledger.evaluations(model, version)[-1])
        tested = [coin for coin in report.coins if coin.symbol in symbols]
        starts += [coin.start for coin in tested if coin.start is not None]
        ends += [coin.end for coin in tested if coin.end is not None]
    if not starts or not ends:
        raise MissingError("the live models' certificates name no test range", remedy=_AGAIN)
    return TestedRange(max(starts), min(ends))


def observe_job(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter
) -> dict[str, Any]:
    """The worker's function for a ``StartObservation`` command; it holds the lock of replays."""
    return asyncio.run(_observe_job(paths, settings, params, reporter, RealClock()))


async def _observe_job(
    paths: HomePaths, settings: Settings, params: Mapping[str, Any], reporter: Reporter, clock: Clock
) -> dict[str, Any]:
    async with await Store.open(settings.database_path(paths.root), paths, clock) as store:
        row = await start_observation(store, paths, settings, params, reporter, clock)
    base, hours = row.baseline, row.required["observation_hours"]
    return {
        "summary": f"{hours:g} h to observe; baseline {base['trades']:,} trades in {base['hours']} h",
        "observation": {
            "id": row.observation_id,
            "started_at": iso_z(row.started_at),
            "required": dict(row.required),
            "baseline": dict(base),
        },
    }


async def start_observation(
    store: Store,
    paths: HomePaths,
    settings: Settings,
    params: Mapping[str, Any],
    reporter: Reporter,
    clock: Clock,
) -> ObservationRow:
    """Make the baseline and begin the observation; the caller holds the lock of replays.

    ``params``: anew, sender, surface, command_id, issued_at. Done again for the same command it finds what it
    began. Raises UsageError when one runs and ``anew`` is False, MissingError when models or candles are
    missing, InterruptedRunError at a safe point.
    """
    name = f"observation-{parse_iso(params['issued_at']):%Y%m%dT%H%M%S}-{params['command_id'][:6]}"
    before = await store.observations.newest()
    if before is not None and before.observation_id == name:
        return before
    given_up = await _given_up(before, paths, settings, clock, anew=bool(params["anew"]))
    effective = float(threshold(settings, await store.controls.all())["value"])
    baseline = await _baseline(store, paths, settings, effective, reporter, clock)
    row = ObservationRow(
        observation_id=name,
        started_at=clock.now(),
        after_beat=0,
        sender=params["sender"],
        surface=params["surface"],
        required=required(settings),
        baseline=baseline,
    )
    event = ObservationStarted(
        observation=name,
        baseline_run=baseline["run"],
        required_hours=settings.observation_hours,
        win_rate=baseline["win_rate"],
        trades=baseline["trades"],
        who=row.sender,
        surface=row.surface,
        given_up_hours=given_up,
    )
    await store.observations.start(row, event, give_up=given_up is not None)
    return row


def required(settings: Settings) -> dict[str, Any]:
    """What an observation that begins now demands, for its row."""
    names = (*ObservationSettings.model_fields, "heartbeat_s")
    return {name: getattr(settings, name) for name in names}


async def _given_up(
    before: ObservationRow | None, paths: HomePaths, settings: Settings, clock: Clock, *, anew: bool
) -> float | None:
    """Hours that a running observation counted; None when none runs. Raises UsageError unless ``anew``."""
    if before is None or before.ended_at is not None:
        return None
    view = await asyncio.to_thread(read_observation, paths, settings, clock.now())
    if not anew:
        raise UsageError(
            f"an observation runs since {before.started_at:%Y-%m-%d %H:%M} UTC and has counted "
            f"{view.continuous_hours:.2f} of {view.required_hours:g} h",
            remedy="`tradingai observe status` shows it; `tradingai observe start --anew` gives it up.",
        )
    return view.continuous_hours


async def _baseline(
    store: Store,
    paths: HomePaths,
    settings: Settings,
    effective: float,
    reporter: Reporter,
    clock: Clock,
) -> dict[str, Any]:
    """The replayed test range; an earlier replay of the very same inputs is taken as it stands."""
    promoted = load_promoted(paths, read_ledger(paths.ledger), settings.symbols)
    tested = tested_range(paths, promoted, settings.symbols)
    hours = tested.hours(settings.observation_baseline_days)
    now = settings
    if effective != settings.confidence_threshold:
        now = settings.model_copy(update={"confidence_threshold": effective})
    plan = plan_replay(paths, now.symbols, hours, tested.end, now.scan_interval_s)
    inputs = read_inputs(paths, now, plan, promoted)
    await close_dead_runs(store, "replay")
    done = await store.scans.finished("replay", inputs.request["key"])
    result = dict(done.result) if done else await replay(store, now, inputs, reporter, clock)
    scored = sum(result["by_tier"].values())
    given = f"CONFIDENCE_THRESHOLD={effective:g} " if now is not settings else ""
    return {
        "run": result["run"],
        "start": result["start"],
        "end": result["end"],
        "hours": hours,
        "trades": result["trades"],
        "wins": result["wins"],
        "win_rate": result["win_rate"],
        "scored": scored,
        "tiers": {tier: number / scored for tier, number in result["by_tier"].items()} if scored else {},
        "threshold": effective,
        "interval_s": result["interval_s"],
        "models": await store.scans.models(result["run"]),
        "candles": inputs.request["candles"],
        "settings_hash": deciding_hash(settings, inputs.config),
        "code_version": code_version(),
        "decisions_sha256": result["decisions_sha256"],
        "synthetic": result["synthetic"],
        "command": f"{given}tradingai replay --hours {hours} --end {iso_z(tested.end)}",
    }
