"""A finished run opened again, to look at what was chosen and why: nothing is judged anew.

    found = open_run("runs/codegen", tests="tests.jsonl", size=10)
    ablation.rankings(found.public, found.groups, found.evidence)

What the folder's journals lack of executions is run; see `stages.run_evidence`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank.candidates.files import by_problem
from rerank.evidence import record
from rerank.evidence.record import Evidence
from rerank.evidence.test_writers import read_answers
from rerank.problems.benchmarks import load_problems
from rerank.records import Candidate, Problem, PublicProblem
from rerank.runs import execution, journals
from rerank.runs.evidence import evidence_of, run_evidence
from rerank.runs.folder import RunFolder
from rerank.runs.outcomes import execute
from rerank.runs.settings import SelectSettings

Passed = Mapping[tuple[str, int], bool]  # by task_id and candidate index


@dataclass(frozen=True, slots=True)
class Replay:
    problems: Sequence[Problem]
    groups: Mapping[str, Sequence[Candidate]]  # by task_id
    evidence: Mapping[str, Evidence]  # what there would be, had only these candidates been drawn
    passed: Mapping[str, Passed]  # by "base", and "plus" where extra tests were given

    @property
    def public(self) -> list[PublicProblem]:
        return [problem.public for problem in self.problems]


def open_run(
    path: str | Path,
    *,
    tests: str | Path | None = None,
    plus: str | None = None,
    size: int | None = None,
    select: SelectSettings | None = None,
    workers: int | None = None,
) -> Replay:
    """`tests`: the file of written tests that the run was given. `plus`: problems with extra tests, in place of the
    run's own. `size`: only the first candidates of each problem."""
    folder = RunFolder(path)
    settings = folder.settings("problems")
    problems = load_problems(settings["name"])[: settings["limit"]]
    drawn = journals.load_candidates(folder, problems)
    answers = read_answers(tests, problems) if tests else {}
    shares, tried = run_evidence(folder, problems, drawn, answers, 0, workers)
    evidence = evidence_of(folder, problems, shares, tried, select or SelectSettings(), 0)
    groups = {task_id: group[:size] for task_id, group in by_problem(drawn).items()}
    evidence = {
        task_id: record.evidence_among(each, {one.key for one in groups[task_id] if one.key is not None})
        for task_id, each in evidence.items()
    }
    outcomes = execute(folder, problems, drawn, timeout_s=folder.settings("execute")["timeout_s"])
    passed: dict[str, Passed] = {"base": outcomes.base}
    if outcomes.plus:
        passed["plus"] = outcomes.plus
    if plus:
        kept = [each for group in groups.values() for each in group]
        with folder.journal("outcomes") as journal:
            both = execution.execute_plus(load_problems(plus), kept, journal=journal, workers=workers).plus
        passed["plus"] = {(each.task_id, each.index): one.passed for each, one in zip(kept, both, strict=True)}
    return Replay(problems, groups, evidence, passed)
