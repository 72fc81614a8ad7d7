"""A report as JSON, as a table for a terminal, and as Markdown."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from rerank.metrics import Estimate
from rerank.reports.plots import PLOTS, plot_growth, plot_selectors
from rerank.reports.report import REFERENCE, Cost, Report, Suite


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
        f"({per_problem:.4g} per problem), {report.num_distinct:,} distinct after merging equal parse trees",
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
            lines.append(
                f"{row.selector} had no value for any candidate of {_count(row.num_fallbacks, 'problem')}, "
                "so the tie-break chose"
            )
    for name, consistency in report.order_consistency.items():
        share = "no pair in both orders"
        if consistency.share is not None:
            share = f"{consistency.share:.1%} of {consistency.num_pairs:,} pairs"
        lines.append(
            f"{name}: order consistency {share}, {consistency.num_disagreements:,} disagree; "
            f"{consistency.num_without_verdict:,} comparisons without a verdict"
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
    filled = [column for column in range(len(header)) if any(row[column] for row in rows)]
    return [header[column] for column in filled], [[row[column] for column in filled] for row in rows]


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _range(estimate: Estimate, sign: str = "") -> str:
    return f"{100 * estimate.low:{sign}.1f} to {100 * estimate.high:{sign}.1f}"


def _p_value(p: float) -> str:
    return "<0.0001" if p < 0.0001 else f"{p:.4f}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
