"""Reasoning: the autorater writes an evaluation of two programs and ends it in [[A]] or [[B]]; several samples vote.

As Self-Taught Evaluators (arXiv 2408.02666) judge: an evaluation plan, the plan carried out on both answers, a verdict;
at inference the majority of k samples. What holds no verdict is a vote for neither, and is counted.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import tee
from typing import Literal

from rerank import prompts
from rerank.autoraters.played import Choose, Pair, Played, play_by_pairs
from rerank.backends.interface import GenerationRequest, SampleSource, Sampling, Usage
from rerank.candidates.programs import normal_form
from rerank.models.scorer_card import UNTRAINED, ScorerCard
from rerank.records import Comparison, PublicProblem

Verdict = Literal["A", "B"]

SAMPLING = Sampling(temperature=0.7, top_p=0.9, max_tokens=1024)  # the paper's, but for its 4,096 tokens

PLAN = (
    "\n\nFirst write an evaluation plan: the points on which an answer to exactly this can fail, and how you will "
    "check each. Then carry the plan out on A and on B in turn, quoting what you rely on. Neither the order nor the "
    "length of the two counts. End with your verdict on a line of its own: [[A]] if A is better, [[B]] if B is.\n"
)


def sampling_for(num_votes: int, *, max_tokens: int = SAMPLING.max_tokens, seed: int = 0) -> Sampling:
    """One vote is the likeliest text; several are drawn as the paper draws them."""
    heat = SAMPLING.temperature if num_votes > 1 else 0.0
    return replace(SAMPLING, temperature=heat, max_tokens=max_tokens, seed=seed)


def judge_text(segments: Sequence[str]) -> str:
    """A pair's prompt (see `prompts.pairwise`, `prompts.judgment`) as a request to reason first.

    The last segment, which asks for the bare answer, gives way to the request for a plan.
    """
    return "".join(segments[:-1]).rstrip() + PLAN


def pair_text(problem: PublicProblem, first: str, second: str) -> str:
    return judge_text(prompts.pairwise(problem, first, second).segments)


def read_verdict(text: str) -> Verdict | None:
    """The verdict that a text ends in: its last [[A]] or [[B]]; None without one, or where the two stand side by side.

    >>> read_verdict("Plan: ... B fails on []. [[A]]"), read_verdict("Either [[A]] or [[B]]"), read_verdict("A")
    ('A', None, None)
    """
    found = list(re.finditer(r"\[\[\s*([ABab])\s*\]\]", text))
    if not found:
        return None
    last = found[-1]
    if len(found) > 1 and found[-2][1].upper() != last[1].upper():
        between = text[found[-2].end() : last.start()]
        # The two answers offered in one breath, as a copy of the question does, decide nothing.
        if "\n" not in between.strip(" ") and len(between) < 40:
            return None
    return "A" if last[1].upper() == "A" else "B"


@dataclass(frozen=True, slots=True)
class Votes:
    """What k samples said of one ordered pair."""

    num_first: int
    num_second: int
    num_unparsed: int

    @property
    def log_odds(self) -> float | None:
        """Of the first being better, half a vote added to each side; None without a single verdict."""
        if not self.num_first + self.num_second:
            return None
        return math.log((self.num_first + 0.5) / (self.num_second + 0.5))


def count_votes(texts: Sequence[str]) -> Votes:
    verdicts = [read_verdict(text) for text in texts]
    return Votes(verdicts.count("A"), verdicts.count("B"), verdicts.count(None))


class Reasoning:
    """Compares programs by majority vote of `num_votes` judgments; `usage` and `num_unparsed` count what it cost."""

    def __init__(
        self,
        source: SampleSource,
        _card: ScorerCard = UNTRAINED,  # votes need no temperature
        *,
        num_votes: int = 1,
        sampling: Sampling | None = None,
        seed: int = 0,
    ):
        self._source = source
        self._num_votes = num_votes
        self._sampling = sampling or sampling_for(num_votes, seed=seed)
        self.usage = Usage()
        self.num_unparsed = 0

    def compare(self, problem: PublicProblem, pairs: Sequence[Pair], programs: Mapping[str, str]) -> list[Comparison]:
        [comparisons] = self.compare_many([(problem, pairs, programs)])
        return comparisons

    def play_many(self, tasks: Iterable[tuple[PublicProblem, Mapping[str, str], Choose]]) -> Iterator[Played]:
        return play_by_pairs(tasks, self.compare_many)

    def compare_many(
        self, tasks: Iterable[tuple[PublicProblem, Sequence[Pair], Mapping[str, str]]]
    ) -> Iterator[list[Comparison]]:
        shown = (
            (problem, pairs, {key: normal_form(program) for key, program in programs.items()})
            for problem, pairs, programs in tasks
        )
        to_judge, to_report = tee(shown)
        requests = (
            GenerationRequest(f"{problem.task_id} {a} {b}", pair_text(problem, first, second), is_chat=True)
            for problem, pairs, texts in to_judge
            for a, b in pairs
            if (first := texts[a]) is not None and (second := texts[b]) is not None
        )
        drawn = self._source.generate(requests, self._num_votes, self._sampling)
        for problem, pairs, texts in to_report:
            comparisons = []
            for a, b in pairs:
                if texts[a] is None or texts[b] is None:
                    comparisons.append(Comparison(problem.task_id, a, b, None, "does not parse"))
                    continue
                _, samples = next(drawn)
                votes = count_votes([sample.text for sample in samples])
                self.num_unparsed += votes.num_unparsed
                self.usage += Usage(num_prompts=1, num_tokens=sum(sample.num_tokens for sample in samples))
                reason = f"{votes.num_unparsed} of {len(samples)} without a verdict" if votes.num_unparsed else ""
                comparisons.append(Comparison(problem.task_id, a, b, votes.log_odds, reason))
            yield comparisons
