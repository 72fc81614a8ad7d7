"""The prompt's own examples as evidence: which of them does a program reproduce?

    extract(problem.public)                  ->  ("add(2, 3) == 5", "add(5, 7) == 12")
    judge([problem.public], candidates, pool=pool, journal=journal)
                                             ->  {task_id: [Score(task_id, key, share of the examples passed), ...]}

Examples are read as text and as syntax trees; nothing of a prompt is evaluated in this process, and programs run in the
sandbox only, once for each example. Understood:

- doctests: `>>> f(2)` with its result on the lines below, `>>> f(2) == 4` alone, any expression around the call;
- prose: `f(2) == 4` (or `=`, `=>`, `->`, `➞`, `:`, `#`), `f(2) returns 4`, `f(2) should be 4`, and the like;
- asserts, as in MBPP's prompts: `assert f(2) == 4`;
- named values: `Input: a = 2, b = 3` with `Output: 5` below it, `For a = 2, b = 3 the output should be 5`.

The arguments must be closed (no names but builtins and what the prompt defines) and the result a literal, over several
lines if need be. What is not plainly an example is left out: a wrong one misleads more than a missing one. A docstring
can be wrong all the same (HumanEval's references fail seven of the 446 examples found in their prompts), so the
evidence is the share of examples passed and not a yes or no.
"""

import ast
import builtins
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from rerank.evidence.prompt_trees import defined, parameters, parse, parse_expression, parse_prompt
from rerank.records import Candidate, PublicProblem, Score
from rerank.store import Journal, Row, content_hash
from sandbox import Job, Limits, Outcome, Pool

_MAX_SPAN = 4000  # characters that one example may take; bounds the search for its end
_MODULES = ("math",)  # may be used in an example without being imported, as MBPP+'s prompts do

# What may stand between a call and its result. Longer forms first: the first alternative that fits is taken.
_SIGN = r"(?:#\s*)?(?:=+>|-+>|={1,3}|➞|➔|➜|→|⇒|⟶|⟹|:)"
_WORD = (
    r"(?:#\s*)?(?:(?:should|must|will|would)\s+)?"
    r"(?:returns?|be|equals?|gives?|yields?|outputs?|produces?|is|evaluates?\s+to)(?:\s+equal\s+to)?\b:?"
)
_LINK = re.compile(rf"`?\s*(?:{_SIGN}(?:\s*returns?\b)?|{_WORD}|\#)\s*`?")
# What may follow a result: the line's end, a comment or bracketed remark, punctuation, or a new clause.
_END = re.compile(
    r"(?:`|\"{3}|'{3})?\s*?(?:$|\n|\#|//|--|[ \t]\(|[;)]|\.(?!\d)|,(?!\s*[\d\[({'\"+-])"
    r"|,?\s+(?:and|as|because|but|since|while|where)\b)"
)
_ATOM = re.compile(
    r"[+-]?(?:\d[\d_]*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?|\b(?:[Tt]rue|[Ff]alse|None|none|null)\b|set\(\)"
)
_CONSTANTS = {"true": "True", "false": "False", "none": "None", "null": "None"}
_SUM = re.compile(r"[\d\s.+\-*/()]*[\d)][ \t]*=[ \t]*")  # the working in `f(2) == 1 + 3 = 4`
_PAIRS = {"[": "]", "(": ")", "{": "}", "'": "'", '"': '"'}

_INPUT_OUTPUT = re.compile(r"\binputs?\s*:[ \t]*(?P<values>[^\n]{1,1000})\n\s*outputs?\s*:\s*", re.IGNORECASE)
_FOR_OUTPUT = re.compile(
    r"\b(?:for|given|if|when|with)\s+(?P<values>\w+\s*=[^\n]{1,1000}?)\s*(?:the\s+)?(?:output|result|answer)\s+"
    r"(?:should\s+be|must\s+be|will\s+be|would\s+be|is)\s*:?\s*",
    re.IGNORECASE,
)


def extract(problem: PublicProblem) -> tuple[str, ...]:
    """The prompt's examples, each an expression over the entry point that is true of a right program.

    >>> extract(PublicProblem("t", 'def f(x):\\n    \"\"\"Double x: f(2) == 4, and f(3) returns 6.\"\"\"\\n', "f"))
    ('f(2) == 4', 'f(3) == 6')
    """
    found: dict[str, str] = {}  # by the call alone: of two results for one call the first is taken
    for text in _texts(problem):
        reader = _Reader(text, problem)
        for example in reader.examples():
            found.setdefault(ast.unparse(example.left), example.expression)
    return tuple(found.values())


def check_test(expression: str) -> str:
    """The test text of one example: one assert.

    >>> check_test("f(2) == 4")
    'assert f(2) == 4\\n'
    """
    return "".join(f"import {name}\n" for name in _MODULES if name in expression) + f"assert {expression}\n"


def judge(
    problems: Iterable[PublicProblem],
    candidates: Iterable[Candidate],
    *,
    pool: Pool,
    journal: Journal,
    limits: Limits = Limits(),  # noqa: B008 - frozen
) -> dict[str, list[Score]]:
    """Run each distinct program against each example; a score is the share of a problem's examples that it passed.

    Problems without an example have no entry. Each verdict is journaled as it comes, under the content hash of all that
    decides it, and what the journal holds is not run again. A failure of the sandbox's own is the pool's SandboxError:
    a program is never blamed for it.
    """
    programs: dict[str, dict[str, str]] = {}  # by task and key; of equal programs the one drawn first
    for candidate in sorted(candidates, key=lambda each: each.index):
        if candidate.key is not None:
            programs.setdefault(candidate.task_id, {}).setdefault(candidate.key, candidate.program)
    runs = [
        _Run(problem, key, program, expression, limits)
        for problem in problems
        for expression in extract(problem)
        for key, program in programs.get(problem.task_id, {}).items()
    ]
    todo = {run.name: run for run in runs if run.name not in journal}
    for run, outcome in zip(todo.values(), pool.map(run.job for run in todo.values()), strict=True):
        journal.append([run.row(outcome)])
    passed: dict[tuple[str, str], list[bool]] = {}
    for run in runs:
        passed.setdefault((run.problem.task_id, run.key), []).append(journal[run.name]["passed"])
    scores: dict[str, list[Score]] = {}
    for (task_id, key), verdicts in passed.items():
        scores.setdefault(task_id, []).append(Score(task_id, key, sum(verdicts) / len(verdicts)))
    return scores


@dataclass(frozen=True)
class _Run:
    """One program against one example."""

    problem: PublicProblem
    key: str
    program: str
    expression: str
    limits: Limits

    @cached_property
    def name(self) -> str:
        return content_hash(
            self.program, self.job.test, self.problem.entry_point, self.job.helpers, self.limits.to_dict()
        )

    @cached_property
    def job(self) -> Job:
        # The prompt's own functions and imports, which an example may use, must be the prompt's and not the program's.
        helpers = self.problem.prompt if self.problem.prompt_kind == "function" else ""
        test = check_test(self.expression)
        return Job(self.program, test, self.problem.entry_point, self.limits, helpers=helpers)

    def row(self, outcome: Outcome) -> Row:
        return {
            "key": self.name,
            "task_id": self.problem.task_id,
            "program": self.key,
            "example": self.expression,
            "passed": outcome.passed,
            "status": outcome.status,
            "reason": outcome.reason,
        }


@dataclass(frozen=True, slots=True)
class _Example:
    left: ast.expr  # what is computed
    right: ast.expr | None  # literal that it should equal; None where `left` should just be true

    @property
    def expression(self) -> str:
        return ast.unparse(self.left if self.right is None else ast.Compare(self.left, [ast.Eq()], [self.right]))


def _texts(problem: PublicProblem) -> Iterator[str]:
    """The docstring as Python reads it, then the prompt as it is written.

    They differ where a docstring that is not raw has backslashes: doctests want the first, yet many a prompt was
    written as if for the second (`"a\\nb"` inside a docstring is a broken literal in the first).
    """
    tree = parse_prompt(problem.prompt)
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.FunctionDef) and node.name == problem.entry_point:
            yield ast.get_docstring(node) or ""
    yield problem.prompt


class _Reader:
    """Reads one text from the plainest form to the loosest; each form blanks out what it has understood."""

    def __init__(self, text: str, problem: PublicProblem):
        self.text = text
        self.name = problem.entry_point
        tree = parse_prompt(problem.prompt)
        self.parameters = parameters(tree, self.name)
        self.known = {self.name, *dir(builtins), *_MODULES, *defined(tree)}

    def examples(self) -> Iterator[_Example]:
        yield from self._doctests()
        yield from self._asserts()
        yield from self._prose()
        yield from self._named_values()

    def _doctests(self) -> Iterator[_Example]:
        lines = self.text.split("\n")
        starts = [number for number, line in enumerate(lines) if line.lstrip().startswith(">>>")]
        for start in starts:
            source, end = lines[start].lstrip()[3:], start + 1
            while end < len(lines) and lines[end].lstrip().startswith("..."):
                source += "\n" + lines[end].lstrip()[3:]
                end += 1
            wanted_end = end
            while wanted_end < len(lines) and lines[wanted_end].strip() and wanted_end not in starts:
                wanted_end += 1
            left = self._expression(source)
            if left is None:
                continue
            right = _whole_literal(lines[end:wanted_end])
            if right is None and not isinstance(left, ast.Compare):
                continue
            yield _Example(left, right)
            lines[start:end] = [""] * (end - start)
        self.text = "\n".join(lines)

    def _asserts(self) -> Iterator[_Example]:
        for match in list(re.finditer(r"^[ \t]*assert\b", self.text, re.MULTILINE)):
            for end in _ends(self.text, match.end(), "\n"):
                tree = parse(textwrap.dedent(self.text[match.start() : end]))
                if tree is None or not tree.body:
                    continue
                statement = tree.body[0]
                if isinstance(statement, ast.Assert) and self._is_closed(statement.test):
                    yield _Example(statement.test, None)
                    self._blank(match.start(), end)
                break

    def _prose(self) -> Iterator[_Example]:
        for match in re.finditer(rf"(?<![\w.])(?<!def )(?<!class ){re.escape(self.name)}\s*\(", self.text):
            for end in _ends(self.text, match.end(), ")"):
                call = self._expression(self.text[match.start() : end])
                if call is None:
                    continue
                link = _LINK.match(self.text, end)
                right = link and _literal(self.text, link.end())
                if right and not _bare_names(call):
                    yield _Example(call, right)
                break

    def _named_values(self) -> Iterator[_Example]:
        for pattern in (_INPUT_OUTPUT, _FOR_OUTPUT):
            for match in pattern.finditer(self.text):
                left = self._call_with(match["values"])
                right = _literal(self.text, match.end())
                if left and right:
                    yield _Example(left, right)

    def _call_with(self, values: str) -> ast.expr | None:
        """`a = 2, b = 3` or `2, 3`, words after it allowed, to a call by position; None if it does not fit."""
        ends = [match.start() for match in re.finditer(r"(?=[\s,.;])|$", values)]
        for end in reversed(ends):
            call = self._expression(f"{self.name}({values[:end]})")
            if isinstance(call, ast.Call):
                given = {keyword.arg: keyword.value for keyword in call.keywords}
                arguments = call.args + [given[name] for name in self.parameters if name in given]
                if len(arguments) == len(self.parameters) == len(call.args) + len(given):
                    return ast.Call(call.func, arguments, [])
                return None
        return None

    def _expression(self, source: str) -> ast.expr | None:
        expression = parse_expression(source)
        return expression if expression and self._is_closed(expression) else None

    def _is_closed(self, node: ast.expr) -> bool:
        """It calls the entry point, and no name in it is unknown."""
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        calls = (each.func for each in ast.walk(node) if isinstance(each, ast.Call))
        return names <= self.known and any(isinstance(func, ast.Name) and func.id == self.name for func in calls)

    def _blank(self, start: int, end: int) -> None:
        self.text = self.text[:start] + " " * (end - start) + self.text[end:]


def _bare_names(node: ast.expr) -> set[int]:
    """Names that are used and not called: in prose, `f(str) returns 0` speaks of any text and not of the class."""
    called = {id(each.func) for each in ast.walk(node) if isinstance(each, ast.Call)}
    called |= {id(each.value) for each in ast.walk(node) if isinstance(each, ast.Attribute)}  # math.inf
    return {id(each) for each in ast.walk(node) if isinstance(each, ast.Name)} - called


def _literal(text: str, start: int) -> ast.expr | None:
    """The literal that begins at `start`, where it plainly ends: see _END."""
    for begin in (start, *(match.end() for match in [_SUM.match(text, start)] if match)):
        opening = text[begin : begin + 1]
        if opening in _PAIRS:
            ends: Iterator[int] = _ends(text, begin + 1, _PAIRS[opening])
        else:
            ends = iter([match.end()] if (match := _ATOM.match(text, begin)) else [])
        for end in ends:
            value = _as_literal(text[begin:end])
            if value is not None and _END.match(text, end):
                return value
            if value is not None:
                break
    return None


def _whole_literal(lines: list[str]) -> ast.expr | None:
    """The literal that the first lines make up together, as many of them as possible."""
    for count in range(len(lines), 0, -1):
        value = _as_literal("\n".join(line.strip() for line in lines[:count]))
        if value is not None:
            return value
    return None


def _as_literal(source: str) -> ast.expr | None:
    expression = parse_expression(_CONSTANTS.get(source, source))
    if expression is None:
        return None
    try:
        ast.literal_eval(expression)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return None
    return expression


def _ends(text: str, start: int, closer: str) -> Iterator[int]:
    """Positions after each `closer` from `start` on, and at the text's end; within _MAX_SPAN."""
    limit = min(len(text), start + _MAX_SPAN)
    while (position := text.find(closer, start, limit)) >= 0:
        yield position + len(closer)
        start = position + len(closer)
    yield limit
