"""FLAMe-Opt-RM (arXiv 2407.10817, section 4.3): which task helps which category, and a mixture weighted by that.

From a partly trained checkpoint a brief training on each task alone (a **tail-patch**) is measured on dev, category by
category, before it and while it goes on. An effect becomes a rating by rules, ratings put tasks into seven bundles, and
a task's weight is the sum of its bundles' weights.

    effects = [read_effect(path) for path in ...]     # what `patch_task` left
    found = bundles(effects, rules)
    weights = task_weights(found, effects, rules)     # task to examples

Where the paper says "significantly", "slightly" and "stable", these are numbers here (`Rules`), and its thresholds are
settings: its categories and scores are RewardBench's, ours are dev's. `code` is the mean of the pick rate and the pair
accuracy on dev's labelled programs and the accuracy on its code judgments; every other category is the accuracy on its
dev judgments, all pooled.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rerank.errors import InputError, NoTrainingRowsError, SettingError
from rerank.locks import each_once
from rerank.store import Row, read_rows, write_rows
from rerank.training.labels.rows import Label, read_labels, write_labels
from rerank.training.mixture.tasks import TASKS
from rerank.training.recipes import steps
from rerank.training.recipes.steps import say
from rerank.training.scorer.inputs import read_judgments
from rerank.training.scorer.presets import TrainSettings

if TYPE_CHECKING:
    from rerank.training.scorer.presets import TrainSettings

# The five categories that tasks are rated for, by the capabilities that they take in. The paper's are RewardBench's,
# its reasoning split into mathematics and coding.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "code": ("code",),
    "math": ("math",),
    "factuality": ("factuality", "summary"),
    "chat": ("helpfulness", "instruction_following"),
    "safety": ("safety",),
}
GENERAL, OTHERS = "generally helpful", "others"


@dataclass(frozen=True, slots=True)
class Rules:
    """From effects to weights. Weights are examples of a task; the defaults are the paper's."""

    significant: float = 0.03  # a gain or a loss from here on is significant
    slight: float = 0.01  # a gain from here on is slight, and a significant one above it throughout is stable
    general_total: int = 5  # a task whose ratings add up to this is generally helpful
    thresholds: Mapping[str, float] = field(default_factory=dict)  # by category; not given: before + significant
    weak: tuple[str, ...] = ()  # categories whose best tasks come first; not given: the three with the lowest scores
    num_weak: int = 3
    num_top: int = 2  # best tasks of a weak category
    general: float = 100_000
    specific: float = 30_000
    others: float = 3_000
    top: float = 200_000

    def __post_init__(self) -> None:
        unknown = (set(self.thresholds) | set(self.weak)) - set(CATEGORIES)
        if unknown:
            raise SettingError(f"category {unknown.pop()}: not one of {', '.join(CATEGORIES)}")
        if not 0 <= self.slight <= self.significant:
            raise SettingError(f"--slight {self.slight}: take a number from 0 to --significant ({self.significant})")


Scores = Mapping[str, float]  # by category, those that dev has rows of; from 0 to 1


@dataclass(frozen=True, slots=True)
class Effect:
    """What a tail-patch on one task did."""

    task: str
    before: Scores
    after: tuple[Scores, ...]  # at evenly spaced evaluations during the tail-patch; the last one at its end
    num_rows: int  # training rows of the task
    note: str = ""  # why there was no tail-patch

    def gain(self, category: str) -> float:
        """Of the last evaluation over the checkpoint; 0 where nothing was measured."""
        if not self.after or category not in self.before:
            return 0.0
        return self.after[-1][category] - self.before[category]


def rating(effect: Effect, category: str, rules: Rules) -> int:
    """+2 helpful: significantly better and stable; +1 somewhat helpful: slightly better, or significantly but not
    stable; -1 harmful: significantly worse; 0 no clear effect. Stable: no evaluation of the second half falls below a
    slight gain.
    """
    if not effect.after or category not in effect.before:
        return 0
    gains = [scores[category] - effect.before[category] for scores in effect.after]
    last = round(gains[-1], 9)  # a gain of exactly the threshold counts, whatever the last bit
    if last <= -rules.significant:
        return -1
    if last < rules.slight or last <= 0:
        return 0
    is_stable = all(gain >= rules.slight for gain in gains[len(gains) // 2 :])
    return 2 if last >= rules.significant and is_stable else 1


def bundles(effects: Sequence[Effect], rules: Rules) -> dict[str, tuple[str, ...]]:
    """The seven bundles by name, tasks in the order given: generally helpful, one a category, others."""
    ratings = {effect.task: {name: rating(effect, name, rules) for name in CATEGORIES} for effect in effects}
    found: dict[str, tuple[str, ...]] = {
        GENERAL: tuple(task for task, row in ratings.items() if sum(row.values()) >= rules.general_total)
    }
    for name in CATEGORIES:
        found[name] = tuple(effect.task for effect in effects if _crosses(effect, name, rules))
    chosen = {task for tasks in found.values() for task in tasks}
    found[OTHERS] = tuple(task for task in ratings if task not in chosen)
    return found


def top_tasks(effects: Sequence[Effect], rules: Rules) -> dict[str, tuple[str, ...]]:
    """The best tasks of each weak category by their gain, best first; only those that gain something."""
    found = {}
    for name in weak_categories(effects, rules):
        gaining = sorted((e for e in effects if e.gain(name) > 0), key=lambda e: (-e.gain(name), e.task))
        found[name] = tuple(effect.task for effect in gaining[: rules.num_top])
    return found


def weak_categories(effects: Sequence[Effect], rules: Rules) -> tuple[str, ...]:
    if rules.weak:
        return rules.weak
    before = next((effect.before for effect in effects if effect.before), {})
    return tuple(sorted(before, key=lambda name: before[name])[: rules.num_weak])


def task_weights(
    found: Mapping[str, Sequence[str]], top: Mapping[str, Sequence[str]], rules: Rules
) -> dict[str, float]:
    """Examples of each task: the sum over its bundles, but a fixed weight for the best of the weak categories."""
    size = {GENERAL: rules.general, OTHERS: rules.others}
    weights: dict[str, float] = {}
    for name, tasks in found.items():
        for task in tasks:
            weights[task] = weights.get(task, 0.0) + size.get(name, rules.specific)
    return weights | {task: rules.top for tasks in top.values() for task in tasks}


def _crosses(effect: Effect, category: str, rules: Rules) -> bool:
    if not effect.after or category not in effect.before:
        return False
    threshold = rules.thresholds.get(category, effect.before[category] + rules.significant)
    return round(effect.after[-1][category] - threshold, 9) >= 0


def scores(dev: Row) -> dict[str, float]:
    """An evaluation's figures (a row of a training's dev.jsonl) by category."""
    right: dict[str, float] = {}
    size: dict[str, int] = {}
    for task, found in dev.get("judgments", {}).items():
        if name := _category_of(task):
            right[name] = right.get(name, 0.0) + found["num"] * found["accuracy"]
            size[name] = size.get(name, 0) + found["num"]
    result = {name: right[name] / size[name] for name in CATEGORIES if size.get(name)}
    programs = dev.get("samples", dev)
    parts = [programs.get(key) for key in ("pick_rate", "pair_accuracy")]
    known = [part for part in [*parts, result.get("code")] if part is not None]
    return ({"code": sum(known) / len(known)} if known else {}) | {k: v for k, v in result.items() if k != "code"}


def _category_of(task: str) -> str | None:
    """None for what no category counts: another capability, or free text, which is hardly ever right to the letter."""
    if TASKS[task].kind == "open_ended":
        return None
    return next((name for name, those in CATEGORIES.items() if TASKS[task].capability in those), None)


# The tail-patches themselves


@dataclass(frozen=True, slots=True)
class PatchData:
    """Rows of a mixture by task, and what every tail-patch is measured on."""

    train: Mapping[str, list[Row]]
    dev: list[Row]
    dev_labels: list[Label]

    @property
    def sizes(self) -> dict[str, float]:
        """Examples of each task that an epoch of the mixture shows, as it is weighted."""
        return {task: sum(row["weight"] for row in rows) for task, rows in self.train.items()}


def read_data(mixture: Path, labels: Sequence[Path], *, max_dev: int, max_dev_problems: int) -> PatchData:
    """A mixture as `scripts/build_mixture.py` writes it, with the dev part of labelled programs.

    Of dev at most `max_dev` rows a task and `max_dev_problems` problems are kept, in the files' (shuffled) order, and
    nothing that counts for no category.
    """
    read_judgments([mixture])  # names the line that is no row of a mixture
    train: dict[str, list[Row]] = {}
    dev: dict[str, list[Row]] = {}
    for _, row in read_rows(mixture):
        if row["task"] not in TASKS:
            raise InputError(f"task {row['task']!r} is not in the registry", path=mixture)
        if row["split"] == "train":
            train.setdefault(row["task"], []).append(row)
        elif _category_of(row["task"]):
            dev.setdefault(row["task"], []).append(row)
    problems: dict[str, list[Label]] = {}
    for label in read_labels(labels):
        if label.split == "dev":
            problems.setdefault(label.task_id, []).append(label)
    both = [rows for rows in problems.values() if len({row.right for row in rows if row.origin == "sample"}) == 2]
    kept = [label for rows in both[:max_dev_problems] for label in rows]
    return PatchData(train, [row for rows in dev.values() for row in rows[:max_dev]], kept)


def patch_task(
    task: str,
    data: PatchData,
    out: Path,
    *,
    base: str | Path,
    start: Path,
    settings: TrainSettings,
    max_rows: int,
    report: Callable[[str], None] = lambda _: None,
) -> Effect:
    """Train briefly on one task alone and write down what that did; an effect that is written is not made again.

    All patches begin at one checkpoint: it is measured by the first of them.
    """
    from rerank.training.scorer.trainer import Trainer

    path = out / f"{task}.json"
    if path.exists():
        return read_effect(path)
    folder = out / task
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row | {"weight": 1.0} for row in data.train[task][:max_rows]]
    write_rows(folder / "mixture.jsonl", [*rows, *data.dev])
    labels = [folder / "dev_labels.jsonl"] if data.dev_labels else []
    if labels:
        write_labels(labels[0], data.dev_labels)
    before = next((each.before for each in map(read_effect, out.glob("*.json")) if each.before), None)
    after: tuple[Scores, ...] = ()
    note = ""
    try:
        trainer = Trainer(
            base,
            folder / "run",
            settings,
            labels=labels,
            mixture=[folder / "mixture.jsonl"],
            start=start,
            report=report,
        )
        trainer.fit(judge_first=before is None)
        evaluations = trainer.evaluations()
        if evaluations[0]["step"] == 0:
            before = scores(evaluations.pop(0))
        after = tuple(map(scores, evaluations))
    except NoTrainingRowsError:
        note = "none of its rows is short enough"
    effect = Effect(task, before if after and before else {}, after, len(data.train[task]), note)
    write_effect(out, effect)
    shutil.rmtree(folder)  # weights and logs of a tail-patch serve nothing more
    return effect


def patch_elsewhere(
    task: str, data: PatchData, *, base: str | Path, start: Path, settings: TrainSettings, max_rows: int
) -> Effect:
    """`patch_task` on a machine that does not share the run's folder; the caller writes the effect."""
    with TemporaryDirectory() as folder:
        return patch_task(task, data, Path(folder), base=base, start=start, settings=settings, max_rows=max_rows)


def write_effect(out: Path, effect: Effect) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{effect.task}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(effect), indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def read_effect(path: Path) -> Effect:
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Effect(**{**row, "after": tuple(row["after"])})


def reweighted(mixture: Path, weights: Mapping[str, float], *, num_examples: float) -> list[Row]:
    """The mixture's rows with weights in these proportions, an epoch showing `num_examples`; dev rows as they are.

    The same proportions as the weights themselves would give; an epoch of 200,000 examples of a task of 40 rows would
    only be longer.
    """
    rows = [row for _, row in read_rows(mixture)]
    sizes: dict[str, int] = {}
    for row in rows:
        if row["split"] == "train":
            sizes[row["task"]] = sizes.get(row["task"], 0) + 1
    total = sum(weight for task, weight in weights.items() if task in sizes)
    if not total:
        raise InputError("no task with a weight has rows in it", path=mixture)
    made = []
    for row in rows:
        if row["split"] != "train":
            made.append(row)
        elif weights.get(row["task"]):
            share = weights[row["task"]] / total
            made.append(row | {"weight": round(num_examples * share / sizes[row["task"]], 6)})
    return made


def table(effects: Sequence[Effect], rules: Rules) -> str:
    """Every task's effect, rating and weight, in per cent points; the heaviest first."""
    found, top = bundles(effects, rules), top_tasks(effects, rules)
    weights = task_weights(found, top, rules)
    names = list(CATEGORIES)
    lines = [f"{'task':32}{''.join(f'{name:>17}' for name in names)}{'total':>7}{'weight':>9}  bundles"]
    lines.append(f"{'the checkpoint':32}" + "".join(f"{_percent(_before(effects), name):>17}" for name in names))
    for effect in sorted(effects, key=lambda effect: (-weights[effect.task], effect.task)):
        ratings = {name: rating(effect, name, rules) for name in names}
        cells = [
            f"{100 * effect.gain(name):+.1f} ({ratings[name]:+d})" if name in effect.before and effect.after else ""
            for name in names
        ]
        inside = [name for name, tasks in found.items() if effect.task in tasks]
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
    return [(learnt[row["step"]], scores(row)) for _, row in read_rows(run / "dev.jsonl")]


def comparison(curves: Mapping[str, Curve]) -> str:
    """The last figures of each training, and how many examples it took to where the others end, category means."""
    names = [name for name in CATEGORIES if any(name in points[-1][1] for points in curves.values())]
    heads = "".join(f"{name:>12}" for name in [*names, "mean"])
    reach = "".join(f"{f'to {name}':>20}" for name in curves)
    lines = [f"{'weights':16}{'examples':>10}{heads}{reach}"]
    means = {
        name: [(examples, sum(found.values()) / len(found)) for examples, found in points if found]
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
    """The mean over the categories, and code alone, against examples shown; one line a weighting."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    both = figure.subplots(1, 2)
    for name, points in curves.items():
        known = [(examples, found) for examples, found in points if found]
        examples = [each for each, _ in known]
        means = [100 * sum(found.values()) / len(found) for _, found in known]
        both[0].plot(examples, means, marker="o", markersize=3, label=name)
        code = [(each, 100 * found["code"]) for each, found in known if "code" in found]
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


def _percent(found: Scores, name: str) -> str:
    return f"{100 * found[name]:.1f}" if name in found else ""


def _weighted(
    name: str,
    weights: Mapping[str, float],
    *,
    out: Path,
    mixture: Path,
    data: PatchData,
    settings: TrainSettings,
    base: Path,
    given: dict[str, Any],
) -> Path:
    """Train on the mixture with these weights; the folder of that training."""

    def train(name: str) -> Path:
        file, labels = out / f"{name}.jsonl.gz", out / name / "dev_labels.jsonl"
        if not file.exists():
            num_examples = (settings.num_steps or 0) * settings.batch_size
            rows = reweighted(mixture, weights, num_examples=num_examples)
            write_rows(file, [row for row in rows if row["split"] == "train"] + data.dev)
        if data.dev_labels and not labels.exists():
            labels.parent.mkdir(parents=True, exist_ok=True)
            write_labels(labels, data.dev_labels)
        steps.trained(base, [labels] if data.dev_labels else [], out / name, settings, mixture=[file], **given)
        return out / name

    [folder] = each_once([name], out, train, report=say)
    return folder
