"""The reasoning autorater: what it is asked, verdicts out of messy text, votes, and a real model at the end."""

import math

import pytest

from rerank.autoraters.reasoning import Reasoning, count_votes, pair_text, read_verdict
from rerank.records import Comparison, PublicProblem
from rerank.testing import FakeEngine

PROBLEM = PublicProblem("t/0", 'def add(a, b):\n    """Sum."""\n', "add")
PROGRAMS = {"p": "def add(a, b):\n    return a + b", "q": "def add(a, b):\n    return a - b"}

MESSY = [
    ("Plan...\n[[A]]", "A", "as asked"),
    ("[[b]]", "B", "small letter"),
    ("[[ A ]]\n", "A", "blanks inside"),
    ("**[[B]]**.", "B", "marked up"),
    ("At first [[A]] seemed right, but A fails on an empty list.\n\nVerdict:\n[[B]]", "B", "the last one counts"),
    ("[[A]]\n[[A]]", "A", "said twice"),
    ("[[A]] or [[B]]", None, "the two offered in one breath"),
    ("[[A]] if A is better, [[B]] if B is better.", None, "the question copied"),
    ("[[A]] if A is better, [[B]] if B is better.\nA is right. [[A]]", "A", "the question copied, then an answer"),
    ("[[C]]", None, "another letter"),
    ("[A]", None, "single brackets"),
    ("The better one is A.", None, "words only"),
    ("xs = [[A], [B]]", None, "code"),
    ("[[A", None, "cut off"),
    ("", None, "nothing"),
    ("判定 [[B]]。", "B", "other scripts around it"),
]


@pytest.mark.parametrize(("text", "verdict", "_why"), MESSY, ids=[row[2] for row in MESSY])
def test_verdicts_out_of_messy_text(text: str, verdict: str | None, _why: str) -> None:
    assert read_verdict(text) == verdict


def test_votes_without_a_verdict_are_counted_and_take_no_side() -> None:
    votes = count_votes(["[[A]]", "[[A]]", "[[B]]", "hm"])
    assert (votes.num_first, votes.num_second, votes.num_unparsed) == (2, 1, 1)
    assert votes.log_odds == pytest.approx(math.log(2.5 / 1.5))
    assert count_votes(["", "?"]).log_odds is None


def test_comparisons_by_majority() -> None:
    source = FakeEngine(samples=["[[A]]", "[[A]]", "[[B]]", "[[B]]", "[[B]]", "?", "?", "?", "?"])
    autorater = Reasoning(source, num_votes=3)
    pairs = [("p", "q"), ("q", "p"), ("p", "bad"), ("p", "q")]
    found = autorater.compare(PROBLEM, pairs, {**PROGRAMS, "bad": "def"})
    assert [each.reason for each in found] == [
        "",
        "1 of 3 without a verdict",
        "does not parse",
        "3 of 3 without a verdict",
    ]
    assert found[0].log_odds > 0 > found[1].log_odds
    assert found[2] == Comparison("t/0", "p", "bad", None, "does not parse")
    assert found[3].log_odds is None
    assert (autorater.num_unparsed, autorater.usage.num_prompts) == (4, 3)
    first, second = source.requests[:2]
    assert first.id != second.id
    assert first.text.index("return a + b") < first.text.index("return a - b")
    assert second.text.index("return a - b") < second.text.index("return a + b")


def test_a_tournament_asks_both_orders() -> None:
    source = FakeEngine(samples=["[[A]]", "[[B]]"])
    [played] = Reasoning(source).play_many([(PROBLEM, PROGRAMS, lambda _scores: [("p", "q")])])
    assert [(each.first, each.second, each.log_odds > 0) for each in played.comparisons] == [
        ("p", "q", True),
        ("q", "p", False),
    ]


def test_the_question_asks_for_a_plan_and_shows_no_answer_yet() -> None:
    text = pair_text(PROBLEM, *PROGRAMS.values())
    assert "evaluation plan" in text
    assert text.endswith("[[A]] if A is better, [[B]] if B is.\n")
    assert "EVALUATION:" not in text
    assert read_verdict(text) is None


def test_a_real_model_writes_and_is_read(tiny_model) -> None:
    from rerank.backends.hf.engine import TransformersEngine
    from rerank.backends.interface import EngineOptions, Sampling
    from rerank.models import weights

    engine = TransformersEngine(weights.resolve(str(tiny_model)), EngineOptions("generate", dtype="float32"))
    autorater = Reasoning(engine, num_votes=2, sampling=Sampling(0.7, 0.9, max_tokens=6))
    found = autorater.compare(PROBLEM, [("p", "q"), ("q", "p")], PROGRAMS)
    assert len(found) == 2
    assert autorater.usage.num_tokens > 0
    assert autorater.num_unparsed == 4, "random weights write no verdict"
