"""Tests that a model writes from the problem alone: what to ask for, and what to keep of the answers.

    request = STYLES["continue"](problem.public)         # None for a problem that cannot be asked about
    texts = answer_texts(problem.public, "continue", [sample.text for sample in samples])
    collect(problem.public, texts)                        ->  (Check("f(2)", "_ == 4", count=3), ...)

A **check** is one call of the entry point with closed arguments, and a predicate over what it returns. Checks of one
call share its execution (see `matrix`), and the calls alone are the inputs on which candidates may agree.

`continue` follows CodeT (arXiv 2207.10397, section 3.1): the function with an empty body, a comment, then `assert`.
`chat` asks in words. Both ask about the problem that they are given. A user's prompt has examples in it: they show a
small model what arguments look like, and `collect` drops those that it copies, since they are evidence of their own
already (see `examples`). CodeT took them out: see `bare`.
"""

import ast
import builtins
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from rerank.backends.interface import GenerationRequest
from rerank.candidates.programs import stub
from rerank.evidence.prompt_trees import defined, parse, parse_prompt
from rerank.records import PublicProblem

MAX_TESTS = 500  # a problem, the most often written first
MAX_TESTS_PER_SAMPLE = 5  # CodeT's own limit: later ones drift
STOP_WORDS = ("\ndef ", "\nclass ", "\nif ", "\nprint(", "\n```")

_ASSERT = re.compile(r"(?<![\w.'\"])assert\b[\s(]")
_MAX_LINES = 12  # that one assertion may run over
_MAX_CHARS = 2000
_MODULES = ("math",)  # may be used without being imported, as models do
# Builtins that reach for the terminal, a file or the interpreter: a test that calls them is no test of a function.
_UNWANTED = frozenset({"breakpoint", "exec", "eval", "exit", "help", "input", "open", "print", "quit", "__import__"})
VALUE = "_"  # stands in a predicate for what the call returned


@dataclass(frozen=True, slots=True)
class Check:
    """One call of the entry point, and what should hold of its result."""

    call: str  # such as `f([1, 2])`
    predicate: str  # an expression over `_`, the call's result: `_ == 4`, `abs(_ - 0.5) < 1e-6`
    count: int = 1  # how often it was written

    @property
    def expression(self) -> str:
        """The assertion as it was written, in normal form."""
        tree = ast.parse(self.predicate, mode="eval").body
        return ast.unparse(_replaced(tree, VALUE, ast.parse(self.call, mode="eval").body))


def continued_request(problem: PublicProblem) -> GenerationRequest | None:
    """Have a model go on after `assert f(`; None for a method, which no single call tests."""
    if "." in problem.entry_point:
        return None
    shown = _with_empty_body(problem)
    if shown is None:
        words = problem.prompt.strip().strip('"').strip()
        shown = f'"""\n{words}\n"""\nfrom solution import {problem.entry_point}\n'
    text = f"{shown}\n# Check that {problem.entry_point} is right, on usual inputs and on edge cases.\n"
    return GenerationRequest(problem.task_id, f"{text}assert {problem.entry_point}(", is_chat=False, stop=STOP_WORDS)


def chat_request(problem: PublicProblem) -> GenerationRequest | None:
    """Ask an instruction-tuned model in words; None for a method, which no single call tests."""
    name = problem.entry_point
    if "." in name:
        return None
    kind = "function" if problem.prompt_kind == "function" else "task"
    shown = f"```python\n{problem.prompt.strip()}\n```" if kind == "function" else problem.prompt.strip()
    text = (
        f"Write tests for the following Python {kind}: ten lines of the form `assert {name}(...) == ...`. Each calls "
        f"`{name}` once, with literal arguments, and compares with the result that the description demands. Cover "
        "usual inputs and edge cases, and use other inputs than those that the description shows. Do not write the "
        f"function itself. Answer with one Python code block.\n\n{shown}\n"
    )
    return GenerationRequest(problem.task_id, text, is_chat=True)


STYLES: dict[str, Callable[[PublicProblem], GenerationRequest | None]] = {
    "continue": continued_request,
    "chat": chat_request,
}


def answer_texts(problem: PublicProblem, style: str, samples: Iterable[str]) -> tuple[str, ...]:
    """What to read the tests from: an assertion that the request began needs its beginning."""
    request = STYLES[style](problem)
    if request is None:
        return ()
    began = "" if request.is_chat else request.text.rpartition("\n")[2]
    return tuple(began + sample for sample in samples)


def collect(
    problem: PublicProblem,
    texts: Iterable[str],
    *,
    known: Iterable[str] = (),
    max_tests: int = MAX_TESTS,
    max_tests_per_sample: int = MAX_TESTS_PER_SAMPLE,
) -> tuple[Check, ...]:
    """The distinct checks in a model's answers, the most often written first, then as first met.

    `known`: expressions (as of `examples.extract`) that are evidence already and are left out.

    >>> problem = PublicProblem("t", "def f(x):\\n    '''Twice x.'''\\n", "f")
    >>> collect(problem, ["assert f(2) == 4\\nassert f(2) == 4, 'why'\\nassert f(", "- `assert f( 2 ) == 4`"])
    (Check(call='f(2)', predicate='_ == 4', count=2),)
    """
    left_out = {_normal(expression) for expression in known}
    allowed = {*dir(builtins), *_MODULES, *defined(parse_prompt(problem.prompt))} - _UNWANTED
    written: Counter[Check] = Counter()
    for text in texts:
        found = (check for check in _checks(text, problem.entry_point, allowed) if check.expression not in left_out)
        written.update(list(dict.fromkeys(found))[:max_tests_per_sample])
    return tuple(Check(check.call, check.predicate, count) for check, count in written.most_common(max_tests))


def check_of(expression: str, entry_point: str) -> Check | None:
    """An expression over the entry point as a check; None unless it calls the entry point exactly once.

    >>> check_of("sorted(f(2)) == [4]", "f")
    Check(call='f(2)', predicate='sorted(_) == [4]', count=1)
    """
    tree = parse(expression)
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
        return None
    return _check(tree.body[0].value, entry_point)


def _with_empty_body(problem: PublicProblem) -> str | None:
    """A `function` prompt whose last function has `pass` for a body; None for words."""
    program = stub(problem.prompt) if problem.prompt_kind == "function" else None
    tree = parse(program) if program else None
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)] if tree else []
    if program is None or not functions:
        return None
    return f"{program.rstrip()}\n{' ' * functions[-1].body[0].col_offset}pass\n"


def _checks(text: str, entry_point: str, allowed: set[str]) -> Iterator[Check]:
    for match in _ASSERT.finditer(text):
        statement = _assertion(text[match.start() + len("assert") :].lstrip())
        # A message that is no text is a second value: the model meant to compare, and did not.
        if statement is None or not (statement.msg is None or _is_text(statement.msg)):
            continue
        if not _free_names(statement.test) <= allowed | {entry_point}:
            continue
        if check := _check(statement.test, entry_point):
            yield check


def _assertion(text: str) -> ast.Assert | None:
    """The assertion whose test begins at the start of the text, over as few lines as make it one."""
    end = -1
    for _ in range(_MAX_LINES):
        end = text.find("\n", end + 1)
        line = (text if end < 0 else text[:end]).rstrip().rstrip("`")
        if len(line) > _MAX_CHARS:
            return None
        tree = parse(f"assert {line}")
        if tree and len(tree.body) == 1 and isinstance(tree.body[0], ast.Assert):
            return tree.body[0]
        if end < 0:
            return None
    return None


def _check(test: ast.expr, entry_point: str) -> Check | None:
    calls = [each for each in ast.walk(test) if isinstance(each, ast.Call) and _is_name(each.func, entry_point)]
    mentions = sum(_is_name(each, entry_point) for each in ast.walk(test))
    if len(calls) != 1 or mentions != 1 or _is_bound(test):
        return None
    return Check(ast.unparse(calls[0]), ast.unparse(_replaced(test, calls[0], ast.Name(VALUE))))


def _is_bound(test: ast.expr) -> bool:
    """It runs its call several times, or under names of its own: `all(f(x) == 0 for x in range(3))`."""
    loops = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.Lambda)
    return any(isinstance(each, loops) for each in ast.walk(test))


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _free_names(node: ast.expr) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}


def _normal(expression: str) -> str:
    tree = parse(expression)
    return ast.unparse(tree) if tree else expression


def _replaced(tree: ast.expr, old: ast.expr | str, new: ast.expr) -> ast.expr:
    """The tree, changed in place, with another node for a given one or for every name spelt so."""

    class Replacer(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return new if node is old or (isinstance(old, str) and _is_name(node, old)) else super().visit(node)

    return cast(ast.expr, Replacer().visit(tree))


def used_calls(checks: Sequence[Check]) -> tuple[str, ...]:
    """The distinct calls of some checks, in order: the inputs on which candidates may agree."""
    return tuple(dict.fromkeys(check.call for check in checks))
