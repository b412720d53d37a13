"""Where a home stands, for ``tradingai status``: the store, manifests and the ledger, and nothing heavy.

Nothing is written, no lock is taken, and a part that cannot be read is reported instead of hiding the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from tradingai.engine.core.clock import Clock
from tradingai.engine.core.errors import ArtifactError, TradingAIError
from tradingai.engine.core.files import read_json
from tradingai.engine.core.jsonio import plain
from tradingai.engine.core.ledger import Ledger, read_ledger
from tradingai.engine.core.locks import read_owner, seen_held
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.settings import Settings
from tradingai.engine.queries.alert_views import read_telegram, telegram_off
from tradingai.engine.queries.live_views import read_funnel, read_live
from tradingai.engine.queries.observation_reader import ObservationReader
from tradingai.engine.queries.observation_views import ObservationView
from tradingai.engine.queries.phases import Facts, phases
from tradingai.engine.store.control_rows import ControlRow, control_row
from tradingai.engine.store.failures import is_database
from tradingai.engine.store.job_rows import OPEN_STATES, SELECT_JOBS, JobRow, job_row
from tradingai.engine.store.manifests import read_dataset_manifest, read_feature_manifest
from tradingai.engine.store.read_only import reading

Value = TypeVar("Value")
_StoreRows = tuple[
    list[JobRow], dict[str, ControlRow] | None, dict[str, Any], dict[str, Any], ObservationView
]
"""Jobs, controls (None when the store cannot be read), the live run, Telegram, the observation."""
_PATIENCE_S = 1.0
"""How long ``status`` waits for a database that somebody has locked."""


@dataclass(slots=True)
class _Reading:
    """What could be read so far, and what could not."""

    problems: list[TradingAIError] = field(default_factory=list)

    def attempt(self, read: Callable[[], Value], otherwise: Value) -> Value:
        """``read()``, or ``otherwise`` with the problem noted."""
        try:
            return read()
        except TradingAIError as error:
            self.problems.append(error)
            return otherwise

    def each(self, folder: Path, read: Callable[[str], Value]) -> dict[str, Value]:
        """What ``read`` makes of every symbol that has a folder with a manifest; damaged ones are noted."""
        values: dict[str, Value] = {}
        for manifest in sorted(folder.glob("*/manifest.json")):
            try:
                values[manifest.parent.name] = read(manifest.parent.name)
            except TradingAIError as error:
                self.problems.append(error)
        return values


def read_status(paths: HomePaths, settings: Settings, clock: Clock) -> dict[str, Any]:
    """The document of ``status --json``; works on an empty folder and with a damaged database or ledger."""
    found = _Reading()
    datasets = found.each(paths.candles, lambda symbol: read_dataset_manifest(paths, symbol))
    features = found.each(paths.features, lambda symbol: read_feature_manifest(paths, symbol))
    ledger = found.attempt(lambda: read_ledger(paths.ledger), Ledger())
    artifacts = found.attempt(lambda: _artifacts(paths), dict[str, str]())
    chat = settings.alert_chat
    observation = ObservationView(required_hours=settings.observation_hours)
    unreadable: _StoreRows = ([], None, {}, telegram_off(chat), observation)
    stored, controls, live, telegram, observation = found.attempt(
        lambda: _read_store(paths, settings, clock, unreadable), unreadable
    )
    jobs = [as_seen(paths, job) for job in stored]
    facts = Facts(
        coins=_coins(settings, set(datasets)),
        provider=settings.data_provider,
        datasets=datasets,
        features=features,
        artifacts=artifacts,
        ledger=ledger,
        jobs=jobs,
        observation=observation,
    )
    return {
        "home": str(paths.root),
        "at": plain(clock.now()),
        "phases": [phase.as_json() for phase in phases(facts)],
        "engine": {**engine_state(paths), **live},
        "models": _models(facts),
        "scan_loop": scan_loop(controls),
        "kill_switch": kill_switch(settings, controls),
        "threshold": threshold(settings, controls),
        "telegram": telegram,
        "observation": observation_summary(observation),
        "jobs": [_job(job) for job in jobs if job.state in {"queued", "running"}],
        "problems": [problem.as_json()["error"] for problem in found.problems],
    }


def kill_switch(settings: Settings, controls: dict[str, ControlRow] | None) -> dict[str, Any]:
    """Whether anything may be emitted: KILL_SWITCH, or the persisted state, or a store nobody can read."""
    if settings.kill_switch:
        return {"on": True, "source": "KILL_SWITCH"}
    if controls is None:
        return {"on": True, "source": "the store cannot be read"}
    row = controls.get("kill_switch")
    if row is None:
        return {"on": False, "source": "default"}
    return {
        "on": bool(row.value),
        "source": row.surface,
        "since": plain(row.set_at),
        "by": row.sender,
        "reason": row.reason,
    }


def threshold(settings: Settings, controls: dict[str, ControlRow] | None) -> dict[str, Any]:
    """The confidence a signal needs, and where the number comes from."""
    row = (controls or {}).get("threshold")
    if row is None:
        return {"value": settings.confidence_threshold, "source": "CONFIDENCE_THRESHOLD"}
    return {"value": float(row.value), "source": row.surface, "since": plain(row.set_at), "by": row.sender}


def scan_loop(controls: dict[str, ControlRow] | None) -> dict[str, Any]:
    """Whether an operator chose that consoles of this home scan, and how often (None: SCAN_INTERVAL_S)."""
    row = (controls or {}).get("scan_loop")
    if row is None:
        return {"chosen": False, "interval_s": None}
    return {
        "chosen": bool(row.value["on"]),
        "interval_s": row.value["interval_s"],
        "since": plain(row.set_at),
        "by": row.sender,
    }


def _coins(settings: Settings, there: set[str]) -> tuple[str, ...]:
    """The coins the phases are about: those that have candles, and SYMBOLS unless all of it is other data."""
    configured = settings.symbols
    if there and not there & set(configured):
        return tuple(sorted(there))
    return (*configured, *sorted(there - set(configured)))


def as_seen(paths: HomePaths, job: JobRow) -> JobRow:
    """The job; as interrupted when it should be running and its process is not there any more.

    The store is told by the next process that may write.
    """
    if job.state in OPEN_STATES and not seen_held(paths.runner_lock(job.runner)):
        return replace(job, state="interrupted")
    return job


def read_controls(database: Path, settings: Settings) -> dict[str, Any]:
    """Kill switch and threshold with their sources; a store that cannot be read is a kill."""
    controls: dict[str, ControlRow] | None
    try:
        controls = {}
        if is_database(database):
            with reading(database, timeout_s=_PATIENCE_S) as connection:
                rows = connection.execute("SELECT * FROM controls").fetchall()
            controls = {row["name"]: control_row(row) for row in rows}
    except TradingAIError:
        controls = None
    return {"kill_switch": kill_switch(settings, controls), "threshold": threshold(settings, controls)}


def observation_summary(view: ObservationView) -> dict[str, Any]:
    """The observation in a few numbers; `observe status --json` has the rest."""
    return {
        "state": view.state,
        "id": view.id or None,
        "hours": view.continuous_hours,
        "required_hours": view.required_hours,
        "since": plain(view.clock_started_at),
        "counting": view.counting,
        "go_not_before": plain(view.go_not_before),
        "crashes": view.crashes,
        "restarts": len(view.restarts),
        "criteria": {one.id: {"state": one.state, "measured": one.measured} for one in view.criteria},
        "holding": view.holding,
        "verdict": view.verdict.word or None,
        "decided_by": view.verdict.decided_by,
        "scaled": [one.text for one in view.scaled],
    }


def _read_store(paths: HomePaths, settings: Settings, clock: Clock, nothing: _StoreRows) -> _StoreRows:
    database, chat = settings.database_path(paths.root), settings.alert_chat
    if not is_database(database):
        return [], {}, {}, telegram_off(chat), nothing[-1]
    with reading(database, timeout_s=_PATIENCE_S) as connection:
        jobs = connection.execute(
            f"{SELECT_JOBS} ORDER BY created_at DESC, jobs.rowid DESC LIMIT 200"
        ).fetchall()
        controls = connection.execute("SELECT * FROM controls").fetchall()
        live = read_live(connection, clock.now())
        telegram = read_telegram(connection, chat)
        live["funnel"] = None if live["run"] is None else read_funnel(connection, live["run"])
        observation = ObservationReader(paths, chat).read(connection, clock.now())
    if observation.state == "none":
        observation = nothing[-1]
    found = {row["name"]: control_row(row) for row in controls}
    return [job_row(row) for row in jobs], found, live, telegram, observation


def _artifacts(paths: HomePaths) -> dict[str, str]:
    """Hash of every model's best checkpoint, from the JSON beside it."""
    suffix = "_best"
    return {
        card.stem.removesuffix(suffix): _artifact_hash(card)
        for card in sorted(paths.checkpoints.glob(f"*{suffix}.json"))
        if card.with_suffix(".pt").exists()
    }


def _artifact_hash(card: Path) -> str:
    document = read_json(card)
    if not isinstance(document, dict) or not isinstance(document.get("sha256"), str):
        raise ArtifactError(f"{card} describes no model", remedy="Train the model again: `tradingai train`.")
    return str(document["sha256"])


def _models(facts: Facts) -> dict[str, Any]:
    live = facts.ledger.live()
    models: dict[str, Any] = {}
    for model in dict.fromkeys((*facts.artifacts, *facts.ledger.models())):
        evaluations = facts.ledger.evaluations(model)
        newest = evaluations[-1] if evaluations else None
        models[model] = {
            "live": live[model].version if model in live else None,
            "version": newest.version if newest else None,
            "accuracy": newest.details["metrics"]["accuracy"] if newest else None,
            "passed": newest.details["passed"] if newest else None,
            "trained": model in facts.artifacts,
        }
    return models


def engine_state(paths: HomePaths) -> dict[str, Any]:
    """Whether a process holds the engine's lock, judged without touching it."""
    path = paths.locks / "engine"
    owner = read_owner(path)
    if owner is None or not seen_held(path):
        return {"running": False}
    return {"running": True, "pid": owner.pid, "command": owner.command, "since": owner.since}


def _job(job: JobRow) -> dict[str, Any]:
    progress = job.progress
    return {
        "id": job.job_id,
        "kind": job.kind,
        "target": job.target,
        "state": job.state,
        "done": progress.done if progress else None,
        "total": progress.total if progress else None,
        "unit": progress.unit if progress else None,
        "eta_s": progress.eta_s if progress else None,
        "started_at": plain(job.started_at),
    }
