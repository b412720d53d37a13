"""A trained model as one file: weights, scaling, calibration and the record of what it was trained on.

The file is a ``torch.save`` of plain values and tensors, read with ``weights_only=True``: no code from it is
ever executed. Its hash covers values, not bytes, so the same training gives the same hash on every disk; wall
times lie in ``notes``, outside of it. The JSON beside it repeats all but the weights for people and for
processes without torch.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from tradingai.engine.core.errors import ArtifactError, MissingError, OutdatedArtifactError
from tradingai.engine.core.files import write_atomic, write_json
from tradingai.engine.core.jsonio import canonical, dumps
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import HORIZON_MINUTES, MULTI_COIN_MODELS, model_kind, train_command
from tradingai.engine.datasets.dataset import Dataset
from tradingai.engine.features.registry import peers_of
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.models.calibration import Calibrator
from tradingai.engine.models.lstm import LstmNetwork, build_lstm
from tradingai.engine.models.policy import RisePolicy, build_rise
from tradingai.engine.models.transformer import TransformerNetwork, build_transformer
from tradingai.engine.store.manifests import FeatureManifest

SCHEMA_VERSION: Final = 2
_FORMAT: Final = "tradingai-model"
_LOAD_ERRORS: Final = (
    OSError, RuntimeError, ValueError, KeyError, IndexError, EOFError, TypeError, AttributeError,
    pickle.UnpicklingError,
)  # fmt: skip
"""What ``torch.load`` raises for a damaged file."""


@dataclass(frozen=True, slots=True)
class Warmup:
    """After ``bars`` minutes from a cold start the probability agrees with that of the carried state."""

    bars: int
    """W: what live and truncated inference feed before the first bar they use."""
    measured: int
    """The most bars any of the measured cold starts needed; ``bars`` has a margin over it."""
    agrees: bool
    """False when some start still differed after the longest warm-up there is."""
    difference: float
    """Largest difference in uncalibrated P(up) from ``bars`` on."""
    tolerance: float
    starts: int
    """How many cold starts were compared."""

    def as_dict(self) -> dict[str, Any]:
        """Numbers for JSON."""
        return {
            "bars": self.bars, "measured": self.measured, "agrees": self.agrees,
            "difference": self.difference, "tolerance": self.tolerance, "starts": self.starts,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class CoinPart:
    """What a model has of one coin: how its features are scaled, and its logits become probabilities.

    ``feature_sha256`` has one definition hash a column, ``definitions_sha256`` is that of the whole set.
    """

    symbol: str
    scaler: Scaler
    calibrator: Calibrator
    feature_names: tuple[str, ...]
    feature_sha256: tuple[str, ...]
    definitions_sha256: str

    @property
    def peers(self) -> tuple[str, ...]:
        """The coins whose closes its features look at."""
        return peers_of(self.feature_names)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; floats keep every bit."""
        return {
            "symbol": self.symbol, "scaler": self.scaler.as_dict(), "calibrator": self.calibrator.as_dict(),
            "feature_names": list(self.feature_names), "feature_sha256": list(self.feature_sha256),
            "definitions_sha256": self.definitions_sha256,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> CoinPart:
        """The inverse of :meth:`as_dict`. Raises KeyError, TypeError or ArtifactError when it is damaged."""
        return cls(
            symbol=document["symbol"],
            scaler=Scaler.from_dict(document["scaler"]),
            calibrator=Calibrator.from_dict(document["calibrator"]),
            feature_names=tuple(document["feature_names"]),
            feature_sha256=tuple(document["feature_sha256"]),
            definitions_sha256=document["definitions_sha256"],
        )


@dataclass(frozen=True, eq=False)
class ModelArtifact:
    """Everything needed to compute a model's probabilities, and what it was made from.

    ``coins`` are those it speaks of, in the order of its inputs and outputs: one for an LSTM. ``record`` says
    which bars were consumed, what was fitted where, and how training went; see
    :mod:`tradingai.engine.training.record`.
    """

    model: str
    kind: str
    coins: tuple[CoinPart, ...]
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    warmup: Warmup
    record: dict[str, Any]
    market: str | None
    synthetic: bool
    horizon_minutes: int = HORIZON_MINUTES
    schema_version: int = SCHEMA_VERSION
    notes: dict[str, Any] = field(default_factory=dict)
    """Wall times and versions: not part of the hash."""

    @cached_property
    def document(self) -> dict[str, Any]:
        """All but weights and notes, as JSON types: the hashed part."""
        return {
            "schema_version": self.schema_version, "model": self.model, "kind": self.kind,
            "config": self.config, "coins": [part.as_dict() for part in self.coins],
            "horizon_minutes": self.horizon_minutes, "warmup": self.warmup.as_dict(), "record": self.record,
            "market": self.market, "synthetic": self.synthetic,
        }  # fmt: skip

    @property
    def symbols(self) -> tuple[str, ...]:
        """The coins it speaks of."""
        return tuple(part.symbol for part in self.coins)

    def coin(self, symbol: str) -> CoinPart:
        """What it has of one coin. Raises ArtifactError for a coin it does not speak of."""
        for part in self.coins:
            if part.symbol == symbol:
                return part
        raise ArtifactError(f"{self.model} speaks of {', '.join(self.symbols)}, not of {symbol}")

    @cached_property
    def sha256(self) -> str:
        """Value hash over the document and every tensor's name, type, shape and little-endian bytes."""
        return value_hash(self.document, self.tensors)

    def network(self) -> LstmNetwork | TransformerNetwork | RisePolicy:
        """The network with its weights, in evaluation mode, on the CPU; ArtifactError for other kinds."""
        if self.kind == "lstm":
            return build_lstm(self.config, self.tensors)
        if self.kind == "transformer":
            return build_transformer(self.config, self.tensors)
        if self.kind == "ppo":
            return build_rise(self.config, self.tensors)
        raise ArtifactError(f"{self.model} is of kind {self.kind!r}, which this version cannot build")


def value_hash(document: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over canonical JSON and tensors in order of their names."""
    hasher = hashlib.sha256(canonical(dict(document)))
    for name in sorted(tensors):
        array = tensors[name].detach().cpu().contiguous().numpy()
        hasher.update(canonical([name, str(array.dtype), list(array.shape)]))
        hasher.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
    return hasher.hexdigest()


def best_path(paths: HomePaths, model: str) -> Path:
    """Where a model's finished artifact lies, for example ``lstm_BTC-USD_best.pt``."""
    return paths.checkpoints / f"{model}_best.pt"


def save_artifact(path: Path, artifact: ModelArtifact) -> str:
    """Publish the artifact under ``path``, then its JSON beside it; returns the value hash."""
    payload = {
        "format": _FORMAT, "schema_version": artifact.schema_version, "sha256": artifact.sha256,
        "document": canonical(artifact.document).decode(), "notes": dumps(artifact.notes),
        "tensors": {name: tensor.detach().cpu() for name, tensor in artifact.tensors.items()},
    }  # fmt: skip
    write_payload(path, payload)
    write_card(path, artifact)
    return artifact.sha256


def write_card(path: Path, artifact: ModelArtifact) -> None:
    """Publish the JSON beside ``path``: hash, document and notes."""
    write_json(
        path.with_suffix(".json"), {"sha256": artifact.sha256, **artifact.document, "notes": artifact.notes}
    )


def load_artifact(path: Path, expect_sha256: str | None = None) -> ModelArtifact:
    """Read an artifact and check its hash.

    Raises MissingError when there is no file, ArtifactError when it is damaged, of another schema, or not the
    one whose hash was expected.
    """
    model = path.stem.removesuffix("_best")
    try:
        payload = read_payload(path, _FORMAT, again(model))
    except FileNotFoundError:
        raise MissingError(f"there is no model at {path}", remedy=_train(model, "Train it")) from None
    version = payload.get("schema_version")
    if version != SCHEMA_VERSION:
        raise OutdatedArtifactError(
            f"{path} has schema version {version}, this version reads {SCHEMA_VERSION}",
            remedy=f"{again(model)} Or use the version of tradingai that made it.",
        )
    artifact = _parsed(payload, path, again(model))
    if artifact.sha256 != payload["sha256"]:
        raise ArtifactError(
            f"{path} was changed: its contents hash to {artifact.sha256[:8]}, not {payload['sha256'][:8]}",
            remedy=again(artifact.model),
        )
    if expect_sha256 is not None and artifact.sha256 != expect_sha256:
        raise ArtifactError(
            f"{path} is not the expected artifact: {artifact.sha256[:8]} instead of {expect_sha256[:8]}",
            remedy="Restore it from a backup, or evaluate the new artifact as a version of its own.",
        )
    return artifact


def check_features(artifact: ModelArtifact, features: FeatureManifest) -> None:
    """Raise ArtifactError naming the difference when the coin's part was trained on another feature set."""
    part = artifact.coin(features.symbol)
    if part.definitions_sha256 == features.definitions_sha256:
        return
    difference = feature_difference(
        dict(zip(part.feature_names, part.feature_sha256, strict=True)),
        dict(zip(features.names, features.feature_sha256, strict=True)),
    )
    raise ArtifactError(
        f"{artifact.model} was trained on another feature set than {features.symbol} has now: {difference}",
        remedy=again(artifact.model),
    )


def check_data(artifact: ModelArtifact, data: Dataset) -> None:
    """Raise ArtifactError when the model was trained beside another feature set or data than are stored."""
    check_features(artifact, data.features)
    trained_on = artifact.record["coins"][data.symbol]["inputs"]["inputs_sha256"]
    if trained_on != data.inputs_sha256:
        raise ArtifactError(
            f"{artifact.model} was trained on other data of {data.symbol} ({trained_on[:8]}) than is "
            f"stored now ({data.inputs_sha256[:8]}): its test range would not be the one it was kept from",
            remedy=again(artifact.model),
        )


def feature_difference(trained: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What differs between two sets of name → definition hash, in words."""
    added, missing = [n for n in now if n not in trained], [n for n in trained if n not in now]
    changed = [name for name in now if name in trained and now[name] != trained[name]]
    parts = [
        f"{label} {_listed(names)}"
        for label, names in (("new", added), ("missing", missing), ("defined differently", changed))
        if names
    ]
    return "; ".join(parts) or "the same features in another order"


def with_notes(artifact: ModelArtifact, **notes: Any) -> ModelArtifact:
    """The artifact with more notes; its hash stays the same."""
    return replace(artifact, notes={**artifact.notes, **notes})


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def again(model: str) -> str:
    """What to do about an artifact that cannot be used: train the model again."""
    return _train(model, "Train it again", " --fresh")


def _train(model: str, what: str, option: str = "") -> str:
    kind = model_kind(model)
    if kind == "ensemble":
        return "Make it of what is live: `tradingai evaluate ensemble`."
    if kind != "lstm" and model not in MULTI_COIN_MODELS:
        return "Name a checkpoint that `tradingai train` made, or a model's id such as lstm_BTC-USD."
    return f"{what}: `{train_command(model)}{option}`."


def write_payload(path: Path, payload: Mapping[str, Any]) -> None:
    """Publish what :func:`read_payload` reads, in one step. Raises TradingAIError for a full disk.

    It is made in memory first: writing to a file itself, torch would hide why the disk refused.
    """
    made = io.BytesIO()
    torch.save(dict(payload), made)
    write_atomic(path, lambda stream: stream.write(made.getbuffer()))


def read_payload(path: Path, expected_format: str, remedy: str) -> dict[str, Any]:
    """The dictionary of plain values and tensors in ``path``; nothing in the file is ever executed.

    Raises FileNotFoundError when there is none, ArtifactError with ``remedy`` when it is damaged or of
    another format.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's guesses about a damaged file: the error below tells
            payload = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except _LOAD_ERRORS as error:
        reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise ArtifactError(f"{path} is damaged, or no {expected_format}{reason}", remedy=remedy) from error
    if not isinstance(payload, dict) or payload.get("format") != expected_format:
        raise ArtifactError(f"{path} is damaged, or no {expected_format}", remedy=remedy)
    return payload


def _parsed(payload: Mapping[str, Any], path: Path, remedy: str) -> ModelArtifact:
    try:
        document = json.loads(payload["document"])
        return ModelArtifact(
            model=document["model"],
            kind=document["kind"],
            coins=tuple(CoinPart.from_dict(part) for part in document["coins"]),
            config=document["config"],
            tensors=dict(payload["tensors"]),
            warmup=Warmup(**document["warmup"]),
            record=document["record"],
            market=document["market"],
            synthetic=document["synthetic"],
            horizon_minutes=document["horizon_minutes"],
            schema_version=document["schema_version"],
            notes=json.loads(payload["notes"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} is damaged: {type(error).__name__} {error}", remedy=remedy) from error
