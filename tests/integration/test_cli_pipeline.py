"""The whole pipeline through the command line, on one golden home built by it."""

import json
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.fakes.command_line import start, tradingai
from tradingai.engine.core.ledger import read_ledger
from tradingai.engine.core.locks import read_owner

pytestmark = pytest.mark.golden

MODELS = ["lstm_BTC-USD", "lstm_ETH-USD", "lstm_BNB-USD"]
GATES = ["accuracy", "calibration", "leakage", "significance", "sample"]


def value_hashes(home: Path) -> dict[str, str]:
    """Every value hash a home's manifests, checkpoints and ledger name."""
    found = {}
    for kind in ("candles", "oracle", "features"):
        for manifest in sorted((home / "data" / kind).glob("*/manifest.json")):
            found[f"{kind} {manifest.parent.name}"] = json.loads(manifest.read_text())["sha256"]
    for card in sorted((home / "models" / "checkpoints").glob("*_best.json")):
        found[card.stem] = json.loads(card.read_text())["sha256"]
    for model, entry in read_ledger(home / "models" / "registry.json").live().items():
        found[f"live {model}"] = f"{entry.version} {entry.artifact_sha256}"
    return found


def wait_for(condition, seconds=60.0):
    """Poll until ``condition()`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def test_three_models_pass_every_gate_and_are_live(golden_home):
    document = golden_home.document
    assert document["passed"] is True
    assert (document["workload"], document["market"]) == ("quick", "cycles")
    assert [item["model"] for item in document["models"]] == MODELS
    for item in document["models"]:
        assert item["promotion"] == "promoted"
        assert [gate["id"] for gate in item["gates"]] == GATES
        assert all(gate["passed"] for gate in item["gates"])
        assert item["accuracy_ci"][0] < item["accuracy"] < item["accuracy_ci"][1]
        assert item["oracle"]["accuracy"] > item["accuracy"] > 0.68
        assert item["synthetic"] is True
        link = golden_home.path / "models" / "promoted" / item["model"]
        assert link.is_symlink()
        assert (link / "model.pt").is_file()


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
    assert done.document["skipped"] == done.document["steps"] == 12
    assert {item["promotion"] for item in done.document["models"]} == {"live"}
    assert (golden_copy / "models" / "registry.json").read_bytes() == before
    text = tradingai(golden_copy, "pipeline")
    assert "All 12 steps were done already" in text.out
    for words in (*MODELS, *GATES, "tier MAE", "momentum", "oracle"):
        assert words in text.out


def test_a_damaged_matrix_is_noticed_and_made_again(golden_copy, golden_home):
    (matrix,) = (golden_copy / "data" / "features" / "BNB-USD").glob("*.npy")
    content = bytearray(matrix.read_bytes())
    content[-7] ^= 0xFF
    matrix.unlink()
    matrix.write_bytes(content)
    done = tradingai(golden_copy, "pipeline", "--json")
    assert done.status == 0, done.err
    assert done.document["skipped"] == 11
    assert "features of BNB-USD" in done.err
    assert value_hashes(golden_copy) == value_hashes(golden_home.path)


def test_status_and_registry_agree_with_the_run(golden_home):
    status = tradingai(golden_home.path, "status", "--json").document
    states = {phase["id"]: phase["state"] for phase in status["phases"]}
    done = {
        name: states[name] for name in ("candles", "features", "training", "evaluation", "gates", "promotion")
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
    verified = tradingai(golden_home.path, "models", "verify", "--json")
    assert (verified.status, verified.document["ok"]) == (0, True)
    kinds = [entry["kind"] for entry in tradingai(golden_home.path, "models", "history", "--json").document]
    assert sorted(kinds) == ["evaluated"] * 3 + ["promoted"] * 3
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


def test_tighter_thresholds_refuse_and_looser_ones_are_exploratory(golden_copy):
    tight = tradingai(golden_copy, "evaluate", "lstm_BTC-USD", "--min-accuracy", "0.99", "--json")
    assert tight.status == 3
    (refusal,) = [gate for gate in tight.document["gates"] if not gate["passed"]]
    assert (refusal["id"], refusal["threshold"]) == ("accuracy", 0.99)
    assert "99.0 %" in refusal["to_pass"]
    loose = tradingai(golden_copy, "evaluate", "lstm_BTC-USD", "--min-accuracy", "0.5", "--json")
    assert (loose.status, loose.document["exploratory"]) == (0, True)
    text = tradingai(golden_copy, "evaluate", "lstm_BTC-USD", "--min-accuracy", "0.5")
    assert "EXPLORATORY" in text.out


def test_rollback_needs_something_to_go_back_to(golden_copy):
    done = tradingai(golden_copy, "models", "rollback", "lstm_BTC-USD", "--json")
    assert done.status == 1
    assert done.error["code"] == "registry"
    assert done.error["remedy"]
    unknown = tradingai(golden_copy, "models", "rollback", "--to", "v9.9.0", "--json")
    assert unknown.status in {1, 4}
    assert "v9.9.0" in unknown.error["message"]


def test_a_truncated_artifact_is_refused_by_hash(golden_copy):
    artifact = golden_copy / "models" / "versions" / "lstm_BTC-USD" / "v1.0.0" / "model.pt"
    content = artifact.read_bytes()
    artifact.unlink()
    artifact.write_bytes(content[:-1])
    verified = tradingai(golden_copy, "models", "verify", "--json")
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


def test_a_run_goes_on_where_another_was_killed_while_training(golden_copy, golden_home):
    """Engine and workers get SIGKILL in the middle of an epoch; the same command ends in the same values."""
    checkpoints = golden_copy / "models" / "checkpoints"
    shutil.rmtree(checkpoints)
    shutil.rmtree(golden_copy / "models" / "versions")
    (golden_copy / "models" / "registry.json").unlink()
    shutil.rmtree(golden_copy / "models" / "promoted")
    running = start(golden_copy, "pipeline")
    wait_for(lambda: checkpoints.exists() and any(checkpoints.glob("*_last.pt")))
    running.kill()
    running.wait(timeout=10)
    done = tradingai(golden_copy, "pipeline", "--json")
    assert done.status == 0, done.err
    assert value_hashes(golden_copy) == value_hashes(golden_home.path)
    assert len(read_ledger(golden_copy / "models" / "registry.json")) == 6
