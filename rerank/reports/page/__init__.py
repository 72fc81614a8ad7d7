"""A run as one HTML file to look through: the figures, and every problem with its candidates side by side.

    text = render(report, problems, selector="pointwise", title="runs/first")
    Path("page.html").write_text(text, encoding="utf-8")

The file stands alone: its policy (a Content-Security-Policy by hash) lets it load nothing and run no script but its
own. What a model wrote is never markup: it lies packed in data blocks, and the script makes text nodes of it. Figures
and plots are plain HTML and SVG, there without a script. Each problem is a block of its own, unpacked when it is looked
at, so that a hundred candidates to each of hundreds of problems open at once.

The script unpacks with DecompressionStream, which browsers have had since 2023; in an older one the page says so.

What the page cannot do: read more than one run, or change anything.
"""

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from rerank.records import Candidate, Comparison, Problem, Ranking
from rerank.reports.page import charts
from rerank.reports.report import Report, Suite
from rerank.reports.tables import candidate_lines, cells, note_lines
from sandbox import Outcome

MAX_TEST_CHARS = 20_000  # longer hidden tests are left out of the page: some extra tests are megabytes


@dataclass(frozen=True, slots=True)
class ProblemView:
    """All that the page shows of one problem."""

    problem: Problem
    candidates: Sequence[Candidate]  # in the order of their index
    outcomes: Mapping[str, Sequence[Outcome]]  # by tests (`base`, `plus`), one per candidate
    rankings: Mapping[str, Ranking]  # by selector
    comparisons: Sequence[Comparison] = ()


def render(report: Report, problems: Sequence[ProblemView], *, selector: str, title: str) -> str:
    """The page as text. `selector` is the one that it opens with; every problem is ranked by the same selectors.

    The same run gives the same bytes.
    """
    index = {
        "tests": [suite.tests for suite in report.suites],
        "selectors": list(problems[0].rankings),
        "selector": selector,
        "problems": [_index_entry(one, report.suites) for one in problems],
    }
    style, script = _asset("page.css"), _asset("page.js")
    values = {
        "title": html.escape(title),
        "policy": (
            f"default-src 'none'; script-src '{_source_hash(script)}'; style-src '{_source_hash(style)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        "style": style,
        "script": script,
        "headline": _headline(report, selector),
        "lines": _list(candidate_lines(report)),
        "suites": "".join(_suite(report, suite) for suite in report.suites),
        "notes": _list(note_lines(report)),
        "cuts": _cuts(report),
        "settings": html.escape(json.dumps(report.settings, indent=2, ensure_ascii=False, default=str)),
        "index": _pack(index),
        "blocks": json.dumps([_pack(_block(one)) for one in problems]),
    }
    text = re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], _asset("page.html"))
    return text.encode("utf-8", "replace").decode("utf-8")  # a folder's name can hold what UTF-8 has no bytes for


# Data: what the script reads. Candidates are named by their place in the problem's list.


def _index_entry(one: ProblemView, suites: Sequence[Suite]) -> dict[str, Any]:
    """What the list needs of a problem: who passed, and every selector's order."""
    places = {candidate.index: place for place, candidate in enumerate(one.candidates)}
    return {
        "id": one.problem.task_id,
        "name": one.problem.entry_point,
        "passed": ["".join("01"[each.passed] for each in one.outcomes[suite.tests]) for suite in suites],
        "orders": [[places[index] for index in ranking.order] for ranking in one.rankings.values()],
    }


def _block(one: ProblemView) -> dict[str, Any]:
    """What the view of one problem needs beside its entry in the index."""
    groups: dict[str, int] = {}
    for each in one.candidates:
        if each.key is not None:
            groups.setdefault(each.key, len(groups))
    values = {name: dict(zip(ranking.order, ranking.values, strict=True)) for name, ranking in one.rankings.items()}
    test = one.problem.test
    return {
        "prompt": one.problem.prompt,
        "kind": one.problem.prompt_kind,
        "reference": one.problem.canonical_solution,
        "test": test if len(test) <= MAX_TEST_CHARS else None,
        "candidates": [
            {
                "index": each.index,
                "program": each.program,
                "raw": each.raw if each.raw != each.program else None,
                "group": None if each.key is None else groups[each.key],
                "cuts": each.cuts,
                "generator": each.generator,
                "outcomes": [_outcome(outcomes[place]) for outcomes in one.outcomes.values()],
                "values": [_rounded(values[name][each.index]) for name in one.rankings],
            }
            for place, each in enumerate(one.candidates)
        ],
        "comparisons": _matrix(one.comparisons, groups),
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {"status": outcome.status, "reason": outcome.reason, "seconds": round(outcome.cpu_s, 3)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")


def _matrix(comparisons: Sequence[Comparison], groups: Mapping[str, int]) -> list[int | str | None] | None:
    """Log-odds in hundredths, row by row: (groups, groups), the row's program shown first. "?": asked, no verdict."""
    if not comparisons:
        return None
    matrix: list[int | str | None] = [None] * len(groups) ** 2
    for each in comparisons:
        if each.first in groups and each.second in groups:
            place = groups[each.first] * len(groups) + groups[each.second]
            matrix[place] = "?" if each.log_odds is None else round(100 * each.log_odds)
    return matrix


def _pack(data: object) -> str:
    # ASCII JSON: a model can write half a surrogate pair, which UTF-8 has no bytes for.
    text = json.dumps(data, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("ascii"))).decode("ascii")


# Figures: plain HTML.


def _headline(report: Report, selector: str) -> str:
    suite = report.suites[0]
    row = next(each for each in suite.selectors if each.selector == selector)
    gain = row.figures.uplift
    return (
        f"Picking by {html.escape(selector)} takes pass@1 from <b>{100 * suite.mean.value:.1f}</b> to "
        f"<b>{100 * row.figures.pass_at_1.value:.1f}</b>: {100 * gain.value:+.1f} points "
        f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f}), of {100 * (suite.oracle.value - suite.mean.value):.1f} "
        "that an oracle could gain"
    )


def _suite(report: Report, suite: Suite) -> str:
    header, rows = cells(report, suite)
    missed = {row.selector: round(suite.oracle.value * suite.num_problems) - row.num_passed for row in suite.selectors}
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in [*header, "missed"])
    body = "".join(_row(row, suite.tests, missed.get(row[0])) for row in rows)
    name = html.escape(suite.tests)
    return (
        f"<section><h2>By {name} tests, {suite.num_problems:,} problems</h2>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Figures by {name} tests">'
        f"<table class='figures'><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<div class="charts" tabindex="0" role="region" aria-label="Plots by {name} tests">'
        f"{charts.selectors(suite)}{charts.growth(suite)}</div></section>"
    )


def _row(row: Sequence[str], tests: str, missed: int | None) -> str:
    name, *figures = map(html.escape, row)
    link = ""
    if missed is not None:
        where = html.escape(f"#view=problems&selector={row[0].replace('+', '%2B')}&tests={tests}&show=missed")
        link = f'<a href="{where}">{missed:,}</a>'
    values = "".join(f"<td>{figure}</td>" for figure in figures)
    return f'<tr><th scope="row">{name}</th>{values}<td>{link}</td></tr>'


def _cuts(report: Report) -> str:
    lines = [f"{cut}: {times:,} candidate{'' if times == 1 else 's'}" for cut, times in report.cuts.items()]
    return _list(lines) if lines else "<p>Nothing.</p>"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def _asset(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _source_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
