"""Stop early: nothing is asked where evidence decides, near-ties come first, and the budget holds."""

import pytest

from rerank.evidence.trials import Trace, Trial, Tried
from rerank.records import PublicProblem
from rerank.selection.budget import Ask, gains_of, plan, representatives, shared, within
from rerank.selection.posterior import Belief


def beliefs(*log_odds: float) -> dict[str, Belief]:
    return {f"k{number}": Belief(value, (), ()) for number, value in enumerate(log_odds)}


def test_gain_grows_with_closeness_and_with_the_judge():
    close, near, far = (gains_of([0.5, 0.5 - gap], 1.0)[2] for gap in (0.0, 1.0, 6.0))
    assert close > near > far
    assert far == pytest.approx(0.0, abs=1e-3)
    assert gains_of([0.0, 0.0], 2.0)[2] > gains_of([0.0, 0.0], 0.5)[2]
    assert gains_of([0.0, 0.0], 0.0) == {}, "a judge that tells nothing"
    assert gains_of([0.0], 1.0) == {}, "nothing to choose between"


def test_gain_against_the_exact_one():
    """Two even programs and a perfect judge: right is chosen unless both are wrong, 3/4 in place of 1/2."""
    assert gains_of([0.0, 0.0], 12.0)[2] == pytest.approx(0.25, abs=0.03)


def test_near_ties_first_and_decided_problems_not_at_all():
    found = plan(
        {"decided": beliefs(5.0, -5.0), "tie": beliefs(0.0, 0.0), "nearly": beliefs(1.0, -0.5)},
        {},
        separation=1.0,
    )
    assert [ask.task_id for ask in found] == ["tie", "nearly"]
    assert found[0].keys == ("k0", "k1")


def test_programs_that_behave_alike_are_one():
    trial = Trial(PublicProblem("t", "", "f"), inputs=("f(1)",))
    tried = Tried(trial, {"k0": Trace(("1",), (), 0.0), "k1": Trace(("1",), (), 0.0), "k2": Trace(("2",), (), 0.0)})
    assert representatives(beliefs(0.0, 1.0, 0.5), tried) == ["k1", "k2"]
    assert representatives(beliefs(0.0, 1.0, 0.5), None) == ["k1", "k2", "k0"]
    assert shared({"k1": 3.0}, tried) == {"k1": 3.0, "k0": 3.0}, "else the other would escape its verdict"
    assert shared({"k1": 3.0, "k0": 1.0}, tried) == {"k1": 3.0, "k0": 1.0}
    assert shared({"k1": 3.0}, None) == {"k1": 3.0}


def test_the_budget():
    asks = [Ask("a", ("k0", "k1", "k2"), 0.3), Ask("b", ("k0", "k1"), 0.1)]
    assert within(asks, None) == {"a": {"k0", "k1", "k2"}, "b": {"k0", "k1"}}
    assert within(asks, 4) == {"a": {"k0", "k1", "k2"}}
    assert within(asks, 2) == {"b": {"k0", "k1"}}, "a smaller one still fits"
    assert within(asks, 0) == {}
