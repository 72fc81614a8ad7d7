"""Rows to what a training step reads: labelled programs and judgments to layouts, targets and packs. No model here.

    problems = read_problems(["labels.jsonl.gz"])
    for examples in packs(stream(problems, judgments, encoder, settings), settings.pack_tokens, seed=0): ...

An `Example` is one packed unit: a problem with some of its programs, or one judgment of the mixture. Everything random
comes from the seed and the epoch's number, so that a run that goes on meets the same packs as one that never stopped.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import count, islice
from pathlib import Path

from rerank import prompts
from rerank.backends.encoding import PromptEncoder
from rerank.backends.hf import layouts
from rerank.backends.hf.layouts import Block, Layout
from rerank.candidates.programs import program_key
from rerank.errors import InputError, ModelError
from rerank.prompts import Prompt
from rerank.records import Comparison, PublicProblem
from rerank.selection.aggregation import margins
from rerank.store import Row, read_rows
from rerank.training.labels.rows import Label, by_problem, read_labels
from rerank.training.scorer.presets import TrainSettings

Teacher = Mapping[tuple[str, str, str], float]  # task_id and two programs' keys: log-odds that the first is better
_key = cache(program_key)  # an epoch asks again for what the last one did


@dataclass(frozen=True, slots=True)
class LabelledProblem:
    """One problem with all its labelled programs."""

    problem: PublicProblem
    group: str  # forms of one task share it
    split: str  # train or dev
    programs: tuple[Label, ...]


@dataclass(frozen=True, slots=True)
class Judgment:
    """One row of the mixture."""

    task: str
    split: str
    prompt: Prompt
    target: str
    weight: float  # how many times an epoch shows it, on average
    ends: bool = False  # free text that is the whole of the model's turn: that it ends there is learnt, too
    rejected: str | None = None  # free text that the target is to be preferred to
    reference: float = 0.0  # log-probability of the target less that of the rejected text, where the training starts


@dataclass(frozen=True, slots=True)
class Target:
    """One token to be predicted, among the legal answers or, for free text, the whole vocabulary."""

    block: int  # of the layout
    token: int  # of the block: the answer follows this one; -1 is its last
    answers: tuple[int, ...]  # token ids
    wanted: int  # index of the right answer
    is_open: bool = False  # predicted among the whole vocabulary
    side: int = 0  # of a preference: 1 in the chosen text, -1 in the rejected one, which is not learnt by itself

    @property
    def weight(self) -> float:
        """Of its cross-entropy, times its example's."""
        return 0.0 if self.side < 0 else 1.0


@dataclass(frozen=True, slots=True)
class VerdictTarget:
    """One encoded-once comparison of two programs of an example."""

    first: int  # index of its pointwise target
    second: int
    forward: int  # index in layout.verdicts of (first, second)
    backward: int
    probability: float  # that the first is better: 1.0 from a label, anything between from a teacher


@dataclass(frozen=True, slots=True)
class Example:
    name: str  # the problem's task_id, or the mixture's task
    layout: Layout
    targets: tuple[Target, ...]
    programs: tuple[Label, ...] = ()  # what the targets judge one by one, if they do
    pairs: tuple[tuple[Label, Label], ...] = ()  # (right, wrong): two targets each, shown in this order and the other
    rankings: tuple[tuple[int, int], ...] = ()  # (right, wrong): indices of pointwise targets
    verdicts: tuple[VerdictTarget, ...] = ()
    weight: float = 1.0  # of each of its terms in the loss
    reference: float | None = None  # of a preference, see `Judgment.reference`


def read_problems(paths: Iterable[str | Path]) -> list[LabelledProblem]:
    """Labelled programs by problem, in the order met."""
    return [
        LabelledProblem(rows[0].problem, rows[0].group, rows[0].split, tuple(rows))
        for rows in by_problem(read_labels(paths)).values()
    ]


def read_teacher(paths: Iterable[str | Path]) -> dict[tuple[str, str, str], float]:
    """A teacher's comparisons by pair, in either direction: its two orders averaged in the logit."""
    comparisons_of: dict[str, list[Comparison]] = defaultdict(list)
    for path in paths:
        for line, row in read_rows(path):
            try:
                comparisons_of[row["task_id"]].append(Comparison(**row))
            except (KeyError, TypeError) as error:
                raise InputError(f"not a comparison ({error})", path=path, line=line) from error
    return {
        (task_id, *places): value
        for task_id, comparisons in comparisons_of.items()
        for (a, b), log_odds in margins(comparisons).items()
        for places, value in (((a, b), log_odds), ((b, a), -log_odds))
    }


def is_solved(problem: LabelledProblem) -> bool:
    """Whether its samples are partly right and partly wrong: elsewhere no scorer has a choice to make."""
    return len({program.right for program in problem.programs if program.origin == "sample"}) == 2


def read_judgments(paths: Iterable[str | Path]) -> list[Judgment]:
    judgments = []
    for path in paths:
        for line, row in read_rows(path):
            try:
                judgments.append(_judgment(row))
            except KeyError as error:
                raise InputError(f"not a row of a mixture (missing {error})", path=path, line=line) from error
            answers, target = judgments[-1].prompt.answers, judgments[-1].target
            if not target or (answers and target not in answers):
                raise InputError(f"the target {target!r} is none of the answers", path=path, line=line)
    return judgments


def _judgment(row: Row) -> Judgment:
    prompt = Prompt(tuple(row["segments"]), tuple(row["answers"] or ()))
    return Judgment(
        row["task"],
        row["split"],
        prompt,
        str(row["target"]),
        float(row.get("weight", 1.0)),
        bool(row.get("ends")),
        rejected=row.get("rejected"),
    )


def usable(
    problems: Sequence[LabelledProblem], encoder: PromptEncoder, *, pack_tokens: int
) -> tuple[list[LabelledProblem], int]:
    """Problems without the programs whose prompt is longer than half a pack, and how many programs that drops.

    Half, so that any two programs of a problem fit one pack together.
    """
    encoder.warm(p.program for problem in problems for p in problem.programs)
    fitting_problems, num_dropped = [], 0
    for problem in problems:
        room = pack_tokens // 2 - layouts.pointwise(encoder, problem.problem, [""]).num_tokens - 64
        short = tuple(p for p in problem.programs if len(encoder(p.program)) <= room)
        num_dropped += len(problem.programs) - len(short)
        if short:
            fitting_problems.append(LabelledProblem(problem.problem, problem.group, problem.split, short))
    return fitting_problems, num_dropped


def fitting(judgments: Sequence[Judgment], encoder: PromptEncoder, *, pack_tokens: int) -> tuple[list[Judgment], int]:
    """Judgments that are no longer than half a pack, and how many are dropped."""
    encoder.warm(segment for judgment in judgments for segment in judgment.prompt.segments)
    short_judgments = [j for j in judgments if judgment_example(encoder, j).layout.num_tokens <= pack_tokens // 2]
    return short_judgments, len(judgments) - len(short_judgments)


def first_of_each_task(judgments: Iterable[Judgment], count: int) -> list[Judgment]:
    """At most `count` judgments of a task, in order."""
    met: Counter[str] = Counter()
    first_judgments = []
    for judgment in judgments:
        met[judgment.task] += 1
        if met[judgment.task] <= count:
            first_judgments.append(judgment)
    return first_judgments


def stream(
    problems: Sequence[LabelledProblem],
    judgments: Sequence[Judgment],
    encoder: PromptEncoder,
    settings: TrainSettings,
    *,
    num_epochs: int | None = None,
    teacher: Teacher | None = None,
) -> Iterator[Example]:
    """Shuffled examples, epoch after epoch, without end unless `num_epochs` is given.

    An epoch shows every program once and a judgment as often as its weight says. A problem weighs one over the number
    of forms that its group has, so that a task met in four forms counts as one.
    """
    forms = Counter(problem.group for problem in problems)
    mean_weight = sum(1 / forms[problem.group] for problem in problems) / max(1, len(problems))
    for epoch in count() if num_epochs is None else range(num_epochs):
        rng = random.Random(f"{settings.seed}:{epoch}")
        drafts: list[tuple[LabelledProblem, tuple[Label, ...]] | Judgment] = []
        for problem in problems:
            drafts += ((problem, part) for part in _deal(problem.programs, settings.max_programs, rng))
        for judgment in judgments:
            times = math.floor(judgment.weight) + (rng.random() < judgment.weight % 1)
            drafts += [judgment] * times
        rng.shuffle(drafts)
        for draft in drafts:
            if isinstance(draft, Judgment):
                yield judgment_example(encoder, draft)
            else:
                weight = 1 / forms[draft[0].group] / mean_weight
                yield from problem_examples(encoder, *draft, settings=settings, rng=rng, weight=weight, teacher=teacher)


def _deal(programs: Sequence[Label], max_programs: int, rng: random.Random) -> list[tuple[Label, ...]]:
    """Shuffle programs into equal parts, right and wrong ones spread evenly over the parts."""
    order = sorted(programs, key=lambda _: rng.random())
    order.sort(key=lambda program: program.right)
    num_parts = -(-len(order) // max_programs)
    return [tuple(order[part::num_parts]) for part in range(num_parts)]


def problem_examples(
    encoder: PromptEncoder,
    problem: LabelledProblem,
    programs: Sequence[Label],
    *,
    settings: TrainSettings,
    rng: random.Random,
    weight: float = 1.0,
    teacher: Teacher | None = None,
) -> Iterator[Example]:
    """One problem with some of its programs in the mode's form; in several examples where one would fill a pack."""
    texts = [program.program for program in programs]
    rankings = _rankings(programs)
    pairs = rng.sample(rankings, min(settings.num_pairs, len(rankings)))
    ordered = [pair for right, wrong in pairs for pair in ((right, wrong), (wrong, right))]
    is_paired = settings.mode == "encoded-once"
    if is_paired:
        layout = layouts.encoded_once(encoder, problem.problem, texts, ordered)
    else:
        layout = layouts.pointwise(encoder, problem.problem, texts)
    if layout.num_tokens > settings.pack_tokens and len(programs) > 1:
        for part in (programs[::2], programs[1::2]):
            yield from problem_examples(
                encoder, problem, part, settings=settings, rng=rng, weight=weight, teacher=teacher
            )
        return
    yes_no = encoder.answer_ids(prompts.POINTWISE.answers)
    targets = tuple(
        Target(end, -1, yes_no, 0 if program.right else 1) for end, program in zip(layout.ends, programs, strict=True)
    )
    taught = partial(_probability, problem.problem.task_id, teacher, settings.teacher_weight)
    verdicts = tuple(
        VerdictTarget(right, wrong, 2 * index, 2 * index + 1, taught(texts[right], texts[wrong]))
        for index, (right, wrong) in enumerate(pairs)
    )
    yield Example(
        problem.problem.task_id,
        layout,
        targets,
        programs=tuple(programs),
        rankings=tuple(rankings),
        verdicts=verdicts if is_paired else (),
        weight=weight,
    )
    if settings.mode == "joint" or (is_paired and settings.joint_share and rng.random() < settings.joint_share):
        labels = [(programs[right], programs[wrong]) for right, wrong in pairs]
        yield from _joint_examples(encoder, problem, labels, settings.pack_tokens, weight)


def _probability(task_id: str, teacher: Teacher | None, weight: float, right: str, wrong: str) -> float:
    """That the right program is better: 1 by its label, less where a teacher judged the pair and doubts it."""
    log_odds = teacher.get((task_id, _key(right) or "", _key(wrong) or "")) if teacher else None
    return 1.0 if log_odds is None else 1 - weight + weight / (1 + math.exp(-log_odds))


def _joint_examples(
    encoder: PromptEncoder,
    problem: LabelledProblem,
    pairs: Sequence[tuple[Label, Label]],
    pack_tokens: int,
    weight: float,
) -> Iterator[Example]:
    """(right, wrong) pairs as joint prompts, both orders of a pair in one example."""
    if not pairs:
        return
    texts = list(dict.fromkeys(label.program for pair in pairs for label in pair))
    places = [(texts.index(right.program), texts.index(wrong.program)) for right, wrong in pairs]
    ordered = [place for right, wrong in places for place in ((right, wrong), (wrong, right))]
    layout = layouts.joint(encoder, problem.problem, texts, ordered)
    if layout.num_tokens > pack_tokens and len(pairs) > 1:
        half = len(pairs) // 2
        for part in (pairs[:half], pairs[half:]):
            yield from _joint_examples(encoder, problem, part, pack_tokens, weight)
    elif layout.num_tokens <= pack_tokens:  # else the pair's two orders do not fit together: left out
        answers = encoder.answer_ids(prompts.PAIRWISE.answers)
        targets = tuple(Target(end, -1, answers, index % 2) for index, end in enumerate(layout.ends))
        yield Example(problem.problem.task_id, layout, targets, pairs=tuple(pairs), weight=weight)


def _rankings(programs: Sequence[Label]) -> list[tuple[int, int]]:
    rights = [index for index, program in enumerate(programs) if program.right]
    wrongs = [index for index, program in enumerate(programs) if not program.right]
    return [(right, wrong) for right in rights for wrong in wrongs]


def judgment_example(encoder: PromptEncoder, judgment: Judgment) -> Example:
    """One row of the mixture: a choice where its answers are one token each, else its text, token by token."""
    layout = layouts.prompt_tree(encoder, [judgment.prompt])
    [end] = layout.ends
    try:
        answers = encoder.answer_ids(judgment.prompt.answers) if judgment.prompt.answers else ()
    except ModelError:
        answers = ()
    if answers:
        return Example(
            judgment.task, layout, (Target(end, -1, answers, judgment.prompt.answers.index(judgment.target)),)
        )
    ending = (encoder.end,) if judgment.ends else ()
    blocks, targets = list(layout.blocks), []
    sides = {0: judgment.target} if judgment.rejected is None else {1: judgment.target, -1: judgment.rejected}
    for side, words in sides.items():
        # Free text: its tokens but the last are written after the prompt, and each is predicted from the one before it.
        *written, _ = text = encoder(words) + ending
        if written:
            blocks.append(Block(tuple(written), blocks[end].stop, (end,)))
        places = [(end, -1), *((len(blocks) - 1, index) for index in range(len(written)))]
        targets += [Target(*place, (token,), 0, True, side) for place, token in zip(places, text, strict=True)]
    size = sum(target.side >= 0 for target in targets)
    reference = None if judgment.rejected is None else judgment.reference
    return Example(
        judgment.task, Layout(tuple(blocks), layout.ends), tuple(targets), weight=1 / size, reference=reference
    )


def packs(
    examples: Iterable[Example], pack_tokens: int, *, seed: int | None = None, window: int = 128
) -> Iterator[list[Example]]:
    """Group examples into packs of at most `pack_tokens`, `window` examples at a time: first fit, longest first.

    With a seed a window's packs come in random order, else longest first.
    """
    held: list[Example] = []
    for number, example in enumerate(examples, 1):
        held.append(example)
        if number % window == 0:
            yield from _fit(held, pack_tokens, None if seed is None else random.Random(f"{seed}:{number}"))
            held = []
    yield from _fit(held, pack_tokens, None if seed is None else random.Random(f"{seed}:end"))


def _fit(examples: Sequence[Example], pack_tokens: int, rng: random.Random | None) -> list[list[Example]]:
    fitted: list[list[Example]] = []
    room: list[int] = []
    for example in sorted(examples, key=lambda example: -example.layout.num_tokens):
        size = example.layout.num_tokens
        index = next((index for index, free in enumerate(room) if size <= free), len(room))
        if index == len(room):
            fitted.append([])
            room.append(pack_tokens)
        fitted[index].append(example)
        room[index] -= size
    if rng:
        rng.shuffle(fitted)
    return fitted


def steps(packed: Iterable[list[Example]], *, batch_size: int, num_processes: int = 1) -> Iterator[list[list[Example]]]:
    """Whole packs for each optimizer step: at least `batch_size` judgments, and as many packs for each process."""
    step: list[list[Example]] = []
    num_judgments = 0
    for examples in packed:
        step.append(examples)
        num_judgments += sum(len(example.targets) + len(example.verdicts) for example in examples)
        if num_judgments >= batch_size and len(step) % num_processes == 0:
            yield step
            step, num_judgments = [], 0


def exact_steps(examples: Iterable[Example], pack_tokens: int, *, batch_size: int) -> Iterator[list[list[Example]]]:
    """Exactly `batch_size` examples for each optimizer step, in as many packs as they need."""
    left = iter(examples)
    while len(batch := list(islice(left, batch_size))) == batch_size:
        yield list(packs(batch, pack_tokens, window=batch_size))
