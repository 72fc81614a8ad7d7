"""Candidates to outcomes, in real sandboxes: once each, resumed from the journal, extra tests and their time."""

import textwrap
from pathlib import Path

import pytest

import sandbox
from rerank import store
from rerank.candidates.files import read_candidates
from rerank.errors import InputError, MissingError, WorkerError
from rerank.problems.benchmarks import load_problems
from rerank.records import Candidate, Problem
from rerank.runs import execution
from rerank.runs.execution import execute, journal_key, recorded_outcomes

LIMITS = sandbox.Limits(timeout_s=1.0)
DOUBLE = Problem(
    "T/0",
    'def double(x):\n    """Twice x."""\n',
    "double",
    "def check(candidate):\n    assert candidate(1) == 2\n",
    "def check(candidate):\n    assert candidate(-1) == -2\n",
    "    return 2 * x\n",
)


def candidate(index: int, body: str, problem: Problem = DOUBLE) -> Candidate:
    program = problem.prompt + textwrap.indent(textwrap.dedent(body), "    ")
    return Candidate(problem.task_id, index, body, program, key=None)


RIGHT, BASE_ONLY, WRONG = candidate(0, "return 2 * x"), candidate(1, "return abs(2 * x)"), candidate(2, "return x")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[sandbox.Job]:
    """Every job that goes to a sandbox."""
    jobs: list[sandbox.Job] = []
    run = sandbox.Pool.map

    def noted(self, given):
        def each():
            for job in given:
                jobs.append(job)
                yield job

        return run(self, each())

    monkeypatch.setattr(sandbox.Pool, "map", noted)
    return jobs


def test_outcomes_stand_in_the_order_of_the_candidates():
    unparsed, empty = Candidate("T/0", 3, "", "def double(:", None), Candidate("T/0", 4, "", "", None)
    outcomes = execute([DOUBLE], [WRONG, RIGHT, unparsed, empty, RIGHT], limits=LIMITS, workers=1).base
    assert [outcome.passed for outcome in outcomes] == [False, True, False, False, True]
    assert outcomes[0].status == "failed"


def test_plus_means_both_tests():
    found = execute([DOUBLE], [RIGHT, BASE_ONLY, WRONG], with_extra=True, limits=LIMITS, workers=1)
    assert [outcome.passed for outcome in found.base] == [True, True, False]
    assert [outcome.passed for outcome in found.plus] == [True, False, False]
    assert "-1" in found.plus[1].reason
    assert found.plus[2] == found.base[2]


def test_identical_programs_run_once(started: list[sandbox.Job]):
    execute([DOUBLE], [RIGHT, RIGHT, WRONG, RIGHT], limits=LIMITS, workers=1)
    assert len(started) == 2


def test_journal_is_asked_first(tmp_path: Path, started: list[sandbox.Job]):
    def judge(*candidates: Candidate, limits: sandbox.Limits = LIMITS, problem: Problem = DOUBLE) -> list:
        with store.Journal(tmp_path / "outcomes.jsonl", key=journal_key) as journal:
            return execute([problem], candidates, journal=journal, limits=limits, workers=1).base

    first = judge(RIGHT, WRONG)
    assert judge(WRONG, RIGHT) == [first[1], first[0]]
    assert len(started) == 2
    judge(RIGHT, BASE_ONLY)
    assert len(started) == 3
    judge(RIGHT, limits=sandbox.Limits(timeout_s=2.0))  # another limit or test is another outcome
    judge(RIGHT, problem=Problem("T/0", DOUBLE.prompt, "double", "assert double(0) == 0"))
    assert len(started) == 5


def test_killed_run_keeps_what_was_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list):
    path = tmp_path / "outcomes.jsonl"
    append = store.Journal.append

    def interrupted(self, rows):
        append(self, rows)
        raise KeyboardInterrupt

    monkeypatch.setattr(store.Journal, "append", interrupted)
    with pytest.raises(KeyboardInterrupt), store.Journal(path, key=journal_key) as journal:
        execute([DOUBLE], [RIGHT, WRONG], journal=journal, limits=LIMITS, workers=1)
    monkeypatch.setattr(store.Journal, "append", append)
    with open(path, "ab") as file:
        file.write(b'{"key": "half a li')
    started.clear()
    with store.Journal(path, key=journal_key) as journal:
        assert len(journal.rows) == 1
        outcomes = execute([DOUBLE], [RIGHT, WRONG], journal=journal, limits=LIMITS, workers=1).base
    assert [outcome.passed for outcome in outcomes] == [True, False]
    assert [job.candidate for job in started] == [WRONG.program]


def test_recorded_outcomes_are_those_of_the_run_and_run_nothing(tmp_path: Path, started: list[sandbox.Job]):
    limits = sandbox.Limits(timeout_s=0.1)
    candidates = [candidate(0, SLOW.canonical_solution or "", SLOW), candidate(1, "return n + 1", SLOW)]
    with store.Journal(tmp_path / "outcomes.jsonl", key=journal_key) as journal:
        outcomes = execute([SLOW], candidates, with_extra=True, journal=journal, limits=limits, workers=1)
        started.clear()
        assert recorded_outcomes([SLOW], candidates, journal, limits=limits, with_extra=True) == outcomes
        with pytest.raises(KeyError):
            recorded_outcomes([SLOW], [candidate(2, "return 7", SLOW)], journal, limits=limits, with_extra=True)
    assert started == []


SLOW = Problem(
    "T/1",
    'def spin(n):\n    """Count."""\n',
    "spin",
    "def check(candidate):\n    assert candidate(1) == 1\n",
    "def check(candidate):\n    assert candidate(6_000_000) == 6_000_000\n",
    "    count = 0\n    for _ in range(n):\n        count += 1\n    return count\n",
)


def test_extra_tests_that_keep_the_reference_busy_get_more_time(started: list[sandbox.Job]):
    limits = sandbox.Limits(timeout_s=0.1)
    as_slow = candidate(0, SLOW.canonical_solution or "", SLOW)
    endless = candidate(1, "while n > 1:\n    pass\nreturn n", SLOW)
    found = execute([SLOW], [as_slow, endless], with_extra=True, limits=limits, workers=1)
    assert [outcome.passed for outcome in found.base] == [True, True]
    assert [outcome.status for outcome in found.plus] == ["passed", "timeout"]
    assert max(job.limits.timeout_s for job in started) == execution.MAX_EXTRA_TIMEOUT_S  # the reference's own run
    assert found.plus[1].timeout_s > limits.timeout_s


def test_helper_functions_of_the_prompt_are_there_for_the_test():
    problem = next(p for p in load_problems("humaneval") if p.task_id == "HumanEval/32")  # whose test calls poly
    reference = Candidate(problem.task_id, 0, "", problem.prompt + str(problem.canonical_solution), None)
    assert execute([problem], [reference], workers=1).base[0].passed
    forged = Candidate(problem.task_id, 1, "", "def poly(xs, x): return 0\ndef find_zero(xs): return 7\n", None)
    assert not execute([problem], [forged], workers=1).base[0].passed


def test_candidates_from_a_file_to_outcomes(tmp_path: Path):
    path = tmp_path / "samples.jsonl"
    store.write_rows(path, [{"task_id": "T/0", "raw": "```\ndef double(x):\n    return x + x\n```"}])
    assert execute([DOUBLE], read_candidates(path, [DOUBLE]), limits=LIMITS, workers=1).base[0].passed


def test_errors(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(InputError, match="T/0, which is not among the problems"):
        execute([], [RIGHT])
    with pytest.raises(InputError, match="T/0 has no extra test"):
        execute(
            [Problem("T/0", DOUBLE.prompt, "double", DOUBLE.test)], [RIGHT], with_extra=True, limits=LIMITS, workers=1
        )

    def broken(error: Exception):
        def run(*_):
            raise error

        return run

    monkeypatch.setattr(sandbox.Pool, "map", broken(sandbox.SandboxError("worker gone")))
    with pytest.raises(WorkerError, match="1 programs have no verdict: worker gone"):
        execute([DOUBLE], [RIGHT], workers=1)
    monkeypatch.setattr(sandbox.Pool, "map", broken(sandbox.SandboxUnavailable("allow user namespaces")))
    with pytest.raises(MissingError, match="allow user namespaces"):
        execute([DOUBLE], [RIGHT], workers=1)


def test_no_progress_bar_outside_a_terminal(capfd: pytest.CaptureFixture):
    execute([DOUBLE], [RIGHT], limits=LIMITS, workers=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("prompt", "body"),
    [
        ("def f(x):\n", "    return x + 1\n"),
        ("def f(x):", "\n    return x + 1\n"),
        ("class A:\n    def g(self, x):\n", "        return x + 1\n\n\ndef f(x):\n    return A().g(x)\n"),
        ("def f(x):  # continue here: (", "\n    return x + 1\n"),
        ("Write f: it adds one", "def f(x):\n    return x + 1\n"),  # words, wrongly called a function
    ],
)
def test_a_prompt_that_is_no_program_by_itself_takes_no_candidate_with_it(prompt: str, body: str):
    problem = Problem("T/2", prompt, "f", "def check(candidate):\n    assert candidate(1) == 2\n")
    program = body if " it adds " in prompt else prompt + body
    outcomes = execute([problem], [Candidate("T/2", 0, body, program, key=None)], limits=LIMITS).base
    assert [outcome.passed for outcome in outcomes] == [True]
