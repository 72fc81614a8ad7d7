"""An exercise in exercism's layout as a problem: instructions, stub, example solution and tests in one folder."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from rerank.training.problems.code_base.functions import Made
from rerank.training.problems.code_base.modules import (
    closure,
    in_order,
    indent_of,
    parse_module,
    preamble,
    quoted,
    signature,
)
from rerank.training.problems.code_base.unit_tests import num_checks_of, run_unittest


def exercise_in(example: Path, *, name: str) -> Iterator[Made | str]:
    """An exercise folder: instructions, a stub, an example solution and a unittest file that imports the stub."""
    folder = example.parent.parent
    docs = [folder / ".docs" / part for part in ("introduction.md", "instructions.md", "instructions.append.md")]
    tests = sorted(folder.glob("*_test.py"))
    if not docs[1].exists() or len(tests) != 1:
        yield "an exercise without instructions or with several test files"
        return
    solution, test = parse_module(example), parse_module(tests[0])
    if solution is None or test is None:
        yield "does not parse"
        return
    wanted = _imported_from(test.tree, tests[0].stem.removesuffix("_test"))
    if not wanted or not wanted <= solution.definitions.keys():
        yield "the tests of an exercise import what its example does not define"
        return
    if solution.foreign or test.foreign - wanted:
        yield "needs more than the standard library"
        return
    words = "\n\n".join(_plain_text(path.read_text(encoding="utf-8")) for path in docs[1:] if path.exists())
    classes = [node for node in test.tree.body if isinstance(node, ast.ClassDef)]
    kept = [
        test.text(node)
        for node in test.tree.body
        if not (isinstance(node, ast.ImportFrom) and (node.module or "") == tests[0].stem.removesuffix("_test"))
        and not isinstance(node, ast.If)
    ]
    runner = run_unittest([node.name for node in classes])
    test_text = "\n\n\n".join([*kept, runner]) + "\n"
    num_checks = sum(num_checks_of(part) for node in classes for part in node.body if isinstance(part, ast.FunctionDef))
    functions = [solution.definitions[entry] for entry in wanted]
    target = functions[0]
    body = ""
    if len(wanted) == 1 and isinstance(target, ast.FunctionDef) and target.body[0].lineno > target.lineno:
        told = closure(solution, signature(target), without=target.name)
        if target.name not in told:
            start = min([target.lineno, *(mark.lineno for mark in target.decorator_list)])
            first = target.body[1] if ast.get_docstring(target) and len(target.body) > 1 else target.body[0]
            header = "\n".join(solution.lines[start - 1 : target.body[0].lineno - 1])
            indent = indent_of(solution.lines[first.lineno - 1])
            needed = closure(solution, [target])
            prompt = preamble(solution, needed | told, told) + f"{header}\n{quoted(words, indent)}\n"
            body = "\n".join(solution.lines[first.lineno - 1 : target.end_lineno])
            text = "\n\n\n".join([body, *in_order(solution, needed - told - {target.name})]) + "\n"
            yield Made(name, prompt, "function", target.name, text, test_text, num_checks)
    if not body:
        stub = (folder / (tests[0].stem.removesuffix("_test") + ".py")).read_text(encoding="utf-8").strip()
        prompt = f"{words}\n\nWrite a whole Python module that fills in this one:\n\n{stub}\n"
        text = "\n".join(solution.lines).strip() + "\n"
        yield Made(name, prompt, "text", sorted(wanted)[0], text, test_text, num_checks)


def _imported_from(tree: ast.Module, module: str) -> set[str]:
    return {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }


def _plain_text(markdown: str) -> str:
    """Instructions without headings, link targets and editorial notes."""
    text = re.sub(r"^#.*$|^~~~.*$|^\[[^\]]+\]:.*$", "", markdown, flags=re.MULTILINE)
    text = re.sub(r"\[([^\]]+)\](?:\([^)]*\)|\[[^\]]*\])", r"\1", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()
