"""The scripts about selection, as processes: tables and frontiers of a run, and the posterior's fit."""

import itertools
import json
from pathlib import Path

import pytest
from command_line import ROWS, WRONG, call, rerank

from rerank.candidates.programs import normal_form, program_key
from rerank.selection.posterior import GROUPS, read_model
from rerank.store import read_rows, write_rows

RIGHT = ("    return x + {}\n", "    return {} + x\n")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Two problems, two wrong and one right candidate of each; the right one is the last and the least likely."""
    folder = tmp_path_factory.mktemp("selection")
    write_rows(folder / "problems.jsonl", ROWS[1:3])
    write_rows(
        folder / "candidates.jsonl",
        (
            {"task_id": row["task_id"], "completion": body.format(number), "mean_log_probability": -0.1 * place}
            for number, row in enumerate(ROWS[:3])
            for place, body in enumerate([*WRONG[:2], RIGHT[0]])
            if number
        ),
    )
    out = folder / "run"
    given = ("--problems", folder / "problems.jsonl", "--candidates", folder / "candidates.jsonl")
    result = rerank("run", *given, "--autorater", "examples", "--out", out)
    assert result.exit_code == 0, result.output
    return out


def test_table(run, tmp_path):
    done = call("selection_table.py", run, "--out", tmp_path / "table", "--against", "first")
    assert done.returncode == 0, done.stderr
    table = done.stdout.partition("\n\n| row | left")[0]
    rows = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:] for line in table.splitlines()}
    assert rows["mean of candidates"][0] == "33.3"
    assert (rows["first"][0], rows["examples"][0], rows["all"][0]) == ("0.0", "100.0", "100.0")
    assert rows["examples"][4:6] == ["+100.0", "+100.0 to +100.0"], "paired, against `first`"
    assert "autorater" not in rows, "this run has no scores"
    picks = [row for _, row in read_rows(tmp_path / "table" / "picks.jsonl.gz")]
    assert {row["index"] for row in picks if row["row"] == "all"} == {2}
    assert "| all | 2 | 2 | 0 |" in done.stdout, "left the generator's choice twice, both times for the better"
    done = call("selection_table.py", run, "--out", tmp_path / "table", "--size", 2)
    assert "| oracle | 0.0 |" in done.stdout, "the right ones are not among the first two"
    done = call("selection_table.py", run, "--out", tmp_path / "table", "--against", "CodeT")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "--against CodeT: this run has no such row" in done.stderr


def test_frontier(run, tmp_path):
    done = call("selection_frontier.py", run, "--out", tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "has no scores" in done.stderr
    rows = [
        {"task_id": row["task_id"], "key": row["key"], "log_odds": 0.0, "reason": ""}
        for _, row in read_rows(run / "candidates.jsonl")
    ]
    write_rows(run / "scores.jsonl", rows)
    done = call("selection_frontier.py", run, "--out", tmp_path, "--judgment-seconds", 0.5)
    (run / "scores.jsonl").unlink()
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "frontier.json").read_text())
    assert found["judgments"][0]["spent"] == 0
    assert found["judgments"][0]["pass_at_1"] == 1.0
    assert [row["seconds"] for row in found["judgments"]] == [0.5 * row["spent"] for row in found["judgments"]]
    samples = [(row["spent"], row["pass_at_1"]) for row in found["samples"]]
    assert samples[0] == (2, 0.0), "the first of each problem are wrong"
    assert samples[-1] == (6, 1.0)
    assert len({spent for spent, _ in samples}) == len(samples), "a budget that buys no more has no row"
    assert (tmp_path / "frontier.png").stat().st_size > 1000


def test_fit(tmp_path):
    """Six problems of dev, one of train that must not be looked at."""
    rows = [{**row, "group": row["task_id"], "split": "dev" if number else "train"} for number, row in enumerate(ROWS)]
    write_rows(tmp_path / "problems.jsonl", rows)
    samples, labels = [], []
    for number, row in enumerate(ROWS):
        for place, body in enumerate([*WRONG, *RIGHT]):
            program = row["prompt"] + body.format(number)
            samples.append({"task_id": row["task_id"], "solution": program, "mean_log_probability": -0.1 * place})
            labels.append(
                {
                    "task_id": row["task_id"],
                    "group": row["task_id"],
                    "split": "dev" if number else "train",
                    "prompt": row["prompt"],
                    "prompt_kind": "function",
                    "entry_point": row["entry_point"],
                    "program": normal_form(program),
                    "outcome": "passed" if body in RIGHT else "failed",
                    "right": body in RIGHT,
                    "origin": "sample",
                    "mean_log_probability": -0.1 * place,
                }
            )
    write_rows(tmp_path / "samples.jsonl", samples)
    write_rows(tmp_path / "labels.jsonl", labels)
    texts = [{"task_id": row["task_id"], "form": "chat", "texts": ["assert add(5) == 1"]} for row in ROWS]
    for number, row in enumerate(texts):
        row["texts"] = [f"assert add{number}(5) == {number + 5}"]
    write_rows(tmp_path / "tests.jsonl", texts)
    keys: dict[str, dict[str, bool]] = {}
    for label in labels:
        keys.setdefault(label["task_id"], {})[program_key(label["program"])] = label["right"]
    verdicts = [
        {"task_id": task_id, "first": first, "second": second, "log_odds": float(own[first] - own[second])}
        for task_id, own in keys.items()
        for first, second in itertools.combinations(own, 2)
    ]
    write_rows(tmp_path / "comparisons.jsonl", verdicts)
    read = [
        {
            "task_id": task_id, "key": key, "coder": -1.0 - place, "num_coder_tokens": 1, "reviewer": -1.0,
            "num_reviewer_tokens": 1, "self_certainty": 1.0, "is_degenerate": False,
        }
        for task_id, own in keys.items()
        for place, key in enumerate(own)
    ]  # fmt: skip
    write_rows(tmp_path / "likelihoods.jsonl", read)
    names = ("problems", "samples", "labels", "tests", "comparisons", "likelihoods")
    given = [f"--{name}={tmp_path / name}.jsonl" for name in names]
    work, out = tmp_path / "work", tmp_path / "posterior.json"
    done = call("fit_posterior.py", *given, "--work", work, "--out", out)
    assert done.returncode == 0, done.stderr
    model = read_model(out)
    assert ("examples", "written", "inputs") in model.regressions
    assert not any("scores" in groups for groups in model.regressions), "there were none"
    assert set(model.regressions[tuple(GROUPS)[1:]].features) >= {"tests", "agreement"}
    asked = {row["task_id"] for _, row in read_rows(work / "trials.jsonl")}
    assert asked == {row["task_id"] for row in ROWS[1:]}, "dev only"
    assert "| written | 5 | 5 | 0.400 | 1.000" in done.stdout
    assert "| coder-reviewer | log-probability | 5 | 5 | " in done.stdout
    assert "coder-reviewer" not in out.read_text(), "the model knows of none"
    about = json.loads(out.read_text())["about"]
    assert about["num_problems"] == 5
    verdicts[3] = {"task_id": "t/0"}
    write_rows(tmp_path / "comparisons.jsonl", verdicts)
    done = call("fit_posterior.py", *given, "--work", work, "--out", out)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "comparisons.jsonl, line 4: no 'first'" in done.stderr
    write_rows(tmp_path / "comparisons.jsonl", verdicts[:3])
    del read[1]["coder"]
    write_rows(tmp_path / "likelihoods.jsonl", read)
    done = call("fit_posterior.py", *given, "--work", work, "--out", out)
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert "likelihoods.jsonl, line 2: no 'coder'" in done.stderr
