"""How well verdicts agree with labels: shares, correlations, balanced accuracy, RewardBench 2's ties, and intervals.

Numbers in, numbers out. An interval is a 95% percentile bootstrap that resamples **groups** of cases (those about the
same prompt or document) whole: RM-Bench has nine pairs of one prompt, CoBBLEr 105 of one question, and treating them as
independent would make the interval several times too narrow. None where a figure is undefined.

The correlations are by hand: three short functions are no reason for every user to install scipy, against which the
tests check them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rerank.metrics import NUM_RESAMPLES, Estimate, _resampled, estimate

_NUM_RESAMPLED_CORRELATIONS = 200  # each costs the square of the number of cases


def mean_of(estimates: Sequence[Estimate | None]) -> float | None:
    """The mean of several figures, each counting the same; None where one of them is undefined or there is none."""
    known = [each.value for each in estimates if each is not None]
    return float(np.mean(known)) if known and len(known) == len(estimates) else None


def balanced_accuracy(
    wanted: Sequence[str], given: Sequence[str | None], groups: Sequence[str], *, seed: int = 0
) -> Estimate | None:
    """The mean over the classes that occur of the share of each that was recognised; what is None was not."""
    if not wanted:
        return None
    right = np.array([[want == give for want, give in zip(wanted, given, strict=True)]], dtype=float)
    [found] = resampled_recalls(right, wanted, groups, seed=seed)
    return estimate(found[0], found[1:])


def resampled_means(columns: np.ndarray, groups: Sequence[str], *, seed: int = 0) -> np.ndarray:
    """Means of several judges' columns, and of their resamples: (judges, cases) -> (judges, 1 + resamples).

    All judges meet the same resamples, so that differences between them can be taken.
    """
    weights = _with_all(groups, seed)
    return np.asarray(columns @ weights.T / weights.sum(axis=1))


def resampled_recalls(right: np.ndarray, wanted: Sequence[str], groups: Sequence[str], *, seed: int = 0) -> np.ndarray:
    """Balanced accuracy as `resampled_means` gives means: the mean over classes of the share of each that is right."""
    weights = _with_all(groups, seed)
    recalls = []
    for name in sorted(set(wanted)):
        is_class = np.array([want == name for want in wanted], dtype=float)
        size = weights @ is_class  # (1 + resamples,)
        hit = (right * is_class) @ weights.T  # (judges, 1 + resamples)
        # A class that a resample lacks is left out of its mean.
        recalls.append(np.divide(hit, size, out=np.full_like(hit, np.nan), where=size > 0))
    return np.asarray(np.nanmean(np.array(recalls), axis=0))


def pearson(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Linear correlation."""
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Linear correlation of the ranks, equal values sharing their mean rank."""
    return pearson(_ranks(x), _ranks(y))


def kendall(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Kendall's tau-b (1945): concordant less discordant pairs, over what ties leave of both sides' pairs."""
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    total, size_a, size_b = 0.0, 0.0, 0.0
    for start in range(0, len(a), 512):  # in blocks of rows, so that thousands of cases fit the memory
        rows = slice(start, start + 512)
        sign_a, sign_b = (np.sign(side[rows, None] - side[None, :]) for side in (a, b))
        total += float(np.sum(sign_a * sign_b))
        size_a += float(np.abs(sign_a).sum())
        size_b += float(np.abs(sign_b).sum())
    return float(total / np.sqrt(size_a * size_b))


def correlation(
    measure: Callable[[Sequence[float], Sequence[float]], float | None],
    x: Sequence[float],
    y: Sequence[float],
    groups: Sequence[str],
    *,
    seed: int = 0,
) -> Estimate | None:
    """A correlation with its interval."""
    value = measure(x, y)
    if value is None:
        return None
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    found = []
    for weights in _resampled(groups, _NUM_RESAMPLED_CORRELATIONS, seed):
        rows = np.repeat(np.arange(len(a)), weights.astype(int))
        again = measure(a[rows], b[rows])  # type: ignore[arg-type]
        if again is not None:
            found.append(again)
    return estimate(value, np.array(found or [value]))


def best_of_credit(scores: Sequence[float], num_best: int) -> float:
    """1 when a right response scores highest; of several highest, the share that is right.

    >>> best_of_credit([0.9, 0.9, 0.1, 0.2], 1)
    0.5
    """
    top = max(scores)
    highest = [place for place, score in enumerate(scores) if score == top]
    return sum(place < num_best for place in highest) / len(highest)


@dataclass(frozen=True, slots=True)
class TiesCase:
    """A prompt of RewardBench 2's Ties: scores of its right responses, then of its wrong ones."""

    id: str  # "ref:7" has one right response, "tied:7" several that are equally right
    right: tuple[float, ...]
    wrong: tuple[float, ...]


def ties_score(cases: Sequence[TiesCase]) -> float | None:
    """RewardBench 2's score of its Ties subset (arXiv 2506.01937), from 0 to about 1.

    30% each for the share of tied and of reference prompts whose right responses all beat every wrong one; 20% each for
    the share of tied prompts whose right responses differ by less than the gap to the best wrong one, by that gap and
    by the smaller of it and the reference prompt's; and a hundredth for how clearly. As process_single_model in
    rewardbench/utils.py, commit 05a9005. None without a prompt of either kind.
    """
    kinds: dict[str, dict[str, TiesCase]] = {"ref": {}, "tied": {}}
    for case in cases:
        kind, _, number = case.id.partition(":")
        kinds.setdefault(kind, {})[number] = case
    reference, tied = kinds["ref"], kinds["tied"]
    both = [number for number in tied if number in reference]
    if not both:
        return None
    spread = np.array([max(tied[number].right) - min(tied[number].right) for number in both])
    gap = np.array([_gap(tied[number]) for number in both])
    smaller = np.minimum(gap, np.array([_gap(reference[number]) for number in both]))
    with np.errstate(divide="ignore", invalid="ignore"):
        clear = np.nan_to_num(np.tanh(smaller / spread - 1), nan=0.0)
    return float(
        0.3 * np.mean([_gap(case) > 0 for case in tied.values()])
        + 0.3 * np.mean([_gap(case) > 0 for case in reference.values()])
        + 0.2 * np.mean(gap > spread)
        + 0.2 * np.mean(smaller > spread)
        + 0.01 * np.mean(clear)
    )


def _gap(case: TiesCase) -> float:
    return min(case.right) - max(case.wrong)


def _ranks(values: Sequence[float]) -> list[float]:
    _, place, counts = np.unique(np.asarray(values, dtype=float), return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    ranks: list[float] = (ends - (counts - 1) / 2)[place].tolist()
    return ranks


def _with_all(groups: Sequence[str], seed: int) -> np.ndarray:
    """The cases themselves, then their resamples: (1 + resamples, cases)."""
    weights = _resampled(groups, NUM_RESAMPLES, seed)
    return np.concatenate([np.ones_like(weights[:1]), weights])
