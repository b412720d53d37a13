"""What docs/logging.md and the dashboard say is what the loop writes."""

import json
import re
from datetime import UTC, datetime

import pytest
from tradingai.engine.core.logs.emf import NAMESPACE
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS
from tradingai.engine.decision.records import Decision, Reason, Side, Signal
from tradingai.engine.decision.tiers import Tier
from tradingai.engine.risk.ftmo_status import FloorDistance
from tradingai.engine.runtime import scan_lines
from tradingai.engine.runtime.live_run import MODE
from tradingai.engine.runtime.scanned import Scanned, ScannedAccount
from tradingai.engine.store.live_rows import Heartbeat

from tests.fakes.command_line import ROOT
from tests.fakes.emf import RefusedError, metrics_of, parsed, rows_of, widgets_of
from tests.unit.test_log_lines import lines, record

TEXT = (ROOT / "docs" / "logging.md").read_text()
BODY = (ROOT / "docs" / "cloudwatch-dashboard.json").read_text()
NOW = datetime(2026, 3, 4, 12, 1, tzinfo=UTC)
OWN = ["ts", "level", "logger", "msg", "process", "pid"]
SIGNAL = Signal(
    "k", "BTC-USD", Side.LONG, Tier.HIGH, 0.88, 1.0, 2.0, 0.5, 2.0, 1.0, 5.0, 12.0, 3.0, 9.0, MODE
)
DECISION = Decision(
    "BTC-USD",
    0,
    0,
    Reason.EMITTED,
    "",
    0.88,
    0.88,
    Side.LONG,
    Tier.HIGH,
    0.75,
    1.0,
    {},
    {},
    "",
    signal=SIGNAL,
)
FLOORS = tuple(
    FloorDistance(name, 0.05, 1.0, 1.0, 1.0, crossed=False)
    for name in ("daily stop", "daily limit", "total stop", "total limit")
)
SCANNED = Scanned(
    0, 1, "done", {"emitted": 1}, (SIGNAL,), "", "live-1", MODE, 0, 9.0, 9.0, (DECISION,), (),
    ScannedAccount(1.0, 1.0, 0.0, "ACTIVE", FLOORS),
)  # fmt: skip
BEAT = Heartbeat("live-1", "e", "b", 1, NOW, 1.0, 60.0, 0, NOW, "started")


@pytest.fixture(scope="module")
def made():
    """One line of each kind."""
    caught = []

    class Log:
        isEnabledFor = staticmethod(lambda _level: True)  # noqa: N815 - the name of logging's

        @staticmethod
        def log(_level, text, *args, extra):
            caught.append(record(text, *args, **extra))

    log, scan_lines._log = scan_lines._log, Log
    try:
        scan_lines.log_scan(SCANNED)
        scan_lines.log_heartbeat(BEAT, MODE)
    finally:
        scan_lines._log = log
    return {line["event"]: line for line in map(parsed, map(lines().format, caught))}


def section(title):
    return TEXT.split(f"\n{title}\n", 1)[1].split("\n#", 1)[0]


def first_cells(text):
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]


def test_the_fields_of_every_line_are_those_of_the_table():
    assert first_cells(section("## Fields")) == OWN


@pytest.mark.parametrize("event", ["scan", "decision", "signal", "heartbeat"])
def test_the_table_of_a_line_names_all_its_fields(made, event):
    names = first_cells(section(f"### {event}"))
    assert len(names) == len(set(names))
    assert set(names) == set(made[event]) - {*OWN, "event", "_aws"}


def shape(value):
    """Names and types of a document; numbers are numbers, and what maps names to values may hold others."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items() if name not in {"outputs", "versions"}}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return float if isinstance(value, int | float) else type(value)


def examples():
    return [line for line in section("## Example lines").splitlines() if line.startswith("{")]


def test_the_examples_are_what_the_loop_writes(made):
    assert {parsed(line)["event"] for line in examples()} == {"decision", "signal", "heartbeat"}
    for line in examples():
        document = parsed(line)
        expected = made[document["event"]]
        assert list(document) == list(expected)
        assert shape(document) == shape(expected)
        assert document["_aws"]["CloudWatchMetrics"] == expected["_aws"]["CloudWatchMetrics"]
        stamp = datetime.fromtimestamp(document["_aws"]["Timestamp"] / 1000, tz=UTC)
        assert stamp == datetime.fromisoformat(document["ts"])
        assert metrics_of(line, NOW)


def test_the_table_of_metrics_is_the_codes():
    rows = {
        (event, dimensions): set(re.findall(r"`([a-z_]\w*)`", metrics))
        for event, dimensions, metrics in re.findall(
            r"^\| (scan|decision|signal|heartbeat) \| ([^|]+) \| ([^|]+) \|$",
            section("## CloudWatch"),
            re.MULTILINE,
        )
    }
    words = {(("mode",),): "`mode`", (("pair", "mode"),): "`pair` + `mode`"}
    words[("pair", "mode"), ("mode",)] = "`pair` + `mode`, and `mode`"
    declared = {
        (event, words[directive.dimensions]): {
            metric.name for metric in directive.metrics
            if metric.unit != "Count" or event != "scan"
        } - ({f"{floor.name.replace(' ', '_')}_left" for floor in FLOORS} if event == "scan" else set())
        for event, directives in (
            ("scan", scan_lines.SCAN_METRICS), ("decision", scan_lines.DECISION_METRICS),
            ("signal", scan_lines.SIGNAL_METRICS), ("heartbeat", scan_lines.BEAT_METRICS),
        )
        for directive in directives
    }  # fmt: skip
    assert rows == declared


def test_every_count_of_a_scan_is_a_metric(made):
    table = section("### scan")
    counts = {
        name for row in table.splitlines() if "| count |" in row for name in re.findall(r"`(\w+)`", row)
    }
    metrics = scan_lines.SCAN_METRICS[0].metrics
    assert counts == {metric.name for metric in metrics if metric.unit == "Count"}


# -- the dashboard


def shown():
    """Every (metric, dimensions) that the dashboard draws."""
    for widget in widgets_of(BODY):
        if widget["type"] == "metric":
            yield from rows_of(widget["properties"])


def test_the_dashboard_draws_only_what_the_loop_emits(made):
    emitted = set().union(*(metrics_of(json.dumps(line), NOW) for line in made.values()))
    count = 0
    for namespace, name, dimensions in shown():
        count += 1
        assert namespace == NAMESPACE
        assert (name, tuple(dimensions)) in emitted, name
        assert dimensions["mode"] == MODE
        assert dimensions.get("pair", "BTC-USD") in PIPELINE_SYMBOLS
    assert count >= 35


def test_the_dashboard_shows_what_an_operator_asks_for():
    drawn = {name for _, name, _ in shown()}
    assert drawn >= {"lat_ms", "equity", "drawdown_pct", "daily_stop_left", "scans_failed", "heartbeats"}
    assert drawn >= {f"decisions_{reason.value}" for reason in Reason}
    assert drawn >= {f"signals_{tier.value}" for tier in Tier}
    stats = {
        row[-1]["stat"]
        for widget in widgets_of(BODY)
        for row in widget["properties"].get("metrics", ())
        if row[1] in {"lat_ms", "."} and isinstance(row[-1], dict) and "stat" in row[-1]
    }
    assert stats == {"p50", "p99"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: w.update(x=20),
        lambda w: w.update(width=25),
        lambda w: w.update(y=-1),
        lambda w: w["properties"].update(period=90),
        lambda w: w["properties"].update(period=5),
        lambda w: w["properties"].pop("region"),
        lambda w: w["properties"].update(stat="p101"),
        lambda w: w["properties"]["metrics"].append(["TradingAI", "lat_ms", "mode"]),
        lambda w: w.update(y=8),
    ],
)
def test_the_validator_refuses_a_wrong_dashboard(spoil):
    document = json.loads(BODY)
    spoil(document["widgets"][1])
    with pytest.raises((RefusedError, KeyError)):
        widgets_of(json.dumps(document))


def test_abbreviated_rows_are_written_out():
    rows = [["N", "m", "pair", "A", "mode", "x"], ["...", "B", ".", "."], [".", "n", ".", ".", ".", "."]]
    assert rows_of({"metrics": rows}) == [
        ("N", "m", {"pair": "A", "mode": "x"}),
        ("N", "m", {"pair": "B", "mode": "x"}),
        ("N", "n", {"pair": "B", "mode": "x"}),
    ]
