"""What stopping early costs: pass@1 against judgments, comparisons and samples, replayed from a run.

\b
    python scripts/selection_frontier.py runs/codegen --tests test_case.jsonl.gz --out DIR --judgment-seconds 0.21

Reads a run folder of `rerank run` that has every score, of comparisons also every one, and judges nothing anew.
`--judgment-seconds` is what one judgment took on the hardware of your choice; it makes the second scale of the plot.
Below DIR: frontier.json, frontier.md and frontier.png.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rerank import metrics
from rerank.errors import SettingError, one_line
from rerank.reports.frontier import Point, by_judgments, by_samples
from rerank.reports.replay import open_replay
from rerank.runs.outcomes import CandidateId
from rerank.selection import posterior

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of all distinct programs
PAIRS = (0, 20, 50, 100, 200, 500, 1000, 2000, 5000)  # of all problems
SAMPLES = (0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of all candidates


@app.command(help=__doc__)
def main(
    run: Annotated[Path, typer.Argument(help="Run folder of `rerank run`, with a score for every program.")],
    out: Annotated[Path, typer.Option(help="Folder for what is replay.")],
    tests: Annotated[Path | None, typer.Option(help="The run's file of written tests.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Only the first K candidates of each problem.")] = None,
    judgment_seconds: Annotated[float | None, typer.Option(help="Seconds that one judgment takes.")] = None,
    examples: Annotated[bool, typer.Option(help="Whether the docstring's examples may be looked at.")] = True,
    workers: Annotated[int | None, typer.Option(min=1, help="Programs executed at a time.")] = None,
) -> None:
    replay = open_replay(run, tests=tests, size=size, workers=workers)
    groups, evidence = replay.groups, replay.evidence
    if not examples:
        evidence = {task_id: replace(each, examples={}, inputs=None) for task_id, each in evidence.items()}
    total = sum(len({each.key for each in group if each.key is not None}) for group in groups.values())
    if not any(each.scores for each in evidence.values()):
        raise SettingError(f"{run}: has no scores; run it with an autorater first")
    model = posterior.read_model()
    points = {"judgments": by_judgments(groups, evidence, model, budgets=[round(share * total) for share in SHARES])}
    if any(each.comparisons for each in evidence.values()):
        points["comparisons"] = by_judgments(groups, evidence, model, budgets=PAIRS, pairs=True)
    drawn = sum(map(len, groups.values()))
    points["samples"] = by_samples(groups, evidence, model, budgets=[round(share * drawn) for share in SAMPLES])
    rows = {
        name: [
            _row(point, replay.passed, judgment_seconds if name == "judgments" else None) for point in _distinct(each)
        ]
        for name, each in points.items()
    }
    out.mkdir(parents=True, exist_ok=True)
    document = {"num_problems": len(replay.problems), "num_programs": total, **rows}
    (out / "frontier.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    text = _tables(rows, total)
    (out / "frontier.md").write_text(text, encoding="utf-8")
    _plot(rows, out / "frontier.png")
    print(text, end="")


def _distinct(points: Sequence[Point]) -> list[Point]:
    """Without budgets that bought no more than a smaller one."""
    return [each for number, each in enumerate(points) if number == 0 or each.spent > points[number - 1].spent]


def _row(point: Point, passed: Mapping[str, Mapping[CandidateId, bool]], seconds: float | None) -> dict[str, Any]:
    estimate = metrics.mean([float(passed["base"][place]) for place in point.choices.items()])
    row: dict[str, Any] = {"budget": point.budget, "spent": point.spent, "pass_at_1": estimate.value}
    row |= {"low": estimate.low, "high": estimate.high}
    if "plus" in passed:
        row["plus"] = sum(passed["plus"][place] for place in point.choices.items()) / len(point.choices)
    return row if seconds is None else row | {"seconds": seconds * point.spent}


def _tables(rows: Mapping[str, Sequence[Mapping[str, Any]]], total: int) -> str:
    lines = []
    for name, each in rows.items():
        extra = [column for column in ("plus", "seconds") if column in each[0]]
        lines += [f"| budget | {name} | pass@1 | 95% |" + "".join(f" {column} |" for column in extra)]
        lines += ["|---" * (4 + len(extra)) + "|"]
        for row in each:
            cells = [f"{row['budget']:,}", f"{row['spent']:,}", f"{100 * row['pass_at_1']:.1f}"]
            cells += [f"{100 * row['low']:.1f} to {100 * row['high']:.1f}"]
            cells += [f"{100 * row['plus']:.1f}"] if "plus" in extra else []
            cells += [f"{row['seconds']:.3g}"] if "seconds" in extra else []
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines) + f"{total:,} distinct programs.\n"


def _plot(rows: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(rows), 3.8), dpi=160, layout="constrained")
    panels = figure.subplots(1, len(rows), squeeze=False)[0]
    for axes, (name, each) in zip(panels, rows.items(), strict=True):
        spent = [row["spent"] for row in each]
        values = [100 * row["pass_at_1"] for row in each]
        axes.fill_between(spent, [100 * row["low"] for row in each], [100 * row["high"] for row in each], alpha=0.15)
        axes.plot(spent, values, marker="o", markersize=3.5)
        axes.set_xlabel(f"{name} on all problems")
        axes.set_ylabel("pass@1 of the choice, % (95% interval)")
        axes.grid(color="#e4e7eb")
        if "seconds" in each[-1] and spent[-1]:
            rate = each[-1]["seconds"] / spent[-1]
            second = axes.secondary_xaxis("top", functions=(lambda x, r=rate: x * r, lambda x, r=rate: x / r))
            second.set_xlabel("seconds of judging")
    figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    with one_line():
        app()
