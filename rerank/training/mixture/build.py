"""Many tasks in one file: chosen, capped, weighted, kept clear of what is measured on.

    mixture = Mixture(seed=0)
    mixture.add_judgments("argument_convincing.jsonl.gz")
    mixture.add(label_rows(labels, seed=0))
    rows = mixture.rows(weighting="proportional")

Weights are how many times an epoch shows a row, on average. `proportional` shows every row once and no task more than
`MAX_EXAMPLES` of them (FLAMe, arXiv 2407.10817: examples-proportional with a cap of 65,536). `equal` shows every task
equally often, and as many examples in all. Explicit weights name how many examples of a task an epoch shows.

An output row: task, kind, capability, split, segments, answers, target, weight, group (`judgments.MixtureRow`).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from rerank.errors import InputError, SettingError
from rerank.store import content_hash, read_rows
from rerank.training.labels.rows import read_labels
from rerank.training.mixture.files import data_files
from rerank.training.mixture.hub import HUB_SETS, hub_rows
from rerank.training.mixture.judgments import MixtureRow, judgment_rows, label_rows
from rerank.training.mixture.tasks import HELD_OUT, TASKS
from rerank.training.problems.decontaminate import Benchmark, humaneval_texts

MAX_EXAMPLES = 65_536
Weighting = Literal["proportional", "equal"]


@dataclass(frozen=True, slots=True)
class TaskSize:
    """What a mixture holds of one task."""

    task: str
    num_train: int
    num_dev: int
    num_shown: float  # examples of it in an epoch
    num_tokens: int  # in an epoch, prompts and targets


class Mixture:
    """Gathers rows, task by task, and refuses whatever may not be trained on.

    `benchmark`: rows that share 13 words in a row with it are dropped and counted in `dropped`, by (task, reason).
    """

    def __init__(self, *, seed: int, benchmark: Benchmark | None = None, max_examples: int = MAX_EXAMPLES):
        self.dropped: Counter[tuple[str, str]] = Counter()
        self._seed = seed
        self._benchmark = benchmark
        self._max_examples = max_examples
        self._train: dict[str, list[MixtureRow]] = defaultdict(list)
        self._dev: dict[str, list[MixtureRow]] = defaultdict(list)

    def add_judgments(self, path: str | Path) -> None:
        """Add the rows of one judgment file. Raises InputError for a held-out task or row, and an unknown task."""
        for line, row in read_rows(path):
            try:
                name, split = row["task"], row["split"]
                if name in HELD_OUT or split not in ("train", "dev"):
                    raise InputError(f"{name} is held out for measuring ({split}): it can't be trained on")
                if name not in TASKS:
                    raise InputError(f"task {name!r} is not in rerank/training/mixture/tasks.toml")
                made = list(judgment_rows(TASKS[name], row))
            except KeyError as error:
                raise InputError(f"not a judgment (missing {error})", path=path, line=line) from error
            except InputError as error:
                raise InputError(str(error), path=path, line=line) from error
            if not made:
                self.dropped[name, "a tie, or no legal answer"] += 1
            self.add(made)

    def add(self, rows: Iterable[MixtureRow]) -> None:
        """Add rows of registered tasks. Raises InputError for what is held out."""
        for row in rows:
            task = TASKS.get(row.task)
            if task is None or row.task in HELD_OUT or task.location in HELD_OUT or row.split not in ("train", "dev"):
                raise InputError(f"{row.task} ({row.split}) is held out for measuring, or unknown: it can't be added")
            if row.answers and row.target not in row.answers:
                raise InputError(f"{row.task}: the target {row.target!r} is none of {', '.join(row.answers)}")
            if self._benchmark and any(self._benchmark.has_text(text) for text in row.segments[1:]):
                self.dropped[row.task, "shares 13 words in a row with a benchmark"] += 1
                continue
            (self._train if row.split == "train" else self._dev)[row.task].append(row)

    def rows(
        self, weighting: Weighting = "proportional", explicit: Mapping[str, float] | None = None
    ) -> list[MixtureRow]:
        """Every row that stays, shuffled by the seed, with its weight: train rows first, then dev rows (weight 1).

        `explicit`: task to examples an epoch, in place of `weighting`; a task that it leaves out is left out.
        """
        kept = {task: self._capped(rows) for task, rows in sorted(self._train.items())}
        shown = self._shown({task: len(rows) for task, rows in kept.items()}, weighting, explicit)
        train = [
            replace(row, weight=round(shown[task] / len(rows), 6))
            for task, rows in kept.items()
            if shown.get(task)
            for row in rows
        ]
        dev = [row for task, rows in sorted(self._dev.items()) if shown.get(task) or task not in kept for row in rows]
        return _shuffled(train, self._seed) + _shuffled(dev, self._seed)

    def _capped(self, rows: Sequence[MixtureRow]) -> list[MixtureRow]:
        # Both orders of a pair share a group, and groups are kept or left whole as far as the cap allows.
        if len(rows) <= self._max_examples:
            return list(rows)
        order = sorted(range(len(rows)), key=lambda index: (content_hash(self._seed, rows[index].group), index))
        return [rows[index] for index in order[: self._max_examples]]

    def _shown(
        self, sizes: Mapping[str, int], weighting: Weighting, explicit: Mapping[str, float] | None
    ) -> dict[str, float]:
        if explicit is not None:
            unknown = sorted(explicit.keys() - sizes.keys())
            if unknown:
                raise SettingError(f"--weight {unknown[0]}: the mixture has no training rows of it")
            return dict(explicit)
        if weighting == "equal":
            return dict.fromkeys(sizes, sum(sizes.values()) / max(1, len(sizes)))
        return {task: float(size) for task, size in sizes.items()}


def gather(
    judgments: Iterable[Path] = (),
    labels: Sequence[Path] = (),
    hub: Sequence[str] = (),
    *,
    tasks: Iterable[str] = TASKS,
    seed: int,
    max_examples: int = MAX_EXAMPLES,
) -> Mixture:
    """A mixture of judgment files (or folders of them), labelled programs and hub sets, of the named tasks only."""
    chosen = set(tasks)
    for name in hub:
        if name not in HUB_SETS:
            raise SettingError(f"--hub {name}: one of {', '.join(HUB_SETS)}")
    mixture = Mixture(seed=seed, benchmark=Benchmark.of(humaneval_texts()), max_examples=max_examples)
    for path in tqdm(data_files(judgments), desc="judgments", unit="file", disable=None):
        if path.name.split(".")[0] in chosen or path.name.split(".")[0] not in TASKS:
            mixture.add_judgments(path)
    if labels:
        mixture.add(row for row in label_rows(read_labels(labels), seed=seed) if row.task in chosen)
    for name in hub:
        mixture.add(tqdm(hub_rows(name), desc=name, unit="row", disable=None))
    return mixture


def sizes(rows: Iterable[MixtureRow], num_tokens: Callable[[str], int]) -> list[TaskSize]:
    """What the rows hold of each task, in the registry's order."""
    train: Counter[str] = Counter()
    dev: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for row in rows:
        if row.split == "dev":
            dev[row.task] += 1
            continue
        train[row.task] += 1
        shown[row.task] += row.weight  # type: ignore[assignment]  # a Counter adds up floats as well
        tokens[row.task] += row.weight * num_tokens("".join(row.segments) + row.target)  # type: ignore[assignment]
    return [
        TaskSize(name, train[name], dev[name], float(shown[name]), round(tokens[name]))
        for name in TASKS
        if train[name] or dev[name]
    ]


def table(sizes: Sequence[TaskSize], dropped: Mapping[tuple[str, str], int]) -> str:
    """The mixture for a person: each task with its share of an epoch."""
    total = sum(size.num_shown for size in sizes)
    head = f"{'task':30} {'kind':14} {'capability':21} {'train':>8} {'dev':>6} {'shown':>9} {'share':>6} {'tokens':>11}"
    lines = [head]
    for size in sizes:
        task = TASKS[size.task]
        share = size.num_shown / total if total else 0.0
        lines.append(
            f"{size.task:30} {task.kind:14} {task.capability:21} {size.num_train:8,} {size.num_dev:6,} "
            f"{size.num_shown:9,.0f} {share:6.1%} {size.num_tokens:11,}"
        )
    lines.append(
        f"{f'all ({len(sizes)} tasks)':30} {'':14} {'':21} {sum(size.num_train for size in sizes):8,} "
        f"{sum(size.num_dev for size in sizes):6,} {total:9,.0f} {1:6.0%} {sum(size.num_tokens for size in sizes):11,}"
    )
    lines += [f"dropped {count:7,}  {task}: {reason}" for (task, reason), count in sorted(dropped.items())]
    return "\n".join(lines)


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has, without a tokenizer: words in pieces of up to six letters, and signs.

    >>> estimated_tokens("return total + 1")
    4
    """
    return sum(-(-len(piece) // 6) for piece in re.findall(r"\w+|[^\w\s]+", text))


def parse_weights(settings: Iterable[str]) -> dict[str, float]:
    """`task=examples` settings to numbers.

    >>> parse_weights(["code_pair=30000"])
    {'code_pair': 30000.0}
    """
    weights = {}
    for setting in settings:
        name, _, number = setting.partition("=")
        try:
            weights[name] = float(number)
        except ValueError:
            raise SettingError(f"--weight {setting}: write task=examples, such as code_pair=30000") from None
        if weights[name] < 0:
            raise SettingError(f"--weight {setting}: take a number from 0 on")
    return weights


def _shuffled(rows: Sequence[MixtureRow], seed: int) -> list[MixtureRow]:
    """In an order that depends on the seed and the rows alone."""
    return sorted(rows, key=lambda row: content_hash(seed, row.task, row.segments, row.target))
