"""Odds against closed forms, intervals that cover, and every figure of the document against its attempts."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from tradingai.engine.challenge.attempt import ENDINGS, play
from tradingai.engine.challenge.history import History, PastDay
from tradingai.engine.challenge.intervals import between_histories, wilson
from tradingai.engine.challenge.many import play_many
from tradingai.engine.challenge.odds import ASSUMPTIONS, RISKS_PCT, OddsRequest, odds
from tradingai.engine.challenge.table import PASSED, DayTable
from tradingai.engine.core.errors import InterruptedRunError, JobError
from tradingai.engine.core.reporting import SilentReporter
from tradingai.engine.risk.ftmo import ONE_STEP

from tests.fakes.challenge import FIRST_DAY, HOUR_US, WALK, config, one_a_day, trade

ATTEMPTS = 4_000
WALK_DAYS = 2_500


def walk_config(rules=WALK):
    """1 % a trade: ten losses in a row reach the lower barrier, ten wins the upper one."""
    return config(rules, 0.01, max_days=WALK_DAYS)


def ruin(p, up, down):
    """P(a walk of ±1 with P(+1) = p gains ``up`` before it loses ``down``). Source: Feller I, XIV.2."""
    if p == 0.5:
        return down / (up + down)
    odds_against = (1 - p) / p
    return (1 - odds_against**down) / (1 - odds_against ** (up + down))


def skewed(p, win, up, down):
    """The same of a walk that gains ``win`` with probability p and loses 1: the solution of its equations."""
    states = list(range(-down + 1, up))
    place = {state: row for row, state in enumerate(states)}
    matrix, constant = np.eye(len(states)), np.zeros(len(states))
    for state, row in place.items():
        if state + win >= up:
            constant[row] += p
        else:
            matrix[row, place[state + win]] -= p
        if state - 1 in place:
            matrix[row, place[state - 1]] -= 1 - p
    return float(np.linalg.solve(matrix, constant)[place[0]])


def passes(history, played_by, count=ATTEMPTS, seed=3):
    """Whether each of so many attempts passed."""
    draws = np.random.default_rng(seed).integers(
        0, len(history.days), (count, played_by.max_days), dtype=np.uint16
    )
    return play_many(DayTable.of(history), draws, played_by).ending == PASSED


@pytest.mark.parametrize("wins", [45, 50, 52, 55, 60])
def test_even_stakes_agree_with_the_gamblers_ruin(wins: int):
    history = one_a_day([1.0] * wins + [-1.0] * (100 - wins))
    low, high = wilson(int(passes(history, walk_config()).sum()), ATTEMPTS)
    assert low <= ruin(wins / 100, 10, 10) <= high


@pytest.mark.parametrize(("wins", "payoff"), [(35, 2), (30, 2), (26, 3)])
def test_other_payoffs_agree_with_the_walks_equations(wins: int, payoff: int):
    history = one_a_day([float(payoff)] * wins + [-1.0] * (100 - wins))
    low, high = wilson(int(passes(history, walk_config()).sum()), ATTEMPTS)
    assert low <= skewed(wins / 100, payoff, 10, 10) <= high


def test_two_phases_multiply():
    history = one_a_day([1.0] * 53 + [-1.0] * 47)
    both = passes(history, walk_config(replace(WALK, targets=(0.10, 0.05, None))))
    low, high = wilson(int(both.sum()), ATTEMPTS)
    assert low <= ruin(0.53, 10, 10) * ruin(0.53, 5, 10) <= high


def test_days_of_several_trades_are_the_same_walk():
    days = []
    for number, results in enumerate(itertools.product((1.0, -1.0), repeat=3)):
        day = FIRST_DAY + number
        own = [trade(day, 2 * HOUR_US * (k + 1), r, mae_r=min(r, 0.0)) for k, r in enumerate(results)]
        days.append(PastDay(day, tuple(own)))
    played_by = walk_config()
    played_by = replace(
        played_by, risk=replace(played_by.risk, back_off=replace(played_by.back_off, factor=1))
    )
    low, high = wilson(int(passes(History(tuple(days)), played_by).sum()), ATTEMPTS)
    assert low <= ruin(0.5, 10, 10) <= high


def test_the_monte_carlo_interval_covers_the_truth_as_often_as_it_says():
    truth, groups, size = ruin(0.52, 10, 10), 150, 200
    passed = passes(one_a_day([1.0] * 26 + [-1.0] * 24), walk_config(), groups * size)
    hits = passed.reshape(groups, size).sum(axis=1)
    covered = np.mean([low <= truth <= high for low, high in (wilson(int(hit), size) for hit in hits)])
    assert 0.90 <= covered <= 0.99


def test_wilson_is_the_published_interval():
    """Newcombe (1998), Statistics in Medicine 17, table I: 81 of 263, 15 of 148, 0 of 20."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    with pytest.raises(ValueError, match="nothing"):
        wilson(0, 0)


def test_the_plays_own_noise_is_no_part_of_the_sampling_interval():
    rng = np.random.default_rng(1)
    noise = rng.binomial(50, 0.6, 4_000) / 50
    low, high = between_histories(noise, 50)
    assert high - low < 0.03
    rates = rng.normal(0.6, 0.1, 4_000)
    low, high = between_histories(rng.binomial(50, rates) / 50, 50)
    assert (low, high) == pytest.approx((0.6 - 1.96 * 0.1, 0.6 + 1.96 * 0.1), abs=0.02)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_sampling_interval_covers_the_truth():
    """Histories of 120 days of a world whose odds are known: the interval holds them nine times in ten."""
    world = np.array([1.0] * 54 + [-1.0] * 46)
    truth, rng, covered, worlds = ruin(0.54, 10, 10), np.random.default_rng(5), 0, 60
    for number in range(worlds):
        history = one_a_day(list(rng.choice(world, 120)))
        request = OddsRequest(attempts=200, seed=number, risks_pct=())
        low, high = odds(history, walk_config(), request, SilentReporter())["sampling"]
        covered += low <= truth <= high
    assert 0.85 <= covered / worlds <= 1.0


def few(attempts=600, risks_pct=(0.25, 0.5, 1.0), seed=5):
    """A request that takes little time."""
    return OddsRequest(attempts, seed, risks_pct, histories=20)


def mixed_history(days=70):
    """Days that win, lose and rest, with several trades."""
    rng = np.random.default_rng(11)
    made = []
    for number in range(days):
        day = FIRST_DAY + number
        own = [
            trade(day, int(hour) * HOUR_US, float(rng.choice([1.5, -1.1, 0.4, -0.7])), mae_r=-1.1)
            for hour in sorted(rng.choice(23, size=int(rng.integers(0, 6)), replace=False))
        ]
        made.append(PastDay(day, tuple(own)))
    return History(tuple(made))


@pytest.fixture(scope="module")
def found():
    """Odds of a mixed history under 2-Step rules at 1 %."""
    return odds(mixed_history(), config(risk_fraction=0.01), few(), SilentReporter())


def again(found, history, played_by):
    """The same attempts one by one, by the risk code."""
    rng = np.random.default_rng([found["seed"], 0])
    draws = rng.integers(0, len(history.days), (found["attempts"], 365), dtype=np.uint16)
    return [play(history, row.tolist(), played_by) for row in draws]


def test_the_document_says_what_its_attempts_did(found):
    short = odds(mixed_history(), config(risk_fraction=0.01), few(60, ()), SilentReporter())
    played = again(short, mixed_history(), config(risk_fraction=0.01))
    for name in ENDINGS:
        assert short["endings"][name] == pytest.approx(sum(one.ending == name for one in played) / 60)
    days = sorted(one.day for one in played if one.ending == "passed")
    assert short["pass_rate"] == len(days) / 60
    assert short["monte_carlo"] == list(wilson(len(days), 60))
    share = {"p10": 0.1, "median": 0.5, "p90": 0.9}
    for name, quantile in share.items():
        assert short["days_to_pass"][name] == days[int(np.ceil(quantile * len(days))) - 1]
    for item in short["histogram"]:
        assert item["attempts"] == sum(item["from"] <= day <= item["to"] for day in days)
    assert sum(item["attempts"] for item in short["histogram"]) == len(days)


def test_intervals_lie_around_the_rate_and_the_two_are_apart(found):
    (low, high), (least, most) = found["monte_carlo"], found["sampling"]
    assert low < found["pass_rate"] < high
    assert least < found["pass_rate"] < most
    assert most - least > 2 * (high - low)


def test_the_asked_risk_is_a_row_of_the_comparison_with_the_same_numbers(found):
    risks = [row["risk_pct"] for row in found["sensitivity"]]
    assert risks == [0.25, 0.5, 1.0]
    (own,) = [row for row in found["sensitivity"] if row["risk_pct"] == 1.0]
    assert own["pass_rate"] == found["pass_rate"]
    assert own["endings"] == found["endings"]
    assert own["median_days"] == found["days_to_pass"]["median"]
    other = odds(mixed_history(), config(risk_fraction=0.0025), few(), SilentReporter())
    (beside,) = [row for row in found["sensitivity"] if row["risk_pct"] == 0.25]
    assert beside["endings"] == other["endings"]


def test_by_default_the_odds_are_compared_from_a_tenth_to_one_per_cent():
    assert (RISKS_PCT[0], RISKS_PCT[-1], OddsRequest().attempts) == (0.1, 1.0, 10_000)


def test_the_same_seed_gives_the_same_document_and_another_one_does_not(found):
    request = few()
    assert odds(mixed_history(), config(risk_fraction=0.01), request, SilentReporter()) == found
    other = odds(mixed_history(), config(risk_fraction=0.01), few(seed=6), SilentReporter())
    assert other["endings"] != found["endings"]


def test_one_step_tells_of_the_best_day(found):
    assert found["best_day"] is None
    history, played_by = one_a_day([6.0, 1.0, 1.0, -0.5] * 20), config(ONE_STEP, 0.01)
    one = odds(history, played_by, few(60, ()), SilentReporter())
    played = again(one, history, played_by)
    delays = [attempt.delay_days for attempt in played if attempt.ending == "passed"]
    late = sorted(delay for delay in delays if delay)
    assert late
    assert one["best_day"] == {
        "delayed": len(late) / len(delays), "median_days": late[int(np.ceil(len(late) / 2)) - 1],
    }  # fmt: skip


def test_few_days_are_warned_of_and_assumptions_are_part_of_it(found):
    assert found["warnings"] == []
    assert found["assumptions"] == list(ASSUMPTIONS)
    short = odds(mixed_history(59), config(), few(50, ()), SilentReporter())
    assert "59 days of history" in short["warnings"][0]


def test_an_account_that_no_entry_is_allowed_to_is_told_apart():
    """Ten losses of 1 % leave no room for an eleventh: undecided, for good."""
    lost = odds(one_a_day([-1.0] * 30), walk_config(), few(20, ()), SilentReporter())
    assert (lost["endings"]["undecided"], lost["stuck"], lost["days_to_pass"]) == (1.0, 1.0, None)
    assert lost["histogram"] == []
    resting = odds(one_a_day([0.0] * 30), walk_config(), few(20, ()), SilentReporter())
    assert (resting["endings"]["undecided"], resting["stuck"]) == (1.0, 0.0)


def test_at_a_trailing_floor_it_is_told_as_well():
    """Two days of +4 % lift the floor to 98 %; ten of −1 % come down to it, or without them to 90 %."""
    trailing = replace(WALK, max_loss_mode="trailing", targets=(0.5, None))
    history, played_by = one_a_day([4.0, -1.0]), config(trailing, 0.01, max_days=14)
    draws = np.array([[0, 0, *[1] * 12], [1] * 14, [1] * 9 + [0] * 5])
    many = play_many(DayTable.of(history), draws, played_by)
    alone = [play(history, row, played_by) for row in draws.tolist()]
    assert [(one.ending, one.day) for one in alone] == [("undecided", 14)] * 3
    assert [one.balance for one in alone] == pytest.approx([196_000.0, 180_000.0, 222_000.0])
    assert many.balance.tolist() == pytest.approx([one.balance for one in alone])
    assert many.stuck.tolist() == [True, True, False]


class Told(SilentReporter):
    """Keeps all progress; stops when asked to."""

    def __init__(self, stop_at: int = -1) -> None:
        super().__init__()
        self.seen: list[tuple[float, float, str]] = []
        self.stop_at = stop_at

    def progress(self, progress):
        self.seen.append((progress.done, progress.total, progress.detail["stage"]))

    def safe_point(self):
        if self.stop_at == len({stage for _, _, stage in self.seen}):
            raise InterruptedRunError("stopped")


def test_progress_counts_attempts_to_the_last():
    told = Told()
    odds(mixed_history(), config(), few(300), told)
    done = [item[0] for item in told.seen]
    assert done == sorted(done)
    assert told.seen[-1][:2] == (300 + 20 * 50 + 2 * 300,) * 2
    assert {stage for _, _, stage in told.seen} == {"this risk", "resampled histories", "other risks"}
    with pytest.raises(InterruptedRunError):
        odds(mixed_history(), config(), few(300), Told(stop_at=2))


def test_attempts_that_the_risk_code_would_end_otherwise_are_no_result(monkeypatch):
    from tradingai.engine.challenge import odds as module

    monkeypatch.setattr(module, "play", lambda *_: play(*_)._replace(day=77))
    with pytest.raises(JobError, match=r"attempt \d+ of the simulation .* by the guard itself"):
        odds(mixed_history(), config(risk_fraction=0.01), few(200, ()), SilentReporter())
