"""The stored feature matrix: written as a stream, read as a memory map."""

from __future__ import annotations

import hashlib
import mmap
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

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


def release(values: Features) -> None:
    """Give the memory of the pages read so far back, where ``values`` is a memory map.

    They stay in the system's page cache, and are mapped again when they are read again. Without it a process
    that has walked over a matrix holds all of it: 0.9 GB for six years of a coin.
    """
    stored = _map_under(values)
    if stored is not None and hasattr(mmap, "MADV_DONTNEED"):
        stored.madvise(mmap.MADV_DONTNEED)


class RowReader:
    """Copies rows of a matrix; those of a stored one are read from its file, not through its memory map.

    A map of a file in large pages brings in two megabytes for each place that is touched: reading a few rows
    in 256 places would hold the whole matrix.
    """

    def __init__(self, values: Features) -> None:
        """Raises ArtifactError when the file of a memory map is gone."""
        self._values = np.asarray(values)
        self._file: int | None = None
        self._path, self._offset = Path(), 0
        if isinstance(values, np.memmap) and _map_under(values) is not None:
            self._path, self._offset = Path(str(values.filename)), values.offset
            try:
                self._file = os.open(self._path, os.O_RDONLY)
            except OSError as error:
                raise _damaged(self._path, f"cannot be read ({error})") from error
            weakref.finalize(self, os.close, self._file)

    def into(self, out: Features, lo: int) -> None:
        """Fill ``out`` float32 [k, F], contiguous, with rows lo … lo + k.

        Raises ArtifactError when the file is shorter.
        """
        if self._file is None:
            out[:] = self._values[lo : lo + len(out)]
            return
        at = self._offset + lo * self._values.strides[0]
        if os.preadv(self._file, [out.data], at) != out.nbytes:
            raise _damaged(self._path, f"ends before row {lo + len(out):,}")


def _map_under(values: Features) -> mmap.mmap | None:
    """The memory map of a whole matrix; None for a part of one, and for a matrix in memory."""
    base: Any = values.base
    return base if isinstance(base, mmap.mmap) else None


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
