"""Wrong on purpose: a similar but different instruction, and an answer to that (Self-Taught Evaluators, 2408.02666).

The answer is good work for another task, which makes it a harder negative than a random change. Where the paper trusts
that it is worse, we run it: only an answer that fails the original's own tests is kept.

    requests = [variation_request(problem) for problem in problems]
    ...                                     # an engine answers them
    changed = read_variation(problem, text) # a problem of its own, to be sampled like any other; None: unusable

A small model that is told to change a docstring repeats it. So a function is shown as its signature and what its
docstring says, below some pairs of that kind, and the model goes on with the text: what it writes takes the docstring's
place (results/recipes has both shares).
"""

import ast
import re

from rerank.backends.interface import GenerationRequest
from rerank.records import PublicProblem

_PAIRS = (
    (
        "longest_run(values)",
        "Length of the longest run of equal neighbours in values.",
        "Number of the runs of equal neighbours in values that hold three items or more.",
    ),
    (
        "initials(name, sep)",
        "Return the first letters of the words of name, in upper case, joined by sep.",
        "Return the last letters of the words of name, the last word first, joined by sep.",
    ),
    (
        "is_leap_year(year)",
        "Check whether a year is a leap year of the Gregorian calendar.",
        "Check whether the digits of a year add up to a leap year's last two digits.",
    ),
    (
        "add_days(date, days)",
        "The date that comes the given number of days after date.",
        "The number of Sundays among the given number of days before date.",
    ),
    (
        "flatten(items, depth=1)",
        "Write a function to flatten a nested list down to the given depth.",
        "Write a function to count the lists that lie deeper than the given depth in a nested list.",
    ),
)
_FUNCTION = (
    "Pairs of different functions with the same name and the same parameters. The second one returns something else.\n"
    "\n"
    + "".join(f"Function: {call}\nFirst: {first}\nSecond: {second}\n\n" for call, first, second in _PAIRS)
    + "Function: {call}\nFirst: {words}\nSecond:"
)
_CHAT = "\n\nWrite what follows in this line, one or two sentences, and nothing else.\n"
_TEXT = (
    "Below is a programming task. Write a task that is closely related to it and of about the same length, asks for "
    "the same names with the same parameters, but has a different right answer on most inputs. Answer with the new "
    "task only.\n\n{prompt}\n"
)
_EXAMPLES = re.compile(r"^\s*(?:>>>|Examples?\b:*\s*$)", re.MULTILINE)
_MIN_NEW_WORDS = 2  # beside the original's: with fewer it says the same


def variation_request(problem: PublicProblem, index: int = 0, *, is_chat: bool = False) -> GenerationRequest:
    """Ask for a similar but different instruction; `index` tells several for one problem apart.

    A task in words is always asked as a user's message, a function only with `is_chat`, where nothing else can be sent.
    """
    function = _function(problem)
    if function is None:
        return GenerationRequest(_id(problem, index), _TEXT.format(prompt=problem.prompt.strip()), is_chat=True)
    call = f"{function.name}({ast.unparse(function.args)})"
    text = _FUNCTION.format(call=call, words=_words_of(function))
    if is_chat:
        return GenerationRequest(_id(problem, index), text + _CHAT, is_chat=True)
    return GenerationRequest(_id(problem, index), text, is_chat=False, stop=("\n",))


def read_variation(problem: PublicProblem, text: str, index: int = 0) -> PublicProblem | None:
    """The changed problem in a model's answer, or None when it holds none or repeats the original.

    A changed function keeps the original's lines but for the docstring, which is what the model wrote.
    """
    if problem.prompt_kind == "text":
        changed = text.strip()
        is_usable = problem.entry_point in changed and _words(changed) != _words(problem.prompt)
        return PublicProblem(_id(problem, index), changed + "\n", problem.entry_point, "text") if is_usable else None
    function = _function(problem)
    line = text.strip().partition("\n")[0].strip()
    if function is None or any(mark in line for mark in ('"""', "```", "\\")):
        return None
    is_copied = any(_words(line) <= _words(second) for _, _, second in _PAIRS)
    if is_copied or len(_words(line) - _words(problem.prompt)) < _MIN_NEW_WORDS:
        return None
    docstring = function.body[0]
    lines = problem.prompt.splitlines()
    head = [*lines[: docstring.lineno - 1], f'{" " * docstring.col_offset}"""{line}"""']
    return PublicProblem(_id(problem, index), "\n".join(head) + "\n", problem.entry_point, "function")


def original_id(changed_id: str) -> str:
    """The task that a changed problem came from.

    >>> original_id("mbpp/7~1")
    'mbpp/7'
    """
    return changed_id.rpartition("~")[0]


def _id(problem: PublicProblem, index: int) -> str:
    return f"{problem.task_id}~{index}"


def _function(problem: PublicProblem) -> ast.FunctionDef | None:
    """The function, or the method, that the prompt begins, when it has a docstring on lines of its own."""
    if problem.prompt_kind == "text":
        return None
    try:
        tree = ast.parse(problem.prompt)
    except SyntaxError:
        return None
    name = problem.entry_point.rpartition(".")[2]
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.name == name
        and ast.get_docstring(node)
        and node.body[0].lineno > node.lineno
    ]
    return found[-1] if found else None


def _words_of(function: ast.FunctionDef) -> str:
    """What the docstring says before its examples, on one line."""
    return " ".join(_EXAMPLES.split(ast.get_docstring(function) or "", maxsplit=1)[0].split())


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
