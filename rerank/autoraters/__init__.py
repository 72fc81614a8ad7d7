"""Ways of judging, by mode. An autorater turns programs into verdicts by way of an engine (rerank.backends).

    autorater = AUTORATERS["pointwise"](engine, card)
    autorater.score(problem, {key: program})                 # [Score]
    autorater = AUTORATERS["pairwise"](engine, card)
    autorater.play_many([(problem, programs, choose)])       # a Played for each: the pairs that `choose` names
    autorater.usage                                          # prompts and tokens so far

Programs go by key and are shown in their normal form: candidates that are the same program get the same verdict.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from rerank.autoraters.encoded_once import EncodedOnce
from rerank.autoraters.joint import Joint
from rerank.autoraters.played import Choose, Played
from rerank.autoraters.pointwise import Pointwise
from rerank.autoraters.reasoning import Reasoning
from rerank.backends.interface import Usage
from rerank.errors import SettingError
from rerank.records import PublicProblem, Score


class PointwiseAutorater(Protocol):
    """Judges programs one at a time."""

    usage: Usage

    def score(self, problem: PublicProblem, programs: Mapping[str, str]) -> list[Score]:
        """One score a program, in the mapping's order."""

    def score_many(self, tasks: Iterable[tuple[PublicProblem, Mapping[str, str]]]) -> Iterator[list[Score]]:
        """The scores of each problem, in order; an engine may compute several problems at a time."""


class PairwiseAutorater(Protocol):
    """Judges programs two at a time, in both orders."""

    usage: Usage

    def play_many(self, tasks: Iterable[tuple[PublicProblem, Mapping[str, str], Choose]]) -> Iterator[Played]:
        """What was judged of each problem, in order; an engine may compute several problems at a time."""


AUTORATERS: dict[str, Callable[..., Any]] = {
    "pointwise": Pointwise,
    "pairwise": Joint,
    "encoded-once": EncodedOnce,
    "reasoning": Reasoning,
}


def backend_for(mode: str, backend: str) -> str:
    """The engine to judge with. Raises SettingError where it takes whole prompts only and the mode needs more."""
    if mode != "encoded-once" or backend == "transformers":
        return backend
    if backend == "auto":
        return "transformers"
    raise SettingError(f"--mode encoded-once needs --backend transformers; {backend} judges pointwise and pairwise")
