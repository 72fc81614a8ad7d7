"""Which mode a test needs, read from the test alone: what a program does must never choose the weaker mode."""

from __future__ import annotations

import ast
import collections
import datetime
import decimal
import fractions
import functools

_PLAIN = (
    int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, range, slice, type(None), Exception,
    OSError, UnicodeDecodeError, StopIteration, SystemExit, collections.deque, collections.Counter,
    collections.OrderedDict, collections.defaultdict, decimal.Decimal, fractions.Fraction, datetime.datetime,
    datetime.timedelta, datetime.timezone,
)  # fmt: skip
# numpy's are those that tests use; to list them all would need numpy
_KNOWN_ATTRIBUTES = frozenset(name for kind in _PLAIN for name in dir(kind)) | {
    "__name__", "all", "any", "astype", "dtype", "item", "ndim", "shape", "size", "sum", "tolist",
}  # fmt: skip


@functools.lru_cache(maxsize=256)
def needs_one_process(test: str, entry_point: str) -> str:
    """Why this test cannot run apart from the program; "" where it can.

    >>> needs_one_process("assert Stack().push(1).size == 1", "Stack")
    'it looks at .push, which no plain value has'
    >>> needs_one_process("assert Split([1]).index(1) == 0", "Split")
    ''
    """
    if "." in entry_point:
        return f"{entry_point} is a method"
    try:
        tree = ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""  # the judge says so
    own = {"self", "cls", "super"}  # names whose values the test itself brings: modules, its classes, their instances
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            own |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ClassDef):
            own.add(node.name)
            if any(isinstance(base, ast.Name) and base.id == entry_point for base in node.bases):
                return f"it derives a class from {entry_point}"
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and isinstance(node.value, (ast.Call, ast.Attribute))
            and _root(node.value) in own
        ):
            own |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr not in _KNOWN_ATTRIBUTES and _root(node) not in own:
            return f"it looks at .{node.attr}, which no plain value has"
    return ""


def _root(node: ast.AST) -> str:
    """The name that a chain of attributes and calls begins with; "" where it begins with something else."""
    while isinstance(node, (ast.Attribute, ast.Call)):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else ""
