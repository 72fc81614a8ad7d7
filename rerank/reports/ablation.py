"""One run's candidates, ranked by parts of the evidence: the rows of a table, on the same problems.

    replay = open_replay("runs/codegen", tests="tests.jsonl")
    ranked = rankings(replay.public, replay.groups, replay.evidence)   # {"examples": {task_id: Ranking}, "all": ...}
    print(text(replay, ranked, against="examples"))

An ablation names what it may look at; the posterior has a regression for each such set (see `selection.posterior`).
Those without the docstring's examples see no input that was made from one either.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rerank import metrics
from rerank.evidence.agreement import AGREEMENTS
from rerank.evidence.record import Evidence
from rerank.evidence.trials import Tried
from rerank.metrics import Estimate
from rerank.records import Candidate, PublicProblem, Ranking
from rerank.reports.replay import Replay
from rerank.runs.outcomes import CandidateId
from rerank.selection.posterior import default_of
from rerank.selection.selectors import SELECTORS, select
from rerank.store import Row

Groups = Mapping[str, Sequence[Candidate]]


@dataclass(frozen=True, slots=True)
class Ablation:
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
        part = replace(
            evidence,
            scores=evidence.scores if self.scores else {},
            comparisons=evidence.comparisons if self.comparisons else (),
            examples=evidence.examples if self.examples else {},
            inputs=evidence.inputs if self.examples else None,
            written=evidence.written if self.tests else None,
            likelihoods=evidence.likelihoods if self.likelihoods else {},
        )
        if self.log_probability:
            return candidates, part
        return [replace(each, mean_log_probability=None) for each in candidates], part


_ALL = Ablation("posterior", scores=True, comparisons=True, log_probability=True, examples=True, tests=True)

ABLATIONS: dict[str, Ablation] = {
    "random": Ablation("random"),
    "first": Ablation("first"),
    "log-probability": Ablation("log-probability", log_probability=True),
    "Coder-Reviewer": Ablation("coder-reviewer", likelihoods=True),
    "Coder-Reviewer, normalised": Ablation("coder-reviewer-normalised", likelihoods=True),
    "self-certainty": Ablation("self-certainty", likelihoods=True),
    "examples": Ablation("examples", examples=True),
    "examples, then log-probability": Ablation("examples", examples=True, log_probability=True),
    "CodeT": Ablation("codet", tests=True),
    "SRank": Ablation("srank", tests=True),
    "MBR-Exec": Ablation("mbr-exec", tests=True),
    "majority vote": Ablation("majority-vote", tests=True),
    "MBR-Exec on generated inputs": Ablation("mbr-exec", examples=True),
    "autorater": Ablation("pointwise", scores=True),
    "autorater, pairwise": Ablation("borda", comparisons=True),
    "autorater, both": Ablation("posterior", scores=True, comparisons=True),
    "autorater + log-probability": Ablation("posterior", scores=True, log_probability=True),
    "autorater + log-probability, guarded": Ablation("posterior+guard", scores=True, log_probability=True),
    "autorater + examples": Ablation("posterior", scores=True, examples=True),
    "autorater + tests": Ablation("posterior", scores=True, tests=True),
    "all but the examples": Ablation("posterior", scores=True, comparisons=True, log_probability=True, tests=True),
    "all but the autorater": Ablation("posterior", log_probability=True, examples=True, tests=True),
    "all but comparisons": Ablation("posterior", scores=True, log_probability=True, examples=True, tests=True),
    "all but the tests": Ablation("posterior", scores=True, comparisons=True, log_probability=True, examples=True),
    "all": _ALL,
    "all, guarded": replace(_ALL, selector="posterior+guard"),
}


def rankings(
    problems: Sequence[PublicProblem], groups: Groups, evidence: Mapping[str, Evidence]
) -> dict[str, dict[str, Ranking]]:
    """By ablation and task_id; without those whose evidence the run has none of."""
    of_all = evidence.values()
    has = {
        "scores": any(each.scores for each in of_all),
        "comparisons": any(each.comparisons for each in of_all),
        "log_probability": any(each.mean_log_probability is not None for group in groups.values() for each in group),
        "examples": any(each.examples for each in of_all),
        "tests": any(each.written for each in of_all),
        "likelihoods": any(each.likelihoods for each in of_all),
    }
    return {
        name: {
            problem.task_id: select(
                ablation.selector, problem, *ablation.seen(groups[problem.task_id], evidence[problem.task_id])
            )
            for problem in problems
        }
        for name, ablation in ABLATIONS.items()
        if _is_possible(name, ablation, has)
    }


def _is_possible(name: str, ablation: Ablation, has: Mapping[str, bool]) -> bool:
    looks_at = [part for part in has if getattr(ablation, part)]
    if not ablation.selector.startswith("posterior"):
        return all(has[part] for part in looks_at) and (
            "tests" not in SELECTORS[ablation.selector].needs or has["tests"]
        )
    # Of several kinds of evidence the posterior makes do with what there is.
    left_out = [part for part in has if part != "likelihoods" and not getattr(ablation, part)]
    if name.startswith("all but") and not any(has[part] for part in left_out):
        return False  # the same as `all`
    return name.startswith("all") or all(has[part] for part in looks_at)


def text(
    replay: Replay, ranked: Mapping[str, Mapping[str, Ranking]], *, against: str, greedy: int | None = None
) -> str:
    """Markdown, for each set of tests: a row per ablation, ties drawn at random, and what the guard did.

    `against` is the ablation that the others are compared with; `greedy` the index of each problem's sample at
    temperature 0.
    """
    picks = {name: {task_id: each.best for task_id, each in of_name.items()} for name, of_name in ranked.items()}
    return "\n\n".join(
        f"By {tests} tests, {len(replay.problems)} problems:\n\n{_table(replay, picks, passed, against)}\n\n"
        f"With ties drawn at random: {_ties(ranked, passed)}.\n\n" + _guard(replay, picks, passed, greedy)
        for tests, passed in replay.passed.items()
    )


def pick_rows(replay: Replay, ranked: Mapping[str, Mapping[str, Ranking]]) -> Iterator[Row]:
    """Each ablation's choice for each problem, and whether it passed."""
    for name, of_name in ranked.items():
        for task_id, ranking in of_name.items():
            passed = {tests: by_id[task_id, ranking.best] for tests, by_id in replay.passed.items()}
            yield {"row": name, "task_id": task_id, "index": ranking.best, **passed}


def _seconds(ablation: Ablation, evidence: Iterable[Evidence]) -> float | None:
    """CPU seconds of the trials that it looks at."""
    seen: list[Tried] = []
    for each in evidence:
        seen += [each.written] if ablation.tests and each.written else []
        seen += [each.inputs] if ablation.examples and each.inputs and ablation.selector != "examples" else []
    return sum(trace.cpu_s for tried in seen for trace in tried.traces.values()) if seen else None


def _table(
    replay: Replay,
    picks: Mapping[str, Mapping[str, int]],
    passed: Mapping[CandidateId, bool],
    against: str,
) -> str:
    tasks = list(next(iter(picks.values())))
    outcomes = {task: [passed[task, each.index] for each in replay.groups[task]] for task in tasks}
    means = [sum(of_task) / len(of_task) for of_task in outcomes.values()]
    reachable = [any(of_task) for of_task in outcomes.values()]
    mean = metrics.mean(means)
    lines = [
        f"| row | pass@1 | 95% | uplift | 95% | less {against} | 95% | CPU s |",
        "|---|---|---|---|---|---|---|---|",
        f"| mean of candidates | {100 * mean.value:.1f} | {_range(mean)} | | | | | |",
    ]
    reference = [passed[task, picks[against][task]] for task in tasks]
    for name, of_name in picks.items():
        chosen = [passed[task, of_name[task]] for task in tasks]
        figures = metrics.uplift(chosen, means, reachable)
        difference = metrics.mean([float(a) - float(b) for a, b in zip(chosen, reference, strict=True)])
        seconds = _seconds(ABLATIONS[name], replay.evidence.values())
        cells = [
            name,
            f"{100 * figures.pass_at_1.value:.1f}",
            _range(figures.pass_at_1),
            f"{100 * figures.uplift.value:+.1f}",
            _range(figures.uplift, "+"),
            "" if name == against else f"{100 * difference.value:+.1f}",
            "" if name == against else _range(difference, "+"),
            "" if seconds is None else f"{seconds:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    oracle = metrics.mean([float(each) for each in reachable])
    lines.append(f"| oracle | {100 * oracle.value:.1f} | {_range(oracle)} | | | | | |")
    return "\n".join(lines)


def _ties(ranked: Mapping[str, Mapping[str, Ranking]], passed: Mapping[CandidateId, bool]) -> str:
    """pass@1 of the published selectors as their papers count it, where several candidates have the best value."""
    figures = []
    for name, of_name in ranked.items():
        if ABLATIONS[name].selector in AGREEMENTS:
            shares = []
            for task_id, each in of_name.items():
                best = [index for index, value in zip(each.order, each.values, strict=True) if value == each.values[0]]
                shares.append(sum(passed[task_id, index] for index in best) / len(best))
            figures.append(f"{name} {100 * sum(shares) / len(shares):.1f}")
    return ", ".join(figures)


def _guard(
    replay: Replay, picks: Mapping[str, Mapping[str, int]], passed: Mapping[CandidateId, bool], greedy: int | None
) -> str:
    """How often each posterior left the generator's own choice, and what came of it, guarded or not."""
    lines = ["| row | left the generator's choice | right for wrong | wrong for right |", "|---|---|---|---|"]
    for name, of_name in picks.items():
        if not ABLATIONS[name].selector.startswith("posterior"):
            continue
        acted = saved = cost = 0
        for task_id, index in of_name.items():
            default = default_of(replay.groups[task_id], greedy)
            acted += index != default.index
            saved += passed[task_id, index] and not passed[task_id, default.index]
            cost += passed[task_id, default.index] and not passed[task_id, index]
        lines.append(f"| {name} | {acted} | {saved} | {cost} |")
    return "\n".join(lines)


def _range(estimate: Estimate, sign: str = "") -> str:
    return f"{100 * estimate.low:{sign}.1f} to {100 * estimate.high:{sign}.1f}"
