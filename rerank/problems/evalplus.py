"""EvalPlus' releases: where they come from, their oracles, the types that JSON took from arguments, and the test made
of a row's inputs.
"""

import contextlib
import importlib.util
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rerank import store
from rerank.errors import MissingError
from rerank.problems import differential
from rerank.problems.fields import _text, task_name
from rerank.records import Problem, PromptKind
from rerank.store import Row


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
