"""What a model wrote, to a whole program: the text that is code, with what was cut and why.

    extract(problem, completion).program

Never runs anything, and raises for no text: what holds no program gives one that fails.
"""

import ast
import itertools
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from rerank.candidates.programs import (
    _bound_at_top,
    _compiles,
    _Definition,
    _definitions,
    _first_line,
    _free_names,
    _global_names,
    _is_defined,
    _parse,
    bound_names,
)
from rerank.records import PublicProblem

# What a base model writes after its function, as CodeT cuts it (arXiv 2207.10397, its released code).
STOP_WORDS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")

# Cuts that change nothing that runs, or that say the text could not be read any better.
COMMENTS, STOP_WORD = "comments at the end", "from a stop word on"
AROUND = "text around the code"
_END_MARK = re.compile(r"<[|\uff5c][\w\u2581-]+[|\uff5c]>|</s>\s*\Z")
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^`\n]*\Z")
_PYTHON_FENCES = frozenset({"", "python", "py", "python3", "python2", "py3", "ipython", "pycon", "code"})
_CODE_START = re.compile(r"(import|from|def|class|async\s+def)\s+\w|@\w|[A-Za-z_]\w*\s*(:[^=]+)?=[^=]")
_ODD_SPACES = {0xA0: " ", 0x202F: " ", 0x200B: None, 0xFEFF: None}
_MAX_STARTS = 40  # lines tried as the first line of code among prose
_MAX_TRIMS = 60  # parse errors walked back through to find where code ends
_MAX_BLOCKS = 20  # fenced blocks looked at: a model that repeats itself writes hundreds


@dataclass(frozen=True, slots=True)
class Extraction:
    """A whole program, empty when the text holds none, and what was removed or added to get it, in words."""

    program: str
    cuts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way to read the text."""

    program: str  # with the prompt's part in it
    continues: bool  # the answer goes on where the prompt stops
    cuts: tuple[str, ...]


def extract(problem: PublicProblem, raw: str) -> Extraction:
    """Take the whole program out of what a model wrote.

    >>> problem = PublicProblem("t/0", "import math\\n\\ndef area(r):\\n    '''Circle.'''\\n", "area")
    >>> extract(problem, "Sure!\\n```python\\ndef area(r):\\n    return math.pi * r * r\\n```").program
    'import math\\n\\ndef area(r):\\n    return math.pi * r * r\\n'
    >>> extract(problem, "    return math.pi * r * r\\n").cuts
    ()
    """
    text, cuts = _tidy(raw)
    if not text.strip():
        return Extraction("", (*cuts, "nothing left"))
    own_size = _body_size(_parse(problem.prompt), problem.entry_point)
    for reading in _readings(problem, text):
        tree = _parse(reading.program)
        if tree is None or not _is_defined(tree, problem.entry_point, first=reading.continues) or not _compiles(tree):
            continue
        if not reading.continues or _body_size(tree, problem.entry_point) > own_size:
            program, dropped = _drop_demo(reading.program, tree, problem, keep_asserts=reading.continues)
            return Extraction(program, (*cuts, *reading.cuts, *dropped))
    if problem.prompt_kind == "text":
        return Extraction(text, tuple(cuts))
    kept = _before_stop_word(text)
    return Extraction(problem.prompt + kept, (*cuts, STOP_WORD) if kept != text else tuple(cuts))


def fenced_python(text: str) -> list[str]:
    """The fenced blocks of a text that are Python or name no language.

    >>> fenced_python("Complete:\\n```python\\ndef f():\\n```\\n```json\\n{}\\n```")
    ['def f():\\n']
    """
    return [block.code for block in _split_fences(text)[1] if block.language in _PYTHON_FENCES]


def _tidy(raw: str) -> tuple[str, list[str]]:
    """Undo what transport and chat templates add: byte-order mark, CRLF, reasoning, end-of-turn marks."""
    cuts = []
    text = raw.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "</think>" in text:
        text = text.rpartition("</think>")[2]
        cuts.append("reasoning")
    elif text.lstrip().startswith("<think>"):
        return "", ["reasoning that never ends"]
    if end := _END_MARK.search(text):
        text = text[: end.start()]
        cuts.append("end mark")
    return text, cuts


def _readings(problem: PublicProblem, text: str) -> Iterator[_Reading]:
    """Yield the ways to read the text, most literal first."""
    tree = _parse(text)
    if tree and _is_defined(tree, problem.entry_point):
        yield from _whole(problem, text, ())
    elif problem.prompt_kind == "function":
        yield _Reading(problem.prompt + text, True, ())
    yield from _fenced(problem, text)
    yield from _unfenced(problem, text, ())
    plain = text.translate(_ODD_SPACES)
    if plain != text:
        yield from (_Reading(r.program, r.continues, ("odd spaces", *r.cuts)) for r in _readings(problem, plain))


def _unfenced(problem: PublicProblem, text: str, cuts: tuple[str, ...]) -> Iterator[_Reading]:
    yield from _whole(problem, text, cuts)
    for answer in (_dedent(text), _dedent_code(text)):
        yield from _whole(problem, answer, (*cuts, "indentation"))
    if problem.prompt_kind == "function":
        yield from _continuations(problem, text, cuts)
    for answer in _without_prose(text):
        yield from _whole(problem, answer, (*cuts, AROUND))


def _fenced(problem: PublicProblem, text: str) -> Iterator[_Reading]:
    before, blocks = _split_fences(text)
    if not blocks:
        return
    chosen = ([b for b in blocks if b.language in _PYTHON_FENCES] or blocks)[:_MAX_BLOCKS]
    for block in chosen:
        for reading in _whole(problem, _dedent(block.code), ()):
            helpers = _helpers(reading.program, [_dedent(b.code) for b in chosen if b is not block])
            joined = ("other blocks joined",) if helpers else ()
            yield _Reading(_prepend(helpers, reading.program), False, ("fence", *reading.cuts, *joined))
    if before.strip():  # the fence was opened in the prompt: what comes first is code, and the first fence closes it
        yield from _unfenced(problem, before, ("text after the fence",))
    for block in chosen:
        yield from _unfenced(problem, block.code, ("fence",))
    # Fences inside a docstring cut a block short: from the first fence to the last.
    lines = text.split("\n")
    marks = [number for number, line in enumerate(lines) if _FENCE.match(line)]
    yield from _unfenced(problem, "\n".join(lines[marks[0] + 1 : marks[-1]]), ("fence",))


@dataclass(frozen=True, slots=True)
class _Block:
    language: str
    code: str


def _split_fences(text: str) -> tuple[str, list[_Block]]:
    """Return the text before the first fence and the fenced blocks; a block that is never closed runs to the end."""
    before: list[str] = []
    blocks: list[_Block] = []
    code: list[str] | None = None
    language = mark = ""
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if code is None:
            if fence:
                code, language, mark = [], fence[2].lower(), fence[1]
            elif not blocks:
                before.append(line)
        elif fence and fence[1].startswith(mark):
            blocks.append(_Block(language, "\n".join(code) + "\n"))
            # A language on what should close the block: the last one was never closed.
            code, language = ([], fence[2].lower()) if fence[2] else (None, "")
        elif line.rstrip().endswith(mark) and line.strip() != mark:
            blocks.append(_Block(language, "\n".join([*code, line.rstrip()[: -len(mark)]]) + "\n"))
            code = None
        else:
            code.append(line)
    if code:
        blocks.append(_Block(language, "\n".join(code) + "\n"))
    return "\n".join(before), blocks


def _helpers(program: str, others: list[str]) -> str:
    """Return the other blocks that define names which the program uses and does not define, in their order."""
    taken: set[int] = set()
    tree = _parse(program)
    missing = _free_names(tree) if tree else set()
    while True:
        found = None
        for number, code in enumerate(others):
            if number in taken or (helper := _parse(code)) is None:
                continue
            if missing & _bound_at_top(helper):
                found = number
                missing = (missing | _free_names(helper)) - _bound_at_top(helper)
                break
        if found is None:
            return "\n\n".join(others[number].strip("\n") for number in sorted(taken))
        taken.add(found)


def _whole(problem: PublicProblem, answer: str, cuts: tuple[str, ...]) -> Iterator[_Reading]:
    """Read the answer as code of its own, and put before it what the prompt holds and the answer lacks."""
    for code, cut in _cut_tails(answer, "text after the code"):
        tree = _parse(code)
        if tree is None:
            continue
        if problem.prompt_kind == "text":
            yield _Reading(code, False, (*cuts, *cut))
        elif _is_defined(tree, problem.entry_point):
            missing = _missing_preamble(problem, tree)
            added = ("what stands before the function in the prompt added",) if missing else ()
            yield _Reading(_prepend(missing, code), False, (*cuts, *cut, *added))
        elif "." in problem.entry_point and _is_defined(tree, problem.entry_point.rpartition(".")[2]):
            head, indent = _before_entry(problem)
            if head is not None:
                yield _Reading(head + textwrap.indent(code, indent), False, (*cuts, *cut, "put into its class"))


def _missing_preamble(problem: PublicProblem, answer: ast.Module) -> str:
    """Return the prompt's statements before the entry point that the answer does not repeat, as text."""
    head, _ = _before_entry(problem, top=True)
    tree = _parse(head or "")
    if not head or tree is None:
        return ""
    repeated = {ast.dump(node) for node in answer.body}
    bound = _bound_at_top(answer)
    lines = head.split("\n")
    kept = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            lacking = ast.dump(node) not in repeated and not set(bound_names(node)) <= bound
        else:
            lacking = not (names := set(bound_names(node))) or not names <= bound
        if lacking:
            kept.append("\n".join(lines[_first_line(node) - 1 : node.end_lineno]))
    return "\n".join(kept)


def _prepend(code: str, program: str) -> str:
    return code.strip("\n") + "\n\n" + program.lstrip("\n") if code.strip() else program


def _before_entry(problem: PublicProblem, *, top: bool = False) -> tuple[str | None, str]:
    """Return the prompt up to the entry point's own definition and that definition's indent.

    With `top` the definition is the outermost one: the class, where the entry point is one of its methods.
    """
    outer, _, inner = problem.entry_point.partition(".")
    name = outer if top or not inner else inner
    found = list(re.finditer(rf"^([ \t]*)(?:async\s+def|def|class)\s+{re.escape(name)}\b", problem.prompt, re.M))
    if not found:
        return None, ""
    lines = problem.prompt[: found[-1].start()].split("\n")[:-1]
    while lines and lines[-1].lstrip().startswith("@"):
        lines.pop()
    return "".join(line + "\n" for line in lines), found[-1][1]


def _continuations(problem: PublicProblem, text: str, cuts: tuple[str, ...]) -> Iterator[_Reading]:
    """Read the text as the function's body: as it is, then with its indentation mended, each also without its tail."""
    prompt = problem.prompt if problem.prompt.endswith("\n") else problem.prompt + "\n"
    indent = _body_indent(problem)
    for body, mended in _indentations(text, indent):
        # Only as it is may it begin in the middle of a line of the prompt.
        for program, cut in _cut_tails((prompt if mended else problem.prompt) + body, "text after the function"):
            yield _Reading(program, True, (*cuts, *mended, *cut))


def _indentations(text: str, indent: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield text, ()
    spaced = re.sub(r"^[ \t]+", lambda found: found[0].expandtabs(4), text, flags=re.M) if "\t" in text else text
    first, _, rest = spaced.lstrip("\n").partition("\n")
    mended = (
        _dedent(spaced),  # one level too many or too few, or none at all
        first.lstrip() + "\n" + _dedent(rest),  # a stripped answer: only the first line lost its indent
        first.lstrip() + "\n" + _dedent_code(rest),
        _dedent_code(spaced),
    )
    for body in dict.fromkeys(mended):
        yield textwrap.indent(body, indent), ("indentation",)


def _dedent(text: str) -> str:
    """Take off the common margin. Text without one keeps its every space: some may stand in its strings."""
    return text if re.search(r"^[^\s]", text, re.M) else textwrap.dedent(text)


def _dedent_code(text: str) -> str:
    """Dedent the leading indented lines by their own margin and leave what follows at the left, such as prose."""
    lines = text.split("\n")
    end = next((n for n, line in enumerate(lines) if line.strip() and not line[0].isspace()), len(lines))
    return _dedent("\n".join(lines[:end])) if 0 < end < len(lines) else text


def _body_indent(problem: PublicProblem) -> str:
    """The indent of the entry point's body: the docstring's where the prompt has one, else one level more."""
    _, outer = _before_entry(problem)
    for line in reversed(problem.prompt.split("\n")):
        if line.strip() and line.startswith((outer + " ", outer + "\t")):
            last = line[: len(line) - len(line.lstrip())]
            # The last line of a docstring may be prose at any depth, but its closing quotes stand at the body's.
            return last if line.strip() in ('"""', "'''") else outer + ("\t" if last.startswith("\t") else "    ")
    return outer + "    "


def _cut_tails(text: str, what: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the text, then the text without a tail that keeps it from parsing.

    Cuts fall before a line that starts at the left margin, so the middle of a function is never taken for its end.
    """
    yield text, ()
    lines = text.split("\n")
    for _ in range(_MAX_TRIMS):
        error = _error_line("\n".join(lines))
        if error is None:
            break
        # The first line at fault, or the start of the top-level statement that it is in.
        end = min(error, len(lines)) - 1
        while end > 0 and (not lines[end].strip() or lines[end][0].isspace()):
            end -= 1
        lines = lines[:end]
        if not any(line.strip() for line in lines):
            return
    else:
        return
    if len(lines) < len(text.split("\n")):
        yield "\n".join(lines).rstrip() + "\n", (what,)


def _without_prose(text: str) -> Iterator[str]:
    """Yield the text from each line on that looks like the start of code, where the first line does not."""
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if number and _CODE_START.match(line.lstrip())]
    for start in starts[:_MAX_STARTS]:
        yield _dedent("\n".join(lines[start:]))


def _before_stop_word(text: str) -> str:
    return text[: min((at for word in STOP_WORDS if (at := text.find(word)) >= 0), default=len(text))]


def _drop_demo(program: str, tree: ast.Module, problem: PublicProblem, *, keep_asserts: bool) -> tuple[str, list[str]]:
    """Drop what only shows the function at work: calls, prints and checks after it, `if __name__`, comments at the end.

    `keep_asserts` leaves top-level asserts after a continuation of the prompt, since CodeT's stop words do: published
    figures for base models count a right function with a wrong assert below it as failed.
    """
    top = problem.entry_point.partition(".")[0]
    places = [number for number, node in enumerate(tree.body) if top in bound_names(node)]
    entry = places[0] if keep_asserts else places[-1]  # a second version after the prompt's own function is babble
    used = {top}.union(*(_global_names(node) for node in tree.body if isinstance(node, _Definition)))
    kept, cuts = [], dict[str, None]()
    for number, node in enumerate(tree.body):
        reason = "" if number == entry else _demo_reason(node, number > entry, used, keep_asserts=keep_asserts)
        if number > entry and number in places and isinstance(node, _Definition):
            reason = "a second version of the function"
        if reason:
            cuts[reason] = None
        else:
            kept.append(node)
    if _share_lines(tree.body):
        return program, []
    lines = program.split("\n")
    dropped = {
        n for node in tree.body if node not in kept for n in range(_first_line(node), (node.end_lineno or 0) + 1)
    }
    end = kept[-1].end_lineno or 0
    if any(line.strip() for n, line in enumerate(lines[end:], end + 1) if n not in dropped):
        cuts[COMMENTS] = None
    if not cuts:
        return program, []
    return "\n".join(line for n, line in enumerate(lines[:end], 1) if n not in dropped) + "\n", list(cuts)


def _demo_reason(node: ast.stmt, after: bool, used: set[str], *, keep_asserts: bool) -> str:
    if isinstance(node, ast.If) and "__name__" in {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}:
        return "if __name__"
    if not after:
        # A word or a mark above the code, such as [BEGIN], may happen to be Python.
        is_value = isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant | ast.Call | ast.Await)
        return AROUND if is_value else ""
    if isinstance(node, ast.Assert):
        return "" if keep_asserts else "checks after the function"
    if isinstance(node, ast.Expr | ast.For | ast.While | ast.With):
        return "calls after the function"
    if isinstance(node, ast.Assign | ast.AnnAssign) and not used & set(bound_names(node)):
        return "calls after the function"
    return ""


def _error_line(program: str) -> int | None:
    """The 1-based line at which the program stops parsing; None when it parses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(program)
        except SyntaxError as error:
            return error.lineno or 1
        except (ValueError, RecursionError, MemoryError):
            return 1
    return None


def _body_size(tree: ast.Module | None, entry_point: str) -> int:
    """How many statements the entry point's first definition has; 0 where there is none, as in most prompts."""
    definitions = _definitions(tree, entry_point) if tree else []
    return len(getattr(definitions[0], "body", ())) if definitions else 0


def _share_lines(body: list[ast.stmt]) -> bool:
    return any((a.end_lineno or 0) >= _first_line(b) for a, b in itertools.pairwise(body))
