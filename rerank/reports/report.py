"""`Report`: the figures of a run, as one record. `tables`, `plots` and `page` show it.

    report = build_report(problems, candidates, {"first": rankings, ...}, passed, settings=settings)
    report.suites[0].selectors[0].figures.pass_at_1.value     # 0.512

Every selector is judged on the same problems and the same candidates. A problem counts when it has candidates, every
selector ranked it and every candidate has an outcome; the others are counted as incomplete, so that an interrupted run
can be reported too. Shares are 0 to 1 in the record and the JSON, and per cent in the table, the page and the plots.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from rerank.errors import InputError
from rerank.metrics import Estimate, Uplift, growth_by_order, growth_by_resampling, mcnemar_p, mean_pass_at_k, uplift
from rerank.records import Candidate, Comparison, Problem, Ranking
from rerank.runs.outcomes import CandidateId, Passed
from rerank.selection.aggregation import OrderConsistency, order_consistency
from rerank.selection.selectors import has_growth

Picker = Callable[[str, tuple[int, ...]], int]  # task_id and some of its candidate indices to the index of the choice

REFERENCE = "log-probability"  # the selector that the others are tested against


@dataclass(frozen=True, slots=True)
class Cost:
    """What a selector spent on the whole run beside its comparisons, which its rankings count."""

    num_tokens: int | None = None  # read and written by a model
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class SelectorFigures:
    """One selector under one set of tests."""

    selector: str
    figures: Uplift
    mcnemar_p: float | None  # against REFERENCE; None for itself and where it is not among the selectors
    num_passed: int  # problems whose choice passed
    num_fallbacks: int  # problems on which it had no value for any candidate, so that the tie-break chose


@dataclass(frozen=True, slots=True)
class Suite:
    """All selectors under one set of tests."""

    tests: str  # `base`, or `plus`: base and extra tests both passed
    num_problems: int
    mean: Estimate  # the candidates' mean pass@1: what random picking expects
    oracle: Estimate  # share of problems that any candidate solves
    pass_at_k: Mapping[int, float]  # of the candidates, unbiased, for k = 1, 10, 100 as far as there are samples
    selectors: tuple[SelectorFigures, ...]
    growth: Mapping[str, Sequence[float]]  # expected pass@1 of the choice among n candidates, for n = 1, 2, ...


@dataclass(frozen=True, slots=True)
class Report:
    """A run's figures, with all that is needed to read them."""

    num_problems: int
    num_incomplete: int  # problems left out: no candidates, or an outcome or a ranking is missing
    num_candidates: int
    num_distinct: int  # after merging programs of one problem with equal parse trees; those that do not parse left out
    num_unparsed: int
    num_changed: int  # candidates of which extraction cut or added something
    cuts: Mapping[str, int]  # how often each kind of change was made
    suites: tuple[Suite, ...]
    num_comparisons: Mapping[str, int]  # by selector, each order counted
    costs: Mapping[str, Cost]
    order_consistency: Mapping[str, OrderConsistency]
    seed: int
    num_resamples: int
    settings: Mapping[str, Any] = field(default_factory=dict)


def build_report(
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    rankings: Mapping[str, Sequence[Ranking]],
    passed: Passed,
    *,
    costs: Mapping[str, Cost] | None = None,
    comparisons: Mapping[str, Sequence[Comparison]] | None = None,
    pickers: Mapping[str, Picker] | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    num_resamples: int = 10_000,
) -> Report:
    """Put the figures of a run together.

    passed       a candidate counts under `plus` when it passed both the base tests and the extra ones
    comparisons  by selector, for order consistency
    pickers      by selector, for the growth curve of selectors that compare: their choice among some candidates only.
                 Without one such a selector has no curve; the others' curves follow from their rankings exactly
    Raises InputError when no problem is complete.
    """
    of_task: dict[str, list[Candidate]] = {problem.task_id: [] for problem in problems}
    for candidate in sorted(candidates, key=lambda each: each.index):
        of_task.setdefault(candidate.task_id, []).append(candidate)
    ranked = {name: {ranking.task_id: ranking for ranking in of_name} for name, of_name in rankings.items()}

    def is_complete(task_id: str, outcomes: Mapping[CandidateId, bool]) -> bool:
        is_executed = all((task_id, each.index) in outcomes for each in of_task[task_id])
        return bool(of_task[task_id]) and is_executed and all(task_id in by_task for by_task in ranked.values())

    task_ids = [task_id for task_id in of_task if is_complete(task_id, passed.base)]
    if not task_ids:
        raise InputError("nothing to report: no problem has candidates, a ranking by every selector and all outcomes")
    by_tests = {"base": (task_ids, passed.base)}
    if passed.plus is not None:
        both = {place: is_right and passed.base.get(place, False) for place, is_right in passed.plus.items()}
        with_extra = [task_id for task_id in task_ids if is_complete(task_id, both)]
        if with_extra:
            by_tests["plus"] = (with_extra, both)
    # Both suites draw the same subsets, and small ones come up more than once.
    remembered = {name: cache(pick) for name, pick in (pickers or {}).items()}
    suites = tuple(
        _suite(
            tests,
            {task_id: of_task[task_id] for task_id in of_suite},
            ranked,
            outcomes,
            pickers=remembered,
            seed=seed,
            num_resamples=num_resamples,
        )
        for tests, (of_suite, outcomes) in by_tests.items()
    )
    counted = [candidate for task_id in task_ids for candidate in of_task[task_id]]
    return Report(
        num_problems=len(task_ids),
        num_incomplete=len(of_task) - len(task_ids),
        num_candidates=len(counted),
        num_distinct=len({(each.task_id, each.key) for each in counted if each.key is not None}),
        num_unparsed=sum(each.key is None for each in counted),
        num_changed=sum(bool(each.cuts) for each in counted),
        cuts=dict(Counter(cut for each in counted for cut in each.cuts).most_common()),
        suites=suites,
        num_comparisons={
            name: sum(by_task[task_id].num_comparisons for task_id in task_ids) for name, by_task in ranked.items()
        },
        costs=dict(costs or {}),
        order_consistency={name: order_consistency(of_name) for name, of_name in (comparisons or {}).items()},
        seed=seed,
        num_resamples=num_resamples,
        settings=dict(settings or {}),
    )


def _suite(
    tests: str,
    of_task: Mapping[str, Sequence[Candidate]],
    ranked: Mapping[str, Mapping[str, Ranking]],
    outcomes: Mapping[CandidateId, bool],
    *,
    pickers: Mapping[str, Picker],
    seed: int,
    num_resamples: int,
) -> Suite:
    passed = {task_id: [outcomes[task_id, each.index] for each in group] for task_id, group in of_task.items()}
    counts = [(len(of_problem), sum(of_problem)) for of_problem in passed.values()]
    means = [num_correct / num_samples for num_samples, num_correct in counts]
    reachable = [num_correct > 0 for _, num_correct in counts]
    chosen = {
        name: [outcomes[task_id, by_task[task_id].best] for task_id in of_task] for name, by_task in ranked.items()
    }

    def figures(selected: Sequence[float]) -> Uplift:
        return uplift(selected, means, reachable, seed=seed, num_resamples=num_resamples)

    growth: dict[str, Sequence[float]] = {}
    for name, by_task in ranked.items():
        if name in pickers:
            growth[name] = _growth_by_picking(pickers[name], of_task, outcomes, seed=seed)
        elif has_growth(name) and not any(ranking.num_comparisons for ranking in by_task.values()):
            growth[name] = growth_by_order(
                [[outcomes[task_id, index] for index in by_task[task_id].order] for task_id in of_task]
            )
    size = min(num_samples for num_samples, _ in counts)
    growth["random"] = [sum(means) / len(means)] * size
    growth["oracle"] = [mean_pass_at_k(counts, k) for k in range(1, size + 1)]
    reference = chosen.get(REFERENCE)
    return Suite(
        tests=tests,
        num_problems=len(of_task),
        mean=figures(means).pass_at_1,
        oracle=figures(reachable).pass_at_1,
        pass_at_k={k: mean_pass_at_k(counts, k) for k in (1, 10, 100) if k <= size},
        selectors=tuple(
            SelectorFigures(
                selector=name,
                figures=figures(selected),
                mcnemar_p=None if reference is None or name == REFERENCE else mcnemar_p(selected, reference),
                num_passed=sum(selected),
                num_fallbacks=sum(ranked[name][task_id].values[0] is None for task_id in of_task),
            )
            for name, selected in chosen.items()
        ),
        growth=growth,
    )


def _growth_by_picking(
    pick: Picker, of_task: Mapping[str, Sequence[Candidate]], outcomes: Mapping[CandidateId, bool], *, seed: int
) -> Sequence[float]:
    def for_task(task_id: str, indices: Sequence[int]) -> Callable[[Sequence[int]], int]:
        return lambda places: indices.index(pick(task_id, tuple(indices[place] for place in places)))

    places = {task_id: [each.index for each in group] for task_id, group in of_task.items()}
    return growth_by_resampling(
        [for_task(task_id, indices) for task_id, indices in places.items()],
        [[outcomes[task_id, index] for index in indices] for task_id, indices in places.items()],
        seed=seed,
    )
