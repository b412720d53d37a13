"""Replays in one process: real store, candles, features, models and rules on a simulated clock."""

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta

import numpy as np
import pytest
from tradingai.engine.core.candles import us_to_datetime
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import InterruptedRunError, MissingError, UsageError
from tradingai.engine.core.events import ReplayFinished
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.records import REASONS, decisions_sha256
from tradingai.engine.evaluation.backtest import BacktestPlan, TradedRange, backtest, decisions
from tradingai.engine.features.compute import compute, live_tail
from tradingai.engine.features.registry import ATR_RATIO, feature_set
from tradingai.engine.inference.promoted import PromotedModels
from tradingai.engine.models.predict import predict_probability
from tradingai.engine.providers.cleaning import clean
from tradingai.engine.runtime import stored_scans
from tradingai.engine.runtime.records import stored_decision
from tradingai.engine.runtime.replay import _replay_job, plan_replay
from tradingai.engine.store.candle_files import Flags, read_candles, write_dataset
from tradingai.engine.store.manifests import read_dataset_manifest

from tests.fakes.live import open_bench
from tests.fakes.stored_market import (
    COINS,
    END,
    LAST,
    live_model,
    open_replays,
    opinionated,
    promoted,
    replay_home,
)

BTC, ETH, BNB = COINS
KEYS = {
    "run", "scans", "decisions", "signals", "by_reason", "by_tier", "win_rate", "equity", "max_drawdown",
    "decisions_sha256", "scan_ms", "wall_s",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with candles and live models; copied by whoever changes it."""
    return replay_home(tmp_path_factory.mktemp("replay") / "home").root


@pytest.fixture
def home(made, tmp_path):
    return shutil.copytree(made, tmp_path / "home", symlinks=True)


async def stored(bench, run):
    """A run's decisions, rebuilt from its rows."""
    signals = {signal.key: signal for signal in await bench.store.scans.signals(run)}
    rows = await bench.store.scans.decisions(run)
    return [stored_decision(row, signals.get(row.signal_key)) for row in rows]


# ----------------------------------------------------------------------------------- what it says


async def test_the_document_adds_up(home):
    async with open_replays(home) as bench:
        reporter = SilentReporter()
        found = await bench.replay(6, reporter=reporter)
        assert found.keys() >= KEYS
        assert (found["scans"], found["decisions"]) == (180, 540)
        assert list(found["by_reason"]) == [reason.value for reason in REASONS]
        assert sum(found["by_reason"].values()) == 540
        assert found["signals"] == found["by_reason"]["emitted"] == sum(found["signals_by_tier"].values()) > 0
        assert sum(found["by_tier"].values()) == 540
        assert (found["end"], found["start"]) == ("2025-11-10T01:08:00Z", "2025-11-09T19:10:00Z")
        assert found["scan_ms"]["p50"] <= found["scan_ms"]["p99"]
        assert found["synthetic"] is True
        row = (await bench.store.runs.latest(1))[0]
        assert (row.run_id, row.kind, row.clock, row.ended_at is not None) == (
            found["run"], "replay", "simulated", True,
        )  # fmt: skip
        assert row.model_hashes == {f"lstm_{coin}": opinionated(coin).sha256 for coin in COINS}
        assert row.settings_hash == bench.settings.settings_hash()
        kept = await bench.store.scans.result(found["run"])
        assert (kept.state, kept.result) == ("finished", json.loads(json.dumps(found)))
        (event,) = [event for event in reporter.events if isinstance(event, ReplayFinished)]
        assert (event.run_id, event.scans) == (found["run"], 180)
        assert (reporter.last_progress.done, reporter.last_progress.total) == (180, 180)


async def test_every_row_is_there_and_rebuilds_the_same_decisions(home):
    async with open_replays(home) as bench:
        found = await bench.replay(4)
        run = found["run"]
        rebuilt = await stored(bench, run)
        assert decisions_sha256(rebuilt) == found["decisions_sha256"]
        scans, scanned = await bench.store.scans.scans(run), bench.store.scans
        assert [row.seq for row in scans] == list(range(1, 121))
        assert {row.at - row.due for row in scans} == {timedelta(0)}
        assert scans[-1].equity == found["equity"]
        assert max(row.drawdown for row in scans) == found["max_drawdown"]
        assert await scanned.by_reason(run) == {k: v for k, v in found["by_reason"].items() if v}
        assert await scanned.by_tier(run) == {k: v for k, v in found["by_tier"].items() if v}
        signals, trades = await scanned.signals(run), await scanned.trades(run)
        assert (len(signals), len(trades)) == (found["signals"], found["trades"])
        assert sum(trade.net for trade in trades) == pytest.approx(found["net"])
        assert sum(trade.r > 0 for trade in trades) == found["wins"]
        assert {trade.key for trade in trades} <= {signal.key for signal in signals}
        inputs = await scanned.inputs(run)
        assert [(row.symbol, row.candles) for row in inputs[:3]] == [(coin, 2) for coin in sorted(COINS)]
        account = await scanned.account(run)
        assert (account.scan_seq, account.desk["paper"]["balance"]) == (120, found["balance"])
        starts = await scanned.warm_starts(run)
        assert [(row.scan_seq, row.model) for row in starts] == [
            (1, f"lstm_{coin}") for coin in sorted(COINS)
        ]


# --------------------------------------------------------------------------------- always the same


async def test_twice_and_in_other_portions_and_by_live_tails_it_decides_the_same(home, monkeypatch):
    async with open_replays(home) as bench:
        first = await bench.replay(2)
        again = await bench.replay(2)
        assert first["run"] != again["run"]
        assert first["decisions_sha256"] == again["decisions_sha256"]
        monkeypatch.setattr(stored_scans, "SCANS_AT_ONCE", 7)
        in_tails = await bench.replay(2, source=live_tail)
        assert in_tails["decisions_sha256"] == first["decisions_sha256"]
        hashes = [
            [row.features_sha256 for row in await bench.store.scans.inputs(found["run"])]
            for found in (first, in_tails)
        ]
        assert hashes[0] == hashes[1]
        varying = {"run", "wall_s", "scan_ms"}
        same = [{k: v for k, v in found.items() if k not in varying} for found in (first, again, in_tails)]
        assert same[0] == same[1] == same[2]


async def test_other_candles_models_or_settings_decide_otherwise(home):
    async with open_replays(home) as bench:
        first = await bench.replay(1)
        models = PromotedModels((*promoted(BTC, ETH).models, live_model(BNB, "v1.1.0", seed=1)))
        assert (await bench.replay(1, promoted=models))["decisions_sha256"] != first["decisions_sha256"]
        earlier = END - timedelta(minutes=20)
        assert (await bench.replay(1, end=earlier))["decisions_sha256"] != first["decisions_sha256"]
    async with open_replays(home, confidence_threshold=0.6) as bench:
        assert (await bench.replay(1))["signals"] > first["signals"]


async def test_a_replay_reads_neither_kill_switch_nor_threshold_and_leaves_live_rows_alone(home):
    async with open_bench(home) as live:
        await live.scan(40)
        await live.store.controls.set(
            "kill_switch", True, *_command("test"),
        )  # fmt: skip
        run = live.run_id
        before = rows_of(home, run)
        assert len(before["decisions"]) == 40
    async with open_replays(home) as bench:
        found = await bench.replay(2)
    assert found["by_reason"]["killed"] == 0
    assert found["signals"] > 0
    assert rows_of(home, run) == before


def _command(reason):
    from tradingai.engine.core.commands import SetKillSwitch
    from tradingai.engine.core.events import KillSwitchSet

    command = SetKillSwitch(sender="test", surface="cli", issued_at=RealClock().now(), on=True, reason=reason)
    return command, reason, KillSwitchSet(on=True, who="test", surface="cli", reason=reason)


def rows_of(home, run):
    """Every row of every table that belongs to a run, byte for byte."""
    with closing(sqlite3.connect(home / "tradingai.db")) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        found = {}
        for name in names:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
            if "run_id" in columns:
                order = ", ".join(map(str, range(1, len(columns) + 1)))
                found[name] = connection.execute(
                    f"SELECT * FROM {name} WHERE run_id = ? ORDER BY {order}", (run,)
                ).fetchall()
        found["controls"] = connection.execute("SELECT * FROM controls").fetchall()
    return found


# ----------------------------------------------------------------------------- what can go wrong


async def test_a_corrupt_model_is_left_out_with_its_reason(home):
    file = home / "models" / "versions" / "lstm_BTC-USD" / "v1.0.0" / "model.pt"
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-100])
    async with open_replays(home) as bench:
        found = await bench.replay(1)
        assert list(found["models"]) == ["lstm_ETH-USD", "lstm_BNB-USD"]
        assert list(found["refused"]) == ["lstm_BTC-USD"]
        decided = [one for one in await stored(bench, found["run"]) if one.symbol == BTC]
        assert {one.reason.value for one in decided} == {"below_threshold"}
        assert decided[0].detail.startswith("lstm_BTC-USD v1.0.0 was refused: ")
        assert (await bench.verify(found["run"])).verified


async def test_without_a_model_nothing_is_emitted(home):
    (home / "models" / "registry.json").unlink()
    shutil.rmtree(home / "models" / "promoted")
    async with open_replays(home) as bench:
        found = await bench.replay(1)
        assert (found["models"], found["signals"], found["by_reason"]["below_threshold"]) == ({}, 0, 90)
        assert found["synthetic"] is True
        assert (await bench.verify()).verified


async def test_a_gap_in_the_candles_has_no_new_candle(home):
    paths_hole = range(LAST - 100, LAST - 80)
    async with open_replays(home) as bench:
        manifest = read_dataset_manifest(bench.paths, ETH)
        whole = read_candles(bench.paths, ETH)
        raw = whole[~np.isin(whole.minute, list(paths_hole))]
        cleaned = clean(raw)
        flagged = np.flatnonzero(cleaned.flags)
        write_dataset(
            bench.paths, ETH, cleaned.candles,
            identity=_identity(manifest), quality=cleaned.report.as_json(),
            flags=Flags(cleaned.candles.ts[flagged], cleaned.flags[flagged]),
            created_at=END, reporter=SilentReporter(),
        )  # fmt: skip
        found = await bench.replay(4)
        assert found["by_reason"]["no_new_candle"] == 9
        decided = [one for one in await stored(bench, found["run"]) if one.symbol == BTC]
        assert [one.detail for one in decided].count("features end before the newest candle") == 10
        assert found["events"]["CandlesCleaned"] == 1
        assert (await bench.verify()).verified


def _identity(manifest):
    from tradingai.engine.store.candle_files import DatasetIdentity

    return DatasetIdentity(manifest.provider, manifest.market, manifest.seed, manifest.parameters)


async def test_it_stops_at_a_safe_point_and_says_so(home):
    class Stop(SilentReporter):
        def safe_point(self):
            raise InterruptedRunError("stopped: Ctrl-C")

    async with open_replays(home) as bench:
        with pytest.raises(InterruptedRunError):
            await bench.replay(6, reporter=Stop())
        (row,) = await bench.store.runs.latest(1)
        kept = await bench.store.scans.result(row.run_id)
        assert (kept.state, row.ended_at is not None) == ("interrupted", True)
        assert await bench.store.scans.newest_scan(row.run_id) == 120


async def test_the_job_reuses_an_equal_replay_and_closes_dead_ones(home):
    async with open_replays(home) as bench:
        await bench.replay(1)
    with closing(sqlite3.connect(home / "tradingai.db")) as connection, connection:
        connection.execute(
            "INSERT INTO runs VALUES ('replay-dead', 'replay', 'simulated', '2026-01-01T00:00:00.000000Z',"
            " NULL, 's', 'c', '{}')"
        )
    async with open_replays(home) as bench:
        params = {"hours": 1.0, "symbols": None, "end": None, "reuse": True}
        found = await _replay_job(bench.paths, bench.settings, params, SilentReporter(), RealClock())
        assert found["skipped"] is True
        assert (
            found["reason"]
            == f"run {found['replay']['run']} went through the same candles with the same models"
        )
        assert (await bench.store.scans.result("replay-dead")).state == "interrupted"
        assert await bench.store.runs.open_runs("replay") == []
        afresh = await _replay_job(
            bench.paths, bench.settings, {**params, "reuse": False}, SilentReporter(), RealClock()
        )
        assert "skipped" not in afresh
        assert afresh["replay"]["decisions_sha256"] == found["replay"]["decisions_sha256"]


def test_what_cannot_be_replayed_is_refused(made):
    from tradingai.engine.core.paths import HomePaths

    paths = HomePaths(made)
    for hours in (0.01, float("nan"), float("inf"), -3):
        with pytest.raises(UsageError, match="hold no scan"):
            plan_replay(paths, COINS, hours, None, 120)
    with pytest.raises(MissingError, match="candles end at 2025-11-10 01:08 UTC"):
        plan_replay(paths, COINS, 1, END + timedelta(hours=1), 120)
    plan = plan_replay(paths, COINS, 1, END - timedelta(seconds=61), 120)
    assert us_to_datetime(plan.last_us).minute == 4
    assert plan.scans == 30


async def test_too_little_history_is_told_with_what_would_be_needed(home):
    async with open_replays(home) as bench:
        with pytest.raises(MissingError, match="needs candles from 2025-11-03"):
            bench.inputs(100)
        with pytest.raises(MissingError, match="no candles of SOL-USD"):
            plan_replay(bench.paths, ("SOL-USD",), 1, None, 120)


# ------------------------------------------------------------------------------------- parity


async def test_verify_finds_all_identical_from_live_tails(home):
    async with open_replays(home) as bench:
        found = await bench.replay(3)
        verified = await bench.verify()
        assert verified.verified
        document = verified.as_json()
        batch = document.pop("batch")
        assert (batch["compared"], batch["flips"], batch["agrees"]) == (270, 0, True)
        assert 0.0 < batch["largest_difference"] < 1e-5
        assert document == {
            "run": found["run"], "kind": "replay", "scans": 90, "decisions": 270, "identical": 270,
            "features": 270, "features_identical": 270, "verified": True, "first_difference": None,
            "same_code": True,
        }  # fmt: skip


TAMPERED = {
    "UPDATE decisions SET p_up = p_up + 1e-15 WHERE scan_seq = 7 AND symbol = 'ETH-USD'":
        (7, "ETH-USD", "decision", "p_up"),
    "UPDATE decisions SET reason = 'killed' WHERE scan_seq = 9 AND symbol = 'BTC-USD'":
        (9, "BTC-USD", "decision", "reason"),
    "UPDATE scan_inputs SET input_sha256 = 'x' WHERE scan_seq = 3 AND symbol = 'BNB-USD'":
        (3, "BNB-USD", "candles", "hash"),
    "UPDATE run_accounts SET desk = json_set(desk, '$.paper.balance', 1.0)":
        (30, "", "account", "paper"),
}  # fmt: skip


@pytest.mark.parametrize("statement", TAMPERED)
async def test_verify_names_the_first_thing_that_differs(home, statement):
    async with open_replays(home) as bench:
        found = await bench.replay(1)
    with closing(sqlite3.connect(home / "tradingai.db")) as connection, connection:
        assert connection.execute(statement).rowcount == 1
    async with open_replays(home) as bench:
        verified = await bench.verify(found["run"])
        first = verified.first
        assert not verified.verified
        assert (first.scan, first.symbol, first.what, first.name) == TAMPERED[statement]
        assert first.name in first.text


async def test_verify_notices_a_decision_that_is_gone(home):
    async with open_replays(home) as bench:
        found = await bench.replay(1)
    with closing(sqlite3.connect(home / "tradingai.db")) as connection, connection:
        connection.execute("DELETE FROM decisions WHERE scan_seq = 4 AND symbol = 'BNB-USD'")
    async with open_replays(home) as bench:
        verified = await bench.verify(found["run"])
        assert (verified.first.what, verified.first.name, verified.first.scan) == ("decision", "count", 4)
        assert (verified.first.recorded, verified.first.recomputed) == (2, 3)
        assert (verified.identical, verified.decisions, verified.verified) == (89, 89, False)


async def test_verify_names_the_feature_that_differs(home):
    async with open_replays(home) as bench:
        found = await bench.replay(1)
        names = feature_set(BTC, (ETH, BNB)).names
    column = names.index("rsi_14")
    with closing(sqlite3.connect(home / "tradingai.db")) as connection, connection:
        where = "WHERE scan_seq = 5 AND symbol = 'BTC-USD'"
        (blob,) = connection.execute(f"SELECT features FROM scan_inputs {where}").fetchone()
        values = np.frombuffer(blob, dtype="<f4").copy().reshape(-1, len(names))
        values[-1, column] += 0.25
        connection.execute(
            f"UPDATE scan_inputs SET features = ?, features_sha256 = 'other' {where}", (values.tobytes(),)
        )
    async with open_replays(home) as bench:
        verified = await bench.verify(found["run"])
        assert (verified.identical, verified.features_identical) == (90, 89)
        assert (verified.first.what, verified.first.name, verified.first.scan) == ("feature", "rsi_14", 5)
        assert verified.first.recorded == pytest.approx(verified.first.recomputed + 0.25)
        assert not verified.verified


async def test_verify_of_changed_candles_says_so(home):
    async with open_replays(home) as bench:
        found = await bench.replay(1)
        manifest = read_dataset_manifest(bench.paths, BTC)
        whole = read_candles(bench.paths, BTC)
        whole.close[-31] *= 1.0001
        write_dataset(
            bench.paths, BTC, clean(whole).candles, identity=_identity(manifest), quality={},
            flags=Flags(whole.ts[:0], np.zeros(0, dtype=np.int32)), created_at=END, reporter=SilentReporter(),
        )  # fmt: skip
        verified = await bench.verify(found["run"])
        assert not verified.verified
        assert (verified.first.what, verified.first.symbol) == ("candles", BTC)
        assert verified.identical < verified.decisions


async def test_verify_needs_a_run(home):
    async with open_replays(home) as bench:
        with pytest.raises(MissingError, match="no run has scanned anything yet"):
            await bench.verify()
        with pytest.raises(MissingError, match="no run other with scans"):
            await bench.verify("other")


async def test_a_live_run_is_verified_from_the_candles_it_received(tmp_path):
    from tests.fakes.live import SpoiltFeed, changed, promote, sure_artifact

    root, feed = tmp_path / "home", SpoiltFeed()
    async with open_bench(root, feed=feed) as bench:
        await bench.scan(5)
        feed.spoil["BTC-USD"] = lambda found: changed(found, len(found) - 1, close=float("nan"))
        await bench.scan(1)
        feed.spoil["BTC-USD"] = lambda found: found[:0]
        await bench.scan(2)
        del feed.spoil["BTC-USD"]
        await bench.scan(30)
        promote(bench.paths, bench.clock, sure_artifact(logit=-1.5))
        await bench.scan(10)
        clock = bench.clock
    async with open_bench(root, clock=clock) as bench:
        assert bench.begun.resumed
        await bench.scan(20)
        from tradingai.engine.runtime.verify import verify_run

        found = await verify_run(bench.store, bench.paths, None, SilentReporter(), RealClock())
        assert found.run.run_id == bench.run_id
        assert found.first is None
        assert (found.identical, found.decisions, found.verified) == (68, 68, True)
        assert found.batch.compared == 68
        assert found.batch.agrees


# ------------------------------------------------------------------------ the backtest is a replay


async def test_the_backtest_equals_a_replay_of_its_range_decision_by_decision(home):
    """Same start, account and warmed state: one coin over the last ten hours."""
    async with open_replays(home) as bench:
        hours, model = 10, live_model(BTC)
        inputs = bench.inputs(hours, symbols=(BTC,), promoted=promoted(BTC))
        own = read_candles(bench.paths, BTC)
        features = feature_set(BTC, (ETH, BNB))
        closes = {name: read_candles(bench.paths, name).close for name in features.peers}
        values = compute(features, own, closes)
        lo = len(own) - hours * 60 + 1
        warm = lo - model.artifact.warmup.bars
        probability = predict_probability(model.artifact, values[warm:])[lo - warm :]
        real = np.ones(len(own), dtype=bool)
        traded = TradedRange(
            model.model, BTC, own, real, (real, real), lo, len(own), probability,
            values[lo:, features.names.index(ATR_RATIO)],
        )  # fmt: skip
        plan = BacktestPlan(inputs.config, bench.settings.scan_interval_s)
        played = await bench.replay(hours, symbols=(BTC,), promoted=promoted(BTC))
        replayed = await stored(bench, played["run"])
        trades = await bench.store.scans.trades(played["run"])
        tested = list(decisions(plan, traded))
        result = backtest(plan, traded, SilentReporter())
    assert len(tested) == len(replayed) == hours * 30
    threshold = inputs.config.decision.threshold
    flips = 0
    for mine, other in zip(tested, replayed, strict=True):
        assert (mine.at_us, mine.candle_us, mine.symbol) == (other.at_us, other.candle_us, other.symbol)
        assert mine.p_up == pytest.approx(other.p_up, abs=1e-5)
        if mine.reason is not other.reason:
            flips += 1
            assert mine.confidence == pytest.approx(threshold, abs=1e-5)
            continue
        assert (mine.side, mine.tier, mine.size_factor) == (other.side, other.tier, other.size_factor)
        if mine.signal is not None:
            assert mine.signal.key == other.signal.key
            for name in ("entry", "take_profit", "stop_loss", "quantity", "risk_money"):
                assert getattr(mine.signal, name) == getattr(other.signal, name)
    assert flips == 0
    assert result.signals == played["signals"] > 5
    assert (result.trades, result.wins) == (played["trades"], played["wins"])
    assert result.net == pytest.approx(sum(trade.net for trade in trades), abs=1e-6)
    assert result.by_reason == played["by_reason"]
    for name in ("equity", "max_drawdown", "win_rate", "profit_factor", "accuracy", "break_even_accuracy"):
        assert getattr(result, name) == pytest.approx(played[name], rel=1e-9)
    assert (result.start, result.end) == (
        us_to_datetime(int(own.ts[lo]) + MINUTE_US), us_to_datetime(inputs.plan.last_us),
    )  # fmt: skip
