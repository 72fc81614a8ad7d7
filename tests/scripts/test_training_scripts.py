"""The scripts on planted files, end to end: problems, labels, mixture; twice, resumed, and with bad input."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from rerank.errors import UserError
from rerank.store import read_rows, write_rows
from rerank.training.labels.labelling import error_class, limits_of
from rerank.training.labels.rows import read_labels
from rerank.training.mixture.files import data_files

SCRIPTS = Path(__file__).parents[2] / "scripts"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(script: str, *arguments: object) -> str:
    result = CliRunner().invoke(load(script).app, [str(argument) for argument in arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def problem(number: int, **changes: object) -> dict:
    name = f"largest_{number}"
    made = {
        "task_id": f"made/{number}",
        "source": "made",
        "prompt": f'def {name}(values):\n    """Largest of the values, or {number} when there are none."""\n',
        "prompt_kind": "function",
        "entry_point": name,
        "canonical_solution": f"    best = {number}\n    if values:\n        best = values[0]\n"
        "    for value in values:\n        if value > best:\n            best = value\n    return best\n",
        "test": f"assert {name}([]) == {number}\nassert {name}([1, 5, 2]) == 5\nassert {name}([-3, -7]) == -3\n",
        "group": f"made/{number}",
        "split": "dev" if number == 2 else "train",
        "license": "MIT",
    }
    return made | changes


ROWS = [
    problem(1),
    problem(2, canonical_solution="    return max(values, default=2)\n"),
    problem(3, canonical_solution="    return sorted(values)[-1] if values else 3\n", buggy_solution="    return 0\n"),
    problem(4, canonical_solution="    return None\n"),  # its reference fails
    problem(5, source="mbpp", upstream_split="test"),
    problem(6, source="mathqa_python"),
]
SAMPLES = [
    {"task_id": "made/1", "completion": "    return max(values, default=1)\n", "temperature": 0.5},
    {"task_id": "made/1", "completion": "    return max(values,  default=1)  # again\n", "mean_log_probability": -0.2},
    {"task_id": "made/1", "completion": "    return max(values)\n"},
    {"task_id": "made/2", "completion": "    return values[0]\n"},
    {"task_id": "made/2", "completion": "    while True:\n        pass\n"},
    {"task_id": "made/3", "completion": "    return (\n"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_rows(tmp_path / "data.jsonl", ROWS)
    write_rows(tmp_path / "samples.jsonl", SAMPLES)
    write_rows(
        tmp_path / "modified.jsonl", [{"task_id": "made/3", "completion": "    return min(values, default=3)\n"}]
    )
    return tmp_path


def label(folder: Path, out: str, *more: object) -> str:
    return call(
        "sample_and_label", "label", "--problems", folder / "problems.jsonl.gz", "--samples", folder / "samples.jsonl",
        "--modified", folder / "modified.jsonl", "--data", folder / "data.jsonl", "--out", folder / out,
        "--workers", 2, "--timeout-s", 1, *more,
    )  # fmt: skip


def test_from_problem_files_to_a_mixture(folder: Path) -> None:
    chosen = folder / "problems.jsonl.gz"
    printed = call("sample_and_label", "problems", "--data", folder / "data.jsonl", "--out", chosen)
    assert [row["task_id"] for _, row in read_rows(chosen)] == ["made/1", "made/2", "made/3", "made/4"]
    assert "mbpp: MBPP's test part" in printed

    printed = label(folder, "labels.jsonl.gz")
    labels = read_labels([folder / "labels.jsonl.gz"])
    assert "problem whose reference fails" in printed
    assert {row.task_id for row in labels} == {"made/1", "made/2", "made/3"}
    samples = {(row.task_id, row.program.splitlines()[-1].strip()): row for row in labels if row.origin == "sample"}
    merged = samples["made/1", "return max(values, default=1)"]
    assert (merged.right, merged.num_samples, merged.mean_log_probability) == (True, 2, -0.2)
    assert merged.temperature == 0.5
    assert samples["made/1", "return max(values)"].error_class == "ValueError"
    assert samples["made/2", "pass"].outcome == samples["made/2", "pass"].error_class == "timeout"
    mutations = [row for row in labels if row.origin == "mutation"]
    assert len(mutations) >= 6
    assert not any(row.right for row in labels if row.origin in ("mutation", "modified", "buggy"))
    assert {row.origin for row in labels} == {"sample", "mutation", "modified", "buggy", "reference"}
    assert all(row.right for row in labels if row.origin == "reference")

    # A second run finds everything in the journal; a run cut in the middle goes on from there: the same bytes.
    first = (folder / "labels.jsonl.gz").read_bytes()
    journal = folder / "labels.jsonl.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    label(folder, "labels.jsonl.gz")
    assert journal.read_bytes().splitlines(keepends=True) == lines
    journal.write_bytes(b"".join(lines[:-3]) + lines[-3][:20])
    label(folder, "labels.jsonl.gz")
    assert (folder / "labels.jsonl.gz").read_bytes() == first

    for out in ("one.jsonl", "two.jsonl"):
        printed = call("build_mixture", "--labels", folder / "labels.jsonl.gz", "--out", folder / out, "--seed", 3)
    assert (folder / "one.jsonl").read_bytes() == (folder / "two.jsonl").read_bytes()
    assert "code_pair" in printed
    rows = [json.loads(line) for line in (folder / "one.jsonl").read_text().splitlines()]
    assert {row["task"] for row in rows} == {"code_correct", "code_pair"}
    for answer, other, task in (("A", "B", "code_pair"), ("Yes", "No", "code_correct")):
        targets = [row["target"] for row in rows if row["task"] == task]
        assert targets.count(answer) == targets.count(other) > 0
    assert set(rows[0]) == {
        "task", "kind", "capability", "split", "segments", "answers", "target", "weight", "group"
    }  # fmt: skip
    assert {row["split"] for row in rows if row["group"] == "made/2"} == {"dev"}


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("sample_and_label", ("problems", "--data", "nowhere.jsonl", "--out", "x"), "nowhere.jsonl: no such file"),
        ("build_mixture", (), "--out is missing"),
        ("build_mixture", ("--out", "x"), "nothing to mix"),
        ("build_mixture", ("--out", "x", "--hub", "reward_bench"), "--hub reward_bench"),
        ("build_mixture", ("--out", "x", "--only", "humaneval"), "task humaneval is not in the registry"),
        ("build_mixture", ("--out", "x", "--weighting", "cubic"), "--weighting cubic"),
        ("problems_from_code", ("nowhere", "--out", "x"), "nowhere: is not a folder"),
    ],
)
def test_what_the_caller_can_mend_is_one_sentence(script: str, arguments: tuple, message: str) -> None:
    with pytest.raises(UserError) as caught:
        call(script, *arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_held_out_folder_is_refused_by_the_script(tmp_path: Path) -> None:
    row = {
        "task": "llmbar_natural",
        "split": "heldout",
        "context": {},
        "responses": ["a", "b"],
        "label": "A",
        "meta": {},
    }
    write_rows(tmp_path / "llmbar_natural.jsonl", [row])
    with pytest.raises(UserError, match="held out for measuring"):
        call("build_mixture", "--judgments", tmp_path, "--out", tmp_path / "mixture.jsonl")


def test_problems_from_code_writes_rows_that_can_be_chosen(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "LICENSE").write_text("Apache License")
    text = (
        '    """Clamp a value into bounds.\n\n    >>> clamp(5, 1, 3)\n    3\n    >>> clamp(0, 1, 3)\n    1\n    """\n'
    )
    (tmp_path / "code" / "bounds.py").write_text(
        f"def clamp(value, low, high):\n{text}    return max(low, min(high, value))\n"
    )
    call("problems_from_code", tmp_path / "code", "--out", tmp_path / "made.jsonl", "--source", "bounds")
    [(_, row)] = read_rows(tmp_path / "made.jsonl")
    assert (row["entry_point"], row["license"], row["checks"]) == ("clamp", "Apache-2.0", 2)
    call("sample_and_label", "problems", "--data", tmp_path / "made.jsonl", "--out", tmp_path / "chosen.jsonl")
    assert len(list(read_rows(tmp_path / "chosen.jsonl"))) == 1


def test_a_model_samples_and_its_samples_are_labelled(folder: Path, tiny_model: Path) -> None:
    chosen = folder / "problems.jsonl.gz"
    call("sample_and_label", "problems", "--data", folder / "data.jsonl", "--out", chosen)
    common = ("--problems", chosen, "--generator", tiny_model, "--backend", "transformers", "--max-tokens", 4)
    for _ in range(2):  # the second time there is nothing left to do
        call(
            "sample_and_label", "sample", *common, "--n", 2, "--temperature", 0.5, "--temperature", 1, "--limit", 2,
            "--out", folder / "drawn.jsonl",
        )  # fmt: skip
    rows = [row for _, row in read_rows(folder / "drawn.jsonl")]
    assert [(row["task_id"], row["index"]) for row in rows] == [
        (f"made/{task}", index) for first in (0, 2) for task in (1, 2) for index in (first, first + 1)
    ]
    assert all(row["mean_log_probability"] < 0 for row in rows)
    printed = call(
        "sample_and_label", "label", "--problems", chosen, "--samples", folder / "drawn.jsonl", "--limit", 2,
        "--max-mutants", 0, "--workers", 2, "--out", folder / "drawn_labels.jsonl",
    )  # fmt: skip
    assert "reference" in printed


@pytest.mark.parametrize("script", ["problems_from_code", "sample_and_label", "build_mixture"])
def test_help_has_an_example(script: str) -> None:
    assert f"{script}.py" in call(script, "--help")


@pytest.mark.parametrize(
    ("status", "reason", "wanted"),
    [
        ("passed", "", ""),
        ("failed", "test line 3: assert f(1) == 2", "AssertionError"),
        ("error", "ZeroDivisionError at line 4: division by zero", "ZeroDivisionError"),
        ("memory", "over 1024 MiB", "memory"),
        ("error", "ended before the last check", "error"),
    ],
)
def test_error_class(status: str, reason: str, wanted: str) -> None:
    assert error_class(status, reason) == wanted


def test_limits_follow_the_reference() -> None:
    assert limits_of({"a": 0.01, "b": 0.2, "c": 9.0}, timeout_s=5.0) == {"a": 1.0, "b": 2.0, "c": 5.0}


def test_a_folder_stands_for_its_files_and_not_for_those_below(tmp_path: Path) -> None:
    (tmp_path / "heldout").mkdir()
    for name in ("b.jsonl", "a.jsonl.gz", "heldout/c.jsonl", "notes.txt"):
        (tmp_path / name).touch()
    assert data_files([tmp_path]) == [tmp_path / "a.jsonl.gz", tmp_path / "b.jsonl"]
    with pytest.raises(UserError, match=r"holds no \.jsonl"):
        data_files([SCRIPTS])
