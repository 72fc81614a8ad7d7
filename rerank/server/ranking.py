"""Requests to problems, and the candidates of many requests ranked together.

    judge = Judge(Ranker(settings), execute=False)
    judged = await judge.rank(Task("Write a function that doubles.", ("def f(x): return x", "def f(x): return 2 * x")))
    judged.best

A task is named by the hash of what it holds: the same request gets the same ranking, whoever sends it and when.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from rerank.candidates import extraction, programs
from rerank.records import Candidate, PublicProblem
from rerank.runs import ranker as picking
from rerank.server.batcher import Batcher
from rerank.store import content_hash

MAX_BATCH = 64  # requests ranked together
# Of one text, problem or solution. Reading a hostile text of this length takes half a second.
MAX_TEXT_CHARS = 65_536
_DEFINED = re.compile(r"^[ \t]*(?:async[ \t]+)?def[ \t]+([A-Za-z_]\w*)[ \t]*\(", re.M)
_DEFAULT_NAME = "solution"  # where nothing names a function


@dataclass(frozen=True, slots=True)
class Task:
    """One request: a problem in words or code, and texts that hold solutions."""

    problem: str
    solutions: tuple[str, ...]
    log_probabilities: tuple[float | None, ...] | None = None  # means, in nats a token
    entry_point: str | None = None  # None: found, see `find_problem`
    continues: bool = False  # the solutions go on where the problem's text stops

    @property
    def name(self) -> str:
        return content_hash(asdict(self))


@dataclass(frozen=True, slots=True)
class JudgedCandidate:
    """What is said of one candidate. `value` None means unscored."""

    index: int
    value: float | None  # what the selector ranked by; higher is better
    probability: float | None  # that the program is right, where a pointwise scorer judged
    parses: bool
    examples: float | None  # share of the prompt's examples that it passed; None where not run, or without any


@dataclass(frozen=True, slots=True)
class Judged:
    """One request's candidates, best first."""

    selector: str
    candidates: tuple[JudgedCandidate, ...]
    num_tokens: int  # prompt tokens that judging computed
    num_together: int  # requests in the same batch

    @property
    def best(self) -> int:
        return self.candidates[0].index


class Judge:
    """Ranks for many callers, in a thread of its own; see `batcher`. `execute`: the prompt's examples come first."""

    def __init__(self, ranker: picking.Ranker, *, execute: bool):
        self._ranker = ranker
        self._execute = execute
        self._batcher = Batcher(self._work, max_batch=MAX_BATCH)

    @property
    def name(self) -> str:
        return self._ranker.settings.autorater

    async def rank(self, task: Task) -> Judged:
        """Rank one task, together with those that wait beside it. Raises what ranking raises."""
        return await self._batcher.submit(task)

    def close(self) -> None:
        self._batcher.close()
        self._ranker.close()

    def _work(self, tasks: list[Task]) -> Iterator[tuple[int, Judged]]:
        places: dict[str, list[int]] = {}
        for place, task in enumerate(tasks):
            places.setdefault(task.name, []).append(place)  # equal requests are ranked once
        # Finding programs in texts takes as long as a small model takes to judge them: here, not in the event loop.
        chosen = {name: read_task(tasks[where[0]]) for name, where in places.items()}
        shares = self._ranker.examples(list(chosen.values())) if self._execute else {}
        for ranked in self._ranker.rank_many(list(chosen.values())):
            name = ranked.ranking.task_id
            found = _order(ranked, chosen[name][1], shares.get(name, {}))
            for number, place in enumerate(places[name]):
                num_tokens = ranked.num_tokens if number == 0 else 0
                yield place, Judged(ranked.ranking.selector, found, num_tokens, len(tasks))


def _order(
    ranked: picking.Ranked, candidates: Sequence[Candidate], shares: Mapping[str, float | None]
) -> tuple[JudgedCandidate, ...]:
    """Candidates best first: by examples passed where they were run, then as the autorater ranks them."""
    ranking = ranked.ranking
    is_probability = ranking.selector == "pointwise"
    found = [
        JudgedCandidate(
            index,
            value,
            _sigmoid(value) if is_probability and value is not None else None,
            candidates[index].key is not None,
            shares.get(candidates[index].key or ""),
        )
        for index, value in zip(ranking.order, ranking.values, strict=True)
    ]
    if any(each.examples is not None for each in found):  # sorting keeps the order among equals
        found.sort(key=lambda each: -1.0 if each.examples is None else each.examples, reverse=True)
    return tuple(found)


def relevance(judged: Judged) -> list[float]:
    """One number a candidate, best first and never above the one before: what clients of a ranking expect.

    A probability where there is one, else the selector's value; 0, or the one before where that is lower, for what is
    unscored.
    """
    numbers: list[float] = []
    for each in judged.candidates:
        number = each.probability if each.probability is not None else each.value
        numbers.append(min([0.0 if number is None else float(number), *numbers[-1:]]))
    return numbers


def read_task(task: Task) -> tuple[PublicProblem, list[Candidate]]:
    """What a task's texts say, cut to MAX_TEXT_CHARS each."""
    text = task.problem[:MAX_TEXT_CHARS]
    problem = find_problem(text, task.solutions, entry_point=task.entry_point)
    problem = replace(problem, task_id=task.name)
    began = task.continues and problem.prompt_kind == "text"  # then the beginning belongs to each solution
    solutions = [((text if began else "") + solution)[:MAX_TEXT_CHARS] for solution in task.solutions]
    return problem, picking.to_candidates(problem, solutions, task.log_probabilities)


def find_problem(text: str, solutions: Sequence[str], *, entry_point: str | None = None) -> PublicProblem:
    """The problem that a request's text states.

    Code up to a function's docstring, alone or as the one Python block of a message, is to be continued; anything else
    is words. Where nothing names the function, it is the one that most of the solutions define last.

    >>> find_problem("def f(x):\\n    'Twice x.'\\n", []).prompt_kind
    'function'
    >>> find_problem("Write a function.", ["def g(): pass", "def h(): pass", "def h(): return 1"]).entry_point
    'h'
    """
    blocks = extraction.fenced_python(text)
    for code in (text, *(blocks if len(blocks) == 1 else ())):
        name = programs.open_function(code)
        if name is not None and entry_point in (None, name):
            return PublicProblem("request", code, name)
    name = entry_point or _last_name(*blocks) or _last_name(text) or _common_name(solutions) or _DEFAULT_NAME
    return PublicProblem("request", text, name, "text")


def _last_name(*texts: str) -> str | None:
    names = [name for text in texts for name in _DEFINED.findall(text)]
    return names[-1] if names else None


def _common_name(solutions: Sequence[str]) -> str | None:
    names = Counter(name for text in solutions if (name := _last_name(text[:MAX_TEXT_CHARS])))
    return names.most_common(1)[0][0] if names else None


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, value)))


def to_json(judged: Judged) -> dict[str, Any]:
    """The extra field `rerank` of an answer; its meaning is documented in `schemas.RerankField`."""
    return {
        "selector": judged.selector,
        "best": judged.best,
        "scores": [asdict(each) for each in judged.candidates],
        "judged_tokens": judged.num_tokens,
    }
