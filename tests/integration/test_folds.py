"""Walk-forward and purged k-fold: the same training on folds of the past, the test range untouched."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import ArtifactError, DataError, InterruptedRunError, MissingError
from tradingai.engine.core.events import FoldScored, JobSkipped, StateRepaired
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.datasets.dataset import load_dataset
from tradingai.engine.evaluation import folds
from tradingai.engine.evaluation.folds import plan_folds, score_folds
from tradingai.engine.models.artifact import best_path, load_artifact, save_artifact

from tests.fakes.command_line import start, tradingai
from tests.fakes.home_state import alive, wait_for, worker_of
from tests.fakes.lstm_world import StopAt

MODEL = "lstm_BTC-USD"
CLOCK = RealClock()


@pytest.fixture
def paths(small_home, tmp_path):
    """A copy to change."""
    shutil.copytree(small_home, tmp_path / "home", symlinks=True)
    return HomePaths(tmp_path / "home")


def study(paths, method="walk_forward", count=2, reporter=None):
    return score_folds(paths, MODEL, method, count, reporter or SilentReporter(), clock=CLOCK)


def told(reporter, kind):
    return [event for event in reporter.events if isinstance(event, kind)]


def test_walk_forward_rows_by_hand(paths):
    """Rows lo … hi of training and validation in three equal parts: two are tests, the past trains."""
    data = load_dataset(paths, "BTC-USD")
    plans, inside = plan_folds(data, "walk_forward", 2, 0)
    assert inside == (data.split.train.lo, data.split.calibration.hi)
    size = inside.size // 3
    assert [plan.test for plan in plans] == [
        (inside.hi - 2 * size, inside.hi - size), (inside.hi - size, inside.hi),
    ]  # fmt: skip
    for plan in plans:
        end = plan.test.lo - 15
        early = (end - inside.lo) // 10
        assert plan.early_stop == (end - early, end)
        assert plan.fit == ((inside.lo, end - early - 15),)


@pytest.mark.parametrize(("method", "embargo"), [("walk_forward", 0), ("k_fold", 400)])
def test_no_label_window_reaches_from_one_part_into_another_nor_into_the_test_range(paths, method, embargo):
    data = load_dataset(paths, "BTC-USD")
    plans, inside = plan_folds(data, method, 4, embargo)
    assert inside.hi + 15 <= data.split.test.lo
    for plan in plans:
        fit = np.concatenate([rows.indices() for rows in plan.fit])
        windows = {
            name: {row + ahead for row in rows.tolist() for ahead in range(16)}
            for name, rows in (
                ("fit", fit), ("early", plan.early_stop.indices()), ("test", plan.test.indices()),
            )
        }  # fmt: skip
        assert not windows["fit"] & windows["early"]
        assert not windows["fit"] & windows["test"]
        assert not windows["early"] & windows["test"]
        assert max(windows["test"]) < data.split.test.lo
        after = [row for row in (*fit.tolist(), *plan.early_stop) if row >= plan.test.hi]
        assert all(row >= plan.test.hi + 15 + embargo for row in after)
    if method == "k_fold":
        tested = np.concatenate([plan.test.indices() for plan in plans])
        assert np.array_equal(tested, inside.indices())


@pytest.mark.parametrize("method", ["walk_forward", "k_fold"])
def test_nothing_of_the_test_range_has_any_influence(paths, monkeypatch, method):
    """Its features, labels and prices replaced by nonsense, every number stays."""
    expected = study(paths, method)

    def without_test(*arguments, **options):
        data = load_dataset(*arguments, **options)
        lo = data.split.test.lo
        values, close, labels = data.values.copy(), data.close.copy(), data.labels.copy()
        values[lo:], close[lo:], labels[lo:] = np.nan, np.nan, 1
        return replace(data, values=values, close=close, labels=labels)

    shutil.rmtree(paths.reports / "folds")
    monkeypatch.setattr(folds, "load_dataset", without_test)
    assert study(paths, method) == expected


def test_the_report_adds_up_and_nothing_is_recorded(paths):
    ledger = paths.ledger.read_bytes()
    document = study(paths)
    assert [fold["fold"] for fold in document["folds"]] == [1, 2]
    assert document["n"] == sum(fold["n"] for fold in document["folds"])
    hits = sum(fold["accuracy"] * fold["n"] for fold in document["folds"])
    assert document["accuracy"] == pytest.approx(hits / document["n"])
    assert document["worst"] <= document["accuracy"] <= document["best"]
    assert document["counts_as_attempt"] is False
    for fold in document["folds"]:
        assert set(fold["baselines"]) == {"majority", "momentum", "inverse"}
        assert fold["accuracy_ci"] is None
        assert "days" in fold["reason"]
    assert paths.ledger.read_bytes() == ledger
    assert not list(paths.promoted.iterdir())


def test_finished_folds_are_kept_and_the_rest_goes_on(paths, tmp_path):
    class AfterFirstFold(SilentReporter):
        def emit(self, event):
            super().emit(event)
            if isinstance(event, FoldScored):
                self.safe_point = StopAt(1).safe_point

    first, second, third = AfterFirstFold(), SilentReporter(), SilentReporter()
    with pytest.raises(InterruptedRunError):
        study(paths, count=3, reporter=first)
    assert [event.fold for event in told(first, FoldScored)] == [1]
    document = study(paths, count=3, reporter=second)
    assert [event.fold for event in told(second, FoldScored)] == [2, 3]
    assert second.last_progress.done == second.last_progress.total
    assert study(paths, count=3, reporter=third) == document
    assert [type(event) for event in third.events] == [JobSkipped]
    shutil.rmtree(paths.reports / "folds")
    assert study(paths, count=3) == document


@pytest.mark.parametrize("damage", ["half", "other numbers"])
def test_a_damaged_fold_is_said_and_made_again(paths, damage):
    document = study(paths)
    (file,) = paths.reports.glob("folds/*/*/fold-2.json")
    if damage == "half":
        file.write_bytes(file.read_bytes()[:40])
    else:
        changed = json.loads(file.read_text())
        changed["fold"]["accuracy"] = 0.99
        file.write_text(json.dumps(changed))
    reporter = SilentReporter()
    assert study(paths, reporter=reporter) == document
    assert [event.fold for event in told(reporter, FoldScored)] == [2]
    assert "fold 2" in told(reporter, StateRepaired)[0].what


def test_too_many_folds_and_no_model_say_so(paths):
    with pytest.raises(DataError, match="cannot make 50000 folds"):
        study(paths, "k_fold", 50_000)
    with pytest.raises(DataError, match="with 40 folds a training of BTC-USD would see"):
        study(paths, "walk_forward", 40)
    best_path(paths, MODEL).unlink()
    with pytest.raises(MissingError):
        study(paths)


def test_a_record_without_settings_is_refused(paths):
    path = best_path(paths, MODEL)
    artifact = load_artifact(path)
    identity = {name: value for name, value in artifact.record["identity"].items() if name != "hidden"}
    save_artifact(path, replace(artifact, record={**artifact.record, "identity": identity}))
    with pytest.raises(ArtifactError, match="another version: its record has no 'hidden'"):
        study(paths)


def test_the_command_shows_a_table_and_its_json(paths):
    shown = tradingai(paths.root, "evaluate", MODEL, "--walk-forward", "2")
    assert shown.status == 0, shown.err
    for words in ("Walk-forward of lstm_BTC-USD, 2 folds", "momentum", "no attempt and no promotion"):
        assert words in shown.out
    done = tradingai(paths.root, "evaluate", MODEL, "--walk-forward", "2", "--json")
    assert done.document["method"] == "walk_forward"
    assert [fold["test"]["rows"] for fold in done.document["folds"]] == [
        list(plan.test) for plan in plan_folds(load_dataset(paths, "BTC-USD"), "walk_forward", 2, 0)[0]
    ]
    assert "nothing to do: all 2 folds stand" in done.err


@pytest.mark.slow
def test_killed_in_the_second_fold_the_same_command_keeps_the_first(paths):
    """By sigkill to the command; its worker notices and is gone within seconds."""
    arguments = ("evaluate", MODEL, "--k-fold", "6", "--json")
    running = start(paths.root, *arguments)
    (first,) = wait_for(lambda: list(paths.reports.glob("folds/*/*/fold-1.json")), seconds=120)
    worker = worker_of(paths.root, "folds")
    running.kill()
    running.communicate(timeout=10)
    wait_for(lambda: worker is None or not alive(worker), seconds=15)
    kept = first.stat().st_mtime_ns
    done = tradingai(paths.root, *arguments)
    assert done.status == 0, done.err
    assert first.stat().st_mtime_ns == kept
    shutil.rmtree(paths.reports / "folds")
    assert study(paths, "k_fold", 6) == done.document


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--walk-forward", "1"), "--walk-forward 1"),
        (("--walk-forward", "2", "--k-fold", "2"), "both given"),
        (("--k-fold", "2", "--min-accuracy", "0.7"), "take no threshold"),
    ],
)
def test_wrong_usage_is_refused(paths, arguments, message):
    done = tradingai(paths.root, "evaluate", MODEL, *arguments, "--json")
    assert done.status == 2
    assert message in done.error["message"]
