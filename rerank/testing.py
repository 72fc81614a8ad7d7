"""Fakes for the tests of what is built on rerank: an engine and an autorater that answer without a model.

Each takes a queue (any iterable) or a function, and keeps a record of what it was asked:

    >>> from rerank.autoraters import AUTORATERS
    >>> from rerank.records import PublicProblem
    >>> from rerank.testing import FakeEngine, use_engines
    >>> problem = PublicProblem("t/0", "def add(a, b):", "add")
    >>> programs = {"p": "def add(a, b):  return a + b", "q": "def add(a, b):  return a - b"}
    >>> engine = FakeEngine(verdicts=[1.5, "broken"])
    >>> for score in AUTORATERS["pointwise"](engine).score(problem, programs):
    ...     print(score.key, score.log_odds, score.reason or "-")
    p 1.5 -
    q None broken
    >>> [[first, second]] = engine.prompts
    >>> first.segments[1]  # as the model is shown it
    'def add(a, b):\\n    return a + b'

`use_engines` puts it where a model would be loaded, below a command, a server or a `Ranker`:

    >>> from rerank import Ranker, ScoreSettings
    >>> engine = FakeEngine(verdicts=lambda prompt: 1.0 if "a + b" in prompt.text else -1.0)
    >>> with use_engines(lambda model, options: engine), Ranker(ScoreSettings("any-name")) as ranker:
    ...     ranker.rank(problem, list(programs.values()))[1].order
    (0, 1)

No torch is imported, no weights are looked for, nothing is run in a sandbox.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rerank.autoraters import Played
from rerank.autoraters.played import Choose, in_both_orders
from rerank.backends.engines import ENGINES
from rerank.backends.interface import (
    AnswerLogOdds,
    Contest,
    ContestLogOdds,
    EngineOptions,
    GenerationRequest,
    Sample,
    Sampling,
    Usage,
)
from rerank.prompts import Prompt
from rerank.records import Comparison, PublicProblem, Score

T = TypeVar("T")

Verdict = float | str  # log-odds; or, as text, the reason why there is no verdict
NUM_TOKENS, NUM_TOKENS_SAVED = 10, 5  # that a verdict is said to have cost


class FakeEngine:
    """Judges from `verdicts` and samples from `samples`: a queue, or a function of what is asked.

    A verdict is the log-odds of a prompt's first answer, or a text that says why there is none. In a contest the
    programs are asked first, one verdict per prompt, then the pairs, one number per ordered pair. A function of
    verdicts is called with the prompt, and for a pair of a contest with both programs' prompts. A sample is its text,
    or a whole `Sample`; a function of samples is called with the request and the sample's index. An empty queue raises
    LookupError.

    It reads no likelihoods, as vLLM and servers do not.
    """

    def __init__(
        self,
        *,
        verdicts: Iterable[Verdict] | Callable[..., Verdict] = (),
        samples: Iterable[str | Sample] | Callable[[GenerationRequest, int], str | Sample] = (),
        has_chat_template: bool = True,
        settings: Mapping[str, str] | None = None,
    ):
        self.has_chat_template = has_chat_template
        self.settings = settings or dict.fromkeys(("engine", "model", "weights", "device", "dtype"), "fake")
        self.prompts: list[list[Prompt]] = []  # that were judged, one list per problem
        self.requests: list[GenerationRequest] = []  # that were sampled from
        self.samplings: list[Sampling] = []  # of each call of `generate`
        self.is_closed = False
        self._verdict = _function("verdict", verdicts)
        self._sample = _function("sample", samples)

    def answer_log_odds(self, groups: Iterable[Sequence[Prompt]]) -> Iterator[list[AnswerLogOdds]]:
        for prompts in groups:
            self.prompts.append(list(prompts))
            yield [_answer(self._verdict(prompt)) for prompt in prompts]

    def contest_log_odds(self, contests: Iterable[Contest]) -> Iterator[ContestLogOdds]:
        for contest in contests:
            self.prompts.append(list(contest.prompts))
            points = [_answer(self._verdict(prompt)) for prompt in contest.prompts]
            pairs = contest.pairs([point.log_odds or 0.0 for point in points])
            verdicts = [float(self._verdict(contest.prompts[a], contest.prompts[b])) for a, b in pairs]
            yield ContestLogOdds(points, pairs, verdicts, NUM_TOKENS * len(pairs))

    def generate(
        self, requests: Iterable[GenerationRequest], num_samples: int, sampling: Sampling
    ) -> Iterator[tuple[GenerationRequest, list[Sample]]]:
        self.samplings.append(sampling)
        for request in requests:
            self.requests.append(request)
            samples = [self._sample(request, index) for index in range(num_samples)]
            yield (
                request,
                [Sample(each, len(each), "stop", -0.5) if isinstance(each, str) else each for each in samples],
            )

    def close(self) -> None:
        self.is_closed = True


class FakeAutorater:
    """Judges from `verdicts`, one by one and in pairs: a queue, or a function of the task_id and one or two keys.

    `asked` holds (task_id, key) for each program and (task_id, first key, second key) for each comparison, in order.
    """

    def __init__(self, verdicts: Iterable[Verdict] | Callable[..., Verdict]):
        self.asked: list[tuple[str, ...]] = []
        self.usage = Usage()
        self._verdict = _function("verdict", verdicts)

    def score(self, problem: PublicProblem, programs: Mapping[str, str]) -> list[Score]:
        return [Score(problem.task_id, key, *self._judge(problem.task_id, key)) for key in programs]

    def score_many(self, tasks: Iterable[tuple[PublicProblem, Mapping[str, str]]]) -> Iterator[list[Score]]:
        return (self.score(problem, programs) for problem, programs in tasks)

    def play_many(self, tasks: Iterable[tuple[PublicProblem, Mapping[str, str], Choose]]) -> Iterator[Played]:
        for problem, _, choose in tasks:
            pairs = in_both_orders(choose({}))
            yield Played([Comparison(problem.task_id, *pair, *self._judge(problem.task_id, *pair)) for pair in pairs])

    def _judge(self, task_id: str, *keys: str) -> tuple[float | None, str]:
        self.asked.append((task_id, *keys))
        answer = _answer(self._verdict(task_id, *keys))
        self.usage += answer.usage
        return answer.log_odds, answer.reason


@contextmanager
def use_engines(open_engine: Callable[[str, EngineOptions], Any]) -> Iterator[None]:
    """Have every engine that is opened in the block made by `open_engine`, of a model's name and the options.

    Whatever backend is named; an engine on a cluster (`EngineOptions.cluster`) is not replaced.
    """
    engines = dict(ENGINES)
    ENGINES.update(dict.fromkeys(engines, open_engine))
    try:
        yield
    finally:
        ENGINES.update(engines)


def _answer(verdict: Verdict) -> AnswerLogOdds:
    if isinstance(verdict, str):
        return AnswerLogOdds(None, NUM_TOKENS, NUM_TOKENS_SAVED, verdict)
    return AnswerLogOdds(verdict, NUM_TOKENS, NUM_TOKENS_SAVED)


def _sample(text: str) -> Sample:
    return Sample(text, num_tokens=len(text), finish_reason="stop", mean_log_probability=-0.5)


def _function(name: str, answers: Iterable[T] | Callable[..., T]) -> Callable[..., T]:
    if callable(answers):
        return answers
    queue = iter(answers)

    def take(*asked: object) -> T:
        for answer in queue:
            return answer
        raise LookupError(f"the fake has no {name} left for {asked[0]!r}")

    return take
