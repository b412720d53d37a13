"""The unit, the rules and the page about deployment say what is true of the program."""

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime

import pytest
from tradingai.cli.commands import COMMANDS
from tradingai.engine.core.errors import MissingError, UsageError
from tradingai.engine.core.settings import Settings
from tradingai.engine.store.failures import BUSY_TIMEOUT_S
from tradingai.engine.telemetry.exposition import Histogram
from tradingai.engine.telemetry.meters import Build, Meters

from tests.fakes.command_line import ROOT

FOLDER = ROOT / "docs" / "systemd"
UNIT = FOLDER / "tradingai.service"
PAGE = (ROOT / "docs" / "deployment.md").read_text()
RULES = (FOLDER / "tradingai-rules.yml").read_text()
SECONDS = {"s": 1, "min": 60, "": 1}


def directives():
    """Section to directive to its values, in their order."""
    found = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[section][name].append(value)
    return found


SERVICE = {name: values[-1] for name, values in directives()["Service"].items()}


def test_systemd_takes_the_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd here; the directives are checked below")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/tradingai/venv/bin/tradingai", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert said == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Type", "notify"),
        ("NotifyAccess", "main"),
        ("User", "tradingai"),
        ("KillSignal", "SIGTERM"),
        ("KillMode", "mixed"),
        ("Restart", "on-failure"),
        ("ExecStart", "/opt/tradingai/venv/bin/tradingai run"),
        ("UMask", "0077"),
        ("StateDirectoryMode", "0700"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("CapabilityBoundingSet", ""),
    ],
)
def test_directives(name, value):
    assert SERVICE[name] == value


def test_the_watchdog_outlasts_what_a_sound_scan_may_wait_for():
    settings = {name: field.default for name, field in Settings.model_fields.items()}
    assert int(SERVICE["WatchdogSec"]) > settings["provider_timeout_s"] + 2 * BUSY_TIMEOUT_S + 30


def test_starting_again_is_left_out_where_it_would_not_help():
    statuses = {int(text) for text in SERVICE["RestartPreventExitStatus"].split()}
    assert statuses == {UsageError.exit_status, MissingError.exit_status}


def test_no_secret_stands_in_the_unit():
    environment = " ".join(directives()["Service"]["Environment"])
    assert not re.search("TOKEN|PROXY|PASSWORD|SECRET", environment)
    assert "TRADINGAI_HOME=/var/lib/tradingai" in environment


def exposed():
    """Names of samples the engine exposes."""
    meters = Meters(
        Build("v", "c", "p", "r", "m"), ("BTC-USD",), ("log",), budget_ms=500, started=datetime.now(UTC)
    )
    names = set()
    for family in meters.families():
        parts = ("_bucket", "_sum", "_count") if isinstance(family, Histogram) else ("",)
        names |= {family.name + part for part in parts}
    return names


def test_the_rules_ask_for_metrics_there_are():
    asked = set(re.findall(r"\b(?:tradingai|process)_[a-z_]+\b", re.sub(r"summary:.*|job_name.*", "", RULES)))
    assert len(asked) > 5
    assert asked <= exposed()


def test_every_rule_says_what_to_look_at():
    assert RULES.count("- alert: ") == RULES.count("summary: ") == RULES.count("expr: ")


def test_every_command_of_the_page_exists():
    named = {entry.name for entry in COMMANDS}
    mentioned = re.findall(r"(?:as_tradingai|`tradingai|bin/tradingai) ([a-z]+)", PAGE + RULES)
    assert {"doctor", "restore", "backup", "telegram"} <= set(mentioned)
    assert set(mentioned) <= named


def test_the_page_and_the_scrape_configuration_agree_on_the_port():
    ports = set(re.findall(r"127\.0\.0\.1:(\d+)", PAGE + (FOLDER / "prometheus.yml").read_text()))
    assert ports == {"9464"}
    assert "METRICS_PORT=9464" in PAGE
