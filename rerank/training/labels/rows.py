"""Labelled programs: what the scorer learns from, written and read, and drawn in balance.

A row of a label file is one distinct program for one training problem, and what the sandbox said of it:

    task_id, group, split         of the problem; `train` or `dev`; forms of one task share a group
    prompt, prompt_kind, entry_point
    program                       whole, in normal form (no comments, no docstrings): what was run
    outcome                       the sandbox's status: passed, failed, error, timeout, memory, output, killed, crashed
    right                         whether it passed every hidden check
    origin                        sample; mutation (of a right program); modified (sampled for a changed instruction);
                                  reference (the data's own solution); buggy (the data's own wrong solution)
    generator, temperature        what sampled it; "" and null where nothing did
    mean_log_probability          nats per token, mean over the samples that gave this program; null where not known
    error_class                   such as IndexError; the outcome itself where no exception was raised; "" when passed
    num_samples                   how many samples gave this program; 0 for what was not sampled
    detail                        the kind of mutation

`balanced` and `pairs` draw from the rows: from each problem as many right programs as wrong ones, and pairs in both
orders, so that neither the answer, nor its place, nor the problem tells which program is right.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from rerank.errors import InputError
from rerank.records import PromptKind, PublicProblem
from rerank.store import content_hash, read_rows, write_rows

Origin = Literal["sample", "mutation", "modified", "reference", "buggy"]
Difficulty = Literal["hard", "medium", "easy", "unknown"]
MAX_BAND_WEIGHT = 3.0  # how far balancing by difficulty may raise or lower a problem


@dataclass(frozen=True, slots=True)
class Label:
    """One row of a label file; the module's docstring says what the fields hold."""

    task_id: str
    group: str
    split: str
    prompt: str
    prompt_kind: PromptKind
    entry_point: str
    program: str
    outcome: str
    right: bool
    origin: Origin
    generator: str = ""
    temperature: float | None = None
    mean_log_probability: float | None = None
    error_class: str = ""
    num_samples: int = 0
    detail: str = ""

    @property
    def problem(self) -> PublicProblem:
        return PublicProblem(self.task_id, self.prompt, self.entry_point, self.prompt_kind)


@dataclass(frozen=True, slots=True)
class WeightedLabel:
    """A label drawn for pointwise training."""

    label: Label
    weight: float  # mean about 1


@dataclass(frozen=True, slots=True)
class LabelPair:
    """Two programs of one problem, one right and one wrong, in the order in which they are shown."""

    first: Label
    second: Label
    weight: float  # mean about 1

    @property
    def answer(self) -> Literal["A", "B"]:
        return "A" if self.first.right else "B"


def read_labels(paths: Iterable[str | Path]) -> list[Label]:
    """Every row of the files, in order; of equal programs for one problem the first stays.

    Raises InputError for a row that lacks a field, and for a problem or a group that stands in train and in dev.
    """
    known = {field.name for field in fields(Label)}
    labels: dict[tuple[str, str], Label] = {}
    split_of: dict[str, str] = {}
    for path in paths:
        for line, row in read_rows(path):
            try:
                label = Label(**{name: value for name, value in row.items() if name in known})
            except TypeError as error:
                raise InputError(f"not a row of labels ({error})", path=path, line=line) from error
            if label.origin not in get_args(Origin):
                raise InputError(f"origin {label.origin!r} is not one of {get_args(Origin)}", path=path, line=line)
            if split_of.setdefault(label.group, label.split) != label.split:
                raise InputError(f"group {label.group} is in train and in dev", path=path, line=line)
            labels.setdefault((label.task_id, label.program), label)
    return list(labels.values())


def write_labels(path: str | Path, labels: Iterable[Label]) -> int:
    """Write the file whole; return the count."""
    return write_rows(path, map(asdict, labels))


def by_problem(labels: Iterable[Label]) -> dict[str, list[Label]]:
    """task_id to its labels, in the order met."""
    problems: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        problems[label.task_id].append(label)
    return dict(problems)


def difficulty(labels: Sequence[Label]) -> Difficulty:
    """How often the samples of one problem are right: under a third is hard, over two thirds easy."""
    num_samples = sum(label.num_samples for label in labels if label.origin == "sample")
    if not num_samples:
        return "unknown"
    share = sum(label.num_samples for label in labels if label.origin == "sample" and label.right) / num_samples
    return "hard" if share < 1 / 3 else "easy" if share > 2 / 3 else "medium"


def balanced(
    labels: Iterable[Label], *, seed: int, max_each: int = 6, max_made_share: float = 0.5
) -> list[WeightedLabel]:
    """Draw as many right as wrong programs from each problem that has both, at most `max_each` of each.

    At most `max_made_share` of a problem's wrong programs are made ones (mutations and the like) where samples can
    fill the rest. Weights even out what the problems cannot: problems of one group share a weight of one, and bands of
    difficulty count alike, as far as `MAX_BAND_WEIGHT` allows. The draw depends on the seed and a problem's own rows,
    not on the order of the rows.

    >>> draw = balanced(read_labels(["labels.jsonl.gz"]), seed=0)                                 # doctest: +SKIP
    """
    drawn: list[tuple[Label, float]] = []
    problems = {task_id: rows for task_id, rows in by_problem(labels).items() if _has_both(rows)}
    weights = _weights(problems)
    for task_id, rows in sorted(problems.items()):
        rng = random.Random(content_hash(seed, task_id))
        right = _shuffled([label for label in rows if label.right], rng)
        wrong = _wrong_first_to_last([label for label in rows if not label.right], max_each, max_made_share, rng)
        count = min(len(right), len(wrong), max_each)
        drawn += [(label, weights[task_id]) for label in right[:count] + wrong[:count]]
    random.Random(content_hash(seed, "balanced")).shuffle(drawn)
    mean = sum(weight for _, weight in drawn) / max(1, len(drawn))
    return [WeightedLabel(label, weight / mean) for label, weight in drawn]


def pairs(labels: Iterable[Label], *, seed: int, max_pairs: int = 6, max_made_share: float = 0.5) -> list[LabelPair]:
    """Draw up to `max_pairs` (right, wrong) pairs of each problem, no pair twice, each in both orders.

    A program is used again only when its problem has no unused one of its side left.
    """
    drawn: list[LabelPair] = []
    problems = {task_id: rows for task_id, rows in by_problem(labels).items() if _has_both(rows)}
    weights = _weights(problems)
    for task_id, rows in sorted(problems.items()):
        rng = random.Random(content_hash(seed, task_id, "pairs"))
        right = _shuffled([label for label in rows if label.right], rng)
        wrong = _wrong_first_to_last([label for label in rows if not label.right], max_pairs, max_made_share, rng)
        # Along the diagonals of the table of pairs: each side is used up before one of it is used again.
        order = [
            (right[(index + shift) % len(right)], wrong[index])
            for shift in range(len(right))
            for index in range(len(wrong))
        ]
        for good, bad in order[:max_pairs]:
            drawn += [LabelPair(good, bad, weights[task_id]), LabelPair(bad, good, weights[task_id])]
    random.Random(content_hash(seed, "pairs")).shuffle(drawn)
    mean = sum(pair.weight for pair in drawn) / max(1, len(drawn))
    return [LabelPair(pair.first, pair.second, pair.weight / mean) for pair in drawn]


def _has_both(rows: Sequence[Label]) -> bool:
    return len({label.right for label in rows}) == 2


def _shuffled(rows: Sequence[Label], rng: random.Random) -> list[Label]:
    # Sorted first: the order of the file must not matter.
    ordered = sorted(rows, key=lambda label: label.program)
    rng.shuffle(ordered)
    return ordered


def _wrong_first_to_last(rows: Sequence[Label], count: int, max_made_share: float, rng: random.Random) -> list[Label]:
    sampled = _shuffled([label for label in rows if label.origin == "sample"], rng)
    derived = _shuffled([label for label in rows if label.origin != "sample"], rng)
    num_derived = min(len(derived), max(int(count * max_made_share), count - len(sampled)))
    chosen = sampled[: count - num_derived] + derived[:num_derived]
    rng.shuffle(chosen)
    return chosen


def _weights(problems: dict[str, list[Label]]) -> dict[str, float]:
    forms = Counter(rows[0].group for rows in problems.values())
    bands = {task_id: difficulty(rows) for task_id, rows in problems.items()}
    sizes = Counter(bands.values())
    even = len(problems) / max(1, len(sizes))
    return {
        task_id: min(MAX_BAND_WEIGHT, max(1 / MAX_BAND_WEIGHT, even / sizes[bands[task_id]])) / forms[rows[0].group]
        for task_id, rows in problems.items()
    }
