"""Stored candles that a live feed continues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tradingai.engine.core.candles import Candles
from tradingai.engine.core.errors import MissingError
from tradingai.engine.core.paths import HomePaths
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.providers.live import NO_CANDLES
from tradingai.engine.runtime.dataset_feed import read_series
from tradingai.engine.store.manifests import DatasetManifest, read_dataset_manifest


class StoredTail:
    """The datasets of a home as they are when they are asked for."""

    def __init__(self, paths: HomePaths, continued: Callable[[DatasetManifest], bool]) -> None:
        """``continued`` says of which datasets the feed's candles are the continuation; others give none."""
        self._paths = paths
        self._continued = continued

    async def between(self, symbol: str, after_us: int, until_us: int) -> Candles:
        """Real candles of ``symbol`` that open after ``after_us`` and not after ``until_us``, none when there
        are none. Raises ArtifactError for damaged files.
        """
        return await asyncio.to_thread(self._read, symbol, after_us, until_us)

    def _read(self, symbol: str, after_us: int, until_us: int) -> Candles:
        try:
            if not self._continued(read_dataset_manifest(self._paths, symbol)):
                return NO_CANDLES
            series = read_series(self._paths, symbol, after_us + MINUTE_US, until_us)
        except MissingError:
            return NO_CANDLES
        return series.between(after_us, until_us)
