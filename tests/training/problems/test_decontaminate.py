"""Planted overlaps are found, and what merely looks alike is not."""

import re
from collections import Counter

import pytest

from rerank.errors import InputError
from rerank.training.problems import training_problems
from rerank.training.problems.decontaminate import Benchmark, BenchmarkText, humaneval_texts, shapes, shingles

THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"
BENCHMARK = Benchmark.of(
    [
        BenchmarkText(
            f'def total(values):\n    """Say {THIRTEEN}."""\n',
            'def total(values):\n    """Add."""\n    result = 0\n    for value in values:\n        result += value\n'
            "    return result",
            "total",
            is_name_barred=True,
        )
    ]
)


@pytest.mark.parametrize(
    ("prompt", "program", "entry_point", "reason"),
    [
        (f"Please say {THIRTEEN}", "def f(): pass", "f", "13 words"),
        (f"PLEASE SAY:\n\n{THIRTEEN.upper().replace(' ', ' -- ')}", "def f(): pass", "f", "13 words"),  # case, signs
        (f"Please do {THIRTEEN.rpartition(' ')[0]}", "def f(): pass", "f", None),  # twelve words
        ("Add.", "def f(xs):\n  s = 0\n  for x in xs:\n    s += x\n  return s", "f", "up to names"),
        (
            "Add.",
            "def f(xs: list) -> int:\n  'Sum.'\n  s: int = 0\n  for x in xs: s += x\n  return s",
            "f",
            "up to names",
        ),
        ("Add.", "def f(xs):\n  s = 0\n  for x in xs:\n    s -= x\n  return s", "f", None),  # another operator
        ("Add.", "def f(xs):\n  s = 1\n  for x in xs:\n    s += x\n  return s", "f", None),  # another constant
        ("Add.", "def total(a, b): return a", "total", "named"),
        ("Add.", "def broken(:", "broken", None),
    ],
)
def test_overlap(prompt: str, program: str, entry_point: str, reason: str | None) -> None:
    found = BENCHMARK.overlap(prompt=prompt, program=program, entry_point=entry_point)
    assert found is None if reason is None else reason in (found or "")


def test_builtins_are_no_names_to_be_taken_out() -> None:
    assert shapes("def f(a): return max(a)", "f") != shapes("def f(a): return min(a)", "f")


def test_a_method_is_found_by_its_own_name() -> None:
    assert shapes("class C:\n    def f(self): return 1", "C.f")


def test_shingles_of_a_short_text() -> None:
    assert shingles("only five words stand here") == set()


def test_humaneval_overlaps_itself_in_every_problem() -> None:
    texts = humaneval_texts()
    benchmark = Benchmark.of(texts)
    assert len(texts) == 164
    for text in texts:
        assert benchmark.has_program(text.program, text.entry_point)
        renamed = re.sub(rf"\b{text.entry_point}\b(?=\()", "another_name", text.program)
        assert benchmark.has_program(renamed, "another_name")


def row(task_id: str, source: str, **changes: object) -> dict:
    made = {
        "task_id": f"{source}/{task_id}",
        "source": source,
        "prompt": f'def f{task_id}(a):\n    """Task {task_id} of them."""\n',
        "prompt_kind": "function",
        "entry_point": f"f{task_id}",
        "canonical_solution": f"    return a + {task_id}\n",
        "test": f"assert f{task_id}(1) == {int(task_id) + 1}\nassert f{task_id}(0) == {task_id}\n",
        "group": f"task/{task_id}",
        "split": "train",
        "license": "MIT",
    }
    return made | changes


def chosen(*rows: dict) -> tuple[list[dict], Counter]:
    dropped: Counter = Counter()
    return training_problems.choose(rows, BENCHMARK, dropped), dropped


def test_the_preferred_form_of_a_task_is_taken() -> None:
    kept, dropped = chosen(row("1", "mbpp", prompt_kind="text"), row("1", "mbpp_plus"), row("1", "mbpp_function"))
    assert [each["source"] for each in kept] == ["mbpp_plus"]
    assert dropped["mbpp", "another form of the task is used"] == 1


def test_mbpp_test_part_is_refused_in_every_file() -> None:
    kept, dropped = chosen(
        row("1", "mbpp", upstream_split="test"), row("2", "mbpp_plus", upstream_split="test", split="dev")
    )
    assert not kept
    assert sum(dropped.values()) == 2


@pytest.mark.parametrize("source", ["mathqa_python"])
def test_weak_sources_are_left_out(source: str) -> None:
    assert not chosen(row("1", source))[0]


def test_a_row_held_out_by_its_split_is_refused() -> None:
    assert not chosen(row("1", "x", split="heldout"))[0]


def test_an_overlap_of_one_form_drops_the_task() -> None:
    kept, dropped = chosen(row("1", "mbpp", prompt=f"Do this: {THIRTEEN}"), row("1", "mbpp_plus"))
    assert not kept
    assert sum(dropped.values()) == 2


def test_the_frame_of_the_mbpp_file_is_no_overlap() -> None:
    frame = "\n\nThe function's name is `f`. One of its tests:\n\nassert f(1) == 2"
    texts = training_problems.upstream_test_texts([row("9", "mbpp", prompt="Add." + frame, upstream_split="test")])
    assert texts[0].prompt == "Add."


def test_mbpp_test_rows_are_kept_out_of_other_sources() -> None:
    secret = row("9", "mbpp", upstream_split="test", canonical_solution="    return [a, a, a]\n")
    benchmark = Benchmark.of(training_problems.upstream_test_texts([secret]))
    copied = row("3", "elsewhere", canonical_solution="    return [a, a, a]\n")
    dropped: Counter = Counter()
    assert not training_problems.choose([copied], benchmark, dropped)


def test_problems_of_one_group_share_its_weight() -> None:
    kept, _ = chosen(row("1", "x", group="g"), row("2", "x", group="g"), row("3", "x"))
    assert [each["weight"] for each in kept] == [0.5, 0.5, 1.0]


def test_a_solution_seen_in_another_task_is_dropped() -> None:
    kept, _ = chosen(row("1", "x"), row("2", "x", canonical_solution="    return a + 1\n"))
    assert len(kept) == 1


def test_both_tests_are_joined_and_a_pending_check_is_called() -> None:
    test = "def check(candidate):\n    assert candidate(1) == 2\n"
    joined = training_problems.joined_test(row("1", "x", test=test, extra_test="assert f1(2) == 3"))
    assert joined is not None
    assert joined.index("check(f1)") < joined.index("assert f1(2)")
    assert training_problems.joined_test(row("1", "x", test=test)) == test


def test_a_long_test_loses_its_last_asserts() -> None:
    asserts = [f"assert f1({number}) == {number + 1}" for number in range(2_000)]
    joined = training_problems.joined_test(row("1", "x", test="\n".join(asserts)))
    assert joined is not None
    assert len(joined) <= training_problems.MAX_TEST_BYTES
    assert joined.startswith(asserts[0])
    assert training_problems.joined_test(row("1", "x", test="x = '" + "a" * 30_000 + "'")) is None


def test_a_row_without_its_fields_is_named() -> None:
    broken = row("1", "x")
    del broken["group"]
    with pytest.raises(InputError, match="x/1 lacks group"):
        chosen(broken)
