"""What a run found, as one record, one JSON, one table, one page and two plots.

    report = build_report(problems, candidates, {"first": rankings, ...}, passed, settings=settings)
    print(table(report))
    write_report(report, folder)          # report.json, report.md, selectors.png, growth.png

Every selector is judged on the same problems and the same candidates. A problem counts when it has candidates, every
selector ranked it and every candidate has an outcome; the others are counted as incomplete, so that an interrupted run
can be reported too. Shares are 0 to 1 in the record and the JSON, and per cent in the table, the page and the plots.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from rerank.aggregation import OrderConsistency, order_consistency
from rerank.baselines import BASELINES
from rerank.errors import InputError
from rerank.evidence.agreement import AGREEMENTS
from rerank.metrics import (
    Estimate,
    Uplift,
    growth_by_order,
    growth_by_resampling,
    mcnemar_p,
    mean_pass_at_k,
    uplift,
)
from rerank.records import Candidate, Comparison, Problem, Ranking

Passed = Mapping[tuple[str, int], bool]  # (task_id, candidate index): did it pass?
Picker = Callable[[str, tuple[int, ...]], int]  # task_id and some of its candidate indices to the index of the choice

REFERENCE = "log-probability"  # the selector that the others are tested against
PLOTS = ("selectors.png", "growth.png")
# No curve: the same at every n, up to noise; and what a program is worth depends on which others there are, so that the
# ranking of all does not say what would be chosen among some.
_WITHOUT_GROWTH = ("random", "first", *AGREEMENTS, "posterior", "posterior+guard")


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
    num_fallbacks: int  # problems on which it had nothing to go by for its choice, and took ties' order


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
    passed_extra: Passed | None = None,
    costs: Mapping[str, Cost] | None = None,
    comparisons: Mapping[str, Sequence[Comparison]] | None = None,
    pickers: Mapping[str, Picker] | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    num_resamples: int = 10_000,
) -> Report:
    """Put the figures of a run together.

    passed_extra  by the problems' stricter tests; a candidate counts under `plus` when it passed both
    comparisons   by selector, for order consistency
    pickers       by selector, for the growth curve of selectors that compare: their choice among some candidates only.
                  Without one such a selector has no curve; the others' curves follow from their rankings exactly
    Raises InputError when no problem is complete.
    """
    of_task: dict[str, list[Candidate]] = {problem.task_id: [] for problem in problems}
    for candidate in sorted(candidates, key=lambda each: each.index):
        of_task.setdefault(candidate.task_id, []).append(candidate)
    ranked = {name: {ranking.task_id: ranking for ranking in given} for name, given in rankings.items()}

    def is_complete(task_id: str, outcomes: Passed) -> bool:
        judged = all((task_id, each.index) in outcomes for each in of_task[task_id])
        return bool(of_task[task_id]) and judged and all(task_id in given for given in ranked.values())

    task_ids = [task_id for task_id in of_task if is_complete(task_id, passed)]
    if not task_ids:
        raise InputError("nothing to report: no problem has candidates, a ranking by every selector and all outcomes")
    judged_by = {"base": (task_ids, passed)}
    if passed_extra is not None:
        both = {place: good and passed.get(place, False) for place, good in passed_extra.items()}
        with_extra = [task_id for task_id in task_ids if is_complete(task_id, both)]
        if with_extra:
            judged_by["plus"] = (with_extra, both)
    # Both suites draw the same subsets, and small ones come up more than once.
    remembered = {name: cache(pick) for name, pick in (pickers or {}).items()}
    suites = tuple(
        _suite(
            tests,
            {task_id: of_task[task_id] for task_id in kept},
            ranked,
            outcomes,
            pickers=remembered,
            seed=seed,
            num_resamples=num_resamples,
        )
        for tests, (kept, outcomes) in judged_by.items()
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
        num_comparisons={name: sum(given[each].num_comparisons for each in task_ids) for name, given in ranked.items()},
        costs=dict(costs or {}),
        order_consistency={name: order_consistency(given) for name, given in (comparisons or {}).items()},
        seed=seed,
        num_resamples=num_resamples,
        settings=dict(settings or {}),
    )


def _suite(
    tests: str,
    of_task: Mapping[str, Sequence[Candidate]],
    ranked: Mapping[str, Mapping[str, Ranking]],
    outcomes: Passed,
    *,
    pickers: Mapping[str, Picker],
    seed: int,
    num_resamples: int,
) -> Suite:
    passed = {task_id: [outcomes[task_id, each.index] for each in given] for task_id, given in of_task.items()}
    counts = [(len(given), sum(given)) for given in passed.values()]
    means = [num_correct / num_samples for num_samples, num_correct in counts]
    reachable = [num_correct > 0 for _, num_correct in counts]
    chosen = {name: [outcomes[task_id, given[task_id].best] for task_id in of_task] for name, given in ranked.items()}

    def figures(selected: Sequence[float]) -> Uplift:
        return uplift(selected, means, reachable, seed=seed, num_resamples=num_resamples)

    growth: dict[str, Sequence[float]] = {}
    for name, given in ranked.items():
        if name in pickers:
            growth[name] = _growth_by_picking(pickers[name], of_task, outcomes, seed=seed)
        elif name not in _WITHOUT_GROWTH and not any(ranking.num_comparisons for ranking in given.values()):
            growth[name] = growth_by_order(
                [[outcomes[task_id, index] for index in given[task_id].order] for task_id in of_task]
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
    pick: Picker, of_task: Mapping[str, Sequence[Candidate]], outcomes: Passed, *, seed: int
) -> Sequence[float]:
    def for_task(task_id: str, indices: Sequence[int]) -> Callable[[Sequence[int]], int]:
        return lambda places: indices.index(pick(task_id, tuple(indices[place] for place in places)))

    places = {task_id: [each.index for each in given] for task_id, given in of_task.items()}
    return growth_by_resampling(
        [for_task(task_id, indices) for task_id, indices in places.items()],
        [[outcomes[task_id, index] for index in indices] for task_id, indices in places.items()],
        seed=seed,
    )


def to_json(report: Report) -> str:
    """The whole record as one JSON document."""
    return json.dumps(dataclasses.asdict(report), indent=2, ensure_ascii=False, default=str) + "\n"


def table(report: Report) -> str:
    """For a terminal: one table for each set of tests, numbers aligned, what they rest on above and below."""
    blocks = ["\n".join(candidate_lines(report))]
    for suite in report.suites:
        header, rows = cells(report, suite)
        widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
        lines = [
            "  ".join(
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in [header, *rows]
        ]
        rule = "-" * max(map(len, lines))
        title = f"{suite.tests} tests, {_count(suite.num_problems, 'problem')}"
        blocks.append("\n".join([title, rule, lines[0], rule, *lines[1:], rule]))
    blocks.append("\n".join(note_lines(report)))
    return "\n\n".join(blocks) + "\n"


def markdown(report: Report, *, plots: Sequence[str] = PLOTS) -> str:
    """For a page: the same tables, the settings, and the plots by their file names."""
    blocks = ["# Report", "\n".join(f"- {line}" for line in candidate_lines(report))]
    for suite in report.suites:
        header, rows = cells(report, suite)
        align = ["---", *["---:"] * (len(header) - 1)]
        blocks.append(f"## By {suite.tests} tests, {_count(suite.num_problems, 'problem')}")
        blocks.append("\n".join("| " + " | ".join(row) + " |" for row in [header, align, *rows]))
    blocks.append("\n".join(f"- {line}" for line in note_lines(report)))
    blocks += [f"![{Path(plot).stem}]({plot})" for plot in plots]
    if report.cuts:
        blocks.append("## What extraction changed")
        blocks.append("\n".join(f"- {cut}: {_count(times, 'candidate')}" for cut, times in report.cuts.items()))
    if report.settings:
        blocks.append("## Settings")
        blocks.append("```json\n" + json.dumps(report.settings, indent=2, ensure_ascii=False, default=str) + "\n```")
    return "\n\n".join(blocks) + "\n"


def write_report(report: Report, folder: str | Path) -> list[Path]:
    """Write report.json, report.md and the plots into an existing folder; return their paths."""
    folder = Path(folder)
    plots = [folder / name for name in PLOTS]
    plot_selectors(report, plots[0])
    plot_growth(report, plots[1])
    paths = [folder / "report.json", folder / "report.md", *plots]
    paths[0].write_text(to_json(report), encoding="utf-8")
    paths[1].write_text(markdown(report), encoding="utf-8")
    return paths


def candidate_lines(report: Report) -> list[str]:
    per_problem = report.num_candidates / report.num_problems
    lines = [
        f"{_count(report.num_problems, 'problem')}, {_count(report.num_candidates, 'candidate')} "
        f"({per_problem:.4g} a problem), {report.num_distinct:,} distinct after merging equal parse trees",
        f"{report.num_unparsed:,} do not parse; extraction changed {report.num_changed:,} "
        f"({report.num_changed / report.num_candidates:.0%})",
    ]
    if report.num_incomplete:
        lines.append(
            f"{_count(report.num_incomplete, 'problem')} left out: candidates, rankings or outcomes are missing"
        )
    return lines


def note_lines(report: Report) -> list[str]:
    lines = [
        f"per cent; 95%: paired bootstrap over problems, {report.num_resamples:,} resamples, seed {report.seed}",
        "uplift: over the mean of candidates; gap closed: uplift / (oracle - mean)",
    ]
    if any(row.mcnemar_p is not None for suite in report.suites for row in suite.selectors):
        lines.append(f"p: exact McNemar test against {REFERENCE}")
    for suite in report.suites:
        at_k = ", ".join(f"pass@{k} {_percent(value)}" for k, value in suite.pass_at_k.items())
        lines.append(f"candidates by {suite.tests} tests, unbiased: {at_k}")
    for row in report.suites[0].selectors:
        if row.num_fallbacks:
            lines.append(f"{row.selector} had nothing to go by on {_count(row.num_fallbacks, 'problem')}")
    for name, found in report.order_consistency.items():
        share = "no pair in both orders" if found.share is None else f"{found.share:.1%} of {found.num_pairs:,} pairs"
        lines.append(
            f"{name}: order consistency {share}, {found.num_disagreements:,} disagree; "
            f"{found.num_without_verdict:,} comparisons without a verdict"
        )
    return lines


def cells(report: Report, suite: Suite) -> tuple[list[str], list[list[str]]]:
    """The table of one suite as text: header and rows; columns that no selector fills are left out."""
    header = ["selector", "pass@1", "95%", "uplift", "95%", "gap closed", "p", "comparisons", "tokens", "seconds"]
    rows = [["mean of candidates", _percent(suite.mean.value), _range(suite.mean), *[""] * 7]]
    for row in suite.selectors:
        gain, closed = row.figures.uplift, row.figures.gap_closed
        cost = report.costs.get(row.selector, Cost())
        spent = report.num_comparisons[row.selector]
        rows.append(
            [
                row.selector,
                _percent(row.figures.pass_at_1.value),
                _range(row.figures.pass_at_1),
                f"{100 * gain.value:+.1f}",
                _range(gain, sign="+"),
                "" if closed is None else f"{closed.value:.0%}",
                "" if row.mcnemar_p is None else _p_value(row.mcnemar_p),
                f"{spent:,}" if spent else "",
                "" if cost.num_tokens is None else f"{cost.num_tokens:,}",
                "" if cost.seconds is None else f"{cost.seconds:,.1f}",
            ]
        )
    rows.append(["oracle", _percent(suite.oracle.value), _range(suite.oracle), *[""] * 7])
    kept = [column for column in range(len(header)) if any(row[column] for row in rows)]
    return [header[column] for column in kept], [[row[column] for column in kept] for row in rows]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _range(estimate: Estimate, sign: str = "") -> str:
    return f"{100 * estimate.low:{sign}.1f} to {100 * estimate.high:{sign}.1f}"


def _p_value(p: float) -> str:
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# Plots. matplotlib is imported where it is used: it takes half a second, and only a report needs it.

_INK, _MUTED, _FAINT = "#1f2933", "#7b8794", "#e4e7eb"
_BASELINE, _JUDGE = "#9fb3c8", "#2f6fb3"  # bars of selectors without and with a model or a run behind them
_LINES = ("#2f6fb3", "#d9822b", "#3d9970", "#b5446e", "#7a5ea8", "#8c6d46", "#3aa6b9", "#626f7b")


def plot_selectors(report: Report, path: str | Path) -> None:
    """Bars of pass@1 with 95% intervals, between the candidates' mean and the oracle; one panel a set of tests."""
    from matplotlib.figure import Figure

    # One draw of `random` is noise around the line of its expectation, which is there already.
    names = [row.selector for row in report.suites[0].selectors if row.selector != "random"]
    figure = Figure(figsize=(1.9 + 4.1 * len(report.suites), 1.5 + 0.38 * len(names)), dpi=160, layout="constrained")
    panels = figure.subplots(1, len(report.suites), sharey=True, squeeze=False)[0]
    for axes, suite in zip(panels, report.suites, strict=True):
        for row in suite.selectors:
            if row.selector not in names:
                continue
            place, estimate = names.index(row.selector), row.figures.pass_at_1
            value, low, high = (100 * share for share in (estimate.value, estimate.low, estimate.high))
            color, ink = (_BASELINE, _INK) if row.selector in BASELINES else (_JUDGE, "white")
            axes.barh(place, value, height=0.62, color=color, zorder=2)
            axes.plot([low, high], [place, place], color=_INK, lw=1, marker="|", markersize=6, zorder=3)
            axes.text(1.5, place, f"{value:.1f}", color=ink, fontsize=8.5, fontweight="bold", va="center", zorder=4)
        is_narrow = suite.oracle.value - suite.mean.value < 0.25
        lines = ((suite.mean.value, "random", "right"), (suite.oracle.value, "oracle", "left"))
        for share, label, side in lines:
            axes.axvline(100 * share, color=_INK, lw=1, ls=(0, (4, 3)), zorder=1)
            axes.annotate(
                f"{label} {_percent(share)}",
                (100 * share, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha=side if is_narrow else "center",
                fontsize=8,
                color=_INK,
            )
        axes.set_title(f"{suite.tests} tests, n = {suite.num_problems}", fontsize=10, color=_INK, pad=18)
        axes.set_xlabel("pass@1 of the choice, % (95% interval)", fontsize=9, color=_INK)
        axes.set_xlim(0, 100)
        _strip(axes, grid="x")
    panels[0].set_yticks(range(len(names)), names, fontsize=9.5, color=_INK)
    panels[0].set_ylim(len(names) - 0.45, -0.55)  # first selector on top
    figure.savefig(path, metadata={"Software": None})


def plot_growth(report: Report, path: str | Path) -> None:
    """Expected pass@1 of the choice as candidates are added; one panel a set of tests."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(0.6 + 5.2 * len(report.suites), 4.0), dpi=160, layout="constrained")
    panels = figure.subplots(1, len(report.suites), sharey=True, squeeze=False)[0]
    shares = [share for suite in report.suites for curve in suite.growth.values() for share in curve]
    low, high = 100 * min(shares) - 2, 100 * max(shares) + 2
    for axes, suite in zip(panels, report.suites, strict=True):
        judged = [name for name in suite.growth if name not in ("random", "oracle")]
        styles: dict[str, dict[str, Any]] = {
            name: {"color": _LINES[place % len(_LINES)], "lw": 1.8} for place, name in enumerate(judged)
        }
        styles |= {name: {"color": _INK, "lw": 1.1, "ls": (0, (4, 3))} for name in ("random", "oracle")}
        size = max(len(curve) for curve in suite.growth.values())
        for name, curve in suite.growth.items():
            axes.plot(
                range(1, len(curve) + 1),
                [100 * share for share in curve],
                marker="o" if size <= 12 else None,
                markersize=3,
                **styles[name],
            )
        ends = {name: 100 * curve[-1] for name, curve in suite.growth.items()}
        for name, height in apart(ends, (high - low) / 19).items():
            axes.annotate(
                f"{name} {ends[name]:.1f}",
                (size, ends[name]),
                xytext=(1.015, (height - low) / (high - low)),
                textcoords="axes fraction",
                va="center",
                fontsize=8.5,
                color=styles[name]["color"],
                annotation_clip=False,
            )
        axes.set_ylim(low, high)
        if size > 20:
            ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if tick <= size]
            axes.set_xscale("log")
            axes.set_xticks(ticks, map(str, ticks))
            axes.set_xticks([], minor=True)
        axes.set_xlim(1, max(size, 2))
        axes.set_title(f"{suite.tests} tests, n = {suite.num_problems} problems", fontsize=10, color=_INK)
        axes.set_xlabel("candidates to choose from", fontsize=9, color=_INK)
        _strip(axes, grid="y")
    panels[0].set_ylabel("expected pass@1, %", fontsize=9, color=_INK)
    figure.savefig(path, metadata={"Software": None})


def apart(heights: Mapping[str, float], gap: float) -> dict[str, float]:
    """Heights of labels: from the lowest on, each is moved up until it is `gap` from the one below."""
    placed: dict[str, float] = {}
    floor = float("-inf")
    for name in sorted(heights, key=lambda name: heights[name]):
        placed[name] = max(heights[name], floor)
        floor = placed[name] + gap
    return placed


def _strip(axes: Any, *, grid: str) -> None:
    """Leave only what is read: a faint grid along one axis, no frame."""
    axes.grid(axis=grid, color=_FAINT, lw=0.8, zorder=0)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left") if grid == "x" else ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(_MUTED)
    axes.tick_params(colors=_MUTED, labelcolor=_INK, labelsize=8.5, length=0)
