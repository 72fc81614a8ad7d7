"""Model text to a whole program, and a program to a name that formatting does not change.

    extract(problem, raw).program      what to run, to show and to score; `cuts` says what was removed or added
    normal_form(program)               the program without comments, layout and docstrings
    program_key(program)               a hash of it: candidates with one key share every score

Text is read in several ways, most literal first, and the first reading that parses and defines the entry point with a
real body wins: a continuation of the prompt as it stands; a fenced block; the whole text; the same with the
indentation mended; the same without the prose around it. When none does, the literal reading is kept, for the sandbox
to fail. Nothing is repaired inside a function: a body that breaks off in the middle stays broken.

Not done: renaming a function that the model misnamed, unpacking a LeetCode `class Solution`, unescaping JSON or HTML.
"""

import ast
import builtins
import warnings
from functools import lru_cache

from rerank.store import content_hash

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def normal_form(program: str) -> str | None:
    """The program written in one standard layout, without comments and docstrings; None when it does not parse.

    >>> normal_form("def f( x ):\\n  'Doc.'\\n  return (x)  # same") == normal_form("def f(x):\\n    return x")
    True
    """
    tree = _parse(program)
    if tree is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | _Definition) and _has_docstring(node):
            node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    try:
        return ast.unparse(tree)
    except (RecursionError, ValueError):  # too deep, or an integer too long to print: parses, so its text stands for it
        return program.strip()


@lru_cache(maxsize=4096)  # asked for each candidate
def stub(prompt: str) -> str | None:
    """A `function` prompt as a program that parses, a bare signature at its end given a body; None for words.

    >>> stub("def f(x):")
    'def f(x):\\n    pass\\n'
    """
    return _with_body(prompt)


def _with_body(prompt: str) -> str | None:
    last = next((line for line in reversed(prompt.split("\n")) if line.strip()), "")
    margin = last[: len(last) - len(last.lstrip())]
    whole = prompt if prompt.endswith("\n") else prompt + "\n"
    return next((text for text in (prompt, f"{whole}{margin}    pass\n") if _parse(text) is not None), None)


def program_key(program: str) -> str | None:
    """Content hash of the normal form; None when the program does not parse."""
    form = normal_form(program)
    return None if form is None else content_hash(form)


def open_function(code: str) -> str | None:
    """The name of the function that the code ends in, if that has no body yet; else None.

    >>> open_function("import math\\n\\ndef f(x):\\n    'Twice x.'\\n")
    'f'
    """
    tree = _parse(_with_body(code) or "")
    last = tree.body[-1] if tree and tree.body else None
    return last.name if isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef) and _is_stub(last) else None


# What surrounds the answer


# Fences


# Whole programs


# Continuations of the prompt


# Where code ends


# Trees


def _parse(program: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a candidate's `"\d"` is not for our user to read about
        try:
            return ast.parse(program)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None  # ValueError: null bytes, lone surrogates; the last two: nested too deeply


def _compiles(tree: ast.Module) -> bool:
    """Whether a tree is a program; a body read at the left margin parses too, with `return` outside any function."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compile(tree, "program", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _is_defined(tree: ast.Module, entry_point: str, *, first: bool = False) -> bool:
    """Whether a definition of the entry point, `name` or `Class.method`, has more in it than a docstring.

    `first` asks it of the first definition, which is the prompt's own where the text continues the prompt.
    """
    definitions = _definitions(tree, entry_point)
    return any(not _is_stub(node) for node in (definitions[:1] if first else definitions))


def _definitions(tree: ast.Module, entry_point: str) -> list[ast.stmt]:
    outer, _, inner = entry_point.partition(".")
    nodes: list[ast.stmt] = tree.body
    if inner:
        classes = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == outer]
        nodes = classes[0].body if classes else []
    return [node for node in nodes if (inner or outer) in bound_names(node)]


def _is_stub(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    body = node.body[1:] if _has_docstring(node) else node.body
    return all(
        isinstance(n, ast.Pass)
        or (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant) and n.value.value is ...)
        or (isinstance(n, _Definition) and n.name == node.name)  # the whole answer, read as the prompt's body
        for n in body
    )


def _has_docstring(node: ast.Module | _Definition) -> bool:
    first = node.body[0] if node.body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def _first_line(node: ast.stmt) -> int:
    """The first line of a statement, its decorators included."""
    return min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])


def bound_names(node: ast.AST) -> list[str]:
    """The names that a top-level statement gives a value, those inside its branches included."""
    if isinstance(node, _Definition):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    if isinstance(node, ast.Name):
        return [node.id] if isinstance(node.ctx, ast.Store) else []
    return [name for child in ast.iter_child_nodes(node) for name in bound_names(child)]


def _bound_at_top(tree: ast.Module) -> set[str]:
    return {name for node in tree.body for name in bound_names(node)}


def _free_names(tree: ast.AST) -> set[str]:
    """Names that are read somewhere in the tree and bound nowhere in it, builtins apart."""
    nodes = list(ast.walk(tree))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    bound |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    bound |= {name for node in nodes if isinstance(node, ast.stmt) for name in bound_names(node)}
    return {node.id for node in names} - bound - set(dir(builtins))


def _global_names(definition: ast.AST) -> set[str]:
    """The module's names that a function or class may want."""
    declared = (node.names for node in ast.walk(definition) if isinstance(node, ast.Global))
    return _free_names(definition).union(*declared)
