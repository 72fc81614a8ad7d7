"""A report's plots, by matplotlib."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rerank.reports.report import Report
from rerank.selection.baselines import BASELINES

PLOTS = ("selectors.png", "growth.png")
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
                f"{label} {100 * share:.1f}",
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
