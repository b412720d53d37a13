"""The whole pipeline through the command line, on one golden home built by it."""

import signal
from pathlib import Path

import pytest
from tradingai.engine.core.locks import read_owner

from tests.fakes.command_line import start, tradingai
from tests.fakes.home_state import value_hashes, wait_for

pytestmark = [pytest.mark.golden, pytest.mark.timeout(1200)]
"""The golden home is built within the first test's time."""

COINS = ["BTC-USD", "ETH-USD", "BNB-USD"]
MODELS = [*(f"lstm_{coin}" for coin in COINS), "transformer", "ppo", "ensemble"]
STEPS = 18
"""Candles and features of three coins, five trainings, six evaluations, the replay."""
GATES = ["accuracy", "calibration", "leakage", "significance", "sample"]


def coins_of(item):
    """The reports of a model's coins."""
    return list(item.get("coins", {"": item}).values())


def test_every_model_passes_every_gate_and_is_live(golden_home):
    document = golden_home.document
    assert document["passed"] is True
    assert (document["workload"], document["market"]) == ("quick", "cycles")
    assert [item["model"] for item in document["models"]] == MODELS
    for item in document["models"]:
        assert item["promotion"] == "promoted"
        assert [gate["id"] for gate in item["gates"]] == GATES
        assert all(gate["passed"] for gate in item["gates"])
        assert item["synthetic"] is True
        for coin in coins_of(item):
            assert all(gate["passed"] for gate in coin["gates"])
            assert coin["accuracy_ci"][0] < coin["accuracy"] < coin["accuracy_ci"][1]
            assert coin["oracle"]["accuracy"] > coin["accuracy"] > 0.68
        link = golden_home.path / "models" / "promoted" / item["model"]
        assert link.is_symlink()
        assert (link / "model.pt").is_file()


def test_it_ends_with_a_replay_of_72_hours(golden_home):
    replay = golden_home.document["replay"]
    assert (replay["scans"], replay["decisions"]) == (2160, 6480)
    assert sum(replay["by_reason"].values()) == 6480
    assert replay["signals"] == replay["by_reason"]["emitted"] > 100
    assert (replay["start"], replay["end"]) == ("2025-11-07T01:10:00Z", "2025-11-10T01:08:00Z")
    assert replay["models"] == dict.fromkeys(MODELS, "v1.0.0")
    assert replay["trades"] > 100
    assert 0.4 < replay["win_rate"] < 0.8
    assert replay["halted"] is None
    for coin in (coin for item in golden_home.document["models"] for coin in coins_of(item)):
        traded = coin["backtest"]
        assert sum(traded["by_reason"].values()) == traded["scans"] == traded["decisions"]
        assert traded["accuracy"] > coin["accuracy"]
        assert 0.5 < traded["break_even_accuracy"] < 1.0


def test_models_of_several_coins_are_judged_on_each_and_attempts_counted_in_order(golden_home):
    by_model = {item["model"]: item for item in golden_home.document["models"]}
    for attempt, model in enumerate(("transformer", "ppo", "ensemble"), start=2):
        assert list(by_model[model]["coins"]) == COINS
        assert {coin["attempt"] for coin in by_model[model]["coins"].values()} == {attempt}
    components = by_model["ensemble"]["components"]
    assert [model for model, _, _ in components] == [*sorted(MODELS[:3]), "transformer", "ppo"]
    assert {version for _, version, _ in components} == {"v1.0.0"}
    best = max(coin["accuracy"] for coin in by_model["transformer"]["coins"].values())
    assert best < 0.8


@pytest.mark.slow
def test_the_same_replay_again_and_every_decision_can_be_computed_again(golden_copy, golden_home):
    again = tradingai(golden_copy, "replay", "--json")
    assert again.status == 0, again.err
    assert again.document["decisions_sha256"] == golden_home.document["replay"]["decisions_sha256"]
    verified = tradingai(golden_copy, "observe", "verify", "--json")
    assert (verified.status, verified.document["verified"]) == (0, True)
    assert verified.document["identical"] == verified.document["decisions"] == 6480


def test_progress_is_told_while_it_runs(golden_home):
    for words in ("candles BTC-USD", "features ETH-USD", "epoch 10/10", "bars/s", "gate leakage passed"):
        assert words in golden_home.progress


def test_the_home_is_closed_to_others_and_healthy(golden_home):
    done = tradingai(golden_home.path, "doctor", "--json")
    assert done.document["ok"] is True, done.out
    assert done.status == 0


def test_a_second_run_finds_its_work_done(golden_copy):
    before = (golden_copy / "models" / "registry.json").read_bytes()
    done = tradingai(golden_copy, "pipeline", "--json")
    assert done.status == 0, done.err
    assert done.document["skipped"] == done.document["steps"] == STEPS
    assert {item["promotion"] for item in done.document["models"]} == {"live"}
    assert (golden_copy / "models" / "registry.json").read_bytes() == before
    text = tradingai(golden_copy, "pipeline")
    assert f"All {STEPS} steps were done already" in text.out
    for words in (*MODELS, *GATES, "tier MAE", "momentum", "oracle"):
        assert words in text.out


@pytest.mark.slow
def test_a_damaged_matrix_is_noticed_and_made_again(golden_copy, golden_home):
    (matrix,) = (golden_copy / "data" / "features" / "BNB-USD").glob("*.npy")
    content = bytearray(matrix.read_bytes())
    content[-7] ^= 0xFF
    matrix.unlink()
    matrix.write_bytes(content)
    done = tradingai(golden_copy, "pipeline", "--json")
    assert done.status == 0, done.err
    assert done.document["skipped"] == STEPS - 1
    assert "features of BNB-USD" in done.err
    assert value_hashes(golden_copy) == value_hashes(golden_home.path)


def test_status_and_registry_agree_with_the_run(golden_home):
    status = tradingai(golden_home.path, "status", "--json").document
    states = {phase["id"]: phase["state"] for phase in status["phases"]}
    done = {
        name: states[name]
        for name in ("candles", "features", "training", "evaluation", "gates", "promotion", "replay")
    }
    assert set(done.values()) == {"done"}
    listed = tradingai(golden_home.path, "models", "list", "--json").document
    accuracy = {item["model"]: item["accuracy"] for item in golden_home.document["models"]}
    assert {item["model"]: item["accuracy"] for item in listed} == accuracy
    assert all(item["promoted"] and item["passed"] for item in listed)
    assert {name: entry["live"] for name, entry in status["models"].items()} == dict.fromkeys(
        MODELS, "v1.0.0"
    )


def test_registry_is_intact_and_has_a_history(golden_home):
    verified = tradingai(golden_home.path, "models", "verify", "--quick", "--json")
    assert (verified.status, verified.document["ok"]) == (0, True)
    kinds = [entry["kind"] for entry in tradingai(golden_home.path, "models", "history", "--json").document]
    assert sorted(kinds) == ["evaluated"] * 6 + ["promoted"] * 6
    early = tradingai(golden_home.path, "models", "history", "--at", "2020-01-01", "--json")
    assert early.document == []
    late = tradingai(golden_home.path, "models", "history", "--at", "2999-01-01", "--json")
    assert {entry["model"] for entry in late.document} == set(MODELS)
    shown = tradingai(golden_home.path, "models", "show", "lstm_BTC-USD", "--json").document
    assert shown["promoted"] is True
    assert shown["accuracy"] == golden_home.document["models"][0]["accuracy"]


def test_evaluating_again_is_the_same_attempt(golden_copy, golden_home):
    again = tradingai(golden_copy, "evaluate", "lstm_BTC-USD", "--json")
    assert again.status == 0, again.err
    first = golden_home.document["models"][0]
    assert again.document["attempt"] == 1
    assert again.document["certificate_sha256"] == first["certificate_sha256"]
    assert "nothing to do" in again.err
    checkpoint = golden_copy / "models" / "checkpoints" / "lstm_BTC-USD_best.pt"
    by_path = tradingai(golden_copy, "evaluate", str(checkpoint), "--json")
    assert by_path.document["certificate_sha256"] == first["certificate_sha256"]


@pytest.mark.slow
def test_every_certificate_can_be_recomputed(golden_home):
    done = tradingai(golden_home.path, "models", "verify", "--json")
    assert (done.status, done.document["ok"]) == (0, True), done.out
    assert all(item["recomputed"] for item in done.document["versions"])


@pytest.mark.slow
def test_a_second_version_goes_live_and_back(golden_copy):
    """Another seed on the same test data is attempt 2, with wider intervals."""
    trained = tradingai(golden_copy, "train", "lstm", "--coin", "BTC", "--seed", "8", "--json")
    assert trained.status == 0, trained.err
    second = tradingai(golden_copy, "evaluate", "lstm_BTC-USD", "--json").document
    assert (second["version"], second["attempt"]) == ("v1.1.0", 2)
    promoted = tradingai(golden_copy, "models", "promote", "lstm_BTC-USD", "--why", "better", "--json")
    assert promoted.document["version"] == "v1.1.0"
    assert promoted.document["why"] == "better"
    back = tradingai(golden_copy, "models", "rollback", "lstm_BTC-USD", "--to", "v1.0.0", "--json")
    assert back.document["version"] == "v1.0.0"
    assert (golden_copy / "models" / "promoted" / "lstm_BTC-USD").readlink().name == "v1.0.0"
    history = tradingai(golden_copy, "models", "history", "lstm_BTC-USD", "--json").document
    assert [entry["kind"] for entry in history][-2:] == ["promoted", "rolled_back"]


def test_tighter_thresholds_refuse_with_status_3(golden_copy):
    tight = tradingai(golden_copy, "evaluate", "lstm_BTC-USD", "--min-accuracy", "0.99", "--json")
    assert tight.status == 3
    (refusal,) = [gate for gate in tight.document["gates"] if not gate["passed"]]
    assert (refusal["id"], refusal["threshold"]) == ("accuracy", 0.99)
    assert "99.0 %" in refusal["to_pass"]


@pytest.mark.slow
def test_looser_thresholds_are_exploratory_and_cannot_be_promoted(golden_copy):
    loose = tradingai(golden_copy, "evaluate", "lstm_BTC-USD", "--min-accuracy", "0.5", "--json")
    assert (loose.status, loose.document["exploratory"]) == (0, True)
    text = tradingai(golden_copy, "evaluate", "lstm_BTC-USD", "--min-accuracy", "0.5")
    assert "EXPLORATORY" in text.out
    assert "evaluated, passed (EXPLORATORY)" in tradingai(golden_copy, "models", "history").out


def test_rollback_needs_something_to_go_back_to(golden_copy):
    done = tradingai(golden_copy, "models", "rollback", "lstm_BTC-USD", "--json")
    assert done.status == 1
    assert done.error["code"] == "registry"
    assert done.error["remedy"]
    unknown = tradingai(golden_copy, "models", "rollback", "--to", "v9.9.0", "--json")
    assert unknown.status == 4
    assert "v9.9.0" in unknown.error["message"]
    assert "nothing was changed" in unknown.error["message"]


def test_a_backup_brings_database_registry_and_live_models_back(golden_copy, tmp_path):
    file = tmp_path / "saved.tar.gz"
    saved = tradingai(golden_copy, "backup", str(file), "--json")
    assert saved.status == 0, saved.err
    assert len(saved.document["versions"]) == len(MODELS)
    assert file.stat().st_mode & 0o777 == 0o600
    twice = tradingai(golden_copy, "backup", str(file), "--json")
    assert (twice.status, twice.error["code"]) == (2, "usage")
    other = tmp_path / "other"
    restored = tradingai(other, "restore", str(file), "--json")
    assert restored.status == 0, restored.err
    assert tradingai(other, "models", "verify", "--quick", "--json").document["ok"] is True
    ledger = Path("models") / "registry.json"
    assert (other / ledger).read_bytes() == (golden_copy / ledger).read_bytes()
    assert tradingai(golden_copy, "restore", str(file), "--json").status in {0, 2}


def test_a_truncated_artifact_is_refused_by_hash(golden_copy):
    artifact = golden_copy / "models" / "versions" / "lstm_BTC-USD" / "v1.0.0" / "model.pt"
    content = artifact.read_bytes()
    artifact.unlink()
    artifact.write_bytes(content[:-1])
    verified = tradingai(golden_copy, "models", "verify", "--quick", "--json")
    assert (verified.status, verified.document["ok"]) == (1, False)
    promoted = tradingai(golden_copy, "models", "promote", "lstm_BTC-USD", "--json")
    assert promoted.status == 1
    assert "model.pt" in promoted.error["message"]
    assert tradingai(golden_copy, "doctor").status == 1


def test_another_pipeline_in_the_same_home_is_refused_and_the_first_can_be_stopped(tmp_path):
    home = tmp_path / "home"
    first = start(home, "pipeline")
    lock = home / "locks" / "pipeline"
    wait_for(lambda: lock.exists() and read_owner(lock) is not None)
    second = tradingai(home, "pipeline", "--json")
    assert second.status == 1
    assert second.error["code"] == "locked"
    assert f"process {first.pid}" in second.error["message"]
    assert second.error["remedy"]
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 130, err
    assert out == ""
    assert "stopping at the next safe point" in err
    assert "goes on from there" in err
    assert "Traceback" not in err
