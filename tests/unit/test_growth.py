"""Costs and their growth are fitted right, steps name functions that exist, tables say what was measured."""

import importlib
import json
import os
import subprocess
import sys
import types

import pytest

from tests.fakes.command_line import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import growth
import growth_fits as fits
import growth_tables as tables
from growth_steps import BESIDE, LIBRARY_THREADS, REST, START, STEPS, StepFinder, step_names
from growth_worker import Sampler, account


def job(kind, target, cpu_s, start=0.0, **changes):
    return {
        "kind": kind, "target": target, "started_s": start, "ended_s": start + cpu_s, "wall_s": cpu_s,
        "process_s": 2 * cpu_s, "cpu_s": cpu_s, "waited_s": 0.5 * cpu_s, "slept_s": 0.5 * cpu_s,
        "own_mb": 100.0, "beside_mb": 20.0, "peak_mb": 150.0, "read_mb": 0.0, "written_mb": 3.0,
        "epochs": None,
        "torch_threads": 1 if kind == "train" else None,
        "steps_cpu_s": {"formulas": 0.75 * cpu_s, REST: 0.25 * cpu_s},
        "hot_cpu_s": {"tradingai.engine.features.compute:compute_rows": cpu_s}, **changes,
    }  # fmt: skip


def run(days, part="rows", coins=3, cores=1, epochs=10):
    scale = days / 60 * coins / 3
    jobs = [
        job("generate", "BTC-USD", 1.0),
        job("features", "BTC-USD", 2.0 * scale, 1.0),
        job("train", "lstm_BTC-USD", epochs * scale, 3.0, epochs=epochs),
        job("train", "transformer", 30.0, 3.0, epochs=10),
        job("evaluate", "lstm_BTC-USD", 4.0, 40.0),
        job("evaluate", "transformer", 5.0 * scale**2, 44.0),
        job("replay", "candles", 3.0, 50.0),
    ]
    return {
        "part": part, "days": days, "rows": days * 1440, "coins": coins, "cores": cores, "workers": cores,
        "wall_s": 53.0, "engine_cpu_s": 2.0, "jobs": jobs,
        "promotions": [{"command": "Promote", "wall_s": 0.2, "cpu_s": 0.1}],
    }  # fmt: skip


def document():
    runs = [
        run(60), run(120), run(240), run(120, "coins", coins=1), run(120, "coins", coins=2),
        run(120, "cores", cores=2),
    ]  # fmt: skip
    operation = {"name": "aten::mm", "share": 0.5, "calls": 1000, "us_a_call": 12.0}
    kernels = [{"model": "lstm", "operations": [operation], "outside_torch": 0.5}]
    machine = {"cpu": "Test", "cores": 2, "memory_gb": 8.0, "load": [0.0, 0.0, 0.0]}
    return {
        "at": "2026-01-01T00:00:00Z", "machine": machine, "base_days": 120, "seconds": 600.0, "runs": runs,
        "kernels": kernels,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("power", "word"),
    [(0.0, "constant"), (0.5, "less than linear"), (1.0, "linear"), (2.0, "more than linear")],
)
def test_an_exponent_is_the_power_of_the_growth(power, word):
    slope = fits.exponent([(rows, 3.0 * rows**power) for rows in (60, 120, 480)])
    assert slope == pytest.approx(power, abs=1e-12)
    assert fits.word(slope) == word


def test_a_line_has_what_is_fixed_and_what_a_row_costs():
    assert fits.line([(1e5, 2.3), (2e5, 2.6), (8e5, 4.4)]) == fits.Line(2.0, 3.0, 0.0)
    bent = fits.line([(1e5, 1.0), (2e5, 4.0), (4e5, 16.0)])
    assert bent.worst > 0.1


@pytest.mark.parametrize("points", [[(5.0, 1.0)], [(5.0, 1.0), (5.0, 2.0)], [(1.0, 0.0), (2.0, 1.0)]])
def test_no_growth_is_read_off_one_size_or_off_nothing(points):
    for fit in (fits.exponent, fits.line):
        with pytest.raises(ValueError, match=r"sizes"):
            fit(points)


def test_a_stage_has_all_its_jobs():
    one = run(60)
    one["jobs"].append(job("train", "lstm_ETH-USD", 4.0, epochs=20, own_mb=300.0))
    found = fits.costs(one)
    assert list(found) == [
        "candles", "features", "train lstm", "train transformer", "evaluate lstm", "evaluate transformer",
        "promotion", "replay", "engine",
    ]  # fmt: skip
    lstm = found["train lstm"]
    assert (lstm.jobs, lstm.cpu_s, lstm.wall_s, lstm.own_mb, lstm.epochs) == (2, 14.0, 28.0, 300.0, 15.0)
    assert lstm.steps_cpu_s == {"formulas": 10.5, REST: 3.5}
    assert found["promotion"].cpu_s == 0.1
    assert found["engine"].wall_s == 53.0


def test_growth_is_by_row_and_by_epoch_where_epochs_may_differ():
    found = document()
    found["runs"][2] = run(240, epochs=5)  # stopped early: half as much, and no less an epoch
    grown = tables.growth(found)
    assert grown["train lstm"]["word"] == "linear"
    assert grown["train lstm"]["row_us"][0] == pytest.approx(1e6 * 10.0 / 10 / (60 * 1440 * 3))
    assert grown["features"]["each_row_us"] == pytest.approx(1e6 * 2.0 / (60 * 1440 * 3), abs=1e-6)
    assert grown["features"]["fixed_s"] == pytest.approx(0.0, abs=1e-6)
    assert grown["candles"]["word"] == "constant"
    assert grown["evaluate transformer"]["exponent"] == pytest.approx(2.0)


def test_a_size_at_which_nothing_was_promoted_has_no_such_stage():
    found = document()
    found["runs"][0]["promotions"] = []
    assert "promotion" not in tables.growth(found)
    assert "| promotion |" not in tables.rows_table(found)
    assert "replay" in tables.growth(found)


def test_the_longest_chain_is_what_waits_for_each_other():
    one = run(60)
    assert fits.critical_path(one) == (
        1.0 + 2.0 + 30.0 + 5.0 + 3.0,
        (
            "generate BTC-USD", "features BTC-USD", "train transformer", "evaluate transformer",
            "replay candles",
        ),
    )  # fmt: skip
    one["jobs"][4] = job("evaluate", "lstm_BTC-USD", 60.0)  # now the Transformer waits for this verdict
    seconds, chain = fits.critical_path(one)
    assert seconds == 1.0 + 2.0 + 10.0 + 60.0 + 5.0 + 3.0
    assert chain[3:5] == ("evaluate lstm_BTC-USD", "evaluate transformer")


def test_jobs_at_once_and_spans():
    one = run(60)
    assert fits.at_once(one) == 2
    assert fits.spans(one)["training"] == 30.0
    assert fits.spans(one)["pipeline"] == 53.0


def test_the_tables_say_what_was_measured():
    text = tables.report(document())
    assert "| evaluate transformer | 5.0 (10.0) | 20.0 (40.0) | 80.0 (160) |" in text
    assert "| evaluate transformer | formulas | 3.8 | 60.0 | 75 % | more than linear (2.00) |" in text
    assert "| features | 1 | 16.0 | 50 % | 25 % | 25 % | 100 | 20 | 150 | 0 | 3 |" in text
    assert "| train lstm | 10.0 (20.0) | 20.0 (40.0) | 40.0 (80.0) | 3.86 * | 0.00 * | 3.86 * | 0 % |" in text
    assert "| training | 30.0 | 30.0 | 1.00 | 50 % |" in text
    assert "The product made it JOB_WORKERS 2, ran at most 3 jobs at once and gave each 1 torch" in text
    assert "| lstm | `aten::mm` | 50 % | 1,000 | 12 |" in text
    assert "takes 58.0 of the 82.0 CPU s" in text
    assert "1.41 times" in text
    assert json.loads(json.dumps(tables.growth(document())))


def test_the_longest_pipelines_begin():
    wanted = growth.planned((60, 120), 120)
    assert [str(one) for one in wanted] == [
        "120 days, 3 coins, one core", "120 days, 2 coins, one core", "60 days, 3 coins, one core",
        "120 days, 1 coin, one core",
    ]  # fmt: skip
    assert [one.part for one in wanted] == ["rows", "coins", "rows", "coins"]
    assert wanted[0].start == growth.WORKLOADS["quick"].start
    assert growth.planned((growth.FULL_DAYS,), 120)[0].start == growth.WORKLOADS["full"].start


def test_pipelines_side_by_side_have_a_core_each(monkeypatch, tmp_path):
    mine, seen = os.sched_getaffinity(0), []

    def measure(wanted, folder):
        cores = os.sched_getaffinity(0)
        seen.append((folder.name, cores))
        return {"part": wanted.part, "days": wanted.days}

    monkeypatch.setattr(growth, "measure", measure)
    monkeypatch.setattr(growth, "kernels", lambda folder: [{"model": folder.name}])
    lanes = growth.Lanes(tmp_path, sorted(mine))
    runs = lanes.run(growth.planned((60, 120), 120))
    assert [run["days"] for run in runs] == [120, 120, 60, 120]
    assert lanes.kernels == [{"model": "60 days, 3 coins, one core"}]
    assert all(len(cores) == 1 and cores <= mine for _, cores in seen)
    assert os.sched_getaffinity(0) == mine


def resolved(name):
    """The code of ``module:function``, functions within functions included."""
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        if part == "<locals>":
            found = found.__code__ if isinstance(found, types.FunctionType) else found
        elif isinstance(found, types.CodeType):
            found = next(code for code in found.co_consts if getattr(code, "co_name", None) == part)
        else:
            found = getattr(found, part)
    return getattr(found, "__code__", found).co_qualname


@pytest.mark.parametrize("name", sorted({name for steps in STEPS.values() for name in steps}))
def test_every_step_names_a_function_that_is_there(name):
    if name.endswith("*"):
        assert importlib.import_module(name.rstrip("*.").rstrip("."))
    else:
        assert resolved(name) == name.partition(":")[2]


def test_the_innermost_step_has_the_time():
    finder = StepFinder(step_names("train"))
    assert finder.step("torch.optim.adam", "Adam.step") == "optimiser"
    assert finder.step("torch.optimist", "step") is None
    assert finder.step("tradingai.engine.training.learning", "answers") == "forward"
    assert StepFinder(step_names("evaluate")).step("tradingai.engine.training.learning", "answers") is None


def test_what_a_job_starts_is_counted_with_it():
    before = account(Sampler("evaluate"), 0.0)
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    after = account(Sampler("evaluate"), 0.0)
    assert after["steps_cpu_s"][BESIDE] == after["beside_s"] > before["beside_s"]
    assert list(after["steps_cpu_s"]) == [START, BESIDE]
    assert after["cpu_s"] - before["cpu_s"] >= after["beside_s"] - before["beside_s"]
    assert after["beside_mb"] > 1.0


def test_all_cpu_time_goes_to_some_step():
    sampler = Sampler("generate")
    names = {"__name__": "tradingai.engine.providers.cleaning", "sampler": sampler, "sys": sys}
    code = "def clean():\n    sum(range(2_000_000))\n    sampler._tick(0, sys._getframe())\n"
    exec(code, names)
    names["clean"]()
    sum(range(500_000))
    sampler.stop()
    assert sampler.hot_s["tradingai.engine.providers.cleaning:clean"] == sampler.cpu_s["cleaning"]
    assert sampler.cpu_s["cleaning"] > 0.0
    assert sampler.cpu_s[REST] > 0.0
    assert set(sampler.cpu_s) == {"cleaning", REST, LIBRARY_THREADS}
    assert sampler.own_memory_mb > 1.0
