"""Ways of judging, by mode. An autorater turns programs into verdicts by way of an engine (rerank.backends).

    autorater = AUTORATERS["pointwise"](engine, temperature)
    autorater.score(problem, {key: program})             # [Score]
    autorater = AUTORATERS["pairwise"](engine, temperature)
    autorater.compare(problem, [(key_a, key_b)], programs)   # [Comparison]
    autorater.usage                                      # prompts and tokens so far

Programs go by key and are shown in their normal form: candidates that are the same program get the same verdict.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from rerank.autoraters.joint import Joint
from rerank.autoraters.pointwise import Pointwise
from rerank.backends import Judge, Usage
from rerank.records import Comparison, PublicProblem, Score

Pair = tuple[str, str]


class PointwiseAutorater(Protocol):
    """Judges programs one at a time."""

    usage: Usage

    def score(self, problem: PublicProblem, programs: Mapping[str, str]) -> list[Score]:
        """One score a program, in the mapping's order."""

    def score_many(self, tasks: Iterable[tuple[PublicProblem, Mapping[str, str]]]) -> Iterator[list[Score]]:
        """The scores of each problem, in order; an engine may compute several problems at a time."""


class PairwiseAutorater(Protocol):
    """Judges programs two at a time, in the order given."""

    usage: Usage

    def compare(self, problem: PublicProblem, pairs: Sequence[Pair], programs: Mapping[str, str]) -> list[Comparison]:
        """One comparison an ordered pair, in the order of `pairs`."""

    def compare_many(
        self, tasks: Iterable[tuple[PublicProblem, Sequence[Pair], Mapping[str, str]]]
    ) -> Iterator[list[Comparison]]:
        """The comparisons of each problem, in order; an engine may compute several problems at a time."""


AUTORATERS: dict[str, Callable[[Judge, float], PointwiseAutorater | PairwiseAutorater]] = {
    "pointwise": Pointwise,
    "pairwise": Joint,
}
