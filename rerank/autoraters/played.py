"""What every pairwise autorater gives back, and how it is told what to compare."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from rerank.records import Comparison, PublicProblem, Score

T = TypeVar("T")

Pair = tuple[str, str]  # keys of two programs
Choose = Callable[[Mapping[str, float]], Sequence[Pair]]  # pairs to compare, given pointwise log-odds where known


@dataclass(frozen=True, slots=True)
class Played:
    """What was judged of one problem: each pair in both orders, and pointwise scores where they came with it."""

    comparisons: list[Comparison]
    scores: list[Score] = field(default_factory=list)


def in_both_orders(pairs: Iterable[tuple[T, T]]) -> list[tuple[T, T]]:
    return [ordered for a, b in pairs for ordered in ((a, b), (b, a))]


def play_by_pairs(
    tasks: Iterable[tuple[PublicProblem, Mapping[str, str], Choose]],
    compare_many: Callable[
        [Iterable[tuple[PublicProblem, Sequence[Pair], Mapping[str, str]]]], Iterator[list[Comparison]]
    ],
) -> Iterator[Played]:
    """`play_many` of an autorater that can only compare: nothing is known of a program before it is compared."""
    asked = ((problem, in_both_orders(choose({})), programs) for problem, programs, choose in tasks)
    return map(Played, compare_many(asked))
