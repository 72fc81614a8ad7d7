"""The records that every stage shares: frozen, plain, no logic beyond derived properties.

A **program** is always a whole Python program as text, never a continuation. `key` names a program up to
formatting, comments and docstrings (see `programs.normal_form`): candidates with one key share every score.
"""

import math
from dataclasses import dataclass
from typing import Literal

PromptKind = Literal["function", "text"]


@dataclass(frozen=True, slots=True)
class PublicProblem:
    """What a generator, an autorater or evidence may see of a problem: never its hidden tests or its reference."""

    task_id: str
    prompt: str  # `function`: code to be continued; `text`: words to be answered with a whole program
    entry_point: str
    prompt_kind: PromptKind = "function"


@dataclass(frozen=True, slots=True)
class Problem:
    """One programming problem with its hidden tests, in HumanEval's fields."""

    task_id: str
    prompt: str
    entry_point: str
    test: str  # defines check(candidate), as HumanEval's; or statements that run after the program, as MBPP's
    extra_test: str | None = None  # a stricter second test; EvalPlus' "plus" is `test` and `extra_test` both passed
    canonical_solution: str | None = None  # continues the prompt (`function`) or is the whole program (`text`)
    prompt_kind: PromptKind = "function"

    @property
    def public(self) -> PublicProblem:
        return PublicProblem(self.task_id, self.prompt, self.entry_point, self.prompt_kind)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One sampled solution to a problem."""

    task_id: str
    index: int  # 0-based, in the order in which the generator drew it
    raw: str  # what the model wrote, untouched
    program: str  # the whole program taken from it; empty when nothing was found
    key: str | None  # content hash of the normal form; None when the program does not parse
    cuts: tuple[str, ...] = ()  # what extraction removed or added, in words
    mean_log_probability: float | None = None  # nats per generated token, at temperature 1
    num_tokens: int | None = None  # generated tokens, the end token included
    generator: str = ""  # model name, or the file that it was read from


@dataclass(frozen=True, slots=True)
class Score:
    """A pointwise judgment of one program. `log_odds` None means unscored, and `reason` says why."""

    task_id: str
    key: str
    log_odds: float | None  # log(p / (1 - p)) that the program is right; for a baseline, any number, higher is better
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One verdict of the autorater on an ordered pair. `log_odds` None means no verdict, and `reason` says why."""

    task_id: str
    first: str  # key of the program shown first
    second: str
    log_odds: float | None  # log(p / (1 - p)) that the first is better
    reason: str = ""

    @property
    def probability(self) -> float | None:
        """Probability that the first is better, in (0, 1)."""
        return None if self.log_odds is None else 1 / (1 + math.exp(-max(-700.0, self.log_odds)))


@dataclass(frozen=True, slots=True)
class Ranking:
    """A selector's order over all candidates of a problem, best first."""

    task_id: str
    selector: str
    order: tuple[int, ...]  # candidate indices
    values: tuple[float | None, ...]  # what the selector ranked by, in `order`; None when it had nothing to go by
    num_comparisons: int = 0

    @property
    def best(self) -> int:
        return self.order[0]
