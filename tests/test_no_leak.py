"""Hidden tests never reach selection: not by type, not in what is run, asked or written, and not in the choice."""

import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
import types
import typing

import rerank.autoraters
import rerank.evidence
import rerank.prompts
import rerank.selection
import sandbox
from rerank.candidates.files import to_row
from rerank.evidence import record, written_tests
from rerank.records import Candidate, Problem, PublicProblem
from rerank.runs import evidence, ranking
from rerank.runs.candidates import Benchmark
from rerank.runs.folder import RunFolder
from rerank.runs.settings import ScoreSettings
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


# What selection is made of: every module in here is looked at, a new one too.
SELECTION = (rerank.evidence, rerank.selection, rerank.autoraters, rerank.prompts)
# (module, function, parameter): why it may take what no other function of selection takes.
ALLOWED = {
    (
        "rerank.evidence.test_writers",
        "read_answers",
        "problems",
    ): "to match lines to them; returns what the file holds",
}


def modules_of(packages):
    for package in packages:
        yield package
        for found in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{package.__name__}."):
            yield importlib.import_module(found.name)


def functions_of(module):
    """Its functions and the methods of its classes, records' own __init__ among them, by name."""
    for name, each in vars(module).items():
        if getattr(each, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(each):
            for method, function in vars(each).items():
                if inspect.isfunction(inspect.unwrap(getattr(function, "__func__", function))):
                    yield f"{name}.{method}", inspect.unwrap(getattr(function, "__func__", function))
        elif callable(each):
            yield name, inspect.unwrap(each)


def mentioned(annotation):
    """Every type in an annotation, those in brackets too; a name in quotes stays a text."""
    yield annotation
    for part in typing.get_args(annotation):
        for each in part if isinstance(part, list) else [part]:
            yield from mentioned(each)


def leaks(module):
    """Parameters through which a hidden test, or what a program did on it, could come in."""
    for name, function in functions_of(module):
        for parameter, annotation in getattr(function, "__annotations__", {}).items():
            parts = list(mentioned(annotation))
            words = {word for each in parts if isinstance(each, str) for word in re.findall(r"\w+", each)}
            if Problem in parts or "Problem" in words:
                yield module.__name__, name, parameter


def test_no_function_of_selection_takes_a_problem():
    modules = list(modules_of(SELECTION))
    assert len(modules) > 20
    assert {leak for module in modules for leak in leaks(module)} == set(ALLOWED)


def test_outcomes_reach_evidence_by_its_own_jobs_only():
    """What the sandbox says of a program is evidence where evidence itself asked: nobody hands outcomes in."""
    for module in modules_of(SELECTION):
        for name, function in functions_of(module):
            for parameter, annotation in getattr(function, "__annotations__", {}).items():
                words = f"{annotation}"
                assert parameter in ("outcome", "return") or "Outcome" not in words, f"{module.__name__} {name}"
    assert "test" not in {field.name for field in dataclasses.fields(record.Evidence)}


def test_a_leak_is_found():
    """The walk itself: a function, a method and a record that take a hidden test, however it is written."""
    module = types.ModuleType("leaky")
    code = (
        "from dataclasses import dataclass\nfrom collections.abc import Callable, Sequence\n"
        "from rerank.records import Problem, PublicProblem\n"
        "def fine(problem: PublicProblem) -> str: ...\n"
        "def plain(problem: Problem): ...\n"
        "def deep(problems: dict[str, Sequence[Problem]] | None): ...\n"
        "def quoted(problem: 'Problem'): ...\n"
        "def called(choose: Callable[[Problem], int]): ...\n"
        "class Writer:\n    def write(self, problem: Problem): ...\n"
        "@dataclass\nclass Record:\n    problem: Problem\n"
    )
    exec(compile(code, "leaky", "exec", dont_inherit=True), vars(module))
    assert [name for _, name, _ in leaks(module)] == [
        "plain", "deep", "quoted", "called", "Writer.write", "Record.__init__",
    ]  # fmt: skip


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
