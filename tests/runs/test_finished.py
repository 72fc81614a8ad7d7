"""A finished run opened again: what it holds, what opening leaves alone, and what it says where a stage is missing."""

from pathlib import Path

import pytest
from command_line import RIGHT, ROWS, WRONG, rerank, write

import sandbox
from rerank.errors import InputError, ResumeError
from rerank.runs.finished import open_run

ORDER = (WRONG[0], RIGHT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two of three problems, a wrong and a right candidate of each, ranked by their examples."""
    write(tmp_path / "problems.jsonl", ROWS[:3])
    rows = [
        {"task_id": row["task_id"], "completion": body.format(number)}
        for number, row in enumerate(ROWS[:3])
        for body in ORDER
    ]
    write(tmp_path / "candidates.jsonl", rows)
    given = ("--problems", tmp_path / "problems.jsonl", "--candidates", tmp_path / "candidates.jsonl", "--limit", "2")
    result = rerank("run", *given, "--autorater", "examples", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    return tmp_path / "run"


@pytest.fixture
def no_sandbox(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder.exists(), "made while there was a sandbox"

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a finished run was executed")

    monkeypatch.setattr(sandbox, "Pool", refuse)


@pytest.mark.usefixtures("no_sandbox")
def test_what_it_holds(folder):
    settings = (folder / "run.toml").read_bytes()
    run = open_run(folder)
    assert [problem.task_id for problem in run.problems] == ["toy/0", "toy/1"], "as far as the run's --limit"
    assert {task_id: len(group) for task_id, group in run.groups.items()} == {"toy/0": 2, "toy/1": 2}
    assert run.selector == "examples"
    assert [ranking.best for ranking in run.rankings["examples"]] == [0, 1], "add0 is right as it stands"
    assert run.passed.base == {("toy/0", 0): True, ("toy/0", 1): True, ("toy/1", 0): False, ("toy/1", 1): True}
    assert run.passed.plus is None
    assert [outcome.status for outcome in run.outcomes.base] == ["passed", "passed", "failed", "passed"]
    assert (run.scores, run.comparisons) == ({}, {})
    assert run.settings["execute"] == {"timeout_s": 3.0}
    assert (folder / "run.toml").read_bytes() == settings, "opening settles nothing"


@pytest.mark.usefixtures("no_sandbox")
def test_a_report_executes_nothing_and_names_the_stage_that_does(folder):
    lines = (folder / "outcomes.jsonl").read_text().splitlines(keepends=True)
    assert rerank("report", folder).exit_code == 0
    (folder / "outcomes.jsonl").write_text("".join(lines[:-1]))
    result = rerank("report", folder)
    assert (result.exit_code, "Traceback" in result.output) == (2, False)
    assert f"run `rerank execute --out {folder}` first" in " ".join(result.stderr.split("\n")).replace("  ", " ")
    toml = (folder / "run.toml").read_text()
    (folder / "run.toml").write_text(toml.replace("[execute]", "[other]"))
    with pytest.raises(InputError, match=r"outcomes.jsonl: not every candidate has an outcome: run `rerank execute"):
        _ = open_run(folder).passed


@pytest.mark.usefixtures("no_sandbox")
def test_a_run_that_was_never_executed_can_be_exported(folder, tmp_path):
    (folder / "outcomes.jsonl").unlink()
    assert rerank("export", folder, tmp_path / "best.jsonl").exit_code == 0
    assert len((tmp_path / "best.jsonl").read_text().splitlines()) == 2


def test_problems_that_changed_since(folder, tmp_path):
    write(tmp_path / "problems.jsonl", [{**ROWS[0], "prompt": "def add0(x):\n"}, *ROWS[1:3]])
    with pytest.raises(ResumeError, match="has changed since this run was made"):
        open_run(folder)
