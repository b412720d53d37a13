"""Weights, tiers and rate limits."""

import math

import numpy as np
import pytest
from tradingai.engine.decision.ensemble import EnsembleConfig, ensemble_probability, ensemble_weights
from tradingai.engine.decision.planning import score_of
from tradingai.engine.decision.records import Side
from tradingai.engine.decision.state import TierMemory
from tradingai.engine.decision.tiers import Tier, TierConfig, tier_of
from tradingai.engine.risk.limits import RateLimits, RateState, rate_emitted, rate_refusal, rate_use

MINUTE = 60_000_000
LOW, MEDIUM, HIGH = Tier.LOW, Tier.MEDIUM, Tier.HIGH


# ---------------------------------------------------------------------------------------------- ensemble


@pytest.mark.parametrize(
    ("promoted", "weights"),
    [
        ((), {}),
        (("lstm",), {"lstm": 1.0}),
        (("ppo",), {"ppo": 1.0}),
        (("lstm", "transformer"), {"lstm": 0.5, "transformer": 0.5}),
        (("lstm", "ppo"), {"lstm": 0.35 / 0.60, "ppo": 0.25 / 0.60}),
        (("transformer", "ppo"), {"transformer": 0.40 / 0.65, "ppo": 0.25 / 0.65}),
        (("ppo", "transformer", "lstm"), {"lstm": 0.35, "transformer": 0.40, "ppo": 0.25}),
    ],
)
def test_weights_are_renormalised_over_what_is_promoted(promoted, weights):
    found = ensemble_weights(promoted, EnsembleConfig())
    assert found == pytest.approx(weights)
    assert not found or math.fsum(found.values()) == pytest.approx(1.0)


def test_kinds_without_any_weight_share_equally():
    config = EnsembleConfig(weights=(1.0, 0.0, 0.0))
    assert ensemble_weights(("ppo",), config) == {"ppo": 1.0}
    assert ensemble_weights(("transformer", "ppo"), config) == {"transformer": 0.5, "ppo": 0.5}


def test_unknown_kinds_and_bad_weights_are_refused():
    with pytest.raises(ValueError, match="forest"):
        ensemble_weights(("lstm", "forest"), EnsembleConfig())
    with pytest.raises(ValueError, match="shares of 1"):
        EnsembleConfig(weights=(0.5, 0.5, 0.5))


def test_probability_is_the_weighted_mean():
    weights = ensemble_weights(("lstm", "transformer", "ppo"), EnsembleConfig())
    outputs = {"lstm": 0.86, "transformer": 0.84, "ppo": 0.79}
    assert ensemble_probability(outputs, weights) == pytest.approx(0.8345)  # 0.301 + 0.336 + 0.1975
    arrays = {kind: np.full(3, p) for kind, p in outputs.items()}
    assert ensemble_probability(arrays, weights).tolist() == [ensemble_probability(outputs, weights)] * 3


def test_a_broken_model_silences_the_ensemble():
    weights = {"lstm": 0.5, "transformer": 0.5}
    assert math.isnan(ensemble_probability({"lstm": math.nan, "transformer": 0.9}, weights))
    with pytest.raises(KeyError):
        ensemble_probability({"lstm": 0.9}, weights)
    with pytest.raises(ValueError, match="no models"):
        ensemble_probability({}, {})


# ------------------------------------------------------------------------------------------------- tiers


@pytest.mark.parametrize(
    ("confidence", "tier"),
    [
        (0.50, None), (0.5499, None), (0.55, LOW), (0.6499, LOW), (0.65, MEDIUM), (0.7499, MEDIUM),
        (0.75, HIGH), (1.0, HIGH), (math.nan, None),
    ],
)  # fmt: skip
def test_tiers_without_a_past(confidence, tier):
    assert tier_of(confidence, TierConfig()) is tier


@pytest.mark.parametrize(
    ("confidence", "previous", "tier"),
    [
        (0.74, HIGH, HIGH), (0.73, HIGH, HIGH), (0.7299, HIGH, MEDIUM), (0.64, HIGH, MEDIUM),
        (0.62, HIGH, LOW),
        (0.74, MEDIUM, MEDIUM), (0.64, MEDIUM, MEDIUM), (0.6299, MEDIUM, LOW), (0.75, MEDIUM, HIGH),
        (0.54, LOW, LOW), (0.53, LOW, LOW), (0.5299, LOW, None), (0.64, LOW, LOW), (0.54, None, None),
        (math.nan, HIGH, None),
    ],
)  # fmt: skip
def test_a_tier_is_left_only_two_points_below_its_bound(confidence, previous, tier):
    assert tier_of(confidence, TierConfig(), previous) is tier


def test_a_confidence_that_wobbles_around_a_bound_does_not_flicker():
    held, seen = None, []
    for confidence in (0.70, 0.751, 0.745, 0.755, 0.731, 0.729, 0.745, 0.749, 0.75):
        held = tier_of(confidence, TierConfig(), held)
        seen.append(held)
    assert seen == [MEDIUM, HIGH, HIGH, HIGH, HIGH, MEDIUM, MEDIUM, MEDIUM, HIGH]


def test_score_is_the_larger_side():
    assert score_of(0.8, None, TierConfig()) == (0.8, Side.LONG, HIGH)
    assert score_of(0.25, None, TierConfig()) == (0.75, Side.SHORT, HIGH)
    assert score_of(0.5, None, TierConfig()) == (0.5, Side.LONG, None)
    assert [score_of(p, None, TierConfig()) for p in (math.nan, -0.1, 1.1, math.inf)] == [None] * 4


def test_hysteresis_holds_on_the_same_side_only():
    memory = TierMemory(Side.LONG, HIGH)
    assert score_of(0.74, memory, TierConfig()).tier is HIGH
    assert score_of(0.26, memory, TierConfig()).tier is MEDIUM


# ------------------------------------------------------------------------------------------- rate limits


def emitted(limits: RateLimits, *minutes: float, high: bool = False) -> RateState:
    state = RateState()
    for minute in minutes:
        state = rate_emitted(state, limits, round(minute * MINUTE), high=high)
    return state


def test_ten_in_sixty_minutes_and_not_one_more():
    limits = RateLimits()
    state = emitted(limits, *range(10))
    assert rate_refusal(state, limits, 59 * MINUTE, high=False) == "10 of 10 signals in 60 minutes"
    assert rate_refusal(state, limits, 60 * MINUTE, high=False) is None  # the first is exactly an hour old
    assert rate_use(state, limits, 59 * MINUTE).next_total_us == 60 * MINUTE


def test_five_high_ones_leave_room_for_others():
    limits = RateLimits()
    state = emitted(limits, *range(5), high=True)
    assert rate_refusal(state, limits, 10 * MINUTE, high=True) == "5 of 5 high-tier signals in 60 minutes"
    assert rate_refusal(state, limits, 10 * MINUTE, high=False) is None
    use = rate_use(state, limits, 10 * MINUTE)
    assert (use.total, use.high, use.next_total_us, use.next_high_us) == (5, 5, None, 60 * MINUTE)


def test_the_wireframes_next_slot():
    # 5 high signals at 11:12, 11:26, 11:40, 11:56, 12:04: the next slot is at 12:12
    limits = RateLimits()
    state = emitted(limits, 672, 686, 700, 716, 724, high=True)
    assert rate_use(state, limits, 725 * MINUTE).next_high_us == 732 * MINUTE


def test_the_state_keeps_no_more_than_the_limits_need():
    limits = RateLimits()
    state = emitted(limits, *range(0, 6000, 60), high=True)
    assert (len(state.total_us), len(state.high_us)) == (10, 5)


def test_a_clock_that_jumps_forward_and_back_frees_no_slot():
    limits = RateLimits(total=2)
    state = emitted(limits, 0, 1)
    assert rate_refusal(state, limits, 62 * MINUTE, high=False) is None
    state = rate_emitted(state, limits, 62 * MINUTE, high=False)  # the clock was an hour ahead
    assert rate_refusal(state, limits, 2 * MINUTE, high=False) is not None
    assert rate_refusal(state, limits, 61 * MINUTE, high=False) is None
    assert rate_use(state, limits, 2 * MINUTE).total == 2


def test_limits_below_one_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        RateLimits(total=0)
