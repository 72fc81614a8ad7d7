"""Prompts and expressions as syntax trees, for the kinds of evidence that read them. Nothing is evaluated here."""

import ast
import warnings
from collections.abc import Iterator


def parse(source: str) -> ast.Module | None:
    """The tree of a module; None for what is no Python, or nests too deeply to be written again."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a prompt's odd escapes are not our caller's business
            tree = ast.parse(source)
            ast.unparse(tree)  # or RecursionError: what nests deeper than this is no example
            return tree
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # ValueError: null bytes
        return None


def parse_expression(source: str) -> ast.expr | None:
    tree = parse(f"({source}\n)")  # in brackets: it may run over several lines, and end in a comment
    if tree and len(tree.body) == 1 and isinstance(tree.body[0], ast.Expr):
        return tree.body[0].value
    return None


def parse_prompt(prompt: str) -> ast.Module | None:
    """A prompt as a module; it may stop right after a signature or in the middle of a body."""
    return parse(prompt) or parse(f"{prompt}\n    pass\n") or parse(f"{prompt}\n        pass\n")


def parameters(tree: ast.Module | None, name: str) -> list[str]:
    """The names of a function's positional parameters; none where the prompt does not show the function."""
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return [each.arg for each in node.args.args]
    return []


def defined(tree: ast.Module | None) -> Iterator[str]:
    """Names that the prompt itself binds at its top level."""
    for node in tree.body if tree else ():
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
