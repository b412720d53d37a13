"""Each import-linter contract catches a violation that is planted in a copy of the package."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}

PLANTS = {
    "surfaces": [
        ("engine/core/planted.py", "import tradingai.widgets"),
        ("widgets/also_planted.py", "import tradingai.bootstrap"),
        ("engine/jobs/planted.py", "import tradingai.cli.main"),
        ("widgets/planted.py", "import tradingai.screens"),
        ("screens/planted.py", "import tradingai.cli"),
        ("app.py", "import tradingai.cli"),
        ("engine/alerts/planted.py", "import tradingai.telegram"),
    ],
    "engine-layers": [
        ("engine/core/planted.py", "import tradingai.engine.store"),
        ("engine/store/planted.py", "import tradingai.engine.providers"),
        ("engine/providers/planted.py", "import tradingai.engine.queries"),
        ("engine/queries/planted.py", "import tradingai.engine.risk"),
        ("engine/risk/planted.py", "import tradingai.engine.decision"),
        ("engine/decision/planted.py", "import tradingai.engine.challenge"),
        ("engine/decision/planted.py", "import tradingai.engine.features"),
        ("engine/features/planted.py", "import tradingai.engine.datasets"),
        ("engine/datasets/planted.py", "import tradingai.engine.models"),
        ("engine/models/planted.py", "import tradingai.engine.training"),
        ("engine/training/planted.py", "import tradingai.engine.evaluation"),
        ("engine/evaluation/planted.py", "import tradingai.engine.jobs"),
        ("engine/jobs/planted.py", "import tradingai.engine.runtime"),
        ("engine/alerts/planted.py", "import tradingai.engine.jobs"),
        ("engine/runtime/planted.py", "import tradingai.engine.telemetry"),
    ],
    "headless-engine": [
        ("engine/core/planted.py", "import rich"),
        ("engine/features/planted.py", "def late() -> None:\n    import textual"),
        ("engine/alerts/planted.py", "import telegram"),
    ],
    "no-torch-below": [
        (f"engine/{name}/planted.py", "def late() -> None:\n    import torch")
        for name in ("core", "store", "providers", "features", "risk", "decision", "challenge")
    ],
    "light-queries": [
        ("engine/queries/planted.py", "import torch"),
        ("engine/queries/also_planted.py", "import tradingai.engine.jobs"),
    ],
    "light-status": [
        ("engine/queries/status.py", "import polars"),
    ],
    "gymnasium": [
        ("engine/training/planted.py", "def late() -> None:\n    import gymnasium"),
        ("cli/planted.py", "import stable_baselines3"),
    ],
    "gym-wrapper": [
        ("engine/training/planted.py", "import tradingai.engine.training.gym_env"),
    ],
}


@pytest.fixture
def copied_project(tmp_path):
    """The package and its import-linter configuration, in a folder of its own."""
    shutil.copytree(ROOT / "tradingai", tmp_path / "tradingai", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


def lint(project, contract):
    """Run one contract in ``project`` as a child process."""
    command = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as run; run()"
    )
    return subprocess.run(
        [sys.executable, "-c", command, "--contract", contract, "--no-cache"],
        cwd=project, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def dotted(file):
    return "tradingai." + file.removesuffix(".py").replace("/", ".")


def test_every_contract_has_a_plant():
    assert set(PLANTS) == set(CONTRACTS)


@pytest.mark.parametrize("contract", PLANTS)
def test_contract_is_kept(copied_project, contract):
    result = lint(copied_project, contract)
    assert result.returncode == 0, result.stdout
    assert f"{CONTRACTS[contract]['name']} KEPT" in result.stdout


@pytest.mark.parametrize("contract", PLANTS)
def test_contract_catches_every_plant(copied_project, contract):
    for file, line in PLANTS[contract]:
        target = copied_project / "tradingai" / file
        there = target.read_text() if target.exists() else ""
        target.write_text(f"{there}\n{line}\n")
    result = lint(copied_project, contract)
    assert result.returncode == 1, result.stdout
    assert f"{CONTRACTS[contract]['name']} BROKEN" in result.stdout
    for file, _ in PLANTS[contract]:
        assert f"{dotted(file)} ->" in result.stdout, file


def test_a_module_without_a_place_in_the_layers_is_reported(copied_project):
    (copied_project / "tradingai" / "engine" / "helpers.py").write_text("")
    result = lint(copied_project, "engine-layers")
    assert result.returncode == 1
    assert "helpers" in result.stdout
