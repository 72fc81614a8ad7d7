"""A small made-up code base becomes problems: what proves itself stays, what does not is counted."""

from collections import Counter
from pathlib import Path

import pytest

import sandbox
from rerank.training.problems import code_problems
from rerank.training.problems.code_problems import Draft

SHAPES = '''\
"""Shapes and what they measure."""
import math

import numpy

PI = 3.0
UNIT = 1.0


def _squared(value):
    return value * value


def area(radius: float, unit: float = UNIT) -> float:
    """
    Area of a circle, with a coarse value of pi.

    >>> area(1)
    3.0
    >>> area(2.0)
    12.0
    >>> area(0)
    0.0
    >>> area(3)
    27.0
    >>> area(-1)
    Traceback (most recent call last):
        ...
    ValueError: radius must not be negative
    """
    if radius < 0:
        raise ValueError("radius must not be negative")
    return PI * _squared(radius) * unit


def root(value):
    """
    >>> root(4)
    2.0
    >>> root(9)
    3.0
    """
    return math.sqrt(value)


def mean(values):
    """Mean of some values, by another package.

    >>> mean([1, 2])
    1.5
    >>> mean([3])
    3.0
    """
    return float(numpy.mean(values))


def once(value):
    """One check is too few for a problem.

    >>> once(1)
    1
    """
    return value


def wrong(value):
    """A docstring that the code does not keep.

    >>> wrong(1)
    2
    >>> wrong(2)
    3
    """
    return value


def nothing(value):
    """Its checks hold for anything that returns nothing.

    >>> nothing(1)
    >>> nothing(2) is None
    True
    >>> nothing(3) is None
    True
    """
    value += 1


def untold(a, b):
    return a + b
'''
TEXTS = '''\
def shout(text):
    """Return the text in capitals with an exclamation mark."""
    return text.upper() + "!"


def whisper(text):
    """Return the text in small letters, three dots after it."""
    return text.lower() + "..."
'''
TESTS = """\
import unittest

from small.texts import shout, whisper


class TestShout(unittest.TestCase):
    def test_words(self):
        self.assertEqual(shout("no"), "NO!")
        self.assertEqual(shout(""), "!")

    def test_both(self):
        self.assertEqual(shout("a") + whisper("B"), "A!b...")


def test_repeated():
    for text in ("x", "y"):
        assert shout(text) == text.upper() + "!"
"""
EXERCISE = {
    "two-fer/.docs/instructions.md": "# Instructions\n\nSay for whom the [other one](http://x) is.\n",
    "two-fer/.meta/example.py": 'def two_fer(name="you"):\n    return f"One for {name}, one for me."\n',
    "two-fer/two_fer.py": "def two_fer(name):\n    pass\n",
    "two-fer/two_fer_test.py": "import unittest\n\nfrom two_fer import (\n    two_fer,\n)\n\n\n"
    "class TwoFerTest(unittest.TestCase):\n"
    '    def test_none(self):\n        self.assertEqual(two_fer(), "One for you, one for me.")\n\n'
    '    def test_name(self):\n        self.assertEqual(two_fer("Al"), "One for Al, one for me.")\n',
}
FILES = {
    "small/shapes.py": SHAPES,
    "small/texts.py": TEXTS,
    "small/broken.py": "def f(:\n",
    "tests/test_texts.py": TESTS,
    "puzzles/p1.py": SHAPES,
    "LICENSE": "Permission is hereby granted, free of charge, to any person",
    **EXERCISE,
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "made"


def drafts_of(checkout: Path, dropped: Counter | None = None) -> dict[str, Draft]:
    found = code_problems.problems_in(checkout, source="made", license="MIT", skip=["puzzles"], dropped=dropped)
    return {draft.task_id: draft for draft in found}


def test_what_is_found_and_why_the_rest_is_not(checkout: Path) -> None:
    dropped: Counter = Counter()
    drafts = drafts_of(checkout, dropped)
    names = ("area", "root", "wrong", "nothing")
    assert set(drafts) == {f"made/small/shapes/{name}" for name in names} | {"made/small/texts/shout", "made/two-fer"}
    assert dropped == {"needs more than the standard library": 1, "fewer than 2 checks": 1, "does not parse": 1}


def test_only_what_proves_itself_stays(checkout: Path) -> None:
    drafts = list(drafts_of(checkout).values())
    jobs = [
        sandbox.Job(program, draft.test, draft.entry_point, mode="in-process")
        for draft in drafts
        for program in (draft.program, draft.stub)
    ]
    with sandbox.Pool(2) as pool:
        outcomes = list(pool.map(jobs))
    faults = {
        draft.entry_point: code_problems.faults(reference.passed, stub.passed)
        for draft, reference, stub in zip(drafts, outcomes[::2], outcomes[1::2], strict=True)
    }
    assert faults == {
        "area": None,
        "root": None,
        "shout": None,
        "two_fer": None,
        "wrong": "reference fails its test",
        "nothing": "a stub passes the test",
    }


def test_the_prompt_shows_two_examples_and_the_first_that_raises(checkout: Path) -> None:
    area = drafts_of(checkout)["made/small/shapes/area"]
    assert area.prompt.startswith('UNIT = 1.0\n\n\ndef area(radius: float, unit: float = UNIT) -> float:\n    """\n')
    assert [line.strip() for line in area.prompt.splitlines() if ">>>" in line] == [
        ">>> area(1)",
        ">>> area(2.0)",
        ">>> area(-1)",
    ]
    assert "PI" not in area.prompt
    assert area.canonical_solution.endswith("PI = 3.0\n\n\ndef _squared(value):\n    return value * value\n")
    assert area.num_checks == 5
    assert "_same(area(3), 27.0)" in area.test


def test_a_function_without_prose_borrows_its_modules(checkout: Path) -> None:
    root = drafts_of(checkout)["made/small/shapes/root"]
    assert root.prompt.startswith('import math\n\n\ndef root(value):\n    """\n    Shapes and what they measure.\n')


def test_unit_tests_of_this_function_alone_are_taken(checkout: Path) -> None:
    shout = drafts_of(checkout)["made/small/texts/shout"]
    assert "test_words_0" in shout.test
    assert "test_repeated_1" in shout.test
    assert "test_both" not in shout.test
    assert "    >>> shout('no')\n    'NO!'\n" in shout.prompt  # shown, since the docstring has no example


def test_an_exercise_takes_its_instructions_as_docstring(checkout: Path) -> None:
    exercise = drafts_of(checkout)["made/two-fer"]
    assert exercise.prompt == 'def two_fer(name="you"):\n    """\n    Say for whom the other one is.\n    """\n'
    assert "from two_fer" not in exercise.test


def test_rows_have_a_licence_and_one_split_a_file(checkout: Path) -> None:
    drafts = drafts_of(checkout)
    assert {draft.license for draft in drafts.values()} == {"MIT"}
    assert len({draft.split for name, draft in drafts.items() if "shapes" in name}) == 1
    assert code_problems.license_of(checkout) == "MIT"
    assert code_problems.license_of(checkout / "small") is None


def test_same_checkout_same_problems(checkout: Path) -> None:
    assert drafts_of(checkout) == drafts_of(checkout)


@pytest.mark.parametrize(
    ("want", "got", "is_same"),
    [
        ("2.0", "2.0000000001", True),
        ("2.0", "2", True),
        ("2.0", "2.1", False),
        ("[1, (2, 3)]", "[1, (2, 3)]", True),
        ("[1, 2]", "(1, 2)", False),
        ("{'a': 0.1}", "{'a': 0.1 + 1e-12}", True),
        ("float('nan')", "float('nan')", True),
        ("'a'", "None", False),
    ],
)
def test_values_are_compared_with_a_little_room(want: str, got: str, is_same: bool) -> None:
    from rerank.training.problems.code_base.docstrings import COMPARE

    names: dict = {}
    exec(COMPARE, names)
    assert eval(f"_same({got}, {want})", names) == is_same
