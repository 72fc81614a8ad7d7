"""Other harnesses' output files, turned into rows that `candidates` reads.

    bigcode-evaluation-harness  generations_TASK.json: a list of lists of whole programs, one list a problem, in the
                                order of the benchmark from its first problem on
    lm-evaluation-harness       samples_TASK_*.jsonl of --log_samples: each line has `doc`, the problem with its
                                task_id, and `resps`, what the model answered

EvalPlus' samples and CodeT's need nothing of this: see `candidates`.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from rerank import store
from rerank.errors import InputError
from rerank.records import Problem
from rerank.store import Row


def read_sample_rows(
    path: str | Path, problems: Sequence[Problem], *, stream: IO[bytes] | None = None
) -> Iterator[tuple[int, Row]]:
    """Yield (line, row) of a file of samples, other harnesses' shapes as one row a sample.

    A list of generations has one line only: its rows are numbered by problem, from 1. Raises InputError for a file or
    a row that cannot be read, or that belongs to other problems.
    """
    if stream is None and Path(path).suffix == ".json" and _is_list(path):
        yield from _generations(path, problems)
        return
    for line, row in store.read_rows(path, stream=stream):
        if "resps" in row and isinstance(row.get("doc"), dict):
            yield from ((line, sample) for sample in _responses(row, path, line))
        else:
            yield line, row


def _is_list(path: str | Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(256).lstrip()[:1] == b"["
    except OSError:
        return False  # who reads it next says why


def _generations(path: str | Path, problems: Sequence[Problem]) -> Iterator[tuple[int, Row]]:
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise InputError(f"not JSON ({error})", path=path) from error
    if len(found) > len(problems):
        raise InputError(
            f"generations for {len(found)} problems, and the benchmark has {len(problems)}: give its --problems",
            path=path,
        )
    for number, (texts, problem) in enumerate(zip(found, problems, strict=False), 1):
        if not isinstance(texts, list) or not all(isinstance(text, str | None) for text in texts):
            raise InputError("a list of texts is wanted for each problem", path=path, line=number)
        given = [text for text in texts if text is not None]
        # Nothing in the file says which problem is meant but the prompt that each generation begins with.
        if not any(problem.entry_point.rpartition(".")[2] in text for text in given) and given:
            raise InputError(
                f"generations {number} do not mention {problem.entry_point} of {problem.task_id}: give the --problems "
                "that they belong to, from the first one on (no --limit_start)",
                path=path,
            )
        yield from ((number, {"task_id": problem.task_id, "solution": text}) for text in given)


def _responses(row: Row, path: str | Path, line: int) -> Iterator[Row]:
    if "task_id" not in row["doc"]:
        raise InputError(
            "its doc has no task_id: samples of a task with code problems are wanted", path=path, line=line
        )
    for text in _flat(row["resps"]):
        if not isinstance(text, str):
            raise InputError(
                "resps holds more than texts: samples of a generating task are wanted", path=path, line=line
            )
        yield {"task_id": row["doc"]["task_id"], "completion": text}


def _flat(value: object) -> Iterable[object]:
    """What nested lists hold: one list a request, and one in it for repeated samples."""
    if isinstance(value, list):
        for each in value:
            yield from _flat(each)
    else:
        yield value
