"""A verified archive: a gzipped tar whose first member lists every other one with its size and hash.

Reading trusts nothing: names, types, sizes and hashes are checked before a file is handed on, and a path
that would lead out of the folder it is unpacked into cannot be expressed.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from tradingai.engine.core.errors import ArtifactError, MissingError, UsageError
from tradingai.engine.core.files import FILE_MODE, atomic_path, make_directory, storage_error
from tradingai.engine.core.jsonio import dumps

_MANIFEST: Final = "manifest.json"
_MANIFEST_LIMIT: Final = 64 << 20
_BLOCK: Final = 1 << 20
_REMEDY: Final = "Nothing was changed. Use another backup."


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    name: str
    """Relative, with slashes, without ``.`` and ``..``."""
    size: int
    sha256: str


def write_archive(target: Path, header: Mapping[str, Any], files: Mapping[str, Path]) -> tuple[Member, ...]:
    """Write ``files`` (name in the archive to path) with ``header`` in front, published in one step.

    The files must not change meanwhile. Raises UsageError when ``target`` exists, TradingAIError when it
    cannot be written.
    """
    if target.exists() or target.is_symlink():
        raise UsageError(
            f"{target} exists already", remedy="Choose another name: a backup is never overwritten."
        )
    members = tuple(Member(name, path.stat().st_size, _file_sha256(path)) for name, path in files.items())
    document = {**header, "files": [asdict(member) for member in members]}
    manifest = dumps(document, indent=1).encode()
    with atomic_path(target) as temporary, tarfile.open(temporary, "w:gz") as tar:
        tar.addfile(_information(_MANIFEST, len(manifest)), io.BytesIO(manifest))
        for member, path in zip(members, files.values(), strict=True):
            with path.open("rb") as stream:
                tar.addfile(_information(member.name, member.size), stream)
    return members


def unpack_archive(source: Path, folder: Path) -> dict[str, Any]:
    """Unpack an archive into the empty ``folder``, verifying everything; return its header.

    Raises MissingError when there is no such file, ArtifactError when it is no archive of ours or damaged;
    ``folder`` may then hold some of the files.
    """
    refuse_missing(source)
    with _damage_named(source), tarfile.open(source, "r:gz") as tar:
        document = _manifest(tar, source)
        expected = {member.name: member for member in _members(document, source)}
        while (item := tar.next()) is not None:
            member = expected.pop(item.name, None)
            if member is None or not item.isreg() or item.size != member.size:
                raise ArtifactError(
                    f"{source} holds {item.name!r}, which its manifest does not list", remedy=_REMEDY
                )
            stream = tar.extractfile(item)
            if stream is not None:
                _unpack(stream, member, folder, source)
        if expected:
            raise ArtifactError(f"{source} lacks {', '.join(sorted(expected))}", remedy=_REMEDY)
    return document


def refuse_missing(source: Path) -> None:
    """Raise MissingError when ``source`` is no file."""
    if not source.is_file():
        raise MissingError(f"there is no file {source}", remedy="`tradingai backup FILE` makes one.")


def _manifest(tar: tarfile.TarFile, source: Path) -> dict[str, Any]:
    item = tar.next()
    stream = tar.extractfile(item) if item is not None and item.isreg() else None
    if item is None or stream is None or item.name != _MANIFEST or item.size > _MANIFEST_LIMIT:
        raise ArtifactError(f"{source} is no backup of TradingAI", remedy=_REMEDY)
    document = json.loads(stream.read())
    if not isinstance(document, dict):
        raise ArtifactError(f"{source} is no backup of TradingAI", remedy=_REMEDY)
    return document


def _members(document: Mapping[str, Any], source: Path) -> Iterator[Member]:
    for fields in document["files"]:
        member = Member(str(fields["name"]), int(fields["size"]), str(fields["sha256"]))
        path = PurePosixPath(member.name)
        if (
            path.is_absolute()
            or ".." in path.parts
            or not path.parts
            or str(path) != member.name
            or "\0" in member.name
        ):
            raise ArtifactError(
                f"{source} names {member.name!r}, which is no path below a home", remedy=_REMEDY
            )
        yield member


def _unpack(stream: IO[bytes], member: Member, folder: Path, source: Path) -> None:
    target = folder / member.name
    make_directory(target.parent)
    hasher = hashlib.sha256()
    try:
        with target.open("xb") as writer:
            target.chmod(FILE_MODE)
            while block := stream.read(_BLOCK):
                hasher.update(block)
                writer.write(block)
    except OSError as error:
        raise storage_error(error, target) from error
    if hasher.hexdigest() != member.sha256:
        raise ArtifactError(
            f"{source} is damaged: {member.name} is not what its manifest says", remedy=_REMEDY
        )


@contextmanager
def _damage_named(source: Path) -> Iterator[None]:
    """Turn what reading a damaged archive raises into an ArtifactError."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{source} is damaged or no backup of TradingAI ({error})", remedy=_REMEDY
        ) from error
    except OSError as error:
        raise ArtifactError(f"{source} cannot be read: {error.strerror or error}", remedy=_REMEDY) from error


def _information(name: str, size: int) -> tarfile.TarInfo:
    information = tarfile.TarInfo(name)
    information.size = size
    information.mode = FILE_MODE
    return information


def _file_sha256(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()
