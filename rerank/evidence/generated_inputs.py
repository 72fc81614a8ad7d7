"""Inputs without expected results, on which candidates can only agree or differ.

    calls = example_calls(problem.public)            # ("f([1, 2], 'a')", ...): the arguments that the prompt shows
    generate(calls, seed=..., num_inputs=24)         # these, then calls with their arguments changed

Arguments are changed by type, as EvalPlus does (arXiv 2305.01210, section 2): a number moves, a text or a list loses,
repeats or swaps a part, and so on inside. Unlike there no contract says which inputs are legal, so changes stay small.
"""

import ast
import random
from collections.abc import Callable, Sequence
from typing import Any

from rerank.evidence.examples import extract
from rerank.evidence.written_tests import check_of
from rerank.records import PublicProblem
from rerank.store import content_hash

NUM_INPUTS = 24
_MAX_TRIES = 20  # draws for each input that is wanted
_MAX_CHARS = 1000  # of a call


def example_calls(problem: PublicProblem) -> tuple[str, ...]:
    """The calls of the entry point in the prompt's own examples, each once."""
    checks = (check_of(expression, problem.entry_point) for expression in extract(problem))
    return tuple(dict.fromkeys(check.call for check in checks if check))


def generate(calls: Sequence[str], *, seed: int = 0, num_inputs: int = NUM_INPUTS) -> tuple[str, ...]:
    """The calls, then changed ones up to `num_inputs` in all; the same for the same calls and seed.

    Calls whose arguments are no literals are kept as they are and not changed.

    >>> generate(["f(2)"], num_inputs=3)
    ('f(2)', 'f(3)', 'f(1)')
    """
    rng = random.Random(content_hash(seed, list(calls)))
    seeds = [call for call in map(_parse, calls) if call is not None]
    found = dict.fromkeys(calls)
    for _ in range(_MAX_TRIES * num_inputs if seeds else 0):
        if len(found) >= num_inputs:
            break
        name, arguments = rng.choice(seeds)
        changed = list(arguments)
        for _ in range(rng.choice((1, 1, 2))):
            place = rng.randrange(len(changed))
            changed[place] = _changed(changed[place], rng)
        call = f"{name}({', '.join(map(repr, changed))})"
        if len(call) <= _MAX_CHARS and "nan" not in call and "inf" not in call:
            found.setdefault(call)
    return tuple(found)[: max(num_inputs, len(calls))]


def _parse(call: str) -> tuple[str, list[Any]] | None:
    """`f(1, [2])` to its name and arguments; None where they are not all literals by position."""
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    if node.keywords or not node.args:
        return None
    try:
        return ast.unparse(node.func), [ast.literal_eval(each) for each in node.args]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _changed(value: Any, rng: random.Random) -> Any:
    """A value of the same type that differs a little, or happens not to."""
    for kind, change in _CHANGES.items():
        if type(value) is kind:
            return change(value, rng)
    return value


def _integer(value: int, rng: random.Random) -> int:
    return rng.choice((value + 1, value - 1, value + rng.randint(2, 5), 0, -value, rng.randint(0, 10)))


def _float(value: float, rng: random.Random) -> float:
    return rng.choice((value + 1, value - 1, round(value + rng.uniform(-2, 2), 2), float(round(value)), -value))


def _sequence(value: Any, rng: random.Random) -> Any:
    """For texts, lists and tuples: one part less, one twice, two swapped, the order turned, or one changed."""
    if not value:
        return value
    place, other = rng.randrange(len(value)), rng.randrange(len(value))
    what = rng.randrange(6)
    if what == 0:
        return value[:place] + value[place + 1 :]
    if what == 1:
        return value[:place] + value[place : place + 1] + value[place:]
    if what == 2:
        low, high = sorted((place, other))
        return (
            value
            if low == high
            else (
                value[:low] + value[high : high + 1] + value[low + 1 : high] + value[low : low + 1] + value[high + 1 :]
            )
        )
    if what == 3:
        return value[::-1]
    if isinstance(value, str):
        return value[:place] + rng.choice((value[other], value[place].swapcase())) + value[place + 1 :]
    return value[:place] + type(value)([_changed(value[place], rng)]) + value[place + 1 :]


def _dictionary(value: dict[Any, Any], rng: random.Random) -> dict[Any, Any]:
    if not value:
        return value
    key = rng.choice(list(value))
    rest = {each: value[each] for each in value if each != key}
    return rest if rng.random() < 0.3 else {**rest, key: _changed(value[key], rng)}


def _set(value: set[Any], rng: random.Random) -> set[Any]:
    ordered = sorted(value, key=repr)
    return set(_sequence(ordered, rng)) or value  # an empty one has no literal


_CHANGES: dict[type, Callable[[Any, random.Random], Any]] = {
    bool: lambda value, _: not value,
    int: _integer,
    float: _float,
    str: _sequence,
    list: _sequence,
    tuple: _sequence,
    dict: _dictionary,
    set: _set,
}
