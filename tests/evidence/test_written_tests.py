"""Model-written tests: what is asked, what is kept of an answer, and how often it was written."""

import pytest

from rerank.evidence.examples import extract
from rerank.evidence.written_tests import STYLES, Check, answer_texts, check_of, collect, used_calls
from rerank.records import PublicProblem

PROBLEM = PublicProblem("t", "def f(x):\n    '''Twice x.\n\n    >>> f(2)\n    4\n    '''\n", "f")
KEPT = [
    ("assert f(1) == 2", ["f(1) == 2"], "plain"),
    ("assert f(1) == 2, 'two'", ["f(1) == 2"], "a message"),
    ("assert f(1) == 2, f'{1}'", ["f(1) == 2"], "a formatted message"),
    ("assert 2 == f(1)", ["2 == f(1)"], "the other way round"),
    ("assert f( [1,\n  2] ) == [2]\nassert f(3) == 6", ["f([1, 2]) == [2]", "f(3) == 6"], "over two lines"),
    ("assert \n    f(1) == 2", ["f(1) == 2"], "a line break after the word, as CodeGen writes"),
    ("assert (f(1) == 2)", ["f(1) == 2"], "brackets"),
    ("1. `assert f(1) == 2`\n2. `assert f(2) == 5`", ["f(1) == 2", "f(2) == 5"], "Markdown"),
    ("```python\nassert f(1) == 2\n```", ["f(1) == 2"], "a fence"),
    ("def test_f():\n    assert f(1) == 2\n    assert f(3) == 6", ["f(1) == 2", "f(3) == 6"], "inside a function"),
    ("assert abs(f(0.5) - 1.0) < 1e-6", ["abs(f(0.5) - 1.0) < 1e-06"], "a tolerance"),
    ("assert math.isclose(f(1), 2)", ["math.isclose(f(1), 2)"], "a module"),
    ("assert not f(0)", ["not f(0)"], "a truth value"),
    ("assert f(1) == 2\nassert f(", ["f(1) == 2"], "broken off"),
    ("assert f(x) == 2\nassert f(1) == y", [], "free names"),
    ("assert f(1) == f(2)", [], "two calls"),
    ("assert f(f(1)) == 4", [], "the call inside itself"),
    ("assert callable(f)", [], "no call"),
    ("assert all(f(n) == 2 * n for n in range(3))", [], "many calls"),
    ("assert f(1), 2", [], "a comma where == was meant"),
    ("assert f(input()) == 2", [], "reads the terminal"),
    ("assert f(" + "(" * 3000, [], "absurd nesting"),
    ("I assert f(1) is fine", [], "prose"),
]


@pytest.mark.parametrize(("text", "expected", "remark"), KEPT, ids=[remark for *_, remark in KEPT])
def test_kept(text, expected, remark):
    assert [check.expression for check in collect(PROBLEM, [text])] == expected, remark


def test_counts_order_and_limits():
    texts = ["assert f(1) == 2\nassert f(1) == 2", "assert f(3) == 6\nassert f(1)==2", "assert f(5) == 10"]
    found = collect(PROBLEM, texts)
    assert [(check.call, check.count) for check in found] == [("f(1)", 2), ("f(3)", 1), ("f(5)", 1)], "once a sample"
    assert collect(PROBLEM, texts, max_tests=1) == found[:1]
    assert [check.call for check in collect(PROBLEM, texts, max_tests_per_sample=1)] == ["f(1)", "f(3)", "f(5)"]


def test_copies_of_the_examples_are_left_out():
    found = collect(PROBLEM, ["assert f(2)==4\nassert f(2) == 5"], known=extract(PROBLEM))
    assert [check.expression for check in found] == ["f(2) == 5"]


def test_a_check_is_its_call_and_a_predicate():
    assert check_of("sorted(f([2, 1])) == [1, 2]", "f") == Check("f([2, 1])", "sorted(_) == [1, 2]")
    assert check_of("f(1) == f(2)", "f") is None
    assert used_calls([Check("f(1)", "_ == 1"), Check("f(1)", "_ == 2"), Check("f(2)", "_")]) == ("f(1)", "f(2)")


def test_requests_show_the_problem_and_no_more():
    """The problem's type has no tests to show; the function's body is empty."""
    continued, chat = (make(PROBLEM) for make in STYLES.values())
    assert continued.text.startswith(PROBLEM.prompt)
    assert "    pass\n" in continued.text
    assert continued.text.endswith("\nassert f(")
    assert (continued.is_chat, chat.is_chat) == (False, True)
    assert PROBLEM.prompt.strip() in chat.text
    assert answer_texts(PROBLEM, "continue", ["1) == 2\n"]) == ("assert f(1) == 2\n",)
    assert answer_texts(PROBLEM, "chat", ["assert f(1) == 2"]) == ("assert f(1) == 2",)


@pytest.mark.parametrize("style", STYLES)
def test_words_and_methods(style):
    words = STYLES[style](PublicProblem("t", "Double a number.\nassert f(2) == 4\n", "f", "text"))
    assert "Double a number." in words.text
    assert STYLES[style](PublicProblem("t", "class A:\n    def f(self):\n", "A.f")) is None
