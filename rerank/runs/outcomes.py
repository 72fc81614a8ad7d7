"""TODO."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sandbox
from rerank.records import Candidate, Problem
from rerank.runs import execution
from rerank.runs.folder import RunFolder


@dataclass(frozen=True, slots=True)
class Passed:
    """Whether each candidate passed, by task_id and candidate index."""

    base: dict[tuple[str, int], bool]
    plus: dict[tuple[str, int], bool] | None  # base and extra tests both; None where the problems have no extra tests


def execute(
    folder: RunFolder,
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    *,
    timeout_s: float = 3.0,
    num_workers: int | None = None,
    executor: str = "local",
) -> Passed:
    """Run every candidate under the hidden tests, and under the extra ones where every problem has some."""
    limits = sandbox.Limits(timeout_s=timeout_s)
    folder.record_settings("execute", fixed={"timeout_s": timeout_s})
    has_extra = all(problem.extra_test is not None for problem in problems)
    run: Any = execution.execute_plus if has_extra else execution.execute
    with folder.journal("outcomes") as journal:
        found = run(problems, candidates, journal=journal, limits=limits, workers=num_workers, executor=executor)

    def passed(outcomes: Sequence[sandbox.Outcome]) -> dict[tuple[str, int], bool]:
        return {(each.task_id, each.index): one.passed for each, one in zip(candidates, outcomes, strict=True)}

    return Passed(passed(found.base), passed(found.plus)) if has_extra else Passed(passed(found), None)
