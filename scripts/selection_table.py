"""What each part of the evidence is worth on one run: a table a benchmark, every row on the same candidates.

\b
    python scripts/selection_table.py runs/codegen --tests test_case.jsonl.gz --plus HumanEvalPlus.jsonl.gz --out DIR

Reads a run folder of `rerank run` and judges nothing anew. `--tests` is the file that the run was given. `--plus` names
problems with extra tests, by which the candidates are executed as well. `--size` takes the first candidates of each
problem only. Below DIR: table.md, and picks.jsonl.gz with each row's choice and whether it passed.

Columns: pass@1 and its uplift over the candidates' mean with 95% intervals (bootstrap over problems), the paired
difference from the row `--against`, and the processor seconds that the row's own executions took.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from rerank import metrics
from rerank.errors import SettingError, one_line
from rerank.evidence import ablation
from rerank.evidence.agreement import AGREEMENTS
from rerank.evidence.matrix import Tried
from rerank.metrics import Estimate
from rerank.posterior import default_of
from rerank.records import Candidate, Ranking
from rerank.replay import Passed, open_run
from rerank.selection import Evidence
from rerank.settings import SelectSettings
from rerank.store import write_rows

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    run: Annotated[Path, typer.Argument(help="Run folder of `rerank run`.")],
    out: Annotated[Path, typer.Option(help="Folder for the table and the choices.")],
    tests: Annotated[Path | None, typer.Option(help="The run's file of written tests.")] = None,
    plus: Annotated[str | None, typer.Option(help="Problems with extra tests: humaneval+, or a file.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Only the first K candidates of each problem.")] = None,
    against: Annotated[str, typer.Option(help="The row that all are compared with.")] = "examples",
    greedy: Annotated[int | None, typer.Option(min=0, help="Index of each problem's sample at temperature 0.")] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=1.0, help="Of the guard.")] = 0.9,
    workers: Annotated[int | None, typer.Option(min=1, help="Programs executed at a time.")] = None,
) -> None:
    settings = SelectSettings(confidence, greedy)
    found = open_run(run, tests=tests, plus=plus, size=size, select=settings, workers=workers)
    groups = found.groups
    ranked = ablation.rankings(found.public, groups, found.evidence)
    rows = {name: {task_id: each.best for task_id, each in given.items()} for name, given in ranked.items()}
    if against not in rows:
        raise SettingError(f"--against {against}: this run has no such row; one of {', '.join(rows)}")
    out.mkdir(parents=True, exist_ok=True)
    seconds = {name: _seconds(ablation.ROWS[name], found.evidence.values()) for name in rows}
    text = "\n\n".join(
        f"By {name} tests, {len(found.problems)} problems:\n\n{_table(rows, groups, passed, against, seconds)}\n\n"
        f"With ties drawn at random: {_ties(ranked, passed)}.\n\n" + _guard(rows, groups, passed, greedy)
        for name, passed in found.passed.items()
    )
    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    write_rows(
        out / "picks.jsonl.gz",
        (
            {"row": name, "task_id": task_id, "index": index}
            | {suite: passed[task_id, index] for suite, passed in found.passed.items()}
            for name, picks in rows.items()
            for task_id, index in picks.items()
        ),
    )
    print(text)


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


if __name__ == "__main__":
    with one_line():
        app()
