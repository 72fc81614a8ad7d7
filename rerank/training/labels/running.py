"""Runs candidates of every origin against their problems' hidden tests: three rounds in the sandbox, then labels.

    with Journal("labels.journal", key=journal_key) as journal, sandbox.Pool() as pool:
        labelled = label_problems(rows, sampled, pool, journal, benchmark=Benchmark.of([]))

First the references, which also give each problem its time limit; then samples, answers to changed instructions and the
data's own buggy solutions; and last the mutations of whatever turned out right. A program is run once: what the journal
holds is not run again.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, ClassVar

from tqdm import tqdm

import sandbox
from rerank.candidates.files import read_candidates, read_samples
from rerank.problems.benchmarks import load_problems
from rerank.setting import Setting
from rerank.store import Journal, Row
from rerank.training.labels import labelling
from rerank.training.labels.labelling import Trial
from rerank.training.labels.rows import Label, Origin, by_problem, difficulty
from rerank.training.problems.decontaminate import Benchmark


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """What is mutated, and how long a program may run."""

    GROUP: ClassVar[str] = "Labelling"

    max_mutants: Annotated[int, Setting("Mutations tried per problem.", min=0)] = 8
    max_mutated: Annotated[int, Setting("Different right programs of a problem that are mutated.", min=1)] = 3
    timeout_s: Annotated[float, Setting("Longest CPU time of a run; short references get less.", min=0.1)] = 5.0
    seed: Annotated[int, Setting("Seed of the mutations.")] = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels, and how many programs were left out for which reason."""

    labels: list[Label]
    dropped: Counter[str]


def journal_key(row: Row) -> str:
    """Of a run in its journal."""
    key: str = row["key"]
    return key


def label_problems(
    problems: Sequence[Row],
    sampled: Iterable[Trial],
    pool: sandbox.Pool,
    journal: Journal,
    *,
    benchmark: Benchmark,
    settings: LabelSettings | None = None,
) -> Labelled:
    """Label the references, the sampled programs, and mutations; samples that are `benchmark`'s solutions are left out.

    `problems` are rows as `sample_and_label.py problems` writes them.
    """
    settings = settings or LabelSettings()
    by_id = {row["task_id"]: row for row in problems}
    runner = _Runner(by_id, pool, journal, settings.timeout_s)
    references = labelling.merge(trial for row in problems if (trial := labelling.reference_trial(row)))
    outcomes = runner.run(references, "references")
    reference_s = {trial.task_id: row["cpu_s"] for trial, row in outcomes if row["status"] == "passed"}
    dropped = Counter({"problem whose reference fails": len(problems) - len(reference_s)})
    runner.limits = labelling.limits_of(reference_s, timeout_s=settings.timeout_s)
    candidates = chain(references, sampled, labelling.buggy_trials(problems))
    outcomes = runner.run(labelling.merge(trial for trial in candidates if trial.task_id in reference_s), "candidates")
    mutants = labelling.merge(_mutants(by_id, outcomes, settings))
    trial_keys = {trial.key for trial, _ in outcomes}
    outcomes += runner.run([trial for trial in mutants if trial.key not in trial_keys], "mutations")
    labels = []
    for trial, row in outcomes:
        label = labelling.label(by_id[trial.task_id], trial, status=row["status"], reason=row["reason"])
        if not labelling.is_wanted(label):
            dropped[f"{label.origin} that {'passes' if label.right else 'has no verdict'}"] += 1
        elif trial.origin == "sample" and benchmark.has_program(trial.program, label.entry_point):
            dropped["sample that is a benchmark's solution"] += 1
        else:
            labels.append(label)
    return Labelled(labels, dropped)


def read_trials(paths: Iterable[Path], problems: Path, origin: Origin) -> Iterator[Trial]:
    """Recorded samples of the problems as trials, with their temperatures."""
    benchmark = load_problems(problems)
    for path in paths:
        temperatures = [sample.row.get("temperature") for sample in read_samples(path, benchmark)]
        candidates = read_candidates(path, benchmark, allow_missing=True)
        yield from labelling.sampled_trials(candidates, temperatures, origin=origin)


def table(labelled: Labelled) -> str:
    """Labels by origin, split and answer, problems by difficulty, outcomes, and what was left out."""
    labels = labelled.labels
    counts = Counter((label.origin, label.split, label.right) for label in labels)
    lines = [f"{'origin':12} {'split':6} {'right':>8} {'wrong':>8}"]
    for origin, split in sorted({(origin, split) for origin, split, _ in counts}):
        lines.append(f"{origin:12} {split:6} {counts[origin, split, True]:8,} {counts[origin, split, False]:8,}")
    problems = by_problem(labels)
    both = sum(len({label.right for label in rows}) == 2 for rows in problems.values())
    bands = Counter(difficulty(rows) for rows in problems.values())
    errors = Counter(label.error_class for label in labels if not label.right).most_common(8)
    lines += [
        f"\n{len(problems):,} problems, {both:,} with right and wrong programs; by difficulty: {dict(bands)}",
        f"outcomes: {dict(Counter(label.outcome for label in labels).most_common())}",
        f"error classes: {dict(errors)}",
    ]
    lines += [f"dropped {count:7,}  {reason}" for reason, count in labelled.dropped.most_common()]
    return "\n".join(lines)


def _mutants(
    by_id: Mapping[str, Row], outcomes: Iterable[tuple[Trial, Row]], settings: LabelSettings
) -> Iterator[Trial]:
    """Mutations of each problem's right samples and reference."""
    passed: dict[str, list[str]] = defaultdict(list)
    for trial, row in outcomes:
        if row["status"] == "passed" and trial.origin in ("sample", "reference"):
            passed[trial.task_id].append(trial.program)
    for task_id, programs in passed.items():
        yield from labelling.mutation_trials(
            by_id[task_id],
            programs,
            seed=settings.seed,
            max_mutants=settings.max_mutants,
            max_mutated=settings.max_mutated,
        )


class _Runner:
    """Runs trials that the journal does not know yet, each against its problem's test."""

    def __init__(self, by_id: Mapping[str, Row], pool: sandbox.Pool, journal: Journal, timeout_s: float):
        self.limits: dict[str, float] = {}  # CPU seconds by task_id; the timeout where not known
        self._by_id = by_id
        self._pool = pool
        self._journal = journal
        self._timeout_s = timeout_s

    def run(self, trials: Sequence[Trial], what: str) -> list[tuple[Trial, Row]]:
        new = [trial for trial in trials if trial.key not in self._journal]
        jobs = (self._job(trial) for trial in new)
        progress = tqdm(total=len(trials), initial=len(trials) - len(new), desc=what, unit="program", disable=None)
        for trial, outcome in zip(new, self._pool.map(jobs), strict=True):
            row = {"key": trial.key, "status": outcome.status, "reason": outcome.reason, "cpu_s": outcome.cpu_s}
            self._journal.append([row])
            progress.update()
        progress.close()
        return [(trial, self._journal[trial.key]) for trial in trials]

    def _job(self, trial: Trial) -> sandbox.Job:
        problem = self._by_id[trial.task_id]
        limits = sandbox.Limits(timeout_s=self.limits.get(trial.task_id, self._timeout_s))
        # In one process with its test: many tests build on the program's own classes, which do not cross to another.
        # A program that cheats could fool it, but nothing here is rewarded for cheating.
        return sandbox.Job(trial.program, problem["test"], problem["entry_point"], limits=limits, mode="in-process")
