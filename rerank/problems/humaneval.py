"""HumanEval's rows, and those of any file with its fields."""

from typing import cast

from rerank.problems.fields import _optional_text, _text, _WrongField, task_name
from rerank.records import Problem, PromptKind
from rerank.store import Row


def _from_humaneval(row: Row) -> Problem:
    kind = row.get("prompt_kind", "function")
    if kind not in ("function", "text"):
        raise _WrongField(f'prompt_kind is {kind!r}, "function" or "text" is wanted')
    return Problem(
        task_id=task_name(row["task_id"]),
        prompt=_text(row, "prompt"),
        entry_point=_text(row, "entry_point"),
        test=_text(row, "test"),
        extra_test=_optional_text(row, "extra_test"),
        canonical_solution=_optional_text(row, "canonical_solution"),
        prompt_kind=cast(PromptKind, kind),
    )
