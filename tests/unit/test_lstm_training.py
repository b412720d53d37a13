import doctest
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tradingai.engine.core.errors import (
    ArtifactError,
    DataError,
    InterruptedRunError,
    OutdatedArtifactError,
    TradingAIError,
    UsageError,
)
from tradingai.engine.core.events import EpochFinished
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.models.calibration import log_loss, sigmoid
from tradingai.engine.models.predict import Predictor
from tradingai.engine.training import config, lanes
from tradingai.engine.training.checkpoint import load_checkpoint, save_checkpoint
from tradingai.engine.training.config import LstmTraining, lane_shape
from tradingai.engine.training.history import KEPT_RUNS, read_history, write_history
from tradingai.engine.training.lanes import LanePlan, LaneReader, joined
from tradingai.engine.training.learning import limit_gradient
from tradingai.engine.training.record import identity_difference
from tradingai.engine.training.stream import learning_rate

from tests.fakes.lstm_world import CPU, StopAt, fit, memory_task, weights

IDENTITY = {"model": "lstm_X-USD", "seed": 1}
RUN = {"run": "20251110T010700.000000Z-seed1", "resumes": 0}


def test_docstrings_tell_the_truth():
    for module in (config, lanes):
        found = doctest.testmod(module)
        assert found.failed == 0
        assert found.attempted > 0


def test_the_network_learns_what_takes_memory():
    task = memory_task(12_000)
    result = fit(task, LstmTraining(epochs=8, peak_learning_rate=0.02, weight_decay=0.01)).run()
    assert result.best_epoch.validation_accuracy > 0.93
    assert result.history[-1].train_loss < result.history[0].train_loss
    assert len(result.history) == len(result.bars_per_s) == 8
    logits = Predictor(result.network, task.scaler, CPU).stream(task.values, 8_000, 12_000, 1_440)
    known = task.labels[8_000:] >= 0
    right = (logits[known] > 0) == (task.labels[8_000:][known] == 1)
    assert right.mean() == pytest.approx(result.best_epoch.validation_accuracy, abs=1e-12)


def test_equal_inputs_and_seed_give_equal_bits_and_another_seed_others():
    first, second = fit(memory_task(3_000)).run(), fit(memory_task(3_000)).run()
    assert weights(first.network) == weights(second.network)
    assert first.history == second.history
    other = fit(memory_task(3_000), LstmTraining(epochs=3, seed=2)).run()
    assert weights(other.network) != weights(first.network)


def test_training_leaves_torch_as_it_was():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    fit(memory_task(1_500), LstmTraining(epochs=1)).run()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_training_sees_each_lane_from_a_cold_start_and_then_carries_its_state():
    """With a learning rate of zero the training loss is that of plain streams over the lanes."""
    task = memory_task(3_000, train=(Rows(5, 900), Rows(1_000, 2_000)))
    frozen = fit(task, LstmTraining(epochs=2, peak_learning_rate=0.0, patience=9))
    result = frozen.run()
    predictor = Predictor(result.network, task.scaler, CPU)
    losses, right, count = 0.0, 0, 0
    for lane in frozen.plan.lanes:
        logits, labels = predictor.stream(task.values, *lane), task.labels[lane.slice]
        n = int((labels >= 0).sum())
        losses += n * log_loss(sigmoid(logits), labels)
        right += int((((logits > 0) == (labels == 1)) & (labels >= 0)).sum())
        count += n
    for epoch in result.history:
        assert epoch.train_loss == pytest.approx(losses / count, abs=1e-6)
        assert epoch.train_accuracy == right / count


def test_rows_outside_the_ranges_change_nothing():
    task = memory_task(3_000, train=(Rows(100, 900), Rows(1_000, 1_900)), early_stop=Rows(2_000, 2_500))
    expected = weights(fit(replace(task, first=100)).run().network)
    values, labels = task.values.copy(), task.labels.copy()
    for outside in (slice(0, 100), slice(2_500, 3_000)):
        values[outside] = np.nan
        labels[outside] = 1 - labels[outside]
    labels[900:1_000] = 0
    assert weights(fit(replace(task, values=values, labels=labels, first=100)).run().network) == expected


@pytest.mark.parametrize("row", [100, 500, 899])
def test_every_bar_of_the_ranges_is_a_training_example(row):
    task = memory_task(1_500, train=(Rows(100, 900),), early_stop=Rows(1_000, 1_500))
    labels = task.labels.copy()
    labels[row] = 1 - max(labels[row], 0)
    training = LstmTraining(epochs=1)
    changed = fit(replace(task, labels=labels), training).run()
    assert weights(changed.network) != weights(fit(task, training).run().network)


def test_what_was_consumed_is_read_from_the_reader():
    task = memory_task(3_000, train=(Rows(5, 900), Rows(1_000, 2_000)), early_stop=Rows(2_100, 2_900))
    result = fit(replace(task, first=5)).run()
    assert result.consumed == (Rows(5, 900), Rows(1_000, 2_000))
    assert result.validation_fed == Rows(660, 2_900)


def test_epochs_are_told_with_loss_accuracy_and_rate():
    reporter = SilentReporter()
    fit(memory_task(3_000), reporter=reporter).run()
    told = [event for event in reporter.events if isinstance(event, EpochFinished)]
    assert [event.epoch for event in told] == [1, 2, 3]
    assert all(event.model == "lstm_X-USD" and event.bars_per_s > 0 for event in told)
    assert told[0].best
    assert told[-1].eta_s == 0.0
    last = reporter.last_progress
    assert (last.done, last.total, last.unit, last.eta_s) == (6_000, 6_000, "bars", 0.0)
    assert last.detail["validation_accuracy"] == told[-1].validation_accuracy
    assert last.detail["epoch"] == last.detail["epochs"] == 3


def test_progress_within_an_epoch_says_how_far_it_is():
    reporter = StopAt(5)
    run = fit(memory_task(3_000), LstmTraining(epochs=2), reporter)
    with pytest.raises(InterruptedRunError):
        run.run()
    run._tell()
    said = reporter.last_progress
    assert said.done == 5 * 32 * 8
    assert said.total == 4_000
    assert said.eta_s == pytest.approx((said.total - said.done) / said.rate)
    assert 0.0 < said.detail["accuracy"] < 1.0
    assert said.detail["loss"] > 0


def test_a_labelless_validation_is_refused():
    task = memory_task(3_000)
    labels = task.labels.copy()
    labels[2_000:] = -1
    with pytest.raises(DataError, match="no labelled row"):
        fit(replace(task, labels=labels)).run()


def test_early_stopping_waits_for_patience_epochs_and_keeps_the_best():
    rng = np.random.default_rng(4)
    task = memory_task(3_000)
    coin = rng.integers(0, 2, 3_000).astype(np.int8)
    training = LstmTraining(epochs=40, patience=2, peak_learning_rate=0.05, weight_decay=0.0)
    result = fit(replace(task, labels=coin), training).run()
    assert result.early_stopped
    assert len(result.history) == result.best_epoch.epoch + 2 < 40
    assert result.best_epoch.validation_loss == min(epoch.validation_loss for epoch in result.history)
    logits = Predictor(result.network, task.scaler, CPU).stream(task.values, 2_000, 3_000, 1_440)
    loss = log_loss(sigmoid(logits), coin[2_000:])
    assert loss == pytest.approx(result.best_epoch.validation_loss, abs=1e-12)


def test_divergence_is_an_error_and_not_a_model():
    task = memory_task(1_500)
    values = task.values.copy()
    values[700] = np.nan
    with pytest.raises(TradingAIError, match="diverged: in epoch 1"):
        fit(replace(task, values=values)).run()


def interrupted(task, training, path, stop_at):
    """Run until the n-th safe point, resuming from ``path`` if it is there; the result when it ended."""
    checkpoint = load_checkpoint(path)
    hooks = {"restore": checkpoint.restore} if checkpoint else {}
    hooks["save"] = lambda run: save_checkpoint(path, run, IDENTITY, RUN)
    try:
        return fit(task, training, StopAt(stop_at), **hooks).run()
    except InterruptedRunError:
        return None


@pytest.mark.parametrize("stop_at", [1, 2, 3, 7])
def test_a_training_stopped_again_and_again_ends_in_the_same_bits(tmp_path, stop_at):
    task, training = memory_task(2_000), LstmTraining(epochs=3)
    undisturbed = fit(task, training).run()
    path, runs, result = tmp_path / "lstm_X-USD_last.pt", 0, None
    while result is None:
        result, runs = interrupted(task, training, path, stop_at), runs + 1
    assert runs > 2
    assert weights(result.network) == weights(undisturbed.network)
    assert result.history == undisturbed.history
    assert result.consumed == undisturbed.consumed


def test_a_killed_run_resumes_from_its_last_timed_checkpoint(tmp_path):
    """Nothing is saved at the kill: the run goes back to an older state and still ends in the same bits."""
    task, training = memory_task(2_000), LstmTraining(epochs=2, checkpoint_every_s=0.0)
    undisturbed = fit(task, training).run()
    path, saves = tmp_path / "x_last.pt", []

    def save_and_die(run):
        if len(saves) < 4:
            save_checkpoint(path, run, IDENTITY, RUN)
        saves.append(run.state.chunk)
        if len(saves) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(task, training, save=save_and_die).run()
    checkpoint = load_checkpoint(path)
    assert checkpoint.identity == IDENTITY
    assert checkpoint.run == RUN
    result = fit(task, training, restore=checkpoint.restore).run()
    assert weights(result.network) == weights(undisturbed.network)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "lstm_BTC-USD_last.pt"
    interrupted(memory_task(2_000), LstmTraining(epochs=2), path, 3)
    return path


def test_no_resume_state_is_none(tmp_path):
    assert load_checkpoint(tmp_path / "nothing_last.pt") is None


@pytest.mark.parametrize("kept", [0, 300, 0.7])
def test_a_truncated_resume_state_is_named(saved, kept):
    data = saved.read_bytes()
    saved.write_bytes(data[: kept if isinstance(kept, int) else int(len(data) * kept)])
    with pytest.raises(ArtifactError, match="is damaged") as caught:
        load_checkpoint(saved)
    assert caught.value.remedy.endswith("`tradingai train lstm --coin BTC-USD --fresh`.")


@pytest.mark.parametrize("change", [
    {"format": "x"}, {"sha256": "0"}, {"document": "{"}, {"tensors": None},
])  # fmt: skip
def test_a_tampered_resume_state_is_refused(saved, change):
    torch.save({**torch.load(saved, weights_only=True), **change}, saved)
    with pytest.raises(ArtifactError, match="is damaged"):
        load_checkpoint(saved)


def test_a_resume_state_of_another_schema_is_refused_with_both_named(saved):
    torch.save({**torch.load(saved, weights_only=True), "schema_version": 1}, saved)
    with pytest.raises(OutdatedArtifactError, match="has schema version 1 instead of 2") as caught:
        load_checkpoint(saved)
    assert caught.value.remedy.endswith("`tradingai train lstm --coin BTC-USD --fresh`.")


def test_a_resume_state_of_another_network_does_not_fit(saved):
    with pytest.raises(ArtifactError, match="is damaged"):
        fit(memory_task(2_000), LstmTraining(hidden=8), restore=load_checkpoint(saved).restore).run()


def test_gradients_are_limited_as_torch_limits_them():
    run = fit(memory_task(1_500), LstmTraining(gradient_limit=0.01))
    run.network(torch.ones(5, 2, 3))[0].sum().backward()
    expected = [value.grad.clone() for value in run.network.parameters()]
    for value, gradient in zip(reference := [torch.nn.Parameter(g) for g in expected], expected, strict=True):
        value.grad = gradient
    torch.nn.utils.clip_grad_norm_(reference, 0.01)
    limit_gradient(run.network, 0.01)
    for value, other in zip(run.network.parameters(), reference, strict=True):
        torch.testing.assert_close(value.grad, other.grad)
    before = [value.grad.clone() for value in run.network.parameters()]
    limit_gradient(run.network, 0.01)
    for value, gradient in zip(run.network.parameters(), before, strict=True):
        torch.testing.assert_close(value.grad, gradient)


def test_learning_rate_is_one_cycle_by_hand():
    training = LstmTraining(peak_learning_rate=1.0, rise_share=0.2)
    rates = [learning_rate(training, step, 100) for step in range(100)]
    assert rates[0] == 0.01
    assert rates[10] == 0.5
    assert rates[20] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[40] == pytest.approx(0.5 * (1 + np.cos(np.pi / 4)))
    assert rates[99] == 0.01
    assert np.argmax(rates) == 20


@pytest.mark.parametrize(("bars", "shape"), [
    (1_000, (8, 32)), (30_000, (16, 32)), (119_000, (64, 32)),
    (249_999, (128, 32)), (360_000, (96, 64)), (2_157_000, (256, 64)),
])  # fmt: skip
def test_lanes_grow_with_the_data(bars, shape):
    assert lane_shape(bars) == shape


RANGES = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 200)), min_size=1, max_size=4)


@given(RANGES, st.integers(1, 20), st.integers(1, 32))
def test_lanes_read_every_row_once_and_never_across_a_gap(gaps_and_sizes, count, chunk):
    ranges, at = [], 0
    for gap, size in gaps_and_sizes:
        ranges.append(Rows(at + gap, at + gap + size))
        at += gap + size
    plan = LanePlan.over(ranges, count, chunk)
    inside = [any(rows.lo <= lane.lo < lane.hi <= rows.hi for rows in ranges) for lane in plan.lanes]
    assert all(inside)
    assert len(plan.lanes) <= count + len(ranges) - 1 + len(ranges)
    assert plan.bars == sum(rows.size for rows in ranges)
    assert joined(plan.read_until(plan.chunks)) == joined(plan.lanes) == tuple(ranges)
    assert [rows.size for rows in plan.read_until(1)] == [min(chunk, lane.size) for lane in plan.lanes]


def test_a_reader_refuses_to_skip_or_repeat():
    task = memory_task(500)
    reader = LaneReader(LanePlan.over((Rows(0, 100),), 2, 10), task.values, task.labels, task.scaler)
    features, labels, returns = reader.chunk(0)
    np.testing.assert_array_equal(features[:, 1], task.scaler.transform(task.values[50:60].copy()))
    np.testing.assert_array_equal(labels[:, 1, 0], task.labels[50:60])
    assert returns is None
    assert reader.consumed() == (Rows(0, 10), Rows(50, 60))
    assert reader.bars == 20
    for wrong in (0, 2):
        with pytest.raises(ValueError, match="1 is next"):
            reader.chunk(wrong)
    with pytest.raises(ValueError, match="read twice"):
        joined([Rows(0, 5), Rows(4, 6)])


def test_steps_after_a_lanes_end_have_no_label():
    task = memory_task(500)
    reader = LaneReader(LanePlan.over((Rows(0, 25),), 2, 8), task.values, task.labels, task.scaler)
    labels = [reader.chunk(index).labels for index in range(2)]
    assert [lane.size for lane in reader.plan.lanes] == [13, 12]
    assert labels[1].shape == (5, 2, 1)
    assert labels[1][4, 1, 0] == -1
    assert reader.consumed() == (Rows(0, 25),)


@pytest.mark.parametrize("name", ["epochs", "threads", "seed", "hidden", "patience"])
def test_settings_that_cannot_train_are_refused(name):
    with pytest.raises(UsageError, match=name):
        LstmTraining(**{name: -1})


def test_identity_is_what_changes_the_weights():
    base = LstmTraining().identity()
    assert LstmTraining(fresh=True, checkpoint_every_s=1.0, replace_unfinished=True).identity() == base
    assert LstmTraining(seed=2).identity() != base
    assert identity_difference({"seed": 1, "data": "a"}, {"seed": 2, "data": "a"}) == "seed 1 instead of 2"
    stored, now = {"data of X-USD": "a" * 64}, {"data of X-USD": "b" * 64}
    assert identity_difference(stored, now) == "data of X-USD aaaaaaaa instead of bbbbbbbb"
    assert identity_difference(base, base) == ""


def test_histories_are_kept_for_the_newest_runs(tmp_path):
    paths = HomePaths(tmp_path)
    for number in range(KEPT_RUNS + 3):
        run = {"run": f"run{number:02}", "seed": number}
        write_history(paths, "m", run, [{"epoch": 1, "train_loss": 0.5}])
    kept = read_history(paths, "m")
    assert len(kept) == KEPT_RUNS
    assert kept[0][0] == {"model": "m", "run": "run03", "seed": 3}
    assert kept[-1][1] == [{"epoch": 1, "train_loss": 0.5}]
    assert read_history(paths, "other") == []
    (tmp_path / "models/checkpoints/m_history/run10.jsonl").write_text("{")
    with pytest.raises(ArtifactError, match=r"run10\.jsonl is damaged"):
        read_history(paths, "m")
