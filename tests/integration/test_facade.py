"""The engine: commands are audited, expire, and are refused to onlookers; start-up is recovery."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta

import pytest
from tradingai.bootstrap import open_engine
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.commands import (
    BackUp,
    BuildFeatures,
    CancelJob,
    Evaluate,
    GenerateCandles,
    ImportCandles,
    Promote,
    ResumeJob,
    Rollback,
    StartTraining,
)
from tradingai.engine.core.errors import (
    GateRefusedError,
    InterruptedRunError,
    MissingError,
    SettingsError,
    UsageError,
)
from tradingai.engine.core.events import StateRepaired
from tradingai.engine.core.settings import Settings
from tradingai.engine.facade import operator
from tradingai.engine.jobs.orders import job_for

from tests.fakes.homes import WORKER, plain_settings

START = datetime(2025, 11, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch):
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def engine(tmp_path):
    async with open_engine(tmp_path, worker_module=WORKER, surface="console") as opened:
        yield opened


async def until(condition, seconds=60.0):
    clock = RealClock()
    deadline = clock.monotonic() + seconds
    while not (found := await condition()):
        assert clock.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.02)
    return found


def generate(engine, **changes):
    words = {"symbol": "BTC-USD", "market": "cycles", "seed": 1, "start": START, "end": START}
    return GenerateCandles(**{**engine.issue(), **words, **changes})


async def audit(engine):
    return [(row.type, row.state) for row in reversed(await engine.store.commands.latest())]


# -- commands


async def test_a_command_is_audited_with_sender_surface_and_result(engine):
    result = await engine.run(BuildFeatures(**engine.issue(), symbol="BTC-USD", peers=("ETH-USD",)))
    assert result.skipped
    (row,) = await engine.store.commands.latest()
    assert (row.type, row.sender, row.surface, row.state) == ("BuildFeatures", operator(), "console", "done")
    assert row.payload == {"symbol": "BTC-USD", "peers": ["ETH-USD"], "force": False}
    assert row.result == {"job_id": result.job_id}
    (job,) = await engine.jobs()
    assert job.command_id == row.command_id
    assert job.params == row.payload


async def test_a_refusal_is_audited_as_one(engine):
    with pytest.raises(GateRefusedError):
        await engine.run(generate(engine))
    (row,) = await engine.store.commands.latest()
    assert row.state == "refused"
    assert row.result["error"]["message"] == "accuracy is 61.0 %, 68.0 % are needed"


async def test_an_expired_command_never_fires(engine):
    old = engine.clock.now() - timedelta(seconds=31)
    for command in (
        BuildFeatures(**{**engine.issue(), "issued_at": old}, symbol="BTC-USD"),
        CancelJob(**{**engine.issue(), "issued_at": old}, job_id="x"),
    ):
        with pytest.raises(UsageError, match="expired: it was not carried out"):
            await engine.execute(command)
    assert await audit(engine) == [("BuildFeatures", "expired"), ("CancelJob", "expired")]
    assert await engine.jobs() == []
    young = engine.clock.now() - timedelta(seconds=20)
    await engine.run(BuildFeatures(**{**engine.issue(), "issued_at": young}, symbol="BTC-USD"))


async def test_a_job_goes_on_in_the_background_and_can_be_cancelled_and_resumed(engine, tmp_path):
    job_id = (await engine.execute(StartTraining(**engine.issue(), model="lstm_BTC-USD")))["job_id"]

    async def in_state(*states):
        return [job for job in await engine.jobs(states=states) if job.job_id == job_id]

    await until(lambda: in_state("running"))
    with pytest.raises(UsageError, match="is running"):
        await engine.execute(ResumeJob(**engine.issue(), job_id=job_id))
    await engine.execute(CancelJob(**engine.issue("alice"), job_id=job_id))
    await until(lambda: in_state("cancelled"))
    reasons = [e.payload["reason"] for e in await engine.events(0) if e.type == "JobInterrupted"]
    assert reasons == ["stopped: cancelled by alice (console)"]
    (tmp_path / "finish").touch()
    await engine.execute(ResumeJob(**engine.issue(), job_id=job_id))
    await until(lambda: in_state("finished"))
    assert await audit(engine) == [
        ("StartTraining", "failed"),
        ("ResumeJob", "refused"),
        ("CancelJob", "done"),
        ("ResumeJob", "done"),
    ]


async def test_a_background_job_that_fails_is_in_the_store_and_hurts_nobody(engine):
    job_id = (await engine.execute(generate(engine)))["job_id"]

    async def failed():
        return [job for job in await engine.jobs(states=("failed",)) if job.job_id == job_id]

    (job,) = await until(failed)
    assert job.error["code"] == "gate_refused"


async def test_what_cannot_be_carried_out_says_so(engine):
    for command, words in (
        (CancelJob(**engine.issue(), job_id="nobody"), "no job nobody is running"),
        (ResumeJob(**engine.issue(), job_id="nobody"), "there is no job nobody"),
        (Promote(**engine.issue(), model="lstm_BTC-USD"), "lstm_BTC-USD"),
        (Rollback(**engine.issue(), model="lstm_BTC-USD"), "no version of lstm_BTC-USD is live"),
    ):
        with pytest.raises(MissingError, match=words) as caught:
            await engine.execute(command)
        assert caught.value.remedy
    assert [state for _, state in await audit(engine)] == ["failed"] * 4


async def test_several_jobs_run_at_once_and_every_command_is_audited(engine):
    commands = [BuildFeatures(**engine.issue(), symbol=f"C{n}-USD") for n in range(3)]
    with pytest.raises(GateRefusedError):
        await engine.run_all([commands[0], generate(engine), *commands[1:]], workers=2)
    assert sorted(await audit(engine)) == [("BuildFeatures", "done")] * 3 + [("GenerateCandles", "refused")]


async def test_closing_stops_what_runs(tmp_path):
    async with open_engine(tmp_path, worker_module=WORKER) as engine:
        running = asyncio.create_task(engine.run(StartTraining(**engine.issue(), model="lstm_BTC-USD")))
        background = (await engine.execute(StartTraining(**engine.issue(), model="lstm_ETH-USD")))["job_id"]

        async def both():
            return len(await engine.jobs(states=("running",))) == 2

        await until(both)
    with pytest.raises(InterruptedRunError, match="the program ends"):
        await running
    async with open_engine(tmp_path, read_only=True) as engine:
        states = {job.job_id: job.state for job in await engine.jobs()}
        assert set(states.values()) == {"interrupted"}
        assert background in states


# -- onlookers


async def test_an_onlooker_sees_everything_and_changes_nothing(tmp_path):
    async with open_engine(tmp_path, worker_module=WORKER) as engine:
        await engine.run(BuildFeatures(**engine.issue(), symbol="BTC-USD"))
        before = await engine.version()
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    async with open_engine(tmp_path, read_only=True) as engine:
        assert engine.read_only
        assert await engine.version() == before
        assert [job.state for job in await engine.jobs()] == ["finished"]
        assert [event.type for event in await engine.events(1)] == ["JobStarted", "JobSkipped"]
        for command in (
            BuildFeatures(**engine.issue(), symbol="BTC-USD"),
            CancelJob(**engine.issue(), job_id="x"),
            Promote(**engine.issue(), model="m"),
            BackUp(**engine.issue(), file=str(tmp_path / "b.tar.gz")),
        ):
            with pytest.raises(UsageError, match="read-only"):
                await engine.execute(command)
        with pytest.raises(UsageError, match="read-only"):
            await engine.run(BuildFeatures(**engine.issue(), symbol="BTC-USD"))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files


async def test_an_onlooker_of_a_home_where_nothing_ran(tmp_path):
    async with open_engine(tmp_path):
        pass
    (tmp_path / "tradingai.db").unlink()
    async with open_engine(tmp_path, read_only=True) as engine:
        assert (await engine.jobs(), await engine.events(0)) == ([], [])
        assert (await engine.version()).seq == 0
        with pytest.raises(MissingError, match="nothing has run"):
            _ = engine.store
    assert not (tmp_path / "tradingai.db").exists()


async def test_an_onlooker_makes_no_home(tmp_path):
    with pytest.raises(MissingError):
        async with open_engine(tmp_path / "none", read_only=True):
            pass
    assert not (tmp_path / "none").exists()


# -- starting


async def test_a_new_home_says_so_once(tmp_path):
    for _ in range(2):
        async with open_engine(tmp_path) as engine:
            events = await engine.events(0)
            assert [event.type for event in events] == ["HomeCreated"]
            assert events[0].payload == {"path": str(tmp_path)}


async def test_wrong_settings_make_no_home(tmp_path, monkeypatch):
    monkeypatch.setenv("DB_URL", "postgresql://somewhere/else")
    with pytest.raises(SettingsError, match="not supported yet"):
        async with open_engine(tmp_path / "home"):
            pass
    assert not (tmp_path / "home").exists()


async def test_old_events_are_pruned_at_start(tmp_path, monkeypatch):
    class LongAgo(RealClock):
        def now(self):
            return super().now() - timedelta(days=8)

    async with open_engine(tmp_path, clock=LongAgo()) as engine:
        await engine.store.events.append(StateRepaired(what="x", detail=""))
    monkeypatch.setenv("EVENT_DAYS", "7")
    async with open_engine(tmp_path) as engine:
        assert await engine.events(0) == []


async def test_old_job_logs_are_pruned_at_start(tmp_path):
    async with open_engine(tmp_path) as engine:
        old, young = (engine.paths.job_logs / f"{name}.log" for name in ("old", "young"))
        for log, days in ((old, 31), (young, 29)):
            log.write_text("x")
            moment = (engine.clock.now() - timedelta(days=days)).timestamp()
            os.utime(log, (moment, moment))
    async with open_engine(tmp_path):
        assert [log.name for log in young.parent.iterdir()] == ["young.log"]


async def test_jobs_of_a_dead_process_are_offered(tmp_path):
    async with open_engine(tmp_path) as engine:
        await engine.store.jobs.create(
            job_id="j", kind="train", target="lstm_BTC-USD", params={}, threads=1, runner="999-dead",
            log="logs/jobs/j.log",
        )  # fmt: skip
    async with open_engine(tmp_path, read_only=True) as engine:
        assert [job.state for job in await engine.jobs()] == ["queued"], "an onlooker repairs nothing"
    async with open_engine(tmp_path) as engine:
        assert [(job.job_id, job.state) for job in engine.recovered] == [("j", "interrupted")]
    async with open_engine(tmp_path) as engine:
        assert engine.recovered == ()


async def test_a_damaged_registry_keeps_nobody_out(tmp_path):
    async with open_engine(tmp_path) as engine:
        engine.paths.ledger.write_text("{")
    async with open_engine(tmp_path, worker_module=WORKER) as engine:
        (problem,) = engine.problems
        assert problem.code == "registry"
        assert problem.remedy
        await engine.run(BuildFeatures(**engine.issue(), symbol="BTC-USD"))


async def test_a_wrong_link_is_repaired_and_noted(tmp_path):
    async with open_engine(tmp_path) as engine:
        engine.paths.ledger.write_text(
            '{"schema": 1, "entries": [\n\n], "count": 0, "head": "' + "0" * 64 + '"}\n'
        )
        (engine.paths.promoted / "lstm_BTC-USD").symlink_to("../versions/lstm_BTC-USD/v1.0.0")
    async with open_engine(tmp_path) as engine:
        (event,) = [event for event in await engine.events(0) if event.type == "StateRepaired"]
        assert event.payload["what"] == "registry"
        assert list(engine.paths.promoted.iterdir()) == []


# -- from command to job


def test_every_command_has_its_job():
    issued = {"sender": "a", "surface": "cli", "issued_at": START}
    settings, clock = plain_settings(job_threads=2), RealClock()
    expected = {
        GenerateCandles(**issued, symbol="BTC-USD", market="null", seed=3, start=START, end=START): (
            "generate",
            "BTC-USD",
            2,
        ),
        ImportCandles(**issued, symbol="SOL-USD", file="/x.csv"): ("import", "SOL-USD", 2),
        BuildFeatures(**issued, symbol="BTC-USD"): ("features", "BTC-USD", 2),
        StartTraining(**issued, model="lstm_BTC-USD", threads=4): ("train", "lstm_BTC-USD", 4),
        Evaluate(**issued, model="lstm_BTC-USD"): ("evaluate", "lstm_BTC-USD", 2),
    }
    for command, words in expected.items():
        spec = job_for(command, settings, clock)
        assert (spec.kind, spec.target, spec.threads) == words
        assert "threads" not in spec.params
        assert "sender" not in spec.params
    spec = job_for(next(iter(expected)), settings, clock)
    assert (spec.params["start"], spec.params["drift_at"]) == ("2025-11-01T00:00:00Z", None)
