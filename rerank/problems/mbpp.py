"""MBPP's own rows."""

import ast
import re
from collections.abc import Sequence

from rerank.problems.fields import _optional_text, _text, _WrongField, task_name
from rerank.records import Problem
from rerank.store import Row


def _from_mbpp(row: Row) -> Problem:
    """The three asserts are the test; the prompt shows the first of them, since the text does not name the function."""
    asserts = row["test_list"]
    if not isinstance(asserts, list) or not asserts or not all(isinstance(line, str) for line in asserts):
        raise _WrongField("test_list is not a list of assertions")
    code = _text(row, "code").replace("\r\n", "\n")
    imports = row.get("test_imports") or [row.get("test_setup_code") or ""]
    setup = "".join(f"{line}\n" for line in imports if line.strip())
    entry_point = str(row.get("entry_point") or _tested_name(code, asserts))
    words = _text(row, "text" if "text" in row else "prompt").strip()
    return Problem(
        task_id=task_name(row["task_id"]),
        prompt=f"{words}\n\nThe function's name is `{entry_point}`. It passes this test:\n\n{asserts[0].strip()}\n",
        entry_point=entry_point,
        test=setup + "\n".join(asserts) + "\n",
        extra_test=_optional_text(row, "test"),  # EvalPlus' release in MBPP's form: all inputs, base and plus
        canonical_solution=code,
        prompt_kind="text",
    )


def _tested_name(code: str, asserts: Sequence[str]) -> str:
    """The function that the code defines and the assertions call."""
    try:
        defined = [n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    except (SyntaxError, ValueError) as error:
        raise _WrongField(f"code does not parse ({error})") from error
    for name in defined:
        if any(re.search(rf"\b{re.escape(name)}\s*\(", line) for line in asserts):
            return name
    raise _WrongField("test_list calls no function that code defines; add the field entry_point")
