"""The table of benchmarks judges what it should, and two runs are compared by their noise, not by luck."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tradingai.engine.core.model_report import ModelReport
from tradingai.engine.core.settings import Settings
from tradingai.engine.pipeline.plan import ModelOutcome

from tests.fakes.command_line import ROOT
from tests.fakes.console_report import report as report_of

sys.path.insert(0, str(ROOT / "benchmarks"))
import bench_compare as comparing
import bench_workload as workload
import process_tree
from bench_rows import (
    FULL_ROWS,
    Document,
    DocumentError,
    Ran,
    Row,
    commit_of,
    document_from,
    number,
    row_from,
    table,
    write_document,
)
from run import BENCHMARKS, report

MACHINE = {"cpu": "some", "cores": 2, "packages": {"torch": "2"}, "load": [0.1, 0.0, 0.0]}
SECONDS = Row("a minute's work", 10.0, "s", 12.0, "≤", "the naive way", 30.0, 3.0)
RATE = replace(SECONDS, what="steps", unit="steps/s", comparison="≥", required=5.0)
GROWTH = Row("growth", 0.0, "MB", 4.0, "≤", "its size", 700.0, 700.0, grain=2.0)


def document(*rows, size=FULL_ROWS, machine=MACHINE, ran=()):
    git = {"commit": "0123456789abcdef", "dirty": False}
    return Document("2026-11-28T00:00:00Z", machine, git, size, list(ran), list(rows))


def rounds(row, *values):
    return [document(replace(row, measured=value)) for value in values]


def compared(base, new):
    (row,) = comparing.compare(base, new).rows
    return row


# the table


@pytest.mark.parametrize(
    ("changes", "size", "met"),
    [
        ({}, FULL_ROWS, True),
        ({"measured": 12.0}, FULL_ROWS, True),
        ({"measured": 12.01}, FULL_ROWS, False),
        ({"comparison": "≥"}, FULL_ROWS, False),
        ({"comparison": "≥", "measured": 12.0}, FULL_ROWS, True),
        ({"required": None}, FULL_ROWS, None),
        ({"measured": 13.0}, 86_400, None),
        ({"measured": 13.0, "sized": False}, 86_400, False),
        ({"sized": False}, 86_400, True),
        ({"fault": "a gate refused"}, FULL_ROWS, False),
        ({"fault": "a gate refused", "required": None}, FULL_ROWS, False),
        ({"fault": "a gate refused"}, 86_400, None),
    ],
)
def test_a_row_is_judged_on_its_full_size_only_and_never_without_its_work(changes, size, met):
    assert replace(SECONDS, **changes).met(size) is met


def test_the_table_shows_the_limit_the_verdict_the_baseline_and_what_does_not_count():
    text = table([replace(SECONDS, fault="lstm_BTC-USD was refused", note="slowest 11 s"), RATE], FULL_ROWS)
    lines = text.splitlines()
    assert lines[2].split() == [
        "a", "minute's", "work", "10.0", "s", "–", "≤", "12.0", "s", "NOT", "MET", "30.0", "s", "3.0", "×",
        "the", "naive", "way", "slowest", "11", "s",
    ]  # fmt: skip
    assert " met " in lines[3]
    assert lines[4] == "a minute's work does not count: lstm_BTC-USD was refused"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.249, "×", "1.25 ×"),
        (52.649, "×", "52.6 ×"),
        (999.96, "ms", "1,000.0 ms"),
        (1234.5, "MB", "1,234 MB"),
        (-0.004, "MB", "-0.00 MB"),
        (6, "models", "6 models"),
    ],
)
def test_a_number_keeps_the_digits_that_tell_it_from_its_limit(value, unit, text):
    assert number(value, unit) == text


def test_a_document_comes_back_as_it_was_written(tmp_path):
    written = document(replace(SECONDS, samples=[9.0, 10.0, 11.0]), GROWTH, ran=[Ran("scan", [0.5], 3.0)])
    write_document(tmp_path / "kept" / "bench.json", written)
    found = json.loads((tmp_path / "kept" / "bench.json").read_text())
    assert found["git"] == {"commit": "0123456789abcdef", "dirty": False}
    assert [row["met"] for row in found["benchmarks"]] == [True, True]
    assert document_from(found) == written


def test_a_document_of_an_earlier_revision_is_read_and_its_rows_follow_the_range():
    old = {name: getattr(SECONDS, name) for name in (
        "what", "measured", "unit", "required", "comparison", "baseline", "baseline_value", "better",
    )}  # fmt: skip
    found = document_from(
        {"at": "t", "machine": MACHINE, "rows_a_coin": 5, "benchmarks": [{**old, "met": True, "later": 1}]}
    )
    assert (found.git["commit"], found.ran, found.rows) == (None, [], [SECONDS])


@pytest.mark.parametrize(
    ("found", "lacking"),
    [
        ([], "no list `benchmarks`"),
        ({"benchmarks": {}}, "no list `benchmarks`"),
        ({"benchmarks": [], "at": "t", "machine": {}}, "no `rows_a_coin`"),
        ({"benchmarks": [3], "at": "t", "machine": {}, "rows_a_coin": 1}, "no object"),
        ({"benchmarks": [{"what": "x"}], "at": "t", "machine": {}, "rows_a_coin": 1}, "no `measured`"),
    ],
)
def test_what_is_no_document_says_what_it_lacks(found, lacking):
    with pytest.raises(DocumentError, match=lacking):
        document_from(found)


def test_a_failed_benchmark_is_named_and_the_others_are_kept(tmp_path, capsys):
    found = document(SECONDS, ran=[Ran("candles", [0.0], 1.0), Ran("scan", [0.0], 2.0, "it ended with 1")])
    assert report(found, tmp_path / "bench.json") == 1
    said = capsys.readouterr()
    assert "a minute's work" in said.out
    assert said.err == "benchmark scan failed: it ended with 1\n"
    assert report(document(SECONDS), tmp_path / "bench.json") == 0
    assert report(document(replace(SECONDS, measured=13.0)), tmp_path / "bench.json") == 1


def test_the_commit_of_a_checkout_and_of_no_repository(tmp_path):
    head = subprocess.run(("git", "rev-parse", "HEAD"), cwd=ROOT, capture_output=True, text=True, check=True)
    assert commit_of(ROOT)["commit"] == head.stdout.strip()
    assert commit_of(tmp_path) == {"commit": None, "dirty": None}


def test_every_benchmark_says_what_it_measures():
    assert all(one.__doc__ for one in BENCHMARKS.values())
    assert {"full", "quick", "startup", "console"} <= set(BENCHMARKS)


# the workloads


BEGAN = datetime(2026, 11, 28, tzinfo=UTC)


def at(seconds):
    return BEGAN + timedelta(seconds=seconds)


def coin(symbol, accuracy):
    return replace(report_of("lstm_BTC-USD", "0" * 64, "1" * 64), symbol=symbol, accuracy=accuracy)


def model(name, *coins, promotion="promoted"):
    detail = "refused by accuracy" if promotion == "refused" else "v1.0.0 is live"
    found = ModelReport.of(replace(item, model=name) for item in coins)
    return ModelOutcome(found, promotion, detail).as_json()


def pipelined(*models):
    jobs = [
        workload.Job("generate", "BTC-USD", at(0), at(10)),
        workload.Job("train", "transformer", at(10), at(110)),
        workload.Job("train", "ppo", at(12), at(90)),
        workload.Job("evaluate", "ppo", at(110), at(150)),
    ]
    memory = [process_tree.Held(at(second), mb) for second, mb in ((5, 100.0), (50, 400.0), (120, 600.0))]
    ended = process_tree.Ended(0, "", "", 152.0, 290.0, memory)
    document = {"steps": 4, "skipped": 0, "models": list(models)}
    return workload.Pipelined(document, jobs, ended)


GOOD = (
    model("ppo", coin("BTC-USD", 0.76), coin("ETH-USD", 0.72)),
    model("lstm_BTC-USD", coin("BTC-USD", 0.74)),
)


def test_the_full_workload_beside_its_jobs_one_after_another_with_the_training_in_it():
    total, memory, training, while_training, accuracy = workload.full_rows(pipelined(*GOOD), FULL_ROWS)
    assert (total.measured, total.baseline_value, total.required, total.cpu_s) == (
        152.0,
        228.0,
        1200.0,
        290.0,
    )
    assert total.note == "longest: train transformer, 100 s"
    assert (memory.measured, memory.required) == (600.0, 6144.0)
    assert (training.measured, training.baseline_value) == (100.0, 178.0)
    assert while_training.measured == 400.0
    assert (accuracy.measured, accuracy.required, accuracy.baseline_value) == pytest.approx(
        (72.0, 68.0, 60.8)
    )
    assert accuracy.note == "ppo on ETH-USD"
    assert all(row.met(FULL_ROWS) is not False for row in (total, memory, training, while_training, accuracy))


def test_a_workload_with_a_refused_model_is_not_met_however_fast():
    models = (*GOOD, model("ensemble", coin("BTC-USD", 0.6), promotion="refused"))
    total, memory, *_, accuracy = workload.full_rows(pipelined(*models), FULL_ROWS)
    assert total.fault == "2 of 3 models promoted; ensemble: refused by accuracy"
    assert [row.met(FULL_ROWS) for row in (total, memory, accuracy)] == [False, False, False]
    assert total.met(86_400) is None
    assert workload.quick_rows(pipelined(*models))[0].met(86_400) is False
    assert workload.quick_rows(pipelined(*GOOD))[0].met(86_400) is True


def test_the_full_range_is_the_workloads_own_and_less_ends_with_it():
    assert workload.range_of(FULL_ROWS) == ("--workload", "full")
    assert workload.range_of(1440)[2:] == ("--start", "2025-11-09T01:08Z", "--end", "2025-11-10T01:07Z")


def test_memory_of_a_moment_without_a_sample_is_no_zero():
    ended = pipelined(*GOOD).process
    assert ended.peak_mb(at(6), at(60)) == 400.0
    with pytest.raises(SystemExit, match="no sample of memory"):
        ended.peak_mb(at(60), at(70))


def test_memory_counts_a_process_and_its_children():
    child = "kept = b'x' * (60 << 20); print('ready', flush=True); input()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    command = (sys.executable, "-c", parent)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        pids = process_tree.tree(process.pid)
        assert len(pids) == 2
        assert process_tree.held_mb(process.pid) < 60.0 < sum(process_tree.held_mb(pid) for pid in pids)
        process.stdin.write("\n")
    assert process_tree.held_mb(process.pid) == 0.0


def test_a_watched_command_leaves_status_streams_and_samples():
    said = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    ended = process_tree.run_watched((sys.executable, "-c", said))
    assert (ended.status, ended.out, ended.err) == (3, "out\n", "err\n")
    assert ended.memory


def test_a_measured_command_takes_no_settings_of_whoever_measures(monkeypatch):
    monkeypatch.setenv("SYNTHETIC_MARKET", "null")
    monkeypatch.setenv("BENCH_OTHER", "kept")
    environment = process_tree.plain_environment()
    assert not {name.upper() for name in Settings.model_fields} & set(environment)
    assert (environment["BENCH_OTHER"], environment["PYTHONPATH"]) == ("kept", str(ROOT))


# the comparison


@pytest.mark.parametrize(
    ("row", "base", "new", "verdict"),
    [
        (SECONDS, 10.0, 10.9, "same"),
        (SECONDS, 10.0, 11.1, "slower"),
        (SECONDS, 10.0, 8.9, "faster"),
        (RATE, 10.0, 8.9, "slower"),
        (RATE, 10.0, 11.1, "faster"),
        (replace(SECONDS, unit="MB"), 10.0, 8.9, "better"),
        (replace(SECONDS, unit="%", noise=0.01, comparison="≥", required=None), 76.0, 75.0, "worse"),
        (GROWTH, -0.5, 1.4, "same"),
        (GROWTH, 0.0, 2.1, "worse"),
    ],
)
def test_one_round_is_judged_by_the_stated_noise(row, base, new, verdict):
    assert compared(rounds(row, base), rounds(row, new)).verdict == verdict


@pytest.mark.parametrize(
    ("base", "new", "verdict"),
    [
        ((10.0, 10.1, 10.2), (10.5, 10.4, 10.6), "slower"),  # 0.4 apart, spread 0.2
        ((10.0, 10.5, 10.2), (10.5, 10.4, 10.6), "same"),  # 0.3 apart, spread 0.5
        ((10.0, 10.0, 10.0), (10.1, 10.1, 10.1), "same"),  # below 2 %
        ((10.0, 10.0, 10.0), (9.7, 9.7, 9.7), "faster"),
        ((10.0, 10.1), (10.5, 10.4, 10.6), "same"),  # two rounds: 10 %
    ],
)
def test_three_rounds_are_judged_by_their_own_spread(base, new, verdict):
    assert compared(rounds(SECONDS, *base), rounds(SECONDS, *new)).verdict == verdict


def test_what_is_slower_fails_and_what_is_faster_does_not():
    assert comparing.compare(rounds(SECONDS, 10.0), rounds(SECONDS, 11.5)).status == 1
    assert comparing.compare(rounds(SECONDS, 10.0), rounds(SECONDS, 5.0)).status == 0


def test_a_requirement_that_is_lost_fails_even_within_the_noise():
    found = comparing.compare(rounds(SECONDS, 11.8), rounds(SECONDS, 12.2))
    assert (found.rows[0].verdict, found.status) == ("same, NO LONGER MET", 1)
    still = comparing.compare(rounds(SECONDS, 12.2), rounds(SECONDS, 12.3))
    assert (still.rows[0].verdict, still.status) == ("same", 0)


def test_work_that_is_no_longer_done_fails_on_any_range():
    base = document(SECONDS, size=86_400)
    new = document(replace(SECONDS, measured=1.0, fault="5 of 6 models promoted"), size=86_400)
    found = comparing.compare([base], [new])
    assert (found.rows[0].lost, found.status) == (True, 1)


def test_another_machine_gets_no_verdict_and_is_named():
    other = document(
        replace(SECONDS, measured=99.0), machine={**MACHINE, "cores": 4, "load": [9.0, 9.0, 9.0]}
    )
    found = comparing.compare([document(SECONDS)], [other])
    assert found.refusals == ["another machine: cores 2, now 4"]
    assert (found.rows[0].verdict, found.rows[0].lost, found.status) == ("–", False, 2)
    said = comparing.text(found, [document(SECONDS)], [other])
    assert "no verdict between the two, another machine: cores 2, now 4" in said


def test_another_size_gets_a_verdict_only_where_the_size_is_always_the_same():
    always = replace(RATE, what="always", sized=False)
    found = comparing.compare([document(SECONDS, always)], [document(SECONDS, always, size=86_400)])
    assert [row.verdict for row in found.rows] == ["–", "same"]
    assert found.refusals == ["another size: 3,081,668 rows a coin, now 86,400"]
    assert found.status == 2


def test_rows_of_one_side_are_listed_and_a_failure_now_fails():
    base = [document(SECONDS, RATE)]
    new = [document(SECONDS, GROWTH, ran=[Ran("ppo", [0.0], 1.0, "it ended with 1")])]
    found = comparing.compare(base, new)
    assert (found.only_base, found.only_new, found.failed, found.status) == (
        ["steps"],
        ["growth"],
        ["ppo"],
        1,
    )
    said = comparing.text(found, base, new)
    assert "only in the base: steps\nonly now: growth\nfailed now: ppo" in said


def test_a_broken_base_is_no_base():
    base = [document(SECONDS, ran=[Ran("ppo", [0.0], 1.0, "it ended with 1")])]
    with pytest.raises(comparing.CompareError, match="ppo failed"):
        comparing.compare(base, [document(SECONDS)])


def test_the_comparison_names_commits_ratio_direction_and_limit():
    base, new = rounds(SECONDS, 10.0), rounds(SECONDS, 11.5)
    lines = comparing.text(comparing.compare(base, new), base, new).splitlines()
    assert lines[0] == "base  0123456789ab, 2026-11-28T00:00:00Z, 1 round, load before 0.1"
    assert lines[5].split()[3:] == ["10.0", "s", "11.5", "s", "1.15", "×", "less", "±", "1.00", "s", "slower"]


def test_a_side_that_was_measured_on_a_busy_machine_is_named():
    quiet, busy = document(SECONDS), document(SECONDS, machine={**MACHINE, "load": [2.5, 0.0, 0.0]})
    found = comparing.compare([quiet], [quiet, busy])
    said = comparing.text(found, [quiet], [quiet, busy])
    assert "busy: load 2.5 on 2 cores before new began" in said
    assert "before base began" not in said


def compare_main(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["bench_compare.py", *arguments])
    status = comparing.main()
    return status, capsys.readouterr()


def test_two_documents_are_compared_without_measuring(tmp_path, monkeypatch, capsys):
    for name, seconds in (("base.json", 10.0), ("new.json", 20.0)):
        write_document(tmp_path / name, document(replace(SECONDS, measured=seconds)))
    arguments = (str(tmp_path / "base.json"), "--new", str(tmp_path / "new.json"))
    status, said = compare_main(monkeypatch, capsys, *arguments)
    assert status == 1
    assert "slower, NO LONGER MET" in said.out


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "neither a file nor a git revision"), ("{", "no document"), ('{"a": 1}', "no list `benchmarks`")],
)
def test_a_base_that_is_none_is_named_with_the_remedy(tmp_path, monkeypatch, capsys, content, reason):
    base = tmp_path / "base.json"
    if content is not None:
        base.write_text(content)
    status, said = compare_main(monkeypatch, capsys, str(base))
    assert (status, said.out) == (2, "")
    assert f"BASE={base} is n" in said.err
    assert reason in said.err
    assert "revision" in said.err
    assert len(said.err.splitlines()) == 1


def test_a_revision_is_named_by_its_commit():
    head = subprocess.run(("git", "rev-parse", "HEAD"), cwd=ROOT, capture_output=True, text=True, check=True)
    assert comparing.revision_of("HEAD") == head.stdout.strip()
    with pytest.raises(comparing.CompareError, match="BASE=--help is neither"):
        comparing.revision_of("--help")


def test_less_than_a_row_is_no_row():
    with pytest.raises(DocumentError, match="no `measured`"):
        row_from({"what": "x"})
