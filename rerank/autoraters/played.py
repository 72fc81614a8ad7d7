"""What every pairwise autorater gives back, and how it is told what to compare."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rerank.records import Comparison, Score

Pair = tuple[str, str]  # keys of two programs
Choose = Callable[[Mapping[str, float]], Sequence[Pair]]  # pairs to compare, given pointwise log-odds where known


@dataclass(frozen=True, slots=True)
class Played:
    """What was judged of one problem: each pair in both orders, and pointwise scores where they came with it."""

    comparisons: list[Comparison]
    scores: list[Score] = field(default_factory=list)
