"""Wrong on purpose: a similar but different instruction, and an answer to that (Self-Taught Evaluators, 2408.02666).

The answer is good work for another task, which makes it a harder negative than a random change. Where the paper trusts
that it is worse, we run it: only an answer that fails the original's own tests is kept.

    requests = [variation_request(problem) for problem in problems]
    ...                                     # an engine answers them
    changed = read_variation(problem, text) # a problem of its own, to be sampled like any other; None: unusable
"""

import ast
import re
import textwrap

from rerank.backends import GenerationRequest
from rerank.records import PublicProblem

_FUNCTION = (
    "Below is the start of a Python function. Think of a function that has the same name and the same parameters and "
    "is closely related to it, but must return something different on most inputs. Write down only its start: the same "
    "signature line, with a new docstring that says what the new function does, and no body. Answer with one Python "
    "code block.\n\n```python\n{prompt}\n```\n"
)
_TEXT = (
    "Below is a programming task. Write a task that is closely related to it and of about the same length, asks for "
    "the same names with the same parameters, but has a different right answer on most inputs. Answer with the new "
    "task only.\n\n{prompt}\n"
)


def variation_request(problem: PublicProblem, index: int = 0) -> GenerationRequest:
    """Ask a chat model for a similar but different instruction; `index` tells several for one problem apart."""
    template = _FUNCTION if problem.prompt_kind == "function" else _TEXT
    return GenerationRequest(_id(problem, index), template.format(prompt=problem.prompt.strip()), is_chat=True)


def read_variation(problem: PublicProblem, text: str, index: int = 0) -> PublicProblem | None:
    """The changed problem in a model's answer, or None when it holds none or repeats the original."""
    if problem.prompt_kind == "text":
        changed = text.strip()
        is_usable = problem.entry_point in changed and _words(changed) != _words(problem.prompt)
        return PublicProblem(_id(problem, index), changed + "\n", problem.entry_point, "text") if is_usable else None
    block = re.search(r"```(?:python)?\n(.*?)(?:```|\Z)", text, re.DOTALL)
    code = textwrap.dedent(block[1] if block else text).strip("\n")
    try:
        tree = ast.parse(code if _parses(code) else f"{code}\n    pass")
    except SyntaxError:
        return None
    found = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == problem.entry_point and ast.get_docstring(node)
    ]
    if not found or _words(ast.get_docstring(found[0]) or "") <= _words(problem.prompt):
        return None
    # Up to the docstring's end: a body that the model wrote all the same is not part of the question.
    head = "\n".join(code.splitlines()[: found[0].body[0].end_lineno])
    return PublicProblem(_id(problem, index), head + "\n", problem.entry_point, "function")


def original_id(changed_id: str) -> str:
    """The task that a changed problem came from.

    >>> original_id("mbpp/7~1")
    'mbpp/7'
    """
    return changed_id.rpartition("~")[0]


def _id(problem: PublicProblem, index: int) -> str:
    return f"{problem.task_id}~{index}"


def _parses(code: str) -> bool:
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
