"""Candidates to outcomes: run each program against its problem's hidden tests in the sandbox, once.

    with store.Journal(folder / "outcomes.jsonl", key=journal_key) as journal:
        outcomes = execute(problems, candidates, journal=journal).base

An outcome belongs to the content hash of program, test, entry point and limits: identical programs run once, and a
killed run, or another run with the same journal, redoes nothing. Outcomes are for measuring; selection never sees them.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tqdm import tqdm

import sandbox
from rerank import store
from rerank.candidates.programs import stub
from rerank.errors import InputError, MissingError, WorkerError
from rerank.problems.benchmarks import reference_program
from rerank.records import Candidate, Problem

REFERENCE_FACTOR = 10  # how many times the reference's CPU time a program may take in the extra tests
MAX_EXTRA_TIMEOUT_S = 60.0  # CPU seconds at most in them, as EvalPlus has it

Runner = Callable[[Sequence[sandbox.Job]], list[sandbox.Outcome]]  # one outcome per job, in order


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Outcomes of the same candidates, in their order."""

    base: list[sandbox.Outcome]  # of `Problem.test`
    plus: list[sandbox.Outcome] | None  # of the first test not passed, else of `extra_test`: passed means both.
    # None where the extra tests were not asked for


def execute(
    problems: Iterable[Problem],
    candidates: Sequence[Candidate],
    *,
    with_extra: bool = False,
    journal: store.Journal | None = None,
    limits: sandbox.Limits | None = None,
    workers: int | None = None,
    executor: str = "local",
    progress: bool = True,
) -> Outcomes:
    """Run every candidate under `Problem.test`; `with_extra`: then the extra tests of what passed, as EvalPlus counts.

    workers   programs run in parallel; None: one per core
    executor  where they run, a name in `sandbox.pool.EXECUTORS`
    Raises InputError for a candidate of an unknown problem, or of one without the extra test asked for; MissingError
    where the host gives too little isolation; WorkerError when the sandbox broke, with everything finished kept.

    Some extra tests keep the reference itself busy for seconds. What ran out of time there runs again with a multiple
    of the reference's own time as its limit, where that is longer. The reference is measured only when needed.
    """
    run = partial(_run, journal=journal, workers=workers, executor=executor, progress=progress)
    return _outcomes(problems, candidates, run, limits or sandbox.Limits(), with_extra=with_extra)


def recorded_outcomes(
    problems: Iterable[Problem],
    candidates: Sequence[Candidate],
    journal: store.Journal,
    *,
    limits: sandbox.Limits,
    with_extra: bool,
) -> Outcomes:
    """The outcomes that `execute` left in the journal; nothing is run. Raises KeyError where it lacks one of them."""

    def look_up(jobs: Sequence[sandbox.Job]) -> list[sandbox.Outcome]:
        return [sandbox.Outcome.from_dict(journal[outcome_key(job)]) for job in jobs]

    return _outcomes(problems, candidates, look_up, limits, with_extra=with_extra)


def _outcomes(
    problems: Iterable[Problem],
    candidates: Sequence[Candidate],
    run: Runner,
    limits: sandbox.Limits,
    *,
    with_extra: bool,
) -> Outcomes:
    by_id = {problem.task_id: problem for problem in problems}
    base = run([_job(by_id, candidate, limits, extra=False) for candidate in candidates])
    if not with_extra:
        return Outcomes(base, None)
    plus = list(base)

    def run_extra(places: Sequence[int], limits_of: Mapping[str, sandbox.Limits]) -> None:
        chosen = [candidates[place] for place in places]
        jobs = [_job(by_id, each, limits_of.get(each.task_id, limits), extra=True) for each in chosen]
        for place, outcome in zip(places, run(jobs), strict=True):
            plus[place] = outcome

    run_extra([place for place, outcome in enumerate(base) if outcome.passed], {})
    late = [place for place, outcome in enumerate(plus) if base[place].passed and outcome.status == "timeout"]
    longer = _longer_limits([by_id[t] for t in dict.fromkeys(candidates[place].task_id for place in late)], limits, run)
    run_extra([place for place in late if candidates[place].task_id in longer], longer)
    return Outcomes(base, plus)


def _longer_limits(problems: Sequence[Problem], limits: sandbox.Limits, run: Runner) -> dict[str, sandbox.Limits]:
    """Measure the references in the extra tests; task_id to limits, where a multiple of that time is above `limits`."""
    most = replace(limits, timeout_s=max(limits.timeout_s, MAX_EXTRA_TIMEOUT_S))
    programs = {problem.task_id: reference_program(problem) for problem in problems}
    references = [Candidate(task_id, 0, "", text, key=None) for task_id, text in programs.items() if text is not None]
    by_id = {problem.task_id: problem for problem in problems}
    outcomes = run([_job(by_id, reference, most, extra=True) for reference in references])
    return {
        reference.task_id: replace(limits, timeout_s=min(most.timeout_s, REFERENCE_FACTOR * outcome.cpu_s))
        for reference, outcome in zip(references, outcomes, strict=True)
        if outcome.passed and REFERENCE_FACTOR * outcome.cpu_s > limits.timeout_s
    }


def journal_key(row: store.Row) -> str:
    """The key of a row of the journal of outcomes."""
    return str(row["key"])


def outcome_key(job: sandbox.Job) -> str:
    """Content hash of everything that an outcome depends on."""
    return store.content_hash(job.candidate, job.test, job.entry_point, job.helpers, job.mode, job.limits.to_dict())


def _job(by_id: Mapping[str, Problem], candidate: Candidate, limits: sandbox.Limits, *, extra: bool) -> sandbox.Job:
    problem = by_id.get(candidate.task_id)
    if problem is None:
        raise InputError(f"candidate {candidate.index} is of {candidate.task_id}, which is not among the problems")
    if extra and problem.extra_test is None:
        raise InputError(f"{problem.task_id} has no extra test: take a benchmark that has, such as humaneval+")
    return sandbox.Job(
        candidate.program,
        problem.extra_test if extra else problem.test,
        problem.entry_point,
        limits,
        # A test may call functions that stand in the prompt beside the wanted one, as HumanEval/32's does.
        helpers=stub(problem.prompt) or "" if problem.prompt_kind == "function" else "",
    )


def _run(
    jobs: Sequence[sandbox.Job], *, journal: store.Journal | None, workers: int | None, executor: str, progress: bool
) -> list[sandbox.Outcome]:
    """The jobs' outcomes, from the journal where it has them; what is run goes into it."""
    keys = [outcome_key(job) for job in jobs]
    known = {key: sandbox.Outcome.from_dict(journal[key]) for key in keys if journal is not None and key in journal}
    todo = {key: job for key, job in zip(keys, jobs, strict=True) if key not in known}
    if not todo:
        return [known[key] for key in keys]
    hidden = not progress or not sys.stderr.isatty()
    try:
        with (
            sandbox.Pool(workers=workers, executor=executor) as pool,
            tqdm(total=len(todo), desc="execute", unit="program", file=sys.stderr, disable=hidden) as bar,
        ):
            for key, outcome in zip(todo, pool.map(todo.values()), strict=True):
                known[key] = outcome
                if journal is not None:
                    journal.append([{"key": key, **outcome.to_dict()}])
                bar.update()
    except sandbox.SandboxUnavailable as error:
        raise MissingError(f"no sandbox: {error}") from error
    except sandbox.SandboxError as error:
        raise WorkerError(
            f"the sandbox broke, and {len(keys) - len(known)} programs have no verdict: {error}"
        ) from error
    return [known[key] for key in keys]
