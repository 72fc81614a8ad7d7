"""What autoraters ask and how they report; the engine is a fake with a queue, except where a tiny model is named."""

import pytest

from rerank.autoraters import AUTORATERS
from rerank.backends.interface import Usage
from rerank.records import Comparison, PublicProblem, Score
from rerank.testing import FakeEngine

PROBLEM = PublicProblem("t/0", 'def add(a, b):\n    """Sum."""\n', "add")
OTHER = PublicProblem("t/1", 'def sub(a, b):\n    """Difference."""\n', "sub")
PROGRAMS = {"p": "def add(a,b):\n  'Sum.'\n  return a+b  # right", "q": "def add(a, b):\n    return a - b"}


def test_scores_come_in_the_order_of_the_programs():
    judge = FakeEngine(verdicts=[1.5, -0.5])
    assert AUTORATERS["pointwise"](judge).score(PROBLEM, PROGRAMS) == [Score("t/0", "p", 1.5), Score("t/0", "q", -0.5)]


def test_programs_are_shown_in_their_normal_form():
    judge = FakeEngine(verdicts=[0.0, 0.0])
    AUTORATERS["pointwise"](judge).score(PROBLEM, PROGRAMS)
    assert judge.prompts[0][0].segments[1] == "def add(a, b):\n    return a + b"


def test_the_same_program_is_asked_in_the_same_words():
    judge = FakeEngine(verdicts=[0.0, 0.0])
    AUTORATERS["pointwise"](judge).score(PROBLEM, {"p": PROGRAMS["p"], "r": "def add(a, b): return (a + b)"})
    assert judge.prompts[0][0] == judge.prompts[0][1]


def test_what_does_not_parse_is_unscored_and_not_asked():
    judge = FakeEngine(verdicts=[0.3])
    scores = AUTORATERS["pointwise"](judge).score(PROBLEM, {"bad": "def add(", "p": PROGRAMS["p"]})
    assert scores == [Score("t/0", "bad", None, "does not parse"), Score("t/0", "p", 0.3)]
    assert len(judge.prompts[0]) == 1


def test_no_verdict_is_not_zero():
    judge = FakeEngine(verdicts=["broken", 0.0])
    first, second = AUTORATERS["pointwise"](judge).score(PROBLEM, PROGRAMS)
    assert (first.log_odds, first.reason) == (None, "broken")
    assert (second.log_odds, second.reason) == (0.0, "")


def test_comparisons_keep_the_order_asked():
    judge = FakeEngine(verdicts=[2.0, -1.0])
    found = AUTORATERS["pairwise"](judge).compare(PROBLEM, [("p", "q"), ("q", "p")], PROGRAMS)
    assert found == [Comparison("t/0", "p", "q", 2.0), Comparison("t/0", "q", "p", -1.0)]
    forth, back = judge.prompts[0]
    assert (forth.segments[1], forth.segments[3]) == (back.segments[3], back.segments[1])
    assert forth.answers == back.answers == ("A", "B")


def test_a_pair_with_one_that_does_not_parse_has_no_verdict():
    judge = FakeEngine(verdicts=[0.7])
    pairs = [("p", "bad"), ("p", "q")]
    first, second = AUTORATERS["pairwise"](judge).compare(PROBLEM, pairs, {**PROGRAMS, "bad": "def"})
    assert (first.log_odds, first.reason) == (None, "does not parse")
    assert second.log_odds == 0.7


def test_one_group_of_prompts_a_problem():
    judge = FakeEngine(verdicts=[1.0, 2.0, 3.0])
    autorater = AUTORATERS["pointwise"](judge)
    found = list(autorater.score_many([(PROBLEM, PROGRAMS), (OTHER, {}), (OTHER, {"q": PROGRAMS["q"]})]))
    assert [[score.log_odds for score in scores] for scores in found] == [[1.0, 2.0], [], [3.0]]
    assert [len(group) for group in judge.prompts] == [2, 0, 1]
    assert autorater.usage == Usage(3, 30, 15)


def test_many_problems_are_judged_as_they_are_read():
    """The stream is not read to its end first: what is judged can be kept before the next is asked."""
    judge = FakeEngine(verdicts=[1.0] * 4)
    found = AUTORATERS["pointwise"](judge).score_many((problem, PROGRAMS) for problem in (PROBLEM, OTHER))
    next(found)
    assert len(judge.prompts) == 1


@pytest.mark.parametrize("mode", ["pointwise", "pairwise"])
def test_a_real_model_gives_the_same_verdicts_alone_and_among_others(mode, tiny_model):
    from rerank.backends.hf.engine import TransformersEngine
    from rerank.backends.interface import EngineOptions
    from rerank.models import weights

    engine = TransformersEngine(weights.resolve(str(tiny_model)), EngineOptions(dtype="float32"))
    autorater = AUTORATERS[mode](engine)
    if mode == "pointwise":
        together = autorater.score(PROBLEM, PROGRAMS)
        alone = [score for key in PROGRAMS for score in autorater.score(PROBLEM, {key: PROGRAMS[key]})]
    else:
        pairs = [("p", "q"), ("q", "p")]
        together = autorater.compare(PROBLEM, pairs, PROGRAMS)
        alone = [found for pair in pairs for found in autorater.compare(PROBLEM, [pair], PROGRAMS)]
    assert together[0].log_odds != together[1].log_odds
    assert [each.log_odds for each in together] == pytest.approx([each.log_odds for each in alone], abs=1e-4)
    assert autorater.usage.num_tokens_saved > 0
