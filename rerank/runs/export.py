"""The chosen candidates of a run as a file that another harness evaluates: `rerank export`.

export(RunFolder("runs/first"), "best.jsonl", form="evalplus", selector="pointwise", num_best=1)
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rerank.candidates.files import by_problem, write_completions, write_solutions
from rerank.errors import SettingError
from rerank.records import Candidate, Problem
from rerank.runs.finished import open_run
from rerank.runs.folder import RunFolder


def _write_generations(path: Path, chosen: Sequence[Candidate], problems: Sequence[Problem]) -> None:
    """bigcode-evaluation-harness' form, for its --load_generations_path: problems from the benchmark's first one on."""
    groups = by_problem(chosen)
    missing = next((problem.task_id for problem in problems if problem.task_id not in groups), None)
    if missing:
        raise SettingError(f"--form bigcode: no ranking of {missing}, and that form cannot leave a problem out")
    temporary = path.with_name(path.name + ".part")
    lists = [[candidate.program for candidate in groups[problem.task_id]] for problem in problems]
    temporary.write_text(json.dumps(lists), encoding="utf-8")
    os.replace(temporary, path)


FORMS: dict[str, Callable[[Path, Sequence[Candidate], Sequence[Problem]], object]] = {
    "evalplus": lambda path, chosen, _: write_solutions(path, chosen),
    "humaneval": write_completions,
    "bigcode": _write_generations,
}


def export(
    folder: RunFolder, path: str | Path, *, form: str = "evalplus", selector: str | None = None, num_best: int = 1
) -> int:
    """Write each problem's `num_best` candidates, best first; return how many were written.

    `selector` None: the run's autorater. Raises InputError where the run has no rankings, SettingError for a selector
    that it has not.
    """
    run = open_run(folder)
    name = selector or run.selector
    if name not in run.rankings:
        raise SettingError(f"--selector {name}: the run has no ranking by it, but by {', '.join(run.rankings)}")
    by_id = {(candidate.task_id, candidate.index): candidate for candidate in run.candidates}
    best = [by_id[ranking.task_id, index] for ranking in run.rankings[name] for index in ranking.order[:num_best]]
    FORMS[form](Path(path), best, run.problems)
    return len(best)
