"""The models of a run: features once a scan, every network to the newest minute, one probability a coin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from tradingai.engine.core.candles import Candles, Floats
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.ensemble import AGENT
from tradingai.engine.features.compute import Features
from tradingai.engine.features.declaration import FeatureSet
from tradingai.engine.features.registry import ATR_RATIO
from tradingai.engine.inference.carried import CarriedNetwork
from tradingai.engine.inference.promoted import LiveModel
from tradingai.engine.inference.window import CandleWindow
from tradingai.engine.models.ensemble import ENSEMBLE, EnsembleRule

LONGEST_CATCH_UP: Final = 240
"""After a gap of more minutes than this the networks start cold instead of catching up one by one."""
_NAN: Final = float("nan")
_NO_ROWS: Final[Features] = np.zeros((0, 0), dtype=np.float32)

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
    coins: tuple[str, ...]
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
    rows: Features = _NO_ROWS
    """Features computed just now, [k, F]."""


class Advance(NamedTuple):
    """One step of all models."""

    readings: Mapping[str, Reading]
    warm_starts: tuple[WarmStart, ...] = ()
    failures: tuple[Failure, ...] = ()


class _Tail(NamedTuple):
    """A coin's features up to one minute, [k, F], or why there are none."""

    rows: Features
    problem: str = ""
    broken: bool = False
    """The candles give no features, as opposed to being too few."""


class MarketModels:
    """Every promoted model of a run. The models of a coin share one feature set."""

    def __init__(self, symbols: Sequence[str]) -> None:
        """``symbols`` are those that are decided on, in order."""
        self._symbols = tuple(symbols)
        self._carried: list[CarriedNetwork] = []
        self._until: dict[str, int] = {}
        """Model to the minute it stands at; not there for one that has seen nothing."""
        self._features: dict[str, FeatureSet] = {}
        self._notes: Mapping[str, str] = {}
        self._rule = EnsembleRule()
        self._spoken_by = ""
        self._speaking: dict[str, list[LiveModel]] = {}
        self._last: dict[str, Reading] = {}
        """By coin what was read last; not there when other models speak of it since."""

    def install(
        self, live: Sequence[LiveModel], rule: EnsembleRule, notes: Mapping[str, str], ensemble: str = ""
    ) -> None:
        """Run these models from now on; those that run already keep their state.

        ``notes`` says by coin why there is none, ``ensemble`` is the version whose rule it is. Raises
        ValueError for models of different features of one coin.
        """
        self._rule, self._notes, self._spoken_by = rule, notes, ensemble
        features: dict[str, FeatureSet] = {}
        for model in live:
            for symbol, one in model.features.items():
                if features.setdefault(symbol, one).sha256 != one.sha256:
                    raise ValueError(f"the models of {symbol} look at different sets of features")
        running = {carried.live: carried for carried in self._carried}
        self._carried = [running.get(model) or CarriedNetwork(model) for model in live]
        kept = {carried.live.model for carried in self._carried if carried.live in running}
        self._until = {model: minute for model, minute in self._until.items() if model in kept}
        self._features = features
        speaking = {symbol: [one for one in live if symbol in one.symbols] for symbol in self._symbols}
        self._last = {
            symbol: reading
            for symbol, reading in self._last.items()
            if self._speaking.get(symbol) == speaking[symbol]
        }
        self._speaking = speaking

    def features(self, symbol: str) -> FeatureSet | None:
        """What is computed of a coin; None when no model looks at it."""
        return self._features.get(symbol)

    @property
    def coins(self) -> tuple[str, ...]:
        """The coins whose candles the models need."""
        found = (name for symbol, features in self._features.items() for name in (symbol, *features.peers))
        return tuple(dict.fromkeys(found))

    def restart(self, models: Iterable[str] | None = None) -> None:
        """Let these models (None: all) start cold at the next minute."""
        named = None if models is None else set(models)
        for carried in self._carried:
            if named is None or carried.live.model in named:
                self._forget(carried)

    def advance(self, windows: Mapping[str, CandleWindow], source: Source) -> Advance:
        """Bring every model to the newest minute whose candles are known of all that its features need.

        Call it within ``carried.one_thread``. Whatever goes wrong is in what is returned.
        """
        targets = {carried: self._target(carried.live, windows) for carried in self._carried}
        wanted = {carried: self._wanted(carried, until) for carried, until in targets.items()}
        tails = self._tails(windows, source, targets, wanted)
        starts: list[WarmStart] = []
        failures: list[Failure] = []
        problems: dict[CarriedNetwork, _Tail] = {}
        for carried, count in wanted.items():
            if count == 0:
                continue
            until = targets[carried]
            parts = [tails[symbol, until] for symbol in carried.live.symbols]
            short = next((tail for tail in parts if not len(tail.rows)), None)
            if short is not None:
                problems[carried] = short
                if short.broken:
                    self._forget(carried)
                continue
            started, error = self._feed(carried, parts, count, until)
            if started is not None:
                starts.append(started)
            if error:
                self._forget(carried)
                live = carried.live
                failures.append(Failure(live.model, live.version, live.symbols, error))
        readings = {symbol: self._reading(symbol, targets, tails, problems) for symbol in self._symbols}
        self._last = dict(readings)
        return Advance(readings, tuple(starts), tuple(failures))

    def _forget(self, carried: CarriedNetwork) -> None:
        carried.forget()
        self._until.pop(carried.live.model, None)

    def _target(self, live: LiveModel, windows: Mapping[str, CandleWindow]) -> int:
        """The newest minute known of all coins that the model's features need; -1 for none."""
        needed = (name for symbol, one in live.features.items() for name in (symbol, *one.peers))
        return min(windows[name].last_us or -1 for name in needed)

    def _wanted(self, carried: CarriedNetwork, until: int) -> int:
        """How many rows of features the model has to see; 0 when it has seen them all."""
        if until < 0:
            return 0
        model = carried.live.model
        news = (until - self._until[model]) // MINUTE_US if model in self._until else 0
        if news > LONGEST_CATCH_UP:
            self._forget(carried)
        return carried.warmup_rows if carried.cold else max(news, 0)

    def _tails(
        self,
        windows: Mapping[str, CandleWindow],
        source: Source,
        targets: Mapping[CarriedNetwork, int],
        wanted: Mapping[CarriedNetwork, int],
    ) -> dict[tuple[str, int], _Tail]:
        """By coin and newest minute the features that the models have to see, the longest tail once."""
        counts: dict[tuple[str, int], int] = {}
        for carried, count in wanted.items():
            for symbol in carried.live.symbols if count else ():
                key = symbol, targets[carried]
                counts[key] = max(counts.get(key, 0), count)
        for symbol in self._symbols:
            spoken = [until for carried, until in targets.items() if symbol in carried.live.symbols]
            if spoken and symbol not in self._last and min(spoken) >= 0:
                counts.setdefault((symbol, min(spoken)), 1)
        return {key: self._tail(*key, count, windows, source) for key, count in counts.items()}

    def _tail(
        self, symbol: str, until: int, count: int, windows: Mapping[str, CandleWindow], source: Source
    ) -> _Tail:
        features = self._features[symbol]
        reach = count + features.lookback
        held = {name: windows[name].until(until, reach) for name in (symbol, *features.peers)}
        shortest = min(len(candles) for candles in held.values())
        count = min(count, shortest - features.lookback)
        if count <= 0:
            return _Tail(_NO_ROWS, f"{shortest:,} candles, features need {features.lookback + 1:,}")
        own = held[symbol][-(count + features.lookback) :]
        closes = {name: held[name].close[-len(own) :] for name in features.peers}
        try:
            return _Tail(source(features, own, closes, count))
        except DataError as error:
            return _Tail(_NO_ROWS, error.message, broken=True)

    def _feed(
        self, carried: CarriedNetwork, parts: Sequence[_Tail], count: int, until: int
    ) -> tuple[WarmStart | None, str | None]:
        """The network through what it has not seen: whether it started cold, and what went wrong."""
        shortest = min(len(tail.rows) for tail in parts)
        started = None
        try:
            if carried.cold or shortest < count:
                length = min(shortest, carried.warmup_rows)
                carried.start(_beside(parts, length))
                started = WarmStart(carried.live, until - (length - 1) * MINUTE_US, until)
            else:
                carried.advance(_beside(parts, count))
            self._until[carried.live.model] = until
            return started, carried.fault()
        except Exception as problem:  # noqa: BLE001 - a model that fails silences its coins, and no other
            return None, f"{type(problem).__name__}: {problem}"

    def _reading(
        self,
        symbol: str,
        targets: Mapping[CarriedNetwork, int],
        tails: Mapping[tuple[str, int], _Tail],
        problems: Mapping[CarriedNetwork, _Tail],
    ) -> Reading:
        """What is said of one coin now."""
        speaking = [carried for carried in self._carried if symbol in carried.live.symbols]
        if not speaking:
            return Reading(note=self._notes.get(symbol, "no model is promoted"))
        until = min(targets[carried] for carried in speaking)
        if until < 0:
            return self._last.get(symbol, Reading())._replace(rows=_NO_ROWS)
        tail = tails.get((symbol, until))
        before = self._last.get(symbol, Reading())
        if tail is None and before.until_us == until:
            return before._replace(rows=_NO_ROWS)
        versions = self._versions(speaking)
        problem = next((problems[carried] for carried in speaking if carried in problems), None)
        if problem is not None:
            p_up = _NAN if problem.broken else None
            at = None if problem.broken else until
            return Reading(p_up, note=problem.problem, versions=versions, until_us=at)
        rows = _NO_ROWS if tail is None else tail.rows
        reading = self._ensemble(symbol, speaking, until)
        names = self._features[symbol].names
        atr = before.atr_ratio
        if len(rows):
            atr = float(rows[-1, names.index(ATR_RATIO)]) if ATR_RATIO in names else _NAN
        return reading._replace(atr_ratio=atr, until_us=until, rows=rows, versions=versions)

    def _ensemble(self, symbol: str, speaking: Sequence[CarriedNetwork], until: int) -> Reading:
        """One probability of what every model says now."""
        for carried in speaking:
            if carried.cold:
                return Reading(_NAN, note=f"{carried.live.model} gave no number")
            if carried.missing:
                words = f"{carried.live.model} is warming up, {carried.missing} more minutes"
                return Reading(note=words)
            if self._until[carried.live.model] != until:
                return Reading(_NAN, note=f"{carried.live.model} stands at another minute")
        outputs = {carried.live.model: carried.probability(symbol) for carried in speaking}
        kinds = {carried.live.kind: np.array([outputs[carried.live.model]]) for carried in speaking}
        if not self._rule.speaking(kinds):
            return Reading(note=f"only {AGENT} is promoted, which decides nothing alone", outputs=outputs)
        return Reading(float(self._rule.probability(symbol, kinds)[0]), outputs=outputs)

    def _versions(self, speaking: Sequence[CarriedNetwork]) -> dict[str, str]:
        found = {carried.live.model: carried.live.version for carried in speaking}
        return {**found, ENSEMBLE: self._spoken_by} if self._spoken_by and len(found) > 1 else found


def _beside(parts: Sequence[_Tail], count: int) -> Features:
    """The newest ``count`` rows of all coins side by side, float32 [count, F]."""
    rows = [tail.rows[len(tail.rows) - count :] for tail in parts]
    return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)
