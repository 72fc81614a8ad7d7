"""What generators ask, what they keep, and that a killed run goes on as if it had not been."""

import itertools

import pytest

from rerank.backends.interface import EngineOptions, Sampling
from rerank.candidates.files import from_row
from rerank.generators import STYLES, generate, style_of
from rerank.models import weights
from rerank.records import PublicProblem
from rerank.store import Journal
from rerank.testing import FakeEngine

PROBLEMS = [PublicProblem(f"t/{n}", f"def f{n}(x):\n    '''Add {n}.'''\n", f"f{n}") for n in range(3)]
TEXT = PublicProblem("m/1", "Write a function to add two numbers.", "add", "text")


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "candidates.jsonl", key=lambda row: (row["task_id"], row["index"])) as opened:
        yield opened


def draw(source, journal, problems=PROBLEMS, *, num_samples=2, **changes):
    settings = {"num_samples": num_samples, "sampling": Sampling(max_tokens=12), "generator": "fake", **changes}
    return generate(problems, source, journal, **settings)


def test_a_candidate_keeps_what_the_model_wrote_and_the_program_in_it(journal):
    raw = "Sure:\n```python\ndef f0(x):\n    return x\n```"
    [[candidate]] = draw(FakeEngine(samples=[raw]), journal, PROBLEMS[:1], num_samples=1)
    assert candidate.raw == raw
    assert "return x" in candidate.program
    assert candidate.key is not None
    assert (candidate.index, candidate.generator, candidate.mean_log_probability) == (0, "fake", -0.5)
    assert from_row(journal["t/0", 0]) == candidate


def test_a_killed_run_repeats_nothing_that_it_finished(journal):
    first = FakeEngine(samples=["    return 0"] * 6)
    list(itertools.islice(draw(first, journal), 1))
    second = FakeEngine(samples=["    return 1"] * 6)
    list(draw(second, journal))
    assert [request.id for request in second.requests] == ["t/1", "t/2"]
    assert "return 0" in journal["t/0", 1]["program"]
    assert "return 1" in journal["t/1", 0]["program"]


def test_a_finished_run_asks_for_nothing(journal):
    list(draw(FakeEngine(samples=["    return 0"] * 6), journal))
    idle = FakeEngine()
    assert list(draw(idle, journal)) == []
    assert idle.requests == []


def test_more_samples_keep_those_drawn_before(journal):
    list(draw(FakeEngine(samples=["    return 0"] * 6), journal))
    list(draw(FakeEngine(samples=["    return 1"] * 9), journal, num_samples=3))
    assert ["return 0" in journal["t/0", index]["program"] for index in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("style", "problem", "shows", "is_chat"),
    [
        ("chat", PROBLEMS[0], "```python\ndef f0(x):", True),
        ("chat", TEXT, "must be called `add`", True),
        ("base", PROBLEMS[0], PROBLEMS[0].prompt, False),
        ("base", TEXT, "def add(", False),
    ],
)
def test_requests(style, problem, shows, is_chat):
    request = STYLES[style](problem)
    assert shows in request.text
    assert request.is_chat == is_chat
    assert bool(request.stop) == (not is_chat)  # a chat model ends its turn by itself


def test_a_base_model_answering_in_words_gets_the_beginning_back(journal):
    source = FakeEngine(samples=["a, b):\n    return a + b\n"])
    [[candidate]] = draw(source, journal, [TEXT], num_samples=1, style="base")
    assert "def add(a, b):" in candidate.program
    assert candidate.key is not None


def test_a_prompt_that_opens_with_a_docstring_is_continued_like_any_other(journal):
    problem = PublicProblem("t/9", '"""Helpers."""\n\ndef f(x):\n', "f")
    [[candidate]] = draw(FakeEngine(samples=["    return x\n"]), journal, [problem], num_samples=1, style="base")
    assert candidate.raw == "    return x\n"
    assert candidate.program.count("def f(x)") == 1


def test_style_follows_the_chat_template():
    source = FakeEngine()
    assert style_of(source) == "chat"
    source.has_chat_template = False
    assert style_of(source) == "base"


def test_a_real_model_resumed_writes_what_it_would_have_written(tiny_model, tmp_path):
    from rerank.backends.hf.engine import TransformersEngine

    engine = TransformersEngine(weights.resolve(str(tiny_model)), EngineOptions(dtype="float32"))
    for name, stops in (("whole", [3]), ("killed", [1, 1, 3])):
        for num_batches in stops:
            with Journal(tmp_path / name, key=lambda row: (row["task_id"], row["index"])) as journal:
                list(itertools.islice(draw(engine, journal), num_batches))
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "killed").read_bytes()
    assert len((tmp_path / "whole").read_text().splitlines()) == 6
