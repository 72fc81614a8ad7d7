"""The scripts that make tables from what runs left behind, against tables worked out by hand."""

import json
from pathlib import Path

import pytest
from command_line import SCRIPTS, call
from typer.testing import CliRunner

from rerank.cli.app import app
from rerank.store import write_rows


def a_training_run(folder: Path, log_odds: list[float]) -> Path:
    """Two dev problems: one with a right and two wrong samples and a mutation, one without a right sample."""
    (folder / "scorer").mkdir(parents=True)
    counts = {"problems": 5, "programs": 50, "judgments": 0}
    card = {"counts": counts, "best_step": 7, "seconds": 1.5, "temperature": {"pointwise": 2.0}}
    (folder / "scorer" / "scorer.json").write_text(json.dumps(card))
    rows = [
        {
            "task_id": "t/0",
            "right": [True, False, False, False],
            "log_odds": log_odds,
            "mean_log_probability": [-0.2, -0.1, -0.3, None],
            "is_sample": [True, True, True, False],
            "generator": ["g", "g", "g", ""],
        },
        {
            "task_id": "t/1",
            "right": [False],
            "log_odds": [1.0],
            "mean_log_probability": [-0.2],
            "is_sample": [True],
            "generator": ["g"],
        },
    ]
    write_rows(folder / "dev_scores.jsonl", rows)
    return folder


def test_training_runs_side_by_side(tmp_path: Path) -> None:
    good = a_training_run(tmp_path / "good", [3.0, 1.0, 0.0, 9.0])
    bad = a_training_run(tmp_path / "bad", [0.5, 1.0, 0.0, 9.0])
    done = call("compare_scorers.py", good, bad, "--against", good, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["num_problems"] == 1
    rows = {row["run"]: row for row in found["rows"]}
    shown = {name: (row["pair_accuracy"]["value"], row["pick_rate"]["value"]) for name, row in rows.items()}
    assert shown["good"] == (1.0, 1.0)
    assert shown["bad"] == (0.5, 0.0)
    assert shown["log-probability"] == (0.5, 0.0)
    assert shown["random"] == (0.5, pytest.approx(1 / 3))
    assert rows["bad"]["picks_against"]["value"] == -1.0
    assert "| bad | 5 | 50 | 0 | 7 | 1.5 | 0.500" in call("compare_scorers.py", good, bad).stdout


def test_runs_of_two_dev_splits_and_folders_that_are_none(tmp_path: Path) -> None:
    good = a_training_run(tmp_path / "good", [3.0, 1.0, 0.0, 9.0])
    other = a_training_run(tmp_path / "other", [3.0, 1.0, 0.0, 9.0])
    rows = (other / "dev_scores.jsonl").read_text().replace("t/0", "t/9")
    (other / "dev_scores.jsonl").write_text(rows)
    for second, message in ((other, "another dev split"), (tmp_path, "has not ended")):
        done = call("compare_scorers.py", good, second)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert message in done.stderr


def test_slices_of_a_run(tmp_path: Path, tiny_model: Path) -> None:
    problems, candidates, out = tmp_path / "p.jsonl", tmp_path / "c.jsonl", tmp_path / "run"
    test = "def check(candidate):\n    assert candidate(1) == 2\n"
    write_rows(problems, [{"task_id": "t/0", "prompt": "def f(x):\n", "entry_point": "f", "test": test}])
    # The first two are wrong, of the others all are right: what is picked does not matter.
    bodies = ["x", "x + 3", "x + 1", "1 + x"]
    write_rows(candidates, [{"task_id": "t/0", "completion": f"    return {body}\n"} for body in bodies])
    given = ["--problems", problems, "--candidates", candidates, "--autorater", tiny_model, "--out", out]
    ran = CliRunner().invoke(app, ["run", *map(str, given), "--backend", "transformers"])
    assert ran.exit_code == 0, ran.output
    done = call("slice_table.py", out, "--size", 2)
    assert done.returncode == 0, done.stderr
    assert "| 0 to 1 | 0.0 | 0.0 | 0.0 to 0.0 | 0.0 |" in done.stdout
    assert "| 2 to 3 | 100.0 | 100.0 | 100.0 to 100.0 | 100.0 |" in done.stdout
    assert "| mean of 2 | 50.0 | 50.0 | | 50.0 |" in done.stdout
    done = call("slice_table.py", out, "--size", 5)
    assert (done.returncode, done.stderr) == (2, "error: --size 5: a problem has fewer candidates\n")


def test_same_answer_counts_differences_and_finds_none_here(tiny_model, tmp_path: Path, monkeypatch) -> None:
    out = tmp_path / "new" / "same.json"
    done = call("same_answer.py", "--autorater", tiny_model, "--limit", 3, "--length", 512, "--out", out)
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert [row["problems"] for row in rows.values()] == [3, 3, 1, 1, 3]
    assert all(row["scores"] and row["verdicts"] for row in rows.values())
    *same_length, other_length = rows.values()
    assert not any(row[f"{what}_changed"] for row in same_length for what in ("scores", "verdicts", "picks"))
    # On some processors a float32 product's last bits hang on its number of rows, and a pass's length decides that.
    assert other_length["picks_changed"] == 0
    assert max(other_length["largest_of_scores"], other_length["largest_of_verdicts"]) < 1e-5

    monkeypatch.syspath_prepend(SCRIPTS)
    from same_answer import compared

    from rerank.backends.interface import AnswerLogOdds, ContestLogOdds

    def found(first: float, second: float, verdict: float) -> ContestLogOdds:
        return ContestLogOdds([AnswerLogOdds(first, 1), AnswerLogOdds(second, 1)], [(0, 1)], [verdict], 3)

    row = compared({0: found(1.0, 0.5, 2.0), 1: found(1, 2, 3)}, {0: found(1.0, 1.5, 2.25)})
    assert (row["problems"], row["scores_changed"], row["largest_of_scores"]) == (1, 1, 1.0)
    assert (row["verdicts_changed"], row["largest_of_verdicts"], row["picks_changed"]) == (1, 0.25, 1)
