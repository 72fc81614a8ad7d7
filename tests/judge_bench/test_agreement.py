"""Figures of the bench against scipy, scikit-learn and hand-made numbers."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as peer

from rerank import metrics
from rerank.judge_bench import agreement
from rerank.judge_bench.agreement import TiesCase


def columns(seed: int, size: int = 60, num_values: int = 5) -> tuple[list[float], list[float]]:
    """Two related columns with many ties, as grades have."""
    draw = np.random.default_rng(seed)
    x = draw.integers(0, num_values, size)
    y = x + draw.integers(-2, 3, size)
    return x.astype(float).tolist(), y.astype(float).tolist()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(agreement.pearson, "pearsonr"), (agreement.spearman, "spearmanr"), (agreement.kendall, "kendalltau")],
)
def test_correlations_are_scipys(seed: int, ours, theirs: str) -> None:
    x, y = columns(seed)
    assert ours(x, y) == pytest.approx(getattr(stats, theirs)(x, y).statistic, abs=1e-12)


def test_kendall_over_more_rows_than_a_block_is_scipys() -> None:
    x, y = columns(1, size=1200, num_values=40)
    assert agreement.kendall(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("measure", [agreement.pearson, agreement.spearman, agreement.kendall])
def test_a_constant_has_no_correlation(measure) -> None:
    assert measure([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None
    assert measure([1.0], [2.0]) is None
    assert agreement.correlation(measure, [1.0, 1.0], [1.0, 2.0], ["a", "b"]) is None


@pytest.mark.parametrize("seed", range(3))
def test_balanced_accuracy_is_sklearns(seed: int) -> None:
    draw = np.random.default_rng(seed)
    wanted = draw.choice(["a", "b", "c"], 80, p=[0.7, 0.2, 0.1]).tolist()
    given = [want if hit else "a" for want, hit in zip(wanted, draw.random(80) < 0.6, strict=True)]
    found = agreement.balanced_accuracy(wanted, given, [str(place) for place in range(80)])
    assert found.value == pytest.approx(peer.balanced_accuracy_score(wanted, given), abs=1e-12)
    assert found.low < found.value < found.high


def test_no_verdict_recognises_no_class() -> None:
    found = agreement.balanced_accuracy(["a", "a", "b"], ["a", None, "b"], ["1", "2", "3"])
    assert found.value == 0.75


def test_an_interval_resamples_groups_not_cases() -> None:
    """A hundred copies of ten answers say no more than the ten."""
    values = [0.0] * 4 + [1.0] * 6
    names = [str(place) for place in range(10)]
    alone = metrics.share(values, names)
    copied = metrics.share(values * 100, names * 100)
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=1e-6)
    naive = metrics.share(values * 100, [str(place) for place in range(1000)])
    assert naive.high - naive.low < 0.2 * (alone.high - alone.low)


def test_the_interval_of_a_share_covers_about_95_per_cent() -> None:
    draw = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        values = (draw.random(60) < 0.3).astype(float).tolist()
        found = metrics.share(values, [str(place) for place in range(60)], seed=seed)
        hits += found.low <= 0.3 <= found.high
    assert 0.90 <= hits / 200 <= 0.99


@pytest.mark.parametrize(
    ("scores", "num_best", "credit"),
    [
        ([1, 0, 0, 0], 1, 1.0),
        ([0, 1, 0, 0], 1, 0.0),
        ([1, 1, 0, 0], 1, 0.5),
        ([0, 0, 0, 0], 1, 0.25),
        ([0, 2, 1], 2, 1.0),
    ],
)
def test_best_of(scores, num_best, credit) -> None:
    assert agreement.best_of_credit(scores, num_best) == credit


def test_ties_by_hand() -> None:
    """One prompt of each kind, and the published weights: tied 0.3, reference 0.3, margins 0.2 and 0.2, tanh 0.01."""
    tied = TiesCase("tied:1", right=(0.9, 0.8), wrong=(0.2, 0.1))  # spread 0.1, gap 0.6
    reference = TiesCase("ref:1", right=(0.7,), wrong=(0.65, 0.0))  # gap 0.05
    wanted = 0.3 + 0.3 + 0.2 + 0.0 + 0.01 * np.tanh(0.05 / 0.1 - 1)
    assert agreement.ties_score([tied, reference]) == pytest.approx(wanted)
    assert agreement.ties_score([tied]) is None
    beaten = TiesCase("tied:1", right=(0.9, 0.1), wrong=(0.2,))
    assert agreement.ties_score([beaten, reference]) == pytest.approx(0.3 + 0.01 * np.tanh(-0.1 / 0.8 - 1))
