"""Sampling for training against a generator that answers from a script: resume, temperatures, changed instructions."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from rerank.backends.interface import GenerationRequest, Sample, Sampling
from rerank.errors import ResumeError
from rerank.records import PublicProblem
from rerank.store import Journal
from rerank.training.labels import modified, sampling

DOUBLE = PublicProblem("t/double", 'def double(a):\n    """Twice the number."""\n', "double")
TRIPLE = PublicProblem("t/triple", 'def triple(a):\n    """Three times the number."""\n', "triple")
CHANGED = " Half of the number, rounded down."


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
    source = ScriptedSource({"Pairs of different": CHANGED, "Half of the number": half})
    rows = draw(sampling.sample_modified, source, tmp_path / "modified.jsonl", 1.0, problems=[DOUBLE])
    assert [(row["task_id"], row["index"]) for row in rows] == [("t/double", 0), ("t/double", 1)]
    assert all("a // 2" in row["program"] and "Half" in row["instruction"] for row in rows)
    assert draw(sampling.sample_modified, source, tmp_path / "modified.jsonl", 1.0, problems=[DOUBLE]) == []


def test_a_change_that_cannot_be_used_leaves_an_empty_row(tmp_path: Path) -> None:
    source = ScriptedSource({"Pairs of different": " The number."})
    rows = draw(sampling.sample_modified, source, tmp_path / "modified.jsonl", 1.0)
    assert [(row["program"], row["key"]) for row in rows] == [("", None)] * 4


METHOD = PublicProblem(
    "t/3",
    "class Shelf:\n    def size(self):\n"
    '        """\n        Number of books.\n\n        >>> Shelf().size()\n        0\n        """\n',
    "size",
)


@pytest.mark.parametrize(
    ("problem", "answer", "changed"),
    [
        (DOUBLE, CHANGED, 'def double(a):\n    """Half of the number, rounded down."""\n'),
        (
            DOUBLE,
            f"{CHANGED}\n\nFunction: f(x)\nFirst:",
            'def double(a):\n    """Half of the number, rounded down."""\n',
        ),
        (METHOD, " Names of all authors.", 'class Shelf:\n    def size(self):\n        """Names of all authors."""\n'),
        (DOUBLE, " Twice the number.", None),  # nothing changed
        (DOUBLE, " The number, twice.", None),  # the same words
        (DOUBLE, "```half of the number```", None),
        (DOUBLE, ' Half of the """number""".', None),
        (DOUBLE, " Length of the longest run of equal\x5cn neighbours.", None),  # would end or escape in a docstring
        (DOUBLE, " The number of Sundays among the given number of days before date.", None),  # an example copied
        (DOUBLE, "", None),
        (PublicProblem("t/4", "def f(a):\n", "f"), " Half of the number.", None),  # no docstring to change
        (PublicProblem("t/5", 'def f(a): """Twice a."""\n', "f"), " Half of the number.", None),
    ],
)
def test_reading_a_variation(problem: PublicProblem, answer: str, changed: str | None) -> None:
    found = modified.read_variation(problem, answer, 1)
    assert (found and found.prompt) == changed
    if found:
        assert modified.original_id(found.task_id) == problem.task_id


def test_a_variation_is_asked_for_without_the_examples() -> None:
    request = modified.variation_request(METHOD)
    assert request.text.endswith("Function: size(self)\nFirst: Number of books.\nSecond:")
    assert (request.is_chat, request.stop) == (False, ("\n",))
    assert modified.variation_request(METHOD, is_chat=True).is_chat, "for servers that only chat"


def test_a_variation_of_a_task_in_words_names_the_function() -> None:
    problem = PublicProblem("t/1", "Write `area`, the area of a circle.", "area", "text")
    assert modified.read_variation(problem, "Write `area`, the area of a square.") is not None
    assert modified.read_variation(problem, "Write something else.") is None
