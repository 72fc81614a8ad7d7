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
from dataclasses import dataclass, replace
from typing import Literal

from rerank.evidence import likelihoods
from rerank.evidence.agreement import AGREEMENTS, Agreement
from rerank.evidence.likelihoods import VALUES
from rerank.evidence.record import Evidence, by_key, distinct_keys
from rerank.records import Candidate, Comparison, PublicProblem, Ranking
from rerank.selection import posterior
from rerank.selection.aggregation import AGGREGATES, Aggregate
from rerank.selection.baselines import BASELINES
from rerank.selection.tournaments import Tournament

EvidenceKind = Literal["log-probability", "examples", "inputs", "tests", "likelihoods", "scores", "comparisons"]
EXECUTED: frozenset[EvidenceKind] = frozenset({"examples", "inputs", "tests"})  # made by running the candidates

Rank = Callable[[PublicProblem, Sequence[Candidate], Evidence], Ranking]


@dataclass(frozen=True, slots=True)
class Selector:
    """All facts of one selector; command line, reports, costs and the server's checks derive from them."""

    rank: Rank
    needs: frozenset[EvidenceKind] = frozenset()  # without these it has a value for no program
    uses: frozenset[EvidenceKind] = frozenset()  # and these it takes where they are at hand
    is_autorater: bool = True  # --autorater takes its name; the others come with a model's judgments
    # Without a growth curve: what is the same at every n up to noise, and what values a program by which others there
    # are, so that the ranking of all does not say what would be chosen among some.
    has_growth: bool = True

    @property
    def executes(self) -> bool:
        """Whether it asks for the candidates to be run."""
        return bool((self.needs | self.uses) & EXECUTED)


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


def _agreement(name: str, agreement: Agreement, needs: frozenset[EvidenceKind]) -> Rank:
    """A published selector: those that need written tests see these alone, as published, the others every input."""

    def rank(problem: PublicProblem, candidates: Sequence[Candidate], evidence: Evidence) -> Ranking:
        tried = evidence.written if "tests" in needs else evidence.behaviour
        counts = Counter(each.key for each in candidates if each.key is not None)
        values = agreement(tried, counts) if tried else {}
        return rank_by(by_key(values, candidates), candidates, task_id=problem.task_id, selector=name)

    return rank


def _likelihood(name: str) -> Rank:
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
    return _rank_beliefs(problem, candidates, posterior.believe(candidates, evidence, model or posterior.read_model()))


def rank_guarded(
    problem: PublicProblem,
    candidates: Sequence[Candidate],
    evidence: Evidence,
    model: posterior.Model | None = None,
) -> Ranking:
    """As the posterior ranks, with the generator's own choice before all unless another is surely better."""
    model = model or posterior.read_model()
    beliefs = posterior.believe(candidates, evidence, model)
    ranking = _rank_beliefs(problem, candidates, beliefs)
    choice = posterior.choose(candidates, beliefs, model, confidence=evidence.confidence, greedy=evidence.greedy)
    order = (choice.index, *(index for index in ranking.order if index != choice.index))
    values = dict(zip(ranking.order, ranking.values, strict=True))
    return Ranking(problem.task_id, "posterior+guard", order, tuple(values[index] for index in order))


def _rank_beliefs(
    problem: PublicProblem, candidates: Sequence[Candidate], beliefs: Mapping[str, posterior.Belief]
) -> Ranking:
    values = by_key({key: belief.log_odds for key, belief in beliefs.items()}, candidates)
    return rank_by(values, candidates, task_id=problem.task_id, selector="posterior")


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


def _baseline(name: str) -> Rank:
    def rank(problem: PublicProblem, candidates: Sequence[Candidate], evidence: Evidence) -> Ranking:
        values = BASELINES[name](candidates, task_id=problem.task_id, seed=evidence.seed)
        judges_nothing = name in ("random", "first")
        return rank_by(values, candidates, task_id=problem.task_id, selector=name, unparsed_last=not judges_nothing)

    return rank


def rank_borda(problem: PublicProblem, candidates: Sequence[Candidate], evidence: Evidence) -> Ranking:
    """By the comparisons at hand, whatever the tournament was."""
    values: dict[str, float | None] = {**AGGREGATES["borda"](distinct_keys(candidates), evidence.comparisons)}
    return rank_by(by_key(values, candidates), candidates, task_id=problem.task_id, selector="borda")


_TESTS: frozenset[EvidenceKind] = frozenset({"tests"})
_BEHAVIOUR: frozenset[EvidenceKind] = frozenset({"inputs"})
_OF_AGREEMENT = {"codet": _TESTS, "srank": _TESTS}  # as published; the others see every input at hand
_ALL: frozenset[EvidenceKind] = frozenset({"log-probability", "examples", "inputs", "tests", "scores", "comparisons"})

# In the order of a report's rows.
SELECTORS: dict[str, Selector] = {
    name: Selector(
        _baseline(name),
        needs=frozenset({"log-probability"}) if name == "log-probability" else frozenset(),
        has_growth=name not in ("random", "first"),
    )
    for name in BASELINES
}
SELECTORS["examples"] = Selector(rank_examples, needs=frozenset({"examples"}))
for _name, _values in AGREEMENTS.items():
    _needs = _OF_AGREEMENT.get(_name, _BEHAVIOUR)
    SELECTORS[_name] = Selector(_agreement(_name, _values, _needs), needs=_needs, has_growth=False)
for _name in VALUES:
    SELECTORS[_name] = Selector(_likelihood(_name), needs=frozenset({"likelihoods"}))
SELECTORS["posterior"] = Selector(rank_posterior, uses=_ALL, has_growth=False)
SELECTORS["posterior+guard"] = Selector(rank_guarded, uses=_ALL, has_growth=False)
SELECTORS["pointwise"] = Selector(rank_pointwise, needs=frozenset({"scores"}), is_autorater=False)
SELECTORS["borda"] = Selector(rank_borda, needs=frozenset({"comparisons"}), is_autorater=False)

# Autoraters by name that need no model; the posterior takes a model's scores where there are some.
MODEL_FREE = tuple(name for name, selector in SELECTORS.items() if selector.is_autorater)


def has_growth(name: str) -> bool:
    """Whether a ranking of all candidates says what would be chosen among some; also of a model's own rankings."""
    return name not in SELECTORS or SELECTORS[name].has_growth


def select(name: str, problem: PublicProblem, candidates: Sequence[Candidate], evidence: Evidence) -> Ranking:
    """The ranking of one problem's candidates by the selector called `name`, one of SELECTORS."""
    return SELECTORS[name].rank(problem, candidates, evidence)
