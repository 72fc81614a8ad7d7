"""What an autorater says of labelled programs, from one command, and what reads it: tournaments on dev, a teacher."""

import importlib.util
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rerank.store import read_rows
from rerank.training.labels.rows import read_labels
from rerank.training.scorer.inputs import read_teacher

pytestmark = pytest.mark.filterwarnings(r"ignore:`\w*gradient_checkpointing\w*` is deprecated:FutureWarning")
SCRIPTS = Path(__file__).parents[3] / "scripts"


def run(name: str, *arguments: object):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    result = CliRunner().invoke(script.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def test_dev_is_judged_whole_and_tournaments_are_played_on_it(base: Path, labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "judged"
    given = ("--labels", labels, "--autorater", base, "--backend", "transformers", "--out", out)
    run("judge_labels", *given)
    dev = {row.task_id for row in read_labels([labels]) if row.split == "dev"}
    rows = [row for _, row in read_rows(out / "comparisons.jsonl")]
    assert {row["task_id"] for row in rows} == dev
    assert len(rows) == len(dev) * 4 * 3  # four samples a problem, every ordered pair
    assert len([*read_rows(out / "scores.jsonl")]) == len(dev) * 4
    # Killed while a problem's rows were written: it is judged again, the others stay.
    lines = (out / "comparisons.jsonl").read_text().splitlines(keepends=True)
    (out / "comparisons.jsonl").write_text("".join(lines[:-3]) + lines[-3][:20])
    run("judge_labels", *given)
    assert sorted(lines) == sorted((out / "comparisons.jsonl").read_text().splitlines(keepends=True))
    table = run("replay_tournaments", out, "--labels", labels, "--plot", tmp_path / "frontier.png").stdout
    by_name = {cells[1].strip(): cells for line in table.splitlines() if len(cells := line.split("|")) > 5}
    assert float(by_name["round-robin"][2]) == 12.0
    assert float(by_name["top-2"][2]) == 2.0
    assert (tmp_path / "frontier.png").stat().st_size > 1000


def test_a_joint_scorer_teaches_an_encoded_once_one(base: Path, labels: Path, tmp_path: Path) -> None:
    given = ("--labels", labels, "--autorater", base, "--backend", "transformers", "--mode", "pairwise")
    run("judge_labels", *given, "--split", "train", "--max-pairs", 2, "--out", tmp_path / "teacher")
    path = tmp_path / "teacher" / "comparisons.jsonl"
    teacher = read_teacher([path])
    assert len(teacher) == 18 * 2 * 2  # training problems, pairs, directions
    small = ("--num-steps", 2, "--batch-size", 8, "--pack-tokens", 1024, "--rank", 2, "--num-evaluations", 1)
    plain = ("--base", base, "--labels", labels, "--mode", "encoded-once", "--schedule", "constant", *small)
    run("train_scorer", *plain, "--out", tmp_path / "plain")
    run("train_scorer", *plain, "--teacher", path, "--teacher-weight", 1.0, "--out", tmp_path / "taught")
    losses = [
        [row["loss"] for _, row in read_rows(tmp_path / name / "log.jsonl") if "loss" in row]
        for name in ("plain", "taught")
    ]
    assert losses[0][0] != losses[1][0]
