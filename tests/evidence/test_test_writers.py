"""Tests from a model and from files."""

import pytest

from rerank.backends.interface import Sampling
from rerank.errors import InputError
from rerank.evidence.test_writers import Answers, read_answers, write_answers
from rerank.records import Problem
from rerank.runs.folder import KEYS
from rerank.store import Journal, write_rows
from rerank.testing import FakeEngine

PROMPT = "def f(x):\n    '''Twice x.\n    >>> f(2)\n    4\n    '''\n"
PROBLEM = Problem("t", PROMPT, "f", "assert f(7) == 14")
METHOD = Problem("m", "class A:\n    def g(self):\n        pass\n", "A.g", "")


def test_a_model_is_asked_once_and_read_back(tmp_path):
    path = tmp_path / "tests.jsonl"
    source = FakeEngine(samples=["1) == 2\n", "3) == 6\n"])
    for _ in range(2):  # the second time there is nothing left to ask
        with Journal(path, key=KEYS["tests"]) as journal:
            rows = write_answers(
                [PROBLEM.public, METHOD.public], source, journal, form="continue", num_samples=2, sampling=Sampling()
            )
            list(rows)
    assert [request.id for request in source.requests] == ["t"], "a method cannot be asked about"
    assert read_answers(path, [PROBLEM, METHOD]) == {
        "t": Answers(("assert f(1) == 2\n", "assert f(3) == 6\n"), ("f(2) == 4",))
    }


def test_a_writer_that_is_shown_no_example_copies_none(tmp_path):
    path = tmp_path / "tests.jsonl"
    source = FakeEngine(samples=["2) == 4\n"])
    with Journal(path, key=KEYS["tests"]) as journal:
        list(write_answers([PROBLEM.public], source, journal, form="continue", num_samples=1, sampling=Sampling(),
                           without_examples=True))  # fmt: skip
    assert "Twice x." in source.requests[0].text
    assert ">>>" not in source.requests[0].text
    found = read_answers(path, [PROBLEM])
    assert found == {"t": Answers(("assert f(2) == 4\n",), ())}, "f(2) == 4 is the writer's own"


def test_codet_form_and_what_its_writer_saw(tmp_path):
    path = tmp_path / "tests.jsonl.gz"
    bare = "def f(x):\n    '''Twice x.'''\n    pass\n\n# check the correctness of f\nassert "
    write_rows(path, [{"prompt": bare, "samples": ["f(1) == 2"]}])
    assert read_answers(path, [PROBLEM]) == {"t": Answers(("assert f(1) == 2",), ())}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"task_id": "t", "form": "poem", "texts": []}, "form is to be one of continue, chat"),
        ({"task_id": "t", "form": "chat", "texts": "no list"}, "is to be a list of texts"),
        ({"task_id": "u", "form": "chat", "texts": []}, "no line about any of the problems"),
    ],
)
def test_what_cannot_be_read(tmp_path, row, message):
    write_rows(tmp_path / "tests.jsonl", [row])
    with pytest.raises(InputError, match=message):
        read_answers(tmp_path / "tests.jsonl", [PROBLEM])
