"""Rows of judgments to rows of the mixture: every task in FLAMe's three blocks, every answer one of the legal ones.

A judgment row has task, kind, context (named texts), responses, label, criterion, split and meta. A pair gives two
rows, one in each order, so that A and B are right equally often; a tie gives none.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from rerank import prompts
from rerank.errors import InputError
from rerank.prompts import Prompt
from rerank.store import Row, content_hash
from rerank.training.labels.rows import Label, balanced, pairs
from rerank.training.mixture.tasks import SCALE, TASKS, MixtureTask


@dataclass(frozen=True, slots=True)
class MixtureRow:
    """One judgment to be learnt. Joined, `segments` are the prompt; `target` is the whole of the model's turn."""

    task: str
    kind: str
    capability: str
    split: str  # train or dev
    segments: tuple[str, ...]
    answers: tuple[str, ...]  # every legal answer; empty where the target is free text
    target: str
    weight: float  # how many times an epoch shows it, on average
    group: str  # rows about the same material share it

    def to_row(self) -> Row:
        return asdict(self) | {"segments": list(self.segments), "answers": list(self.answers)}


def judgment_rows(task: MixtureTask, row: Row) -> Iterator[MixtureRow]:
    """The rows of one judgment; none for a tie, or for a step that has no digit."""
    context = [(name, text) for name, text in row["context"].items()]
    if task.shows_criterion:
        context.append(("question", row["criterion"]))
    responses = row["responses"]
    group = f"{task.name}/{content_hash(context)}"
    if task.kind == "pairwise":
        if row["label"] in ("A", "B"):
            yield from both_orders(task, context, responses, row["label"] == "A", row["split"], group)
        return
    target = _target(task, row)
    if target is not None:
        named = _named(task, responses)
        yield _row(task, prompts.judgment(task.prompt, [*context, *named]), target, row["split"], group)


def both_orders(
    task: MixtureTask,
    context: Sequence[tuple[str, str]],
    responses: Sequence[str],
    is_first_better: bool,
    split: str,
    group: str,
) -> Iterator[MixtureRow]:
    """A pair as two rows, so that no place is right more often than the other."""
    first, second = responses
    for shown, is_a in (((first, second), is_first_better), ((second, first), not is_first_better)):
        prompt = prompts.judgment(task.prompt, [*context, *_named(task, shown)])
        yield _row(task, prompt, "A" if is_a else "B", split, group)


def graded(
    task: MixtureTask,
    context: Sequence[tuple[str, str]],
    response: str,
    value: float,
    scale: tuple[float, float],
    split: str,
    group: str,
) -> MixtureRow:
    """A number as the nearest of the five grades."""
    prompt = prompts.judgment(task.prompt, [*context, *_named(task, [response])])
    return _row(task, prompt, grade_of(value, scale), split, group)


def label_rows(labels: Sequence[Label], *, seed: int, max_each: int = 6, max_pairs: int = 6) -> Iterator[MixtureRow]:
    """Programs that were run as two tasks: each alone, and right against wrong; in balance, see `labels`."""
    for split in ("train", "dev"):
        part = [label for label in labels if label.split == split]
        for drawn in balanced(part, seed=seed, max_each=max_each):
            prompt = prompts.pointwise(drawn.label.problem, drawn.label.program)
            target = "Yes" if drawn.label.right else "No"
            yield _row(TASKS["code_correct"], prompt, target, split, drawn.label.group)
        for pair in pairs(part, seed=seed, max_pairs=max_pairs):
            prompt = prompts.pairwise(pair.first.problem, pair.first.program, pair.second.program)
            yield _row(TASKS["code_pair"], prompt, pair.answer, split, pair.first.group)


def grade_of(value: float, scale: tuple[float, float]) -> str:
    """
    >>> grade_of(0, (0, 4)), grade_of(3.4, (1, 6)), grade_of(100, (0, 100))
    ('1', '3', '5')
    """
    low, high = scale
    share = min(1.0, max(0.0, (value - low) / (high - low)))
    return SCALE[int(share * (len(SCALE) - 1) + 0.5)]


def _named(task: MixtureTask, responses: Sequence[str]) -> list[tuple[str, str]]:
    if len(responses) == 1:
        return [(task.judged, responses[0])]
    return [(f"{task.judged} {letter}", text) for letter, text in zip("AB", responses, strict=True)]


def _target(task: MixtureTask, row: Row) -> str | None:
    label = row["label"]
    if task.kind == "pointwise":
        return grade_of(float(label), _scale(row["meta"], task))
    if task.kind == "open_ended":
        return str(label).strip() or None
    if label in task.classes:
        return task.classes[label]
    if str(label).isdigit():
        return None  # a step after the ninth
    raise InputError(f"task {task.name} has no class {label!r}: one of {', '.join(task.classes)}")


def _scale(meta: Mapping[str, object], task: MixtureTask) -> tuple[float, float]:
    scale = meta.get("scale")
    if not isinstance(scale, list) or len(scale) != 2:
        raise InputError(f"a row of the pointwise task {task.name} has no meta.scale of two numbers")
    return float(scale[0]), float(scale[1])


def _row(task: MixtureTask, prompt: Prompt, target: str, split: str, group: str) -> MixtureRow:
    return MixtureRow(task.name, task.kind, task.capability, split, prompt.segments, prompt.answers, target, 1.0, group)
