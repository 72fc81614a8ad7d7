"""Re-rank every slice of a run's candidates: of 100 samples a problem, ten times the best of ten.

    python scripts/slice_table.py runs/codegen --size 10

Reads a finished pointwise run folder of `rerank run` and judges nothing anew. One slice's figure depends on which
samples it happened to hold; their spread says how much.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from rerank import metrics
from rerank.candidates.files import by_problem
from rerank.errors import SettingError, one_line
from rerank.evidence.record import Evidence
from rerank.problems.benchmarks import load_problems
from rerank.runs import journals
from rerank.runs.folder import RunFolder
from rerank.runs.outcomes import execute
from rerank.selection import selectors

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    run: Annotated[Path, typer.Argument(help="Run folder of `rerank run --mode pointwise`.")],
    size: Annotated[int, typer.Option(min=1, help="Candidates of a problem in a slice.")] = 10,
) -> None:
    folder = RunFolder(run)
    problems = load_problems(folder.settings("problems")["name"])[: folder.settings("problems")["limit"]]
    candidates = journals.load_candidates(folder, problems)
    passed = execute(folder, problems, candidates, timeout_s=folder.settings("execute")["timeout_s"]).base
    with folder.journal("scores") as journal:
        scores = {place: row["log_odds"] for place, row in journal.rows.items()}
    groups = by_problem(candidates)
    count = min(map(len, groups.values())) // size
    if not count:
        raise SettingError(f"--size {size}: a problem has fewer candidates")
    print("| slice | mean | picked | 95% | oracle |\n|---|---|---|---|---|")
    rows = []
    for start in range(0, count * size, size):
        picks, means, reachable = [], [], []
        for problem in problems:
            group = groups[problem.task_id][start : start + size]
            evidence = Evidence(
                scores={each.key: scores.get((problem.task_id, each.key)) for each in group if each.key}
            )
            best = selectors.rank_pointwise(problem.public, group, evidence).best
            outcomes = [passed[problem.task_id, each.index] for each in group]
            picks.append(float(passed[problem.task_id, best]))
            means.append(sum(outcomes) / len(outcomes))
            reachable.append(float(any(outcomes)))
        found = metrics.uplift(picks, means, reachable)
        chosen = found.pass_at_1
        rows.append((100 * np.mean(means), 100 * chosen.value, 100 * np.mean(reachable)))
        mean, picked, oracle = rows[-1]
        interval = f"{100 * chosen.low:.1f} to {100 * chosen.high:.1f}"
        print(f"| {start} to {start + size - 1} | {mean:.1f} | {picked:.1f} | {interval} | {oracle:.1f} |")
    average, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) if count > 1 else np.zeros(3)
    print(f"| mean of {count} | {average[0]:.1f} | {average[1]:.1f} | | {average[2]:.1f} |")
    print(f"| standard deviation | {spread[0]:.1f} | {spread[1]:.1f} | | {spread[2]:.1f} |")


if __name__ == "__main__":
    with one_line():
        app()
