"""Schedules: what they ask, that they end, what they cost, and that nothing but their arguments matters."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.records import Comparison
from rerank.selection.tournaments import TOURNAMENTS, Progress, Tournament, knockout, round_robin, seeding, swiss

TASK = "HumanEval/0"
ALL = pytest.mark.parametrize("tournament", TOURNAMENTS.values(), ids=TOURNAMENTS.keys())


def keys_of(num_keys: int) -> list[str]:
    return [f"{number:03d}" for number in range(num_keys)]


def compare(first: str, second: str, strength: dict[str, float | None]) -> Comparison:
    """An autorater with a strength per key; no verdict on a key without one, and a bias towards the first."""
    one, other = strength[first], strength[second]
    return Comparison(TASK, first, second, None if one is None or other is None else one - other + 0.1)


def play(
    tournament: Tournament,
    keys: list[str],
    strength: dict[str, float | None],
    *,
    seed: int = 0,
    scores: dict[str, float | None] | None = None,
    shuffle: random.Random | None = None,
) -> tuple[Progress, list[Comparison]]:
    """Play to the end. With `shuffle`, a killed and muddled run: one comparison a call, keys and history reordered."""
    given: list[Comparison] = []
    while True:
        if shuffle:
            keys = shuffle.sample(keys, len(keys))
            given = shuffle.sample(given, len(given))
        progress = tournament(keys, given, task_id=TASK, seed=seed, scores=scores)
        if not progress.pending:
            return progress, given
        asked = {(each.first, each.second) for each in given}
        wanted = [order for a, b in progress.pending for order in ((a, b), (b, a)) if order not in asked]
        given = given + [compare(*order, strength) for order in (shuffle.sample(wanted, 1) if shuffle else wanted)]


@ALL
@settings(deadline=None)
@given(num_keys=st.integers(0, 17), seed=st.integers(0, 3), data=st.data())
def test_a_killed_and_reordered_run_plays_the_same_rounds(tournament, num_keys, seed, data):
    keys = keys_of(num_keys)
    strength = {key: data.draw(st.one_of(st.none(), st.integers(-2, 2))) for key in keys}
    whole, asked = play(tournament, keys, strength, seed=seed)
    broken, asked_then = play(tournament, keys, strength, seed=seed, shuffle=random.Random(seed))
    assert broken == whole
    assert sorted(map(repr, asked)) == sorted(map(repr, asked_then))
    assert whole.num_comparisons == len(asked) == 2 * len(whole.pairs)


@ALL
@pytest.mark.parametrize("num_keys", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 33, 64, 100])
def test_number_of_comparisons(tournament, num_keys):
    keys = keys_of(num_keys)
    progress, _ = play(tournament, keys, dict.fromkeys(keys, 0.0))
    rounds = math.ceil(math.log2(num_keys)) if num_keys else 0
    cost = {
        round_robin: num_keys * (num_keys - 1),
        knockout: 2 * max(0, num_keys - 1),
        swiss: rounds * (num_keys - num_keys % 2),
        TOURNAMENTS["top-2"]: 2 if num_keys > 1 else 0,
        TOURNAMENTS["top-4"]: min(num_keys, 4) * max(0, min(num_keys, 4) - 1),
        TOURNAMENTS["near-ties"]: 0,  # no scores, so no leader
    }
    assert progress.num_comparisons == cost[tournament]
    assert sum(map(len, progress.rounds)) == len(progress.pairs), "a pair met twice"


@pytest.mark.parametrize("tournament", [knockout, swiss])
@pytest.mark.parametrize("num_keys", range(2, 12))
def test_nobody_plays_twice_in_a_round(tournament, num_keys):
    keys = keys_of(num_keys)
    progress, _ = play(tournament, keys, {key: float(place) for place, key in enumerate(keys)})
    for pairs in progress.rounds:
        players = [key for pair in pairs for key in pair]
        assert len(set(players)) == len(players)


@pytest.mark.parametrize("num_keys", range(8))
def test_only_the_best_seeds_play_a_top(num_keys):
    keys = keys_of(num_keys)
    scores = {key: -float(place) for place, key in enumerate(keys)}
    progress, _ = play(TOURNAMENTS["top-4"], keys, dict.fromkeys(keys, 0.0), scores=scores)
    assert {key for pair in progress.pairs for key in pair} == (set(keys[:4]) if num_keys > 1 else set())
    assert progress.num_comparisons == min(num_keys, 4) * (min(num_keys, 4) - 1)
    assert list(progress.tiers.values()) == [0, 0, 0, 0, -1, -2, -3][:num_keys]


@pytest.mark.parametrize(
    ("scores", "players"),
    [
        ([2.0, 1.7, 1.6], 0),  # the best stands clear
        ([2.0, 1.875, 1.75, 1.7], 3),  # it leads the third by exactly the margin
        ([2.0, None, 1.9, None], 2),
        ([None, None], 0),
        ([0.5] * 9, 6),  # the limit
    ],
)
def test_near_ties_are_played_and_no_others(scores, players):
    keys = keys_of(len(scores))
    given = dict(zip(keys, scores, strict=True))
    progress, _ = play(TOURNAMENTS["near-ties"], keys, dict.fromkeys(keys, 0.0), scores=given)
    assert len({key for pair in progress.pairs for key in pair}) == players
    assert progress.num_comparisons == players * max(0, players - 1)


@settings(deadline=None)
@given(num_keys=st.integers(1, 20), seed=st.integers(0, 9))
def test_the_best_wins_a_knockout_whatever_the_seeding(num_keys, seed):
    keys = keys_of(num_keys)
    progress, _ = play(knockout, keys, {key: float(place) for place, key in enumerate(keys)}, seed=seed)
    champion = max(progress.tiers, key=lambda key: progress.tiers[key])
    assert champion == keys[-1]
    assert list(progress.tiers.values()).count(len(progress.rounds)) == 1


def test_a_tied_knockout_goes_to_the_seeds():
    keys = keys_of(6)
    seeds = seeding(keys, task_id=TASK, seed=3)
    progress, _ = play(knockout, keys, dict.fromkeys(keys), seed=3)  # no verdict on anything
    assert max(progress.tiers, key=lambda key: progress.tiers[key]) == seeds[0]
    assert {seeds[0], seeds[1]} == set(progress.rounds[-1][0]), "the two best seeds meet last"


def test_a_tie_after_an_upset_goes_to_the_better_seed():
    keys = keys_of(4)
    scores = {"000": 4.0, "001": 3.0, "002": 2.0, "003": 1.0}
    verdicts = {("000", "003"): -1.0, ("001", "002"): 1.0, ("001", "003"): 0.0}
    given = [Comparison(TASK, a, b, value) for (a, b), value in verdicts.items()]
    given += [Comparison(TASK, b, a, -value) for (a, b), value in verdicts.items()]
    progress = knockout(keys, given, task_id=TASK, seed=0, scores=scores)
    assert not progress.pending
    assert progress.tiers == {"000": 0, "001": 2, "002": 0, "003": 1}


def test_the_best_seeds_have_the_byes():
    keys = keys_of(5)
    scores = {"000": 0.0, "001": 4.0, "002": None, "003": 1.0, "004": -1.0}
    progress, _ = play(knockout, keys, dict.fromkeys(keys, 0.0), scores=scores)
    assert seeding(keys, task_id=TASK, seed=0, scores=scores) == ["001", "003", "000", "004", "002"]
    assert progress.rounds[0] == (("002", "004"),)


@pytest.mark.parametrize("num_keys", [3, 5, 7, 9, 15])
def test_no_second_bye_in_a_swiss_tournament(num_keys):
    keys = keys_of(num_keys)
    progress, _ = play(swiss, keys, {key: float(place) for place, key in enumerate(keys)})
    byes = [key for pairs in progress.rounds for key in set(keys) - {key for pair in pairs for key in pair}]
    assert len(byes) == len(set(byes)) == len(progress.rounds)


def test_swiss_pairs_winners_with_winners():
    keys = keys_of(8)
    strength = {key: float(place) for place, key in enumerate(keys)}
    progress, _ = play(swiss, keys, strength)
    winners = {max(pair) for pair in progress.rounds[0]}
    assert all((a in winners) == (b in winners) for a, b in progress.rounds[1])


def test_the_seed_and_the_task_change_the_draw():
    keys = keys_of(8)
    draws = {tuple(seeding(keys, task_id=task, seed=seed)) for task in ("a", "b") for seed in range(3)}
    assert len(draws) == 6
    assert seeding([*keys, *keys], task_id="a", seed=0) == seeding(keys[::-1], task_id="a", seed=0)


@ALL
def test_comparisons_of_others_are_not_counted(tournament):
    keys = keys_of(4)
    strength = dict.fromkeys([*keys, "other"], 0.0)
    progress, asked = play(tournament, keys, strength)
    more = [*asked, compare("other", "000", strength), compare("000", "other", strength)]
    assert tournament(keys, more, task_id=TASK, seed=0) == progress
