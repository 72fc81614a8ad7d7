"""A finished run, opened to look at what was chosen and why.

    run = open_run("runs/first")
    run.rankings["pointwise"][0].best, run.passed.base["HumanEval/0", 3]

Nothing is sampled, judged or executed, and no setting is written. Each part is read when it is first asked for, so that
a run without outcomes can be exported; what is missing is an InputError that names the stage to run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rerank.candidates.files import by_problem
from rerank.errors import ResumeError
from rerank.problems.benchmarks import load_problems
from rerank.records import Candidate, Comparison, Problem, Ranking
from rerank.runs import journals
from rerank.runs.candidates import problems_hash
from rerank.runs.execution import Outcomes
from rerank.runs.folder import RunFolder, Setting
from rerank.runs.outcomes import Passed, load_outcomes, passed_by_candidate


@dataclass(frozen=True)  # without slots: what has been read is kept
class FinishedRun:
    """All that a run folder holds about `problems`. Raises InputError, at each part, where the folder lacks it."""

    folder: RunFolder
    problems: Sequence[Problem]  # of the benchmark those that the run is over and has candidates for
    candidates: Sequence[Candidate]

    @cached_property
    def groups(self) -> Mapping[str, Sequence[Candidate]]:
        """Candidates by task_id."""
        return by_problem(self.candidates)

    @cached_property
    def rankings(self) -> Mapping[str, Sequence[Ranking]]:
        """By selector."""
        return journals.load_rankings(self.folder, {problem.task_id for problem in self.problems})

    @cached_property
    def outcomes(self) -> Outcomes:
        """Of the hidden tests, in the order of `candidates`."""
        return load_outcomes(self.folder, self.problems, self.candidates)

    @cached_property
    def passed(self) -> Passed:
        """The outcomes, by candidate."""
        return passed_by_candidate(self.candidates, self.outcomes)

    @cached_property
    def scores(self) -> Mapping[str, Mapping[str, float | None]]:
        """Pointwise log-odds by task_id and key; empty where none was made."""
        return journals.load_scores(self.folder)

    @cached_property
    def comparisons(self) -> Mapping[str, Sequence[Comparison]]:
        """By task_id; empty where nothing was compared."""
        return journals.load_comparisons(self.folder)

    @cached_property
    def settings(self) -> Mapping[str, Mapping[str, Setting]]:
        """run.toml, by stage."""
        return self.folder.document()

    @property
    def selector(self) -> str:
        """The run's own selector: its autorater, by its mode where a model judged."""
        score = self.folder.settings("score")
        return str(score.get("mode", score["autorater"]))


def open_run(folder: str | Path | RunFolder, problems: Sequence[Problem] | None = None) -> FinishedRun:
    """Open a run over all its problems, or over these.

    Raises InputError where the folder has no problems or no candidates yet, ResumeError where the benchmark is no
    longer the one that the run was made with.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder(folder)
    if problems is None:
        recorded = folder.settings("problems")
        benchmark = load_problems(recorded["name"])
        if problems_hash(benchmark) != recorded["sha256"]:
            raise ResumeError(f"{folder.path}: {recorded['name']} has changed since this run was made; run it again")
        problems = benchmark[: recorded["limit"]]
    candidates = journals.load_candidates(folder, problems)
    sampled = {candidate.task_id for candidate in candidates}
    return FinishedRun(folder, [problem for problem in problems if problem.task_id in sampled], candidates)
