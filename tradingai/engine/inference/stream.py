"""All coins of a run: raw candles go in as they close, and what there is to decide on comes out.

The same object serves the live loop, a replay and the verification of either. Nothing here looks ahead: rows
are cleaned, turned into features and fed to the networks in the order in which they become known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np

from tradingai.engine.core.candles import Candles, Floats, us_to_datetime
from tradingai.engine.core.errors import DataError
from tradingai.engine.core.events import CandlesCleaned, Event, ModelFailed, ModelRefused, ModelWarmed
from tradingai.engine.core.jsonio import iso_z
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.decision.ensemble import EnsembleConfig
from tradingai.engine.decision.orders import Bar
from tradingai.engine.decision.records import CoinInput
from tradingai.engine.decision.scanning import Minute
from tradingai.engine.features.compute import Features, live_tail
from tradingai.engine.features.declaration import MAX_LOOKBACK, FeatureSet
from tradingai.engine.inference.carried import one_thread
from tradingai.engine.inference.intake import Arrived, CoinIntake
from tradingai.engine.inference.market import Advance, MarketModels, Reading, WarmStart
from tradingai.engine.inference.promoted import PromotedModels
from tradingai.engine.models.ensemble import ENSEMBLE, EnsembleRule
from tradingai.engine.models.warmup import LONGEST

KEPT_MINUTES: Final = MAX_LOOKBACK + LONGEST + 240
"""Candles kept of each coin: a model promoted between two scans is warmed up from them."""


class FeatureSource(Protocol):
    """Features of the last ``rows`` rows, as ``features.compute.live_tail`` gives them, bit by bit."""

    def __call__(
        self, features: FeatureSet, own: Candles, peers: Mapping[str, Floats] | None = None, rows: int = 1
    ) -> Features:
        """float32 [rows, F]."""
        ...


class SeenCoin(NamedTuple):
    """What a scan saw of one coin."""

    symbol: str
    raw: Candles
    """The delivered candles that were new to it."""
    sha256: str
    rows: Features
    """The features computed in this scan, float32 [k, F], the newest minute last; [0, 0] without any."""
    rows_until_us: int | None


class Taken(NamedTuple):
    """Everything one scan decides on, and what to record of it."""

    coins: tuple[CoinInput, ...]
    minutes: tuple[Minute, ...]
    seen: tuple[SeenCoin, ...]
    warm_starts: tuple[WarmStart, ...] = ()
    events: tuple[Event, ...] = ()


class MarketStream:
    """Candles, features and promoted models of the coins that are decided on and of their peers."""

    def __init__(
        self,
        symbols: Sequence[str],
        promoted: PromotedModels,
        ensemble: EnsembleConfig,
        *,
        source: FeatureSource = live_tail,
        held: Sequence[str] = (),
    ) -> None:
        """``symbols`` are decided on, in this order. Models join at the first :meth:`take`.

        Of coins that are only ``held`` the minutes are needed too: their positions end by their own prices.
        """
        self.symbols = tuple(symbols)
        self.held = tuple(held)
        self._ensemble = ensemble
        self._source = source
        self._intakes: dict[str, CoinIntake] = {}
        self._models = MarketModels(symbols)
        self._promoted = PromotedModels()
        self._refused: list[ModelRefused] = []
        self.install(promoted)

    @property
    def coins(self) -> tuple[str, ...]:
        """The coins whose candles are needed: those decided on or held, then peers of their models."""
        return tuple(dict.fromkeys((*self.symbols, *self.held, *self._models.coins)))

    @property
    def newest_us(self) -> dict[str, int | None]:
        """The newest candle known of each coin: a feed delivers what comes after it."""
        return {name: self._intakes[name].window.last_us for name in self.coins}

    def feature_names(self, symbol: str) -> tuple[str, ...]:
        """The columns of a coin's feature rows; none for a coin without models."""
        features = self._models.features(symbol)
        return () if features is None else features.names

    @property
    def promoted(self) -> PromotedModels:
        """The models installed last."""
        return self._promoted

    def install(self, promoted: PromotedModels) -> None:
        """Use these models from the next scan on; one that runs already goes on with the state it has."""
        self._refused = [event for event in promoted.refused if event not in self._promoted.refused]
        unfit = self._unfit(promoted)
        if unfit is not None and unfit != self._unfit(self._promoted):
            self._refused.append(unfit)
        self._promoted = promoted
        notes = {symbol: promoted.note(symbol) for symbol in self.symbols}
        if promoted.ensemble is None or unfit is not None:
            self._models.install(promoted.models, EnsembleRule(self._ensemble), notes)
        else:
            self._models.install(promoted.models, promoted.ensemble.rule, notes, promoted.ensemble.version)
        for name in self.coins:
            self._intakes.setdefault(name, CoinIntake(KEPT_MINUTES))

    def restart(self, models: Iterable[str] | None = None) -> None:
        """Let these models (None: all) start cold at the next scan, as a new process would."""
        self._models.restart(models)

    def warm(self, history: Mapping[str, Candles]) -> None:
        """Fill the windows with stored candles, raw or cleaned; nothing is decided on them.

        Raises DataError for times that are no whole minutes.
        """
        for name, candles in history.items():
            if name in self._intakes and len(candles):
                self._intakes[name].take(candles, int(candles.ts.max()) + MINUTE_US)

    def take(self, raw: Mapping[str, Candles], at_us: int) -> Taken:
        """Take what the feed delivered by ``at_us`` and bring every model to the newest candle.

        A coin missing from ``raw`` has no news. What is wrong with one coin or one model silences that coin
        and is among the events.
        """
        events: list[Event] = [*self._refused]
        self._refused = []
        arrived = {name: self._arrived(name, raw.get(name), at_us, events) for name in self.coins}
        with one_thread():
            advance = self._advance(at_us, events)
        readings = advance.readings
        coins = tuple(self._coin_input(name, arrived[name], readings[name]) for name in self.symbols)
        seen = tuple(_seen(name, arrived[name], readings.get(name)) for name in self.coins)
        starts = advance.warm_starts
        events += [_warmed(start) for start in starts]
        return Taken(
            coins, _minutes(dict.fromkeys((*self.symbols, *self.held)), arrived), seen, starts, tuple(events)
        )

    def _arrived(self, name: str, raw: Candles | None, at_us: int, events: list[Event]) -> Arrived:
        intake = self._intakes[name]
        delivered = _NO_CANDLES if raw is None else raw
        try:
            arrived = intake.take(delivered, at_us)
            detail = arrived.detail
        except DataError as error:
            arrived, detail = intake.take(_NO_CANDLES, at_us), f"not used: {error.message}"
        if detail:
            events.append(CandlesCleaned(symbol=name, detail=detail, at=_iso(at_us)))
        return arrived

    def _unfit(self, promoted: PromotedModels) -> ModelRefused | None:
        """Why the promoted ensemble says nothing of these models; the mean is then left as it is."""
        ensemble = promoted.ensemble
        if ensemble is None:
            return None
        reason = ensemble.unfit(promoted.models, self._ensemble)
        if not reason:
            return None
        return ModelRefused(
            model=ENSEMBLE,
            version=ensemble.version,
            reason=reason,
            remedy="Make it again of what is live: `tradingai evaluate ensemble`, then promote it.",
        )

    def _advance(self, at_us: int, events: list[Event]) -> Advance:
        windows = {name: intake.window for name, intake in self._intakes.items()}
        advance = self._models.advance(windows, self._source)
        events += [
            ModelFailed(symbol=", ".join(failure.coins), model=failure.model, version=failure.version,
                        error=failure.error, at=_iso(at_us))
            for failure in advance.failures
        ]  # fmt: skip
        return advance

    def _coin_input(self, symbol: str, arrived: Arrived, reading: Reading) -> CoinInput:
        window = self._intakes[symbol].window
        newest = window.last_us
        close = float("nan") if newest is None else float(window.until(newest, 1).close[0])
        current = newest is not None and reading.until_us == newest
        return CoinInput(
            symbol=symbol,
            candle_us=newest,
            close=close,
            atr=reading.atr_ratio * close,
            p_up=reading.p_up if current else None,
            note=reading.note or ("" if current else "features end before the newest candle"),
            outputs=reading.outputs if current else {},
            versions=reading.versions,
            input_sha256=arrived.sha256,
        )


_NO_CANDLES: Final = Candles(np.zeros(0, dtype=np.int64), *(np.zeros(0) for _ in range(5)))


def _warmed(start: WarmStart) -> ModelWarmed:
    return ModelWarmed(
        symbol=", ".join(start.live.symbols),
        model=start.live.model,
        version=start.live.version,
        bars=(start.last_us - start.first_us) // MINUTE_US + 1,
        until=_iso(start.last_us),
    )


def _seen(name: str, arrived: Arrived, reading: Reading | None) -> SeenCoin:
    rows = _NO_ROWS if reading is None else reading.rows
    return SeenCoin(name, arrived.raw, arrived.sha256, rows, None if reading is None else reading.until_us)


_NO_ROWS: Final[Features] = np.zeros((0, 0), dtype=np.float32)


def _minutes(symbols: Iterable[str], arrived: Mapping[str, Arrived]) -> tuple[Minute, ...]:
    """The new real candles of these coins, minute by minute; fillings are no prices."""
    found: dict[int, dict[str, Bar]] = {}
    for symbol in symbols:
        rows, real = arrived[symbol].cleaned, arrived[symbol].real
        columns = (rows.ts, rows.open, rows.high, rows.low, rows.close)
        for values in zip(*(column[real].tolist() for column in columns), strict=True):
            found.setdefault(values[0], {})[symbol] = Bar(*values)
    return tuple(sorted(found.items()))


def features_sha256(rows: Features) -> str:
    """Hash of computed features: float32 little-endian, row by row."""
    return hashlib.sha256(np.ascontiguousarray(rows, dtype="<f4").data).hexdigest()


def _iso(us: int) -> str:
    return iso_z(us_to_datetime(us))
