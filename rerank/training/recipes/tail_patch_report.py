"""What the tail-patches' recipe shows: a table of effects, and trainings on several weightings against each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rerank.store import read_rows
from rerank.training.recipes import task_effects
from rerank.training.recipes.task_effects import (
    CATEGORIES,
    Effect,
    Rules,
    Scores,
    bundles,
    rating,
    task_weights,
    top_tasks,
)


def table(effects: Sequence[Effect], rules: Rules) -> str:
    """Every task's effect, rating and weight, in per cent points; the heaviest first."""
    members, top = bundles(effects, rules), top_tasks(effects, rules)
    weights = task_weights(members, top, rules)
    names = list(CATEGORIES)
    lines = [f"{'task':32}{''.join(f'{name:>17}' for name in names)}{'total':>7}{'weight':>9}  bundles"]
    lines.append(f"{'the checkpoint':32}" + "".join(f"{_percent(_before(effects), name):>17}" for name in names))
    for effect in sorted(effects, key=lambda effect: (-weights[effect.task], effect.task)):
        ratings = {name: rating(effect, name, rules) for name in names}
        cells = [
            f"{100 * effect.gain(name):+.1f} ({ratings[name]:+d})" if name in effect.before and effect.after else ""
            for name in names
        ]
        inside = [name for name, tasks in members.items() if effect.task in tasks]
        inside += [f"best of {name}" for name, tasks in top.items() if effect.task in tasks]
        lines.append(
            f"{effect.task:32}{''.join(f'{cell:>17}' for cell in cells)}{sum(ratings.values()):>+7d}"
            f"{weights[effect.task]:>9,.0f}  {effect.note or ', '.join(inside)}"
        )
    return "\n".join(lines) + "\n"


Curve = Sequence[tuple[float, Scores]]  # (examples shown, dev by category), from the start on


def curve(run: Path) -> list[tuple[float, Scores]]:
    """Dev by category along a training, by the examples that it had learnt from."""
    learnt = {0: 0.0}
    for _, row in read_rows(run / "log.jsonl"):
        learnt[row["step"]] = learnt[row["step"] - 1] + row["examples"]
    return [(learnt[row["step"]], task_effects.scores(row)) for _, row in read_rows(run / "dev.jsonl")]


def comparison(curves: Mapping[str, Curve]) -> str:
    """The last figures of each training, and how many examples it took to where the others end, category means."""
    names = [name for name in CATEGORIES if any(name in points[-1][1] for points in curves.values())]
    heads = "".join(f"{name:>12}" for name in [*names, "mean"])
    reach = "".join(f"{f'to {name}':>20}" for name in curves)
    lines = [f"{'weights':16}{'examples':>10}{heads}{reach}"]
    means = {
        name: [(examples, sum(scores.values()) / len(scores)) for examples, scores in points if scores]
        for name, points in curves.items()
    }
    for name, points in curves.items():
        examples, last = points[-1]
        cells = "".join(f"{_percent(last, category):>12}" for category in names)
        taken = [examples_to_reach(means[name], means[other][-1][1]) for other in curves]
        reached = "".join(f"{'never' if each is None else f'{each:,.0f}':>20}" for each in taken)
        lines.append(f"{name:16}{examples:>10,.0f}{cells}{100 * means[name][-1][1]:>12.1f}{reached}")
    lines.append("`to X`: examples after which the mean first is where the training on X's weights ends")
    return "\n".join(lines) + "\n"


def plot(curves: Mapping[str, Curve], path: Path) -> None:
    """The mean over the categories, and code alone, against examples shown; one line per weighting."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    both = figure.subplots(1, 2)
    for name, points in curves.items():
        measured = [(examples, scores) for examples, scores in points if scores]
        examples = [each for each, _ in measured]
        means = [100 * sum(scores.values()) / len(scores) for _, scores in measured]
        both[0].plot(examples, means, marker="o", markersize=3, label=name)
        code = [(each, 100 * scores["code"]) for each, scores in measured if "code" in scores]
        both[1].plot(*zip(*code, strict=True), marker="o", markersize=3, label=name)
    for axes, title in zip(both, ("mean of the categories", "code"), strict=True):
        axes.set(title=f"dev, {title}", xlabel="examples shown", ylabel="per cent")
        axes.legend()
    figure.savefig(path, dpi=120)


def examples_to_reach(curve: Sequence[tuple[float, float]], target: float) -> float | None:
    """The number of examples at which a curve of (examples, score) first is at `target`; None where it never is.

    >>> examples_to_reach([(0, 0.5), (100, 0.6), (200, 0.7)], 0.6)
    100
    """
    return next((examples for examples, score in curve if score >= target), None)


def _before(effects: Sequence[Effect]) -> Scores:
    return next((effect.before for effect in effects if effect.before), {})


def _percent(scores: Scores, name: str) -> str:
    return f"{100 * scores[name]:.1f}" if name in scores else ""
