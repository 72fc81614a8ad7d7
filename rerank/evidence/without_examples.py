"""A problem without the examples in its docstring, for a writer of tests that is not to copy them.

    without_examples(problem.public).prompt

CodeT's authors asked for tests in this way (arXiv 2207.10397, section 4.1). Taken out are doctests, lines that call the
entry point with values, pairs such as `Input: [1, 2]` and `Output: 3`, what stands under a heading such as `Examples:`,
and the rest of a paragraph from `For example` on. A line is taken out whole, so now and then some words of the
description go with it. What `examples.extract` finds in a prompt is never left in it.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from rerank.evidence.examples import extract
from rerank.evidence.prompt_trees import parse_prompt
from rerank.records import PublicProblem

_VALUE = r"[\[({'\"\d+.-]|(?:True|False|None|set|float|math)\b"
_HEADING = re.compile(
    r"[\W_]*(?:(?:here|these|see|are|is|some|a|few|more|for|the|following|sample|usage|and)\s+)*"
    r"(?:examples?|instances?|samples?|doctests?|tests?|test\s+cases?|usage|e\.?g)\b\s*(?:usages?|calls?|inputs?)?\W*\d*\W*",
    re.IGNORECASE,
)
_IN_A_SENTENCE = re.compile(
    r"(?:^|(?<=[.;:,)]\s))[ \t*#-]*(?:(?:for|as an)\s+(?:example|instance)|examples?\s*\d*\s*:|e\.g\.?)", re.IGNORECASE
)
_PAIR = re.compile(
    rf"[\s*#-]*(?:sample\s+|expected\s+)?(?:inputs?|outputs?|results?)\s*\d*\s*[:=]+>?\s*`*(?:\w+\s*=\s*)?(?:{_VALUE})",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"[\s*#-]*(?:for|given|if|when|with)\s+\w+\s*=\s*.*\b(?:output|result|answer|returns?)\b", re.IGNORECASE
)
_REMARK = re.compile(r"[\s*#-]*(?:explanation|because|since)\b", re.IGNORECASE)
_Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
_UNDERLINE = re.compile(r"\s*([=~^-])\1{2,}\s*")
# A line that begins anew, though no blank line stands before it.
_ANEW = re.compile(
    r"\s*(?:notes?|hints?|constraints?|assum\w+|arg\w*|param\w*|returns?|raises?)\b\s*[:,]|\s*[:@]\w", re.IGNORECASE
)


def without_examples(problem: PublicProblem) -> PublicProblem:
    """The same problem; the prompt loses its examples and nothing else of what it defines.

    >>> without_examples(PublicProblem("t", "def f(x):\\n    '''Double x: f(2) == 4.'''\\n", "f")).prompt
    "def f(x):\\n    ''''''\\n"
    """
    prompt = problem.prompt
    for start, end in _texts(problem):
        prompt = prompt[:start] + _cleared(prompt[start:end], problem.entry_point) + prompt[end:]
    bare = replace(problem, prompt=prompt)
    if not extract(bare):
        return bare
    for start, end in _texts(bare):  # a form that only `extract` knows: no line of it may stay
        prompt = prompt[:start] + _cleared(prompt[start:end], problem.entry_point, strictly=True) + prompt[end:]
    return replace(problem, prompt=prompt)


def _texts(problem: PublicProblem) -> list[tuple[int, int]]:
    """Where the words are, the last first: between the quotes of each docstring; all of it where there is no code."""
    tree = parse_prompt(problem.prompt)
    if tree is None or problem.prompt_kind == "text":
        return [(0, len(problem.prompt))]
    starts = [0]
    for line in problem.prompt.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    found = []
    for node in ast.walk(tree):
        first = node.body[0] if isinstance(node, _Documented) and node.body else None
        if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
            continue
        segment = ast.get_source_segment(problem.prompt, first)
        opening = re.match(r"[A-Za-z]*(\"{3}|'{3}|\"|')", segment or "")
        if segment and opening:
            # Columns count bytes; nothing but white space stands before a docstring.
            start = problem.prompt.index(segment, starts[first.lineno - 1])
            found.append((start + opening.end(), start + len(segment) - len(opening[1])))
    return sorted(found, reverse=True)


def _cleared(text: str, name: str, *, strictly: bool = False) -> str:
    lines = text.split("\n")
    call = re.compile(rf"(?<![\w.])(?<!def ){re.escape(name)}\s*\(" + ("" if strictly else rf"\s*(?:\)|{_VALUE})"))
    gone = set(_example_lines(lines, call))
    if strictly:
        gone |= {number for number, line in enumerate(lines) if _NAMED.match(line) or re.search(r"puts?\s*:", line)}
    gone |= (headed := set(_headed(lines, gone)))
    cut = {}
    for number, line in enumerate(lines):
        match = None if number in headed or line.lstrip().startswith(">>>") else _IN_A_SENTENCE.search(line)
        if match:
            rest = list(_rest(lines, number + 1))
            if re.search(_VALUE, "\n".join((line[match.start() :], *(lines[each] for each in rest)))):
                gone |= {number, *rest}
                if line[: match.start()].strip():
                    cut[number] = line[: match.start()].rstrip()
    if not gone:
        return text
    kept = [cut.get(number, line) for number, line in enumerate(lines) if number in cut or number not in gone]
    return _tidy(kept, text)


def _example_lines(lines: list[str], call: re.Pattern[str]) -> Iterator[int]:
    """Doctests with their results; lines that call the entry point, and what goes on from them; pairs and asserts."""
    after = ""  # what kind of line came before: "doctest", "example" or none
    depth = 0
    for number, line in enumerate(lines):
        is_blank = not line.strip()
        if depth > 0 and not is_blank:  # brackets that an example left open
            depth += _depth(line)
        elif line.lstrip().startswith(">>>") or (after == "doctest" and not is_blank):
            after = "doctest"
        elif (
            call.search(line)
            or _PAIR.match(line)
            or _NAMED.match(line)
            or re.match(r"[\s`]*assert\b", line)
            or (after == "example" and (_REMARK.match(line) or re.match(r"\s*(?:[-=]+>|==|➞|→|returns?\b)", line)))
        ):
            after, depth = "example", max(0, _depth(line))
        else:
            after, depth = "", 0
            continue
        yield number


def _depth(line: str) -> int:
    return sum(line.count(each) for each in "([{") - sum(line.count(each) for each in ")]}")


def _headed(lines: list[str], gone: set[int]) -> Iterator[int]:
    """Headings of examples, and all that stands under them."""
    number = 0
    while number < len(lines):
        if not _HEADING.fullmatch(lines[number]) or not lines[number].strip():
            number += 1
            continue
        body = number + 1
        while body < len(lines) and (not lines[body].strip() or _UNDERLINE.fullmatch(lines[body])):
            body += 1
        end = body
        while end < len(lines) and lines[end].strip() and (end in gone or not _ANEW.match(lines[end])):
            end += 1
        yield from range(number, end)
        number = max(end, number + 1)


def _rest(lines: list[str], start: int) -> Iterator[int]:
    """The lines of a paragraph from one on."""
    for number in range(start, len(lines)):
        if not lines[number].strip() or _ANEW.match(lines[number]):
            return
        yield number


def _tidy(kept: list[str], text: str) -> str:
    """No two blank lines in a row but at the beginning, none at the end; closing quotes stay where they were."""
    lines = kept[:1]
    for line in kept[1:]:
        if line.strip() or len(lines) == 1 or lines[-1].strip():
            lines.append(line)
    while lines and not lines[-1].strip():
        lines.pop()
    last = text.rpartition("\n")[2]
    ending = f"\n{last}" if "\n" in text and not last.strip() else ""
    return "\n".join(lines) + ending
