"""Docstring examples: what a problem shows of them, and the asserts that they become."""

import ast
import doctest
import re
from collections.abc import Sequence

from rerank.training.problems.code_base.modules import callee

MIN_WORDS = 4  # of prose in a docstring; below that nobody could write the function
NUM_SHOWN = 2  # examples in the prompt, and besides them the first one that raises

# What the asserts of a converted docstring call. Floats are equal to one part in a million.
COMPARE = """\
import math


def _same(got, want):
    if isinstance(want, float) and isinstance(got, int | float):
        both_nan = math.isnan(want) and math.isnan(got)
        return both_nan or math.isclose(got, want, rel_tol=1e-6, abs_tol=1e-6)
    if isinstance(want, list | tuple):
        kind = list if isinstance(want, list) else tuple
        return isinstance(got, kind) and len(got) == len(want) and all(_same(*pair) for pair in zip(got, want))
    if isinstance(want, dict) and isinstance(got, dict):
        return got.keys() == want.keys() and all(_same(got[key], want[key]) for key in want)
    return got == want
"""
SHOWN = """\
import contextlib
import io
import re


def _shown(call, want):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        value = call()
    got = " ".join((out.getvalue() + ("" if value is None else repr(value))).split())
    return re.fullmatch(".*".join(map(re.escape, " ".join(want.split()).split("..."))), got, re.DOTALL) is not None
"""
RAISED = """\
def _raised(call):
    try:
        call()
    except Exception as error:
        return [kind.__name__ for kind in type(error).__mro__]
    return []
"""


def as_check(example: doctest.Example) -> tuple[str, int] | None:
    """The test statements of one docstring example and how many checks they hold; None when it cannot be asked.

    >>> as_check(doctest.Example("f(2)\\n", "4\\n"))
    ('assert _same(f(2), 4)', 1)
    """
    source = example.source.strip()
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return None
    is_expression = len(body) == 1 and isinstance(body[0], ast.Expr)
    if not example.want and example.exc_msg is None:
        return source, 0
    if not is_expression:
        return None
    call = ast.unparse(body[0])
    if example.exc_msg is not None:
        kind = example.exc_msg.split(":")[0].strip().split(".")[-1]
        return f"assert {kind!r} in _raised(lambda: {call})", 1
    want = example.want.strip()
    if re.search(r"\bat 0x", want):
        return None  # an address changes from run to run
    prints = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Call) and callee(body[0].value) == "print"
    if not prints:
        try:
            return f"assert _same({call}, {ast.literal_eval(want)!r})", 1
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            pass
    return f"assert _shown(lambda: {call}, {want!r})", 1


def shown(docstring: str, examples: Sequence[doctest.Example], num_shown: int) -> str:
    """The docstring with its first examples only (and the first that raises, when any is shown at all)."""
    results = [index for index, example in enumerate(examples) if example.want or example.exc_msg is not None]
    raising = [index for index in results if examples[index].exc_msg is not None]
    keep = {*results[:num_shown], *raising[:1]} if num_shown else set()
    last = max(keep, default=-1)
    lines: list[str | None] = list(docstring.splitlines())
    for index, example in enumerate(examples):
        is_set_up = index not in results and index < last
        if index in keep or is_set_up:
            continue
        num_lines = example.source.count("\n") + (example.want.count("\n") if example.want else 0)
        for line in range(example.lineno, min(len(lines), example.lineno + num_lines)):
            lines[line] = None
    text = "\n".join(line for line in lines if line is not None)
    return re.sub(r"\n[ \t]*\n(?:[ \t]*\n)+", "\n\n", text).strip()


def helpers_of(test: str) -> str:
    """The functions that converted examples call, as far as this test does."""
    named = (("_same(", COMPARE), ("_shown(", SHOWN), ("_raised(", RAISED))
    return "\n\n".join(text for name, text in named if name in test)


def has_prose(text: str) -> bool:
    """Whether there is enough to read, links aside, to know what a function is for."""
    return len(re.findall(r"[A-Za-z]{2,}", re.sub(r"https?://\S+", "", text))) >= MIN_WORDS
