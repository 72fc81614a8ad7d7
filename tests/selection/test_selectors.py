"""Values to rankings: the order of ties, sharing by key, and the seam between tournament and aggregation."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.evidence.record import Evidence, by_key, distinct_keys, log_odds_by_key
from rerank.records import Candidate, Comparison, PublicProblem, Score
from rerank.selection.aggregation import AGGREGATES
from rerank.selection.selectors import SELECTORS, rank_by, rank_pairwise, select
from rerank.selection.tournaments import TOURNAMENTS

PROBLEM = PublicProblem("t", "def f():\n", "f")


def candidate(index: int, key: str | None = "k", log_probability: float | None = None, program: str = "x") -> Candidate:
    return Candidate("t", index, program, program, key, mean_log_probability=log_probability)


def order(values, candidates, **settings) -> tuple[int, ...]:
    return rank_by(values, candidates, task_id="t", selector="s", **settings).order


@pytest.mark.parametrize(
    ("values", "candidates", "expected", "remark"),
    [
        ({0: 1.0, 1: 2.0}, [candidate(0), candidate(1)], (1, 0), "the higher value"),
        ({0: 9.0, 1: 2.0}, [candidate(0, None), candidate(1)], (1, 0), "what does not parse comes last"),
        ({1: -9.0}, [candidate(0), candidate(1)], (1, 0), "no value comes after any value"),
        ({0: None, 1: -9.0}, [candidate(0), candidate(1)], (1, 0), "None is no value"),
        ({0: None}, [candidate(0, None), candidate(1)], (1, 0), "parsing counts more than a value"),
        ({}, [candidate(1), candidate(0)], (0, 1), "nothing known: the generator's order"),
        ({}, [candidate(0, log_probability=-2.0), candidate(1, log_probability=-1.0)], (1, 0), "ties: log-probability"),
        ({}, [candidate(0), candidate(1, log_probability=-9.0)], (1, 0), "ties: known log-probability first"),
        ({0: 0.0, 1: -0.0}, [candidate(0), candidate(1)], (0, 1), "both zeros are equal"),
    ],
)
def test_order(values, candidates, expected, remark):
    assert order(values, candidates) == expected, remark


def test_the_ranking_carries_values_in_its_order():
    ranking = rank_by({0: 1.0, 1: 2.0}, [candidate(0), candidate(1), candidate(2)], task_id="t", selector="s")
    assert (ranking.order, ranking.values, ranking.best) == ((1, 0, 2), (2.0, 1.0, None), 1)


def test_keys():
    candidates = [candidate(0, "b"), candidate(1, None), candidate(2, "a"), candidate(3, "b")]
    assert distinct_keys(candidates) == ["b", "a"]
    assert by_key({"a": 1.0, "b": None}, candidates) == {0: None, 1: None, 2: 1.0, 3: None}
    assert log_odds_by_key([Score("t", "a", 0.5), Score("t", "b", None, "too long")]) == {"a": 0.5, "b": None}


def test_random_and_first_use_no_judgment():
    """Else the expected pass@1 of random were not the candidates' mean."""
    candidates = [candidate(0, None), candidate(1)]
    assert select("first", PROBLEM, candidates, Evidence()).best == 0
    picks = {select("random", PROBLEM, candidates, Evidence(seed=seed)).best for seed in range(20)}
    assert picks == {0, 1}
    assert select("shortest", PROBLEM, candidates, Evidence()).best == 1


def test_log_probability_falls_back_to_first():
    ranking = select("log-probability", PROBLEM, [candidate(1), candidate(0)], Evidence())
    assert ranking.best == 0
    assert ranking.values == (None, None), "that is how a report counts it"


def test_evidence_by_key():
    candidates = [candidate(0, "a", -0.1), candidate(1, "b", -0.5), candidate(2, "b", -0.2)]
    evidence = Evidence(scores={"a": 3.0, "b": -1.0}, examples={"a": 0.5, "b": 1.0})
    assert select("pointwise", PROBLEM, candidates, evidence).order == (0, 2, 1)
    assert select("examples", PROBLEM, candidates, evidence).order == (2, 1, 0), "ties by log-probability"
    assert select("examples", PROBLEM, candidates, Evidence()).order == (0, 2, 1), "no examples: log-probability"


keys = st.one_of(st.none(), st.sampled_from("abcd"))
finite = st.one_of(st.none(), st.integers(-3, 3))


@settings(deadline=None)
@given(st.lists(st.tuples(keys, finite), min_size=1, max_size=7), st.dictionaries(st.sampled_from("abcd"), finite))
def test_the_order_of_candidates_does_not_matter(drawn, known):
    candidates = [candidate(index, key, log_probability) for index, (key, log_probability) in enumerate(drawn)]
    evidence = Evidence(scores=known, examples=known, seed=1)
    for name in SELECTORS:
        ranking = select(name, PROBLEM, candidates, evidence)
        assert ranking == select(name, PROBLEM, random.Random(0).sample(candidates, len(candidates)), evidence)
        assert sorted(ranking.order) == list(range(len(candidates)))
        assert ranking.selector == name


def pairwise(candidates, comparisons, tournament: str, aggregate: str):
    return rank_pairwise(
        PROBLEM, candidates, comparisons, tournament=TOURNAMENTS[tournament], aggregate=AGGREGATES[aggregate], seed=0
    )


def play(candidates, tournament: str, strength: dict[str, float]) -> list[Comparison]:
    given: list[Comparison] = []
    keys = distinct_keys(candidates)
    while pending := TOURNAMENTS[tournament](keys, given, task_id="t", seed=0).pending:
        given += [Comparison("t", x, y, strength[x] - strength[y]) for a, b in pending for x, y in ((a, b), (b, a))]
    return given


@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("tournament", TOURNAMENTS)
@settings(deadline=None)
@given(strengths=st.lists(st.integers(-4, 4), max_size=8), seed=st.integers(0, 99))
def test_pairwise_rankings(tournament, aggregate, strengths, seed):
    strength = {f"key{place}": float(value) for place, value in enumerate(strengths)}
    candidates = [candidate(index, key) for index, key in enumerate([*strength, None, *strength])]
    given_ = play(candidates, tournament, strength)
    ranking = pairwise(candidates, given_, tournament, aggregate)
    shuffle = random.Random(seed)
    again = shuffle.sample(candidates, len(candidates)), shuffle.sample(given_, len(given_))
    assert pairwise(*again, tournament, aggregate) == ranking
    assert ranking.num_comparisons == len(given_)
    assert ranking.order[-1] == len(strength), "the one that does not parse"
    if strengths and tournament in ("round-robin", "knockout"):  # a Swiss need not find it, nor a few by lot
        assert strength[candidates[ranking.best].key] == max(strengths)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_the_champion_of_a_knockout_comes_first(aggregate):
    """Seeds 1 to 4 by score: d wins narrowly twice, b wins its one won game by far; the aggregates disagree."""
    candidates = [candidate(index, key) for index, key in enumerate("abcd")]
    scores = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}
    margins = {("a", "d"): -0.01, ("b", "c"): 9.0, ("b", "d"): -0.01}
    given_ = [Comparison("t", *pair, value) for pair, value in margins.items()]
    given_ += [Comparison("t", *pair[::-1], -value) for pair, value in margins.items()]
    ranking = rank_pairwise(
        PROBLEM,
        candidates,
        given_,
        tournament=TOURNAMENTS["knockout"],
        aggregate=AGGREGATES[aggregate],
        seed=0,
        scores=scores,
    )
    assert [candidates[index].key for index in ranking.order[:2]] == ["d", "b"]
    assert [int(value) for value in ranking.values] == [2, 1, 0, 0], "rounds survived"


def test_comparisons_of_another_tournament_change_nothing():
    candidates = [candidate(index, key) for index, key in enumerate("abcd")]
    strength = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    own, every = play(candidates, "knockout", strength), play(candidates, "round-robin", strength)
    rest = [each for each in every if each not in own]
    assert pairwise(candidates, own + rest, "knockout", "borda") == pairwise(candidates, own, "knockout", "borda")


def test_no_program_parses():
    ranking = pairwise([candidate(0, None), candidate(1, None)], [], "round-robin", "borda")
    assert (ranking.order, ranking.num_comparisons) == ((0, 1), 0)
