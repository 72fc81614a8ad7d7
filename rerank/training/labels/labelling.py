"""From candidates of every origin to labelled rows: what to run, what merges, and what an outcome means.

Nothing is run here; `rerank.training.labels.running` runs the trials.
"""

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rerank.candidates.programs import normal_form
from rerank.records import Candidate
from rerank.store import Row, content_hash
from rerank.training.labels.mutations import mutants
from rerank.training.labels.rows import Label, Origin
from rerank.training.problems.training_problems import whole_program

NO_VERDICT = ("sandbox_error", "unsupported")  # statuses that say nothing of the program


@dataclass(frozen=True, slots=True)
class Trial:
    """One distinct program of one problem, to be run."""

    task_id: str
    program: str  # normal form
    origin: Origin
    generator: str = ""
    temperature: float | None = None
    mean_log_probability: float | None = None
    num_samples: int = 0
    detail: str = ""

    @property
    def key(self) -> str:
        """Names the run: the same program of the same problem is run once."""
        return content_hash(self.task_id, self.program)


def reference_trial(problem: Row) -> Trial | None:
    """The problem's own solution; None when it does not parse."""
    program = normal_form(whole_program(problem, problem["canonical_solution"]))
    return None if program is None else Trial(problem["task_id"], program, "reference")


def buggy_trials(problems: Iterable[Row]) -> Iterator[Trial]:
    """The wrong solutions that come with the data."""
    for problem in problems:
        if problem.get("buggy_solution"):
            program = normal_form(whole_program(problem, problem["buggy_solution"]))
            if program is not None:
                yield Trial(problem["task_id"], program, "buggy")


def sampled_trials(
    candidates: Iterable[Candidate], temperatures: Iterable[float | None], *, origin: Origin = "sample"
) -> Iterator[Trial]:
    """Candidates that parse; `temperatures` are theirs, in the same order."""
    for candidate, temperature in zip(candidates, temperatures, strict=True):
        program = normal_form(candidate.program) if candidate.key is not None else None
        if program:
            yield Trial(
                candidate.task_id,
                program,
                origin,
                generator=candidate.generator,
                temperature=temperature,
                mean_log_probability=candidate.mean_log_probability,
                num_samples=1 if origin == "sample" else 0,
            )


def mutation_trials(
    problem: Row, right: Sequence[str], *, seed: int, max_mutants: int, max_mutated: int
) -> Iterator[Trial]:
    """Changes of up to `max_mutated` right programs (normal forms) of a problem, `max_mutants` in all."""
    chosen = sorted(right)
    random.Random(content_hash(seed, problem["task_id"])).shuffle(chosen)
    chosen = chosen[:max_mutated]
    for index, program in enumerate(chosen):
        share = max_mutants // len(chosen) + (index < max_mutants % len(chosen))
        first_line = _first_answer_line(problem, program)
        for mutant in mutants(program, seed=seed, max_mutants=share, first_line=first_line):
            # A change can leave a docstring-like statement; the normal form is what all rows hold.
            changed = normal_form(mutant.program)
            if changed is not None:
                yield Trial(problem["task_id"], changed, "mutation", detail=mutant.kind)


def merge(trials: Iterable[Trial]) -> list[Trial]:
    """One trial per distinct program of a problem, in the order met: samples counted, their log-probabilities averaged.

    The first origin stays, so give samples before mutations; a program that was also sampled counts as a sample.
    """
    merged: dict[str, list[Trial]] = {}
    for trial in trials:
        merged.setdefault(trial.key, []).append(trial)
    return [_merged(same) for same in merged.values()]


def label(problem: Row, trial: Trial, *, status: str, reason: str) -> Label:
    """What the outcome of a trial says, as a row."""
    return Label(
        task_id=problem["task_id"],
        group=problem["group"],
        split=problem["split"],
        prompt=problem["prompt"],
        prompt_kind=problem["prompt_kind"],
        entry_point=problem["entry_point"],
        program=trial.program,
        outcome=status,
        right=status == "passed",
        origin=trial.origin,
        generator=trial.generator,
        temperature=trial.temperature,
        mean_log_probability=trial.mean_log_probability,
        error_class=error_class(status, reason),
        num_samples=trial.num_samples,
        detail=trial.detail,
    )


def is_wanted(row: Label) -> bool:
    """Whether a labelled row is worth keeping: what was made to be wrong must be."""
    return row.outcome not in NO_VERDICT and not (row.right and row.origin in ("mutation", "modified", "buggy"))


def error_class(status: str, reason: str) -> str:
    """The exception that a reason names; else the status, and nothing for a program that passed.

    >>> error_class("error", "test line 3: IndexError: list index out of range")
    'IndexError'
    >>> error_class("timeout", "3.0 s of CPU time")
    'timeout'
    """
    if status == "passed":
        return ""
    named = re.search(r"\b[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Iteration|Warning|Group)\b", reason)
    if named:
        return named[0]
    return "AssertionError" if status == "failed" else status


def limits_of(reference_s: Mapping[str, float], *, timeout_s: float, floor_s: float = 1.0) -> dict[str, float]:
    """CPU seconds for each problem: ten times its reference, between the floor and the timeout.

    Wrong programs often loop for ever, so a short limit is most of the speed.
    """
    return {task_id: min(timeout_s, max(floor_s, 10 * seconds)) for task_id, seconds in reference_s.items()}


def _merged(same: Sequence[Trial]) -> Trial:
    first = next((trial for trial in same if trial.origin == "sample"), same[0])
    log_probabilities = [trial.mean_log_probability for trial in same if trial.mean_log_probability is not None]
    return replace(
        first,
        num_samples=sum(trial.num_samples for trial in same),
        mean_log_probability=sum(log_probabilities) / len(log_probabilities) if log_probabilities else None,
    )


def _first_answer_line(problem: Row, program: str) -> int:
    """1-based line of a normal form from which the code is the answer's own, not the prompt's."""
    if problem["prompt_kind"] != "function":
        return 1
    name = problem["entry_point"].split(".")[-1]
    lines = program.splitlines()
    starts = [
        number for number, line in enumerate(lines, 1) if re.match(rf"\s*(?:async )?def {re.escape(name)}\b", line)
    ]
    return starts[-1] + 1 if starts else 1
