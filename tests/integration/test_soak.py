"""The soak's plan repeats, and each of its invariants catches what breaks it, on a small recorded home."""

import json
import subprocess
import sys

import numpy as np
import pytest
from tradingai.engine.core.symbols import PIPELINE_SYMBOLS

from tests.fakes.command_line import ROOT, environment
from tests.fakes.soak_home import CHANNEL, INTERVAL_S

sys.path.insert(0, str(ROOT / "benchmarks"))
import soak_invariants as invariants
from soak_evidence import Verdict
from soak_plan import CALM_S, DAY, PER_30_DAYS, draw_plan, plan_from_json
from soak_world import Sample

FLAT = [Sample(1, 60.0 * minute, 300.0) for minute in range(400)]


@pytest.fixture
def judged(soaked, tmp_path):
    """Judges a copy of the recorded home after some SQL; verdicts by name."""

    def judge(
        *statements, texts=soaked.texts, change=lambda _home: None, samples=FLAT, unplanned=()
    ) -> dict[str, Verdict]:
        home = soaked.copy(tmp_path / "home", *statements)
        change(home)
        with soaked.evidence(home=home, texts=texts) as evidence:
            return {one.name: one for one in invariants.judge(evidence, samples, unplanned)}

    return judge


def broken(verdicts):
    return {name: one.violations for name, one in verdicts.items() if not one.holds}


def test_the_recorded_home_holds_and_every_invariant_looked_at_something(judged):
    verdicts = judged()
    assert broken(verdicts) == {}
    assert len(verdicts) == 15
    assert all(one.checked for one in verdicts.values())
    assert verdicts["no emission while killed"].detail != "0 decisions held back"
    assert verdicts["no emission while halted"].detail != "0 scans were HALTED"


KEYS = "(SELECT key FROM signals ORDER BY at LIMIT 1 OFFSET 2)"
EVENT = "(SELECT min(seq) FROM events WHERE type = 'SignalEmitted')"


@pytest.mark.parametrize(
    ("name", "statements", "words"),
    [
        (
            "no signal lost or doubled",
            [f"UPDATE signals SET key = key || '+' WHERE key = {KEYS}"],
            "is lost: no row of signals",
        ),
        ("no signal lost or doubled", [f"DELETE FROM signals WHERE key = {KEYS}"], "is lost"),
        (
            "no signal lost or doubled",
            [
                ("INSERT INTO events (ts, type, level, run_id, payload)"
                f" SELECT ts, type, level, run_id, payload FROM events WHERE seq = {EVENT}")
            ],
            "twice among the events",
        ),
        (
            "no signal lost or doubled",
            ["UPDATE decisions SET reason = 'rate_limited' WHERE signal_key IS NOT NULL AND scan_seq > 100"],
            "of a decision that did not emit",
        ),
        ("each signal ends once", [f"DELETE FROM trades WHERE key = {KEYS}"], "has no trade"),
        (
            "each signal ends once",
            ["DELETE FROM events WHERE seq = (SELECT min(seq) FROM events WHERE type = 'PositionClosed')"],
            "SignalEmitted → PositionOpened and is not open",
        ),
        (
            "alerts at least once",
            [f"DELETE FROM alerts WHERE subject = {KEYS}"],
            "has 0 alerts",
        ),
        (
            "alerts at least once",
            [f"UPDATE alerts SET state = 'waiting' WHERE subject = {KEYS} AND channel = '{CHANNEL}'"],
            "is waiting at the end",
        ),
        (
            "alerts at least once",
            [f"UPDATE alerts SET state = 'missed' WHERE subject = {KEYS} AND channel = '{CHANNEL}'"],
            "no digest names it",
        ),
        (
            "no emission while killed",
            [
                ("UPDATE events SET seq = (SELECT seq FROM events WHERE type = 'KillSwitchSet' LIMIT 1)"
                " - 1000000 WHERE type = 'KillSwitchSet' AND json_extract(payload, '$.on')")
            ],
            "while killed",
        ),
        (
            "no emission while killed",
            [
                ("UPDATE decisions SET reason = 'emitted' WHERE reason = 'killed'"
                " AND scan_seq = (SELECT max(scan_seq) FROM decisions WHERE reason = 'killed')")
            ],
            "while killed",
        ),
        (
            "no emission while killed",
            ["DELETE FROM events WHERE type = 'KillSwitchSet' AND json_extract(payload, '$.on')"],
            "turned on 1 times and 0 are told",
        ),
        (
            "no emission while halted",
            [
                ("UPDATE events SET seq = -1000 WHERE type = 'GuardStateChanged'"
                " AND json_extract(payload, '$.status') = 'HALTED'")
            ],
            "while halted",
        ),
        (
            "no emission while halted",
            ["UPDATE scans SET guard = 'HALTED' WHERE seq IN (SELECT scan_seq FROM signals)"],
            "while halted",
        ),
        (
            "funnel adds up",
            ["DELETE FROM decisions WHERE scan_seq = 5"],
            "scan 5 (done) decided on []",
        ),
        (
            "funnel adds up",
            ["UPDATE decisions SET reason = 'stale' WHERE scan_seq = 5"],
            "scan 5 told",
        ),
        (
            "no scan skipped in silence",
            [
                ("UPDATE events SET type = 'EngineStarted', ts = '2026-03-04T12:03:00.000000Z' WHERE seq ="
                " (SELECT max(seq) FROM events WHERE type = 'GuardStateChanged')")
            ],
            "s from the start at",
        ),
        (
            "no scan skipped in silence",
            [
                ("UPDATE events SET type = 'ScanOverrun', payload = json_object('missed', 3) WHERE seq ="
                " (SELECT max(seq) FROM events WHERE type = 'GuardStateChanged')")
            ],
            "3 told as missed",
        ),
        ("funnel adds up", ["UPDATE scans SET state = 'failed' WHERE seq = 5"], "scan 5 (failed) decided"),
        ("no scan skipped in silence", ["DELETE FROM scans WHERE seq = 7"], "scan 7 of"),
        (
            "no scan skipped in silence",
            [
                ("UPDATE events SET payload = json_set(payload, '$.due', '2026-03-04T12:11:00Z')"
                " WHERE type = 'ScanCompleted' AND json_extract(payload, '$.seq') = 5")
            ],
            "s from the scan due",
        ),
        ("equity is the trades", ["UPDATE scans SET equity = equity + 0.01 WHERE seq = 50"], "50: equity"),
        ("equity is the trades", ["UPDATE scans SET balance = balance - 0.01 WHERE seq = 50"], "50: balance"),
        ("equity is the trades", [f"UPDATE trades SET net = net + 0.01 WHERE key = {KEYS}"], "by its fills"),
        (
            "equity is the trades",
            [f"UPDATE trades SET exit = exit + 0.01 WHERE key = {KEYS}"],
            "exit",
        ),
        (
            "equity is the trades",
            [
                ("UPDATE events SET payload = json_set(payload, '$.quantity', 2 * json_extract(payload,"
                " '$.quantity')) WHERE seq = (SELECT min(seq) FROM events WHERE type = 'PositionOpened')")
            ],
            "added up",
        ),
        (
            "each signal ends once",
            ["DELETE FROM events WHERE seq = (SELECT min(seq) FROM events WHERE type = 'PositionClosed')"],
            "was emitted while",
        ),
        ("ledger valid", [
            "UPDATE decisions SET versions = replace(versions, 'v1.0.0', 'v1.1.0') WHERE scan_seq > 100"
        ], "live is v1.0.0"),
        ("equity is the trades", [f"UPDATE trades SET scan_seq = scan_seq + 1 WHERE key = {KEYS}"], "trades"),
    ],
)  # fmt: skip
def test_a_planted_violation_is_caught(judged, name, statements, words):
    found = broken(judged(*statements))
    assert any(words in text for text in found[name]), found


def test_a_delivered_alert_that_never_arrived_is_caught(judged, soaked):
    texts = soaked.texts
    first = next(text for text in texts if "high" in text)
    found = broken(judged(texts=[text for text in texts if text != first]))
    assert "never arrived" in found["alerts at least once"][0]


def test_a_message_under_the_id_of_another_signal_is_caught(judged, soaked):
    first = next(text for text in soaked.texts if "high" in text)
    other = first.replace("BTC-USD", "ETH-USD")
    found = broken(judged(texts=[other if text == first else text for text in soaked.texts]))
    assert "does not name BTC-USD" in found["alerts at least once"][0]


@pytest.mark.parametrize(("at", "caught"), [(100.0, False), (120.0, True), (200.0, True), (220.0, False)])
def test_a_signal_that_reaches_the_chat_while_killed_is_caught_whatever_the_engine_says(soaked, at, caught):
    with soaked.evidence(arrived_at=[at] * len(soaked.texts)) as evidence:
        verdict = invariants.not_while_killed(evidence)
    assert any("while killed" in one for one in verdict.violations) is caught


def test_a_signal_whose_delivery_is_told_before_the_switch_arrived_before_it(soaked):
    with soaked.evidence() as evidence:
        told = evidence.told("KillSwitchSet", "AlertDelivered")
    before = []
    for one in told:
        if one.type == "KillSwitchSet":
            break
        if one.payload["kind"] == "signal" and one.payload["channel"] == CHANNEL:
            before.append(one.payload["event_id"])
    mine = [any(f"id {one}" in text for one in before) for text in soaked.texts]
    assert any(mine)
    with soaked.evidence(arrived_at=[120.0 if one else 0.0 for one in mine]) as evidence:
        verdict = invariants.not_while_killed(evidence)
    assert not any("while killed" in one for one in verdict.violations)


def test_a_message_that_came_twice_without_saying_so_is_caught(judged, soaked):
    texts = soaked.texts
    first = next(text for text in texts if "high" in text)
    assert "without saying REPEAT" in broken(judged(texts=[*texts, first]))["alerts at least once"][0]


def test_a_marked_repeat_is_no_violation_but_a_stranger_is(judged, soaked):
    texts = soaked.texts
    first = next(text for text in texts if "high" in text)
    found = broken(judged(texts=[*texts, first.replace("<b>", "<b>REPEAT ", 1), "<i>dry-run · id ffff</i>"]))
    assert found == {"alerts at least once": ["message ffff belongs to no alert"]}


def test_a_changed_ledger_and_a_changed_artifact_are_caught(judged):
    def change(home):
        document = json.loads((home / "models" / "registry.json").read_text())
        text = json.dumps(document).replace('"soak"', '"some"')
        (home / "models" / "registry.json").write_text(text)

    assert set(broken(judged(change=change))) == {"ledger valid"}


def test_a_changed_version_is_caught(judged):
    def change(home):
        file = home / "models" / "versions" / "lstm_BTC-USD" / "v1.1.0" / "model.pt"
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:-1] + b"?")

    assert set(broken(judged(change=change))) == {"ledger valid"}


def test_a_torn_line_of_the_alert_file_is_caught(judged):
    def change(home):
        file = home / "logs" / "alerts.jsonl"
        lines = file.read_text().splitlines()
        file.write_text("\n".join([*lines[:3], lines[3][:20] + lines[4], *lines[5:]]) + "\n")

    assert set(broken(judged(change=change))) == {"alert file complete"}


def test_candles_that_the_files_lost_or_changed_are_caught(judged):
    first = "(SELECT min(ts_us) FROM live_candles)"
    found = broken(judged(f"UPDATE live_candles SET close = close + 1 WHERE ts_us = {first}"))
    assert "in the files, received was" in found["candles kept whole"][0]


def test_candle_files_that_are_gone_or_spoilt_are_caught(judged):
    def change(home):
        file = next(home.glob("data/live/*/BTC-USD/2026.*.parquet"))
        file.chmod(0o600)
        file.write_bytes(file.read_bytes()[:-9])

    assert set(broken(judged(change=change))) == {"candles kept whole"}


def test_growth_and_an_unplanned_end_are_caught(judged):
    grown = [Sample(1, one.at, 300 + one.at / 200) for one in FLAT]
    found = broken(judged(samples=grown, unplanned=["start 3 ended with -11"]))
    assert set(found) == {"memory flat", "ends only as planned"}
    assert invariants.memory(FLAT, DAY).holds
    assert not invariants.memory([], DAY).holds
    slow = [Sample(1, 3600.0 * hour, 300 + hour / 4) for hour in range(130)]
    assert not invariants.memory(slow, 6 * DAY).holds
    assert invariants.memory(slow[:110], 6 * DAY).holds


def test_a_leak_of_100_kb_an_hour_is_caught_in_the_life_a_30_day_plan_judges():
    """Ten days as measured: 31 MB at the first midnight, about 1 MB at each later one, and noise."""

    def life(leak_mb_an_hour):
        noise = np.random.default_rng(1)
        return [
            Sample(7, 60.0 * minute, 345 + (31 + minute / 1440) * (minute >= 1000) + noise.uniform(0, 1)
                   + leak_mb_an_hour * minute / 60)
            for minute in range(10 * 1440)
        ]  # fmt: skip

    month = 30 * DAY
    sound = invariants.memory(life(0.0), month)
    assert sound.holds, sound.violations
    assert not invariants.memory(life(0.1), month).holds


def test_a_month_without_a_long_life_judges_no_memory():
    short = [
        Sample(start, start * DAY + 60.0 * minute, 300.0) for start in range(30) for minute in range(1440)
    ]
    assert "no process lived through the middle third" in invariants.memory(short, 30 * DAY).violations[0]
    assert invariants.memory(short, 3 * DAY).holds


def test_a_seed_draws_the_same_plan_again_and_another_seed_another():
    plan = draw_plan(3, 30, PIPELINE_SYMBOLS)
    assert plan == draw_plan(3, 30, PIPELINE_SYMBOLS)
    assert plan != draw_plan(4, 30, PIPELINE_SYMBOLS)
    assert plan_from_json(json.loads(json.dumps(plan.as_json()))) == plan


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_plan_holds_every_fault_and_keeps_its_calm_ends_and_its_long_life(seed):
    plan = draw_plan(seed, 30, PIPELINE_SYMBOLS)
    kinds = [one.kind for one in (*plan.windows, *plan.actions)]
    for kind, often in PER_30_DAYS.items():
        assert kinds.count("switch_on" if kind == "switch" else kind) == often
    ends = [one.at for one in plan.actions if one.kind in {"kill", "stop"}]
    assert not [at for at in ends if plan.seconds * 0.34 < at < plan.seconds * 0.66]
    assert min(one.begins for one in plan.windows) >= CALM_S
    assert min(one.ends - one.begins for one in plan.windows) >= 1.5 * INTERVAL_S
    assert any(one.from_outside_ms is not None for one in plan.actions if one.kind == "kill")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_quick_soak_holds(tmp_path):
    out = tmp_path / "soak.json"
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "soak.py"), "--quick", "--out", str(out)],
        capture_output=True, text=True, check=False, env=environment(), cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    report = json.loads(out.read_text())
    assert report["holds"] is True
    assert report["lived_days"] >= 1
    assert all(
        report["faults"][kind] for kind in ("kill", "stop", "jump", "switch_on", "models", "disk", "telegram")
    )
