"""One run's candidates, ranked by parts of the evidence: the rows of a table, on the same problems.

    rows = rankings(problems, groups, evidence)             # {"examples": {task_id: Ranking}, "all": {...}, ...}

A row names what it may look at; the posterior has a regression for each such set (see `rerank.posterior`). Rows without
the docstring's examples see no input that was made from one either.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rerank.records import Candidate, PublicProblem, Ranking
from rerank.selection import NEED_TESTS, Evidence, select

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
        elif not all(has[part] for part in wanted) or (row.selector in NEED_TESTS and not has["tests"]):
            continue
        found[name] = {
            problem.task_id: select(
                row.selector, problem, *row.seen(groups[problem.task_id], evidence[problem.task_id])
            )
            for problem in problems
        }
    return found
