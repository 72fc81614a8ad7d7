"""Who answers the bench's questions: a model by the logits of its answers, a model that reasons first, or a plain rule.

    rater = LogitRater(engine, "pairwise")
    for asks, answers in zip(groups, rater.answer(groups)): ...

A pair's answer is one value, how much better the case's first response is: log-odds, votes, or a rule's sign. A best-of
case gets a value a response, a class or a grade the log-probability of each answer.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, permutations, tee
from typing import Any, Protocol

from rerank.autoraters.reasoning import judge_text, read_verdict
from rerank.backends.hf.layouts import comparison
from rerank.backends.interface import (
    AnswerLogOdds,
    Contest,
    ContestLogOdds,
    GenerationRequest,
    Judge,
    SampleSource,
    Sampling,
    Usage,
)
from rerank.errors import SettingError
from rerank.judge_bench import asking
from rerank.judge_bench.asking import Ask
from rerank.judge_bench.cases import Case
from rerank.prompts import Prompt
from rerank.store import content_hash


@dataclass(frozen=True, slots=True)
class Answer:
    """What a rater said. `values` None: no verdict, counted as a tie, and `reason` says why."""

    values: tuple[float, ...] | None
    num_votes: int = 1  # samples that were asked for
    num_unparsed: int = 0  # of them, those without a verdict
    reason: str = ""
    usage: Usage = field(default_factory=Usage)


class Rater(Protocol):
    """Judges cases."""

    def answer(self, groups: Iterable[Sequence[Ask]]) -> Iterator[list[Answer]]:
        """The answers of each group, in order. A group's questions may share computation."""


class LogitRater:
    """An engine's model, read at its answer tokens. `pairwise` shows two responses, `pointwise` one at a time."""

    def __init__(self, judge: Judge, mode: str):
        self._judge = judge
        self._is_pairwise = mode == "pairwise"

    def answer(self, groups: Iterable[Sequence[Ask]]) -> Iterator[list[Answer]]:
        to_judge, to_report = tee([(ask, self._prompts(ask)) for ask in asks] for asks in groups)
        prompts = ([prompt for _, part in group for prompt in part] for group in to_judge)
        for found, group in zip(self._judge.answer_log_odds(prompts), to_report, strict=True):
            left = iter(found)
            yield [self._combined(ask, [next(left) for _ in part]) for ask, part in group]

    def _prompts(self, ask: Ask) -> list[Prompt]:
        case = ask.case
        if case.kind in ("pointwise", "classification"):
            prompt = asking.choice_prompt(case)
            # Engines give log-odds of two answers. The first against each other one gives them all, at the price of
            # one prompt: the tokens are the same.
            return [Prompt(prompt.segments, (prompt.answers[0], other)) for other in prompt.answers[1:]]
        if not self._is_pairwise:
            return [asking.score_prompt(case, response) for response in case.responses]
        if case.kind == "pairwise":
            return [asking.pair_prompt(ask)]
        return [asking.pair_prompt(Ask(pair)) for pair in _ordered_pairs(case)]

    def _combined(self, ask: Ask, found: Sequence[AnswerLogOdds]) -> Answer:
        case = ask.case
        usage = sum((answer.usage for answer in found), Usage())
        log_odds = [answer.log_odds for answer in found if answer.log_odds is not None]
        reason = next((answer.reason for answer in found if answer.reason), "")
        if len(log_odds) < len(found):
            return Answer(None, 1, 1, reason, usage)
        if case.kind in ("pointwise", "classification"):
            values = log_softmax([0.0, *(-value for value in log_odds)])
        elif not self._is_pairwise:
            values = tuple(log_odds) if case.kind == "best_of" else (log_odds[0] - log_odds[1],)
        elif case.kind == "pairwise":
            values = (-log_odds[0] if ask.swapped else log_odds[0],)
        else:
            values = _scores(len(case.responses), log_odds)
        return Answer(values, reason=reason, usage=usage)


class EncodedOnceRater:
    """An engine that reads every response once, blind to the others, and then asks pairs in a few tokens.

    A pair's two orders come of one reading, and say the same by arithmetic (see `backends.layouts`). Classes and grades
    are read as `LogitRater` reads them.
    """

    def __init__(self, engine: Any):  # both a Judge and a ContestJudge
        self._engine = engine
        self._logits = LogitRater(engine, "pointwise")

    def answer(self, groups: Iterable[Sequence[Ask]]) -> Iterator[list[Answer]]:
        for is_choice, some in groupby(groups, lambda asks: asks[0].case.kind in ("pointwise", "classification")):
            answer = self._logits.answer if is_choice else self._compared
            yield from answer(some)

    def _compared(self, groups: Iterable[Sequence[Ask]]) -> Iterator[list[Answer]]:
        to_read, to_report = tee(groups)
        contests = self._engine.contest_log_odds(self._contest(asks[0].case) for asks in to_read)
        for asks, found in zip(to_report, contests, strict=True):
            usage = sum((answer.usage for answer in found.points), Usage(0, found.num_verdict_tokens))
            yield [self._combined(ask, found, Usage() if n else usage) for n, ask in enumerate(asks)]

    def _contest(self, case: Case) -> Contest:
        places = list(permutations(range(len(case.responses)), 2))
        return Contest([asking.score_prompt(case, response) for response in case.responses], lambda _points: places)

    def _combined(self, ask: Ask, found: ContestLogOdds, usage: Usage) -> Answer:
        points = [answer.log_odds for answer in found.points if answer.log_odds is not None]
        if len(points) < len(found.points):
            return Answer(None, 1, 1, next((answer.reason for answer in found.points if answer.reason), ""), usage)
        verdicts = dict(zip(found.pairs, found.verdicts, strict=True))
        log_odds = {(a, b): comparison(points[a], points[b], verdicts[a, b], verdicts[b, a]) for a, b in found.pairs}
        if ask.case.kind == "best_of":
            return Answer(_scores(len(points), list(log_odds.values())), usage=usage)
        return Answer((-log_odds[1, 0] if ask.swapped else log_odds[0, 1],), usage=usage)


class ReasoningRater:
    """A model that writes an evaluation and then [[A]] or [[B]], `num_votes` times a question; the value is the votes'
    balance, so its sign is the majority's. Pairs only.
    """

    def __init__(self, source: SampleSource, *, num_votes: int, sampling: Sampling):
        self._source = source
        self._num_votes = num_votes
        self._sampling = sampling

    def answer(self, groups: Iterable[Sequence[Ask]]) -> Iterator[list[Answer]]:
        to_judge, to_report = tee(groups)
        requests = (self._request(ask) for asks in to_judge for ask in asks)
        drawn = self._source.generate(requests, self._num_votes, self._sampling)
        for asks in to_report:
            yield [self._combined(ask, [sample.text for sample in next(drawn)[1]]) for ask in asks]

    def _request(self, ask: Ask) -> GenerationRequest:
        if ask.case.kind != "pairwise":
            raise SettingError(f"--mode reasoning judges pairs only, and {ask.case.set} is {ask.case.kind}")
        return GenerationRequest(
            f"{ask.case.key} {ask.variant}", judge_text(asking.pair_prompt(ask).segments), is_chat=True
        )

    def _combined(self, ask: Ask, texts: Sequence[str]) -> Answer:
        verdicts = [read_verdict(text) for text in texts]
        num_unparsed = verdicts.count(None)
        usage = Usage(num_prompts=len(texts))
        if num_unparsed == len(verdicts):
            return Answer(None, len(verdicts), num_unparsed, "no sample ends in a verdict", usage)
        balance = float(verdicts.count("A") - verdicts.count("B"))
        return Answer((-balance if ask.swapped else balance,), len(verdicts), num_unparsed, usage=usage)


class RuleRater:
    """A judge that needs no model: `longest`, `shortest`, `first` (the place shown first) or `random`."""

    def __init__(self, rule: str):
        if rule not in RULES:
            raise SettingError(f"--autorater {rule}: no such rule; one of {', '.join(RULES)}")
        self._rule = rule

    def answer(self, groups: Iterable[Sequence[Ask]]) -> Iterator[list[Answer]]:
        for asks in groups:
            yield [self._answer(ask) for ask in asks]

    def _answer(self, ask: Ask) -> Answer:
        case = ask.case
        if case.kind == "classification":
            if self._rule in ("longest", "shortest"):
                return Answer(None, 1, 1, "a rule about length knows no classes")
            return Answer(tuple(self._value(ask, place) for place in range(len(case.classes))))
        values = [self._value(ask, place) for place in range(len(case.responses))]
        if case.kind == "pairwise":
            return Answer((values[0] - values[1],))
        return Answer(tuple(values))

    def _value(self, ask: Ask, place: int) -> float:
        case = ask.case
        if self._rule in ("longest", "shortest"):
            length = len(case.responses[place])
            return float(length if self._rule == "longest" else -length)
        if self._rule == "first":
            return float(-place if not ask.swapped else place)
        return int(content_hash(case.key, ask.variant, place), 16) / 2**64


RULES = ("longest", "shortest", "first", "random")


def sees_order(autorater: str, mode: str) -> bool:
    """Whether the order of a pair can make a difference to this judge."""
    return autorater in ("first", "random") if autorater in RULES else mode != "pointwise"


def log_softmax(logits: Sequence[float]) -> tuple[float, ...]:
    top = max(logits)
    total = top + math.log(math.fsum(math.exp(logit - top) for logit in logits))
    return tuple(logit - total for logit in logits)


def _ordered_pairs(case: Case) -> Iterator[Case]:
    """All ordered pairs of a best-of case as cases of their own, in the order of `permutations`."""
    for a, b in permutations(range(len(case.responses)), 2):
        yield Case(
            case.set,
            "pairwise",
            case.category,
            case.question,
            case.context,
            (case.responses[a], case.responses[b]),
            "A" if a < case.num_best else "B",
            subset=case.subset,
            id=case.id,
        )


def _scores(num_responses: int, log_odds: Sequence[float]) -> tuple[float, ...]:
    """A round-robin's mean log-odds for each response, over both orders."""
    totals = [0.0] * num_responses
    for (a, b), value in zip(permutations(range(num_responses), 2), log_odds, strict=True):
        totals[a] += value
        totals[b] -= value
    return tuple(total / (2 * (num_responses - 1)) for total in totals)
