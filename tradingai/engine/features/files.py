"""The stored feature matrix: written as a stream, read as a memory map."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from tradingai.engine.core.errors import ArtifactError
from tradingai.engine.core.files import FILE_MODE, make_directory, storage_error, sync_directory
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.features.compute import Features
from tradingai.engine.store.manifests import FeatureManifest, read_feature_manifest


@dataclass(frozen=True, slots=True)
class FeatureMatrix:
    """A manifest and its values, a read-only memory map float32 [rows, F]."""

    manifest: FeatureManifest
    values: Features

    def column(self, name: str) -> Features:
        """One feature's values, float32 [rows], a strided view. Raises ValueError for an unknown name."""
        return self.values[:, self.manifest.names.index(name)]


def load_features(paths: HomePaths, symbol: str, verify: bool = True) -> FeatureMatrix:
    """A symbol's stored features; with ``verify`` all values are read once and their hash is compared.

    Raises MissingError when there are none, ArtifactError when the file is not what the manifest says.
    """
    manifest = read_feature_manifest(paths, symbol)
    try:
        return _load(paths, manifest, verify)
    except ArtifactError:
        newer = read_feature_manifest(paths, symbol)
        if newer == manifest:
            raise
        return _load(paths, newer, verify)


def _load(paths: HomePaths, manifest: FeatureManifest, verify: bool) -> FeatureMatrix:
    path = paths.features / manifest.symbol / manifest.file
    expected = (manifest.rows, len(manifest.names))
    try:
        values = np.lib.format.open_memmap(path, mode="r")
        if values.shape != expected or values.dtype != np.dtype("<f4") or not values.flags.c_contiguous:
            raise _damaged(path, f"holds {values.dtype} {values.shape} instead of float32 {expected}")
        if verify and _hash_from(path, values.offset) != manifest.sha256:
            raise _damaged(path, "has other values than its manifest says")
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(path, f"cannot be read ({error})") from error
    return FeatureMatrix(manifest, values)


def _hash_from(path: Path, offset: int) -> str:
    """SHA-256 over the bytes from ``offset`` on, read rather than mapped: a map would count as memory."""
    with path.open("rb") as stream:
        stream.seek(offset)
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _damaged(path: Path, what: str) -> ArtifactError:
    return ArtifactError(f"{path} {what}", remedy="Build the features again: `tradingai features build`.")


class MatrixWriter:
    """Takes float32 [k, F] blocks in row order and hashes what it writes."""

    def __init__(self, stream: IO[bytes], rows: int, columns: int) -> None:
        self._stream = stream
        self._hasher = hashlib.sha256()
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, columns)}
        np.lib.format.write_array_header_1_0(stream, header)

    def append(self, block: Features) -> None:
        """Write the next rows."""
        data = np.ascontiguousarray(block, dtype="<f4").data
        self._hasher.update(data)
        self._stream.write(data)

    @property
    def sha256(self) -> str:
        """Hash of all values so far: little-endian float32 row by row."""
        return self._hasher.hexdigest()


@contextmanager
def new_matrix(folder: Path, rows: int, columns: int) -> Iterator[MatrixWriter]:
    """Write a matrix into ``folder``; on success it is there as ``matrix.<hash8>.npy``, synced.

    On failure nothing is left. Raises TradingAIError for a full or read-only disk.
    """
    make_directory(folder)
    temporary: Path | None = None
    try:
        descriptor, name = tempfile.mkstemp(prefix=".matrix.", suffix=".tmp", dir=folder)
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as stream:
            writer = MatrixWriter(stream, rows, columns)
            yield writer
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(FILE_MODE)
        temporary.replace(folder / matrix_name(writer.sha256))
        sync_directory(folder)
    except OSError as error:
        raise storage_error(error, folder / "matrix.npy") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def matrix_name(sha256: str) -> str:
    """File name of the matrix with these values."""
    return f"matrix.{sha256[:8]}.npy"


def remove_unreferenced(folder: Path, manifest: FeatureManifest) -> None:
    """Delete the matrices that the published manifest does not name."""
    for path in folder.glob("matrix.*.npy"):
        if path.name != manifest.file:
            path.unlink(missing_ok=True)
