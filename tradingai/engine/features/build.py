"""The feature job: candles in, a stored matrix and its manifest out."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from tradingai.engine.core.candles import Candles, Floats
from tradingai.engine.core.clock import Clock, RealClock
from tradingai.engine.core.errors import ArtifactError, DataError, MissingError
from tradingai.engine.core.events import FeaturesBuilt, JobSkipped, StateRepaired
from tradingai.engine.core.files import sweep_temporaries
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.reporting import Progress, Reporter
from tradingai.engine.features.compute import BLOCK_MINUTES, align_peer, blocks, check_rows, compute_rows
from tradingai.engine.features.declaration import FeatureSet
from tradingai.engine.features.files import load_features, matrix_name, new_matrix, remove_unreferenced
from tradingai.engine.features.registry import feature_set
from tradingai.engine.store.candle_files import read_candles
from tradingai.engine.store.manifests import (
    DatasetManifest,
    FeatureManifest,
    list_dataset_manifests,
    read_dataset_manifest,
    write_feature_manifest,
)


class Inputs(NamedTuple):
    """Candles of a coin and its peers' closes on the same rows."""

    own: Candles
    peers: Mapping[str, Floats]


def build_features(
    paths: HomePaths,
    symbol: str,
    peers: Iterable[str] | None,
    reporter: Reporter,
    *,
    force: bool = False,
    clock: Clock | None = None,
) -> FeatureManifest:
    """Compute and store the features of ``symbol``; done already, it says so (JobSkipped) and returns.

    ``peers`` are the coins of the lead-lag features; None takes :func:`default_peers`. The caller holds
    the symbol's feature lock. Raises MissingError without candles, DataError for too few of them or
    peers that do not cover them, ArtifactError for candles that are not what their manifest says.
    """
    dataset = read_dataset_manifest(paths, symbol)
    chosen = default_peers(paths, dataset) if peers is None else tuple(peers)
    features = feature_set(symbol, chosen)
    peer_hashes = {name: read_dataset_manifest(paths, name).sha256 for name in features.peers}
    sweep_temporaries(paths.features / symbol)
    kept = None if force else _unchanged(paths, features, dataset, peer_hashes, reporter)
    if kept is None:
        return _build(paths, features, dataset, peer_hashes, reporter, clock or RealClock())
    reason = f"{kept.rows:,} rows of {len(kept.names)} features stand: candles and definitions are unchanged"
    reporter.emit(JobSkipped(job_id="", kind="features", target=symbol, reason=reason))
    return kept


def default_peers(paths: HomePaths, dataset: DatasetManifest) -> tuple[str, ...]:
    """The home's other coins of the same provider, market and seed whose candles cover this coin's range."""
    return tuple(
        other.symbol
        for other in list_dataset_manifests(paths)
        if other.symbol != dataset.symbol
        and (other.provider, other.market, other.seed) == (dataset.provider, dataset.market, dataset.seed)
        and other.start <= dataset.start
        and other.end >= dataset.end
    )


def read_inputs(paths: HomePaths, features: FeatureSet) -> Inputs:
    """The stored candles a feature set is computed from. Raises what reading and aligning them raises."""
    own = read_candles(paths, features.symbol)
    peers = {name: align_peer(own, name, read_candles(paths, name)) for name in features.peers}
    check_rows(features, own, peers)
    return Inputs(own, peers)


def peak_memory_mb() -> float:
    """The largest resident size this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)


def _unchanged(
    paths: HomePaths,
    features: FeatureSet,
    dataset: DatasetManifest,
    peer_hashes: dict[str, str],
    reporter: Reporter,
) -> FeatureManifest | None:
    """The stored manifest when it is of these inputs and definitions and its file is whole."""
    try:
        stored = load_features(paths, features.symbol).manifest
    except MissingError:
        return None
    except ArtifactError as error:
        reporter.emit(StateRepaired(what=f"features of {features.symbol}", detail=f"{error}; built again"))
        return None
    same = (
        stored.definitions_sha256 == features.sha256
        and stored.candles_sha256 == dataset.sha256
        and stored.peers == peer_hashes
    )
    return stored if same else None


def _build(
    paths: HomePaths,
    features: FeatureSet,
    dataset: DatasetManifest,
    peer_hashes: dict[str, str],
    reporter: Reporter,
    clock: Clock,
) -> FeatureManifest:
    started = clock.monotonic()
    if dataset.rows <= features.lookback:
        raise DataError(
            f"{dataset.symbol} has {dataset.rows:,} candles, its features look back {features.lookback:,}",
            remedy=f"Provide more than {features.lookback:,} minutes of candles, for a model some weeks.",
        )
    inputs = read_inputs(paths, features)
    sha256 = _write(paths, features, inputs, reporter, clock)
    manifest = FeatureManifest(
        symbol=dataset.symbol,
        file=matrix_name(sha256),
        names=features.names,
        groups=tuple(feature.group for feature in features.features),
        lookbacks=tuple(feature.lookback for feature in features.features),
        feature_sha256=tuple(feature.sha256 for feature in features.features),
        rows=dataset.rows,
        start=dataset.start,
        end=dataset.end,
        first_valid=features.lookback,
        candles_sha256=dataset.sha256,
        peers=peer_hashes,
        definitions_sha256=features.sha256,
        sha256=sha256,
        provider=dataset.provider,
        market=dataset.market,
        synthetic=dataset.synthetic,
        created_at=clock.now(),
    )
    write_feature_manifest(paths, manifest)
    remove_unreferenced(paths.features / dataset.symbol, manifest)
    seconds = clock.monotonic() - started
    reporter.emit(
        FeaturesBuilt(
            symbol=dataset.symbol, rows=dataset.rows, features=len(features), seconds=seconds,
            rows_per_s=dataset.rows / seconds if seconds > 0 else 0.0, peak_memory_mb=peak_memory_mb(),
            sha256=sha256,
        )
    )  # fmt: skip
    return manifest


def _write(paths: HomePaths, features: FeatureSet, inputs: Inputs, reporter: Reporter, clock: Clock) -> str:
    """Stream the matrix block by block; returns the hash of its values."""
    rows, columns = len(inputs.own), len(features)
    buffer = np.empty((min(BLOCK_MINUTES, rows), columns), dtype=np.float32)
    started = clock.monotonic()
    with new_matrix(paths.features / features.symbol, rows, columns) as matrix:
        for lo, hi in blocks(inputs.own):
            reporter.safe_point()
            block = buffer[: hi - lo]
            compute_rows(features, inputs.own, inputs.peers, lo, hi, block)
            matrix.append(block)
            seconds = clock.monotonic() - started
            rate = hi / seconds if seconds > 0 else None
            reporter.progress(
                Progress(
                    done=hi, total=rows, unit="rows", rate=rate, eta_s=(rows - hi) / rate if rate else None,
                    detail={"symbol": features.symbol, "features": columns, "memory_mb": peak_memory_mb()},
                )
            )  # fmt: skip
    return matrix.sha256
