"""Comparisons to one value per program, higher is better.

    AGGREGATES["borda"](keys, comparisons)  ->  {key: value}

The two orders of a pair become one **game**: their log-odds are averaged, which cancels whatever the autorater gives to
a program for standing first. A comparison without a verdict counts as a tie (log-odds 0). Every program also plays one
virtual drawn game: a program that was never compared gets the middle value, and in a schedule where some played less
than others (a bye in a Swiss tournament) a short record is trusted less than a long one. Where all play equally often
the virtual game changes no order. Comparisons about other programs than `keys` are left out.

Results do not depend on the order of keys or comparisons, to the last bit. A knockout needs more than these values to
put its champion first: see `selection.rank_pairwise`.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np

from rerank.records import Comparison

Pair = tuple[str, str]  # two keys in sorted order
Aggregate = Callable[[Collection[str], Iterable[Comparison]], dict[str, float]]


def margins(comparisons: Iterable[Comparison]) -> dict[Pair, float]:
    """The log-odds that a pair's first key is better, over its comparisons in both orders; pairs in sorted order.

    >>> margins([Comparison("t", "b", "a", 3.0), Comparison("t", "a", "b", 1.0)])
    {('a', 'b'): -1.0}
    """
    verdicts: dict[Pair, list[float]] = defaultdict(list)
    for comparison in comparisons:
        log_odds = comparison.log_odds or 0.0
        if comparison.first < comparison.second:
            verdicts[comparison.first, comparison.second].append(log_odds)
        else:
            verdicts[comparison.second, comparison.first].append(-log_odds)
    return {pair: math.fsum(verdicts[pair]) / len(verdicts[pair]) for pair in sorted(verdicts)}


def wins(keys: Collection[str], comparisons: Iterable[Comparison]) -> dict[str, float]:
    """Share of games won, ties half (Copeland 1951, per game played). Range (0, 1)."""
    return _share_of_points(keys, comparisons, lambda margin: 0.5 if margin == 0 else float(margin > 0))


def borda(keys: Collection[str], comparisons: Iterable[Comparison]) -> dict[str, float]:
    """Probability of being better, summed over games and divided by their number. Range (0, 1)."""
    return _share_of_points(keys, comparisons, _sigmoid)


def bradley_terry(keys: Collection[str], comparisons: Iterable[Comparison]) -> dict[str, float]:
    """Strengths in logits under P(a beats b) = sigmoid(strength_a - strength_b) (Bradley and Terry 1952).

    A game's probability is a soft verdict: it adds p to one side and 1 - p to the other. The prior is the virtual draw
    against a program of strength 0, which makes the likelihood strictly concave: one finite maximum exists also for a
    program that won everything and for programs that no chain of games connects (each group is then centred near 0).
    Maximised by Newton's method with step halving. When every pair was played the order is that of `borda`.
    """
    names = sorted(set(keys))
    place = {key: position for position, key in enumerate(names)}
    games = [
        (place[a], place[b], margin) for (a, b), margin in margins(comparisons).items() if a in place and b in place
    ]
    first = np.array([a for a, _, _ in games], dtype=int)  # (games,)
    second = np.array([b for _, b, _ in games], dtype=int)  # (games,)
    verdict = np.array([_sigmoid(margin) for _, _, margin in games])  # (games,), probability that `first` is better
    strength = np.zeros(len(names))  # (keys,)

    def objective(strength: np.ndarray) -> float:
        gap = strength[first] - strength[second]
        likelihood = -verdict * np.logaddexp(0, -gap) - (1 - verdict) * np.logaddexp(0, gap)
        prior = -0.5 * (np.logaddexp(0, -strength) + np.logaddexp(0, strength))
        return float(likelihood.sum() + prior.sum())

    for _ in range(100):
        expected = _sigmoids(strength[first] - strength[second])
        against_prior = _sigmoids(strength)
        gradient = 0.5 - against_prior
        np.add.at(gradient, first, verdict - expected)
        np.add.at(gradient, second, expected - verdict)
        if not names or np.abs(gradient).max() < 1e-11:
            break
        curvature = np.diag(against_prior * (1 - against_prior))  # minus the Hessian, (keys, keys)
        weight = expected * (1 - expected)
        for a, b, sign in ((first, first, 1), (second, second, 1), (first, second, -1), (second, first, -1)):
            np.add.at(curvature, (a, b), sign * weight)
        step = np.linalg.solve(curvature, gradient)
        before = objective(strength)
        while objective(strength + step) < before and np.abs(step).max() > 1e-12:
            step = step / 2
        strength = strength + step
    # Rounded, so that programs with equal records tie on every machine and not only up to the last bits.
    return {key: round(float(value), 9) + 0.0 for key, value in zip(names, strength, strict=True)}


AGGREGATES: dict[str, Aggregate] = {"wins": wins, "borda": borda, "bradley-terry": bradley_terry}


@dataclass(frozen=True, slots=True)
class OrderConsistency:
    """How often the two orders of a pair name the same winner."""

    num_pairs: int  # asked in both orders, both with a verdict
    num_disagreements: int
    num_without_verdict: int  # comparisons, not pairs

    @property
    def share(self) -> float | None:
        """Share of pairs whose orders agree, 0 to 1; None without a pair. A coin that ignores the pair has 0.5."""
        return 1 - self.num_disagreements / self.num_pairs if self.num_pairs else None


def order_consistency(comparisons: Iterable[Comparison]) -> OrderConsistency:
    """Compare the two orders of each pair of each problem; a tie in one order and a winner in the other disagree."""
    signs: dict[tuple[str, str, str], int] = {}
    num_without_verdict = 0
    for comparison in comparisons:
        if comparison.log_odds is None:
            num_without_verdict += 1
        else:
            sign = (comparison.log_odds > 0) - (comparison.log_odds < 0)
            signs[comparison.task_id, comparison.first, comparison.second] = sign
    both = [
        (sign, signs[task_id, second, first])
        for (task_id, first, second), sign in signs.items()
        if first < second and (task_id, second, first) in signs
    ]
    return OrderConsistency(len(both), sum(one != -other for one, other in both), num_without_verdict)


def _share_of_points(
    keys: Collection[str], comparisons: Iterable[Comparison], points: Callable[[float], float]
) -> dict[str, float]:
    """Mean of points(margin) over a key's games and one virtual draw. points(-m) must be 1 - points(m)."""
    earned: dict[str, list[float]] = {key: [0.5] for key in sorted(set(keys))}
    for (a, b), margin in margins(comparisons).items():
        if a in earned and b in earned:
            earned[a].append(points(margin))
            earned[b].append(points(-margin))
    # fsum is exact, so that equal records tie in whatever order their games are added.
    return {key: math.fsum(won) / len(won) for key, won in earned.items()}


def _sigmoid(log_odds: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, log_odds)))  # exp(710) overflows


def _sigmoids(log_odds: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * log_odds)))  # no overflow at either end
