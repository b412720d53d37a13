"""What pictures are made from: jobs, events, curves, candles, features, against values worked out by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.events import JobFailed, JobStarted, MessageShown
from tradingai.engine.core.jsonio import dumps
from tradingai.engine.core.ledger import Ledger
from tradingai.engine.core.reporting import Progress
from tradingai.engine.queries.assemble import SnapshotReader, Surroundings
from tradingai.engine.queries.cached import FileCache
from tradingai.engine.queries.data_views import stability_index
from tradingai.engine.queries.event_words import event_view
from tradingai.engine.queries.job_views import job_view, phase_seconds
from tradingai.engine.queries.model_views import ModelReader, attempt_alpha
from tradingai.engine.queries.snapshot import Interest, JobView
from tradingai.engine.runtime.account_facts import HomeAccounts
from tradingai.engine.runtime.desk_facts import HomeDesks
from tradingai.engine.store.job_rows import JobRow

from tests.fakes.homes import new_home, open_store, plain_settings

NOW = datetime(2025, 11, 12, 12, 0, tzinfo=UTC)


def job_row(**changes) -> JobRow:
    """A running training, one minute old."""
    values = {
        "job_id": "j1", "kind": "train", "target": "lstm_BTC-USD", "params": {}, "threads": 1,
        "state": "running", "runner": "r", "pid": None, "resumes": 0, "command_id": None,
        "created_at": NOW - timedelta(seconds=70),
        "started_at": NOW - timedelta(seconds=60), "ended_at": None, "result": None, "error": None,
        "log": "logs/jobs/j1.log", "progress": Progress(250.0, 1000.0, "bars"), "version": 1,
    } | changes  # fmt: skip
    return JobRow(**values)


def test_a_job_without_its_own_rate_gets_one_from_what_it_did():
    view = job_view(job_row(), NOW, lambda pid: None)
    assert view.target == "lstm_BTC-USD"
    assert view.fraction == 0.25
    assert view.took_s == 60.0
    assert view.rate == pytest.approx(250 / 60)
    assert view.eta_s == pytest.approx(750 / (250 / 60))


def test_a_jobs_own_rate_and_eta_win():
    progress = Progress(1.0, 4.0, "epochs", rate=2.0, eta_s=99.0, detail={"epoch": 1, "memory_mb": 612})
    view = job_view(job_row(progress=progress), NOW, lambda pid: None)
    assert (view.rate, view.eta_s, view.memory_bytes) == (2.0, 99.0, 612_000_000)
    assert view.detail["epoch"] == 1


@pytest.mark.parametrize(
    ("kind", "state", "result", "wanted"),
    [
        ("features", "finished", {"summary": "done"}, "done"),
        ("features", "finished", {"skipped": True, "reason": "unchanged"}, "skipped"),
        ("evaluate", "finished", {"passed": False}, "refused"),
        ("evaluate", "finished", {"passed": True}, "done"),
        ("generate", "failed", None, "failed"),
        ("generate", "interrupted", None, "interrupted"),
        ("generate", "cancelled", None, "cancelled"),
    ],
)
def test_states(kind, state, result, wanted):
    view = job_view(job_row(kind=kind, state=state, result=result, ended_at=NOW), NOW, lambda pid: None)
    assert view.state == wanted
    assert view.resumable == (state in {"failed", "interrupted", "cancelled"})
    if state in {"interrupted", "cancelled"}:
        assert "kept" in view.message


def test_the_time_of_a_phase_counts_overlaps_once_and_skips_never():
    def ran(target: str, start: int, seconds: float, state: str = "done") -> JobView:
        begun = NOW + timedelta(seconds=start)
        return JobView(target, "generate", target, state, started_at=begun, took_s=seconds)

    jobs = [
        ran("A", 0, 10),
        ran("B", 5, 10),
        ran("C", 100, 7),
        ran("A", -500, 99),
        ran("D", 0, 50, "skipped"),
    ]
    assert phase_seconds(jobs, ("generate",)) == 15 + 7
    assert phase_seconds(jobs, ("features",)) is None


@pytest.mark.parametrize(
    ("kind", "level", "payload", "text", "mark"),
    [
        ("GateDecided", "info",
         {"model": "m", "version": "v1.0.0", "gate": "sample", "passed": False, "detail": "d"},
         "m v1.0.0 sample FAIL d", "fail"),
        ("EpochFinished", "info", {"model": "m", "epoch": 5, "epochs": 10, "validation_loss": 0.511,
         "validation_accuracy": 0.759, "bars_per_s": 204180.0, "best": True},
         "m 5/10 val 0.511 75.9 %, 204,180 bars/s, best so far", ""),
        ("JobFailed", "error",
         {"kind": "train", "target": "lstm_BTC-USD", "message": "no memory", "remedy": "Buy."},
         "train lstm_BTC-USD: no memory. Buy.", "fail"),
        ("NobodyKnowsThis", "warning", {"a": 1.23456, "b": "x" * 64}, "a 1.235, b xxxxxxxx", "warn"),
    ],
)  # fmt: skip
def test_events_as_text(kind, level, payload, text, mark):
    view = event_view(7, NOW, kind, level, payload)
    assert (view.text, view.sign, view.seq) == (text, mark, 7)


def test_attempts_spend_five_per_cent_over_all():
    assert attempt_alpha(1) == pytest.approx(0.05 * 6 / math.pi**2)
    assert sum(attempt_alpha(k) for k in range(1, 100_000)) == pytest.approx(0.05, rel=1e-4)


def test_stability_of_the_same_sample_is_nothing():
    values = np.linspace(0, 1, 1000)
    assert stability_index(values, values) == pytest.approx(0.0)


def test_stability_against_a_hand_computation():
    expected = np.repeat([0.0, 1.0], [50, 50])
    actual = np.repeat([0.0, 1.0], [25, 75])
    by_hand = (0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5)
    assert stability_index(expected, actual, bins=2) == pytest.approx(by_hand)
    assert stability_index(expected, actual[:0]) is None


def test_a_file_is_read_again_only_when_it_changed(tmp_path):
    path, reads = tmp_path / "f", []

    def parse(where):
        reads.append(where)
        return where.read_text()

    cache = FileCache()
    assert cache.get(path, parse) is None
    path.write_text("one")
    assert [cache.get(path, parse), cache.get(path, parse)] == ["one", "one"]
    path.write_text("other")
    assert cache.get(path, parse) == "other"
    assert len(reads) == 2


def history(folder, run: str, started: str, accuracies, *, epochs: int = 10, seed: int = 7):
    """A curve as training writes it."""
    lines = [{"model": "lstm_BTC-USD", "run": run, "started_at": started, "resumes": 0, "epochs": epochs,
              "seed": seed, "device": "cpu", "threads": 1}]  # fmt: skip
    for index, accuracy in enumerate(accuracies, start=1):
        lines.append(
            {"epoch": index, "train_loss": 1 - accuracy, "train_accuracy": accuracy,
             "validation_loss": 1 - accuracy, "validation_accuracy": accuracy, "best": True,
             "bars_per_s": 1000.0 * index}
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{run}.jsonl").write_text("".join(dumps(line) + "\n" for line in lines))


def test_runs_join_curves_with_their_jobs(tmp_path):
    paths = new_home(tmp_path / "home")
    folder = paths.checkpoints / "lstm_BTC-USD_history"
    history(folder, "a", "2025-11-12T11:00:00Z", [0.6, 0.7, 0.69, 0.68, 0.67])
    history(folder, "b", "2025-11-12T11:59:01Z", [0.6, 0.71])
    (folder / "c.jsonl").write_text("{half a line")
    running = job_view(job_row(), NOW, lambda pid: None)
    reader = ModelReader(paths, lambda ledger, model: None)
    newest, older = reader.runs(("lstm_BTC-USD",), [running], Ledger(), {"j1": "b"})
    assert (newest.state, newest.job_id, len(newest.points)) == ("running", "j1", 2)
    assert newest.points[-1].validation_accuracy == 0.71
    assert (older.state, older.early_stopped, older.best_epoch) == ("done", True, 2)
    assert older.label == "11-12 11:00"


def test_an_old_job_belongs_to_the_run_that_began_while_it_ran(tmp_path):
    paths = new_home(tmp_path / "home")
    history(paths.checkpoints / "lstm_BTC-USD_history", "b", "2025-11-12T11:59:01Z", [0.6])
    ended = job_view(job_row(state="interrupted", ended_at=NOW), NOW, lambda pid: None)
    reader = ModelReader(paths, lambda ledger, model: None)
    (run,) = reader.runs(("lstm_BTC-USD",), [ended], Ledger())
    assert (run.state, run.job_id, run.took_s) == ("interrupted", "j1", 60.0)


def test_a_run_before_its_first_epoch_is_its_job(tmp_path):
    reader = ModelReader(new_home(tmp_path / "home"), lambda ledger, model: None)
    (run,) = reader.runs(("lstm_BTC-USD",), [job_view(job_row(), NOW, lambda pid: None)], Ledger())
    assert (run.id, run.state, run.points) == ("j1", "running", ())


def surroundings() -> Surroundings:
    return Surroundings(lambda ledger, model: None, dict, {}, HomeAccounts, HomeDesks)


async def test_an_empty_home(tmp_path):
    clock = SimulatedClock(NOW)
    paths = new_home(tmp_path / "home", clock)
    picture = SnapshotReader(paths, plain_settings(), clock, surroundings()).read(Interest())
    assert [phase.state for phase in picture.phases][:3] == ["next", "waiting", "waiting"]
    assert (picture.datasets, picture.jobs, picture.evaluations, picture.events.rows) == ((), (), (), ())
    assert (picture.header.kill_on, picture.header.threshold) == (False, 0.75)
    assert picture.problem is None


async def test_jobs_and_events_of_the_store(tmp_path):
    clock = SimulatedClock(NOW)
    async with open_store(tmp_path / "home", clock) as (store, paths):
        await store.jobs.create(
            job_id="j",
            kind="generate",
            target="BTC-USD",
            params={},
            threads=1,
            runner="r",
            log="l",
            command_id=None,
        )
        started = JobStarted(job_id="j", kind="generate", target="BTC-USD", pid=1)
        await store.jobs.started("j", runner="r", pid=1, resumes=0, event=started)
        reader = SnapshotReader(paths, plain_settings(), clock, surroundings())
        first = reader.read(Interest())
        assert [(job.kind, job.state) for job in first.jobs] == [("generate", "running")]
        assert first.phases[0].state == "running"
        clock.advance(3)
        failed = JobFailed(
            job_id="j", kind="generate", target="BTC-USD", code="data", message="bad", remedy="Mend."
        )
        error = {"code": "data", "message": "bad", "remedy": "Mend."}
        await store.jobs.ended("j", "failed", event=failed, error=error)
        await store.events.append(MessageShown(text="hello", severity="info"))
        second = reader.read(Interest())
    assert (second.jobs[0].message, second.jobs[0].remedy, second.jobs[0].took_s) == ("bad", "Mend.", 3.0)
    assert [event.type for event in second.events.rows] == ["JobStarted", "JobFailed", "MessageShown"]
    assert (second.events.today, second.events.errors) == (3, 1)
    assert second.phases[0].next_action == "Mend."


async def test_a_database_nobody_can_read_counts_as_killed(tmp_path):
    clock = SimulatedClock(NOW)
    paths = new_home(tmp_path / "home", clock)
    (paths.root / "tradingai.db").write_bytes(b"this is no database" * 100)
    picture = SnapshotReader(paths, plain_settings(), clock, surroundings()).read(Interest())
    assert picture.header.kill_on
    assert picture.header.kill_source == "the store cannot be read"
    assert picture.problem is not None
    assert picture.problem.remedy


def test_a_damaged_ledger_is_reported_and_the_rest_is_shown(tmp_path):
    clock = SimulatedClock(NOW)
    paths = new_home(tmp_path / "home", clock)
    paths.ledger.write_text('{"schema": 1, "entries": [\n{"seq": 1, oops')
    picture = SnapshotReader(paths, plain_settings(), clock, surroundings()).read(Interest())
    assert picture.ledger.problem is not None
    assert "damaged" in picture.ledger.problem.message
    assert picture.phases[0].state == "next"
