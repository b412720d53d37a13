"""Homes that several integration tests look at."""

import asyncio

import pytest

from tests.fakes.soak_home import SoakHome, record


@pytest.fixture(scope="session")
def soaked(tmp_path_factory) -> SoakHome:
    """Recorded once a session; nobody changes it."""
    root = tmp_path_factory.mktemp("soak") / "home"
    return SoakHome(root, asyncio.run(record(root)))
