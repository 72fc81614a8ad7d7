"""Generated inputs: from the prompt's examples, of the same types, the same for the same seed."""

import ast

from hypothesis import given, settings
from hypothesis import strategies as st

from rerank.evidence.generated_inputs import example_calls, generate
from rerank.records import PublicProblem


def test_from_the_examples():
    problem = PublicProblem(
        "t", "def f(x, y):\n    '''f(2, 'a') == 4, f(2, 'a') = 5\n    >>> sorted(f(3, 'b'))\n    []\n    '''\n", "f"
    )
    assert example_calls(problem) == ("f(3, 'b')", "f(2, 'a')")


def test_none_from_nothing():
    assert generate(()) == ()
    assert generate(("f()", "f(x=2)", "f(float('inf'))")) == ("f()", "f(x=2)", "f(float('inf'))"), "kept unchanged"


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-99, 99) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


@settings(deadline=None, max_examples=50)
@given(st.lists(plain, min_size=1, max_size=3), st.integers(0, 9))
def test_types_are_kept(arguments, seed):
    call = f"f({', '.join(map(repr, arguments))})"
    found = generate([call], seed=seed, num_inputs=8)
    assert found == generate([call], seed=seed, num_inputs=8)
    assert found[0] == call
    assert len(set(found)) == len(found) <= 8
    for each in found:
        changed = [ast.literal_eval(argument) for argument in ast.parse(each, mode="eval").body.args]
        assert list(map(type, changed)) == list(map(type, arguments))


def test_seeds_differ_and_inputs_are_new():
    assert generate(["f([1, 2, 3], 'abc')"], seed=0) != generate(["f([1, 2, 3], 'abc')"], seed=1)
    assert len(generate(["f([1, 2, 3], 'abc')"], num_inputs=24)) == 24
