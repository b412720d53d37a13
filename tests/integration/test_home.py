"""A home: made, opened, refused."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from tradingai.engine.core.clock import SimulatedClock
from tradingai.engine.core.errors import HomeError, MissingError
from tradingai.engine.core.home import HOME_SCHEMA, open_home
from tradingai.engine.core.jsonio import parse_iso

CLOCK = SimulatedClock(parse_iso("2025-11-10T01:07:00Z"))
NOBODY = 65534
AS_NOBODY = """
import os, sys
from pathlib import Path
from tradingai.engine.core.clock import RealClock
from tradingai.engine.core.errors import TradingAIError
from tradingai.engine.core.home import open_home
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    how = {"create": "create" in sys.argv, "read_only": "read" in sys.argv}
    home = open_home(Path(sys.argv[1]), RealClock(), **how)
    print("opened", home.created)
except TradingAIError as error:
    print(type(error).__name__, error.exit_status, error.message, "|", error.remedy)
"""


@pytest.fixture
def open_folder():
    """A folder every user can reach."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_nobody(*arguments):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    result = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def tree(root):
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.stat().st_mode)
        for path in root.rglob("*")
    }


def test_a_new_home_is_private_and_marked(tmp_path):
    root = tmp_path / "my home"
    home = open_home(root, CLOCK, create=True)
    assert home.created
    assert home.paths.root == root
    document = json.loads(home.paths.marker.read_text())
    assert document == {"schema": HOME_SCHEMA, "created_at": "2025-11-10T01:07:00Z", "version": "0.1.0"}
    for folder in home.paths.all_folders():
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    assert stat.S_IMODE(home.paths.marker.stat().st_mode) == 0o600


def test_opening_it_again_changes_nothing(tmp_path):
    open_home(tmp_path, CLOCK, create=True)
    before = tree(tmp_path)
    assert not open_home(tmp_path, CLOCK, create=True).created
    assert not open_home(tmp_path, CLOCK).created
    assert not open_home(tmp_path, CLOCK, read_only=True).created
    assert tree(tmp_path) == before


def test_a_folder_with_other_things_can_become_one(tmp_path):
    (tmp_path / "README.md").write_text("a checkout")
    (tmp_path / "models").mkdir(mode=0o755)
    assert open_home(tmp_path, CLOCK, create=True).created
    assert (tmp_path / "README.md").read_text() == "a checkout"
    assert stat.S_IMODE((tmp_path / "models").stat().st_mode) == 0o755


@pytest.mark.parametrize("how", [{"read_only": True}, {"create": False}, {"read_only": True, "create": True}])
def test_without_one_the_command_that_makes_it_is_named_and_nothing_is_made(tmp_path, how):
    root = tmp_path / "none"
    with pytest.raises(MissingError) as caught:
        open_home(root, CLOCK, **how)
    assert caught.value.exit_status == 4
    assert str(root) in caught.value.message
    assert f"`tradingai --home {root} pipeline`" in caught.value.remedy
    assert not root.exists()


def test_a_removed_folder_of_a_home_comes_back_for_writers_only(tmp_path):
    home = open_home(tmp_path, CLOCK, create=True)
    home.paths.backups.rmdir()
    open_home(tmp_path, CLOCK, read_only=True)
    assert not home.paths.backups.exists()
    open_home(tmp_path, CLOCK)
    assert home.paths.backups.is_dir()


@pytest.mark.parametrize("read_only", [True, False])
def test_a_newer_home_is_refused_untouched(tmp_path, read_only):
    paths = open_home(tmp_path, CLOCK, create=True).paths
    paths.marker.write_text('{"schema": 2, "version": "9.1.0"}')
    before = tree(tmp_path)
    with pytest.raises(HomeError) as caught:
        open_home(tmp_path, CLOCK, read_only=read_only, create=not read_only)
    assert caught.value.exit_status == 2
    assert "schema 2, made by a newer TradingAI (9.1.0)" in caught.value.message
    assert "Update TradingAI" in caught.value.remedy
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "{}", '{"schema": "1"}', '{"schema": true}', '{"schema": 0}', "null"]
)
def test_a_damaged_marker_is_named(tmp_path, text):
    paths = open_home(tmp_path, CLOCK, create=True).paths
    paths.marker.write_text(text)
    with pytest.raises(HomeError, match=r"home\.json is damaged") as caught:
        open_home(tmp_path, CLOCK, create=True)
    assert "Move it away" in caught.value.remedy


def test_a_file_is_no_home(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError, match="is not a folder"):
        open_home(tmp_path / "file", CLOCK, create=True)
    with pytest.raises(HomeError, match="cannot be used"):
        open_home(tmp_path / "file" / "below", CLOCK, create=True)


def test_a_home_reached_through_a_link_is_the_same_home(tmp_path):
    open_home(tmp_path / "real", CLOCK, create=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert open_home(tmp_path / "link", CLOCK).paths.root == tmp_path / "real"


def test_links_that_lead_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(HomeError):
        open_home(tmp_path / "a", CLOCK, create=True)


def test_a_full_disk_is_called_that(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path))

    for step in ("files.tempfile.mkstemp", "home.make_directory"):
        with monkeypatch.context() as patch:
            patch.setattr(f"tradingai.engine.core.{step}", refuse)
            with pytest.raises(HomeError, match="No space left") as caught:
                open_home(tmp_path / "home", CLOCK, create=True)
            assert "Free space" in caught.value.remedy


def test_a_folder_another_user_owns_cannot_become_one(open_folder):
    text = as_nobody(open_folder, "create")
    assert text.startswith(f"HomeError 2 the home {open_folder} ")
    assert "Give this user write permission there, or choose another" in text
    assert list(open_folder.iterdir()) == []
    text = as_nobody(open_folder / "new" / "home", "create")
    assert text.startswith("HomeError 2")
    assert list(open_folder.iterdir()) == []


def test_another_users_home_can_neither_be_written_nor_looked_into(open_folder):
    root = open_folder / "home"
    open_home(root, CLOCK, create=True)
    before = tree(open_folder)
    assert as_nobody(root, "create").startswith("HomeError 2")
    assert as_nobody(root, "read").startswith("HomeError 2")
    assert tree(open_folder) == before


def test_a_readable_home_on_foreign_ground_can_be_looked_at_and_not_written(open_folder):
    root = open_folder / "home"
    for folder in open_home(root, CLOCK, create=True).paths.all_folders():
        folder.chmod(0o755)
    (root / "home.json").chmod(0o644)
    before = tree(open_folder)
    assert as_nobody(root, "read") == "opened False"
    assert as_nobody(root).startswith(f"HomeError 2 the home {root} is not writable")
    assert tree(open_folder) == before


def test_a_folder_without_a_marker_that_cannot_be_written_is_refused(open_folder):
    root = open_folder / "home"
    paths = open_home(root, CLOCK, create=True).paths
    paths.marker.unlink()
    for folder in paths.all_folders():
        os.chown(folder, NOBODY, NOBODY)
    os.chown(root, 0, 0)
    root.chmod(0o755)
    assert as_nobody(root, "create").startswith("HomeError 2")
    assert not paths.marker.exists()
