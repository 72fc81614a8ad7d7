"""Who writes the tests: a model asked now, or a file of what one answered before.

    answers = read_answers("tests.jsonl", problems)      ->  {task_id: Answers(("assert f(2) == 4\\n...", ...), ...)}
    for answer in write_answers(problems, engine, journal, ...): ...

One answer a line, in either of two shapes:

    task_id, form, texts       this project's: `form` is one of written_tests.STYLES, `texts` what the model wrote;
                               `without_examples` true where the problem was shown without them
    prompt, samples            CodeT's: the prompt ends in `assert `, and is matched to its problem as candidates are

A problem may have several lines; one without any has no tests.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rerank.backends.interface import SampleSource, Sampling
from rerank.candidates.files import match_prompt
from rerank.errors import InputError
from rerank.evidence import without_examples as bare
from rerank.evidence.examples import extract
from rerank.evidence.written_tests import STYLES, answer_texts
from rerank.problems.fields import task_name
from rerank.records import Problem, PublicProblem
from rerank.store import Journal, Row, read_rows


@dataclass(frozen=True, slots=True)
class Answers:
    """What was written for one problem."""

    texts: tuple[str, ...]  # with assertions in them
    shown: tuple[str, ...]  # the docstring's examples that the writer had before it

    def __add__(self, other: "Answers") -> "Answers":
        return Answers(self.texts + other.texts, tuple(dict.fromkeys(self.shown + other.shown)))


def read_answers(path: str | Path, problems: Sequence[Problem]) -> dict[str, Answers]:
    """The answers of each problem; lines about other problems are left out. `problems` is to be the whole benchmark.

    Raises InputError, with the line, for a row of neither shape, and for a file without a line about any problem.
    """
    by_id = {problem.task_id: problem for problem in problems}
    found: dict[str, Answers] = {}
    for line, row in read_rows(path):
        texts = row.get("texts", row.get("samples"))
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise InputError("texts (with task_id and form) or samples (with prompt) is to be a list of texts",
                             path=path, line=line)  # fmt: skip
        if "samples" in row and isinstance(row.get("prompt"), str):
            task_id = match_prompt(row["prompt"], problems)
            answers = tuple(f"assert {text}" for text in texts)
            seen = row["prompt"]
        elif row.get("form") in STYLES and "task_id" in row:
            task_id = task_name(row["task_id"])
            answers = answer_texts(by_id[task_id].public, row["form"], texts) if task_id in by_id else ()
            seen = "" if row.get("without_examples") or task_id not in by_id else by_id[task_id].prompt
        else:
            raise InputError(f"form is to be one of {', '.join(STYLES)}, beside task_id", path=path, line=line)
        if task_id in by_id and answers:
            shown = extract(replace(by_id[task_id].public, prompt=seen))
            found[task_id] = found.get(task_id, Answers((), ())) + Answers(answers, shown)
    if not found:
        raise InputError("has no line about any of the problems", path=path)
    return found


def write_answers(
    problems: Sequence[PublicProblem],
    source: SampleSource,
    journal: Journal,
    *,
    form: str,
    num_samples: int,
    sampling: Sampling,
    without_examples: bool = False,
) -> Iterator[Row]:
    """Have a model write tests to the problems that the journal lacks; yield each problem's row as it is written.

    `without_examples`: show it the problems without their examples, as CodeT did (see `bare`).
    """
    shown = [bare.without_examples(problem) for problem in problems] if without_examples else problems
    requests = [
        request
        for problem in shown
        if (problem.task_id, form) not in journal and (request := STYLES[form](problem)) is not None
    ]
    for request, samples in source.generate(requests, num_samples, sampling):
        row: Row = {"task_id": request.id, "form": form, "texts": [sample.text for sample in samples]}
        row |= {"without_examples": True} if without_examples else {}
        journal.append([row])
        yield row
