"""Samples for training, at several temperatures into one file: plain solutions, and answers to changed instructions.

    with Journal("samples.jsonl", key=row_key) as journal:
        for rows in sample(problems, engine, journal, num_samples=10, sampling=Sampling(), generator="..."):
            print(len(rows))

Rows are candidates (see `rerank.candidates`) with their temperature. A problem's rows are written together, and one
whose rows are all in the journal is not asked again.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rerank.backends.interface import SampleSource, Sampling
from rerank.candidates.files import to_row
from rerank.errors import ResumeError
from rerank.generators import generate
from rerank.records import Candidate, PublicProblem
from rerank.store import Journal, Row
from rerank.training.labels.modified import original_id, read_variation, variation_request


def row_key(row: Row) -> tuple[str, int]:
    return row["task_id"], row["index"]


def sample(
    problems: Sequence[PublicProblem],
    source: SampleSource,
    journal: Journal,
    *,
    num_samples: int,
    sampling: Sampling,
    generator: str,
    first_index: int = 0,
) -> Iterator[list[Row]]:
    """Draw solutions and yield each problem's rows as they come, numbered from `first_index`."""
    todo = _unfinished(problems, journal, range(first_index, first_index + num_samples), sampling)
    scratch = Journal(None, key=row_key)  # what is kept is kept in our own numbering
    drawn = generate(todo, source, scratch, num_samples=num_samples, sampling=sampling, generator=generator)
    for candidates in drawn:
        rows = [_row(replace(each, index=first_index + each.index), sampling) for each in candidates]
        journal.append(rows)
        yield rows


def sample_modified(
    problems: Sequence[PublicProblem],
    source: SampleSource,
    journal: Journal,
    *,
    num_samples: int,
    sampling: Sampling,
    generator: str,
    first_index: int = 0,
) -> Iterator[list[Row]]:
    """Have each instruction changed `num_samples` times, answer each change once, and yield each problem's rows.

    A row whose change could not be used has an empty program. Tasks in words, and answers, need a chat model.
    """
    indices = range(first_index, first_index + num_samples)
    todo = {problem.task_id: problem for problem in _unfinished(problems, journal, indices, sampling)}
    changed: dict[str, PublicProblem] = {}
    is_chat = source.settings["engine"] == "openai"  # which goes on with no text
    requests = (variation_request(problem, is_chat=is_chat) for problem in todo.values())
    for request, texts in source.generate(requests, num_samples, sampling):
        problem = todo[original_id(request.id)]
        for index, text in zip(indices, texts, strict=True):
            variation = read_variation(problem, text.text, index)
            if variation is not None:
                changed[variation.task_id] = variation
    rows = {
        (task_id, index): _row(Candidate(task_id, index, "", "", None, generator=generator), sampling)
        for task_id in todo
        for index in indices
    }
    waiting = Counter(original_id(changed_id) for changed_id in changed)
    for task_id in (task_id for task_id in todo if task_id not in waiting):
        yield _finish(task_id, rows, indices, journal)
    scratch = Journal(None, key=row_key)
    drawn = generate(list(changed.values()), source, scratch, num_samples=1, sampling=sampling, generator=generator)
    for [candidate] in drawn:
        task_id, _, number = candidate.task_id.rpartition("~")
        answer = replace(candidate, task_id=task_id, index=int(number))
        rows[task_id, answer.index] = _row(answer, sampling) | {"instruction": changed[candidate.task_id].prompt}
        waiting[task_id] -= 1
        if not waiting[task_id]:
            yield _finish(task_id, rows, indices, journal)


def _finish(task_id: str, rows: dict[tuple[str, int], Row], indices: range, journal: Journal) -> list[Row]:
    finished = [rows[task_id, index] for index in indices]
    journal.append(finished)
    return finished


def _row(candidate: Candidate, sampling: Sampling) -> Row:
    return to_row(candidate) | {"temperature": sampling.temperature}


def _unfinished(
    problems: Sequence[PublicProblem], journal: Journal, indices: range, sampling: Sampling
) -> list[PublicProblem]:
    todo = []
    for problem in problems:
        keys = [(problem.task_id, index) for index in indices]
        temperatures = {journal[key]["temperature"] for key in keys if key in journal}
        if temperatures - {sampling.temperature}:
            raise ResumeError(
                f"--out holds samples at temperature {temperatures.pop()}, not {sampling.temperature}: "
                "give the same --n and --temperature in the same order, or another --out"
            )
        if any(key not in journal for key in keys):
            todo.append(problem)
    return todo
