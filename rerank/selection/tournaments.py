"""Which pairs to compare next: pure schedules, so that a killed run goes on to the same ranking.

    progress = TOURNAMENTS["swiss"](keys, comparisons, task_id="HumanEval/0", seed=0)
    while progress.pending:
        comparisons += ask(progress.pending)      # each pair in both orders
        progress = TOURNAMENTS["swiss"](keys, comparisons, task_id="HumanEval/0", seed=0)

A tournament is a function of the programs' keys, the comparisons so far, the problem and the seed, nothing else: it
replays its rounds from the start and stops at the first that is not fully asked. The order of keys and comparisons does
not matter. Seedings and ties are settled by a hash of (seed, task_id, key), or by `scores` (an autorater's pointwise
judgments, higher is better) and then the hash. A comparison without a verdict is a tie.

Comparisons spent for N programs, both orders counted: round-robin N(N-1); knockout 2(N-1); Swiss at most
N * ceil(log2 N); top-k a round-robin among the k best seeds, k(k-1); near-ties the same among those that the best
seed leads by little, none where it leads by more.
"""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from rerank.records import Comparison
from rerank.selection.aggregation import Pair, margins
from rerank.store import content_hash

Round = tuple[Pair, ...]
Verdict = Callable[[str, str], float]  # log-odds that the first key is better than the second, 0 for a tie


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a tournament has come."""

    rounds: tuple[Round, ...]  # every round so far, the open one included
    pending: Round  # pairs of the open round that lack an order; empty when the tournament is over
    num_comparisons: int  # spent on these rounds so far, each order counted
    tiers: Mapping[str, int] = field(default_factory=dict)  # knockout, top-k: a higher tier ranks above a lower one

    @property
    def pairs(self) -> set[Pair]:
        return {pair for pairs in self.rounds for pair in pairs}


class Tournament(Protocol):
    def __call__(
        self,
        keys: Collection[str],
        comparisons: Iterable[Comparison],
        *,
        task_id: str,
        seed: int,
        scores: Mapping[str, float | None] | None = None,
    ) -> Progress: ...


def round_robin(
    keys: Collection[str],
    comparisons: Iterable[Comparison],
    *,
    task_id: str,
    seed: int,
    scores: Mapping[str, float | None] | None = None,
) -> Progress:
    """Every pair, in one round."""
    seeds = seeding(keys, task_id=task_id, seed=seed, scores=scores)
    return _play_all(seeds, comparisons, {})


def knockout(
    keys: Collection[str],
    comparisons: Iterable[Comparison],
    *,
    task_id: str,
    seed: int,
    scores: Mapping[str, float | None] | None = None,
) -> Progress:
    """The loser of a game leaves; a tied game goes to the better seed. Seeds 1 and 2 can only meet in the last round.

    When N is not a power of two the best seeds have a bye in the first round. A tier is the rounds survived, byes
    included.
    """
    seeds = seeding(keys, task_id=task_id, seed=seed, scores=scores)
    rank = {key: position for position, key in enumerate(seeds)}
    survived = dict.fromkeys(seeds, 0)

    def rounds(verdict: Verdict) -> Iterator[list[Pair]]:
        places = _bracket(len(seeds))
        alive: list[str | None] = [seeds[place] if place < len(seeds) else None for place in places]
        while len(alive) > 1:
            games = list(zip(alive[::2], alive[1::2], strict=True))
            yield [_pair(a, b) for a, b in games if a and b]
            winners = [_winner(a, b, verdict, rank) for a, b in games]
            for key in winners:
                survived[key] += 1
            alive = list(winners)

    return _play(rounds, comparisons, survived)


def swiss(
    keys: Collection[str],
    comparisons: Iterable[Comparison],
    *,
    task_id: str,
    seed: int,
    scores: Mapping[str, float | None] | None = None,
) -> Progress:
    """ceil(log2 N) rounds; each program meets the nearest in points that it has not met (Monrad pairing).

    A win is 1 point, a tie 1/2. With odd N the last in the standing that had no bye yet has one, for 1 point.
    """
    seeds = seeding(keys, task_id=task_id, seed=seed, scores=scores)
    rank = {key: position for position, key in enumerate(seeds)}

    def rounds(verdict: Verdict) -> Iterator[list[Pair]]:
        points = dict.fromkeys([*seeds, ""], 0.0)
        met: set[Pair] = set()
        bye = [""] if len(seeds) % 2 else []  # a bye is a game against "", which stands last and always loses
        for _ in range(math.ceil(math.log2(len(seeds))) if seeds else 0):
            standing = sorted(seeds, key=lambda key: (-points[key], rank[key])) + bye
            games = _match(standing, met)
            met.update(_pair(a, b) for a, b in games)
            yield [_pair(a, b) for a, b in games if b]
            for a, b in games:
                margin = verdict(a, b) if b else 1.0
                points[a] += 0.5 if margin == 0 else float(margin > 0)
                points[b] += 0.5 if margin == 0 else float(margin < 0)

    return _play(rounds, comparisons, {})


def top(
    count: int,
    keys: Collection[str],
    comparisons: Iterable[Comparison],
    *,
    task_id: str,
    seed: int,
    scores: Mapping[str, float | None] | None = None,
) -> Progress:
    """Every pair of the `count` best seeds; the others keep their places below them. Wants `scores`."""
    return _play_best(seeding(keys, task_id=task_id, seed=seed, scores=scores), count, comparisons)


def near_ties(
    margin: float,
    limit: int,
    keys: Collection[str],
    comparisons: Iterable[Comparison],
    *,
    task_id: str,
    seed: int,
    scores: Mapping[str, float | None] | None = None,
) -> Progress:
    """Every pair of the seeds within `margin` (log-odds) of the best, `limit` at most. Wants `scores`.

    A comparison is spent where the pointwise scores leave doubt, and none where one program stands clear.
    """
    seeds = seeding(keys, task_id=task_id, seed=seed, scores=scores)
    known = [(scores or {}).get(key) for key in seeds[:limit]]
    near = [score for score in known if score is not None and known[0] is not None and score >= known[0] - margin]
    return _play_best(seeds, len(near), comparisons)


TOURNAMENTS: dict[str, Tournament] = {
    "round-robin": round_robin,
    "knockout": knockout,
    "swiss": swiss,
    "top-2": partial(top, 2),
    "top-4": partial(top, 4),
    "near-ties": partial(near_ties, 0.25, 6),  # chosen on dev: results/tournament
}


def seeding(
    keys: Collection[str], *, task_id: str, seed: int, scores: Mapping[str, float | None] | None = None
) -> list[str]:
    """The distinct keys, best seed first: by score where there is one, then by hash."""
    known = {key: score for key, score in (scores or {}).items() if score is not None}
    return sorted(set(keys), key=lambda key: (-known.get(key, -math.inf), content_hash(seed, task_id, key)))


def _play_all(players: Sequence[str], comparisons: Iterable[Comparison], tiers: Mapping[str, int]) -> Progress:
    """One round of every pair."""

    def rounds(verdict: Verdict) -> Iterator[list[Pair]]:  # noqa: ARG001 - one round, whatever the verdicts
        if len(players) > 1:
            yield [_pair(a, b) for position, a in enumerate(players) for b in players[position + 1 :]]

    return _play(rounds, comparisons, tiers)


def _play_best(seeds: Sequence[str], count: int, comparisons: Iterable[Comparison]) -> Progress:
    """One round of every pair of the `count` best seeds; the others keep their places below them."""
    tiers = {key: -max(0, position - count + 1) for position, key in enumerate(seeds)}
    return _play_all(seeds[:count], comparisons, tiers)


def _play(
    rounds: Callable[[Verdict], Iterator[list[Pair]]], comparisons: Iterable[Comparison], tiers: Mapping[str, int]
) -> Progress:
    """Replay the rounds up to the first that lacks a comparison; `verdict` is asked about whole rounds only."""
    given = list(comparisons)
    asked = {(comparison.first, comparison.second) for comparison in given}
    log_odds = margins(given)

    def verdict(a: str, b: str) -> float:
        return log_odds[a, b] if a < b else -log_odds[b, a]

    begun: list[Round] = []
    pending: Round = ()
    for pairs in rounds(verdict):
        begun.append(tuple(pairs))
        pending = tuple((a, b) for a, b in pairs if (a, b) not in asked or (b, a) not in asked)
        if pending:
            break
    spent = sum(((a, b) in asked) + ((b, a) in asked) for pairs in begun for a, b in pairs)
    return Progress(tuple(begun), pending, spent, tiers)


def _pair(a: str, b: str) -> Pair:
    return (a, b) if a < b else (b, a)


def _bracket(num_seeds: int) -> list[int]:
    """Places of the seeds in a bracket, 0 the best: neighbours meet, and the best meet last.

    >>> _bracket(5)
    [0, 7, 3, 4, 1, 6, 2, 5]
    """
    places = [0]
    while len(places) < num_seeds:
        size = 2 * len(places)
        places = [place for better in places for place in (better, size - 1 - better)]
    return places


def _winner(a: str | None, b: str | None, verdict: Verdict, rank: Mapping[str, int]) -> str:
    if a is None or b is None:
        walkover = a or b
        assert walkover is not None  # more than half of the bracket's places are taken, so that no two byes meet
        return walkover
    margin = verdict(a, b)
    if margin == 0:
        return min(a, b, key=rank.__getitem__)
    return a if margin > 0 else b


def _match(standing: Sequence[str], met: Collection[Pair]) -> list[tuple[str, str]]:
    """Pair each, from the top, with the nearest below it that it has not met, backing up where that leaves no rest.

    A whole pairing always exists: before the last of ceil(log2 N) rounds each has met fewer than half of the others
    (Dirac's theorem on the graph of those who have not met).
    """
    if not standing:
        return []
    top, *others = standing
    for position, other in enumerate(others):
        if _pair(top, other) not in met:
            try:
                return [(top, other), *_match(others[:position] + others[position + 1 :], met)]
            except LookupError:
                continue
    raise LookupError("everyone left has met")
