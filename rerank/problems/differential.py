"""A hidden test by comparison with a reference solution, judged as EvalPlus judges (arXiv 2305.01210, its release 0.3).

`problems` puts the text of this module into `Problem.test`, so it stands alone and imports the standard library only.
The sandbox runs that text on its trusted side; `candidate` is then a stand-in that calls the untrusted program.

EvalPlus' rules, kept with their odd corners so that verdicts agree:

- a result is right when it equals the reference's, or is close to it where a tolerance is set: same type, same length,
  every number within tolerance + 1e-7 x |expected|;
- a reference result made of floats sets the tolerance to 1e-6, for this input and for every later one;
- some tasks have an oracle of their own, below.

Kept out: each call's own time limit (EvalPlus: 1 s at least; here one limit on the whole program), numpy's broadcasting
of one nested list over another, and its refusal to compare integers beyond 64 bits.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

RELATIVE_TOLERANCE = 1e-7
FLOAT_TOLERANCE = 1e-6  # for floats where the problem names no tolerance


def compare(
    candidate: Callable[..., Any],
    reference: Callable[..., Any],
    inputs: Sequence[Sequence[Any]],
    *,
    results: list[Any],
    tolerance: float = 0.0,
    oracle: str = "",
) -> None:
    """Call both on every input; AssertionError at the first result that is wrong. Inputs are left as they are.

    `results` are the reference's so far, and are added to: kept from one candidate to the next, they are computed once.
    """
    is_right = ORACLES[oracle]
    for number, arguments in enumerate(inputs):
        if number == len(results):
            results.append(reference(*copy.deepcopy(arguments)))
        expected = results[number]
        got = candidate(*copy.deepcopy(arguments))
        right = is_right(got, expected, arguments, tolerance)
        if oracle != "root":  # whose tolerance is for the value at the root, not for the root
            if tolerance == 0 and is_floats(expected):
                tolerance = FLOAT_TOLERANCE
            if not right and tolerance:
                right = type(got) is type(expected) and is_close(got, expected, tolerance)
        assert right, f"input {number}: not the result that the reference gives"


def is_floats(value: Any) -> bool:
    """Whether a value is a float, or a list or tuple of floats only."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(item, float) for item in value)
    return isinstance(value, float)


def is_close(got: Any, expected: Any, tolerance: float) -> bool:
    """Whether numbers, or lists and tuples of the same shape, differ by rounding only. No NaN is close to anything."""
    if isinstance(expected, (list, tuple)):
        same_shape = isinstance(got, (list, tuple)) and len(got) == len(expected)
        return same_shape and all(is_close(a, b, tolerance) for a, b in zip(got, expected))  # noqa: B905
    if not isinstance(got, (int, float, complex)) or not isinstance(expected, (int, float, complex)):
        return False
    try:
        return got == expected or abs(got - expected) <= tolerance + RELATIVE_TOLERANCE * abs(expected) < math.inf
    except OverflowError:  # an integer too large for a float
        return False


# Oracles: (result, expected, arguments, tolerance) -> whether the result is right as it stands


def _equals(got: Any, expected: Any, _arguments: Sequence[Any], _tolerance: float) -> bool:
    return bool(got == expected)


def _same_set(got: Any, expected: Any, _arguments: Sequence[Any], _tolerance: float) -> bool:
    return set(got) == set(expected)


def _same_truth(got: Any, expected: Any, _arguments: Sequence[Any], _tolerance: float) -> bool:
    """For a match object or None: the task says only whether there is a match."""
    return got == (expected is not None) if isinstance(got, bool) else (got is None) == (expected is None)


def _root(got: Any, _expected: Any, arguments: Sequence[Any], tolerance: float) -> bool:
    """Whether a number is a zero of the polynomial with these coefficients, lowest power first."""
    return bool(
        abs(sum(coefficient * math.pow(got, power) for power, coefficient in enumerate(arguments[0]))) <= tolerance
    )


def _pyramid_surface(got: Any, expected: Any, arguments: Sequence[Any], tolerance: float) -> bool:
    """The task does not say whether the height is the slant's or the pyramid's own: both are right."""
    edge, height = arguments
    surface = round(edge**2 + 2 * edge * math.hypot(edge / 2, height))
    return bool(got == expected or abs(got - surface) <= tolerance)


def _digit_distance(got: Any, expected: Any, arguments: Sequence[Any], _tolerance: float) -> bool:
    """The digits may be compared from the right, the shorter number filled up with zeros."""
    width = max(len(str(number)) for number in arguments)
    first, second = (str(number).zfill(width) for number in arguments)
    return got == expected or got == sum(abs(int(a) - int(b)) for a, b in zip(first, second))  # noqa: B905


ORACLES: dict[str, Callable[[Any, Any, Sequence[Any], float], bool]] = {
    "": _equals,
    "same set": _same_set,
    "same truth": _same_truth,
    "root": _root,
    "pyramid surface": _pyramid_surface,
    "digit distance": _digit_distance,
    "anything": lambda _got, _expected, _arguments, _tolerance: True,
    "zero too": lambda got, expected, _arguments, _tolerance: bool(got == expected or got == 0),
}
