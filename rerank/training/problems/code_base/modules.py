"""A parsed source file: what its top level binds, and which of that a piece of it needs."""

import ast
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Module:
    """A parsed file and what its top level binds."""

    lines: list[str]
    tree: ast.Module
    definitions: dict[str, ast.stmt] = field(default_factory=dict)  # name -> the statement that binds it
    imports: dict[str, str] = field(default_factory=dict)  # name -> one import statement for it alone
    foreign: set[str] = field(default_factory=set)  # names imported from outside the standard library
    has_future_annotations: bool = False

    def text(self, node: ast.stmt) -> str:
        start = min([node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", []))])
        return "\n".join(self.lines[start - 1 : node.end_lineno])


def parse_module(path: Path) -> Module | None:
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # ValueError: bytes that are not UTF-8, null characters
        return None
    # Only line breaks that Python knows: str.splitlines would also cut at form feeds inside strings.
    module = Module(lines=text.replace("\r\n", "\n").split("\n"), tree=tree)
    future = False
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                _note_import(module, alias, f"import {_spelt(alias)}", alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module == "__future__":
            future = any(alias.name == "annotations" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                wanted = "." * node.level + (node.module or "")
                _note_import(module, alias, f"from {wanted} import {_spelt(alias)}", wanted)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            module.definitions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for name in ast.walk(node):
                if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                    module.definitions[name.id] = node
    return Module(module.lines, tree, module.definitions, module.imports, module.foreign, future)


def _spelt(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def _note_import(module: Module, alias: ast.alias, statement: str, wanted: str) -> None:
    name = alias.asname or alias.name.split(".")[0]
    module.imports[name] = statement
    if wanted.split(".")[0] not in sys.stdlib_module_names or alias.name == "*":
        module.foreign.add(name)


def signature(node: ast.FunctionDef) -> list[ast.AST]:
    """The parts of a definition that are evaluated when it is reached, or shown in its annotations."""
    return [*node.decorator_list, node.args, *([node.returns] if node.returns else [])]


def closure(module: Module, roots: Sequence[ast.AST], *, without: str | None = None) -> set[str]:
    """Names of the module's top level that the roots need, however indirectly; `without` is not followed first."""
    reached: set[str] = set()
    waiting = [name for root in roots for name in loaded(root) if name != without]
    while waiting:
        name = waiting.pop()
        if name in reached or (name not in module.definitions and name not in module.imports):
            continue
        reached.add(name)
        if name in module.definitions:
            waiting += loaded(module.definitions[name])
    return reached


def loaded(node: ast.AST) -> list[str]:
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]


def in_order(module: Module, names: set[str]) -> list[str]:
    """The text of the definitions of these names, each statement once, in the module's own order."""
    nodes = {id(node): node for name in names if (node := module.definitions.get(name)) is not None}
    return [module.text(node) for node in sorted(nodes.values(), key=lambda node: node.lineno)]


def preamble(module: Module, needed: set[str], told: set[str]) -> str:
    """What stands above the function in the prompt: imports, and definitions that its signature or examples name."""
    imports = sorted(
        {module.imports[name] for name in needed if name in module.imports and name not in module.definitions}
    )
    if module.has_future_annotations:
        imports.insert(0, "from __future__ import annotations")
    parts = ["\n".join(imports)] if imports else []
    parts += in_order(module, {name for name in told if name in module.definitions})
    return "".join(part + "\n\n\n" for part in parts)


def quoted(docstring: str, indent: str) -> str:
    text = docstring.strip().replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    lines = ['"""', *text.splitlines(), '"""']
    return "\n".join(indent + line if line.strip() else "" for line in lines)


def indent_of(text: str) -> str:
    line = next(line for line in text.splitlines() if line.strip())
    return line[: len(line) - len(line.lstrip())]


def callee(call: ast.Call) -> str:
    """The plain name that is called, or nothing."""
    return call.func.id if isinstance(call.func, ast.Name) else ""
