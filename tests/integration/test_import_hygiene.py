"""What really gets imported: fast commands load nothing heavy."""

import json
import subprocess
import sys

import pytest

from tests.fakes.command_line import ROOT, environment

HEAVY = (
    "torch", "polars", "textual", "pydantic", "aiosqlite", "numpy", "scipy", "rich", "telegram", "httpx",
    "ccxt", "aiohttp",
)  # fmt: skip
PROGRAM = """
import json, sys
from tradingai.cli.main import main
status = main(json.loads(sys.argv[1]))
heavy = [name for name in json.loads(sys.argv[2]) if name in sys.modules]
print(json.dumps({"status": status, "heavy": heavy}), file=sys.stderr)
"""


def loaded(*arguments):
    """Which of HEAVY a command has imported when it is done."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(arguments), json.dumps(HEAVY)],
        capture_output=True, text=True, check=False, timeout=60, env=environment(), cwd=ROOT,
    )  # fmt: skip
    report = json.loads(done.stderr.splitlines()[-1])
    assert report["status"] == 0, done.stderr
    return set(report["heavy"])


def test_help_loads_nothing_heavy():
    assert loaded("--help") == set()


@pytest.mark.parametrize("arguments", [["data", "--help"], ["--version"]])
def test_other_help_loads_only_what_parses_options(arguments):
    assert loaded(*arguments) <= {"pydantic"}


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"], []])
def test_status_loads_settings_but_no_frameworks(tmp_path, arguments):
    assert loaded("--home", str(tmp_path / "home"), *arguments) <= {"pydantic"}


def test_reading_the_registry_loads_no_torch(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "home.json").write_text('{"schema": 1, "version": "0.1.0"}')
    assert loaded("--home", str(home), "models", "list") & {"torch", "polars", "textual"} == set()
