"""Compare finished training runs on the dev split: one row per run, with intervals over the dev problems.

    python scripts/compare_scorers.py runs/seed0 runs/seed1 runs/without_mutations
    python scripts/compare_scorers.py runs/* --against runs/seed0 --json

Counted are dev problems with right and wrong samples. Pair accuracy: share of a problem's right-wrong pairs of samples
in which the right one scores higher. Pick rate: share of problems whose best-scored sample is right. Intervals: 95%,
bootstrap over problems. Runs must have been trained with the same dev split; a second pair of columns gives the paired
difference from one run. `dev_scores.jsonl` and `scorer/scorer.json` of each run are read, nothing is trained or judged.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from rerank import metrics
from rerank.errors import InputError, one_line
from rerank.metrics import Estimate
from rerank.store import read_rows
from rerank.training.scorer.evaluate import ScoredProblem, calibration_error, pair_accuracy, pick_rate

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Output folders of train_scorer.py.")],
    against: Annotated[Path | None, typer.Option(help="One of the runs: show paired differences from it.")] = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    problems_of = {path: _read(path) for path in runs}
    reference = _read(against) if against else None
    first = next(iter(problems_of.values()))
    for path, problems in problems_of.items():
        if [(each.task_id, sorted(each.right)) for each in problems] != [(p.task_id, sorted(p.right)) for p in first]:
            raise InputError("was trained with another dev split than the first run", path=path)
    rows = []
    for path, problems in problems_of.items():
        card = json.loads((path / "scorer" / "scorer.json").read_text(encoding="utf-8"))
        row = _row(path.name, problems, reference)
        if "counts" in card:  # not in that of a mean of scorers
            row |= {name: card["counts"][name] for name in ("problems", "programs", "judgments")}
            row |= {"best_step": card["best_step"], "seconds": card["seconds"]}
        rows.append(row | {"calibration_error": _calibration(problems, card["temperature"]["pointwise"])})
    rows += [_baseline("log-probability", first), _baseline("random", first)]
    if is_json:
        print(json.dumps({"num_problems": len(first), "rows": rows}, indent=2, default=asdict))
        return
    print(f"{len(first)} dev problems with right and wrong samples\n")
    names = ["problems", "programs", "judgments", "best step", "seconds", "pair accuracy", "pick rate", "calibration"]
    names += ["pairs against", "picks against"] if reference else []
    print(f"| run | {' | '.join(names)} |")
    print("|---" * (len(names) + 1) + "|")
    for row in rows:
        cells = [str(row.get(name.replace(" ", "_"), "")) for name in names[:5]]
        error = row.get("calibration_error")
        cells += [_cell(row["pair_accuracy"]), _cell(row["pick_rate"]), f"{error:.3f}" if error is not None else ""]
        if reference:
            cells += [_cell(row[name]) if name in row else "" for name in ("pairs_against", "picks_against")]
        print(f"| {row['run']} | {' | '.join(cells)} |")


def _read(run: Path) -> list[ScoredProblem]:
    path = next(iter(sorted(run.glob("dev_scores.jsonl*"))), run / "dev_scores.jsonl")  # perhaps compressed
    if not path.exists():
        raise InputError("not there: the run has not ended, or is no output folder of train_scorer.py", path=path)
    rows = (row for _, row in read_rows(path))
    problems = [
        ScoredProblem(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()})
        for row in rows
    ]
    chosen = [problem for problem in map(ScoredProblem.samples, problems) if problem.has_both]
    return sorted(chosen, key=lambda problem: problem.task_id)


def _row(name: str, problems: Sequence[ScoredProblem], reference: Sequence[ScoredProblem] | None) -> dict[str, Any]:
    pairs, picks = _values(problems)
    row: dict[str, Any] = {"run": name, "pair_accuracy": metrics.mean(pairs), "pick_rate": metrics.mean(picks)}
    if reference:
        for key, mine, theirs in zip(
            ("pairs_against", "picks_against"), (pairs, picks), _values(reference), strict=True
        ):
            row[key] = metrics.mean([a - b for a, b in zip(mine, theirs, strict=True)])
    return row


def _values(problems: Sequence[ScoredProblem]) -> tuple[list[float], list[float]]:
    scored = [(problem.right, problem.log_odds) for problem in problems]
    return [pair_accuracy(*each) for each in scored], [pick_rate(*each) for each in scored]


def _baseline(name: str, problems: Sequence[ScoredProblem]) -> dict[str, Any]:
    """What needs no scorer. Samples of two generators are compared by log-probability like those of one."""
    if name == "random":
        pairs, picks = [0.5] * len(problems), [sum(p.right) / len(p.right) for p in problems]
    else:
        scored = [(p.right, [value or 0.0 for value in p.mean_log_probability]) for p in problems]
        pairs, picks = [pair_accuracy(*each) for each in scored], [pick_rate(*each) for each in scored]
    return {"run": name, "pair_accuracy": metrics.mean(pairs), "pick_rate": metrics.mean(picks)}


def _calibration(problems: Sequence[ScoredProblem], temperature: float) -> float:
    log_odds = np.array([value for problem in problems for value in problem.log_odds]) / temperature
    return calibration_error(log_odds, np.array([value for p in problems for value in p.right], dtype=float))


def _cell(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


if __name__ == "__main__":
    with one_line():
        app()
