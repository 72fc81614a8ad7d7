"""Encoded-once: every program is read once, blind to the others; pairs are then asked in a few tokens each.

One pass gives the pointwise scores and any comparisons (see `backends.layouts`): log-odds that a is better than b are
s(a) - s(b) + (f(a, b) - f(b, a)) / 2, so the two orders of a pair say the same by arithmetic. Wants a scorer that was
trained in this form.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import tee

from rerank import prompts
from rerank.autoraters.played import Choose, Played, in_both_orders
from rerank.backends.hf.layouts import comparison
from rerank.backends.interface import Contest, ContestJudge, Place, Usage
from rerank.candidates.programs import normal_form
from rerank.models.scorer_card import UNTRAINED, ScorerCard
from rerank.records import Comparison, PublicProblem, Score


class EncodedOnce:
    """Scores and compares programs in one pass; `usage` counts what it has cost so far."""

    def __init__(self, judge: ContestJudge, card: ScorerCard = UNTRAINED):
        self._judge = judge
        self._point_temperature = card.temperature_of("pointwise")
        self._pair_temperature = card.temperature_of("encoded-once")
        self.usage = Usage()

    def play_many(self, tasks: Iterable[tuple[PublicProblem, Mapping[str, str], Choose]]) -> Iterator[Played]:
        shown = (
            (problem, {key: normal_form(program) for key, program in programs.items()}, choose)
            for problem, programs, choose in tasks
        )
        to_judge, to_report = tee(shown)
        contests = (
            Contest(
                [prompts.pointwise(problem, text) for text in texts.values() if text is not None],
                self._both_orders([key for key, text in texts.items() if text is not None], choose),
            )
            for problem, texts, choose in to_judge
        )
        for answers, (problem, texts, _) in zip(self._judge.contest_log_odds(contests), to_report, strict=True):
            keys = [key for key, text in texts.items() if text is not None]
            points = dict(zip(keys, answers.points, strict=True))
            for answer in answers.points:
                self.usage += answer.usage
            self.usage += Usage(len(answers.pairs), answers.num_verdict_tokens)
            scores = [
                Score(problem.task_id, key, points[key].scaled(self._point_temperature), points[key].reason)
                if key in points
                else Score(problem.task_id, key, None, "does not parse")
                for key in texts
            ]
            verdicts = dict(zip(answers.pairs, answers.verdicts, strict=True))
            raw = [answer.log_odds or 0.0 for answer in answers.points]
            comparisons = [
                Comparison(
                    problem.task_id,
                    keys[a],
                    keys[b],
                    comparison(raw[a], raw[b], verdicts[a, b], verdicts[b, a]) / self._pair_temperature,
                )
                for a, b in answers.pairs
            ]
            yield Played(comparisons, scores)

    def _both_orders(self, keys: Sequence[str], choose: Choose) -> Callable[[Sequence[float]], list[Place]]:
        """`choose` in terms of places; the order of `keys` is that of the points."""
        place = {key: index for index, key in enumerate(keys)}

        def pairs(points: Sequence[float]) -> list[Place]:
            scores = {key: point / self._point_temperature for key, point in zip(keys, points, strict=True)}
            return in_both_orders((place[a], place[b]) for a, b in choose(scores) if a in place and b in place)

        return pairs
