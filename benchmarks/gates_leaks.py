"""The ten planted leaks in several strengths: which check of the battery catches which, and how weak.

A unit is one seed of ``cycles``: 30 days of two coins as raw candles with gaps, the ten leaks of
``tests/fakes/leaks.py`` planted in them, and the battery's own check functions.

*Diluted* leaks are a share of an otherwise innocent value (for a column both parts in standard deviations);
*rare* ones leak fully, but only on a share of the minutes or gaps; *rows* are the labels or rows that got
where they do not belong. Check 6 gets a model that is as right as the oracle; check 7 needs a trained one and
is left out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from tradingai.engine.core.candles import Candles
from tradingai.engine.core.report import CheckResult
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import DAY_MINUTES
from tradingai.engine.datasets.labels import direction_labels
from tradingai.engine.datasets.splits import Rows, TimeSplit, time_split
from tradingai.engine.evaluation.leakage import fits
from tradingai.engine.evaluation.leakage.causality import Market, causality
from tradingai.engine.evaluation.leakage.constants import FittedConstant, fitted_constants
from tradingai.engine.evaluation.leakage.examined import Examined
from tradingai.engine.evaluation.leakage.pipeline import Cleaner, Pipeline, clean_until
from tradingai.engine.evaluation.leakage.refits import REFITTED
from tradingai.engine.evaluation.leakage.separation import ConsumedRows, split_separation
from tradingai.engine.evaluation.leakage.shuffled import shuffled_labels
from tradingai.engine.evaluation.leakage.single_feature import SingleFeatureInput, single_feature
from tradingai.engine.features.compute import Features, align_peer, compute
from tradingai.engine.features.registry import feature_set
from tradingai.engine.features.scaler import Scaler
from tradingai.engine.providers.synthetic.market import SyntheticMarket

ROOT: Final = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.fakes import leaks  # noqa: E402 - found from the repository's root

DAYS: Final = 30
DILUTED: Final = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
RARE: Final = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
FILL_RARE: Final = (1.0, 1e-1, 1e-2, 1e-3)
FILL_DILUTED: Final = (1.0, 1e-3, 1e-6, 1e-9, 1e-12)
CONSTANT_DILUTED: Final = (1.0, 1e-3, 1e-5, 1e-7, 1e-8, 1e-9, 1e-10)
ROWS: Final = (1, 10, 100, 1_000, 4_000)
SPREAD: Final = {
    "shifted_label": 0.5,
    "centred_average": 1.0e-3,
    "global_percentile": 0.29,
    "target_encoded_session": 0.02,
    "tomorrows_high": 0.02,
    "unfinished_hour": 3.0e-3,
}
"""About one standard deviation of each leak on ``cycles``: fixed, so that scaling leaks nothing."""
MINUTE_RETURN: Final = 1.0e-3
"""About one standard deviation of a minute's log return."""
CONTROL: Final = "innocent"

Floats = npt.NDArray[np.float64]
Finding = dict[str, Any]


class World(NamedTuple):
    """Raw candles of a coin and its peer, and what is stored when the planted pipeline computed it all."""

    seed: int
    raw: Mapping[str, Candles]
    made_by: Pipeline
    market: Market
    split: TimeSplit
    labels: npt.NDArray[np.int8]


def leaks_unit(seed: int, days: int = DAYS) -> dict[str, Any]:
    """What was caught in one seed, leak by leak and strength by strength."""
    began = time.process_time()
    world = planted(seed, days)
    found = [item for part in PARTS for item in part(world)]
    return {"seed": seed, "days": days, "findings": found, "cpu_s": round(time.process_time() - began, 2)}


def finding(leak: str, kind: str, strength: float, checks: Mapping[str, bool]) -> Finding:
    """``checks`` names every check that looked, with whether it caught the leak."""
    return {"leak": leak, "kind": kind, "strength": strength, "checks": dict(checks)}


def chosen(minute: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.bool_]:
    """Which minutes (since 1970, [n]) are among ``share`` of all: the same ones whatever window is asked."""
    mixed = minute.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray((mixed >> np.uint64(11)) < np.uint64(round(share * 2**53)))


def column_names() -> tuple[str, ...]:
    """``leak|kind|strength`` for every planted column, and the control without any leak."""
    kinds = [("diluted", DILUTED), ("rare", RARE)]
    return (
        CONTROL,
        *(f"{leak}|{kind}|{s:g}" for leak in leaks.COLUMNS for kind, strengths in kinds for s in strengths),
    )


def planted_columns(own: Candles) -> Floats:
    """One column for each of :func:`column_names`, float64 [n, columns]."""
    innocent = np.zeros(len(own))
    innocent[1:] = np.diff(np.log(own.close)) / MINUTE_RETURN
    made = [innocent]
    for name, leak in leaks.COLUMNS.items():
        known = leak(own) / SPREAD[name]
        made += [(1.0 - s) * innocent + s * known for s in DILUTED]
        made += [np.where(chosen(own.minute, s), known, innocent) for s in RARE]
    return np.column_stack(made)


def planted(seed: int, days: int) -> World:
    """Thirty days of candles with every column leak planted at once, in all strengths."""
    raw = leaks.synthetic_raw(days, seed)
    symbol, *peers = raw
    lookback = feature_set(symbol, tuple(peers)).lookback
    made_by = Pipeline(column_names(), lookback, lambda own, _peers: planted_columns(own))
    market = leaks.market(raw, made_by)
    split = time_split(len(market.own), lookback)
    return World(seed, raw, made_by, market, split, direction_labels(market.own.close))


def columns(world: World) -> list[Finding]:
    """Checks 1, 2 and 6 on every planted column."""
    rng = np.random.default_rng(world.seed)
    accused = {
        check.name: set(check.accused)
        for check in (*causality(world.market, world.made_by, rng, SilentReporter()), _alone(world))
    }
    found = []
    for name in world.made_by.names:
        leak, _, rest = name.partition("|")
        kind, _, strength = rest.partition("|")
        caught = {check: name in names for check, names in accused.items()}
        found.append(finding(leak, kind or "none", float(strength or 0.0), caught))
    return found


def _alone(world: World) -> CheckResult:
    """Check 6 beside a model that is as right as the oracle."""
    symbol, minute = world.market.symbol, world.market.own.minute
    expected = SyntheticMarket("cycles", world.seed).oracle(symbol, int(minute[0]), int(minute[-1]))[1]
    train, test = (
        rows.indices()[world.labels[rows.slice] >= 0] for rows in (world.split.train, world.split.test)
    )
    up = world.labels[test] == 1
    return single_feature(
        SingleFeatureInput(
            names=world.made_by.names,
            train=world.market.values[train],
            train_up=world.labels[train] == 1,
            test=world.market.values[test],
            test_up=up,
            test_ts=world.market.own.ts[test],
            model_right=(expected[test] > 0.0) == up,
        )
    )


def fills(world: World) -> list[Finding]:
    """Checks 1 and 2 on the candles themselves, filled backwards in part or in some of the gaps."""
    found: list[Finding] = []
    kinds: tuple[tuple[str, tuple[float, ...]], ...] = (("diluted", FILL_DILUTED), ("rare", FILL_RARE))
    for kind, strengths in kinds:
        for strength in strengths:
            made_by = Pipeline(
                ("close",), world.made_by.lookback, lambda own, _peers: own.close[:, None],
                _filling(kind, strength),
            )  # fmt: skip
            rng = np.random.default_rng(world.seed)
            checks = causality(leaks.market(world.raw, made_by), made_by, rng, SilentReporter())
            caught = {check.name: any("candles" in name for name in check.accused) for check in checks}
            found.append(finding("backward_fill", kind, strength, caught))
    return found


def _filling(kind: str, strength: float) -> Cleaner:
    def cleaner(raw: Candles, until: int) -> Candles:
        honest, leaking = clean_until(raw, until), leaks.backward_filling(raw, until)
        share = np.full(len(honest), strength)
        if kind == "rare":
            share = chosen(_last_real(honest, raw), strength).astype(np.float64)
        mixed = {
            name: np.where(share > 0.0, (1.0 - share) * before + share * after, before)
            for name in ("open", "high", "low", "close")
            for before, after in [(getattr(honest, name), getattr(leaking, name))]
        }
        same = leaking.close == honest.close
        kept = {name: np.where(same, getattr(honest, name), values) for name, values in mixed.items()}
        return Candles(ts=honest.ts, volume=honest.volume, **kept)

    return cleaner


def _last_real(cleaned: Candles, raw: Candles) -> npt.NDArray[np.int64]:
    """The minute of the last delivered candle at or before each cleaned one: one number a gap."""
    real = np.isin(cleaned.ts, raw.ts)
    return cleaned.minute[np.maximum.accumulate(np.where(real, np.arange(len(real)), 0))]


def scalers(world: World) -> list[Finding]:
    """Check 4 on a scaler fitted on so many rows after its training range, as the artifact would hold it.

    Diluted, its means and deviations are a share of those of everything and the rest those of training.
    """
    own, train = world.market.own, world.split.train
    features = feature_set(world.market.symbol, tuple(world.raw)[1:])
    peers = {name: align_peer(own, name, world.market.candles[name]) for name in features.peers}
    values = compute(features, own, peers)
    honest, leaking = (Scaler.fit(features.names, values, train.lo, hi) for hi in (train.hi, len(own)))
    held = [("rows", rows, Scaler.fit(features.names, values, train.lo, train.hi + rows)) for rows in ROWS]
    for s in CONSTANT_DILUTED:
        mean, std = ((1.0 - s) * honest.mean + s * leaking.mean, (1.0 - s) * honest.std + s * leaking.std)
        held.append(("diluted", s, Scaler(features.names, mean, std, *train)))
    found = []
    for kind, strength, scaler in held:
        check = fitted_constants([REFITTED["scaler"](_holding(scaler, values, world.split))])
        found.append(finding("scaler_on_everything", kind, strength, {check.name: not check.passed}))
    return found


def _holding(scaler: Scaler, values: Features, split: TimeSplit) -> Examined:
    """The parts of an examined model that the refit of its scaler reads."""
    record = {"fitted": {"scaler": {"rows": list(split.train)}}}
    data = SimpleNamespace(values=values, split=split)
    return cast("Examined", SimpleNamespace(coin=SimpleNamespace(scaler=scaler), record=record, data=data))


def encodings(world: World) -> list[Finding]:
    """Check 4 on a session's share of rising labels, counted over so many rows after the training range."""
    train, session = world.split.train, world.market.own.minute % DAY_MINUTES // 480
    labels = world.labels

    def encoding(rows: Rows) -> Floats:
        known, at = labels[rows.slice], session[rows.slice]
        return np.array([(known[(known >= 0) & (at == k)] == 1).mean() for k in range(3)])

    honest, leaking = encoding(train), encoding(Rows(train.lo, len(labels)))
    held = [("rows", rows, encoding(Rows(train.lo, train.hi + rows))) for rows in ROWS]
    held += [("diluted", s, (1.0 - s) * honest + s * leaking) for s in CONSTANT_DILUTED]
    found = []
    for kind, strength, stored in held:
        constant = FittedConstant(
            name="session encoding", labels=("tokyo", "london", "new_york"), stored=stored, rows=train,
            allowed=train, refit=lambda: encoding(train), tolerance=np.full(3, 1e-9),
        )  # fmt: skip
        check = fitted_constants([constant])
        name = "target_encoded_session (constant)"
        found.append(finding(name, kind, strength, {check.name: not check.passed}))
    return found


def ranges(world: World) -> list[Finding]:
    """Checks 3 and 5 on ranges that overlap, or nearly: the first 15 rows are those that are purged."""
    parts, test = world.split.parts(), ConsumedRows("test", *world.split.test)
    del parts["test"]
    found = []
    for extra in (1, *(15 + rows for rows in ROWS)):
        overlapping = {**parts, "train": Rows(parts["train"].lo, parts["train"].hi + extra)}
        check = split_separation([ConsumedRows(name, *rows) for name, rows in overlapping.items()], test)
        found.append(finding("overlapping_splits", "rows", extra, {check.name: not check.passed}))
    for extra in (*ROWS, world.split.test.size):
        inside = Rows(world.split.test.lo, world.split.test.lo + min(extra, world.split.test.size))
        consumed = [ConsumedRows(name, *rows) for name, rows in (*parts.items(), ("train", inside))]
        check = split_separation(consumed, test)
        caught = {check.name: not check.passed, "shuffled_labels": not _shuffled(world, inside).passed}
        found.append(finding("test_inside_training", "rows", inside.size, caught))
    return found


def _shuffled(world: World, inside: Rows) -> CheckResult:
    """Check 5's memory of every training row, some of which are test rows."""
    labels = world.labels.copy()
    rows = np.concatenate([world.split.train.indices(), inside.indices()])
    train, test = rows[labels[rows] >= 0], world.split.test.indices()
    test = test[labels[test] >= 0]
    values = world.market.values
    relevant = np.zeros(len(labels), dtype=bool)
    relevant[train] = relevant[test] = True
    labels[~relevant] = -1

    def memory(shuffled: npt.NDArray[np.int8], seed: int) -> tuple[npt.NDArray[np.int64], Any]:
        del seed
        return test, fits.memory(values, train, shuffled[train] == 1)(values, test)

    return shuffled_labels(labels, {"memory": memory}, np.random.default_rng(world.seed), SilentReporter())


PARTS: Final[tuple[Callable[[World], list[Finding]], ...]] = (columns, fills, scalers, encodings, ranges)
"""Groups of leaks, in the order of the table."""


def counted(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every leak and strength once: in how many units it was planted, and how often each check caught it."""
    found: dict[tuple[str, str, float], dict[str, Any]] = {}
    for item in (item for result in results for item in result["findings"]):
        key = (item["leak"], item["kind"], item["strength"])
        row = found.setdefault(key, {**item, "units": 0, "caught": 0, "checks": {}})
        row["units"] += 1
        row["caught"] += any(item["checks"].values())
        for check, caught in item["checks"].items():
            row["checks"][check] = row["checks"].get(check, 0) + caught
    return list(found.values())
