"""pass@k, uplift and their uncertainty: numbers from outcomes, without a model or a file.

Arrays run over problems: `selected[i]` is whether the selector's choice for problem i passed, `means[i]` the share of
its candidates that pass, `reachable[i]` whether any does. An interval is a **paired percentile bootstrap** over
problems: whole problems are resampled, so that a difference keeps the pairing of its two sides. Percentile and not BCa:
over a hundred problems or more the two differ by less than a problem here, and it stays defined where BCa does not
(every problem with the same outcome).
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rerank.errors import SettingError


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Chance that at least one of k of the samples, drawn without replacement, is correct.

    Unbiased: equation 1 of Chen et al. 2021 (arXiv 2107.03374), 1 - C(n - c, k) / C(n, k). Computed in whole numbers
    with one division at the end, so it is correctly rounded for any n.
    Raises SettingError where it is undefined: k > num_samples.

    >>> pass_at_k(10, 3, 1)
    0.3
    >>> pass_at_k(5, 2, 3)
    0.9
    """
    if k < 1 or not 0 <= num_correct <= num_samples:
        raise ValueError(f"wanted k >= 1 and 0 <= num_correct <= num_samples: {k=}, {num_correct=}, {num_samples=}")
    if k > num_samples:
        raise SettingError(f"pass@{k} needs {k} samples of each problem and there are {num_samples}: lower k")
    draws = math.comb(num_samples, k)
    return (draws - math.comb(num_samples - num_correct, k)) / draws


def mean_pass_at_k(counts: Iterable[tuple[int, int]], k: int) -> float:
    """Mean of pass@k over problems given as (samples, correct); refuses when one has fewer than k samples."""
    values = [pass_at_k(num_samples, num_correct, k) for num_samples, num_correct in counts]
    if not values:
        raise ValueError("no problems")
    return math.fsum(values) / len(values)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Uplift:
    """What a selector gained over the mean of its candidates. Shares from 0 to 1, not points."""

    pass_at_1: Estimate
    uplift: Estimate  # pass@1 minus the candidates' mean pass@1
    gap_closed: Estimate | None  # uplift / (oracle - mean): 0 random, 1 oracle; None where no problem has a gap


def uplift(
    selected: Sequence[float],
    means: Sequence[float],
    reachable: Sequence[float],
    *,
    seed: int = 0,
    num_resamples: int = 10_000,
) -> Uplift:
    """Pass@1, uplift and the share of the oracle's gap closed, with intervals that resample the same problems."""
    chosen, mean, best = (np.asarray(each, dtype=float) for each in (selected, means, reachable))  # (problems,) each
    if not len(chosen) == len(mean) == len(best) > 0:
        raise ValueError(f"wanted one value a problem: {len(chosen)}, {len(mean)} and {len(best)}")
    columns = np.stack([chosen, chosen - mean, best - mean], axis=1)  # (problems, 3)
    point = columns.mean(axis=0)
    samples = _resampled_means(columns, seed=seed, num_resamples=num_resamples)  # (resamples, 3)
    gap_closed = None
    if point[2] > 0:
        with_gap = samples[samples[:, 2] > 0]
        gap_closed = _estimate(point[1] / point[2], with_gap[:, 1] / with_gap[:, 2])
    return Uplift(_estimate(point[0], samples[:, 0]), _estimate(point[1], samples[:, 1]), gap_closed)


def mean(values: Sequence[float], *, seed: int = 0, num_resamples: int = 10_000) -> Estimate:
    """The mean of one value a problem, with an interval that resamples the problems."""
    column = np.asarray(values, dtype=float)[:, None]  # (problems, 1)
    return _estimate(column.mean(), _resampled_means(column, seed=seed, num_resamples=num_resamples)[:, 0])


def mcnemar_p(one: Sequence[bool], other: Sequence[bool]) -> float:
    """Two-sided exact p that two selectors' choices on the same problems pass equally often (McNemar 1947).

    Of the problems that only one of them got, the side is a fair coin's under the null hypothesis: twice the smaller
    tail of the binomial, at most 1. Problems that both or neither got say nothing.

    >>> mcnemar_p([True] * 6, [False] * 5 + [True])
    0.0625
    """
    only_one = sum(a and not b for a, b in zip(one, other, strict=True))
    only_other = sum(b and not a for a, b in zip(one, other, strict=True))
    num_discordant = only_one + only_other
    tail = sum(math.comb(num_discordant, i) for i in range(min(only_one, only_other) + 1))
    return min(1.0, 2 * tail / 2**num_discordant)


def growth_by_order(passed_in_order: Sequence[Sequence[bool]]) -> list[float]:
    """Expected pass@1 of a selector given n of the N candidates, for n = 1 to N, exactly.

    passed_in_order[i] says of problem i's candidates, best first, which pass. For a selector whose values do not depend
    on the other candidates, such as a pointwise score, its choice from any subset is the subset's best in that order:
    the candidate of rank r (from 0) is that in C(N - 1 - r, n - 1) of the C(N, n) subsets. N is the smallest number of
    candidates that a problem has.
    """
    curves = []
    for passed in passed_in_order:
        total = len(passed)
        curves.append(
            [
                sum(math.comb(total - 1 - rank, n - 1) for rank, good in enumerate(passed) if good)
                / math.comb(total, n)
                for n in range(1, total + 1)
            ]
        )
    return _mean_curve(curves)


Picker = Callable[[Sequence[int]], int]  # a subset of a problem's candidate indices to the index of the choice


def growth_by_resampling(
    pickers: Sequence[Picker], passed: Sequence[Sequence[bool]], *, num_draws: int = 20, seed: int = 0
) -> list[float]:
    """As growth_by_order, for a selector that must choose anew in each subset, from `num_draws` random ones a size.

    passed[i][index] is the outcome of problem i's candidate; pickers[i] chooses from a subset, in ascending order.
    """
    generator = np.random.default_rng(seed)
    curves = []
    for pick, outcomes in zip(pickers, passed, strict=True):
        curve = []
        for n in range(1, len(outcomes) + 1):
            if n == len(outcomes):
                subsets = [list(range(n))]
            else:
                subsets = [sorted(generator.permutation(len(outcomes))[:n].tolist()) for _ in range(num_draws)]
            curve.append(sum(outcomes[pick(subset)] for subset in subsets) / len(subsets))
        curves.append(curve)
    return _mean_curve(curves)


def _mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    if not curves:
        raise ValueError("no problems")
    return [math.fsum(values) / len(curves) for values in zip(*curves, strict=False)]  # up to the shortest


def _resampled_means(columns: np.ndarray, *, seed: int, num_resamples: int) -> np.ndarray:
    """Means of the columns over resampled rows: (rows, columns) to (resamples, columns)."""
    return _draws(len(columns), seed, num_resamples) @ columns / len(columns)


@lru_cache(maxsize=1)  # every selector of a run is resampled alike
def _draws(num_rows: int, seed: int, num_resamples: int) -> np.ndarray:
    """How often each row is drawn in each resample, which is all that a mean needs: (resamples, rows)."""
    shares = np.full(num_rows, 1 / num_rows)
    return np.random.default_rng(seed).multinomial(num_rows, shares, size=num_resamples).astype(np.float32)


def _estimate(value: float, samples: np.ndarray) -> Estimate:
    low, high = np.percentile(samples, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))


NUM_RESAMPLES = 2_000


def share(values: Sequence[float], groups: Sequence[str], *, seed: int = 0) -> Estimate | None:
    """The mean of one value a case, with its interval."""
    if not values:
        return None
    column = np.asarray(values, dtype=float)
    weights = _resampled(groups, NUM_RESAMPLES, seed)  # (resamples, cases)
    return estimate(float(column.mean()), (weights @ column) / weights.sum(axis=1))


def _resampled(groups: Sequence[str], num_resamples: int, seed: int) -> np.ndarray:
    """How often each case is drawn when whole groups are drawn: (resamples, cases)."""
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    shares = np.full(len(names), 1 / len(names))
    counts = np.random.default_rng(seed).multinomial(len(names), shares, size=num_resamples).astype(np.float32)
    return np.asarray(counts[:, place])


def estimate(value: float, samples: np.ndarray) -> Estimate:
    """A figure with the 95% interval of its resamples."""
    low, high = np.nanpercentile(samples, [2.5, 97.5])
    return Estimate(float(value), float(low), float(high))
