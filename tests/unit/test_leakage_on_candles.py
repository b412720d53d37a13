"""Leaks in what a training consumed, on the features of synthetic and of real candles.

Of the ten planted leaks four are here: a scaler fitted on everything, overlapping splits, a test range inside
training, a target encoding fitted on everything. Leaks in a column or in cleaning are in
``test_leakage_causality.py``.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.datasets.labels import direction_labels
from tradingai.engine.datasets.splits import Rows
from tradingai.engine.evaluation.leakage import fits
from tradingai.engine.evaluation.leakage.constants import FittedConstant, fitted_constants
from tradingai.engine.evaluation.leakage.separation import ConsumedRows, split_separation
from tradingai.engine.evaluation.leakage.shuffled import shuffled_labels
from tradingai.engine.features.scaler import Scaler

from tests.fakes import leaks

WORLDS = {"synthetic": leaks.synthetic_raw, "real": leaks.real_raw}
PURGED = 15


@dataclass(frozen=True)
class World:
    """Features [n, F] and labels [n] of one coin; ``valid`` are the rows past the look-back."""

    names: tuple[str, ...]
    values: np.ndarray
    labels: np.ndarray
    minute: np.ndarray
    valid: Rows

    @property
    def train(self):
        return Rows(self.valid.lo, self.valid.lo + 7 * self.valid.size // 10)

    @property
    def test(self):
        return Rows(self.train.hi + PURGED, self.valid.hi)


@pytest.fixture(scope="module", params=WORLDS)
def world(request):
    raw = WORLDS[request.param]()
    symbol, *peers = raw
    made_by = leaks.pipeline(symbol, peers)
    market = leaks.market(raw, made_by)
    own = market.candles[symbol]
    labels = direction_labels(own.close)
    return World(made_by.names, market.values, labels, own.minute, Rows(made_by.lookback, len(own) - PURGED))


def scaler(world, fitted_on):
    """The scaler's means, declared to be fitted on the training range."""
    return FittedConstant(
        "scaler", world.names, Scaler.fit(world.names, world.values, *fitted_on).mean, world.train,
        world.train, lambda: Scaler.fit(world.names, world.values, *world.train).mean,
        np.full(len(world.names), 1e-9),
    )  # fmt: skip


def session_encoding(world, fitted_on):
    """The share of rising labels of each session, declared to be of the training range."""
    session = world.minute % 1440 // 480

    def shares(rows):
        inside = np.arange(len(session))
        inside = (inside >= rows.lo) & (inside < rows.hi) & (world.labels >= 0)
        return np.array([(world.labels[inside & (session == k)] == 1).mean() for k in range(3)])

    names = ("tokyo", "london", "new_york")
    return FittedConstant(
        "session encoding", names, shares(fitted_on), world.train, world.train,
        lambda: shares(world.train), np.full(3, 1e-9),
    )  # fmt: skip


@pytest.mark.parametrize("fitted", [scaler, session_encoding])
def test_a_constant_fitted_on_everything_is_named(world, fitted):
    assert fitted_constants([fitted(world, world.train)]).passed
    check = fitted_constants([fitted(world, world.valid)])
    name = fitted(world, world.train).name
    assert not check.passed
    assert check.accused[0] == name
    assert len(check.accused) > 1
    assert f"{name} differs from a refit" in check.detail


def consumed(world, *, early_stop_starts):
    middle = (world.train.lo + world.train.hi) // 2
    return [
        ConsumedRows("train", world.train.lo, middle - PURGED),
        ConsumedRows("early_stop", early_stop_starts(middle), world.train.hi),
    ]


def test_overlapping_splits_are_named(world):
    test = ConsumedRows("test", *world.test)
    assert split_separation(consumed(world, early_stop_starts=lambda middle: middle), test).passed
    check = split_separation(consumed(world, early_stop_starts=lambda middle: middle - 100), test)
    assert set(check.accused) == {"train", "early_stop"}
    assert "share 85 rows" in check.detail


def test_a_test_range_inside_training_is_named_by_its_rows_and_by_what_a_fit_remembers(world):
    test = np.arange(*world.test)
    for train, leaks_out in ((world.train, False), (world.valid, True)):
        rows = np.arange(*train)

        def remember(labels, seed, rows=rows):
            known = rows[labels[rows] >= 0]
            return test, fits.memory(world.values, known, labels[known] == 1)(world.values, test)

        check = shuffled_labels(
            world.labels, {"memory": remember}, np.random.default_rng(7), SilentReporter()
        )
        assert check.accused == (("memory",) if leaks_out else ()), check.detail
        ranges = split_separation([ConsumedRows("train", *train)], ConsumedRows("test", *world.test))
        assert ranges.passed is not leaks_out
        assert ({"train", "test"} <= set(ranges.accused)) is leaks_out
