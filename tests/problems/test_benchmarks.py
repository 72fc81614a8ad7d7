"""Benchmarks and files to problems, and EvalPlus' way to judge against a reference."""

import gzip
import json
import math
from pathlib import Path

import pytest

from rerank.errors import InputError, MissingError, SettingError
from rerank.problems import benchmarks, differential
from rerank.problems.benchmarks import load_problems, reference_program
from rerank.problems.evalplus import comparison_test

HUMANEVAL_ROW = {"task_id": "H/0", "prompt": "def f(x):\n", "entry_point": "f", "test": "def check(candidate): pass"}
EVALPLUS_ROW = {
    "task_id": "HumanEval/0",
    "prompt": 'def half(x):\n    """Half of x."""\n',
    "entry_point": "half",
    "canonical_solution": "    return x / 2\n",
    "base_input": [[1], [2.5]],
    "plus_input": [[-3]],
    "atol": 0,
}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def judge(test: str, entry_point: str, program: str) -> None:
    """Run a test of statements after a program, as the sandbox does; AssertionError when it fails."""
    namespace: dict = {}
    exec(program, namespace)
    exec(test, namespace)
    if "check" in namespace and entry_point != "check":
        namespace["check"](namespace[entry_point])


def test_humaneval_is_the_packages_own():
    loaded = load_problems("humaneval")
    assert [problem.task_id for problem in loaded] == [f"HumanEval/{number}" for number in range(164)]
    for problem in loaded[:20]:
        judge(problem.test, problem.entry_point, str(reference_program(problem)))
        with pytest.raises((AssertionError, TypeError)):
            judge(problem.test, problem.entry_point, f"{problem.prompt}    return None\n")


def test_this_projects_form(tmp_path: Path):
    row = {**HUMANEVAL_ROW, "prompt_kind": "text", "extra_test": "assert f(1)", "split": "dev", "checks": 3}
    (problem,) = load_problems(write(tmp_path / "p.jsonl", row))
    assert (problem.prompt_kind, problem.extra_test, problem.canonical_solution) == ("text", "assert f(1)", None)


def test_mbpps_form(tmp_path: Path):
    row = {
        "task_id": 2,
        "text": "Write a function to double a number.",
        "code": "import math\r\ndef helper(x):\r\n  return x\r\ndef double(x):\r\n  return helper(x) * 2",
        "test_setup_code": "ONE = 1",
        "test_list": ["assert double(ONE) == 2", "assert double(2) == 4"],
        "challenge_test_list": [],
    }
    (problem,) = load_problems(write(tmp_path / "mbpp.jsonl", row))
    assert (problem.task_id, problem.entry_point, problem.prompt_kind) == ("Mbpp/2", "double", "text")
    assert "double(ONE) == 2" in problem.prompt
    assert "double(2)" not in problem.prompt  # only one of the hidden asserts is shown
    judge(problem.test, "double", str(reference_program(problem)))
    with pytest.raises(AssertionError):
        judge(problem.test, "double", "def double(x):\n    return 2")


def test_mbpps_sanitized_form(tmp_path: Path):
    row = {
        "task_id": 3,
        "prompt": "Write a function to take the root.",
        "code": "import math\ndef root(x):\n  return math.sqrt(x)",
        "test_imports": ["import math"],
        "test_list": ["assert math.isclose(root(4), 2)"],
    }
    (problem,) = load_problems(write(tmp_path / "mbpp.jsonl", row))
    judge(problem.test, "root", "def root(x):\n    return x ** 0.5")


def test_evalplus_form(tmp_path: Path):
    (problem,) = load_problems(write(tmp_path / "p.jsonl", EVALPLUS_ROW))
    right_on_base = "def half(x):\n    return abs(x) / 2\n"
    judge(problem.test, "half", right_on_base)
    with pytest.raises(AssertionError, match="input 0"):
        judge(str(problem.extra_test), "half", right_on_base)
    judge(str(problem.extra_test), "half", str(reference_program(problem)))


@pytest.mark.parametrize(
    ("task", "stored", "argument"),
    [
        (2, [[1, 2], [3]], [(1, 2), (3,)]),
        (63, [[[1, 2], [3, 4]]], [[(1, 2), (3, 4)]]),
        (75, [[[6, 24]], 6], [[(6, 24)], 6]),
        (106, [[1], [2]], [[1], (2,)]),
        (115, [[[1], []]], [[{1}, {}]]),
        (124, [0, "1j"], [0.0, 1j]),
        (250, [[1, 2], 3], [(1, 2), 3]),
        (252, ["2+1j"], [2 + 1j]),
        (259, [[[1], [2]]], [((1,), (2,))]),
        (278, [[1, [2], "a"]], [(1, (2,), "a")]),
        (307, [["a", 5], 1, 50], [("a", 5), 1, 50]),
        (722, [{"a": [1, 2]}, 3], [{"a": (1, 2)}, 3]),
        (580, [[1, [2, [3]]]], [(1, (2, (3,)))]),
        (11, [[1, 2]], [[1, 2]]),
    ],
)
def test_mbpp_arguments_get_their_types_back(tmp_path: Path, task: int, stored: list, argument: list):
    row = {
        "task_id": f"Mbpp/{task}",
        "prompt": '"""Words."""\n',
        "entry_point": "f",
        "canonical_solution": "def f(*arguments):\n    return repr(arguments)\n",
        "base_input": [stored],
        "plus_input": {},
        "atol": 0,
    }
    (problem,) = load_problems(write(tmp_path / "p.jsonl", row))
    assert problem.prompt_kind == "text"
    stored_types = f"assert repr(arguments) == {tuple(argument)!r}.__repr__()"
    judge(problem.test, "f", f"def f(*arguments):\n    {stored_types}\n    return repr(arguments)\n")


def test_inputs_are_not_changed_by_functions_that_change_their_arguments():
    function = "def f(items):\n    total = sum(items)\n    items.clear()\n    return total\n"
    test = comparison_test(function, "f", [[[1, 2]], [[3]]])
    for _ in range(2):  # the second candidate meets the inputs that the first one had
        judge(test, "f", function)
        with pytest.raises(AssertionError):
            judge(test, "f", "def f(items):\n    items.clear()\n    return 0\n")


def test_names_of_a_program_do_not_reach_its_judge():
    test = comparison_test("def f(x):\n    return {x}\n", "f", [[1]])
    forged = (
        "def f(x):\n    return 0\n\n\nbool = all = isinstance = set = type = len = lambda *_: True\ncompare = print\n"
    )
    with pytest.raises(AssertionError):
        judge(test, "f", forged)


def test_function_called_check_is_judged():
    test = comparison_test("def check(x):\n    return x > 1\n", "check", [[1], [2]])
    judge(test, "check", "def check(x):\n    return x >= 2\n")
    with pytest.raises(AssertionError):
        judge(test, "check", "def check(x):\n    return True\n")


def test_reference_is_run_once_for_all_candidates():
    reference = "import itertools\ncount = itertools.count()\ndef f(x):\n    return (x, next(count))\n"
    test = comparison_test(reference, "f", [["once"], ["twice"]])
    for _ in range(2):
        judge(test, "f", "def f(x):\n    return (x, ['once', 'twice'].index(x))\n")


@pytest.mark.parametrize(
    ("got", "expected", "tolerance", "right"),
    [
        (1, 1.0, 0.0, True),  # equal is right, whatever the type
        (0.1 + 0.2, 0.3, 0.0, True),  # floats are close without a tolerance given
        (0.301, 0.3, 0.0, False),
        ([0.1 + 0.2], [0.3], 0.0, True),
        ((0.1 + 0.2,), [0.3], 0.0, False),  # close needs the type too
        ([0.3, 1.0], [0.1 + 0.2], 0.0, False),
        ([], [0.3], 0.0, False),
        ({"a": 0.1 + 0.2}, {"a": 0.3}, 0.0, False),  # not inside dictionaries
        ([[0.1 + 0.2]], [[0.3]], 0.0, False),  # nested floats need a tolerance of the problem's
        ([[0.1 + 0.2]], [[0.3]], 1e-6, True),
        ([[0.3], []], [[0.3], [0.1]], 1e-6, False),
        (2, 2.00005, 1e-4, False),
        (2.0, 2.00005, 1e-4, True),
        (1e12 + 1, 1e12, 0.0, True),  # and a relative tolerance of 1e-7
        (math.nan, math.nan, 1e-4, False),
        (math.inf, math.inf, 0.0, True),
        (-math.inf, math.inf, 1e-4, False),
        (1e300, math.inf, 1e-4, False),
        (1 + 1j, 1 + 1.00001j, 1e-4, True),
        ("a", "b", 1e-4, False),
        (None, 0.3, 0.0, False),
        (True, 1, 0.0, True),
        (10**400, 0.5, 1e-4, False),
    ],
)
def test_closeness(got: object, expected: object, tolerance: float, right: bool):
    verdict = True
    try:
        differential.compare(lambda: got, lambda: expected, [[]], results=[], tolerance=tolerance)
    except AssertionError:
        verdict = False
    assert verdict is right


def test_tolerance_for_floats_stays_for_later_inputs():
    """EvalPlus' own corner: after a float, a large integer may be off by its ten-millionth part."""
    off_by_one = {1: 0.5, 2: 10**9 + 1}.__getitem__
    reference = {1: 0.5, 2: 10**9}.__getitem__
    differential.compare(off_by_one, reference, [[1], [2]], results=[])
    with pytest.raises(AssertionError, match="input 0"):
        differential.compare(off_by_one, reference, [[2], [1]], results=[])


@pytest.mark.parametrize(
    ("oracle", "arguments", "got", "expected", "right"),
    [
        ("same set", [], [2, 1, 1], (1, 2), True),
        ("same set", [], [2], (1, 2), False),
        ("same truth", [], "<match>", "other", True),
        ("same truth", [], True, "match", True),
        ("same truth", [], None, "match", False),
        ("same truth", [], False, None, True),
        ("same truth", [], "", None, False),
        ("pyramid surface", [3, 4], 33, 33, True),
        ("pyramid surface", [3, 4], 35, 33, True),  # 9 + 6 * hypot(1.5, 4) = 34.6
        ("pyramid surface", [3, 4], 34, 33, False),
        ("digit distance", [1, 256], 12, 7, True),  # 001 and 256: 2 + 5 + 5
        ("digit distance", [1, 256], 11, 7, False),
        ("zero too", [], 0, 5, True),
        ("zero too", [], 4, 5, False),
        ("anything", [], "x", "y", True),
        ("root", [[-4, 0, 1]], -2.0, 2.0, True),
        ("root", [[-4, 0, 1]], 2.1, 2.0, False),
    ],
)
def test_oracles(oracle: str, arguments: list, got: object, expected: object, right: bool):
    verdict = True
    try:
        tolerance = 1e-4 if oracle == "root" else 0.0
        differential.compare(
            lambda *_: got, lambda *_: expected, [arguments], results=[], tolerance=tolerance, oracle=oracle
        )
    except AssertionError:
        verdict = False
    assert verdict is right


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**HUMANEVAL_ROW, "test": None}], "line 1: field test is NoneType, text is wanted"),
        ([HUMANEVAL_ROW, {"task_id": "H/1", "prompt": "", "entry_point": "g"}], "line 2: field test is missing"),
        ([HUMANEVAL_ROW, HUMANEVAL_ROW], "line 2: task_id H/0 stands in the file twice"),
        ([{**HUMANEVAL_ROW, "prompt_kind": "chat"}], "prompt_kind is 'chat'"),
        ([{**EVALPLUS_ROW, "entry_point": 3}], "field entry_point is int"),
        ([{k: v for k, v in EVALPLUS_ROW.items() if k != "plus_input"}], "field plus_input is missing"),
        ([{"task_id": 1, "text": "x", "code": "def f(): pass", "test_list": []}], "test_list is not a list"),
        ([{"task_id": 1, "text": "x", "code": "def f(:", "test_list": ["assert f()"]}], "code does not parse"),
        ([{"task_id": 1, "text": "x", "code": "def f(): pass", "test_list": ["assert g()"]}], "calls no function"),
        ([], "holds no problem"),
    ],
)
def test_bad_rows(tmp_path: Path, rows: list, message: str):
    with pytest.raises(InputError) as error:
        load_problems(write(tmp_path / "p.jsonl", *rows))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_bad_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SettingError, match="humanevl: neither a file nor a benchmark"):
        load_problems("humanevl")
    with pytest.raises(InputError, match="no such file"):
        load_problems(tmp_path / "p.jsonl")
    for variable in ("HUMANEVAL_OVERRIDE_PATH", "MBPP_OVERRIDE_PATH"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(benchmarks.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingError, match="pip install"):
        load_problems("mbpp+")


def test_plus_benchmarks_are_found_where_evalplus_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("HUMANEVAL_OVERRIDE_PATH", raising=False)
    cache = tmp_path / "evalplus"
    cache.mkdir()
    for release in ("v0.1.9", "v0.1.10"):
        write(cache / f"HumanEvalPlus-{release}.jsonl", {**EVALPLUS_ROW, "task_id": release})
    write(cache / "HumanEvalPlus-Mini-v0.2.0.jsonl", EVALPLUS_ROW)
    assert [problem.task_id for problem in load_problems("humaneval+")] == ["v0.1.10"]

    override = tmp_path / "given.jsonl.gz"
    override.write_bytes(gzip.compress(json.dumps({**EVALPLUS_ROW, "task_id": "Mbpp/11"}).encode()))
    monkeypatch.setenv("MBPP_OVERRIDE_PATH", str(override))
    (plus,), (base,) = load_problems("mbpp+"), load_problems("mbpp")
    assert plus.extra_test is not None
    assert base.extra_test is None
    assert base.test == plus.test
