"""What comes out depends on the market: promoted where there is something to learn, refused elsewhere."""

from pathlib import Path

import pytest

from tests.fakes.command_line import ROOT, tradingai

MARKET_FILES = sorted((ROOT.parent / "shared" / "market").glob("*.parquet"))
GATES = {"accuracy", "calibration", "leakage", "significance", "sample"}


def through_the_pipeline(home: Path, file: Path, epochs: int):
    """The four commands an operator types for a file of candles; the last one's answer."""
    coin = file.name.partition("-")[0]
    for arguments in (
        ("data", "import", str(file), "--symbol", coin),
        ("features", "build", "--symbols", coin),
        ("train", "lstm", "--coin", coin, "--epochs", str(epochs)),
    ):
        done = tradingai(home, *arguments)
        assert done.status == 0, done.err
    return tradingai(home, "evaluate", f"lstm_{coin}-USD", "--json")


def check_refusal(home: Path, done) -> None:
    """Refused with status 3, explained, and nothing promoted."""
    assert done.status == 3, done.err
    document = done.document
    assert document["synthetic"] is False
    assert document["oracle"] is None
    assert document["passed"] is False
    assert {gate["id"] for gate in document["gates"]} == GATES
    refused = [gate for gate in document["gates"] if not gate["passed"]]
    assert "accuracy" in {gate["id"] for gate in refused}
    assert all(gate["detail"] and gate["to_pass"] for gate in refused)
    assert next(gate for gate in document["gates"] if gate["id"] == "leakage")["passed"]
    promoted = tradingai(home, "models", "promote", document["model"], "--json")
    assert (promoted.status, promoted.error["code"]) == (3, "gate_refused")
    assert tradingai(home, "models", "list", "--json").document[0]["promoted"] is False


@pytest.mark.skipif(not MARKET_FILES, reason="no real candles beside the project")
@pytest.mark.slow
def test_real_candles_run_to_the_end_and_are_refused(tmp_path):
    (file,) = [file for file in MARKET_FILES if file.name.startswith("BTC")]
    check_refusal(tmp_path, through_the_pipeline(tmp_path, file, epochs=1))


@pytest.mark.slow
@pytest.mark.skipif(not MARKET_FILES, reason="no real candles beside the project")
@pytest.mark.parametrize("file", MARKET_FILES, ids=lambda file: file.name.partition("-")[0])
def test_every_real_file_with_a_full_training(tmp_path, file):
    check_refusal(tmp_path, through_the_pipeline(tmp_path, file, epochs=10))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_null_promotes_nothing(tmp_path, seed):
    done = tradingai(tmp_path, "pipeline", "--market", "null", "--seed", str(seed), "--json", timeout=800)
    assert done.status == 3, done.err
    for item in done.document["models"]:
        assert item["promotion"] == "refused"
        assert 0.45 < item["accuracy"] < 0.55
        assert item["oracle"] is None or 0.45 < item["oracle"]["accuracy"] < 0.55
    assert not list((tmp_path / "models" / "promoted").iterdir())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cycles_promotes_every_coin(tmp_path, seed):
    done = tradingai(tmp_path, "pipeline", "--market", "cycles", "--seed", str(seed), "--json", timeout=800)
    assert done.status == 0, done.err
    assert {item["promotion"] for item in done.document["models"]} == {"promoted"}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("market", ["weak", "drift"])
def test_weak_and_drift_are_refused(tmp_path, market):
    done = tradingai(tmp_path, "pipeline", "--market", market, "--json", timeout=800)
    assert done.status == 3, done.err
    assert {item["promotion"] for item in done.document["models"]} == {"refused"}


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.timeout(900)
def test_another_market_in_the_same_home_does_everything_again(golden_copy):
    """What was promoted on ``cycles`` stays live: a refused candidate replaces nothing."""
    done = tradingai(golden_copy, "pipeline", "--market", "null", "--json", timeout=800)
    assert done.status == 3, done.err
    assert done.document["skipped"] == 0
    listed = tradingai(golden_copy, "models", "list", "--json").document
    assert {(item["version"], item["promoted"], item["passed"]) for item in listed} == {
        ("v1.0.0", True, True),
        ("v1.1.0", False, False),
    }
