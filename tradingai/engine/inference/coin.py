"""The models of one coin: features once a scan, every network to the newest minute, one probability."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from tradingai.engine.core.candles import Candles, Floats
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.ensemble import EnsembleConfig, ensemble_probability, ensemble_weights
from tradingai.engine.features.compute import Features
from tradingai.engine.features.declaration import FeatureSet
from tradingai.engine.features.registry import ATR_RATIO
from tradingai.engine.inference.carried import CarriedLstm
from tradingai.engine.inference.promoted import LiveModel
from tradingai.engine.inference.window import CandleWindow

LONGEST_CATCH_UP: Final = 240
"""After a gap of more minutes than this the networks start cold instead of catching up one by one."""
_NAN: Final = float("nan")

Source = Callable[[FeatureSet, Candles, Mapping[str, Floats], int], Features]


class WarmStart(NamedTuple):
    """A model that started cold."""

    live: LiveModel
    first_us: int
    """Open time of the first minute it was fed."""
    last_us: int
    """Of the newest."""


class Failure(NamedTuple):
    """A model that gave no number."""

    model: str
    version: str
    error: str


class Reading(NamedTuple):
    """What the models of one coin say."""

    p_up: float | None = None
    """None without models or features, NaN when a model that should speak did not."""
    note: str = ""
    outputs: Mapping[str, float] = {}
    versions: Mapping[str, str] = {}
    atr_ratio: float = _NAN
    until_us: int | None = None
    """The minute all this is of."""
    rows: Features = np.zeros((0, 0), dtype=np.float32)
    """Features computed just now, [k, F]."""
    warm_starts: tuple[WarmStart, ...] = ()
    failures: tuple[Failure, ...] = ()


class CoinModels:
    """Every promoted model of one coin; they share one feature set."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self._carried: list[CarriedLstm] = []
        self._features: FeatureSet | None = None
        self._until_us: int | None = None
        self._note = ""
        self._last = Reading()

    def install(self, live: Sequence[LiveModel], note: str) -> None:
        """Run these models from now on; those that run already keep their state.

        ``note`` says why there is none. Raises ValueError for models of different features.
        """
        self._note = note
        if self._carried and [carried.live for carried in self._carried] == list(live):
            return
        running = {carried.live: carried for carried in self._carried}
        features = {model.features.sha256: model.features for model in live}
        if len(features) > 1:
            raise ValueError(
                f"the models of {self.symbol} look at {len(features)} different sets of features"
            )
        self._carried = [running.get(model) or CarriedLstm(model) for model in live]
        self._last = Reading()
        chosen = next(iter(features.values()), None)
        if chosen is not self._features:
            self._features = chosen
            self.restart()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns of the features, in order."""
        return () if self._features is None else self._features.names

    @property
    def peers(self) -> tuple[str, ...]:
        """The coins whose closes the features need."""
        return () if self._features is None else self._features.peers

    def restart(self, models: Iterable[str] | None = None) -> None:
        """Let these models (None: all) start cold at the next minute."""
        named = None if models is None else set(models)
        for carried in self._carried:
            if named is None or carried.live.model in named:
                carried.forget()
                self._last = Reading()

    def advance(self, windows: Mapping[str, CandleWindow], source: Source, config: EnsembleConfig) -> Reading:
        """Bring all models to the newest minute whose candles are known of the coin and all its peers.

        Call it within ``carried.one_thread``. Whatever goes wrong is in the reading.
        """
        features = self._features
        if features is None:
            return Reading(note=self._note)
        until = min(windows[name].last_us or -1 for name in (self.symbol, *features.peers))
        news = 0 if self._until_us is None else (until - self._until_us) // MINUTE_US
        if news > LONGEST_CATCH_UP:
            self.restart()
        if until < 0 or (news <= 0 and not any(carried.cold for carried in self._carried)):
            return self._last._replace(rows=self._last.rows[:0], warm_starts=(), failures=())
        try:
            self._last = self._run(features, windows, source, until, max(news, 0), config)
        except DataError as error:
            self.restart()
            self._last = Reading(_NAN, note=error.message, versions=self._versions())
        self._until_us = until
        return self._last

    def _run(
        self,
        features: FeatureSet,
        windows: Mapping[str, CandleWindow],
        source: Source,
        until: int,
        news: int,
        config: EnsembleConfig,
    ) -> Reading:
        needed = max(news, *(carried.warmup_rows for carried in self._carried if carried.cold), 1)
        reach = needed + features.lookback
        held = {name: windows[name].until(until, reach) for name in (self.symbol, *features.peers)}
        shortest = min(len(candles) for candles in held.values())
        count = min(needed, shortest - features.lookback)
        if count <= 0:
            words = f"{shortest:,} candles, features need {features.lookback + 1:,}"
            return Reading(note=words, versions=self._versions(), until_us=until)
        own = held[self.symbol][-(count + features.lookback) :]
        closes = {name: held[name].close[-len(own) :] for name in features.peers}
        rows = source(features, own, closes, count)
        starts, failures = self._feed(rows, news, until)
        reading = self._ensemble(config)
        atr = float(rows[-1, features.names.index(ATR_RATIO)]) if ATR_RATIO in features.names else _NAN
        return reading._replace(
            atr_ratio=atr, until_us=until, rows=rows, warm_starts=tuple(starts), failures=tuple(failures)
        )

    def _feed(self, rows: Features, news: int, until: int) -> tuple[list[WarmStart], list[Failure]]:
        """Every network through what it has not seen."""
        starts, failures = [], []
        for carried in self._carried:
            try:
                if carried.cold or len(rows) < news:
                    fed = rows[-carried.warmup_rows :]
                    carried.start(fed)
                    starts.append(WarmStart(carried.live, until - (len(fed) - 1) * MINUTE_US, until))
                else:
                    carried.advance(rows[len(rows) - news :])
                error = carried.fault()
            except Exception as problem:  # noqa: BLE001 - a model that fails silences its coin, and no other
                error = f"{type(problem).__name__}: {problem}"
            if error:
                carried.forget()
                failures.append(Failure(carried.live.model, carried.live.version, error))
        return starts, failures

    def _ensemble(self, config: EnsembleConfig) -> Reading:
        """One probability of what every model says now."""
        versions = self._versions()
        for carried in self._carried:
            if carried.cold:
                return Reading(_NAN, note=f"{carried.live.model} gave no number", versions=versions)
            if carried.missing:
                words = f"{carried.live.model} is warming up, {carried.missing} more minutes"
                return Reading(note=words, versions=versions)
        outputs = {carried.live.model: carried.probability() for carried in self._carried}
        kinds = {carried.live.kind: outputs[carried.live.model] for carried in self._carried}
        p_up = ensemble_probability(kinds, ensemble_weights(kinds, config))
        return Reading(p_up, outputs=outputs, versions=versions)

    def _versions(self) -> dict[str, str]:
        return {carried.live.model: carried.live.version for carried in self._carried}
