"""SIGKILL in the middle of every stage; the same command again ends in the same values and a valid ledger."""

import shutil
import signal
from os import kill

import pytest

from tests.fakes.command_line import start, tradingai
from tests.fakes.home_state import alive, value_hashes, wait_for, worker_of

MONTH = ("--start", "2025-10-10", "--end", "2025-11-10T01:07Z")
STAGES = ("generate", "features", "train", "evaluate")


def forget_from(home, stage):
    """Take away what this stage and the later ones made."""
    for name in STAGES[STAGES.index(stage) :]:
        for folder in {
            "generate": ("data/candles", "data/oracle"),
            "features": ("data/features",),
            "train": ("models/checkpoints",),
            "evaluate": ("models/versions", "models/promoted", "reports"),
        }[name]:
            shutil.rmtree(home / folder)
    (home / "models" / "registry.json").unlink()


@pytest.fixture(scope="module")
def month_home(tmp_path_factory):
    """A home with a month of candles of one coin and a model of three epochs, made without a break."""
    home = tmp_path_factory.mktemp("month") / "home"
    assert tradingai(home, "data", "generate", "--symbols", "BTC", *MONTH).status == 0
    assert tradingai(home, "features", "build").status == 0
    done = tradingai(home, "train", "lstm", "--coin", "BTC", "--epochs", "3")
    assert done.status == 0, done.err
    return home


def test_killed_while_training_the_same_command_ends_in_the_same_weights(month_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(month_home, home)
    shutil.rmtree(home / "models" / "checkpoints")
    arguments = ("train", "lstm", "--coin", "BTC", "--epochs", "3")
    running = start(home, *arguments)
    wait_for(lambda: any(home.glob("models/checkpoints/*_last.pt")))
    worker = worker_of(home, "train")
    running.kill()
    running.communicate(timeout=10)
    wait_for(lambda: not alive(worker), seconds=15)
    done = tradingai(home, *arguments)
    assert done.status == 0, done.err
    assert value_hashes(home) == value_hashes(month_home)


@pytest.mark.slow
def test_a_killed_worker_is_started_again_and_ends_in_the_same_weights(month_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(month_home, home)
    shutil.rmtree(home / "models" / "checkpoints")
    running = start(home, "train", "lstm", "--coin", "BTC", "--epochs", "3", "--json")
    wait_for(lambda: any(home.glob("models/checkpoints/*_last.pt")))
    kill(wait_for(lambda: worker_of(home, "train")), signal.SIGKILL)
    _, err = running.communicate(timeout=240)
    assert running.returncode == 0, err
    assert value_hashes(home) == value_hashes(month_home)


@pytest.mark.slow
def test_ctrl_c_while_training_says_what_was_kept_and_the_same_command_goes_on(month_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(month_home, home)
    shutil.rmtree(home / "models" / "checkpoints")
    arguments = ("train", "lstm", "--coin", "BTC", "--epochs", "3", "--json")
    running = start(home, *arguments)
    wait_for(lambda: any(home.glob("models/checkpoints/*_last.pt")))
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert '"code": "interrupted"' in out
    assert "goes on from there" in out
    assert tradingai(home, *arguments).status == 0
    assert value_hashes(home) == value_hashes(month_home)


def test_a_second_ctrl_c_does_not_wait_for_a_safe_point(month_home, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(month_home, home)
    shutil.rmtree(home / "models" / "checkpoints")
    running = start(home, "train", "lstm", "--coin", "BTC", "--epochs", "3")
    worker = wait_for(lambda: worker_of(home, "train"))
    running.send_signal(signal.SIGINT)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, ""), err
    assert "stopping at once" in err
    assert not alive(worker)


@pytest.mark.slow
@pytest.mark.golden
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("victim", ["engine", "worker"])
def test_killed_in_any_stage_of_the_pipeline(golden_copy, golden_home, stage, victim):
    forget_from(golden_copy, stage)
    running = start(golden_copy, "pipeline", "--json")
    worker = wait_for(lambda: worker_of(golden_copy, stage))
    if victim == "engine":
        running.kill()
        running.communicate(timeout=10)
        wait_for(lambda: not alive(worker), seconds=15)
        done = tradingai(golden_copy, "pipeline", "--json", timeout=600)
        assert done.status == 0, done.err
    else:
        kill(worker, signal.SIGKILL)
        _, err = running.communicate(timeout=600)
        assert running.returncode == 0, err
    assert value_hashes(golden_copy) == value_hashes(golden_home.path)
    assert tradingai(golden_copy, "models", "verify", "--quick", "--json").document["ok"] is True
    assert tradingai(golden_copy, "doctor").status == 0
