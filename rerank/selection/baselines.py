"""What can be said of candidates without a model: one value per candidate, higher is better.

    BASELINES["log-probability"](candidates, task_id="HumanEval/0", seed=0)  ->  {index: value}

None means that nothing is known of a candidate. The values become a Ranking in `selection`. The oracle is not here: it
looks at outcomes, which no selector may, and only `report` works it out.
"""

from collections.abc import Sequence
from typing import Protocol

from rerank.records import Candidate
from rerank.store import content_hash

Values = dict[int, float | None]  # by candidate index


class Baseline(Protocol):
    def __call__(self, candidates: Sequence[Candidate], *, task_id: str, seed: int) -> Values: ...


def random(candidates: Sequence[Candidate], *, task_id: str, seed: int) -> Values:
    """A number in [0, 1) from a hash of (seed, task_id, index): the same in any process and any order."""
    return {each.index: int(content_hash(seed, task_id, each.index), 16) / 16**16 for each in candidates}


def first(candidates: Sequence[Candidate], *, task_id: str, seed: int) -> Values:  # noqa: ARG001 - Baseline
    """The order in which the generator drew them."""
    return {each.index: float(-each.index) for each in candidates}


def shortest(candidates: Sequence[Candidate], *, task_id: str, seed: int) -> Values:  # noqa: ARG001 - Baseline
    """Minus the characters of the whole program.

    Not tokens: they are unknown for recorded candidates, differ from one tokenizer to the next, and count the text
    around the program, which is not run.
    """
    return {each.index: float(-len(each.program)) for each in candidates}


def log_probability(candidates: Sequence[Candidate], *, task_id: str, seed: int) -> Values:  # noqa: ARG001 - Baseline
    """Mean log-probability of the generated tokens, in nats."""
    return {each.index: each.mean_log_probability for each in candidates}


BASELINES: dict[str, Baseline] = {
    "random": random,
    "first": first,
    "shortest": shortest,
    "log-probability": log_probability,
}
