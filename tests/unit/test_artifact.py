import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tradingai.engine.core.errors import ArtifactError, MissingError
from tradingai.engine.models import artifact as artifacts
from tradingai.engine.models.artifact import (
    check_features,
    feature_difference,
    load_artifact,
    save_artifact,
    with_notes,
)
from tradingai.engine.models.predict import predict_logits

from tests.fakes.lstm_world import small_artifact


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lstm_BTC-USD_best.pt"


def test_what_is_loaded_is_what_was_saved(path):
    saved = small_artifact()
    sha256 = save_artifact(path, saved)
    loaded = load_artifact(path, sha256)
    assert loaded.sha256 == sha256 == saved.sha256
    assert loaded.document == saved.document
    assert loaded.notes == saved.notes
    assert loaded.coins[0].calibrator == saved.coins[0].calibrator
    assert loaded.warmup == saved.warmup
    values = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    assert predict_logits(loaded, values).tolist() == predict_logits(saved, values).tolist()


def test_the_json_beside_it_says_the_same_without_weights(path):
    artifact = small_artifact()
    save_artifact(path, artifact)
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["sha256"] == artifact.sha256
    assert card["model"] == "lstm_BTC-USD"
    assert card["warmup"]["bars"] == 60
    assert card["synthetic"] is True
    assert "tensors" not in card


def test_the_file_opens_with_weights_only(path):
    save_artifact(path, small_artifact())
    payload = torch.load(path, weights_only=True)
    assert set(payload["tensors"]) == set(small_artifact().tensors)


def test_the_hash_covers_values_and_not_the_run(path):
    artifact = small_artifact()
    assert with_notes(artifact, seconds=12.5).sha256 == artifact.sha256
    assert replace(artifact, market="null").sha256 != artifact.sha256
    changed = {**artifact.tensors, "head.bias": artifact.tensors["head.bias"] + 1e-7}
    assert replace(artifact, tensors=changed).sha256 != artifact.sha256
    save_artifact(path, artifact)
    first = path.read_bytes()
    save_artifact(path, with_notes(artifact, seconds=99.0))
    assert path.read_bytes() != first
    assert load_artifact(path).sha256 == artifact.sha256


def test_no_model_names_the_command(path):
    with pytest.raises(MissingError) as caught:
        load_artifact(path)
    assert "tradingai train lstm --coin BTC-USD" in caught.value.remedy


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_file_is_named(path, kept):
    save_artifact(path, small_artifact())
    data = path.read_bytes()
    path.write_bytes(data[: kept if isinstance(kept, int) else int(len(data) * kept)])
    with pytest.raises(ArtifactError, match="damaged") as caught:
        load_artifact(path)
    assert str(path) in caught.value.message
    assert "--fresh" in caught.value.remedy


def tampered(path, **changes):
    payload = torch.load(path, weights_only=True)
    torch.save({**payload, **changes}, path)


def test_a_file_that_is_no_checkpoint_is_told_without_torchs_words(tmp_path):
    path = tmp_path / "notes.pt"
    path.write_text("ts,open,high\n")
    with pytest.raises(ArtifactError) as caught:
        load_artifact(path)
    assert caught.value.message == f"{path} is damaged, or no tradingai-model"
    assert "a model's id such as lstm_BTC-USD" in caught.value.remedy


def test_changed_weights_are_noticed(path):
    save_artifact(path, small_artifact())
    tensors = torch.load(path, weights_only=True)["tensors"]
    tensors["head.weight"][0, 0] += 1e-6
    tampered(path, tensors=tensors)
    with pytest.raises(ArtifactError, match="was changed"):
        load_artifact(path)


def test_a_changed_document_is_noticed(path):
    save_artifact(path, small_artifact())
    document = torch.load(path, weights_only=True)["document"]
    tampered(path, document=document.replace('"market":"cycles"', '"market":"null"'))
    with pytest.raises(ArtifactError, match="was changed"):
        load_artifact(path)


@pytest.mark.parametrize("changes", [
    {"document": "{"}, {"document": "{}"}, {"tensors": 3}, {"format": "other"}, {"notes": None},
])  # fmt: skip
def test_a_wrong_shape_is_no_model(path, changes):
    save_artifact(path, small_artifact())
    tampered(path, **changes)
    with pytest.raises(ArtifactError, match=r"damaged|no model"):
        load_artifact(path)


def test_another_schema_is_named(path, monkeypatch):
    save_artifact(path, small_artifact())
    monkeypatch.setattr(artifacts, "SCHEMA_VERSION", 3)
    with pytest.raises(ArtifactError, match="schema version 2, this version reads 3"):
        load_artifact(path)


def test_another_artifact_than_expected_is_refused(path):
    save_artifact(path, small_artifact())
    with pytest.raises(ArtifactError, match="instead of ffffffff"):
        load_artifact(path, "f" * 64)


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("/tmp/tradingai-bomb"),))


def test_a_pickle_with_code_is_never_executed(path):
    Path("/tmp/tradingai-bomb").unlink(missing_ok=True)
    path.write_bytes(pickle.dumps({"format": "tradingai-model", "document": Bomb()}))
    with pytest.raises(ArtifactError):
        load_artifact(path)
    torch.save({"format": "tradingai-model", "document": Bomb()}, path)
    with pytest.raises(ArtifactError):
        load_artifact(path)
    assert not Path("/tmp/tradingai-bomb").exists()


def test_weights_of_another_shape_do_not_become_a_network():
    artifact = small_artifact()
    wrong = replace(artifact, config={**artifact.config, "hidden": 9})
    with pytest.raises(ArtifactError, match="do not fit"):
        wrong.network()
    with pytest.raises(ArtifactError, match="kind 'oracle'"):
        replace(artifact, kind="oracle").network()
    with pytest.raises(ArtifactError, match="network configuration"):
        replace(artifact, kind="transformer").network()
    with pytest.raises(ArtifactError, match="network configuration"):
        replace(artifact, config={"inputs": 3}).network()


class Features:
    symbol = "BTC-USD"
    definitions_sha256 = "e" * 64
    names = ("news", "noise_b", "volume")
    feature_sha256 = ("a" * 64, "x" * 64, "y" * 64)


def test_another_feature_set_is_told_by_name():
    with pytest.raises(ArtifactError) as caught:
        check_features(small_artifact(), Features)
    assert "new volume; missing noise_a; defined differently noise_b" in caught.value.message
    assert "tradingai train lstm --coin BTC-USD" in caught.value.remedy


def test_the_same_features_pass_and_another_order_is_said():
    class Same(Features):
        definitions_sha256 = "d" * 64

    check_features(small_artifact(), Same)
    assert feature_difference({"a": "1", "b": "2"}, {"b": "2", "a": "1"}).endswith("in another order")
    many = {f"f{i}": "1" for i in range(8)}
    assert feature_difference({}, many) == "new f0, f1, f2, f3, f4 and 3 more"
