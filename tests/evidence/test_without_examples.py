"""Prompts without their examples, for a writer of tests that is not to copy them."""

import ast

import pytest

from rerank.evidence.examples import extract
from rerank.evidence.prompt_trees import parse_prompt
from rerank.evidence.without_examples import without_examples
from rerank.records import PublicProblem

HEAD = "def double(x):\n    '''"
CASES = [
    ("Twice x.\n    >>> double(2)\n    4\n    '''", "Twice x.\n    '''", "a doctest"),
    ("Twice x.\n\n    Examples:\n\n    >>> double(2)\n    4\n\n    >>> double(3)\n    6\n    '''", "Twice x.\n    '''",
     "doctests under a heading"),
    ("Twice x.\n\n    Examples\n    ========\n\n    >>> double(2)\n    4\n\n    Note: exact.\n    '''",
     "Twice x.\n\n    Note: exact.\n    '''", "what follows stays"),
    ("Twice x.\n    double(2) == 4\n    double([1,\n      2]) -> 4\n    It is exact.\n    '''",
     "Twice x.\n    It is exact.\n    '''", "prose, one over two lines"),
    ("Twice x.\n    double(2)\n    => 4\n    Explanation: 2 + 2.\n    '''", "Twice x.\n    '''", "a result below"),
    ("Twice x. For example, double(2) returns 4.\n    And double(0) is 0.\n\n    Exact.\n    '''",
     "Twice x.\n\n    Exact.\n    '''", "in a sentence"),
    ("Twice x.\n    Input: 2\n    Output: 4\n    '''", "Twice x.\n    '''", "a pair"),
    ("Twice x.\n    For x = 2 the output should be 4.\n    '''", "Twice x.\n    '''", "named values"),
    ("Twice x.\n    assert double(2) == 4\n    '''", "Twice x.\n    '''", "an assert"),
    ("Twice x.\n    >>> double('a')\n    Traceback (most recent call last):\n        ...\n    ValueError: no\n    '''",
     "Twice x.\n    '''", "an error that is no example to run"),
    ("Twice x: double(n) is n + n.\n    Input: a number.\n    '''",
     "Twice x: double(n) is n + n.\n    Input: a number.\n    '''", "words alone stay as they are"),
    ("Twice x.\n    double(x=2) == 4\n    double(x) is 2x.\n    '''", "Twice x.\n    '''", "what only `extract` knows"),
    ("Twice x: double(2) == 4.'''", "'''", "nothing else in it"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected", "remark"), CASES, ids=[remark for *_, remark in CASES])
def test_what_is_left(text, expected, remark):
    problem = PublicProblem("t", f"{HEAD}{text}\n", "double")
    bare = without_examples(problem)
    assert bare.prompt == f"{HEAD}{expected}\n", remark
    assert extract(bare) == ()
    assert without_examples(bare) == bare


def test_code_around_the_docstring_is_left_alone():
    prompt = (
        "import math\n\ndef helper(x):\n    '''Half of x.\n    >>> helper(2)\n    1\n    '''\n    return x / 2\n\n"
        'def double(x):\n    r"""Twice x.\n\n    double(2) == 4"""\n'
    )
    bare = without_examples(PublicProblem("t", prompt, "double")).prompt
    assert ">>>" not in bare
    assert "double(2)" not in bare
    assert "return x / 2" in bare
    assert [node.name for node in ast.walk(parse_prompt(bare)) if isinstance(node, ast.FunctionDef)] == [
        "helper",
        "double",
    ]


def test_words():
    problem = PublicProblem("t", "Double a number.\nassert double(2) == 4\n", "double", "text")
    assert without_examples(problem).prompt == "Double a number.\n"
