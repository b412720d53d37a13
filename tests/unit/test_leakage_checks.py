"""Checks 3 to 7 alone: what each has to catch, and that it leaves the innocent alone."""

import numpy as np
import pytest
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.core.symbols import MINUTE_US
from tradingai.engine.datasets.splits import Rows, time_split
from tradingai.engine.evaluation.leakage import fits
from tradingai.engine.evaluation.leakage.constants import FittedConstant, fitted_constants
from tradingai.engine.evaluation.leakage.inference import truncated_inference
from tradingai.engine.evaluation.leakage.separation import ConsumedRows, split_separation
from tradingai.engine.evaluation.leakage.shuffled import balanced_score, permuted, shuffled_labels
from tradingai.engine.evaluation.leakage.single_feature import SingleFeatureInput, single_feature, thinned
from tradingai.engine.features.scaler import Scaler

from tests.fakes import leaks

SPLIT = time_split(20_000, 2_878)
TEST = ConsumedRows("test", *SPLIT.test)


def consumed(**changes):
    parts = {name: rows for name, rows in SPLIT.parts().items() if name != "test"}
    return [ConsumedRows(name, *rows) for name, rows in {**parts, **changes}.items()]


class TestSplitSeparation:
    def test_the_product_split_is_separate(self):
        check = split_separation(consumed(), TEST)
        assert check.passed
        assert "0 shared, 15 purged before the test" in check.detail

    def test_lanes_may_touch(self):
        lo, hi = SPLIT.train
        lanes = [ConsumedRows("train", at, min(at + 1_000, hi)) for at in range(lo, hi, 1_000)]
        assert split_separation([*lanes, *consumed()[1:]], TEST).passed

    def test_overlapping_splits_are_named(self):
        check = split_separation(consumed(early_stop=Rows(SPLIT.train.hi - 100, SPLIT.early_stop.hi)), TEST)
        assert not check.passed
        assert "share 100 rows" in check.detail
        assert set(check.accused) == {"train", "early_stop"}

    def test_a_row_read_twice_in_one_purpose_is_named(self):
        again = ConsumedRows("train", SPLIT.train.lo + 10, SPLIT.train.lo + 20)
        check = split_separation([*consumed(), again], TEST)
        assert "share 10 rows" in check.detail
        assert check.accused == ("train",)

    def test_the_test_range_inside_training_is_named(self):
        check = split_separation(consumed(train=Rows(SPLIT.train.lo, SPLIT.test.hi)), TEST)
        assert {"train", "test"} <= set(check.accused)
        assert f"share {SPLIT.test.size:,} rows" in check.detail

    @pytest.mark.parametrize(("gap", "passes"), [(15, True), (14, False), (0, False)])
    def test_a_label_window_may_not_reach_across(self, gap, passes):
        end = SPLIT.test.lo - gap
        check = split_separation(consumed(calibration=Rows(SPLIT.calibration.lo, end)), TEST)
        assert check.passed is passes
        if not passes:
            assert "reach into test" in check.detail

    def test_training_after_the_test_is_named(self):
        late = ConsumedRows("train", SPLIT.test.hi + 100, SPLIT.test.hi + 200)
        assert "lies after" in split_separation([*consumed(), late], TEST).detail

    def test_feeding_test_rows_before_the_test_is_named(self):
        fed = [ConsumedRows("warmup", SPLIT.calibration.lo, SPLIT.test.lo + 1)]
        check = split_separation(consumed(), TEST, fed)
        assert not check.passed
        assert check.accused == ("warmup",)

    def test_a_record_that_names_nothing_is_not_believed(self):
        assert not split_separation([], TEST).passed


def scaler_constant(values, fitted_on, declared=SPLIT.train):
    names = tuple(f"f{k}" for k in range(values.shape[1]))
    stored = Scaler.fit(names, values, *fitted_on).mean
    return FittedConstant(
        "scaler", names, stored, declared, SPLIT.train,
        lambda: Scaler.fit(names, values, *declared).mean, np.full(len(names), 1e-9),
    )  # fmt: skip


class TestFittedConstants:
    values = np.random.default_rng(0).normal(size=(20_000, 3)).astype(np.float32)

    def test_a_scaler_fitted_on_training_equals_its_refit(self):
        check = fitted_constants([scaler_constant(self.values, SPLIT.train)])
        assert check.passed
        assert check.detail == "3 of 3 equal their refit"

    def test_a_scaler_fitted_on_everything_is_named_with_its_columns(self):
        check = fitted_constants([scaler_constant(self.values, (SPLIT.train.lo, 20_000))])
        assert not check.passed
        assert check.accused == ("scaler", "f0", "f1", "f2")

    def test_a_scaler_that_declares_everything_is_named(self):
        whole = Rows(SPLIT.train.lo, 20_000)
        check = fitted_constants([scaler_constant(self.values, whole, declared=whole)])
        assert not check.passed
        assert check.accused == ("scaler",)
        assert "only [2878," in check.detail

    def test_a_target_encoding_fitted_on_everything_is_named(self):
        rng = np.random.default_rng(1)
        session, up = np.arange(20_000) % 1440 // 480, rng.random(20_000)

        def encoding(rows):
            return np.array([up[rows.slice][session[rows.slice] == k].mean() for k in range(3)])

        names = ("tokyo", "london", "new_york")
        tolerance = np.full(3, 1e-9)
        honest, leaking = (
            FittedConstant(
                "session encoding", names, encoding(rows), SPLIT.train, SPLIT.train,
                lambda: encoding(SPLIT.train), tolerance,
            )
            for rows in (SPLIT.train, Rows(0, 20_000))
        )  # fmt: skip
        assert fitted_constants([honest]).passed
        assert "session encoding" in fitted_constants([leaking]).accused

    def test_a_constant_nobody_can_refit_does_not_pass(self):
        check = fitted_constants([scaler_constant(self.values, SPLIT.train)], ["magic threshold"])
        assert not check.passed
        assert check.accused == ("magic threshold",)

    def test_no_constant_at_all_does_not_pass(self):
        assert not fitted_constants([]).passed

    def test_not_a_number_is_no_equality(self):
        constant = scaler_constant(self.values, SPLIT.train)
        broken = FittedConstant(
            "scaler", constant.labels, np.array([np.nan, *constant.stored[1:]]), constant.rows,
            constant.allowed, constant.refit, constant.tolerance,
        )  # fmt: skip
        assert fitted_constants([broken]).accused == ("scaler", "f0")


def market_labels(n=20_000, seed=0):
    """Labels that hang together for minutes, as real ones do, 56 % of them rising."""
    drift = np.repeat(np.random.default_rng(seed).normal(0.15, 1.0, n // 10), 10)
    return (drift > 0).astype(np.int8)


class TestShuffledLabels:
    labels = market_labels()
    values = np.random.default_rng(1).normal(size=(20_000, 5)).astype(np.float32)

    def check(self, **parts):
        return shuffled_labels(self.labels, parts, np.random.default_rng(7), SilentReporter())

    def logistic(self, train, test):
        def fit(labels, seed):
            return test, fits.logistic(self.values[train], labels[train] == 1)(self.values[test])

        return fit

    def memory(self, train, test):
        def fit(labels, seed):
            return test, fits.memory(self.values, train, labels[train] == 1)(self.values, test)

        return fit

    def test_honest_fits_stay_at_chance(self):
        train, test = np.arange(2_878, 14_000), np.arange(17_000, 20_000)
        check = self.check(logistic=self.logistic(train, test), memory=self.memory(train, test))
        assert check.passed, check.detail
        assert "logistic" in check.detail

    def test_training_on_the_test_range_is_remembered(self):
        train, test = np.arange(2_878, 20_000), np.arange(17_000, 20_000)
        check = self.check(logistic=self.logistic(train, test), memory=self.memory(train, test))
        assert not check.passed
        assert check.accused == ("memory",)
        assert check.evidence["memory"]["accuracy"] > 0.99

    def test_a_tenth_of_the_test_range_in_training_is_enough(self):
        train, test = np.arange(2_878, 17_300), np.arange(17_000, 20_000)
        assert self.check(memory=self.memory(train, test)).accused == ("memory",)

    def test_a_fit_that_sees_the_labels_it_is_scored_on_is_accused(self):
        test = np.arange(17_000, 20_000)

        def peeking(labels, seed):
            said = np.random.default_rng(seed).random(len(test)) < 0.5
            return test, np.where(np.arange(len(test)) % 10 == 0, labels[test] == 1, said)

        assert self.check(peeking=peeking).accused == ("peeking",)

    def test_nothing_fitted_does_not_pass(self):
        assert not self.check().passed

    def test_chance_alone_is_hardly_ever_accused(self):
        test = np.arange(17_000, 20_000)

        def coin(labels, seed):
            return test, np.random.default_rng(seed).random(len(test)) < 0.6

        rng = np.random.default_rng(3)
        found = [
            shuffled_labels(self.labels, {"coin": coin}, rng, SilentReporter()).passed for _ in range(600)
        ]
        assert all(found)

    def test_always_up_is_exactly_at_chance(self):
        score = balanced_score(np.ones(100, bool), np.arange(100) < 90)
        assert (score.accuracy, score.error, score.within) == (0.5, 0.0, True)

    def test_standard_error_is_that_of_the_permutation(self):
        rng = np.random.default_rng(0)
        said, up = rng.random(2_000) < 0.3, rng.random(2_000) < 0.6
        draws = [balanced_score(said, rng.permutation(up)).accuracy for _ in range(2_000)]
        assert np.mean(draws) == pytest.approx(0.5, abs=0.002)
        assert np.std(draws) == pytest.approx(balanced_score(said, up).error, rel=0.08)

    def test_permutation_keeps_places_without_label(self):
        labels = np.array([1, 0, -1, 1, -1, 0, 0], dtype=np.int8)
        shuffled = permuted(labels, np.random.default_rng(0))
        assert ((shuffled < 0) == (labels < 0)).all()
        assert sorted(shuffled) == sorted(labels)


def test_logistic_finds_a_line():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4_000, 3)).astype(np.float32)
    up = values @ np.array([1.0, -2.0, 0.0]) + 0.3 > 0
    said = fits.logistic(values[:3_000], up[:3_000])(values[3_000:])
    assert (said == up[3_000:]).mean() > 0.97


class TestSingleFeature:
    def given(self, planted, *, days=20, model=0.70, seed=0):
        """Twenty noise features and a planted one; labels hang together for fifteen minutes."""
        rng = np.random.default_rng(seed)
        n = days * 1440
        up = np.repeat(rng.random(2 * n // 15) < 0.5, 15)
        values = rng.normal(size=(2 * n, 21)).astype(np.float32)
        values[:, 0] = planted(up, rng)
        right = rng.random(n) < model
        names = ("planted", *(f"noise{k}" for k in range(20)))
        ts = np.arange(n) * MINUTE_US
        return SingleFeatureInput(names, values[:n], up[:n], values[n:], up[n:], ts, right)

    @staticmethod
    def knowing(share):
        def column(up, rng):
            return np.where(rng.random(len(up)) < share, up, ~up) + rng.normal(0.0, 0.01, len(up))

        return column

    @staticmethod
    def nothing(up, rng):
        return rng.normal(size=len(up))

    def test_innocent_features_are_left_alone(self):
        check = single_feature(self.given(self.nothing))
        assert check.passed
        assert check.evidence["limit"] == pytest.approx(0.72, abs=0.01)

    def test_the_label_itself_is_named(self):
        check = single_feature(self.given(self.knowing(1.0)))
        assert check.accused == ("planted",)
        assert "planted 99.7 % alone" in check.detail

    def test_eighty_per_cent_is_too_much_whatever_the_model_reaches(self):
        assert single_feature(self.given(self.knowing(0.82), model=0.95)).accused == ("planted",)
        assert single_feature(self.given(self.knowing(0.78), model=0.95)).passed

    def test_the_model_plus_two_points_is_too_much(self):
        assert single_feature(self.given(self.knowing(0.74))).accused == ("planted",)
        assert single_feature(self.given(self.knowing(0.70))).passed

    def test_a_hump_is_found(self):
        def humped(up, rng):
            return np.where(up, rng.uniform(-1, 1, len(up)), rng.choice([-2.0, 2.0], len(up)))

        assert single_feature(self.given(humped)).accused == ("planted",)

    def test_luck_beside_a_model_that_knows_nothing_is_not_accused(self):
        passed = [
            single_feature(self.given(self.nothing, days=3, model=0.5, seed=k)).passed for k in range(20)
        ]
        assert all(passed)

    def test_a_constant_feature_is_harmless(self):
        assert single_feature(self.given(lambda up, rng: np.zeros(len(up)))).passed

    def test_thinning_keeps_the_limit(self):
        assert thinned(np.arange(10), 20).tolist() == list(range(10))
        assert len(thinned(np.arange(1_001), 100)) <= 100


class TestTruncatedInference:
    """A model that sums its last 20 rows: it needs exactly 19 rows of warm-up."""

    def run(self, warmup, *, shift=0.0, memory=20):
        raw = leaks.synthetic_raw(days=5)
        made_by = leaks.pipeline("BTC-USD", ["ETH-USD"])
        market = leaks.market(raw, made_by)
        rows = np.arange(6_000, 7_000)
        weights = np.linspace(-1.0, 1.0, market.values.shape[1])
        said = np.nan_to_num(market.values.astype(np.float64) / market.scale) @ weights

        def squash(total):
            return 1.0 / (1.0 + np.exp(-total / 50.0))

        batch = np.array([squash(said[row - memory + 1 : row + 1].sum()) for row in rows]) + shift

        def cold_start(windows):
            values = windows["BTC-USD"]
            assert values.shape[0] == warmup + 1
            return float(squash((values.astype(np.float64) / market.scale @ weights)[-memory:].sum()))

        rng = np.random.default_rng(0)
        pipelines = {"BTC-USD": made_by}
        return truncated_inference(
            market, pipelines, warmup, cold_start, (rows, batch), rng, SilentReporter()
        )

    def test_enough_warm_up_agrees(self):
        check = self.run(19)
        assert check.passed, check.detail
        assert check.evidence["decisions"] == 24

    def test_too_little_warm_up_is_caught(self):
        check = self.run(10)
        assert not check.passed
        assert "largest difference" in check.detail
        assert check.accused == ("inference",)

    def test_a_probability_that_is_not_the_models_is_caught(self):
        assert not self.run(19, shift=2e-5).passed

    def test_not_a_number_is_caught(self):
        assert not self.run(19, shift=np.nan).passed

    def test_a_test_range_without_past_says_so(self):
        check = self.run(6_999)
        assert (check.passed, check.ran) == (False, False)
        assert "no test bar has" in check.detail
