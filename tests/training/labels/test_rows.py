"""Labels are drawn in balance, the same for a seed whatever the order of the rows."""

import dataclasses
import random
from collections import Counter
from pathlib import Path

import pytest

from rerank.errors import InputError
from rerank.store import write_rows
from rerank.training.labels import rows as module
from rerank.training.labels.rows import Label, balanced, difficulty, pairs, read_labels, write_labels


def label(task: int, number: int, *, right: bool, origin: str = "sample", **changes) -> Label:
    made = Label(
        task_id=f"t/{task}",
        group=f"g/{task}",
        split="train",
        prompt="def f(a):\n    '''F.'''\n",
        prompt_kind="function",
        entry_point="f",
        program=f"def f(a):\n    return {number}",
        outcome="passed" if right else "failed",
        right=right,
        origin=origin,
        num_samples=1 if origin == "sample" else 0,
    )
    return dataclasses.replace(made, **changes)


# Problem 0: one right of ten; 1: eight of ten; 2: only wrong; 3: only right; 4: a reference and mutations.
ROWS = [
    *(label(0, n, right=n == 0) for n in range(10)),
    *(label(1, n, right=n < 8) for n in range(10)),
    *(label(2, n, right=False) for n in range(5)),
    *(label(3, n, right=True) for n in range(5)),
    label(4, 0, right=True, origin="reference"),
    *(label(4, n, right=False, origin="mutation") for n in range(1, 9)),
    label(0, 20, right=False, origin="mutation"),
]


def test_right_and_wrong_come_from_the_same_problem_in_equal_number() -> None:
    counts = Counter((drawn.label.task_id, drawn.label.right) for drawn in balanced(ROWS, seed=0, max_each=3))
    assert counts == {(f"t/{task}", right): n for task, n in ((0, 1), (1, 2), (4, 1)) for right in (True, False)}


def test_pairs_stand_in_both_orders_with_even_answers() -> None:
    drawn = pairs(ROWS, seed=0, max_pairs=4)
    assert Counter(pair.answer for pair in drawn) == {"A": len(drawn) // 2, "B": len(drawn) // 2}
    shown = {(pair.first.program, pair.second.program, pair.first.task_id) for pair in drawn}
    assert len(shown) == len(drawn)
    for pair in drawn:
        assert pair.first.right != pair.second.right
        assert pair.first.task_id == pair.second.task_id
        assert (pair.second.program, pair.first.program, pair.first.task_id) in shown


def test_pairs_use_every_program_before_one_is_used_again() -> None:
    drawn = [pair for pair in pairs(ROWS, seed=0, max_pairs=2) if pair.first.task_id == "t/1" and pair.first.right]
    assert len({pair.first.program for pair in drawn}) == len({pair.second.program for pair in drawn}) == 2


def test_the_draw_depends_on_the_seed_and_not_on_the_order_of_rows() -> None:
    shuffled = random.Random(1).sample(ROWS, len(ROWS))
    assert balanced(ROWS, seed=0) == balanced(shuffled, seed=0)
    assert pairs(ROWS, seed=0) == pairs(shuffled, seed=0)
    assert balanced(ROWS, seed=0) != balanced(ROWS, seed=1)


def test_made_programs_do_not_crowd_out_samples() -> None:
    rows = [
        *(label(0, n, right=True) for n in range(8)),
        *(label(0, n, right=False) for n in range(10, 18)),
        *(label(0, n, right=False, origin="mutation") for n in range(20, 40)),
    ]
    wrong = [drawn.label.origin for drawn in balanced(rows, seed=0, max_each=8) if not drawn.label.right]
    assert Counter(wrong) == {"sample": 4, "mutation": 4}


@pytest.mark.parametrize(("num_right", "band"), [(0, "hard"), (3, "hard"), (5, "medium"), (8, "easy")])
def test_difficulty(num_right: int, band: str) -> None:
    assert difficulty([label(0, n, right=n < num_right) for n in range(10)]) == band


def test_difficulty_counts_samples_not_programs() -> None:
    rows = [label(0, 0, right=True, num_samples=9), label(0, 1, right=False)]
    assert difficulty(rows) == "easy"
    assert difficulty([label(0, 0, right=True, origin="reference")]) == "unknown"


def test_bands_and_groups_are_evened_out_by_weight() -> None:
    easy = [label(task, n, right=n > 0) for task in range(10, 14) for n in range(10)]
    hard = [label(20, n, right=n == 0) for n in range(10)]
    weights = {drawn.label.task_id: drawn.weight for drawn in balanced([*easy, *hard], seed=0)}
    assert weights["t/20"] / weights["t/10"] == pytest.approx(4)
    twins = [dataclasses.replace(row, group="g") for row in easy]
    lighter = {drawn.label.task_id: drawn.weight for drawn in balanced([*twins, *hard], seed=0)}
    assert lighter["t/20"] / lighter["t/10"] == pytest.approx(16)


def test_weights_have_a_mean_of_one() -> None:
    drawn = balanced(ROWS, seed=0)
    assert sum(each.weight for each in drawn) / len(drawn) == pytest.approx(1)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl.gz"
    assert write_labels(path, ROWS) == len(ROWS)
    assert read_labels([path]) == ROWS
    assert read_labels([path, path]) == ROWS  # a program is kept once


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "dev"}, "in train and in dev"),
        ({"origin": "guess"}, "origin 'guess' is not one of"),
        ({"program": None, "drop": "right"}, "not a row of labels"),
    ],
)
def test_bad_rows_are_named_with_their_line(tmp_path: Path, changes: dict, message: str) -> None:
    bad = dataclasses.asdict(label(0, 99, right=True)) | changes
    if "drop" in bad:
        del bad[bad.pop("drop")]
    path = tmp_path / "labels.jsonl"
    write_rows(path, [dataclasses.asdict(ROWS[0]), bad])
    with pytest.raises(InputError, match=f"line 2: .*{message}"):
        read_labels([path])


def test_nothing_to_draw_from() -> None:
    assert balanced([], seed=0) == pairs([], seed=0) == []
    assert module.by_problem([]) == {}
