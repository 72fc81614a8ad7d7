"""Published selectors by execution, on matrices worked out by hand."""

import math
from collections.abc import Mapping

import pytest

from rerank.evidence.agreement import AGREEMENTS, codet, majority_vote, mbr_exec, srank
from rerank.evidence.record import Evidence
from rerank.evidence.trials import Trace, Trial, Tried, joined
from rerank.evidence.written_tests import Check
from rerank.records import Candidate, PublicProblem
from rerank.selection.selectors import SELECTORS, select

PROBLEM = PublicProblem("t", "def f(x):\n", "f")


def tried(outputs: Mapping[str, str], tests: Mapping[str, int] | None = None, inputs: int = 0) -> Tried:
    """`outputs`: a letter an input, `!` for a failure; `tests`: `0a` (input 0 gives a) to how often it was written."""
    tests = tests or {}
    checks = tuple(Check(f"f({test[0]})", f"_ == {test[1:]!r}", count) for test, count in tests.items())
    width = max([inputs, *(len(text) for text in outputs.values())], default=0)
    trial = Trial(PROBLEM, checks, tuple(f"f({number})" for number in range(width)))
    order = [int(call[2:-1]) for call in trial.calls]
    traces = {
        key: Trace(
            tuple(text[number].replace("!", "!late") for number in order),
            tuple(text[int(test[0])] == test[1:] for test in tests),
            0.0,
        )
        for key, text in outputs.items()
    }
    return Tried(trial, traces)


SHOWN = tried({"a": "123", "b": "123", "c": "129", "d": "889"}, {"01": 1, "12": 1, "29": 1})
COUNTS = {"a": 1, "b": 1, "c": 2, "d": 1}


def test_codet():
    found = codet(tried({"a": "12", "b": "12", "c": "93"}, {"01": 2, "12": 1, "13": 1}), {"a": 1, "b": 1, "c": 3})
    assert found == pytest.approx({"a": 3 * math.sqrt(2), "b": 3 * math.sqrt(2), "c": math.sqrt(3)})


def test_codet_groups_by_what_passes_and_not_by_what_is_returned():
    found = codet(tried({"a": "18", "b": "19"}, {"01": 1, "12": 1}), {"a": 1, "b": 1})
    assert found == pytest.approx({"a": math.sqrt(2), "b": math.sqrt(2)})


def test_srank():
    # Clusters ab, c, d: worth 2/5 x 2/3, 2/5 x 1, 1/5 x 1/3; overlap ab-c 2/3, c-d 1/3, ab-d 0.
    found = srank(SHOWN, COUNTS)
    assert found == pytest.approx({"a": 8 / 15, "b": 8 / 15, "c": 9 / 15, "d": 3 / 15})


def test_mbr_exec():
    assert mbr_exec(SHOWN, COUNTS) == {"a": 2.0, "b": 2.0, "c": 2.0, "d": 1.0}


def test_majority_vote():
    assert majority_vote(SHOWN, COUNTS) == {"a": 2.0, "b": 2.0, "c": 3.0, "d": 1.0}
    assert majority_vote(tried({"a": "1", "b": "2"}), {"a": 1, "b": 1}) == {"a": 1.0, "b": 1.0}, "both most common"


def test_failing_alike_is_no_agreement():
    found = tried({"a": "!!", "b": "!!", "c": "!!", "d": "1!"}, {"01": 1})
    counts = dict.fromkeys("abcd", 1)
    for name, agreement in AGREEMENTS.items():
        values = agreement(found, counts)
        assert max(values, key=lambda key: values[key]) == "d", name
        assert values["a"] == 0.0, name


NEED_TESTS = [name for name, selector in SELECTORS.items() if "tests" in selector.needs]


@pytest.mark.parametrize("name", NEED_TESTS)
def test_all_tests_wrong(name):
    """Nothing passes: no program is worth more than another, and the generator's order decides."""
    values = AGREEMENTS[name](tried({"a": "12", "b": "34"}, {"09": 1, "18": 3}), {"a": 1, "b": 5})
    assert values == {"a": 0.0, "b": 0.0}


def candidate(index: int, key: str | None, log_probability: float | None = None) -> Candidate:
    return Candidate("t", index, "x", "x", key, mean_log_probability=log_probability)


@pytest.mark.parametrize("name", AGREEMENTS)
def test_no_tests_at_all(name):
    candidates = [candidate(0, "a", -2.0), candidate(1, "b", -1.0)]
    ranking = select(name, PROBLEM, candidates, Evidence())
    assert (ranking.order, ranking.values) == ((1, 0), (None, None)), "log-probability decides, and the report counts"
    if name in NEED_TESTS:
        only_inputs = Evidence(inputs=tried({"a": "12", "b": "12"}))
        assert select(name, PROBLEM, candidates, only_inputs).values == (None, None)


@pytest.mark.parametrize("name", AGREEMENTS)
def test_ties_go_to_log_probability_then_to_the_first(name):
    evidence = Evidence(written=tried({"a": "12", "b": "12"}, {"01": 1}))
    candidates = [candidate(0, "a"), candidate(1, "b"), candidate(2, None)]
    assert select(name, PROBLEM, candidates, evidence).order == (0, 1, 2)
    candidates = [candidate(0, "a", -2.0), candidate(1, "b", -1.0), candidate(2, None, 0.0)]
    assert select(name, PROBLEM, candidates, evidence).order == (1, 0, 2)


@pytest.mark.parametrize("name", AGREEMENTS)
def test_a_program_that_hangs_on_one_test_keeps_the_others(name):
    """`a` hangs once and is right elsewhere; `b` answers everything and is alone with it."""
    evidence = Evidence(written=tried({"a": "12!", "c": "12!", "b": "456"}, {"01": 1, "12": 1, "23": 1}))
    candidates = [candidate(0, "b"), candidate(1, "a"), candidate(2, "c")]
    assert select(name, PROBLEM, candidates, evidence).best == 1


def test_two_trials_as_one():
    one, other = tried({"a": "12", "b": "34"}, {"01": 1}), tried({"a": "125", "c": "678"}, {"25": 1})
    both = joined([one, other])
    assert both.trial.calls == ("f(0)", "f(2)", "f(1)"), "each call once"
    assert set(both.traces) == {"a"}, "only what was in both"
    assert (both.traces["a"].outputs, both.traces["a"].passed) == (("1", "5", "2"), (True, True))
