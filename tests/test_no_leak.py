"""Hidden tests never reach selection: not by type, not in what is run, asked or written, and not in the choice."""

import dataclasses
import inspect
import json
import typing

import pytest

import rerank.evidence
import sandbox
from rerank.candidates.files import to_row
from rerank.evidence import (
    agreement,
    examples,
    gathering,
    generated_inputs,
    record,
    test_writers,
    trials,
    written_tests,
)
from rerank.records import Candidate, Problem, PublicProblem
from rerank.runs import evidence, ranking
from rerank.runs.candidates import Benchmark
from rerank.runs.folder import RunFolder
from rerank.runs.settings import ScoreSettings
from rerank.selection import budget, posterior, selectors
from rerank.store import write_rows

SECRET = 90210
PROMPT = "def f(x):\n    '''Twice x.\n    >>> f(2)\n    4\n    '''\n"
PROGRAMS = ["def f(x):\n    return 2 * x\n", "def f(x):\n    return x + 2\n", "def f(x):\n    return 4\n"]


def problem(secret: int) -> Problem:
    test = f"assert f({secret}) == {2 * secret}\n"
    return Problem("t", PROMPT, "f", test, test, f"    return x * 2  # {secret}\n")


def test_a_public_problem_has_no_field_for_a_test():
    assert {field.name for field in dataclasses.fields(PublicProblem)} == {
        "task_id",
        "prompt",
        "entry_point",
        "prompt_kind",
    }


@pytest.mark.parametrize(
    "module", [agreement, examples, gathering, generated_inputs, trials, written_tests, posterior, selectors, budget]
)
def test_no_function_of_selection_takes_a_problem_or_an_outcome(module):
    """`writers.read_answers` alone takes Problems, to match lines to them; it gives back what the file holds."""
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ != module.__name__:
            continue
        for parameter, annotation in function.__annotations__.items():
            words = str(annotation)
            for part in (annotation, *typing.get_args(annotation)):
                assert part is not Problem, f"{name}({parameter})"
            assert "records.Problem" not in words, f"{name}({parameter})"
            assert parameter == "outcome" or "Outcome" not in words, f"{name}({parameter})"
    assert "test" not in {field.name for field in dataclasses.fields(record.Evidence)}
    assert test_writers.__name__.startswith(rerank.evidence.__name__)


def run(folder, secret: int):
    """Everything that selects, on real processes, with written tests; returns the rankings and all that was written."""
    chosen = problem(secret)
    candidates = [Candidate("t", index, text, text, f"k{index}") for index, text in enumerate(PROGRAMS)]
    opened = RunFolder(folder)
    opened.record_settings("candidates", fixed={"file": "none"})
    write_rows(folder / "candidates.jsonl", map(to_row, candidates))
    write_rows(
        folder / "answers.jsonl", [{"task_id": "t", "form": "chat", "texts": ["assert f(3) == 6\nassert f(5) == 10"]}]
    )
    benchmark = Benchmark([chosen], [chosen])
    answers = evidence.import_tests(opened, folder / "answers.jsonl", benchmark)
    rankings = ranking.score(opened, [chosen], candidates, ScoreSettings("examples"), answers=answers, num_workers=1)
    written = {path.name: path.read_text() for path in folder.iterdir()}
    return rankings, written


def test_nothing_of_a_hidden_test_is_run_written_or_decides(tmp_path):
    rankings, written = run(tmp_path / "one", SECRET)
    others, _ = run(tmp_path / "other", SECRET + 1)
    assert rankings == others, "other hidden tests, the same choice"
    assert {"examples.jsonl", "trials.jsonl", "rankings.jsonl"} <= written.keys()
    for name, text in written.items():
        assert str(SECRET) not in text, name
    assert rankings["posterior"][0].best == 0
    assert [json.loads(line)["task_id"] for line in written["trials.jsonl"].splitlines()] == ["t"] * 6


def test_no_job_that_gathers_evidence_holds_a_hidden_test(tmp_path, monkeypatch):
    jobs = []
    real = sandbox.Pool

    class Recording(real):
        def map(self, given, **options):
            def noted():
                for job in given:
                    jobs.append(job)
                    yield job

            return super().map(noted(), **options)

    monkeypatch.setattr(sandbox, "Pool", Recording)
    run(tmp_path / "run", SECRET)
    assert jobs
    assert not any(str(SECRET) in f"{job.candidate}{job.test}{job.helpers}{job.stdin}" for job in jobs)


def test_what_a_writer_is_asked_holds_no_hidden_test():
    for make in written_tests.STYLES.values():
        assert str(SECRET) not in make(problem(SECRET).public).text
