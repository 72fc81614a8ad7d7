"""The figures of a judge for people and for programs: a table, one JSON document, two plots."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rerank.judge_bench.bias import Bias
from rerank.judge_bench.figures import Report, SetFigures
from rerank.metrics import Estimate

_INK, _JUDGE = "#24292f", "#2f6fab"
_MAX_BARS = 60
_MAX_SUBSETS = 25  # that a set shows in the table; judge.json has all


def write(report: Report, folder: Path, *, title: str, settings: Mapping[str, Any] | None = None) -> None:
    """judge.json, judge.md and the plots."""
    (folder / "judge.json").write_text(to_json(report, settings), encoding="utf-8")
    (folder / "judge.md").write_text(f"# {title}\n\n```\n{table(report)}```\n", encoding="utf-8")
    plot_sets(report, folder / "accuracy.png", title=title)
    if report.biases:
        plot_biases(report.biases, folder / "bias.png", title=title)


def to_json(report: Report, settings: Mapping[str, Any] | None = None) -> str:
    document = asdict(report)
    for row, each in zip(document["biases"], report.biases, strict=True):
        row["definition"] = each.definition
    for row, one in zip(document["sets"], report.sets, strict=True):
        row["measure"] = one.measure
    return json.dumps({**document, "settings": settings or {}}, indent=2) + "\n"


def table(report: Report) -> str:
    """Sets by kind, categories, RewardBench, biases; shares in per cent, correlations as they are."""
    lines: list[str] = []
    for kind in ("pairwise", "best_of", "classification", "pointwise"):
        sets = [each for each in report.sets if each.kind == kind]
        if sets:
            lines += [*_sets(kind, sets), ""]
    for measure, means in report.categories.items():
        lines.append(f"{measure}, mean over the sets of a category; all: mean over the categories")
        lines += [f"  {category:32}{_number(value, measure):>8}" for category, value in means.items()]
        lines.append("")
    if report.reward_bench:
        lines.append("RewardBench, its subsets weighted as it does")
        lines += [f"  {section:32}{100 * value:8.1f}" for section, value in report.reward_bench.items()]
        if report.reward_bench_missing:
            lines.append(f"  no overall score: {len(report.reward_bench_missing)} subsets were not measured")
        lines.append("")
    if report.reward_bench_2:
        lines.append("RewardBench 2")
        lines += [f"  {subset:32}{100 * value:8.1f}" for subset, value in report.reward_bench_2.items()]
        lines.append("")
    if report.biases:
        lines += [*_biases(report.biases), ""]
    if report.num_votes:
        unparsed = report.num_unparsed / report.num_votes
        lines.append(
            f"{report.num_questions:,} questions, {report.num_votes:,} answers, {report.num_unparsed:,} without a "
            f"verdict ({unparsed:.1%})"
        )
    return "\n".join(lines) + "\n"


def _sets(kind: str, sets: Sequence[SetFigures]) -> list[str]:
    shown = {
        "pairwise": ("one order", "right in both orders", "orders agree", "ties", "no verdict"),
        "best_of": ("no verdict",),
        "classification": ("accuracy", "no verdict"),
        "pointwise": ("Spearman", "Pearson", "no verdict"),
    }[kind]
    baselines = list(sets[0].baselines)
    measure = sets[0].measure
    columns = [measure, "95%", *shown, *(f"[{name}]" for name in baselines)]
    rows = [["set", "n", *columns]]
    for each in sets:
        rows.append(_set_row(each.name, each, measure, shown, baselines))
        if len(each.subsets) <= _MAX_SUBSETS:
            rows += [_set_row(f"  {part.name}", part, measure, shown, baselines) for part in each.subsets]
    widths = [max(len(row[place]) for row in rows) for place in range(len(columns) + 2)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return [
        f"{kind.replace('_', '-')} ([name]: what a rule without a model gets)",
        lines[0],
        "-" * len(lines[0]),
        *lines[1:],
    ]


def _set_row(name: str, each: SetFigures, measure: str, shown: Sequence[str], baselines: Sequence[str]) -> list[str]:
    interval = "" if each.main is None else f"{_number(each.main.low, measure)} to {_number(each.main.high, measure)}"
    figures = []
    for key in shown:
        estimate = each.figures.get(key)
        figures.append("" if estimate is None else _number(estimate.value, key))
    rules = [_number(value, measure) if (value := each.baselines.get(key)) is not None else "" for key in baselines]
    main = "" if each.main is None else _number(each.main.value, measure)
    return [name, f"{each.num_cases:,}", main, interval, *figures, *rules]


def _biases(biases: Sequence[Bias]) -> list[str]:
    lines = [
        "bias: 0 is not swayed; CoBBLEr's definitions",
        f"  {'':28}{'bias':>6}  {'95%':>14}{'coin':>7}{'pairs':>8}",
    ]
    for each in biases:
        value = "" if each.value is None else f"{each.value.value:.2f}"
        interval = "" if each.value is None else f"{each.value.low:.2f} to {each.value.high:.2f}"
        note = f" ({each.note})" if each.note else ""
        lines.append(
            f"  {each.name:28}{value:>6}  {interval:>14}{each.random:7.2f}{each.num_pairs:8,}  {each.definition}{note}"
        )
    return lines


def _number(value: float, measure: str) -> str:
    return f"{value:.3f}" if measure in ("Kendall", "Spearman", "Pearson") else f"{100 * value:.1f}"


def plot_sets(report: Report, path: Path, *, title: str) -> None:
    """Main figure of each set with its interval, and marks for the baselines; one panel a measure."""
    from matplotlib.figure import Figure

    panels: dict[str, list[SetFigures]] = {}
    for each in report.sets:
        if each.main is not None:
            panels.setdefault(each.measure, []).append(each)
    if not panels:
        return
    shown = {measure: sorted(sets, key=lambda each: each.category)[:_MAX_BARS] for measure, sets in panels.items()}
    rows = max(map(len, shown.values()))
    figure = Figure(figsize=(5.6 * len(shown), 1.4 + 0.24 * rows), dpi=130, layout="constrained")
    marks = {"longest": ">", "shortest": "<", "first": "s", "one class": "s", "random": "x"}
    for axes, (measure, sets) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
        used: set[str] = set()
        for place, each in enumerate(sets):
            assert each.main is not None
            _bar(axes, place, each.main)
            for name, mark in marks.items():
                value = each.baselines.get(name)
                if value is not None:
                    axes.plot(
                        value,
                        place,
                        mark,
                        color=_INK,
                        ms=4,
                        mfc="white",
                        zorder=4,
                        label=None if name in used else name,
                    )
                    used.add(name)
        axes.set_yticks(range(len(sets)), [f"{each.name} ({each.category})" for each in sets], fontsize=7)
        axes.set_ylim(rows - 0.4, -0.6)  # bars of one height in every panel
        axes.set_xlabel(f"{measure} (95% interval)", fontsize=8)
        axes.grid(axis="x", color="#e6e8eb", zorder=0)
        axes.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, metadata={"Software": None})


def plot_biases(biases: Sequence[Bias], path: Path, *, title: str) -> None:
    from matplotlib.figure import Figure

    measured = [each for each in biases if each.value is not None]
    figure = Figure(figsize=(6.4, 1.2 + 0.34 * len(measured)), dpi=130, layout="constrained")
    axes = figure.subplots()
    for place, each in enumerate(measured):
        assert each.value is not None
        _bar(axes, place, each.value)
        axes.plot(each.random, place, "x", color=_INK, ms=5, zorder=4, label=None if place else "coin")
    axes.set_yticks(range(len(measured)), [f"{each.name} (n = {each.num_pairs:,})" for each in measured], fontsize=8)
    axes.set_ylim(len(measured) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel("bias, 0: not swayed (95% interval)", fontsize=8)
    axes.grid(axis="x", color="#e6e8eb", zorder=0)
    if measured:
        axes.legend(fontsize=8, loc="lower right")
    axes.set_title(title, fontsize=10)
    figure.savefig(path, metadata={"Software": None})


def _bar(axes: Any, place: int, estimate: Estimate) -> None:
    axes.barh(place, estimate.value, height=0.62, color=_JUDGE, zorder=2)
    axes.plot([estimate.low, estimate.high], [place, place], color=_INK, lw=1.4, zorder=3)
