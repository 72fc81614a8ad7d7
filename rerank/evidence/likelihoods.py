"""What a model's own likelihoods say of a program: Coder-Reviewer and self-certainty.

    request = coder_request(problem, program, is_chat=True)       # what to ask; `rerank.reviewing` asks it
    VALUES["coder-reviewer"](read)                                # higher is better, None: no value

coder-reviewer             log p(y|x) + log p(x|y), problem x and program y (Zhang et al., arXiv 2211.16490, section 3);
                           the sums are the paper's main form, and what its released code puts beside the means
coder-reviewer-normalised  the same of means a token, the paper's N.CoderReviewer
self-certainty             mean over y's tokens of KL(uniform || p) (Kang et al., arXiv 2502.18581, section 3). For
                           answers that can be told to be equal the paper adds up Borda votes; programs cannot without
                           running them, and as for its open-ended tasks the value itself ranks

The model is meant to be the generator. It reads **programs**, without comments and docstrings, in place of the raw text
that the generator wrote: recorded candidates may have lost that, and programs with one key are read once. The problem
is asked as a generator asks it (see `rerank.generators`). The reviewer's x is the docstring, or the words of a prompt
without one, with the examples taken out (see `bare`), as in the authors' prompts. As in their code, programs that do
nothing or repeat themselves have no value for coder-reviewer.
"""

import ast
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rerank import generators
from rerank.backends.interface import LikelihoodRequest
from rerank.evidence.prompt_trees import parse, parse_prompt
from rerank.evidence.without_examples import without_examples
from rerank.records import PublicProblem
from rerank.store import Row

_MIN_COMPRESSED = 0.25  # of a program's bytes: one that shrinks below this repeats itself


@dataclass(frozen=True, slots=True)
class Read:
    """What a model made of one program. None: it could not be read, or does nothing."""

    coder: float | None  # log p(program | problem), nats
    num_coder_tokens: int
    reviewer: float | None  # log p(problem | program), nats
    num_reviewer_tokens: int
    self_certainty: float | None  # of the program given the problem, nats
    is_degenerate: bool = False


def coder_reviewer(read: Read) -> float | None:
    if read.is_degenerate or read.coder is None or read.reviewer is None:
        return None
    return read.coder + read.reviewer


def coder_reviewer_normalised(read: Read) -> float | None:
    if read.is_degenerate or read.coder is None or read.reviewer is None:
        return None
    return read.coder / max(1, read.num_coder_tokens) + read.reviewer / max(1, read.num_reviewer_tokens)


VALUES: dict[str, Callable[[Read], float | None]] = {
    "coder-reviewer": coder_reviewer,
    "coder-reviewer-normalised": coder_reviewer_normalised,
    "self-certainty": lambda read: read.self_certainty,
}


def coder_request(problem: PublicProblem, program: str, *, is_chat: bool) -> LikelihoodRequest:
    """The program as an answer to the problem: log p(y|x)."""
    if is_chat:
        return LikelihoodRequest(generators.chat_request(problem).text, f"```python\n{program}\n```", is_chat=True)
    return LikelihoodRequest(f"{_commented(problem.prompt)}\n\n", f"{program}\n", is_chat=False)


def reviewer_request(problem: PublicProblem, program: str, *, is_chat: bool) -> LikelihoodRequest:
    """The problem as a description of the program: log p(x|y)."""
    words = words_of(problem)
    if is_chat:
        asked = (
            "Here is a Python program. Answer with the description from which it was written, in its exact words.\n\n"
            f"```python\n{program}\n```\n"
        )
        return LikelihoodRequest(asked, words, is_chat=True)
    return LikelihoodRequest(f"{program}\n\n# What `{problem.entry_point}` is to do:\n# ", words, is_chat=False)


def words_of(problem: PublicProblem) -> str:
    """The entry point's docstring, or the whole prompt where it has none; without examples if anything else is there.

    >>> words_of(PublicProblem("t", "def f(x):\\n    '''Twice x.\\n    >>> f(2)\\n    4\\n    '''\\n", "f"))
    'Twice x.'
    """
    name = problem.entry_point.rpartition(".")[2]
    for shown in (without_examples(problem), problem):
        tree = parse_prompt(shown.prompt) if shown.prompt_kind == "function" else None
        documented = [
            words
            for node in (ast.walk(tree) if tree else ())
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
            and (words := ast.get_docstring(node)) is not None
        ]  # fmt: skip
        if words := (documented[0] if documented else shown.prompt).strip():
            return words
    return problem.prompt.strip()


def is_degenerate(program: str, entry_point: str) -> bool:
    """Whether the function only passes or returns nothing, or the program repeats itself."""
    text = program.encode()
    if len(text) > 0 and len(zlib.compress(text)) / len(text) <= _MIN_COMPRESSED:
        return True
    tree = parse(program)
    bodies = [
        node.body
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == entry_point.rpartition(".")[2]
    ]
    return any(all(_does_nothing(each) for each in body) for body in bodies)


def _does_nothing(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Pass)
        or (isinstance(statement, ast.Return) and statement.value is None)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
    )


def from_rows(rows: Iterable[Row]) -> dict[str, dict[str, Read]]:
    """What a journal holds, by task_id and key."""
    found: dict[str, dict[str, Read]] = {}
    for row in rows:
        found.setdefault(row["task_id"], {})[row["key"]] = Read(
            row["coder"], row["num_coder_tokens"], row["reviewer"], row["num_reviewer_tokens"], row["self_certainty"],
            row["is_degenerate"],
        )  # fmt: skip
    return found


def values_of(name: str, read: Mapping[str, Read]) -> dict[str, float | None]:
    """The selector's value by key."""
    return {key: VALUES[name](each) for key, each in read.items()}


def _commented(text: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in text.strip().split("\n"))
