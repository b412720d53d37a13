"""Writing files so that no reader ever sees half of one."""

from __future__ import annotations

import errno
import os
import stat

import pytest
from tradingai.engine.core import files
from tradingai.engine.core.errors import ArtifactError, TradingAIError
from tradingai.engine.core.files import (
    atomic_path,
    make_directory,
    read_json,
    storage_error,
    sweep_temporaries,
    write_atomic,
    write_json,
)


def names(folder):
    return [path.name for path in folder.iterdir()]


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_written_file_is_private_and_so_are_its_new_folders(tmp_path):
    target = tmp_path / "a" / "b" / "c.json"
    old = os.umask(0o022)
    try:
        write_json(target, {"x": float("nan")})
    finally:
        os.umask(old)
    assert read_json(target) == {"x": None}
    assert mode(target) == 0o600
    assert mode(target.parent) == mode(target.parent.parent) == 0o700


def test_making_a_folder_leaves_the_modes_of_existing_ones_alone(tmp_path):
    tmp_path.chmod(0o755)
    make_directory(tmp_path / "new")
    make_directory(tmp_path / "new")
    assert (mode(tmp_path), mode(tmp_path / "new")) == (0o755, 0o700)


def test_a_failed_write_leaves_the_old_file_and_no_temporary(tmp_path):
    target = tmp_path / "f"
    write_atomic(target, lambda stream: stream.write(b"old"))

    def fail(stream):
        stream.write(b"half of the ne")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        write_atomic(target, fail)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["f"]


def test_until_the_end_readers_see_the_old_file(tmp_path):
    target = tmp_path / "f"
    target.write_bytes(b"old")
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


def test_the_data_is_on_disk_before_the_name_is(tmp_path, monkeypatch):
    order = []
    real_fsync, real_replace = os.fsync, files.Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), real_fsync(fd))[1])
    monkeypatch.setattr(files.Path, "replace", lambda a, b: (order.append("rename"), real_replace(a, b))[1])
    write_atomic(tmp_path / "f", lambda stream: stream.write(b"x"))
    assert order == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "Free space"), (errno.EROFS, "read-only"), (errno.EACCES, "permission")],
)
def test_a_disk_that_refuses_is_named_with_its_remedy(tmp_path, monkeypatch, number, words):
    target = tmp_path / "f"

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    with pytest.raises(TradingAIError) as caught:
        write_atomic(target, lambda stream: stream.write(b"x"))
    assert str(target) in caught.value.message
    assert words in caught.value.remedy


def test_any_other_failure_of_the_disk_has_a_remedy_too(tmp_path):
    assert storage_error(OSError(errno.EIO, "Input/output error"), tmp_path).remedy


def test_damaged_json_is_an_artifact_error_that_names_the_file(tmp_path):
    target = tmp_path / "f.json"
    target.write_bytes(b'{"a": 1')
    with pytest.raises(ArtifactError, match=r"f\.json is not readable JSON"):
        read_json(target)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none.json")


def test_leftovers_of_killed_writers_are_swept(tmp_path):
    (tmp_path / ".model.pt.abc123.tmp").write_bytes(b"half")
    (tmp_path / "model.pt").write_bytes(b"whole")
    assert sweep_temporaries(tmp_path) == 1
    assert names(tmp_path) == ["model.pt"]


def test_a_write_that_was_cut_short_is_a_full_disk_where_no_space_is_left(tmp_path, monkeypatch):
    """numpy raises an OSError without a number."""
    cut = OSError("100800 requested and 97264 written")
    assert "Check the disk" in storage_error(cut, tmp_path / "new" / "f").remedy
    monkeypatch.setattr(files, "_NO_ROOM_BYTES", 2**62)
    told = storage_error(cut, tmp_path / "new" / "f")
    assert told.message.endswith("No space left on device")
    assert "Free space" in told.remedy
