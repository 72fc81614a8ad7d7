"""A budget replayed on a run that has everything: what is spent, and what stays hidden."""

from dataclasses import replace

import pytest

from rerank.evidence.record import Evidence
from rerank.evidence.trials import Trace, Trial, Tried
from rerank.records import Candidate, Comparison, PublicProblem
from rerank.reports.frontier import by_judgments, by_samples
from rerank.selection.posterior import ALWAYS, Model, Regression


def a_regression(*groups: tuple[str, float]) -> Regression:
    """Log-odds 0, and a weight for the first feature of each group."""
    names = (*ALWAYS, *(name for name, _ in groups))
    covariance = tuple(tuple(0.0 for _ in names) for _ in names)
    return Regression(names, 0.0, (0.0, *(weight for _, weight in groups)), covariance)


MODEL = Model(
    {
        (): a_regression(),
        ("scores",): a_regression(("score", 1.0)),
        ("comparisons",): a_regression(("margin", 1.0)),
        ("scores", "comparisons"): a_regression(("score", 1.0), ("margin", 10.0)),
    },
    separation=2.0,
)


@pytest.fixture
def given():
    """Scores prefer `b`, comparisons `a`; nothing else tells them apart. `b2` does what `b` does."""
    keys = ["c", "b", "b2", "a"]
    candidates = [Candidate("t", index, "x", "x", key) for index, key in enumerate(keys)]
    trial = Trial(PublicProblem("t", "def f(x):\n", "f"), inputs=("f(1)",))
    tried = Tried(trial, {key: Trace((key[0],), (), 0.0) for key in keys})
    scores = {"a": 0.0, "b": 2.0, "b2": 2.0, "c": 0.0}
    played = [
        Comparison("t", first, second, scores_of[first] - scores_of[second])
        for scores_of in [{"a": 0.15, "b": 0.0, "b2": 9.0, "c": 0.0}]
        for first, second in [("a", "b"), ("a", "c"), ("b", "c"), ("a", "b2"), ("b2", "c")]
    ]
    return {"t": candidates}, {"t": Evidence(scores, played, inputs=tried)}


def test_comparisons_are_counted_and_shown_only_among_those_asked(given):
    hidden, shown = by_judgments(*given, MODEL, budgets=(0, 10), pairs=True)
    assert (hidden.spent, hidden.choices) == (0, {"t": 0})
    assert shown.spent == 1, "two of three that behave differently: the most gain a judgment"
    assert shown.choices == {"t": 3}, "b2, which only stands beside b, has no say"


def test_judgments_alone_show_no_comparison(given):
    hidden, shown = by_judgments(*given, MODEL, budgets=(0, 10))
    assert (hidden.spent, shown.spent) == (0, 2)
    assert shown.choices == {"t": 1}


def test_samples_are_spent_where_nothing_is_believed_yet(given):
    groups, evidence = given
    sure = [Candidate("s", index, "x", "x", f"k{index}") for index in range(4)]
    shares = {f"k{index}": 1.0 for index in range(4)}
    model = Model({**MODEL.regressions, ("examples",): a_regression(("examples", 6.0))}, 2.0)
    unsure = replace(evidence["t"], scores={"a": 5.0}, comparisons=())
    both = {**groups, "s": sure}, {"t": unsure, "s": Evidence(examples=shares)}
    first, some, whole = by_samples(*both, model, budgets=(0, 5, 8))
    assert (first.spent, first.choices) == (2, {"t": 0, "s": 0})
    assert some.spent == 5
    assert some.choices == {"t": 3, "s": 0}, "t has its fourth sample, s is sure after its first"
    assert whole.spent <= 8
