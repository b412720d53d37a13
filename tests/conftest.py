"""Fixtures every kind of test may use."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.command_line import tradingai
from tests.fakes.full_disk import small_file_system

_SHARED_HOMES = ("golden_home", "small_home")
"""Fixtures that take long to make: with several workers, the tests of each stay together on one."""


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests that share a home, for ``pytest -n N --dist loadgroup``; alone nothing changes."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        home = next((name for name in _SHARED_HOMES if name in names), None)
        if home is not None:
            item.add_marker(pytest.mark.xdist_group(home))


@dataclass(frozen=True)
class GoldenHome:
    """A home after the quick workload on ``cycles``; nobody changes it."""

    path: Path
    document: dict[str, Any]
    """What ``pipeline --json`` said."""
    progress: str
    """What it printed to stderr."""


@pytest.fixture(scope="session")
def golden_home(tmp_path_factory) -> GoldenHome:
    """Built once per session by the command an operator would type."""
    home = tmp_path_factory.mktemp("golden") / "home"
    done = tradingai(home, "pipeline", "--workload", "quick", "--json", timeout=900)
    assert done.status == 0, f"{done.err}\n{done.out}"
    return GoldenHome(home, done.document, done.err)


@pytest.fixture(scope="session")
def small_home(tmp_path_factory) -> Path:
    """Twelve days of one coin with a model of one epoch, evaluated and refused; nobody changes it."""
    home = tmp_path_factory.mktemp("small") / "home"
    for status, arguments in (
        (0, ("data", "generate", "--symbols", "BTC", "--start", "2025-10-29T01:08Z")),
        (0, ("features", "build")),
        (0, ("train", "lstm", "--coin", "BTC", "--epochs", "1", "--seed", "3")),
        (3, ("evaluate", "lstm_BTC-USD")),
    ):
        done = tradingai(home, *arguments)
        assert done.status == status, done.err
    return home


@pytest.fixture
def golden_copy(golden_home, tmp_path) -> Path:
    """A copy of the golden home to change. Large immutable files are shared by hard links."""
    target = tmp_path / "home"
    shutil.copytree(golden_home.path, target, symlinks=True, copy_function=_link_or_copy)
    target.chmod(0o700)
    return target


def _link_or_copy(source: str, target: str) -> str:
    """Arrays, Parquet files and artifacts are only ever replaced, never written into; the rest is copied."""
    if Path(source).suffix in {".npy", ".parquet", ".pt"}:
        os.link(source, target)
        return target
    return shutil.copy2(source, target)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with 24 MB, where this user may mount one."""
    with small_file_system(tmp_path / "disk") as disk:
        yield disk
