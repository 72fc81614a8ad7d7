"""A finished run with its evidence, to ask what other rules would have picked: nothing is judged or sampled anew.

    replay = open_replay("runs/codegen", tests="tests.jsonl", size=10)
    ablation.rankings(replay.public, replay.groups, replay.evidence)

Evidence comes from executions. Those that the folder's journals lack are run, in the sandbox.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank.evidence.record import Evidence, evidence_among
from rerank.evidence.test_writers import read_answers
from rerank.problems.benchmarks import load_problems
from rerank.records import Candidate, Problem, PublicProblem
from rerank.runs import execution
from rerank.runs.evidence import evidence_of, run_evidence
from rerank.runs.finished import open_run
from rerank.runs.outcomes import CandidateId, passed_by_candidate
from rerank.runs.settings import SelectSettings


@dataclass(frozen=True, slots=True)
class Replay:
    problems: Sequence[Problem]
    groups: Mapping[str, Sequence[Candidate]]  # by task_id
    evidence: Mapping[str, Evidence]  # what there would be, had only these candidates been drawn
    passed: Mapping[str, Mapping[CandidateId, bool]]  # by "base", and "plus" where there are extra tests

    @property
    def public(self) -> list[PublicProblem]:
        return [problem.public for problem in self.problems]


def open_replay(
    folder: str | Path,
    *,
    tests: str | Path | None = None,
    plus: str | None = None,
    size: int | None = None,
    select: SelectSettings | None = None,
    workers: int | None = None,
) -> Replay:
    """Open a run and gather its evidence.

    tests    the file of written tests that the run was given
    plus     problems with extra tests, in place of the run's own: the candidates are executed under them too
    size     only the first candidates of each problem
    workers  programs run in parallel; None: one per core
    Raises as `finished.open_run` does.
    """
    run = open_run(folder)
    answers = read_answers(tests, run.problems) if tests else {}
    shares, tried = run_evidence(run.folder, run.problems, run.candidates, answers, 0, workers)
    evidence = evidence_of(run.folder, run.problems, shares, tried, select or SelectSettings(), 0)
    groups = {task_id: group[:size] for task_id, group in run.groups.items()}
    passed = {"base": run.passed.base}
    if run.passed.plus:
        passed["plus"] = run.passed.plus
    if plus:
        candidates = [candidate for group in groups.values() for candidate in group]
        with run.folder.journal("outcomes") as journal:
            outcomes = execution.execute(
                load_problems(plus), candidates, with_extra=True, journal=journal, workers=workers
            )
        by_all = passed_by_candidate(candidates, outcomes).plus
        assert by_all is not None
        passed["plus"] = by_all
    among = {
        task_id: evidence_among(of_task, {each.key for each in groups[task_id] if each.key is not None})
        for task_id, of_task in evidence.items()
    }
    return Replay(run.problems, groups, among, passed)
