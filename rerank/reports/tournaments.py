"""A whole round-robin played again as any other tournament: comparisons spent against pass@1 or dev's pick rate."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rerank import metrics
from rerank.candidates.programs import program_key
from rerank.errors import SettingError
from rerank.evidence.record import Evidence
from rerank.records import Candidate, Comparison, PublicProblem, Ranking
from rerank.runs.finished import open_run
from rerank.selection import selectors, tournaments
from rerank.selection.aggregation import AGGREGATES
from rerank.selection.tournaments import TOURNAMENTS, Tournament
from rerank.store import read_rows
from rerank.training.labels.rows import by_problem as labels_by_problem
from rerank.training.labels.rows import read_labels

Rank = Callable[[PublicProblem, Sequence[Candidate], float], Ranking]  # the weight of log-probability last


@dataclass(frozen=True, slots=True)
class Line:
    """What one way to choose picks, and at what cost."""

    name: str
    num_comparisons: float  # per problem, each order counted
    picked: metrics.Estimate
    gain: metrics.Estimate  # over the first way
    weighted: metrics.Estimate | None  # picked with log-probability added


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """Candidates whose pairs were all compared, and whether they pass."""

    problems: list[PublicProblem]
    groups: Mapping[str, Sequence[Candidate]]
    passed: Mapping[tuple[str, int], bool | None]
    scores: Mapping[str, Mapping[str, float | None]]
    comparisons: Mapping[str, Sequence[Comparison]]
    seed: int = 0
    aggregate: str = "borda"
    weight: float = 0.0  # of log-probability; 0 where it is not known


def of_run(folder: str | Path) -> RoundRobin:
    """Of a finished run. Raises SettingError where its tournament was another."""
    run = open_run(folder)
    settings = run.folder.settings("score")
    if settings.get("tournament") != "round-robin":
        raise SettingError(f"{folder}: not a run of --tournament round-robin")
    is_weighted = all(each.mean_log_probability is not None for each in run.candidates)
    return RoundRobin(
        [problem.public for problem in run.problems],
        run.groups,
        run.passed.base,
        run.scores,
        run.comparisons,
        seed=int(settings["seed"]),
        aggregate=str(settings["aggregate"]),
        weight=float(settings.get("log_probability_weight", 0.0)) if is_weighted else 0.0,
    )


def of_dev(folder: Path, labels: Sequence[Path]) -> RoundRobin:
    """Of verdicts on labelled programs: the dev problems with right and wrong samples."""
    scores: dict[str, dict[str, float | None]] = defaultdict(dict)
    for _, row in read_rows(_stage(folder, "scores")):
        scores[row["task_id"]][row["key"]] = row["log_odds"]
    comparisons: dict[str, list[Comparison]] = defaultdict(list)
    for _, row in read_rows(_stage(folder, "comparisons")):
        comparisons[row["task_id"]].append(Comparison(**row))
    rows = [row for row in read_labels(labels) if row.split == "dev" and row.origin == "sample"]
    problems, groups = [], {}
    passed: dict[tuple[str, int], bool] = {}
    for task_id, own in labels_by_problem(rows).items():
        judged = [row for row in own if program_key(row.program) in scores[task_id]]
        if len({row.right for row in judged}) < 2:
            continue
        problems.append(judged[0].problem)
        groups[task_id] = [
            Candidate(task_id, index, row.generator, row.program, program_key(row.program))
            for index, row in enumerate(judged)
        ]
        passed |= {(task_id, index): row.right for index, row in enumerate(judged)}
    return RoundRobin(problems, groups, passed, scores, comparisons)


def _stage(folder: Path, stage: str) -> Path:
    plain = folder / f"{stage}.jsonl"
    return plain if plain.exists() else plain.with_suffix(".jsonl.gz")


def measure(whole: RoundRobin) -> list[Line]:
    """A line for each way to choose; the first is the one that the others are held against."""
    lines: list[Line] = []
    base: list[float] | None = None
    for name, rank in ways(whole).items():
        ranked = [rank(problem, whole.groups[problem.task_id], 0.0) for problem in whole.problems]
        picks = [float(bool(whole.passed[ranking.task_id, ranking.best])) for ranking in ranked]
        base = picks if base is None else base
        weighted = None
        if whole.weight:
            shifted = [rank(problem, whole.groups[problem.task_id], whole.weight) for problem in whole.problems]
            weighted = metrics.mean([float(bool(whole.passed[each.task_id, each.best])) for each in shifted])
        gain = metrics.mean([a - b for a, b in zip(picks, base, strict=True)])
        spent = float(np.mean([ranking.num_comparisons for ranking in ranked]))
        lines.append(Line(name, spent, metrics.mean(picks), gain, weighted))
    return lines


def table(lines: Sequence[Line]) -> str:
    is_weighted = lines[0].weighted is not None
    head = ["tournament", "comparisons per problem", "pass@1", "95%", "gain", "95%"]
    head += ["with log-probability"] * is_weighted
    rows = [head, ["---"] * len(head)]
    for line in lines:
        rows.append(
            [
                line.name,
                f"{line.num_comparisons:.1f}",
                f"{100 * line.picked.value:.1f}",
                _interval(line.picked),
                f"{100 * line.gain.value:+.1f}",
                _interval(line.gain),
            ]
        )
        if line.weighted is not None:
            rows[-1].append(f"{100 * line.weighted.value:.1f}")
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def plot(lines_by_run: Mapping[str, Sequence[Line]], out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6 * len(lines_by_run), 4), layout="constrained")
    for axis, (title, lines) in zip(
        figure.subplots(1, len(lines_by_run), squeeze=False)[0], lines_by_run.items(), strict=True
    ):
        for line in lines:
            value, low, high = (100 * each for each in (line.picked.value, line.picked.low, line.picked.high))
            at = max(line.num_comparisons, 0.5)
            axis.errorbar(at, value, yerr=[[value - low], [high - value]], fmt="o", capsize=2, alpha=0.7)
            axis.annotate(line.name, (at, value), textcoords="offset points", xytext=(4, 3), fontsize=7)
        axis.set(xscale="log", xlabel="comparisons per problem (0 drawn at 0.5)", ylabel="picked right, %", title=title)
    figure.savefig(out, dpi=120)


def ways(whole: RoundRobin) -> dict[str, Rank]:
    """Ways to choose from the verdicts, by name; first the one that the others are held against."""
    seed, scores, comparisons = whole.seed, whole.scores, whole.comparisons

    def pointwise(problem: PublicProblem, group: Sequence[Candidate], weight: float) -> Ranking:
        ranking = selectors.rank_pointwise(problem, group, Evidence(scores=scores.get(problem.task_id, {})))
        return selectors.add_log_probability(ranking, group, weight) if weight else ranking

    def play(
        tournament: Tournament, seeded: bool, problem: PublicProblem, group: Sequence[Candidate], weight: float
    ) -> Ranking:
        known = comparisons.get(problem.task_id, [])
        return selectors.rank_pairwise(
            problem,
            group,
            selectors.shifted(known, group, weight) if weight else known,
            tournament=tournament,
            aggregate=AGGREGATES[whole.aggregate],
            seed=seed,
            scores=scores.get(problem.task_id) if seeded else None,
        )

    def by_chance(problem: PublicProblem, group: Sequence[Candidate], _weight: float) -> Ranking:
        return selectors.select("random", problem, group, Evidence(seed=seed))

    if not scores:
        unseeded: dict[str, Rank] = {"random": by_chance}
        return unseeded | {
            name: partial(play, TOURNAMENTS[name], False) for name in ("round-robin", "knockout", "swiss")
        }
    tops = {f"top-{count}": partial(tournaments.top, count) for count in (2, 3, 4, 6)}
    near = {f"near-ties {margin}": partial(tournaments.near_ties, margin, 6) for margin in (0.25, 0.5, 1.0, 2.0)}
    seeded = {
        **tops,
        **near,
        "knockout": TOURNAMENTS["knockout"],
        "swiss": TOURNAMENTS["swiss"],
        "round-robin": TOURNAMENTS["round-robin"],
    }
    ranks: dict[str, Rank] = {"pointwise": pointwise}
    ranks |= {name: partial(play, tournament, True) for name, tournament in seeded.items()}
    return ranks | {f"{name}, unseeded": partial(play, TOURNAMENTS[name], False) for name in ("knockout", "swiss")}


def _interval(estimate: metrics.Estimate) -> str:
    return f"{100 * estimate.low:.1f} to {100 * estimate.high:.1f}"
