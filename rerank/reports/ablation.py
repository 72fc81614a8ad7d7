"""One run's candidates, ranked by parts of the evidence: the rows of a table, on the same problems.

    rows = rankings(problems, groups, evidence)             # {"examples": {task_id: Ranking}, "all": {...}, ...}

A row names what it may look at; the posterior has a regression for each such set (see `rerank.posterior`). Rows without
the docstring's examples see no input that was made from one either.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rerank import metrics
from rerank.evidence.agreement import AGREEMENTS
from rerank.evidence.record import Evidence
from rerank.evidence.trials import Tried
from rerank.metrics import Estimate
from rerank.records import Candidate, PublicProblem, Ranking
from rerank.reports import ablation
from rerank.runs.finished import Passed
from rerank.selection.posterior import default_of
from rerank.selection.selectors import SELECTORS, select

Groups = Mapping[str, Sequence[Candidate]]


@dataclass(frozen=True, slots=True)
class Row:
    """A selector, and which evidence it is shown."""

    selector: str
    scores: bool = False  # pointwise ones
    comparisons: bool = False  # the autorater's, on pairs
    log_probability: bool = False
    examples: bool = False  # the docstring's, and the inputs made from them
    tests: bool = False  # those that a model wrote
    likelihoods: bool = False  # of programs and problems, by a reviewer

    def seen(self, candidates: Sequence[Candidate], evidence: Evidence) -> tuple[Sequence[Candidate], Evidence]:
        """The candidates and the evidence with all else taken away."""
        shown = replace(
            evidence,
            scores=evidence.scores if self.scores else {},
            comparisons=evidence.comparisons if self.comparisons else (),
            examples=evidence.examples if self.examples else {},
            inputs=evidence.inputs if self.examples else None,
            written=evidence.written if self.tests else None,
            likelihoods=evidence.likelihoods if self.likelihoods else {},
        )
        if self.log_probability:
            return candidates, shown
        return [replace(each, mean_log_probability=None) for each in candidates], shown


_ALL = Row("posterior", scores=True, comparisons=True, log_probability=True, examples=True, tests=True)

ROWS: dict[str, Row] = {
    "random": Row("random"),
    "first": Row("first"),
    "log-probability": Row("log-probability", log_probability=True),
    "Coder-Reviewer": Row("coder-reviewer", likelihoods=True),
    "Coder-Reviewer, normalised": Row("coder-reviewer-normalised", likelihoods=True),
    "self-certainty": Row("self-certainty", likelihoods=True),
    "examples": Row("examples", examples=True),
    "examples, then log-probability": Row("examples", examples=True, log_probability=True),
    "CodeT": Row("codet", tests=True),
    "SRank": Row("srank", tests=True),
    "MBR-Exec": Row("mbr-exec", tests=True),
    "majority vote": Row("majority-vote", tests=True),
    "MBR-Exec on generated inputs": Row("mbr-exec", examples=True),
    "autorater": Row("pointwise", scores=True),
    "autorater, pairwise": Row("borda", comparisons=True),
    "autorater, both": Row("posterior", scores=True, comparisons=True),
    "autorater + log-probability": Row("posterior", scores=True, log_probability=True),
    "autorater + log-probability, guarded": Row("posterior+guard", scores=True, log_probability=True),
    "autorater + examples": Row("posterior", scores=True, examples=True),
    "autorater + tests": Row("posterior", scores=True, tests=True),
    "all but the examples": Row("posterior", scores=True, comparisons=True, log_probability=True, tests=True),
    "all but the autorater": Row("posterior", log_probability=True, examples=True, tests=True),
    "all but comparisons": Row("posterior", scores=True, log_probability=True, examples=True, tests=True),
    "all but the tests": Row("posterior", scores=True, comparisons=True, log_probability=True, examples=True),
    "all": _ALL,
    "all, guarded": replace(_ALL, selector="posterior+guard"),
}


def rankings(
    problems: Sequence[PublicProblem], groups: Groups, evidence: Mapping[str, Evidence]
) -> dict[str, dict[str, Ranking]]:
    """By row and task_id. Rows are left out whose evidence the run has none of."""
    given = evidence.values()
    has = {
        "scores": any(each.scores for each in given),
        "comparisons": any(each.comparisons for each in given),
        "log_probability": any(each.mean_log_probability is not None for group in groups.values() for each in group),
        "examples": any(each.examples for each in given),
        "tests": any(each.written for each in given),
        "likelihoods": any(each.likelihoods for each in given),
    }
    found = {}
    for name, row in ROWS.items():
        wanted = [part for part in has if getattr(row, part)]
        if row.selector.startswith("posterior"):  # of several kinds of evidence it makes do with what there is
            left_out = [part for part in has if part != "likelihoods" and not getattr(row, part)]
            if name.startswith("all but") and not any(has[part] for part in left_out):
                continue  # the same as `all`
            if not name.startswith("all") and not all(has[part] for part in wanted):
                continue
        elif not all(has[part] for part in wanted) or ("tests" in SELECTORS[row.selector].needs and not has["tests"]):
            continue
        found[name] = {
            problem.task_id: select(
                row.selector, problem, *row.seen(groups[problem.task_id], evidence[problem.task_id])
            )
            for problem in problems
        }
    return found


def _seconds(row: ablation.Row, evidence: Iterable[Evidence]) -> float | None:
    """CPU seconds of the trials that a row looks at."""
    seen: list[Tried] = []
    for each in evidence:
        seen += [each.written] if row.tests and each.written else []
        seen += [each.inputs] if row.examples and each.inputs and row.selector != "examples" else []
    return sum(trace.cpu_s for tried in seen for trace in tried.traces.values()) if seen else None


def _table(
    rows: Mapping[str, Mapping[str, int]],
    groups: Mapping[str, Sequence[Candidate]],
    passed: Passed,
    against: str,
    seconds: Mapping[str, float | None],
) -> str:
    tasks = list(next(iter(rows.values())))
    outcomes = {task: [passed[task, each.index] for each in groups[task]] for task in tasks}
    means = [sum(each) / len(each) for each in outcomes.values()]
    reachable = [any(each) for each in outcomes.values()]
    mean = metrics.mean(means)
    lines = [
        f"| row | pass@1 | 95% | uplift | 95% | less {against} | 95% | CPU s |",
        "|---|---|---|---|---|---|---|---|",
        f"| mean of candidates | {100 * mean.value:.1f} | {_range(mean)} | | | | | |",
    ]
    reference = [passed[task, rows[against][task]] for task in tasks]
    for name, picks in rows.items():
        chosen = [passed[task, picks[task]] for task in tasks]
        found = metrics.uplift(chosen, means, reachable)
        difference = metrics.mean([float(a) - float(b) for a, b in zip(chosen, reference, strict=True)])
        cells = [
            name,
            f"{100 * found.pass_at_1.value:.1f}",
            _range(found.pass_at_1),
            f"{100 * found.uplift.value:+.1f}",
            _range(found.uplift, "+"),
            "" if name == against else f"{100 * difference.value:+.1f}",
            "" if name == against else _range(difference, "+"),
            "" if seconds[name] is None else f"{seconds[name]:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    oracle = metrics.mean([float(each) for each in reachable])
    lines.append(f"| oracle | {100 * oracle.value:.1f} | {_range(oracle)} | | | | | |")
    return "\n".join(lines)


def _ties(ranked: Mapping[str, Mapping[str, Ranking]], passed: Passed) -> str:
    """pass@1 of the published selectors as their papers count it, where several candidates have the best value."""
    found = []
    for name, given in ranked.items():
        if ablation.ROWS[name].selector in AGREEMENTS:
            shares = []
            for task_id, each in given.items():
                best = [index for index, value in zip(each.order, each.values, strict=True) if value == each.values[0]]
                shares.append(sum(passed[task_id, index] for index in best) / len(best))
            found.append(f"{name} {100 * sum(shares) / len(shares):.1f}")
    return ", ".join(found)


def _guard(
    rows: Mapping[str, Mapping[str, int]], groups: Mapping[str, Sequence[Candidate]], passed: Passed, greedy: int | None
) -> str:
    """How often each posterior left the generator's own choice, and what came of it, guarded or not."""
    lines = ["| row | left the generator's choice | right for wrong | wrong for right |", "|---|---|---|---|"]
    for name, picks in rows.items():
        if not ablation.ROWS[name].selector.startswith("posterior"):
            continue
        acted = saved = cost = 0
        for task_id, index in picks.items():
            own = default_of(groups[task_id], greedy)
            acted += index != own.index
            saved += passed[task_id, index] and not passed[task_id, own.index]
            cost += passed[task_id, own.index] and not passed[task_id, index]
        lines.append(f"| {name} | {acted} | {saved} | {cost} |")
    return "\n".join(lines)


def _range(estimate: Estimate, sign: str = "") -> str:
    return f"{100 * estimate.low:{sign}.1f} to {100 * estimate.high:{sign}.1f}"
