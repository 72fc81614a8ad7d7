"""Joint: which of two programs is better? Problem, A and B stand in one prompt; the reference for pairwise quality.

A model leans towards one place: ask every pair in both orders, and average the two in the logit.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import tee

from rerank import prompts
from rerank.autoraters.played import Choose, Pair, Played, play_by_pairs
from rerank.backends.interface import Judge, Usage
from rerank.candidates.programs import normal_form
from rerank.models.scorer_card import UNTRAINED, ScorerCard
from rerank.records import Comparison, PublicProblem


class Joint:
    """Compares programs by the log-odds of A against B, divided by the temperature that calibrates them.

    `usage` counts what it has cost so far.
    """

    def __init__(self, judge: Judge, card: ScorerCard = UNTRAINED):
        self._judge = judge
        self._temperature = card.temperature_of("pairwise")
        self.usage = Usage()

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
        groups = (
            [
                prompts.pairwise(problem, first, second)
                for first, second in ((texts[a], texts[b]) for a, b in pairs)
                if first is not None and second is not None
            ]
            for problem, pairs, texts in to_judge
        )
        for answers, (problem, pairs, texts) in zip(self._judge.answer_log_odds(groups), to_report, strict=True):
            left = iter(answers)
            comparisons = []
            for a, b in pairs:
                if texts[a] is None or texts[b] is None:
                    comparisons.append(Comparison(problem.task_id, a, b, None, "does not parse"))
                    continue
                answer = next(left)
                self.usage += answer.usage
                comparisons.append(Comparison(problem.task_id, a, b, answer.scaled(self._temperature), answer.reason))
            yield comparisons
