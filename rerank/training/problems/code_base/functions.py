"""One documented function with its checks as a problem: prompt, solution and test, cut out of its module."""

import ast
import doctest
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank.records import PromptKind
from rerank.training.problems.code_base import docstrings
from rerank.training.problems.code_base.modules import (
    Module,
    closure,
    in_order,
    indent_of,
    parse_module,
    preamble,
    quoted,
    signature,
)
from rerank.training.problems.code_base.unit_tests import UnitTest, as_unittest, plain_calls

MAX_BORROWED_CHARACTERS = 1_000  # of a module's docstring, for a function without prose of its own


@dataclass(frozen=True, slots=True)
class Made:
    """A problem before it knows the code base it came from."""

    name: str
    prompt: str
    prompt_kind: PromptKind
    entry_point: str
    solution: str
    test: str
    num_checks: int


def functions_in(path: Path, *, name: str, tests: Mapping[str, Sequence[UnitTest]]) -> Iterator[Made | str]:
    """Each function of a file as a problem, or why it cannot be one. `tests`: unit tests by the function they call."""
    module = parse_module(path)
    if module is None:
        yield "does not parse"
        return
    for node in module.tree.body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("test"):
            continue
        calls = [test for test in tests.get(node.name, []) if test.module.split(".")[-1] in path.with_suffix("").parts]
        documented = ast.get_docstring(node, clean=True)
        if documented is None:
            if calls:
                yield "no docstring"
            continue
        if ">>>" not in documented and not calls:
            continue  # neither examples nor tests: never a problem, and not worth counting
        yield _function(module, node, documented, calls, name=f"{name}/{node.name}")


def _function(
    module: Module, node: ast.FunctionDef, docstring: str, calls: Sequence[UnitTest], *, name: str
) -> Made | str:
    try:
        examples = doctest.DocTestParser().get_examples(docstring)
    except ValueError:
        return "docstring does not parse"
    if any(example.options.get(doctest.SKIP) for example in examples):
        return "an example is marked as not to be run"
    checks = [made for example in examples if (made := docstrings.as_check(example)) is not None]
    needed = closure(module, [node])
    if module.foreign & needed:
        return "needs more than the standard library"
    told = closure(module, [*signature(node), *(ast.parse(example.source) for example in examples)], without=node.name)
    if module.foreign & told:
        return "needs more than the standard library"
    if node.name in told:
        return "test needs code that needs the answer"
    shown = docstrings.shown(docstring, examples, docstrings.NUM_SHOWN)
    if not docstrings.has_prose(docstrings.shown(docstring, examples, 0)):
        # Many files say what they are for once, on top, and give their functions examples only.
        about = ast.get_docstring(module.tree) or ""
        if not docstrings.has_prose(about) or ">>>" in about or len(about) > MAX_BORROWED_CHARACTERS:
            return "no description"
        shown = f"{about}\n\n{shown}"
    first = node.body[0]
    if first.lineno == node.lineno or len(node.body) == 1:
        return "no body"
    if not examples:
        shown += "".join(f"\n\n>>> {call}\n{want}" for call, want in plain_calls(calls)[: docstrings.NUM_SHOWN])
    start = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
    header = "\n".join(module.lines[start - 1 : first.lineno - 1])
    body_indent = indent_of(module.lines[first.lineno - 1])
    prompt = preamble(module, needed | told, told - {node.name}) + f"{header}\n{quoted(shown, body_indent)}\n"
    body = "\n".join(module.lines[first.end_lineno : node.end_lineno]).strip("\n")
    helpers = in_order(module, needed - told - {node.name})
    solution = "\n\n\n".join([body, *helpers]) + "\n"
    test, num_checks = _test_text(checks, calls)
    return Made(name, prompt, "function", node.name, solution, test, num_checks)


def _test_text(checks: Sequence[tuple[str, int]], calls: Sequence[UnitTest]) -> tuple[str, int]:
    """The whole test, and how many checks it holds."""
    body = "\n".join(text for text, _ in checks)
    num_checks = sum(count for _, count in checks)
    parts = [docstrings.helpers_of(body), body] if num_checks else []
    if calls:
        parts.append(as_unittest(calls))
        num_checks += sum(test.num_checks for test in calls)
    return "\n\n".join(part for part in parts if part) + "\n", num_checks
