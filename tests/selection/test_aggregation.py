"""Values from comparisons: known cases, invariance, and Bradley-Terry against an independent optimiser."""

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.records import Comparison
from rerank.selection.aggregation import AGGREGATES, borda, bradley_terry, margins, order_consistency, wins

KEYS = ("a", "b", "c", "d", "e")
ALL = pytest.mark.parametrize("aggregate", AGGREGATES.values(), ids=AGGREGATES.keys())

log_odds = st.one_of(st.none(), st.floats(-50, 50), st.sampled_from([0.0, 1e4, -1e4]))
pairs = st.sampled_from([(a, b) for a in KEYS for b in KEYS if a != b])
histories = st.lists(st.builds(lambda pair, value: Comparison("t", *pair, value), pairs, log_odds), max_size=30)


def both_orders(values: dict[tuple[str, str], float | None]) -> list[Comparison]:
    return [
        Comparison("t", *order, None if value is None else sign * value)
        for (a, b), value in values.items()
        for order, sign in (((a, b), 1), ((b, a), -1))
    ]


@ALL
@settings(deadline=None)
@given(history=histories, seed=st.integers(0, 99))
def test_order_of_keys_and_comparisons_does_not_matter(aggregate, history, seed):
    shuffle = random.Random(seed)
    keys = shuffle.sample(KEYS, len(KEYS))
    assert aggregate(keys, shuffle.sample(history, len(history))) == aggregate(KEYS, history)


@ALL
@settings(deadline=None)
@given(history=histories, names=st.permutations(KEYS))
def test_relabelling_does_not_matter(aggregate, history, names):
    rename = dict(zip(KEYS, names, strict=True))
    renamed = [Comparison("t", rename[each.first], rename[each.second], each.log_odds) for each in history]
    expected = {rename[key]: value for key, value in aggregate(KEYS, history).items()}
    assert aggregate(KEYS, renamed) == pytest.approx(expected, abs=2e-9)


@ALL
@settings(deadline=None)
@given(history=histories)
def test_swapping_every_verdict_reverses_the_values(aggregate, history):
    swapped = [Comparison("t", each.second, each.first, each.log_odds) for each in history]
    middle = 0.0 if aggregate is bradley_terry else 1.0
    values, reverse = aggregate(KEYS, history), aggregate(KEYS, swapped)
    assert all(math.isfinite(value) for value in values.values())
    assert reverse == pytest.approx({key: middle - value for key, value in values.items()}, abs=2e-9)


@ALL
@settings(deadline=None)
@given(history=histories)
def test_no_verdict_is_a_tie(aggregate, history):
    tied = [Comparison("t", each.first, each.second, each.log_odds or 0.0) for each in history]
    assert aggregate(KEYS, tied) == aggregate(KEYS, history)


@ALL
def test_without_comparisons_all_are_equal(aggregate):
    assert len(set(aggregate(KEYS, []).values())) == 1
    assert aggregate([], []) == {}
    assert set(aggregate(["a"], both_orders({("b", "c"): 1.0}))) == {"a"}, "comparisons of others are left out"


@ALL
def test_a_program_without_comparisons_stands_in_the_middle(aggregate):
    values = aggregate(["a", "b", "c"], both_orders({("a", "b"): 2.0}))
    assert values["a"] > values["c"] > values["b"]


@ALL
def test_a_bias_for_the_first_cancels(aggregate):
    biased = [Comparison("t", "a", "b", 5.0), Comparison("t", "b", "a", 3.0)]
    values = aggregate(["a", "b"], biased)
    assert values == aggregate(["a", "b"], both_orders({("a", "b"): 1.0}))
    assert values["a"] > values["b"]


def test_known_values():
    history = both_orders({("a", "b"): math.log(3), ("a", "c"): math.log(3), ("b", "c"): None})
    assert wins(["a", "b", "c"], history) == pytest.approx({"a": 2.5 / 3, "b": 1 / 3, "c": 1 / 3})
    assert borda(["a", "b", "c"], history) == pytest.approx({"a": 2 / 3, "b": 1.25 / 3, "c": 1.25 / 3})


def test_wins_and_borda_can_disagree():
    """a wins narrowly twice; b loses to a by a hair and crushes c."""
    history = both_orders({("a", "b"): 0.1, ("a", "c"): 0.1, ("b", "c"): 9.0})
    assert max(KEYS[:3], key=wins(KEYS[:3], history).__getitem__) == "a"
    assert max(KEYS[:3], key=borda(KEYS[:3], history).__getitem__) == "b"


@settings(deadline=None)
@given(values=st.lists(st.floats(-8, 8), min_size=10, max_size=10))
def test_bradley_terry_orders_a_full_round_robin_as_borda_does(values):
    """The number of points is the sufficient statistic of the model when all play equally often."""
    history = both_orders(dict(zip(itertools.combinations(KEYS, 2), values, strict=True)))
    points, strength = borda(KEYS, history), bradley_terry(KEYS, history)
    for a, b in itertools.permutations(KEYS, 2):
        if points[a] - points[b] > 1e-9:
            assert strength[a] > strength[b]


def test_bradley_terry_recovers_known_strengths():
    """Many soft verdicts that follow the model exactly: the prior's one draw is all that pulls towards 0."""
    true = {f"k{number:02d}": strength for number, strength in enumerate(np.linspace(-2, 2, 60))}
    history = both_orders({(a, b): true[a] - true[b] for a, b in itertools.combinations(true, 2)})
    assert bradley_terry(list(true), history) == pytest.approx(true, abs=0.15)


@settings(deadline=None)
@given(history=histories)
def test_bradley_terry_is_the_maximum_by_another_method(history):
    """Zermelo's fixed-point iteration (Hunter 2004, equation 3), with the prior as a draw against strength 0."""
    games = [(a, b, 1 / (1 + math.exp(-max(-700, margin)))) for (a, b), margin in margins(history).items()]
    weight = dict.fromkeys(KEYS, 1.0)
    for _ in range(3000):
        won = dict.fromkeys(KEYS, 0.5)
        played = {key: 1 / (weight[key] + 1) for key in KEYS}
        for a, b, p in games:
            won[a] += p
            won[b] += 1 - p
            for key in (a, b):
                played[key] += 1 / (weight[a] + weight[b])
        weight = {key: won[key] / played[key] for key in KEYS}
    expected = {key: math.log(weight[key]) for key in KEYS}
    assert bradley_terry(KEYS, history) == pytest.approx(expected, abs=1e-5)


def test_bradley_terry_with_a_hundred_programs_that_beat_each_other_in_a_row():
    keys = [f"{number:03d}" for number in range(100)]
    values = bradley_terry(keys, both_orders(dict.fromkeys(itertools.combinations(keys, 2), 1000000.0)))
    assert sorted(keys, key=values.__getitem__, reverse=True) == keys


@pytest.mark.parametrize(
    ("verdicts", "pairs", "disagreements", "without", "remark"),
    [
        ([], 0, 0, 0, "nothing was asked"),
        ([("a", "b", 1.0)], 0, 0, 0, "one order only"),
        ([("a", "b", 1.0), ("b", "a", -2.0)], 1, 0, 0, "the same winner"),
        ([("a", "b", 1.0), ("b", "a", 2.0)], 1, 1, 0, "always the first"),
        ([("a", "b", 0.0), ("b", "a", 0.0)], 1, 0, 0, "a tie both times"),
        ([("a", "b", 0.0), ("b", "a", 1.0)], 1, 1, 0, "a tie and a winner"),
        ([("a", "b", None), ("b", "a", 1.0)], 0, 0, 1, "no verdict in one order"),
        ([("a", "b", 1.0), ("b", "a", -1.0), ("c", "a", 1.0), ("a", "c", 1.0)], 2, 1, 0, "two pairs"),
    ],
)
def test_order_consistency(verdicts, pairs, disagreements, without, remark):
    result = order_consistency(Comparison("t", *verdict) for verdict in verdicts)
    found = (result.num_pairs, result.num_disagreements, result.num_without_verdict)
    assert found == (pairs, disagreements, without), remark
    assert result.share == (1 - disagreements / pairs if pairs else None)


def test_order_consistency_keeps_problems_apart():
    history = [Comparison("t", "a", "b", 1.0), Comparison("u", "b", "a", 1.0)]
    assert order_consistency(history).num_pairs == 0
