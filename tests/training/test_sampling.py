"""Sampling for training against a generator that answers from a script: resume, temperatures, changed instructions."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from rerank.backends import GenerationRequest, Sample, Sampling
from rerank.errors import ResumeError
from rerank.records import PublicProblem
from rerank.store import Journal
from rerank.training import modified, sampling

DOUBLE = PublicProblem("t/double", 'def double(a):\n    """Twice the number."""\n', "double")
TRIPLE = PublicProblem("t/triple", 'def triple(a):\n    """Three times the number."""\n', "triple")
CHANGED = '```python\ndef double(a):\n    """Half of the number, rounded down."""\n    return a // 2\n```'


class ScriptedSource:
    """Answers each request by what its text holds, and keeps what it was asked."""

    has_chat_template = True

    def __init__(self, answers: dict[str, str]):
        self.answers = answers
        self.settings = {"engine": "scripted"}
        self.asked: list[str] = []

    def generate(
        self, requests: Iterable[GenerationRequest], num_samples: int, _: Sampling
    ) -> Iterator[tuple[GenerationRequest, list[Sample]]]:
        for request in requests:
            self.asked.append(request.id)
            text = next((text for part, text in self.answers.items() if part in request.text), "I don't know.")
            yield request, [Sample(text, 5, "stop", -0.5) for _ in range(num_samples)]


def draw(function, source, path: Path, temperature: float, *, first_index: int = 0, problems=(DOUBLE, TRIPLE)) -> list:
    with Journal(path, key=sampling.row_key) as journal:
        settings = Sampling(temperature=temperature)
        rows = function(
            problems,
            source,
            journal,
            num_samples=2,
            sampling=settings,
            generator="scripted",
            first_index=first_index,
        )
        return [row for batch in rows for row in batch]


def test_two_temperatures_in_one_file_and_nothing_twice(tmp_path: Path) -> None:
    source = ScriptedSource({"Twice": "    return 2 * a\n", "Three": "    return 3 * a\n"})
    path = tmp_path / "samples.jsonl"
    first = draw(sampling.sample, source, path, 0.5)
    second = draw(sampling.sample, source, path, 1.0, first_index=2)
    assert [(row["task_id"], row["index"], row["temperature"]) for row in first + second] == [
        (task, index, 0.5 if index < 2 else 1.0)
        for indices in ((0, 1), (2, 3))
        for task in ("t/double", "t/triple")
        for index in indices
    ]
    assert first[0]["program"].endswith("return 2 * a\n")
    assert first[0]["mean_log_probability"] == -0.5
    num_asked = len(source.asked)
    assert draw(sampling.sample, source, path, 0.5) == []
    assert len(source.asked) == num_asked


def test_another_temperature_in_the_same_place_is_refused(tmp_path: Path) -> None:
    source = ScriptedSource({})
    draw(sampling.sample, source, tmp_path / "samples.jsonl", 0.5)
    with pytest.raises(ResumeError, match=r"temperature 0\.5, not 0\.9"):
        draw(sampling.sample, source, tmp_path / "samples.jsonl", 0.9)


def test_a_changed_instruction_is_answered_in_place_of_the_original(tmp_path: Path) -> None:
    half = "```python\ndef double(a):\n    return a // 2\n```"
    source = ScriptedSource({"Think of a function": CHANGED, "Half of the number": half})
    rows = draw(sampling.sample_modified, source, tmp_path / "modified.jsonl", 1.0, problems=[DOUBLE])
    assert [(row["task_id"], row["index"]) for row in rows] == [("t/double", 0), ("t/double", 1)]
    assert all("a // 2" in row["program"] and "Half" in row["instruction"] for row in rows)
    assert draw(sampling.sample_modified, source, tmp_path / "modified.jsonl", 1.0, problems=[DOUBLE]) == []


def test_a_change_that_cannot_be_used_leaves_an_empty_row(tmp_path: Path) -> None:
    rows = draw(sampling.sample_modified, ScriptedSource({}), tmp_path / "modified.jsonl", 1.0)
    assert [(row["program"], row["key"]) for row in rows] == [("", None)] * 4


@pytest.mark.parametrize(
    ("answer", "is_usable"),
    [
        (CHANGED, True),
        ('def double(a):\n    """Half of the number."""', True),  # no fence, no body
        ('```python\ndef double(a):\n    """Twice the number."""\n```', False),  # nothing changed
        ('```python\ndef half(a):\n    """Half of the number."""\n```', False),  # another name
        ("```python\ndef double(a):\n    return a\n```", False),  # no docstring
        ("I would rather not.", False),
    ],
)
def test_reading_a_variation(answer: str, is_usable: bool) -> None:
    changed = modified.read_variation(DOUBLE, answer, 1)
    assert (changed is not None) == is_usable
    if changed is not None:
        assert changed.prompt.startswith("def double(a):")
        assert "return" not in changed.prompt
        assert modified.original_id(changed.task_id) == DOUBLE.task_id


def test_a_variation_of_a_task_in_words_names_the_function() -> None:
    problem = PublicProblem("t/1", "Write `area`, the area of a circle.", "area", "text")
    assert modified.read_variation(problem, "Write `area`, the area of a square.") is not None
    assert modified.read_variation(problem, "Write something else.") is None
