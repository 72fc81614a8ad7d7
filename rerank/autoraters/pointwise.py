"""Pointwise: is this program right? One prompt a program; a problem's prompts share their beginning."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import tee

from rerank import prompts
from rerank.backends.interface import Judge, Usage
from rerank.candidates.programs import normal_form
from rerank.models.scorer_card import UNTRAINED, ScorerCard
from rerank.records import PublicProblem, Score


class Pointwise:
    """Scores programs by the log-odds of Yes against No, divided by the temperature that calibrates them.

    `usage` counts what it has cost so far.
    """

    def __init__(self, judge: Judge, card: ScorerCard = UNTRAINED):
        self._judge = judge
        self._temperature = card.temperature_of("pointwise")
        self.usage = Usage()

    def score(self, problem: PublicProblem, programs: Mapping[str, str]) -> list[Score]:
        [scores] = self.score_many([(problem, programs)])
        return scores

    def score_many(self, tasks: Iterable[tuple[PublicProblem, Mapping[str, str]]]) -> Iterator[list[Score]]:
        shown = (
            (problem, {key: normal_form(program) for key, program in programs.items()}) for problem, programs in tasks
        )
        to_judge, to_report = tee(shown)
        groups = (
            [prompts.pointwise(problem, text) for text in texts.values() if text is not None]
            for problem, texts in to_judge
        )
        for answers, (problem, texts) in zip(self._judge.answer_log_odds(groups), to_report, strict=True):
            left = iter(answers)
            scores = []
            for key, text in texts.items():
                if text is None:
                    scores.append(Score(problem.task_id, key, None, "does not parse"))
                    continue
                answer = next(left)
                self.usage += answer.usage
                scores.append(Score(problem.task_id, key, answer.scaled(self._temperature), answer.reason))
            yield scores
