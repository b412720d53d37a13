"""The command line's parts: what is said of progress, numbers, times and states, and what arguments mean."""

import io
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tradingai.cli import output
from tradingai.cli.arguments import existing_file, parse_model, parse_time, positive
from tradingai.cli.progress import LINE_EVERY_S, LineView, describe
from tradingai.cli.report import gate_cell, gate_condition, points
from tradingai.cli.status import next_step, sign
from tradingai.cli.work import gate_line, how_it_ended, job_label, worth_a_line
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.errors import UsageError
from tradingai.engine.core.events import GateDecided, JobFinished, JobInterrupted, JobSkipped, WorkerDied
from tradingai.engine.core.report import GateResult
from tradingai.engine.core.reporting import Progress
from tradingai.engine.jobs.spec import JobSpec

NOON = datetime(2025, 11, 10, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (60, "1 min 00 s"), (185, "3 min 05 s"), (3720, "1 h 02 min")],
)
def test_durations(seconds, text):
    assert output.duration(seconds) == text


def test_numbers_and_times():
    assert output.percent(0.7184) == "71.8 %"
    assert output.percent(None) == "–"
    assert output.count(3_081_668) == "3,081,668"
    assert output.moment(NOON) == "2025-11-10T12:00Z"
    assert output.moment(None) == "–"
    assert points(0.1219) == "+12.2 pt"
    assert points(-0.004) == "-0.4 pt"


def test_a_table_aligns_its_columns():
    text = output.table(("model", "n"), [("lstm", "7"), ("transformer", "1,234")], right=("n",))
    assert text.splitlines() == [
        "model            n",
        "───────────  ─────",
        "lstm             7",
        "transformer  1,234",
    ]


def test_progress_in_words():
    progress = Progress(
        77_000, 154_000, "bars", rate=51_234.4, eta_s=62,
        detail={"epoch": 3, "epochs": 10, "loss": 0.6127, "accuracy": 0.714, "device": "cpu"},
    )  # fmt: skip
    assert describe(progress) == (
        "50 %, 77,000 of 154,000 bars, 51,234 bars/s, 1 min 02 s left, "
        "epoch 3/10, loss 0.613, accuracy 71.4 %"
    )
    assert describe(Progress(0, 0, "rows")) == "0 of 0 rows"
    assert describe(Progress(1, 2, "rows", rate=float("inf"))) == "50 %, 1 of 2 rows, – rows/s"


def test_lines_come_every_few_seconds(capsys):
    clock = SimulatedClock(NOON)
    with LineView(clock) as view:
        view.started("a", "train")
        for done in range(10):
            clock.advance(LINE_EVERY_S / 2)
            view.progressed("a", Progress(done, 10, "epochs"))
        view.ended("a", "done")
        view.note("all quiet")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "12:00:00  train: started"
    assert [line.split(": ")[1][:4] for line in lines[1:6]] == ["10 %", "30 %", "50 %", "70 %", "90 %"]
    assert lines[6:] == ["12:00:15  train: done", "12:00:15  all quiet"]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-07-01", datetime(2025, 7, 1, tzinfo=UTC)),
        ("2025-07-01T13:45", datetime(2025, 7, 1, 13, 45, tzinfo=UTC)),
        ("2025-07-01T13:45Z", datetime(2025, 7, 1, 13, 45, tzinfo=UTC)),
        (" 2025-07-01T13:45+02:00 ", datetime(2025, 7, 1, 11, 45, tzinfo=UTC)),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(text, moment):
    parsed = parse_time(text, "--start")
    assert parsed == moment
    assert parsed.tzinfo in {UTC, timezone(timedelta(0))}


@pytest.mark.parametrize("text", ["", "now", "2025-13-01", "12:00"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="--start"):
        parse_time(text, "--start")


def test_models_by_name_and_by_path(tmp_path):
    assert parse_model("lstm_BTC-USD") == "lstm_BTC-USD"
    assert parse_model("lstm_btc") == "lstm_BTC-USD"
    checkpoint = tmp_path / "some.pt"
    checkpoint.write_bytes(b"")
    assert parse_model(str(checkpoint)) == str(checkpoint)
    for wrong in ("gpt", "lstm", "BTC", "lstm_B!", str(tmp_path / "other.pt")):
        with pytest.raises(UsageError):
            parse_model(wrong)


def test_other_arguments(tmp_path):
    assert positive(1, "--epochs") == 1
    with pytest.raises(UsageError, match="--epochs 0"):
        positive(0, "--epochs")
    with pytest.raises(UsageError, match="nowhere"):
        existing_file(str(tmp_path / "nowhere.csv"))


def test_jobs_in_an_operators_words():
    assert job_label(JobSpec("1", "train", "lstm_BTC-USD")) == "train lstm_BTC-USD"
    assert job_label(JobSpec("1", "generate", "BTC-USD")) == "candles BTC-USD"
    assert job_label(JobSpec("1", "evaluate", "lstm_BTC-USD")) == "evaluate lstm_BTC-USD"


def test_ends_of_jobs_and_what_happens_on_the_way():
    names = {"job_id": "1", "kind": "features", "target": "BTC-USD"}
    assert how_it_ended(JobFinished(**names, seconds=2.04, summary="7 rows")) == "7 rows (2.0 s)"
    assert how_it_ended(JobSkipped(**names, reason="unchanged")) == "nothing to do: unchanged"
    assert "kept" in how_it_ended(JobInterrupted(**names, reason="stopped: Ctrl-C"))
    assert how_it_ended(None) == ""
    died = worth_a_line(WorkerDied(**names, how="was killed by SIGKILL", resume=1))
    assert died == "the worker of features BTC-USD was killed by SIGKILL; starting it again"
    assert worth_a_line(None) == ""


def test_a_refused_gate_says_what_it_looked_at():
    names = {"model": "lstm_BTC-USD", "version": "v1.0.0", "gate": "accuracy"}
    assert gate_line(GateDecided(**names, passed=True, detail="71 %")) == "lstm_BTC-USD: gate accuracy passed"
    refused = gate_line(GateDecided(**names, passed=False, detail="50 % of 3,000 bars"))
    assert refused == "lstm_BTC-USD: gate accuracy REFUSED: 50 % of 3,000 bars"


def test_gates_in_a_table():
    gap = GateResult("calibration", True, 0.034, 0.05, 0.016, "", measure="high tier gap", comparison="≤")
    mae = GateResult("calibration", False, 0.07, 0.05, -0.02, "", measure="tier MAE", comparison="≤")
    assert gate_condition([gap, gap]) == "high tier gap ≤ 5.0 %"
    assert gate_condition([gap, mae]) == "high tier gap or tier MAE ≤ 5.0 %"
    assert [gate_cell(gap), gate_cell(mae)] == ["passed 3.4 %", "REFUSED 7.0 %"]
    sample = GateResult("sample", False, None, 100, None, "", measure="predictions", unit="count")
    assert gate_cell(sample) == "REFUSED –"
    assert gate_condition([sample]) == "predictions ≥ 100"


def phases(**states):
    names = ("candles", "features", "training", "evaluation", "gates", "promotion")
    return {
        "phases": [
            {"id": name, "state": states.get(name, "done"), "command": f"tradingai {name}"} for name in names
        ]
    }


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"candles": "next", "features": "waiting"}, "`tradingai pipeline`"),
        ({"training": "next", "evaluation": "waiting"}, "`tradingai training`"),
        ({"features": "running", "training": "waiting"}, "wait"),
        ({"gates": "refused", "promotion": "waiting"}, "`tradingai gates` explains"),
        ({"training": "failed"}, "`tradingai training`"),
        ({}, "models list"),
    ],
)
def test_the_next_step(states, words):
    assert words in next_step(phases(**states))


@pytest.mark.parametrize(("encoding", "expected"), [("utf-8", "✓"), ("ascii", "+")])
def test_signs_fall_back_to_ascii(monkeypatch, encoding, expected):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert sign("done") == expected
