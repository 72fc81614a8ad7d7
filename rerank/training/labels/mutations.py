"""Right programs made wrong by one small change: hard negatives, once execution has shown that they fail.

`mutants` is pure and deterministic: the same program, seed and number give the same changes. It picks evenly over the
kinds of change, not over places, so that a program full of numbers does not give off-by-ones alone. A change may turn
out to do nothing that the tests see; only the sandbox can tell, and the caller keeps what fails.

    for mutant in mutants(program, first_line=9, seed=0, max_mutants=6):
        print(mutant.kind, mutant.program)
"""

import ast
import copy
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rerank.store import content_hash

# (kind, what stands there instead): a list for several statements, an empty one when the statement goes. No rule leaves
# what nobody writes, such as `n + 1 - 1` or `if True`: a judge would learn to see that instead of the fault.
Change = tuple[str, ast.AST | list[ast.stmt]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A whole program one change away from a right one."""

    kind: str  # which rule made it, in words
    program: str  # without comments: the changed tree, written out again


def mutants(program: str, *, seed: int, max_mutants: int, first_line: int = 1) -> list[Mutant]:
    """Up to `max_mutants` different programs, each one change away; only code from `first_line` (1-based) changes.

    Returns [] for a program that does not parse.

    >>> [mutant.program for mutant in mutants("def f(a):\\n    return a < 3", seed=1, max_mutants=2)]
    ['def f(a):\\n    return 3 < a', 'def f(a):\\n    return a >= 3']
    """
    try:
        tree = ast.parse(program)
        original = ast.unparse(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    by_kind: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, options in enumerate(_places(tree, first_line)):
        for option, (kind, _) in enumerate(options):
            by_kind[kind].append((place, option))
    generator = random.Random(content_hash(program, seed))
    for sites in by_kind.values():
        generator.shuffle(sites)
    kinds = sorted(by_kind)
    chosen: list[Mutant] = []
    seen = {original}
    # One of each kind in turn, then again, until there are enough or no place is left.
    while kinds and len(chosen) < max_mutants:
        generator.shuffle(kinds)
        for kind in kinds:
            text = _changed(tree, first_line, *by_kind[kind].pop())
            if text is not None and text not in seen and len(chosen) < max_mutants:
                seen.add(text)
                chosen.append(Mutant(kind, text))
        kinds = sorted(kind for kind in kinds if by_kind[kind])
    return chosen


# --------------------------------------------------------------------------------------------------- finding the places


@dataclass(frozen=True, slots=True)
class _Slot:
    """A place in a tree that holds one node: a field of its parent, or one element of a list there."""

    parent: ast.AST
    name: str
    index: int | None
    node: ast.AST

    def put(self, node: ast.AST | list[ast.stmt]) -> None:
        if self.index is None:
            setattr(self.parent, self.name, node)
            return
        siblings = getattr(self.parent, self.name)
        several = node if isinstance(node, list) else [node]
        siblings[self.index : self.index + 1] = several or ([ast.Pass()] if len(siblings) == 1 else [])


def _places(tree: ast.AST, first_line: int) -> Iterator[list[Change]]:
    for slot, function in _slots(tree, None):
        line = getattr(slot.node, "lineno", None)
        # A pattern, a type or a default value before `first_line` is part of the question, not of the answer.
        if line is not None and line >= first_line and function is not None:
            yield _changes(slot, function)


def _slots(node: ast.AST, function: ast.AST | None) -> Iterator[tuple[_Slot, ast.AST | None]]:
    """Every changeable place below a node, with the innermost function around it; annotations are passed over."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "format_spec"):
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.expr_context | ast.operator | ast.cmpop):
                continue
            if isinstance(child, ast.JoinedStr) or _is_text_statement(child):
                continue  # messages and docstrings
            inner = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else function
            yield _Slot(node, name, index, child), function
            if not isinstance(child, ast.Raise):  # the wording of an error is seldom checked
                yield from _slots(child, inner)


def _changed(tree: ast.AST, first_line: int, place: int, option: int) -> str | None:
    """The program with one option of one place taken; None when the result is not a program."""
    changed = copy.deepcopy(tree)
    slots = (
        (slot, function)
        for slot, function in _slots(changed, None)
        if getattr(slot.node, "lineno", 0) >= first_line and function is not None
    )
    slot, function = next(pair for index, pair in enumerate(slots) if index == place)
    assert function is not None
    slot.put(_changes(slot, function)[option][1])
    try:
        text = ast.unparse(ast.fix_missing_locations(changed))
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, AttributeError):
        return None
    return text


# ------------------------------------------------------------------------------------------------------------ the rules


def _changes(slot: _Slot, function: ast.AST) -> list[Change]:
    """What may stand in this place instead, rule by rule, in a fixed order."""
    node = slot.node
    rules: dict[type[ast.AST], Callable[..., Iterator[Change]]] = {
        ast.Compare: _compare,
        ast.BinOp: _binary,
        ast.AugAssign: _augmented,
        ast.BoolOp: _boolean,
        ast.UnaryOp: _unary,
        ast.Constant: _constant,
        ast.Call: _call,
        ast.Subscript: _subscript,
        ast.If: _if,
        ast.IfExp: _choice,
        ast.While: _while,
        ast.For: _for,
        ast.Assign: _assign,
        ast.Return: _return,
        ast.Break: _leave,
        ast.Continue: _leave,
        ast.comprehension: _comprehension,
    }
    changes = list(rules[type(node)](node)) if type(node) in rules else []
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        changes += _name(node, slot, function)
    if isinstance(node, ast.AugAssign | ast.Expr) and slot.index is not None:
        changes.append(("dropped statement", []))
    if isinstance(node, ast.If) and slot.parent is function and _ends(node.body):
        changes = [("missing base case", what) if not what else (kind, what) for kind, what in changes]
    return changes


_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq, ast.GtE),
    ast.NotEq: (ast.Eq, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.GtE,
    ast.LtE: ast.Gt,
    ast.Gt: ast.LtE,
    ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Pow),
    ast.Div: (ast.FloorDiv, ast.Mult),
    ast.FloorDiv: (ast.Div, ast.Mod),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd, ast.BitXor),
    ast.BitXor: (ast.BitOr,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
}
_CALLS = {  # a function or method that is easily taken for another
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "ceil": "floor",
    "floor": "ceil",
    "upper": "lower",
    "lower": "upper",
    "startswith": "endswith",
    "endswith": "startswith",
    "find": "rfind",
    "rfind": "find",
    "isdigit": "isalnum",
    "isalpha": "isalnum",
    "isalnum": "isalpha",
    "popleft": "pop",
    "append": "extend",
    "extend": "append",
    "lstrip": "rstrip",
    "rstrip": "lstrip",
    "union": "intersection",
    "intersection": "union",
    "keys": "values",
    "values": "keys",
    "bisect_left": "bisect_right",
    "bisect_right": "bisect_left",
    "permutations": "combinations",
    "combinations": "permutations",
}
_UNWRAPPED = {"abs", "set", "sorted", "reversed", "list", "round", "int", "str"}  # f(x) becomes x
_UNCALLED = {"strip", "lower", "upper", "copy"}  # x.f() becomes x


def _compare(node: ast.Compare) -> Iterator[Change]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARISONS[type(operator)]:
            yield "comparison operator", ast.Compare(node.left, _with(node.ops, index, other()), node.comparators)
    if len(node.ops) == 1 and isinstance(node.ops[0], ast.Lt | ast.LtE | ast.Gt | ast.GtE):
        yield "swapped operands", ast.Compare(node.comparators[0], node.ops, [node.left])


def _binary(node: ast.BinOp) -> Iterator[Change]:
    if isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
        return  # formatting
    for other in _ARITHMETIC.get(type(node.op), ()):
        yield "arithmetic operator", ast.BinOp(node.left, other(), node.right)
    if isinstance(node.op, ast.Sub | ast.Div | ast.FloorDiv | ast.Mod | ast.Pow):
        yield "swapped operands", ast.BinOp(node.right, node.op, node.left)
    if isinstance(node.op, ast.Add | ast.Sub | ast.Mult):
        yield "dropped operand", node.left
        if not isinstance(node.right, ast.Constant):
            yield "dropped operand", node.right


def _augmented(node: ast.AugAssign) -> Iterator[Change]:
    for other in _ARITHMETIC.get(type(node.op), ()):
        yield "arithmetic operator", ast.AugAssign(node.target, other(), node.value)
    yield "accumulator overwritten", ast.Assign([node.target], node.value)


def _boolean(node: ast.BoolOp) -> Iterator[Change]:
    yield "boolean operator", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    for index in range(len(node.values)):
        rest = node.values[:index] + node.values[index + 1 :]
        yield "dropped condition", ast.BoolOp(node.op, rest) if len(rest) > 1 else rest[0]


def _unary(node: ast.UnaryOp) -> Iterator[Change]:
    if isinstance(node.op, ast.Not):
        yield "negated condition", node.operand
    elif isinstance(node.op, ast.USub):
        yield "arithmetic operator", node.operand


def _constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield "wrong constant", ast.Constant(not value)
    elif isinstance(value, int):
        yield "off by one", ast.Constant(value + 1)
        if value != 1:  # `n + 0`, `x[:0]`: nobody writes it
            yield "off by one", ast.Constant(value - 1)
        if value > 9:
            yield "wrong constant", ast.Constant(value // 10)
    elif isinstance(value, float):
        yield "wrong constant", ast.Constant(value * 2 if value else 1.0)
    elif isinstance(value, str):
        yield "wrong constant", ast.Constant("" if value else " ")
        if value.swapcase() != value and " " not in value:
            yield "wrong constant", ast.Constant(value.swapcase())


def _call(node: ast.Call) -> Iterator[Change]:
    name = _called(node)
    plain = not node.keywords and not any(isinstance(argument, ast.Starred) for argument in node.args)
    if name in _CALLS:
        function = copy.copy(node.func)
        if isinstance(function, ast.Name):
            function.id = _CALLS[name]
        elif isinstance(function, ast.Attribute):
            function.attr = _CALLS[name]
        yield "wrong function", ast.Call(function, node.args, node.keywords)
    if isinstance(node.func, ast.Name) and name in _UNWRAPPED and node.args:
        yield "dropped call", node.args[0]
    if isinstance(node.func, ast.Attribute) and name in _UNCALLED and not node.args:
        yield "dropped call", node.func.value
    if name == "range" and plain:
        start, stop = (ast.Constant(0), node.args[0]) if len(node.args) == 1 else node.args[:2]
        step = node.args[2:]
        for kind, bounds in (
            ("range bound", (start, _plus(stop, 1))),
            ("range bound", (start, _plus(stop, -1))),
            ("range bound", (_plus(start, 1), stop)),
        ):
            yield kind, ast.Call(node.func, [*bounds, *step], [])
    elif len(node.args) > 1 and plain and name not in ("isinstance", "hasattr", "getattr"):
        yield "swapped arguments", ast.Call(node.func, [node.args[1], node.args[0], *node.args[2:]], [])
    for index, keyword in enumerate(node.keywords):
        if keyword.arg in ("reverse", "key", "default"):
            yield "dropped argument", ast.Call(node.func, node.args, node.keywords[:index] + node.keywords[index + 1 :])
    if name == "len":
        yield "off by one", _plus(node, -1)


def _subscript(node: ast.Subscript) -> Iterator[Change]:
    part = node.slice
    if isinstance(part, ast.Slice):
        if part.lower is not None:
            yield (
                "slice bound",
                ast.Subscript(node.value, ast.Slice(_plus(part.lower, 1), part.upper, part.step), node.ctx),
            )
            yield "slice bound", ast.Subscript(node.value, ast.Slice(None, part.upper, part.step), node.ctx)
        if part.upper is not None:
            for step in (1, -1):
                bound = ast.Slice(part.lower, _plus(part.upper, step), part.step)
                yield "slice bound", ast.Subscript(node.value, bound, node.ctx)
        if part.step is not None:
            yield "slice bound", ast.Subscript(node.value, ast.Slice(part.lower, part.upper, None), node.ctx)
    elif isinstance(part, ast.Name | ast.BinOp) and isinstance(node.ctx, ast.Load):
        yield "index", ast.Subscript(node.value, _plus(part, -1), node.ctx)


def _if(node: ast.If) -> Iterator[Change]:
    yield "negated condition", ast.If(_not(node.test), node.body, node.orelse)
    yield "condition taken for true", list(node.body)
    if node.orelse:
        yield "dropped branch", ast.If(node.test, node.body, [])
        yield "dropped branch", list(node.orelse)
    else:
        yield "dropped branch", []


def _choice(node: ast.IfExp) -> Iterator[Change]:
    yield "negated condition", ast.IfExp(node.test, node.orelse, node.body)
    yield "dropped branch", node.body
    yield "dropped branch", node.orelse


def _while(node: ast.While) -> Iterator[Change]:
    yield "loop runs once", ast.If(node.test, [*node.body, *node.orelse], [])


def _for(node: ast.For) -> Iterator[Change]:
    if not any(isinstance(part, ast.Break | ast.Continue) for part in ast.walk(node)):
        yield "early return", ast.For(node.target, node.iter, [*node.body, ast.Break()], node.orelse)
    if isinstance(node.iter, ast.Name):
        tail = ast.Subscript(node.iter, ast.Slice(ast.Constant(1), None, None), ast.Load())
        yield "skipped first", ast.For(node.target, tail, node.body, node.orelse)


def _assign(node: ast.Assign) -> Iterator[Change]:
    value = node.value
    if isinstance(value, ast.Constant) and isinstance(value.value, int) and not isinstance(value.value, bool):
        yield "wrong accumulator start", ast.Assign(node.targets, ast.Constant(1 if value.value != 1 else 0))
    elif isinstance(value, ast.List) and not value.elts:
        yield "wrong accumulator start", ast.Assign(node.targets, ast.List([ast.Constant(0)], ast.Load()))
    elif isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield "wrong accumulator start", ast.Assign(node.targets, ast.Constant(value.value + " "))
    elif isinstance(value, ast.Subscript | ast.UnaryOp) or (isinstance(value, ast.Call) and _called(value) == "float"):
        yield "wrong accumulator start", ast.Assign(node.targets, ast.Constant(0))
    first = node.targets[0]
    if isinstance(first, ast.Tuple) and isinstance(value, ast.Tuple) and len(first.elts) == len(value.elts) == 2:
        # `a, b = b, a + b` one after the other: the second sees the first's new value.
        one_by_one = [ast.Assign([target], each) for target, each in zip(first.elts, value.elts, strict=True)]
        yield "assigned one after the other", list(one_by_one)


def _return(node: ast.Return) -> Iterator[Change]:
    if isinstance(node.value, ast.Tuple) and len(node.value.elts) == 2:
        yield "swapped operands", ast.Return(ast.Tuple(node.value.elts[::-1], ast.Load()))
    elif isinstance(node.value, ast.Compare | ast.BoolOp):
        yield "negated condition", ast.Return(_not(node.value))
    elif isinstance(node.value, ast.List | ast.ListComp):
        yield "wrong type", ast.Return(ast.Call(ast.Name("tuple", ast.Load()), [node.value], []))


def _leave(node: ast.Break | ast.Continue) -> Iterator[Change]:
    yield "early return", ast.Continue() if isinstance(node, ast.Break) else ast.Break()


def _comprehension(node: ast.comprehension) -> Iterator[Change]:
    for index, condition in enumerate(node.ifs):
        rest = node.ifs[:index] + node.ifs[index + 1 :]
        yield "dropped condition", ast.comprehension(node.target, node.iter, rest, node.is_async)
        negated = _with(node.ifs, index, _not(condition))
        yield "negated condition", ast.comprehension(node.target, node.iter, negated, node.is_async)


def _name(node: ast.Name, slot: _Slot, function: ast.AST) -> list[Change]:
    """Another variable of the same function in its place; not where it is called."""
    if isinstance(slot.parent, ast.Call) and slot.name == "func":
        return []
    names = {part.arg for part in ast.walk(function) if isinstance(part, ast.arg)}
    names |= {part.id for part in ast.walk(function) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
    inner = [part.target for part in ast.walk(function) if isinstance(part, ast.comprehension)]
    names -= {part.id for target in inner for part in ast.walk(target) if isinstance(part, ast.Name)}
    if node.id not in names:
        return []
    return [("wrong variable", ast.Name(name, ast.Load())) for name in sorted(names - {node.id, "self"})]


# ------------------------------------------------------------------------------------------------------- small help


def _with(items: list[Any], index: int, item: object) -> list[Any]:
    return [*items[:index], item, *items[index + 1 :]]


def _plus(node: ast.expr, step: int) -> ast.expr:
    """`node + step` as a person would write it: `n + 1` less one is `n`."""
    value = _integer(node)
    if value is not None:
        return ast.Constant(value + step)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _integer(node.operand)
        if value is not None:
            return ast.Constant(step - value)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        value = _integer(node.right)
        if value is not None:
            total = (value if isinstance(node.op, ast.Add) else -value) + step
            return _plus(node.left, total) if total else node.left
    return ast.BinOp(node, ast.Add() if step > 0 else ast.Sub(), ast.Constant(abs(step)))


def _integer(node: ast.AST) -> int | None:
    is_integer = isinstance(node, ast.Constant) and isinstance(node.value, int) and not isinstance(node.value, bool)
    return node.value if is_integer else None  # type: ignore[attr-defined]


def _not(node: ast.expr) -> ast.expr:
    """The opposite as a person would write it: of `a < b`, `a >= b`."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return node.operand
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return ast.Compare(node.left, [_OPPOSITES[type(node.ops[0])]()], node.comparators)
    return ast.UnaryOp(ast.Not(), node)


def _called(node: ast.Call) -> str:
    function = node.func
    return (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )


def _ends(body: list[ast.stmt]) -> bool:
    return isinstance(body[-1], ast.Return | ast.Raise)


def _is_text_statement(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
