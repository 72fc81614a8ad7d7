"""Mutations are deterministic, small, parse, and really fail when they are run."""

import ast
import difflib

import pytest

import sandbox
from rerank.training.labels.mutations import mutants

PROGRAM = '''\
LIMIT = 100


def helper(values):
    return [value for value in values if value > 0]


def positives(values, bound):
    """Sum of the positive values below a bound of 10."""
    if not values:
        return 0
    total = 0
    for index in range(len(values)):
        if values[index] > 0 and values[index] < bound:
            total += values[index]
        elif values[index] == bound:
            continue
    return max(total, 0)
'''
FIRST_LINE = PROGRAM.splitlines().index('    """Sum of the positive values below a bound of 10."""') + 2


def changed_lines(program: str) -> list[str]:
    before, after = ast.unparse(ast.parse(PROGRAM)).splitlines(), program.splitlines()
    return [line for line in difflib.ndiff(before, after) if line[0] in "-+"]


def test_same_seed_same_mutants() -> None:
    assert mutants(PROGRAM, seed=3, max_mutants=10) == mutants(PROGRAM, seed=3, max_mutants=10)
    assert mutants(PROGRAM, seed=3, max_mutants=10) != mutants(PROGRAM, seed=4, max_mutants=10)


def test_every_mutant_parses_and_differs_from_all_others() -> None:
    made = mutants(PROGRAM, seed=0, max_mutants=500)
    texts = [mutant.program for mutant in made]
    assert len(set(texts)) == len(texts) > 50
    assert ast.unparse(ast.parse(PROGRAM)) not in texts
    for text in texts:
        ast.parse(text)


def test_few_mutants_are_of_many_kinds() -> None:
    assert len({mutant.kind for mutant in mutants(PROGRAM, seed=0, max_mutants=10)}) == 10


def test_only_code_from_the_first_line_changes() -> None:
    for mutant in mutants(PROGRAM, seed=0, max_mutants=500, first_line=FIRST_LINE):
        assert mutant.program.startswith("LIMIT = 100\n\ndef helper(values):\n    return [value for value")
        assert "below a bound of 10" in mutant.program


def test_a_mutant_is_one_change() -> None:
    # A dropped loop body or branch takes a few lines with it; nothing rewrites the function.
    assert all(len(changed_lines(mutant.program)) <= 8 for mutant in mutants(PROGRAM, seed=0, max_mutants=500))


@pytest.mark.parametrize(
    ("before", "kind", "after"),
    [
        ("return a < b", "comparison operator", "return a <= b"),
        ("return a + b", "arithmetic operator", "return a - b"),
        ("return [a[i] for i in range(b)]", "range bound", "return [a[i] for i in range(0, b - 1)]"),
        ("return a[1:b + 1]", "slice bound", "return a[1:b]"),
        ("return g(a, b)", "swapped arguments", "return g(b, a)"),
        ("if a: return 0\n    return b", "missing base case", "return b"),
        (
            "for x in a: b += x\n    return b",
            "early return",
            "for x in a:\n        b += x\n        break\n    return b",
        ),
        ("s = 0\n    return s + a", "wrong accumulator start", "s = 1\n    return s + a"),
        ("return a and b", "boolean operator", "return a or b"),
        ("return b if a == b else a", "negated condition", "return a if a == b else b"),
        ("return max(a)", "wrong function", "return min(a)"),
        ("return a.strip()", "dropped call", "return a"),
        ("a, b = b, a + b\n    return a", "assigned one after the other", "a = b\n    b = a + b\n    return a"),
        ("return a - b", "wrong variable", "return b - b"),
    ],
)
def test_each_rule(before: str, kind: str, after: str) -> None:
    made = mutants(f"def f(a, b):\n    {before}", seed=0, max_mutants=200)
    assert (kind, f"def f(a, b):\n    {after}") in [(mutant.kind, mutant.program) for mutant in made]


@pytest.mark.parametrize("tell", ["+ 1 - 1", "- 1 + 1", "if True", "+ 0", "not not"])
def test_no_mutant_looks_like_a_machine_made_it(tell: str) -> None:
    assert not [mutant for mutant in mutants(PROGRAM, seed=0, max_mutants=500) if tell in mutant.program]


def test_what_does_not_parse_has_none() -> None:
    assert mutants("def f(:", seed=0, max_mutants=5) == []


def test_an_empty_function_has_none() -> None:
    assert mutants("def f():\n    pass", seed=0, max_mutants=5) == []


def test_most_mutants_fail_when_run() -> None:
    test = (
        "assert positives([1, -2, 3, 10, 12], 10) == 4\nassert positives([], 5) == 0\nassert positives([4], 5) == 4\n"
        "assert positives([-4, 9, 1], 10) == 10"
    )
    made = mutants(PROGRAM, seed=0, max_mutants=12, first_line=FIRST_LINE)
    with sandbox.Pool(2) as pool:
        jobs = [sandbox.Job(mutant.program, test, "positives", mode="in-process") for mutant in made]
        outcomes = list(pool.map([sandbox.Job(PROGRAM, test, "positives", mode="in-process"), *jobs]))
    assert outcomes[0].passed
    assert sum(not outcome.passed for outcome in outcomes[1:]) >= 6
