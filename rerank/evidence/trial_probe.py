"""What a program returns for some calls: text that `matrix` puts, with the program, into the sandbox.

It stands alone and imports the standard library only. One line a call goes to standard output as soon as it is known,
so that what was found out before a crash, an exit or the end of the time stays:

    NUMBER BITS TEXT

BITS: whether each predicate held, 0 or 1 each, `-` where there is none. TEXT: the result in a normal form that equal
results share, cut to a hash where it is long; `!` and a word where there is no result.

The program shares this process, unlike under the hidden tests: what it returns is flattened to plain built-in values
before anything is compared, and its printing goes nowhere, but a program that set out to could forge its lines. That
is what evidence may cost in return for a hundred calls in one process; a hidden test may not.
"""

import hashlib
import io
import math
import os
import random
import signal
import sys
import types
from typing import Any

MAX_TEXT = 16  # characters of a result that are shown; longer ones are hashed
_MAX_DEPTH = 50
_GRACE_S = 0.05  # a program that swallows the alarm gets it again after so long


class Late(BaseException):
    """A call is over its time. Not an Exception: no program catches it by accident."""


class NotPlain(Exception):
    """The value is no plain built-in one."""


class _Sink(io.TextIOBase):
    """Takes all printing and keeps none."""

    def write(self, text: str) -> int:
        return len(text)


def flat(value: Any, depth: int = 0) -> Any:
    """A copy made of exact built-in types; of a subclass the base. Raises NotPlain for anything else."""
    if depth > _MAX_DEPTH:
        raise NotPlain
    if value is None or isinstance(value, bool):
        return value
    bases: tuple[Any, ...] = (int, float, complex, str, bytes, bytearray)
    for base in bases:
        if isinstance(value, base):
            return base(value) if type(value) is not base else value
    if isinstance(value, dict):
        return {flat(key, depth + 1): flat(each, depth + 1) for key, each in dict.items(value)}
    kinds: tuple[Any, ...] = (list, tuple, set, frozenset)
    for kind in kinds:
        if isinstance(value, kind):
            return kind(flat(each, depth + 1) for each in kind.__iter__(value))
    if isinstance(value, range):
        return value
    raise NotPlain


def text_of(value: Any) -> str:
    """The normal form of a plain value: equal values give equal texts, numbers to ten digits.

    >>> text_of(2.0) == text_of(2), text_of({2: 1, 1: 0.1 + 0.2}), text_of([1]) == text_of((1,))
    (True, '{1:0.3,2:1}', False)
    """
    if isinstance(value, bool | int):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if math.isfinite(value) and value.is_integer() else repr(float(f"{value:.10g}"))
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{text_of(key)}:{text_of(each)}" for key, each in value.items())) + "}"
    if isinstance(value, set | frozenset):
        return "set(" + ",".join(sorted(map(text_of, value))) + ")"
    if isinstance(value, list):
        return "[" + ",".join(map(text_of, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ",".join(map(text_of, value)) + ")"
    return repr(value)


def shortened(text: str) -> str:
    if len(text) <= MAX_TEXT and text.isprintable():
        return text
    return "#" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[: MAX_TEXT - 2]


def _look(value: Any) -> tuple[Any, str]:
    """What predicates may look at, and the text."""
    to_list = getattr(value, "tolist", None) if type(value).__module__ == "numpy" else None
    try:
        plain = flat(to_list() if to_list else value)
        return plain, text_of(plain)
    except (NotPlain, TypeError):
        # An iterator may be read by the predicate; an object of the program's own could claim to equal anything.
        return value if type(value).__module__ == "builtins" else object(), f"<{type(value).__name__}>"


def probe(
    program: str,
    helpers: str,
    entry_point: str,
    calls: list[tuple[int, str, list[str]]],
    call_timeout_s: float,
    max_late: int,
) -> None:
    """Run the program, then each (number, call, predicates); write their lines; stop after `max_late` late calls."""
    write, armed = os.write, [False]

    def tell(number: int, bits: str, text: str) -> None:
        write(1, f"{number} {bits or '-'} {text}\n".encode("ascii", "backslashreplace"))

    def alarm(*_: Any) -> None:
        if armed[0]:
            raise Late

    def timed(code: types.CodeType, names: dict[str, Any], predicates: list[str]) -> tuple[str, str]:
        armed[0] = True
        try:
            signal.setitimer(signal.ITIMER_PROF, call_timeout_s, _GRACE_S)
            value, text = _look(eval(code, names))
            return "".join(_holds(each, {**names, "_": value}) for each in predicates), shortened(text)
        finally:
            armed[0] = False
            signal.setitimer(signal.ITIMER_PROF, 0)

    signal.signal(signal.SIGPROF, alarm)
    sys.stdout = sys.stderr = _Sink()
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = module
    try:
        exec(compile(program, "candidate.py", "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        tell(-1, "", f"!{type(error).__name__}")
        return
    names: dict[str, Any] = {"math": math, "__name__": "evidence"}
    try:
        exec(compile(helpers, "helpers.py", "exec", dont_inherit=True), names)
    except BaseException:  # a prompt's own trouble: the calls that need it fail by themselves
        names = {"math": math, "__name__": "evidence"}
    if entry_point not in module.__dict__:
        tell(-1, "", "!missing")
        return
    names[entry_point] = module.__dict__[entry_point]
    num_late = 0
    for number, call, predicates in calls:
        random.seed(0)
        try:
            bits, text = timed(compile(call, "call", "eval", dont_inherit=True), names, predicates)
        except Late:
            armed[0] = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            num_late += 1
            bits, text = "0" * len(predicates), "!late"
        except BaseException as error:
            bits, text = "0" * len(predicates), f"!{type(error).__name__}"[:MAX_TEXT]
        tell(number, bits, text)
        if num_late == max_late:
            tell(-1, "", "!late")
            return


def _holds(predicate: str, names: dict[str, Any]) -> str:
    try:
        return "1" if eval(compile(predicate, "predicate", "eval", dont_inherit=True), names) else "0"
    except Exception:
        return "0"
