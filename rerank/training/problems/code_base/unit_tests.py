"""Unit tests of a code base that call one of its functions and nothing else of it, by that function's name."""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank.training.problems.code_base.modules import callee, loaded, parse_module


@dataclass(frozen=True, slots=True)
class UnitTest:
    """One test function of the code base that calls one function of it and nothing else of the project."""

    module: str  # dotted name that the function was imported from
    text: str  # the test as a method, without indent
    num_checks: int
    examples: tuple[tuple[str, str], ...]  # (call, value) of its plainest asserts


def is_test_file(path: Path) -> bool:
    return path.stem.startswith("test_") or path.stem.endswith("_test") or "tests" in path.parts


def unit_tests(files: Sequence[Path], dropped: Counter[str]) -> dict[str, list[UnitTest]]:
    """Tests of the code base by the name of the function that they call."""
    tests: dict[str, list[UnitTest]] = {}
    for path in files:
        if not is_test_file(path) or (path.parent / ".meta").exists():
            continue
        module = parse_module(path)
        if module is None:
            dropped["does not parse"] += 1
            continue
        origins = {
            alias.asname or alias.name: node.module or ""
            for node in module.tree.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for test, has_fixture in _test_functions(module.tree):
            own = set(loaded(test))
            projects = own & module.foreign
            if len(projects) != 1 or has_fixture or own & set(module.definitions):
                continue
            called = projects.pop()
            num_checks = num_checks_of(test)
            if called not in origins or not num_checks or not _only_asserts(test):
                continue
            imports = [module.imports[name] for name in sorted(own) if name in module.imports and name != called]
            text = _as_method(test, imports)
            tests.setdefault(called, []).append(
                UnitTest(origins[called], text, num_checks, _plain_asserts(test, called))
            )
    return tests


def _test_functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef, bool]]:
    """(test, whether it needs what something else sets up) for every plain test function and method."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield node, bool(node.args.args or node.decorator_list)
        elif isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
            sets_up = any(method.name.lower().startswith("setup") for method in methods)
            for method in methods:
                if method.name.startswith("test"):
                    yield method, sets_up or len(method.args.args) != 1 or bool(method.decorator_list)


def _only_asserts(test: ast.FunctionDef) -> bool:
    """Whether all that is asked of `self` is to assert."""
    return all(
        part.attr.startswith(("assert", "fail"))
        for part in ast.walk(test)
        if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self"
    )


def num_checks_of(test: ast.FunctionDef) -> int:
    return sum(
        isinstance(part, ast.Assert)
        or (isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.attr.startswith("assert"))
        for part in ast.walk(test)
    )


def _as_method(test: ast.FunctionDef, imports: Sequence[str]) -> str:
    body = [ast.unparse(statement) for statement in test.body]
    inner = "\n".join([*imports, *body])
    return f"def {test.name}(self):\n" + "\n".join(f"    {line}" if line else "" for line in inner.splitlines())


def _plain_asserts(test: ast.FunctionDef, called: str) -> tuple[tuple[str, str], ...]:
    """(call, value) of asserts such as `assertEqual(f(1, 2), 3)` and `assert f(1, 2) == 3`, all of them literals."""
    found = []
    for part in ast.walk(test):
        pair: Sequence[ast.expr] = ()
        if isinstance(part, ast.Assert) and isinstance(part.test, ast.Compare) and len(part.test.ops) == 1:
            pair = (part.test.left, part.test.comparators[0]) if isinstance(part.test.ops[0], ast.Eq) else ()
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "assertEqual":
            pair = part.args[:2]
        for call, want in (pair, pair[::-1]) if len(pair) == 2 else ():
            if isinstance(call, ast.Call) and callee(call) == called and not loaded(want):
                arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
                if not any(loaded(argument) for argument in arguments):
                    found.append((ast.unparse(call), ast.unparse(want)))
    return tuple(found)


def plain_calls(calls: Sequence[UnitTest]) -> list[tuple[str, str]]:
    return [example for test in calls for example in test.examples]


def as_unittest(calls: Sequence[UnitTest]) -> str:
    methods = []
    for number, test in enumerate(calls):
        # Two classes of the code base may name their tests alike.
        text = re.sub(r"^def (\w+)\(", rf"def \1_{number}(", test.text)
        methods.append("\n".join(f"    {line}" if line else "" for line in text.splitlines()))
    tests = "\n\n".join(methods)
    return f"import unittest\n\n\nclass _Tests(unittest.TestCase):\n{tests}\n\n\n{run_unittest(['_Tests'])}"


def run_unittest(names: Sequence[str]) -> str:
    """Statements that run these test classes and raise when one fails, or when there was nothing to run."""
    return (
        "_result = unittest.TestResult()\n"
        f"for _case in ({', '.join(names)},):\n"
        "    unittest.defaultTestLoader.loadTestsFromTestCase(_case).run(_result)\n"
        "assert _result.testsRun and _result.wasSuccessful(), str(_result.failures + _result.errors)[-2000:]"
    )
