import math
import random

import numpy as np
import pytest

from rerank.training.scorer.evaluate import (
    ScoredPair,
    ScoredProblem,
    calibration_error,
    figures,
    fit_temperature,
    fit_weight,
    negative_log_likelihood,
    pair_accuracy,
    pair_figures,
    pick_rate,
)


@pytest.mark.parametrize(
    ("right", "scores", "pairs", "picked"),
    [
        ([True, False], [1.0, 0.0], 1.0, 1.0),
        ([True, False], [0.0, 1.0], 0.0, 0.0),
        ([True, False], [1.0, 1.0], 0.5, 0.5),
        ([True, True, False], [3.0, 1.0, 2.0], 0.5, 1.0),
        ([False, True, False, False], [2.0, 2.0, 2.0, 1.0], 2 / 3, 1 / 3),
    ],
)
def test_pairs_and_picks(right: list[bool], scores: list[float], pairs: float, picked: float) -> None:
    assert pair_accuracy(right, scores) == pytest.approx(pairs)
    assert pick_rate(right, scores) == pytest.approx(picked)


def _problem(name: str, right: list[bool], log_odds: list[float], is_sample: list[bool]) -> ScoredProblem:
    return ScoredProblem(
        name, tuple(right), tuple(log_odds), (None,) * len(right), tuple(is_sample), ("",) * len(right)
    )


def test_problems_without_a_choice_and_mutations_are_told_apart() -> None:
    found = figures(
        [
            _problem("a", [True, False, False], [0.0, -1.0, 2.0], [True, True, False]),
            _problem("b", [True, True], [1.0, 1.0], [True, True]),
        ]
    )
    assert (found["num_problems"], found["num_programs"]) == (1, 5)
    assert (found["pair_accuracy"], found["pick_rate"], found["pick_rate_random"]) == (0.5, 0.0, pytest.approx(1 / 3))
    assert (found["samples"]["pair_accuracy"], found["samples"]["num_programs"]) == (1.0, 4)


def test_orders_that_disagree_are_counted() -> None:
    pairs = [
        ScoredPair("a", 1.0, 2.0),
        ScoredPair("a", 3.0, -1.0),
        ScoredPair("b", -3.0, 1.0),
        ScoredPair("b", 0.0, 0.0),
    ]
    found = pair_figures(pairs)
    assert found["pair_accuracy"] == pytest.approx((1 + 1 + 0 + 0.5) / 4)
    assert found["order_consistency"] == 0.25


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 3.0])
def test_temperature_is_found_and_improves_the_likelihood(true_temperature: float) -> None:
    rng = random.Random(0)
    scores = [rng.gauss(0, 2) for _ in range(20_000)]
    right = [rng.random() < 1 / (1 + math.exp(-score / true_temperature)) for score in scores]
    fitted = fit_temperature(scores, right)
    assert fitted == pytest.approx(true_temperature, rel=0.06)
    values, labels = np.array(scores), np.array(right, dtype=float)
    scaled = negative_log_likelihood(values / fitted, labels)
    assert all(scaled <= negative_log_likelihood(values / other, labels) for other in (0.5, 1.0, 3.0, fitted * 1.01))
    assert calibration_error(values / fitted, labels) < 0.02
    if true_temperature != 1.0:
        assert calibration_error(values, labels) > 0.05


def test_temperature_without_an_optimum_stays_finite() -> None:
    assert fit_temperature([], []) == 1.0
    assert fit_temperature([1.0, -1.0], [True, False]) == pytest.approx(1 / 20)
    assert fit_temperature([1.0, -1.0], [False, True]) == pytest.approx(20.0)


@pytest.mark.parametrize("weight", [-1.0, 0.0, 4.0])
def test_the_weight_of_a_second_feature_is_found(weight: float) -> None:
    rng = random.Random(0)
    rows = []
    for _ in range(20_000):
        score, other = rng.gauss(0, 1), rng.gauss(0, 0.3)
        sign = 1 if rng.random() < 1 / (1 + math.exp(-(score + weight * other))) else -1
        rows.append((sign * score, sign * other, 1.0))
    assert fit_weight(rows) == pytest.approx(weight, abs=0.15)


def test_a_weight_stays_finite_where_the_score_separates() -> None:
    assert abs(fit_weight([(1.0, 0.1, 1.0), (2.0, -0.1, 1.0)])) < 10
