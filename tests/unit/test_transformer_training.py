from dataclasses import replace

import numpy as np
import pytest
import torch
from tradingai.engine.core.errors import ArtifactError, DataError, InterruptedRunError, UsageError
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.features.files import RowReader, release
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.features.side_by_side import SideBySide
from tradingai.engine.models.calibration import log_loss, sigmoid
from tradingai.engine.models.predict import Predictor
from tradingai.engine.training.checkpoint import load_checkpoint, save_checkpoint
from tradingai.engine.training.config import LstmTraining, Training, TransformerTraining
from tradingai.engine.training.job import blinded
from tradingai.engine.training.lanes import LanePlan, LaneReader
from tradingai.engine.training.learning import Said, losses, new_network, parameter_groups

from tests.fakes.lstm_world import CPU, StopAt, memory_task, weights
from tests.fakes.market_world import QUICK, SHAPE, fit, leading_task

IDENTITY = {"model": "transformer", "coins": "A-USD, B-USD"}
RUN = {"run": "20251110T010700.000000Z-seed1", "resumes": 0}
LONG = replace(QUICK, epochs=12, patience=12, peak_learning_rate=3e-2)
SHORT = replace(QUICK, epochs=2)


def accuracies(result, task, rows):
    """Share of right answers of each coin."""
    logits = Predictor(result.network, task.scaler, CPU).stream_all(task.values, *rows)
    labels = task.labels[rows.slice]
    known = labels >= 0
    right = (logits > 0) == (labels == 1)
    return [right[known[:, coin], coin].mean() for coin in range(labels.shape[1])]


def test_a_coin_is_read_from_what_leads_it_and_not_without():
    task, rows = leading_task(9_000), Rows(6_000, 9_000)
    seeing = fit(task, LONG).run()
    both = accuracies(seeing, task, rows)
    assert min(both) > 0.97
    known = task.labels[rows.slice] >= 0
    together = np.average(both, weights=known.sum(axis=0))
    assert seeing.best_epoch.validation_accuracy == pytest.approx(together, abs=1e-3)
    blind_task = leading_task(9_000, leave_out=["A-USD *"])
    assert max(accuracies(fit(blind_task, LONG).run(), blind_task, rows)) < 0.54


def test_the_trend_head_learns_how_far_the_price_goes():
    task = leading_task(9_000)
    network = fit(task, LONG).run().network
    scaled = torch.from_numpy(task.scaler.transform(task.values[slice(6_000, 9_000)]))[:, None]
    with torch.inference_mode():
        trend = network.outputs(scaled).trend[:, 0].numpy()
    for coin in range(2):
        assert np.corrcoef(trend[20:, coin], task.returns[6_020:, coin])[0, 1] > 0.9


def test_what_an_epoch_tells_is_that_of_plain_streams_over_the_lanes():
    """With a learning rate of zero nothing is learned between two chunks."""
    task = leading_task(3_000, train=(Rows(5, 900), Rows(1_000, 2_000)))
    frozen = fit(task, replace(QUICK, epochs=1, peak_learning_rate=0.0))
    result = frozen.run()
    predictor = Predictor(result.network, task.scaler, CPU)
    total, right, count = 0.0, 0, 0
    for lane in frozen.plan.lanes:
        logits = predictor.stream_all(task.values, *lane).ravel()
        labels = task.labels[lane.slice].ravel()
        n = int((labels >= 0).sum())
        total += n * log_loss(sigmoid(logits), labels)
        right += int((((logits > 0) == (labels == 1)) & (labels >= 0)).sum())
        count += n
    (epoch,) = result.history
    assert epoch.train_loss == pytest.approx(total / count, abs=1e-5)
    assert epoch.train_accuracy == pytest.approx(right / count, abs=1e-9)
    assert result.consumed == (Rows(5, 900), Rows(1_000, 2_000))


def test_equal_inputs_and_seed_give_equal_bits_and_another_seed_others():
    first, second = fit(leading_task(2_000), SHORT).run(), fit(leading_task(2_000), SHORT).run()
    assert weights(first.network) == weights(second.network)
    assert first.history == second.history
    other = fit(leading_task(2_000), replace(SHORT, seed=2)).run()
    assert weights(other.network) != weights(first.network)


def interrupted(task, path, stop_at):
    """Run until the n-th safe point, resuming from ``path`` if it is there; the result when it ended."""
    checkpoint = load_checkpoint(path)
    hooks = {"restore": checkpoint.restore} if checkpoint else {}
    hooks["save"] = lambda run: save_checkpoint(path, run, IDENTITY, RUN)
    try:
        return fit(task, SHORT, StopAt(stop_at), **hooks).run()
    except InterruptedRunError:
        return None


@pytest.mark.parametrize("stop_at", [1, 2, 5])
def test_a_training_stopped_again_and_again_ends_in_the_same_bits(tmp_path, stop_at):
    task = leading_task(2_000)
    undisturbed = fit(task, SHORT).run()
    path, runs, result = tmp_path / "transformer_last.pt", 0, None
    while result is None:
        result, runs = interrupted(task, path, stop_at), runs + 1
    assert runs > 2
    assert weights(result.network) == weights(undisturbed.network)
    assert result.history == undisturbed.history


def test_a_killed_run_resumes_from_its_last_checkpoint(tmp_path):
    """Nothing is saved at the kill: the run goes back to an older state and still ends in the same bits."""
    task, training = leading_task(2_000), replace(SHORT, checkpoint_every_s=0.0)
    path, saves = tmp_path / "transformer_last.pt", []

    def save_and_die(run):
        if len(saves) < 3:
            save_checkpoint(path, run, IDENTITY, RUN)
        saves.append(run.state.chunk)
        if len(saves) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(task, training, save=save_and_die).run()
    result = fit(task, training, restore=load_checkpoint(path).restore).run()
    assert weights(result.network) == weights(fit(task, training).run().network)


def test_a_resume_state_of_another_network_or_damaged_is_refused_by_name(tmp_path):
    path = tmp_path / "transformer_last.pt"
    interrupted(leading_task(2_000), path, 3)
    wider = replace(SHORT, width=20)
    with pytest.raises(ArtifactError, match="is damaged"):
        fit(leading_task(2_000), wider, restore=load_checkpoint(path).restore).run()
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ArtifactError, match="is damaged") as caught:
        load_checkpoint(path)
    assert caught.value.remedy.endswith("`tradingai train transformer --fresh`.")


def stored(tmp_path, matrices):
    """The same matrices as memory maps of files."""
    for number, matrix in enumerate(matrices):
        np.save(tmp_path / f"{number}.npy", matrix)
    return [np.lib.format.open_memmap(tmp_path / f"{n}.npy", mode="r") for n in range(len(matrices))]


@pytest.mark.parametrize("on_disk", [False, True])
def test_features_side_by_side_are_read_and_scaled_as_one_matrix(tmp_path, on_disk):
    task = leading_task(400)
    if on_disk:
        task = replace(task, values=SideBySide(stored(tmp_path, task.values.matrices)))
    plan = LanePlan.over((Rows(10, 60), Rows(80, 91)), 3, 7)
    reader = LaneReader(plan, task.values, task.labels, task.scaler, task.returns)
    for index in range(plan.chunks):
        features, labels, returns = reader.chunk(index)
        for number, lane in enumerate(plan.lanes):
            rows = slice(lane.lo + index * 7, min(lane.lo + index * 7 + 7, lane.hi))
            n = max(rows.stop - rows.start, 0)
            np.testing.assert_array_equal(features[:n, number], task.scaler.transform(task.values[rows]))
            np.testing.assert_array_equal(labels[:n, number], task.labels[rows])
            np.testing.assert_array_equal(returns[:n, number], task.returns[rows])
            assert (labels[n:, number] == -1).all()


def test_rows_are_read_from_the_file_and_what_is_missing_is_named(tmp_path):
    plain = np.arange(60, dtype=np.float32).reshape(20, 3)
    (matrix,) = stored(tmp_path, [plain])
    rows, out = RowReader(matrix), np.zeros((4, 3), dtype=np.float32)
    rows.into(out, 5)
    np.testing.assert_array_equal(out, plain[5:9])
    RowReader(matrix[3:]).into(out, 5)
    np.testing.assert_array_equal(out, plain[8:12])
    RowReader(plain).into(out, 16)
    np.testing.assert_array_equal(out, plain[16:])
    release(matrix)
    np.testing.assert_array_equal(matrix, plain)
    with (tmp_path / "0.npy").open("r+b") as file:
        file.truncate(300)
    with pytest.raises(ArtifactError, match="ends before row 20"):
        rows.into(out, 16)
    (tmp_path / "0.npy").unlink()
    with pytest.raises(ArtifactError, match=r"0\.npy cannot be read"):
        RowReader(matrix)


def test_the_loss_is_that_of_labelled_bars_alone():
    logits, trend = torch.tensor([[[0.5, -1.0]]]), torch.tensor([[[0.3, 2.0]]])
    targets, returns = torch.tensor([[[1, 0]]], dtype=torch.int8), torch.tensor([[[0.7, -1.0]]])
    said = Said(logits, trend, ())
    up, down = np.log1p(np.exp(-0.5)), np.log1p(np.exp(-1.0))
    found = losses(replace(QUICK, trend_share=0.5), said, targets, returns)
    assert found.cross_entropy.item() == pytest.approx(up + down, abs=1e-6)
    assert found.minimised.item() == pytest.approx(up + down + 0.5 * (0.5 * 0.4**2 + 2.5), abs=1e-6)
    targets[0, 0, 1] = -1
    found = losses(replace(QUICK, trend_share=0.5), said, targets, returns)
    assert found.cross_entropy.item() == pytest.approx(up, abs=1e-6)
    assert found.minimised.item() == pytest.approx(up + 0.5 * 0.5 * 0.4**2, abs=1e-6)


def test_weight_decay_leaves_norms_and_biases_alone():
    network = new_network(QUICK, leading_task(100).values)
    decayed, kept = parameter_groups(network)
    assert "weight_decay" not in decayed
    assert kept["weight_decay"] == 0.0
    assert all(value.ndim == 2 for value in decayed["params"])
    held = {id(value) for group in (decayed, kept) for value in group["params"]}
    assert held == {id(value) for value in network.parameters()}
    spared = ("norm", "bias", "distance")
    expected = [value for name, value in network.named_parameters() if any(part in name for part in spared)]
    assert {id(value) for value in kept["params"]} == {id(value) for value in expected}


def test_settings_and_inputs_must_fit_the_network():
    values = leading_task(100).values
    assert new_network(QUICK, values).config.inputs == (2, 2)
    assert new_network(QUICK, memory_task(100).values).config.inputs == (3,)
    with pytest.raises(DataError, match="not those of 2"):
        new_network(LstmTraining(), values)
    with pytest.raises(TypeError, match="no network"):
        new_network(Training(), values)


@pytest.mark.parametrize("name", [*SHAPE, "epochs", "threads", "seed", "patience"])
def test_settings_that_cannot_train_are_refused(name):
    with pytest.raises(UsageError, match=name):
        TransformerTraining(**{name: -1})


def test_heads_must_share_the_width():
    with pytest.raises(UsageError, match="width of 51 cannot be shared by 2 heads"):
        TransformerTraining(width=51)


def test_identity_is_what_changes_the_weights():
    base = TransformerTraining().identity()
    assert TransformerTraining(fresh=True, device="cpu", replace_unfinished=True).identity() == base
    for name in (*SHAPE, "seed", "threads", "epochs"):
        assert TransformerTraining(**{name: 3 if name != "width" else 8}).identity() != base
    assert TransformerTraining(trend_share=0.1).identity() != base


def test_features_left_out_are_zero_and_a_pattern_must_fit():
    scaler = Scaler(("A x", "A y", "B x"), np.array([1.0, 2.0, 3.0]), np.ones(3), 0, 1)
    values = np.array([[5.0, 6.0, 7.0]], dtype=np.float32)
    np.testing.assert_array_equal(blinded(scaler, ["A *"]).transform(values), [[0.0, 0.0, 4.0]])
    np.testing.assert_array_equal(blinded(scaler, ["* x", "A y"]).transform(values), [[0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(blinded(scaler, []).transform(values), [[4.0, 4.0, 4.0]])
    with pytest.raises(DataError, match="no feature fits 'C"):
        blinded(scaler, ["C *"])
