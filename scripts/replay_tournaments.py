"""What other tournaments would have picked, and at what cost: a whole round-robin played over again.

    rerank run --candidates samples.jsonl --mode encoded-once --tournament round-robin --out runs/whole
    python scripts/replay_tournaments.py runs/whole [RUN...]

Reads finished run folders that hold every comparison (--mode pairwise or encoded-once) and judges nothing anew. A line
is a way to spend comparisons, both orders counted: pass@1 of what it picks with its 95% interval, and its gain over the
pointwise choice, or else over random choice (paired). Where the folder has pointwise scores (encoded-once), tournaments
are seeded by them; `unseeded` are not. A last column adds the log-probability, weighted as the scorer's card says.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from rerank import metrics, selection, stages, tournaments
from rerank.aggregation import AGGREGATES
from rerank.candidates import by_problem
from rerank.errors import SettingError, one_line
from rerank.problems import load_problems
from rerank.records import Candidate, PublicProblem, Ranking
from rerank.run import RunFolder
from rerank.selection import Evidence
from rerank.tournaments import TOURNAMENTS, Tournament

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
Rank = Callable[[PublicProblem, Sequence[Candidate], float], Ranking]  # the weight of log-probability last


@app.command(help=__doc__)
def main(runs: Annotated[list[Path], typer.Argument(help="Run folders with a whole round-robin each.")]) -> None:
    for run in runs:
        print(f"\n{run.name}\n\n{table(RunFolder(run))}")


def table(folder: RunFolder) -> str:
    settings = folder.settings("score")
    if settings.get("tournament") != "round-robin":
        raise SettingError(f"{folder.path}: not a run of --tournament round-robin")
    named = folder.settings("problems")
    problems = load_problems(str(named["name"]))[: int(named["limit"])]
    candidates = stages.load_candidates(folder, problems)
    groups = by_problem(candidates)
    timeout_s = folder.settings("execute")["timeout_s"]
    passed = stages.execute(folder, problems, candidates, timeout_s=float(timeout_s)).base
    weight = float(settings.get("log_probability_weight", 0.0))
    weights = [0.0, weight] if weight and all(each.mean_log_probability is not None for each in candidates) else [0.0]
    rows = [
        "| tournament | comparisons a problem | pass@1 | 95% | gain | 95% |"
        + " with log-probability |" * len(weights[1:])
    ]
    rows.append("|---" * (6 + len(weights[1:])) + "|")
    base: list[float] | None = None
    for name, rank in ways(folder).items():
        cells = []
        for each in weights:
            ranked = [rank(problem.public, groups[problem.task_id], each) for problem in problems]
            picks = [float(passed[ranking.task_id, ranking.best]) for ranking in ranked]
            found = metrics.mean(picks)
            if each:
                cells.append(f"{100 * found.value:.1f}")
                continue
            base = picks if base is None else base
            gain = metrics.mean([a - b for a, b in zip(picks, base, strict=True)])
            spent = np.mean([ranking.num_comparisons for ranking in ranked])
            cells += [
                f"{spent:.1f}",
                f"{100 * found.value:.1f}",
                _interval(found),
                f"{100 * gain.value:+.1f}",
                _interval(gain),
            ]
        rows.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(rows)


def ways(folder: RunFolder) -> dict[str, Rank]:
    """Ways to choose from what the folder holds, by name; first the one that the others are held against."""
    settings = folder.settings("score")
    seed = int(settings["seed"])
    scores, comparisons = stages.load_scores(folder), stages.load_comparisons(folder)

    def pointwise(problem: PublicProblem, group: Sequence[Candidate], weight: float) -> Ranking:
        ranking = selection.rank_pointwise(problem, group, Evidence(scores=scores.get(problem.task_id, {})))
        return selection.add_log_probability(ranking, group, weight) if weight else ranking

    def play(
        tournament: Tournament, seeded: bool, problem: PublicProblem, group: Sequence[Candidate], weight: float
    ) -> Ranking:
        known = comparisons.get(problem.task_id, [])
        return selection.rank_pairwise(
            problem,
            group,
            selection.shifted(known, group, weight) if weight else known,
            tournament=tournament,
            aggregate=AGGREGATES[str(settings["aggregate"])],
            seed=seed,
            scores=scores.get(problem.task_id) if seeded else None,
        )

    def by_chance(problem: PublicProblem, group: Sequence[Candidate], _weight: float) -> Ranking:
        return selection.select("random", problem, group, Evidence(seed=seed))

    if not scores:
        return {"random": by_chance} | {
            name: partial(play, TOURNAMENTS[name], False) for name in ("round-robin", "knockout", "swiss")
        }
    tops = {f"top-{count}": partial(tournaments.top, count) for count in (2, 3, 4, 6)}
    seeded = {
        **tops,
        "knockout": TOURNAMENTS["knockout"],
        "swiss": TOURNAMENTS["swiss"],
        "round-robin": TOURNAMENTS["round-robin"],
    }
    found: dict[str, Rank] = {"pointwise": pointwise}
    found |= {name: partial(play, tournament, True) for name, tournament in seeded.items()}
    return found | {f"{name}, unseeded": partial(play, TOURNAMENTS[name], False) for name in ("knockout", "swiss")}


def _interval(estimate: metrics.Estimate) -> str:
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"


if __name__ == "__main__":
    with one_line():
        app()
