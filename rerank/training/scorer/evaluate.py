"""Figures on the dev split, and the temperatures. Plain numbers in, no model here.

Pick rate and pair accuracy count only problems with both right and wrong programs: on the others every choice is as
good. Each problem weighs the same, however many programs it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from rerank.training.labels.rows import Label
from rerank.training.scorer.inputs import Example

NONE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class JudgedExample:
    """What a model says of an example."""

    log_odds: tuple[float, ...]  # of each target that is a choice: its first answer against its second
    comparisons: tuple[float, ...]  # of each encoded-once verdict: that its first program is better
    is_right: bool  # all targets are answered as wanted


@dataclass(frozen=True, slots=True)
class ScoredProblem:
    """The judged programs of one problem."""

    task_id: str
    right: tuple[bool, ...]
    log_odds: tuple[float, ...]  # that the program is right
    mean_log_probability: tuple[float | None, ...]  # by the program's generator, nats per token
    is_sample: tuple[bool, ...]  # drawn from a generator; else a mutation, a reference...
    generator: tuple[str, ...]  # "" where nothing was drawn

    def samples(self) -> "ScoredProblem":
        """Only what a generator wrote: what a user will choose among."""
        keep = [index for index, is_sample in enumerate(self.is_sample) if is_sample]
        return ScoredProblem(
            self.task_id,
            tuple(self.right[index] for index in keep),
            tuple(self.log_odds[index] for index in keep),
            tuple(self.mean_log_probability[index] for index in keep),
            (True,) * len(keep),
            tuple(self.generator[index] for index in keep),
        )

    @property
    def has_both(self) -> bool:
        return any(self.right) and not all(self.right)


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """A right and a wrong program of one problem, judged in both orders: log-odds that the right one is better."""

    task_id: str
    right_first: float
    wrong_first: float
    log_probability_gain: float | None = None  # mean log-probability of the right one less that of the wrong one


@dataclass(frozen=True, slots=True)
class DevScores:
    """The judged dev split."""

    problems: tuple[ScoredProblem, ...]
    pairs: tuple[ScoredPair, ...]
    judgments: dict[str, list[bool]]  # by task of the mixture: which are right
    pair_mode: str = "pairwise"  # how the pairs were judged: `pairwise` or `encoded-once`

    @staticmethod
    def collect(judged: Sequence[tuple[Example, JudgedExample]], *, pair_mode: str = "pairwise") -> "DevScores":
        programs: dict[str, list[tuple[Label, float]]] = {}
        pairs: list[ScoredPair] = []
        judgments: dict[str, list[bool]] = {}
        for example, scores in judged:
            name = example.name
            if example.programs:
                programs.setdefault(name, []).extend(zip(example.programs, scores.log_odds, strict=True))
                # Antisymmetric by construction: the other order says the same.
                for verdict, value in zip(example.verdicts, scores.comparisons, strict=True):
                    gain = log_probability_gain(example.programs[verdict.first], example.programs[verdict.second])
                    pairs.append(ScoredPair(name, value, value, gain))
            elif example.pairs:
                both = zip(example.pairs, scores.log_odds[::2], scores.log_odds[1::2], strict=True)
                pairs += [
                    ScoredPair(name, forward, -backward, log_probability_gain(*pair))
                    for pair, forward, backward in both
                ]
            else:
                judgments.setdefault(name, []).append(scores.is_right)
        return DevScores(
            tuple(
                ScoredProblem(
                    name,
                    tuple(program.right for program, _ in rows),
                    tuple(log_odds for _, log_odds in rows),
                    tuple(program.mean_log_probability for program, _ in rows),
                    tuple(program.origin == "sample" for program, _ in rows),
                    tuple(program.generator for program, _ in rows),
                )
                for name, rows in programs.items()
            ),
            tuple(pairs),
            judgments,
            pair_mode,
        )

    @property
    def criterion(self) -> float | None:
        """What the best weights have most of: accuracy on pairs of generated programs, else on what there is."""
        result = self.figures()
        parts = [
            result.get("samples", result).get("pair_accuracy"),
            result.get(self.pair_mode, {}).get("pair_accuracy"),
        ]
        known = [part for part in parts if part is not None]
        return _mean(known or [task["accuracy"] for task in result.get("judgments", {}).values()])

    def temperatures(self) -> dict[str, float]:
        log_odds = [value for problem in self.problems for value in problem.log_odds]
        right = [value for problem in self.problems for value in problem.right]
        result = {"pointwise": fit_temperature(log_odds, right)}
        if self.pairs:
            values = [value for pair in self.pairs for value in (pair.right_first, pair.wrong_first)]
            result[self.pair_mode] = fit_temperature(values, [True] * len(values))
        return result

    def log_probability_weights(self, temperature: Mapping[str, float] = NONE) -> dict[str, float]:
        """By mode, what a nat of mean log-probability is worth beside log-odds at these temperatures, where known."""
        pointwise, pairwise = temperature.get("pointwise", 1.0), temperature.get(self.pair_mode, 1.0)
        modes = {
            "pointwise": [row for problem in self.problems for row in _rows(problem, pointwise)],
            self.pair_mode: [
                ((pair.right_first + pair.wrong_first) / 2 / pairwise, pair.log_probability_gain, 1.0)
                for pair in self.pairs
                if pair.log_probability_gain is not None
            ],
        }
        return {mode: fit_weight(rows) for mode, rows in modes.items() if rows}

    def calibration(self) -> dict[str, Any]:
        """What dev decides of a scorer's card: temperatures, the weight of log-probability, the figures with both."""
        temperature = self.temperatures()
        return {
            "temperature": temperature,
            "log_probability_weight": self.log_probability_weights(temperature),
            "dev": self.figures(temperature),
        }

    def figures(self, temperature: Mapping[str, float] = NONE) -> dict[str, Any]:
        """All figures, at these temperatures by mode."""
        result = figures(self.problems, temperature=temperature.get("pointwise", 1.0)) if self.problems else {}
        if self.pairs:
            result[self.pair_mode] = pair_figures(self.pairs, temperature=temperature.get(self.pair_mode, 1.0))
        if self.judgments:
            result["judgments"] = {
                task: {"num": len(rows), "accuracy": _mean([float(row) for row in rows])}
                for task, rows in sorted(self.judgments.items())
            }
        return result


def figures(problems: Sequence[ScoredProblem], *, temperature: float = 1.0) -> dict[str, Any]:
    """Pointwise figures of all programs; under `samples` those of generated programs alone."""
    result = _figures(problems, temperature)
    samples = [problem.samples() for problem in problems]
    if any(problem.has_both for problem in samples):
        result["samples"] = _figures(samples, temperature)
    return result


def _figures(problems: Sequence[ScoredProblem], temperature: float) -> dict[str, Any]:
    both = [problem for problem in problems if problem.has_both]
    log_odds = np.array([value for problem in problems for value in problem.log_odds]) / temperature
    right = np.array([value for problem in problems for value in problem.right], dtype=float)
    result: dict[str, Any] = {
        "num_problems": len(both),
        "num_programs": len(right),
        "pair_accuracy": _mean([pair_accuracy(problem.right, problem.log_odds) for problem in both]),
        "pick_rate": _mean([pick_rate(problem.right, problem.log_odds) for problem in both]),
        "pick_rate_random": _mean([sum(problem.right) / len(problem.right) for problem in both]),
        "negative_log_likelihood": negative_log_likelihood(log_odds, right) if len(right) else None,
        "calibration_error": calibration_error(log_odds, right) if len(right) else None,
    }
    known = [problem for problem in both if None not in problem.mean_log_probability]
    if known:
        picks = [pick_rate(p.right, [v for v in p.mean_log_probability if v is not None]) for p in known]
        result["pick_rate_log_probability"] = _mean(picks)
        result["num_problems_log_probability"] = len(known)
    return result


def pair_figures(pairs: Sequence[ScoredPair], *, temperature: float = 1.0) -> dict[str, Any]:
    """Pairwise figures: both orders averaged in the logit; consistent where both orders name the same program."""
    both = np.array([value for pair in pairs for value in (pair.right_first, pair.wrong_first)]) / temperature
    return {
        "num_pairs": len(pairs),
        "negative_log_likelihood": negative_log_likelihood(both, np.ones(len(both))),
        "pair_accuracy": _mean([_win(pair.right_first + pair.wrong_first) for pair in pairs]),
        "order_consistency": _mean(
            [float(np.sign(pair.right_first) == np.sign(pair.wrong_first) != 0) for pair in pairs]
        ),
    }


def pair_accuracy(right: Sequence[bool], scores: Sequence[float]) -> float:
    """Share of the right-wrong pairs of one problem in which the right one scores higher; a tie is half.

    >>> pair_accuracy([True, False, False], [0.5, 0.1, 0.9])
    0.5
    """
    rights = np.array([score for score, is_right in zip(scores, right, strict=True) if is_right])
    wrongs = np.array([score for score, is_right in zip(scores, right, strict=True) if not is_right])
    difference = rights[:, None] - wrongs[None, :]
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def pick_rate(right: Sequence[bool], scores: Sequence[float]) -> float:
    """1.0 when the best-scored program is right; of several best, the share that is.

    >>> pick_rate([True, False, False], [0.9, 0.9, 0.1])
    0.5
    """
    best = max(scores)
    return _mean([float(is_right) for score, is_right in zip(scores, right, strict=True) if score == best]) or 0.0


def negative_log_likelihood(log_odds: np.ndarray, right: np.ndarray) -> float:
    """Mean, in nats, of -log p(label)."""
    return float(np.mean(np.logaddexp(0.0, log_odds) - right * log_odds))


def calibration_error(log_odds: np.ndarray, right: np.ndarray, *, num_bins: int = 15) -> float:
    """Expected calibration error of p(right): equal-width bins, as Guo et al. 2017 (arXiv 1706.04599), equation 3.

    They bin the confidence of the predicted class; for two classes with a score each way we bin p(right) itself.
    """
    probability = _sigmoid(log_odds)
    bins = np.minimum((probability * num_bins).astype(int), num_bins - 1)
    gaps = [abs(float(np.sum(probability[bins == b] - right[bins == b]))) for b in range(num_bins)]
    return sum(gaps) / len(probability)


def fit_temperature(log_odds: Sequence[float], right: Sequence[bool]) -> float:
    """The T that makes sigmoid(log-odds / T) most likely: temperature scaling (arXiv 1706.04599, section 4.2).

    The likelihood is concave in 1 / T, so its slope is bisected, between T = 1/20 and T = 20: the edge is what scores
    that separate perfectly, or not at all, get. 1.0 without data.
    """
    scores, labels = np.asarray(log_odds, dtype=float), np.asarray(right, dtype=float)
    low, high = np.log(1 / 20), np.log(20.0)  # of the inverse temperature
    if not len(scores):
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        slope = np.sum(scores * (_sigmoid(np.exp(middle) * scores) - labels))
        low, high = (low, middle) if slope > 0 else (middle, high)
    return float(np.exp(-(low + high) / 2))


def fit_weight(rows: Sequence[tuple[float, float, float]]) -> float:
    """The w for which score gain + w * other gain tells right from wrong best; rows of (both gains, weight).

    A gain is the right program's less the wrong one's. Logistic regression through the origin on both, by Newton's
    method; w is the ratio of the two slopes. A little ridge keeps them finite where the rows separate.
    """
    gains, weights = np.array([row[:2] for row in rows]), np.array([row[2] for row in rows])
    weights = weights / weights.sum()
    slopes = np.array([1.0, 0.0])
    for _ in range(50):
        p = _sigmoid(gains @ slopes)
        gradient = gains.T @ (weights * (1 - p)) - 1e-4 * slopes
        hessian = (gains.T * (weights * p * (1 - p))) @ gains + 1e-4 * np.eye(2)
        slopes = slopes + np.clip(np.linalg.solve(hessian, gradient), -1.0, 1.0)
    return float(slopes[1] / max(slopes[0], 0.05))


def _rows(problem: ScoredProblem, temperature: float) -> list[tuple[float, float, float]]:
    """Rows for `fit_weight`: pairs of one generator's samples, each problem of weight 1."""
    rows = [
        ((problem.log_odds[a] - problem.log_odds[b]) / temperature, right - wrong)
        for a, right in enumerate(problem.mean_log_probability)
        for b, wrong in enumerate(problem.mean_log_probability)
        if problem.right[a] and not problem.right[b] and problem.generator[a] == problem.generator[b]
        if right is not None and wrong is not None
    ]
    return [(*row, 1 / len(rows)) for row in rows]


def log_probability_gain(right: Label, wrong: Label) -> float | None:
    """How much likelier the right program was to the generator of both, nats per token; None of two generators."""
    likely, less = right.mean_log_probability, wrong.mean_log_probability
    return None if likely is None or less is None or right.generator != wrong.generator else likely - less


def pair_mode(trained: str) -> str:
    """The mode of judging pairs that a mode of training teaches."""
    return "encoded-once" if trained == "encoded-once" else "pairwise"


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(values / 2))


def _win(difference: float) -> float:
    return 0.5 if difference == 0 else float(difference > 0)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None
