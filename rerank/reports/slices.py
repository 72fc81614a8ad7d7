"""Every slice of a run's candidates, picked from by itself: of 100 samples per problem, ten times the best of ten.

    print(table(slices(open_run("runs/codegen"), size=10)))

One slice's figure depends on which samples it happened to hold; their spread says how much.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rerank import metrics
from rerank.errors import SettingError
from rerank.evidence.record import Evidence
from rerank.runs.finished import FinishedRun
from rerank.selection import selectors


@dataclass(frozen=True, slots=True)
class Slice:
    """What the pointwise score picks from candidates `first` to `last` of every problem. Shares from 0 to 1."""

    first: int
    last: int
    mean: float
    picked: metrics.Estimate
    oracle: float


def slices(run: FinishedRun, *, size: int) -> list[Slice]:
    """As many slices as the problem with the fewest candidates has. Raises SettingError where that is none."""
    num_slices = min(map(len, run.groups.values())) // size
    if not num_slices:
        raise SettingError(f"--size {size}: a problem has fewer candidates")
    return [_slice(run, start, start + size) for start in range(0, num_slices * size, size)]


def _slice(run: FinishedRun, start: int, stop: int) -> Slice:
    passed = run.passed.base
    picks, means, reachable = [], [], []
    for problem in run.problems:
        group = run.groups[problem.task_id][start:stop]
        scores = run.scores.get(problem.task_id, {})
        evidence = Evidence(scores={each.key: scores.get(each.key) for each in group if each.key})
        picks.append(float(passed[problem.task_id, selectors.rank_pointwise(problem.public, group, evidence).best]))
        outcomes = [passed[problem.task_id, each.index] for each in group]
        means.append(sum(outcomes) / len(outcomes))
        reachable.append(float(any(outcomes)))
    picked = metrics.uplift(picks, means, reachable).pass_at_1
    return Slice(start, stop - 1, float(np.mean(means)), picked, float(np.mean(reachable)))


def table(rows: Sequence[Slice]) -> str:
    """Markdown, in per cent: a row per slice, then their mean and standard deviation."""
    lines = ["| slice | mean | picked | 95% | oracle |", "|---|---|---|---|---|"]
    for row in rows:
        interval = f"{100 * row.picked.low:.1f} to {100 * row.picked.high:.1f}"
        lines.append(
            f"| {row.first} to {row.last} | {100 * row.mean:.1f} | {100 * row.picked.value:.1f} | {interval} "
            f"| {100 * row.oracle:.1f} |"
        )
    figures = 100 * np.array([(row.mean, row.picked.value, row.oracle) for row in rows])  # (slices, 3)
    spread = figures.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(3)
    for name, values in ((f"mean of {len(rows)}", figures.mean(axis=0)), ("standard deviation", spread)):
        lines.append(f"| {name} | {values[0]:.1f} | {values[1]:.1f} | | {values[2]:.1f} |")
    return "\n".join(lines)
