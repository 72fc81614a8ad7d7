"""The outcomes stage: every candidate under the hidden tests, into outcomes.jsonl, and what a call left there.

passed = execute(folder, problems, candidates)
passed.base["HumanEval/0", 3]                       # did candidate 3 pass?
load_outcomes(folder, problems, candidates).base    # the sandbox's whole answers; nothing is run
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sandbox
from rerank.errors import InputError
from rerank.records import Candidate, Problem
from rerank.runs import execution
from rerank.runs.execution import Outcomes
from rerank.runs.folder import RunFolder

CandidateId = tuple[str, int]  # task_id and candidate index


@dataclass(frozen=True, slots=True)
class Passed:
    """Whether each candidate passed."""

    base: Mapping[CandidateId, bool]
    plus: Mapping[CandidateId, bool] | None = None  # base and extra tests both; None where problems have no extra tests


def execute(
    folder: RunFolder,
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    *,
    timeout_s: float = 3.0,
    num_workers: int | None = None,
    executor: str = "local",
) -> Passed:
    """Run every candidate under the hidden tests, and under the extra ones where every problem has some.

    `timeout_s` is the CPU time of one program. Raises as `execution.execute` does.
    """
    folder.record_settings("execute", fixed={"timeout_s": timeout_s})
    with folder.journal("outcomes") as journal:
        outcomes = execution.execute(
            problems,
            candidates,
            with_extra=_have_extra(problems),
            journal=journal,
            limits=sandbox.Limits(timeout_s=timeout_s),
            workers=num_workers,
            executor=executor,
        )
    return passed_by_candidate(candidates, outcomes)


def load_outcomes(folder: RunFolder, problems: Sequence[Problem], candidates: Sequence[Candidate]) -> Outcomes:
    """What `execute` found, in the order of the candidates; nothing is run.

    Raises InputError where it has not been called for all of these candidates.
    """
    settings = folder.document().get("execute", {})
    try:
        limits = sandbox.Limits(timeout_s=float(settings["timeout_s"]))  # type: ignore[arg-type]
        with folder.journal("outcomes") as journal:
            return execution.recorded_outcomes(
                problems, candidates, journal, limits=limits, with_extra=_have_extra(problems)
            )
    except KeyError as error:
        raise InputError(
            f"not every candidate has an outcome: run `rerank execute --out {folder.path}` first",
            path=folder.path / "outcomes.jsonl",
        ) from error


def passed_by_candidate(candidates: Sequence[Candidate], outcomes: Outcomes) -> Passed:
    """Outcomes in the candidates' order, by candidate."""

    def passed(of_candidates: Sequence[sandbox.Outcome]) -> dict[CandidateId, bool]:
        rows = zip(candidates, of_candidates, strict=True)
        return {(candidate.task_id, candidate.index): outcome.passed for candidate, outcome in rows}

    return Passed(passed(outcomes.base), None if outcomes.plus is None else passed(outcomes.plus))


def _have_extra(problems: Sequence[Problem]) -> bool:
    return all(problem.extra_test is not None for problem in problems)
