"""Fields of a problem's row, checked."""

from typing import cast

from rerank.store import Row


def task_name(task_id: object) -> str:
    """The task_id as text: MBPP's own files count with numbers, and EvalPlus calls number 2 "Mbpp/2"."""
    return f"Mbpp/{task_id}" if isinstance(task_id, int) and not isinstance(task_id, bool) else str(task_id)


class _WrongField(Exception):
    """A field is there and cannot be used."""


def _text(row: Row, field: str) -> str:
    if not isinstance(row[field], str):
        raise _WrongField(f"field {field} is {type(row[field]).__name__}, text is wanted")
    return cast(str, row[field])


def _optional_text(row: Row, field: str) -> str | None:
    return None if row.get(field) is None else _text(row, field)
