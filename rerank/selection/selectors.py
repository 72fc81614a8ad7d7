"""Evidence to a ranking: the one place where values become an order over candidates.

A selector sees a PublicProblem, its candidates and Evidence; no outcome and no hidden test can reach it by type.

    select("examples", problem.public, candidates, evidence).best      # the index of its choice

The order is always: programs that parse before those that do not; those with a value before those without; the higher
value; the higher mean log-probability; the lower index. Candidates with one key share what is known of that key. Only
`random` and `first` let a program that does not parse win, since they stand for using no judgment at all: so the
expected pass@1 of `random` is the candidates' mean, and `first` is what the generator said first.

The order in which candidates, scores and comparisons are given never matters.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from rerank.evidence import likelihoods
from rerank.evidence.agreement import AGREEMENTS, Agreement
from rerank.evidence.likelihoods import VALUES
from rerank.evidence.record import Evidence, by_key, distinct_keys
from rerank.records import Candidate, Comparison, PublicProblem, Ranking
from rerank.selection import posterior
from rerank.selection.aggregation import AGGREGATES, Aggregate
from rerank.selection.baselines import BASELINES
from rerank.selection.tournaments import Tournament

# No curve: the same at every n, up to noise; and what a program is worth depends on which others there are, so that the
# ranking of all does not say what would be chosen among some.
_WITHOUT_GROWTH = ("random", "first", *AGREEMENTS, "posterior", "posterior+guard")
# Autoraters by name that need no model; the posterior takes a model's scores where there are some.
MODEL_FREE = (*BASELINES, "examples", *AGREEMENTS, *VALUES, "posterior", "posterior+guard")

NEED_TESTS = ("codet", "srank")  # selectors that have nothing to go by without written tests
NEED_LIKELIHOODS = tuple(likelihoods.VALUES)  # and without a reviewer
Selector = Callable[[PublicProblem, Sequence[Candidate], Evidence], Ranking]


def rank_by(
    values: Mapping[int, float | None],
    candidates: Sequence[Candidate],
    *,
    task_id: str,
    selector: str,
    num_comparisons: int = 0,
    unparsed_last: bool = True,
) -> Ranking:
    """Order candidates by `values` (by candidate index, higher is better), as the head of this module says."""

    def place(candidate: Candidate) -> tuple[bool, float, float, int]:
        value, log_probability = values.get(candidate.index), candidate.mean_log_probability
        return (
            unparsed_last and candidate.key is None,
            math.inf if value is None else -value,
            math.inf if log_probability is None else -log_probability,
            candidate.index,
        )

    order = tuple(candidate.index for candidate in sorted(candidates, key=place))
    return Ranking(task_id, selector, order, tuple(values.get(index) for index in order), num_comparisons)


def rank_pointwise(problem: PublicProblem, candidates: Sequence[Candidate], evidence: Evidence) -> Ranking:
    """By the autorater's pointwise score."""
    values = by_key(evidence.scores, candidates)
    return rank_by(values, candidates, task_id=problem.task_id, selector="pointwise")


def rank_examples(problem: PublicProblem, candidates: Sequence[Candidate], evidence: Evidence) -> Ranking:
    """By the share of the docstring's examples passed."""
    values = by_key(evidence.examples, candidates)
    return rank_by(values, candidates, task_id=problem.task_id, selector="examples")


def _agreement(name: str, agreement: Agreement) -> Selector:
    """A published selector: those that need written tests see these alone, as published, the others every input."""

    def rank(problem: PublicProblem, candidates: Sequence[Candidate], evidence: Evidence) -> Ranking:
        tried = evidence.written if name in NEED_TESTS else evidence.behaviour
        counts = Counter(each.key for each in candidates if each.key is not None)
        values = agreement(tried, counts) if tried else {}
        return rank_by(by_key(values, candidates), candidates, task_id=problem.task_id, selector=name)

    return rank


def _likelihood(name: str) -> Selector:
    def rank(problem: PublicProblem, candidates: Sequence[Candidate], evidence: Evidence) -> Ranking:
        values = likelihoods.values_of(name, evidence.likelihoods)
        return rank_by(by_key(values, candidates), candidates, task_id=problem.task_id, selector=name)

    return rank


def rank_posterior(
    problem: PublicProblem,
    candidates: Sequence[Candidate],
    evidence: Evidence,
    model: posterior.Model | None = None,
) -> Ranking:
    """By the log-odds that the program is right, given all evidence at hand."""
    beliefs = posterior.believe(candidates, evidence, model or posterior.read_model())
    values = by_key({key: belief.log_odds for key, belief in beliefs.items()}, candidates)
    return rank_by(values, candidates, task_id=problem.task_id, selector="posterior")


def rank_guarded(
    problem: PublicProblem,
    candidates: Sequence[Candidate],
    evidence: Evidence,
    model: posterior.Model | None = None,
) -> Ranking:
    """As the posterior ranks, with the generator's own choice before all unless another is surely better."""
    model = model or posterior.read_model()
    ranking = rank_posterior(problem, candidates, evidence, model)
    beliefs = posterior.believe(candidates, evidence, model)
    choice = posterior.choose(candidates, beliefs, model, confidence=evidence.confidence, greedy=evidence.greedy)
    order = (choice.index, *(index for index in ranking.order if index != choice.index))
    values = dict(zip(ranking.order, ranking.values, strict=True))
    return Ranking(problem.task_id, "posterior+guard", order, tuple(values[index] for index in order))


def rank_pairwise(
    problem: PublicProblem,
    candidates: Sequence[Candidate],
    comparisons: Iterable[Comparison],
    *,
    tournament: Tournament,
    aggregate: Aggregate,
    seed: int,
    scores: Mapping[str, float | None] | None = None,
    selector: str = "pairwise",
) -> Ranking:
    """By what the tournament's own comparisons add up to; others among `comparisons` are left out.

    In a knockout programs play different numbers of games against unequal opponents, so no aggregate of them need put
    the champion first. There, and where only the best seeds play, the tournament's tiers come first and the aggregate
    only orders those of one tier: the value is the tier, plus a fraction below 1 that grows with the aggregate.
    """
    keys = distinct_keys(candidates)
    given = list(comparisons)
    progress = tournament(keys, given, task_id=problem.task_id, seed=seed, scores=scores)
    played = progress.pairs
    own = [each for each in given if tuple(sorted((each.first, each.second))) in played]
    values = aggregate(keys, own)
    if progress.tiers:
        levels = sorted(set(values.values()))
        values = {key: progress.tiers[key] + levels.index(value) / len(levels) for key, value in values.items()}
    return rank_by(
        by_key(values, candidates),
        candidates,
        task_id=problem.task_id,
        selector=selector,
        num_comparisons=progress.num_comparisons,
    )


def add_log_probability(
    ranking: Ranking,
    candidates: Sequence[Candidate],
    weight: float,
) -> Ranking:
    """Rank by the values plus `weight` times the mean log-probability (nats a token) that every candidate has."""
    gains = _gains(candidates, weight)
    values = {
        index: None if value is None else value + gains[index]
        for index, value in zip(ranking.order, ranking.values, strict=True)
    }
    return rank_by(values, candidates, task_id=ranking.task_id, selector=with_log_probability(ranking.selector))


def shifted(comparisons: Iterable[Comparison], candidates: Sequence[Candidate], weight: float) -> list[Comparison]:
    """Comparisons to which the difference in mean log-probability is added: a key's is the best of its candidates'."""
    gains = _gains(candidates, weight)
    best: dict[str, float] = {}
    for each in candidates:
        if each.key is not None:
            best[each.key] = max(gains[each.index], best.get(each.key, -math.inf))
    return [
        replace(each, log_odds=(each.log_odds or 0.0) + best[each.first] - best[each.second]) for each in comparisons
    ]


def with_log_probability(selector: str) -> str:
    """The name of a selector to which log-probability was added."""
    return f"{selector}+log-probability"


def _gains(candidates: Sequence[Candidate], weight: float) -> dict[int, float]:
    return {each.index: weight * (each.mean_log_probability or 0.0) for each in candidates}


def _baseline(name: str) -> Selector:
    def rank(problem: PublicProblem, candidates: Sequence[Candidate], evidence: Evidence) -> Ranking:
        values = BASELINES[name](candidates, task_id=problem.task_id, seed=evidence.seed)
        judges_nothing = name in ("random", "first")
        return rank_by(values, candidates, task_id=problem.task_id, selector=name, unparsed_last=not judges_nothing)

    return rank


def rank_borda(problem: PublicProblem, candidates: Sequence[Candidate], evidence: Evidence) -> Ranking:
    """By the comparisons at hand, whatever the tournament was."""
    values: dict[str, float | None] = {**AGGREGATES["borda"](distinct_keys(candidates), evidence.comparisons)}
    return rank_by(by_key(values, candidates), candidates, task_id=problem.task_id, selector="borda")


SELECTORS: dict[str, Selector] = {
    **{name: _baseline(name) for name in BASELINES},
    "examples": rank_examples,
    "pointwise": rank_pointwise,
    "borda": rank_borda,
    **{name: _agreement(name, agreement) for name, agreement in AGREEMENTS.items()},
    **{name: _likelihood(name) for name in NEED_LIKELIHOODS},
    "posterior": rank_posterior,
    "posterior+guard": rank_guarded,
}


def select(name: str, problem: PublicProblem, candidates: Sequence[Candidate], evidence: Evidence) -> Ranking:
    """The ranking of one problem's candidates by the selector called `name`, one of SELECTORS."""
    return SELECTORS[name](problem, candidates, evidence)
