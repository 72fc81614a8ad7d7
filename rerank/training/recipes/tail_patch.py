"""FLAMe-Opt-RM (arXiv 2407.10817, section 4.3): which task helps which category, and a mixture weighted by that.

From a partly trained checkpoint a brief training on each task alone (a **tail-patch**) is measured on dev, category by
category, before it and while it goes on. `task_effects` turns that into weights, with which the base is trained on the
mixture. `run` does all of it, over one folder:

    start/        the partly trained checkpoint, on the mixture as it is
    tasks/        one file per task: dev by category before its tail-patch and along it
    effects.md    every task's effect, rating, bundles and weight; weights.json
    NAME/         a training on the mixture with the weights NAME: opt, proportional or equal; rows in NAME.jsonl.gz
    compare.md    those trainings against each other; compare.png

Each stage is skipped where it is done. Several processes may run it over one folder: what one of them is at, the others
leave to it.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, ClassVar, Literal, get_args

from tqdm import tqdm

from rerank.errors import InputError, NoTrainingRowsError, SettingError
from rerank.locks import each_once
from rerank.setting import Setting
from rerank.store import Row, read_rows, write_rows
from rerank.training.labels.rows import Label, read_labels, write_labels
from rerank.training.mixture.tasks import TASKS
from rerank.training.recipes import steps, tail_patch_report, task_effects
from rerank.training.recipes.steps import BaseModel, say
from rerank.training.recipes.task_effects import Effect, Rules, Scores, category_of, read_effect, write_effect
from rerank.training.scorer.inputs import read_judgments
from rerank.training.scorer.presets import TrainSettings

Weighting = Literal["proportional", "equal"]
# Settings that another call over the same folder may change: no file of an earlier stage depends on them.
CHANGEABLE = (
    *("significant", "slight", "general_total", "threshold", "weak", "final_steps", "against", "no_train"),
    *("train", "worker", "cluster", "replicas"),
)


@dataclass(frozen=True, slots=True)
class PatchSettings:
    """The recipe's own settings, beside those of its trainings and the rules that rate effects."""

    GROUP: ClassVar[str] = "Tail-patches"

    start_steps: Annotated[int, Setting("Steps of the partly trained checkpoint.", min=1)] = 60
    patch_steps: Annotated[int, Setting("Steps of a tail-patch; the paper: at most 3,000.", min=1)] = 20
    patch_evaluations: Annotated[int, Setting("Evaluations along a tail-patch.", min=1)] = 2
    patch_batch_size: Annotated[int | None, Setting("Default: --batch-size.", min=1)] = None
    patch_learning_rate: Annotated[float | None, Setting("Default: --learning-rate.")] = None
    final_evaluations: Annotated[int, Setting("Evaluations along that training.", min=1)] = 10
    final_steps: Annotated[int, Setting("Steps on the re-weighted mixture; the paper: 5,000.", min=1)] = 200
    max_dev: Annotated[int, Setting("Dev judgments of a task that are measured.", min=1)] = 40
    max_dev_problems: Annotated[int, Setting("Dev problems that are measured.", min=0)] = 100
    max_rows: Annotated[int, Setting("Training rows of a task that a tail-patch reads.", min=1)] = 20_000
    worker: Annotated[str | None, Setting("Only tail-patches, this worker's part I of N.", metavar="I/N")] = None
    cluster: Annotated[
        str | None, Setting("Tail-patches on a Ray cluster: ray, or ray://HOST:PORT; same paths there.")
    ] = None
    replicas: Annotated[
        int | None, Setting("Tail-patches at a time on the cluster. Default: one per GPU, or one per node.", min=1)
    ] = None
    train: Annotated[Weighting | None, Setting("Only this training of --against.")] = None
    no_train: Annotated[bool, Setting("Stop at the weights.", flag="--no-train")] = False
    against: Annotated[list[str], Setting("Train on these weights too: proportional or equal; repeatable.")] = field(
        default_factory=list
    )
    threshold: Annotated[
        list[str],
        Setting("What a task must reach in a category for its bundle; repeatable.", metavar="CATEGORY=SHARE"),
    ] = field(default_factory=list)
    weak: Annotated[list[str], Setting("A category whose best two tasks come first; repeatable.")] = field(
        default_factory=list
    )

    def __post_init__(self) -> None:
        for name in self.against:
            if name not in get_args(Weighting):
                raise SettingError(f"--against {name}: not one of {', '.join(get_args(Weighting))}")

    @property
    def part(self) -> tuple[int, int] | None:
        """(I, N) of --worker I/N."""
        if self.worker is None:
            return None
        number, _, total = self.worker.partition("/")
        if not (number.isdigit() and total.isdigit() and 1 <= int(number) <= int(total)):
            raise SettingError(f"--worker {self.worker}: write I/N, such as 3/8")
        return int(number), int(total)

    def rules(self, rules: Rules) -> Rules:
        """These rules with the thresholds and weak categories of the settings."""
        thresholds = {}
        for text in self.threshold:
            category, _, number = text.partition("=")
            try:
                thresholds[category] = float(number)
            except ValueError:
                raise SettingError(f"--threshold {text}: write category=share, such as code=0.66") from None
        return replace(rules, thresholds=thresholds, weak=tuple(self.weak))


@dataclass(frozen=True, slots=True)
class PatchResult:
    """How far a call of `run` came."""

    table: str = ""  # of effects, once all tasks have one
    comparison: str = ""  # of the trainings, if they were wanted
    num_effects: int = 0
    num_tasks: int = 0


def run(
    out: Path,
    base: BaseModel,
    mixture: Path,
    labels: Sequence[Path],
    *,
    settings: PatchSettings,
    train_settings: TrainSettings,
    rules: Rules,
    start: Path | None = None,
) -> PatchResult:
    """The whole recipe, or the part of it that `settings` asks for; `start` is taken in place of start/."""
    data = read_data(mixture, labels, max_dev=settings.max_dev, max_dev_problems=settings.max_dev_problems)
    final = replace(train_settings, num_steps=settings.final_steps, num_evaluations=settings.final_evaluations)
    train_weighted = partial(_train_weighted, out=out, mixture=mixture, data=data, settings=final, base=base)
    schemes: dict[str, Mapping[str, float]] = {"proportional": data.sizes, "equal": dict.fromkeys(data.sizes, 1.0)}
    if settings.train:
        train_weighted(settings.train, schemes[settings.train])
        return PatchResult()
    checkpoint = start or _train_start(out, base, mixture, settings=settings, train_settings=train_settings)
    effects = _patch_all(out, base, checkpoint, data, settings=settings, train_settings=train_settings)
    if settings.part is not None:
        return PatchResult(num_effects=len(effects), num_tasks=len(data.train))
    members, top = task_effects.bundles(effects, rules), task_effects.top_tasks(effects, rules)
    schemes["opt"] = task_effects.task_weights(members, top, rules)
    table = tail_patch_report.table(effects, rules)
    (out / "effects.md").write_text(f"```\n{table}```\n", encoding="utf-8")
    document = {"weights": schemes["opt"], "bundles": members, "best": top}
    (out / "weights.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if settings.no_train:
        return PatchResult(table, "", len(effects), len(data.train))
    names = ("opt", *settings.against)
    curves = {name: tail_patch_report.curve(train_weighted(name, schemes[name])) for name in names}
    comparison = tail_patch_report.comparison(curves)
    (out / "compare.md").write_text(f"```\n{comparison}```\n", encoding="utf-8")
    tail_patch_report.plot(curves, out / "compare.png")
    return PatchResult(table, comparison, len(effects), len(data.train))


def _train_start(
    out: Path, base: BaseModel, mixture: Path, *, settings: PatchSettings, train_settings: TrainSettings
) -> Path:
    """The partly trained checkpoint, trained by one of the processes that share `out`."""
    checkpoint = out / "start" / "scorer"
    if settings.part is not None and settings.part[0] > 1 and not (checkpoint / "scorer.json").exists():
        raise InputError("not there yet: worker 1 trains it, or give --start", path=checkpoint)
    first = replace(train_settings, num_steps=settings.start_steps, num_evaluations=1)

    def train(name: str) -> Path:
        return steps.trained(base.folder, [], out / name, first, mixture=[mixture], base_name=base.name, report=say)

    [checkpoint] = each_once(["start"], out, train, report=say)
    return checkpoint


def _patch_all(
    out: Path,
    base: BaseModel,
    checkpoint: Path,
    data: "PatchData",
    *,
    settings: PatchSettings,
    train_settings: TrainSettings,
) -> list[Effect]:
    """The effects of this process' tasks, or of all, by name: patched on a cluster if there is one, then here."""
    tasks = sorted(data.train)
    if settings.part is not None:
        number, total = settings.part
        tasks = tasks[number - 1 :: total]
    patched = replace(
        train_settings,
        num_steps=settings.patch_steps,
        num_evaluations=settings.patch_evaluations,
        batch_size=settings.patch_batch_size or train_settings.batch_size,
        learning_rate=settings.patch_learning_rate or train_settings.learning_rate,
    )
    folder = out / "tasks"
    if settings.cluster:
        from rerank.backends.ray_cluster import call_on_each, connect

        connect(settings.cluster)
        todo = [task for task in tasks if not (folder / f"{task}.json").exists()]
        patch = partial(
            patch_elsewhere,
            data=data,
            base=base.folder.resolve(),
            start=checkpoint.resolve(),
            settings=patched,
            max_rows=settings.max_rows,
        )
        there = call_on_each(patch, todo, replicas=settings.replicas)
        for effect in tqdm(there, desc="tail-patches", total=len(todo), unit="task", disable=None):
            write_effect(folder, effect)
    patch_here = partial(
        patch_task,
        data=data,
        out=folder,
        base=base.folder,
        start=checkpoint,
        settings=patched,
        max_rows=settings.max_rows,
    )
    here = each_once(tasks, folder, patch_here, wait=settings.part is None, report=say)
    bar = tqdm(here, desc="tail-patches", total=len(tasks), unit="task", disable=None)
    return sorted(bar, key=lambda effect: effect.task)


def _train_weighted(
    name: str,
    weights: Mapping[str, float],
    *,
    out: Path,
    mixture: Path,
    data: "PatchData",
    settings: TrainSettings,
    base: BaseModel,
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
        steps.trained(
            base.folder,
            [labels] if data.dev_labels else [],
            out / name,
            settings,
            mixture=[file],
            base_name=base.name,
            report=say,
        )
        return out / name

    [folder] = each_once([name], out, train, report=say)
    return folder


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

    Of dev at most `max_dev` rows per task and `max_dev_problems` problems stay, in the files' (shuffled) order, and
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
        elif category_of(row["task"]):
            dev.setdefault(row["task"], []).append(row)
    problems: dict[str, list[Label]] = {}
    for label in read_labels(labels):
        if label.split == "dev":
            problems.setdefault(label.task_id, []).append(label)
    both = [rows for rows in problems.values() if len({row.right for row in rows if row.origin == "sample"}) == 2]
    dev_labels = [label for rows in both[:max_dev_problems] for label in rows]
    return PatchData(train, [row for rows in dev.values() for row in rows[:max_dev]], dev_labels)


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
            before = task_effects.scores(evaluations.pop(0))
        after = tuple(map(task_effects.scores, evaluations))
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
    weighted = []
    for row in rows:
        if row["split"] != "train":
            weighted.append(row)
        elif weights.get(row["task"]):
            share = weights[row["task"]] / total
            weighted.append(row | {"weight": round(num_examples * share / sizes[row["task"]], 6)})
    return weighted
