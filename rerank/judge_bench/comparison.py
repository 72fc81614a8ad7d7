"""Several judges beside one another: by category, with intervals, on the cases that all of them were asked.

    runs = [read_run("runs/untrained"), read_run("runs/flame", name="FLAMe")]
    print(table(compare(gather(["judgments/heldout"]), runs)))

A category's figure is the mean over its sets, and `all` the mean over the categories, as in a judge's own report.
Intervals are 95% percentile bootstraps that resample groups of cases within each set, the same ones for every judge:
a judge's gain over the first is paired. Pairs and classes only; grades have correlations, which do not add up.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rerank import metrics
from rerank.errors import InputError
from rerank.judge_bench import agreement, figures
from rerank.judge_bench.cases import Case
from rerank.judge_bench.figures import Answers
from rerank.judge_bench.measure import answer_of
from rerank.metrics import Estimate
from rerank.store import content_hash, read_rows

MEASURES = {"pairwise": "accuracy", "classification": "balanced accuracy"}


@dataclass(frozen=True, slots=True)
class JudgeRun:
    """What one judge answered, by the case's key."""

    name: str
    answers: Mapping[str, Answers]


@dataclass(frozen=True, slots=True)
class Compared:
    """One category: a figure a judge, and what it has over the first."""

    measure: str
    category: str
    num_sets: int
    num_cases: int
    figures: tuple[Estimate, ...]
    gains: tuple[Estimate, ...]  # of all judges but the first
    longest: float | None  # accuracy of the rule that prefers the longer response


def read_run(folder: str | Path, *, name: str = "") -> JudgeRun:
    """The answers in a folder of `rerank judge`. Raises InputError where there are none."""
    path = next((each for each in sorted(Path(folder).glob("answers.jsonl*"))), Path(folder) / "answers.jsonl")
    if not path.exists():
        raise InputError("not there: name a folder that rerank judge wrote", path=path)
    answers: dict[str, dict[str, figures.Answer]] = {}
    for _, row in read_rows(path):
        answers.setdefault(row["case"], {})[row["variant"]] = answer_of(row)
    return JudgeRun(name or Path(folder).name, answers)


def compare(cases: Iterable[Case], runs: Sequence[JudgeRun], *, seed: int = 0) -> list[Compared]:
    """A row for each measure and category, `all` last. Raises InputError where the judges share no case."""
    by_set: dict[tuple[str, str, str], list[Case]] = {}
    for case in cases:
        if case.kind in MEASURES and case.label != "tie" and all("ab" in run.answers.get(case.key, {}) for run in runs):
            by_set.setdefault((case.kind, case.category, case.set), []).append(case)
    if not by_set:
        raise InputError("no case was answered by all of these judges")
    found = []
    for kind, measure in MEASURES.items():
        categories: dict[str, list[np.ndarray]] = {}
        longest: dict[str, list[float]] = {}
        size: dict[str, int] = {}
        for (its_kind, category, _), part in sorted(by_set.items()):
            if its_kind == kind:
                categories.setdefault(category, []).append(_resampled(part, runs, seed))  # (judges, 1 + resamples)
                size[category] = size.get(category, 0) + len(part)
                if kind == "pairwise":
                    longest.setdefault(category, []).append(float(np.mean([_longer(case) for case in part])))
        means = {category: np.mean(values, axis=0) for category, values in categories.items()}
        rules = {category: float(np.mean(values)) for category, values in longest.items()}
        rows = {name: (values, rules.get(name), len(categories[name]), size[name]) for name, values in means.items()}
        if len(means) > 1:
            rule = float(np.mean(list(rules.values()))) if rules else None
            num_sets, num_cases = sum(map(len, categories.values())), sum(size.values())
            rows["all"] = (np.mean(list(means.values()), axis=0), rule, num_sets, num_cases)
        for name, (values, rule, num_sets, num_cases) in rows.items():
            gains = values[1:] - values[:1]
            found.append(
                Compared(
                    measure,
                    name,
                    num_sets,
                    num_cases,
                    tuple(metrics.estimate(each[0], each[1:]) for each in values),
                    tuple(metrics.estimate(each[0], each[1:]) for each in gains),
                    rule,
                )
            )
    return found


def table(rows: Sequence[Compared], names: Sequence[str]) -> str:
    """Markdown, a table a measure: per cent with the interval, the gain over the first judge below it."""
    lines = []
    for measure in MEASURES.values():
        part = [row for row in rows if row.measure == measure]
        if not part:
            continue
        lines += [f"| {measure} | n (sets) | longest | {' | '.join(names)} |", "|---" * (3 + len(names)) + "|"]
        for row in part:
            cells = [_interval(estimate, signed=False) for estimate in row.figures]
            cells[1:] = [
                f"{cell}; {_interval(gain, signed=True)}" for cell, gain in zip(cells[1:], row.gains, strict=True)
            ]
            rule = "" if row.longest is None else f"{100 * row.longest:.1f}"
            label = row.category.replace("_", " ")
            lines.append(f"| {label} | {row.num_cases:,} ({row.num_sets}) | {rule} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _resampled(part: Sequence[Case], runs: Sequence[JudgeRun], seed: int) -> np.ndarray:
    right = np.array([[_credit(case, run.answers[case.key]) for case in part] for run in runs])
    groups = [case.group for case in part]
    seed = int(content_hash(seed, part[0].set), 16) % 2**32  # sets are drawn independently, judges alike
    if part[0].kind == "pairwise":
        return agreement.resampled_means(right, groups, seed=seed)
    return agreement.resampled_recalls(right, [str(case.label) for case in part], groups, seed=seed)


def _credit(case: Case, answers: Answers) -> float:
    """1 where the judge is right; half for a pair on which it does not decide."""
    if case.kind == "classification":
        return float(figures.named_class(case, answers["ab"]) == case.label)
    return _of_pair(case, figures.verdict(answers))


def _longer(case: Case) -> float:
    return _of_pair(case, len(case.responses[0]) - len(case.responses[1]))


def _of_pair(case: Case, margin: float) -> float:
    """Of a judge that prefers the first response by `margin`."""
    margin *= 1 if case.label == "A" else -1
    return 0.5 if margin == 0 else float(margin > 0)


def _interval(estimate: Estimate, *, signed: bool) -> str:
    sign = "+" if signed else ""
    return f"{100 * estimate.value:{sign}.1f} ({100 * estimate.low:{sign}.1f} to {100 * estimate.high:{sign}.1f})"
