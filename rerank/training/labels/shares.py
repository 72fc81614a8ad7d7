"""How much of its problem's test a program passes: every check counted, where a plain run stops at the first failure.

    text = counted_test(problem["test"], problem.get("extra_test") or "")
    outcome = ...                                  # of the program followed by `text`, in one namespace
    read_shares(outcome.stdout)                    ->  Shares(base=Tally(3, 0), extra=Tally(17, 2), ...)

A **check** is one `assert` that is reached (in a loop or in a helper function one each time), one method of a unittest
class, or one `try` or `with` block that holds an assert or a raise or stands at the top. What raises anywhere else in a
test fails as well, and the test goes on behind it. How many checks there are is what the reference solution passes:
a program may reach fewer, so a share is `passed / total` with the reference's total.

The rewritten test writes its tally now and then as it runs, so a program that hangs on one check keeps most of the
checks before it. It raises AssertionError at its end unless every check held. A program could forge the tally: nothing
here is rewarded for that.
"""

import ast
import json
import re
from dataclasses import dataclass
from typing import cast

_MARK = "@@shares "
_LINE = re.compile(r"@@shares (\{.*?\})$", re.MULTILINE)
_PREAMBLE = """\
class _Shares:
    tallies = {{"base": [0, 0], "extra": [0, 0]}}
    part, error, said = "base", "", 0.0
    import json, os, sys, time

    @classmethod
    def say(cls, force=False):
        if force:
            try:
                cls.sys.stdout.flush()  # what the program printed comes before the last word
            except Exception:
                pass
        now = cls.time.monotonic()
        if force or now - cls.said > {interval}:
            cls.said = now
            record = {{**cls.tallies, "error": cls.error, "done": force}}
            cls.os.write(1, ("\\n{mark}" + cls.json.dumps(record) + "\\n").encode())

    @classmethod
    def count(cls, held, why=""):
        good = bool(held)
        cls.tallies[cls.part][0 if good else 1] += 1
        if not good and not cls.error:
            cls.error = why or "AssertionError"
        cls.say()

    @classmethod
    def broke(cls, error):
        cls.count(False, type(error).__name__)

    @classmethod
    def unit(cls, result):
        bad = {{id(case): "AssertionError" for case, _ in result.failures}}
        for case, trace in result.errors:
            bad.setdefault(id(case), trace.strip().rpartition("\\n")[2].partition(":")[0].rpartition(".")[2])
        for _ in range(result.testsRun - len(bad)):
            cls.count(True)
        for why in bad.values():
            cls.count(False, why)
        if not result.testsRun:
            cls.count(False)


_Shares.say(True)
"""
_ENDING = """
_Shares.say(True)
assert not _Shares.tallies["base"][1] and not _Shares.tallies["extra"][1], "not every check held"
assert _Shares.tallies["base"][0], "no check was reached"
"""
_INTERVAL_S = 0.05
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Block = ast.Try | ast.TryStar | ast.With | ast.AsyncWith
_Simple = ast.Expr | ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete


@dataclass(frozen=True, slots=True)
class Tally:
    """Checks of one test."""

    passed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Shares:
    """What a run of a counted test has said, up to where it came."""

    base: Tally
    extra: Tally
    error_class: str  # of the first check that failed; "" when none did
    is_done: bool  # whether it came to the end


def counted_test(test: str, extra_test: str = "") -> str:
    """A test and its further test as one text that counts their checks, to be run behind a whole program."""
    parts = [_PREAMBLE.format(mark=_MARK, interval=_INTERVAL_S), _counted(test)]
    if extra_test.strip():
        parts += ['_Shares.part = "extra"\n', _counted(extra_test)]
    return "\n".join([*parts, _ENDING])


def read_shares(stdout: str) -> Shares | None:
    """The last tally in what a run wrote; None where it wrote none: the program itself broke, or wrote too much.

    >>> read_shares('\\n@@shares {"base": [2, 1], "extra": [0, 0], "error": "KeyError", "done": true}\\n').base
    Tally(passed=2, failed=1)
    """
    found = _LINE.findall(stdout)
    if not found:
        return None
    try:
        row = json.loads(found[-1])
        return Shares(Tally(*row["base"]), Tally(*row["extra"]), row["error"], row["done"])
    except (ValueError, KeyError, TypeError):  # a program that writes such lines itself
        return None


def _counted(test: str) -> str:
    tree = cast(ast.Module, _Counting().visit(ast.parse(test)))
    futures = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    tree.body = [node for node in tree.body if node not in futures]
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


class _Counting(ast.NodeTransformer):
    """Asserts into counts; what may raise in a test guarded, so that the checks behind it are reached."""

    def __init__(self) -> None:
        self._is_guarded = True  # at the top, and in functions that hold checks

    def visit_Module(self, node: ast.Module) -> ast.Module:
        node.body = [new for old in node.body for new in self._top(old)]
        return node

    def _top(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, _Block) and not _returns(node):
            return [_block_check(node)]
        new = self.visit(node)
        is_loop = isinstance(node, ast.For | ast.AsyncFor | ast.While | ast.If)
        return [_guard([new])] if is_loop else [new]

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return node  # a unittest class is counted by its result, any other is the test's own

    def visit_Lambda(self, node: ast.Lambda) -> ast.Lambda:
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> _Function:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> _Function:
        return self._function(node)

    def _function(self, node: _Function) -> _Function:
        was, self._is_guarded = self._is_guarded, _has_check(node)
        node.body = [self.visit(child) for child in node.body]
        self._is_guarded = was
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        result = _unit_result(node.test)
        if result is not None:
            return _guard([_call("unit", result)])
        return _guard([_call("count", node.test)])

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, _Block) and _has_check(node) and not _returns(node):
            return _block_check(node)
        if isinstance(node, _Simple) and self._is_guarded:
            return _guard([node])
        return super().generic_visit(node)


def _guard(body: list[ast.stmt]) -> ast.Try:
    """`body`, whose exceptions count as one check that failed."""
    caught = ast.Tuple([ast.Name("Exception", ast.Load()), ast.Name("SystemExit", ast.Load())], ast.Load())
    told = _call("broke", ast.Name("_shares_error", ast.Load()))
    return ast.Try(body, [ast.ExceptHandler(caught, "_shares_error", [told])], [], [])


def _block_check(node: ast.stmt) -> ast.Try:
    """A block as one check: it holds when it comes to its end."""
    guarded = _guard([node])
    guarded.orelse = [_call("count", ast.Constant(True))]
    return guarded


def _call(method: str, argument: ast.expr) -> ast.Expr:
    function = ast.Attribute(ast.Name("_Shares", ast.Load()), method, ast.Load())
    return ast.Expr(ast.Call(function, [argument], []))


def _unit_result(test: ast.expr) -> ast.expr | None:
    """`_result` of `assert _result.testsRun and _result.wasSuccessful()`."""
    for node in ast.walk(test):
        if isinstance(node, ast.Attribute) and node.attr == "wasSuccessful":
            return node.value
    return None


def _has_check(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Assert | ast.Raise) for each in ast.walk(node))


def _returns(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Return | ast.Yield | ast.YieldFrom) for each in ast.walk(node))
