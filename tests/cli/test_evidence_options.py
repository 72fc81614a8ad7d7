"""Selection with evidence from a shell: written tests, the guard, the budget."""

import json

import pytest
from command_line import ROWS, WRONG, figures, rerank


def test_written_tests_find_what_the_examples_cannot(given, tmp_path):
    source, tests = given
    without = figures(rerank("run", *source, "--autorater", "examples", "--out", tmp_path / "a", "--json"))
    assert without["examples"] == 0.0, "the likelier of two wrong programs passes the only example"
    assert "codet" not in without
    found = figures(rerank("run", *source, *tests, "--autorater", "examples", "--out", tmp_path / "b", "--json"))
    assert found["codet"] == found["srank"] == 1.0
    again = rerank("run", *source, *tests, "--autorater", "examples", "--out", tmp_path / "b", "--json")
    assert figures(again) == found


def test_the_guard_can_be_told_the_greedy_sample(given, tmp_path):
    source, tests = given
    options = (*source, *tests, "--autorater", "examples", "--greedy", "0", "--confidence", "1.0", "--json")
    found = figures(rerank("run", *options, "--out", tmp_path / "run"))
    assert found["posterior+guard"] == found["first"], "nothing is ever certain"


def test_a_budget_of_judgments(given, tmp_path, tiny_model):
    source, _ = given
    model = ("--autorater", tiny_model, "--backend", "transformers")
    out = tmp_path / "run"
    found = figures(rerank("run", *source, *model, "--budget", "4", "--out", out, "--json"))
    assert "posterior" in found
    assert "pointwise" not in found, "most programs have no score"
    scores = (out / "scores.jsonl").read_text().splitlines()
    assert len(scores) == 4, "two near-ties of two problems"
    assert len({json.loads(line)["task_id"] for line in scores}) == 2


def test_a_model_writes_the_tests(given, tmp_path, tiny_model):
    source, _ = given
    options = (
        *source,
        "--autorater",
        "examples",
        "--test-writer",
        tiny_model,
        "--backend",
        "transformers",
        "--limit",
        "1",
    )
    result = rerank("run", *options, "--out", tmp_path / "run", "--json")
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "run" / "tests.jsonl").read_text().splitlines()
    assert [json.loads(line)["form"] for line in lines] == ["chat"]


def test_pick_by_what_candidates_do(tmp_path):
    prompt = tmp_path / "problem.py"
    prompt.write_text(ROWS[1]["prompt"])
    files = []
    for number, body in enumerate([WRONG[0], "    return x + 1\n", "    return 1 + x\n"]):
        files.append(tmp_path / f"{number}.py")
        files[-1].write_text(ROWS[1]["prompt"] + body.format(1))
    for name in ("posterior", "majority-vote"):
        result = rerank("pick", "--prompt", prompt, "--autorater", name, "--json", *files)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["best"] == 1, "two that agree, and pass the example"
    result = rerank("pick", "--prompt", prompt, "--autorater", "codet", *files)
    assert (result.exit_code, "needs written tests" in result.output) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--budget", "soon"), "--budget soon: a number of programs"),
        (("--budget", "5", "--autorater", "examples"), "--budget is for an autorater that judges pointwise"),
        (("--tests", "absent.jsonl", "--autorater", "examples"), "absent.jsonl: no such file"),
        (("--tests-without-examples",), "--tests-without-examples is for --test-writer"),
        (("--tests", "a", "--test-writer", "b"), "--tests and --test-writer exclude each other"),
    ],
)
def test_what_cannot_be_used(given, tmp_path, options, message):
    result = rerank("run", *given[0], *options, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
