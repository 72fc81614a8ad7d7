"""Files of samples to candidates, and back.

    candidates = read_candidates("samples.jsonl", problems)
    for warning in summarize(candidates, problems).warnings(): print(warning, file=sys.stderr)

One sample a line, in any of these shapes; a row of several is read by the first of them that fits:

    program     this project's own rows, as `to_row` writes them: taken as they are
    solution    EvalPlus: a whole program
    completion  HumanEval: what continues the prompt
    raw         what a model wrote, in chat or not
    samples     CodeT: {"prompt": ..., "samples": [...]}, one line a problem; the prompt is matched by the name of its
                last function and, where problems share that name, by its words
    doc, resps  lm-evaluation-harness; and bigcode-evaluation-harness' list of lists: see `foreign`

All but the first pass through `programs.extract`: what is called a completion is chat text often enough. A row may
also carry index, generator, mean_log_probability and num_tokens. Samples of a problem are numbered in the order of
the file where `index` is not given. `problems` is to be the whole benchmark, also for a run over a part of it.
"""

import difflib
import re
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Literal

from tqdm import tqdm

from rerank import store
from rerank.candidates import extraction, programs
from rerank.candidates.harnesses import read_sample_rows
from rerank.errors import InputError
from rerank.problems.fields import task_name
from rerank.records import Candidate, Problem, PublicProblem
from rerank.store import Row

Shape = Literal["program", "solution", "completion", "raw"]
SHAPES: tuple[Shape, ...] = ("program", "solution", "completion", "raw")
_MIN_SPREAD_SAMPLES = 4000  # below it the processes take longer to start than they save
_SAMPLES_PER_MESSAGE = 100
LARGE_SHARE = 0.1  # of the candidates, above which a summary warns


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample as it stands in a file."""

    line: int  # 1-based
    task_id: str
    index: int
    shape: Shape
    text: str
    row: Row  # the line's own fields; for CodeT's shape, made up as a HumanEval row


@dataclass(frozen=True, slots=True)
class Summary:
    """What reading did to the candidates of a file. Counts are of candidates unless they say otherwise."""

    num_candidates: int
    num_changed: int  # by extraction, in something that runs; adding the prompt to what continues it is no change
    num_unparsed: int  # not Python, the empty ones not counted
    num_empty: int  # nothing was found in the text
    cuts: dict[str, int]  # what extraction did to how many, most frequent first
    missing: tuple[str, ...]  # task_ids of problems without a candidate

    def warnings(self) -> list[str]:
        """One line for each thing that would move a pass rate by more than the model did."""
        lines = []
        for count, what in (
            (self.num_changed, "were changed by extraction"),
            (self.num_unparsed, "do not parse as Python"),
            (self.num_empty, "hold no program"),
        ):
            if count > LARGE_SHARE * self.num_candidates:
                share = count / self.num_candidates
                lines.append(f"{count} of {self.num_candidates} candidates ({share:.0%}) {what}")
        if lines and self.cuts:
            lines.append(
                "extraction took away or put in: " + ", ".join(f"{what} ({count})" for what, count in self.cuts.items())
            )
        if self.missing:
            lines.append(f"{_some(self.missing)} without a candidate")
        return lines


def read_candidates(
    path: str | Path,
    problems: Sequence[Problem],
    *,
    stream: IO[bytes] | None = None,
    allow_missing: bool = False,
    processes: int = 1,
) -> list[Candidate]:
    """Read every sample of a file, in its order; `stream` is read instead when given, and `path` names it in errors.

    Extraction takes about 1 ms per sample; with `processes` above 1 a large file is spread over as many. Each of them
    imports the main module again, so a script that asks for them needs `if __name__ == "__main__"`.

    Raises InputError, with the line, for a row that has none of the shapes, an unknown task_id or a repeated index;
    and, unless `allow_missing`, for a problem that no sample belongs to.
    """
    by_id = {problem.task_id: problem for problem in problems}
    samples = list(read_samples(path, problems, stream=stream))
    tasks = ((by_id[sample.task_id].public, sample, Path(path).name) for sample in samples)
    if processes > 1 and len(samples) >= _MIN_SPREAD_SAMPLES:
        candidates = list(_spread(tasks, processes, num_samples=len(samples)))
    else:
        candidates = [_candidate(task) for task in tasks]
    attempted = {candidate.task_id for candidate in candidates}
    missing = [task_id for task_id in by_id if task_id not in attempted]
    if missing and not allow_missing:
        raise missing_error(missing, path)
    return candidates


def missing_error(task_ids: Sequence[str], path: str | Path) -> InputError:
    return InputError(f"{_some(task_ids)} without a sample; add samples, or allow an incomplete file", path=path)


def read_samples(path: str | Path, problems: Sequence[Problem], *, stream: IO[bytes] | None = None) -> Iterator[Sample]:
    """Yield every sample of a file as it stands, before any extraction. Raises InputError as `read_candidates` does."""
    by_id = {problem.task_id: problem for problem in problems}
    taken: dict[str, set[int]] = defaultdict(set)
    for line, row in _split_codet(read_sample_rows(path, problems, stream=stream), problems, path):
        shape = next((shape for shape in SHAPES if shape in row), None)
        if shape is None or "task_id" not in row:
            wanted = "task_id" if shape else f"one of {', '.join(SHAPES)} or samples"
            raise InputError(f"field {wanted} is missing", path=path, line=line)
        if not isinstance(row[shape], str):
            raise InputError(f"field {shape} is {type(row[shape]).__name__}, text is wanted", path=path, line=line)
        task_id = task_name(row["task_id"])
        if task_id not in by_id:
            raise InputError(f"unknown task_id {task_id}{_mend(task_id, list(by_id))}", path=path, line=line)
        index = row.get("index", len(taken[task_id]))
        if not isinstance(index, int) or index < 0:
            raise InputError(f"index is {index!r}, a number from 0 on is wanted", path=path, line=line)
        if index in taken[task_id]:
            raise InputError(
                f"a second sample {index} of {task_id}; number them apart, or leave out index", path=path, line=line
            )
        taken[task_id].add(index)
        _check_extras(row, path, line)
        yield Sample(line, task_id, index, shape, row[shape], row)


def summarize(candidates: Sequence[Candidate], problems: Iterable[Problem]) -> Summary:
    """Count what reading did, for a person to see whether extraction rather than the model moved a figure."""
    cuts = Counter(cut for candidate in candidates for cut in candidate.cuts)
    groups = by_problem(candidates)
    return Summary(
        num_candidates=len(candidates),
        num_changed=sum(not {extraction.COMMENTS, extraction.STOP_WORD}.issuperset(c.cuts) for c in candidates),
        num_unparsed=sum(candidate.key is None and candidate.program != "" for candidate in candidates),
        num_empty=sum(candidate.program == "" for candidate in candidates),
        cuts=dict(cuts.most_common()),
        missing=tuple(problem.task_id for problem in problems if problem.task_id not in groups),
    )


def by_problem(candidates: Iterable[Candidate]) -> dict[str, list[Candidate]]:
    """Group candidates by task_id; problems and candidates keep the order in which they come."""
    groups: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        groups[candidate.task_id].append(candidate)
    return dict(groups)


# Extraction

_Task = tuple[PublicProblem, Sample, str]  # the problem, its sample, and the generator where the sample names none


def _candidate(task: _Task) -> Candidate:
    problem, sample, generator = task
    row, is_program = sample.row, sample.shape == "program"
    if is_program:
        extracted = extraction.Extraction(sample.text, tuple(row.get("cuts", ())))
    else:
        extracted = extraction.extract(problem, sample.text)
    return Candidate(
        task_id=sample.task_id,
        index=sample.index,
        raw=row.get("raw", sample.text) if is_program else sample.text,
        program=extracted.program,
        key=programs.program_key(extracted.program) if extracted.program else None,
        cuts=extracted.cuts,
        mean_log_probability=row.get("mean_log_probability"),
        num_tokens=row.get("num_tokens"),
        generator=row.get("generator", generator),
    )


def _spread(tasks: Iterable[_Task], processes: int, *, num_samples: int) -> Iterator[Candidate]:
    """Candidates in the order of the tasks, from processes that end with this generator."""
    from multiprocess import get_context  # loaded for large files only

    # Spawned, not forked: a fork of a process with threads can inherit a lock that nobody will ever give back.
    with get_context("spawn").Pool(processes, initializer=_leave_interrupts_to_the_parent) as pool:
        candidates = pool.imap(_candidate, tasks, chunksize=_SAMPLES_PER_MESSAGE)
        yield from tqdm(
            candidates, desc="extracting", total=num_samples, unit="candidate", file=sys.stderr, disable=None
        )


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# Rows


def to_row(candidate: Candidate) -> Row:
    """A candidate as one JSON row; `from_row` reads it back."""
    return {**asdict(candidate), "cuts": list(candidate.cuts)}


def from_row(row: Row) -> Candidate:
    """A candidate from a row of `to_row`. Raises KeyError or TypeError for another row."""
    return Candidate(**{**row, "cuts": tuple(row["cuts"])})


def write_completions(path: str | Path, candidates: Iterable[Candidate], problems: Iterable[Problem]) -> int:
    """Write HumanEval's form, `completion` to be appended to the prompt; return the count.

    A program that does not begin with the prompt is written whole below it: there it defines the function anew.
    """
    prompts = {problem.task_id: problem.prompt for problem in problems if problem.prompt_kind == "function"}

    def completion(candidate: Candidate) -> str:
        prompt = prompts.get(candidate.task_id, "")
        begins = candidate.program.startswith(prompt)
        return candidate.program[len(prompt) :] if begins else "\n\n" + candidate.program

    return store.write_rows(path, ({"task_id": c.task_id, "completion": completion(c)} for c in candidates))


def write_solutions(path: str | Path, candidates: Iterable[Candidate]) -> int:
    """Write EvalPlus' form, `solution` a whole program; return the count."""
    return store.write_rows(path, ({"task_id": c.task_id, "solution": c.program} for c in candidates))


# Reading one line


def _split_codet(
    rows: Iterable[tuple[int, Row]], problems: Sequence[Problem], path: str | Path
) -> Iterator[tuple[int, Row]]:
    """Turn each line of CodeT's shape into one row a sample, and let all others through."""
    for line, row in rows:
        if "samples" not in row or any(shape in row for shape in SHAPES):
            yield line, row
            continue
        samples, prompt = row["samples"], row.get("prompt")
        if not isinstance(samples, list) or not isinstance(prompt, str):
            raise InputError("samples is to be a list, beside prompt, a text", path=path, line=line)
        task_id = row.get("task_id") or match_prompt(prompt, problems)
        if task_id is None:
            raise InputError("the prompt's function is no problem's entry point", path=path, line=line)
        for sample in samples:
            yield line, {"task_id": task_id, "completion": sample}


def match_prompt(prompt: str, problems: Sequence[Problem]) -> str | None:
    """The problem that a prompt is a version of: the same last function, and of several the one with closest words."""
    entry_points = {problem.entry_point for problem in problems}
    names = [name for name in re.findall(r"^def +(\w+)", prompt, re.M) if name in entry_points]
    if not names:
        return None
    namesakes = [problem for problem in problems if problem.entry_point == names[-1]]
    if len(namesakes) == 1:
        return namesakes[0].task_id
    return max(
        namesakes, key=lambda problem: difflib.SequenceMatcher(None, problem.prompt.split(), prompt.split()).ratio()
    ).task_id


def _check_extras(row: Row, path: str | Path, line: int) -> None:
    wanted: dict[str, tuple[type, ...]] = {
        "mean_log_probability": (int, float),
        "num_tokens": (int,),
        "generator": (str,),
        "raw": (str,),
        "cuts": (list,),
    }
    for field, kinds in wanted.items():
        value: Any = row.get(field)
        if value is not None and not isinstance(value, kinds):
            raise InputError(f"field {field} is {value!r}, {kinds[-1].__name__} is wanted", path=path, line=line)


def _mend(task_id: str, known: list[str]) -> str:
    close = difflib.get_close_matches(task_id, known, n=1)
    near = f"did you mean {close[0]}? " if close else ""
    return (
        f"; {near}the {len(known)} problems run from {known[0]} to {known[-1]}: give the --problems that it belongs to"
    )


def _some(task_ids: Sequence[str]) -> str:
    shown = ", ".join(task_ids[:3]) + (", ..." if len(task_ids) > 3 else "")
    return f"{len(task_ids)} problem{'s' * (len(task_ids) > 1)} ({shown})"
