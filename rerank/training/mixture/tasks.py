"""Every task of the mixture: where it comes from, under which licence, what it trains, and how it is put in words.

The tasks themselves are in `tasks.toml`, beside this file; add one there. Three origins. `judgments`: files of
judgments by people or by execution, in the schema of this project's judgment files (task, kind, context, responses,
label, criterion, split). `labels`: programs that were run, see `rerank.training.labels`. `hub`: sets that only the
Hugging Face hub has, read through `datasets`; see `rerank.training.mixture.hub`.

Answers are single letters, digits, Yes or No, so that one token decides for any tokenizer. Pointwise tasks are put on
one scale from 1 to 5; a class or a step has its answer in `answers`; open-ended tasks have none and are answered in
words. What may never be a task here is in `HELD_OUT`.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from rerank import prompts
from rerank.errors import InputError
from rerank.prompts import Task

Kind = Literal["pairwise", "pointwise", "classification", "open_ended"]
TaskOrigin = Literal["judgments", "labels", "hub"]
Capability = Literal[
    "code", "math", "factuality", "instruction_following", "helpfulness", "safety", "summary", "translation", "other"
]


@dataclass(frozen=True, slots=True)
class MixtureTask:
    """One task. `prompt.answers` are the legal answers; `classes` turns the source's labels into them."""

    name: str
    kind: Kind
    capability: Capability
    location: str  # public: a GitHub repository, or hub:<owner>/<name>
    licence: str
    judged: str  # what a response is called in the prompt
    prompt: Task
    classes: Mapping[str, str] = field(default_factory=dict)
    shows_criterion: bool = False  # the rows of the task ask different questions
    origin: TaskOrigin = "judgments"


_FILE = Path(__file__).with_suffix(".toml")
SCALE = ("1", "2", "3", "4", "5")
STEPS = tuple("123456789")  # a step after the ninth has no single digit: rows with one are left out


@dataclass(frozen=True, slots=True)
class _Answers:
    """What a form makes of a task's own fields: how the answer is described, and which answers are legal."""

    kind: Kind
    description: str
    legal: tuple[str, ...] = ()
    classes: Mapping[str, str] = field(default_factory=dict)


def _pair(judged: str) -> _Answers:
    return _Answers("pairwise", f"A or B, the {judged} chosen.", ("A", "B"))


def _grade(worst: str, best: str) -> _Answers:
    return _Answers("pointwise", f"a whole number from 1 ({worst}) to 5 ({best}).", SCALE)


def _yes_no(yes: str, no: str) -> _Answers:
    return _Answers("classification", f"Yes ({yes}) or No ({no}).", ("Yes", "No"), {yes: "Yes", no: "No"})


def _classes(classes: Mapping[str, str]) -> _Answers:
    letters = dict(zip(classes, "ABCDEFGH", strict=False))
    meanings = "; ".join(f"{letters[label]}: {meaning}" for label, meaning in classes.items())
    return _Answers("classification", f"one letter. {meanings}.", tuple(letters.values()), letters)


def _step(has_none: bool = False) -> _Answers:
    steps = {step: step for step in STEPS}
    if not has_none:
        return _Answers("classification", "the number of the step.", STEPS, steps)
    return _Answers(
        "classification", "the number of the step, 0 if there is none.", ("0", *STEPS), steps | {"none": "0"}
    )


def _words(output: str) -> _Answers:
    return _Answers("open_ended", output)


# Each form's answers, and the fields that they are made from.
_FORMS: Mapping[str, tuple[Callable[..., _Answers], frozenset[str]]] = {
    "pair": (_pair, frozenset({"judged"})),
    "grade": (_grade, frozenset({"worst", "best"})),
    "yes_no": (_yes_no, frozenset({"yes", "no"})),
    "classes": (_classes, frozenset({"classes"})),
    "step": (_step, frozenset({"has_none"})),
    "words": (_words, frozenset({"output"})),
}
_OF_EVERY_TASK = {"form", "capability", "location", "licence", "judged", "title", "description", "shows_criterion"}


def mixture_task(name: str, row: Mapping[str, Any]) -> MixtureTask:
    """A table of `tasks.toml` as a task. Raises InputError naming the task and the field that is wrong."""
    form = row.get("form", "")
    if form not in _FORMS:
        raise InputError(f"task {name}: form {form}: not one of {', '.join(_FORMS)}", path=_FILE)
    make_answers, own_fields = _FORMS[form]
    if unknown := set(row) - _OF_EVERY_TASK - own_fields:
        raise InputError(f"task {name}: form {form} has no field {', '.join(sorted(unknown))}", path=_FILE)
    if missing := (_OF_EVERY_TASK | own_fields) - {"shows_criterion", "has_none"} - set(row):
        raise InputError(f"task {name}: lacks {', '.join(sorted(missing))}", path=_FILE)
    if row["capability"] not in get_args(Capability):
        known = ", ".join(get_args(Capability))
        raise InputError(f"task {name}: capability {row['capability']}: not one of {known}", path=_FILE)
    answers = make_answers(**{key: row[key] for key in own_fields & set(row)})
    return MixtureTask(
        name,
        answers.kind,
        row["capability"],
        row["location"],
        row["licence"],
        row["judged"],
        Task(row["title"], row["description"], f"answer: {answers.description}", answers.legal),
        answers.classes,
        shows_criterion=row.get("shows_criterion", False),
        origin="hub" if row["location"].startswith("hub:") else "judgments",
    )


# Asked in the scorers' own words, which `rerank.prompts` holds.
_LABEL_PROMPTS: Mapping[str, tuple[Kind, Task]] = {
    "code_correct": ("classification", prompts.POINTWISE),
    "code_pair": ("pairwise", prompts.PAIRWISE),
}
_LABELS = {
    name: MixtureTask(
        name,
        kind,
        "code",
        "this project: programs run against their problem's tests",
        "as the problems",
        "solution",
        prompt,
        origin="labels",
    )
    for name, (kind, prompt) in _LABEL_PROMPTS.items()
}
# Read with the module, as if it stood here: it is part of the package.
_DOCUMENT = tomllib.loads(_FILE.read_text(encoding="utf-8"))
TASKS: Mapping[str, MixtureTask] = _LABELS | {name: mixture_task(name, row) for name, row in _DOCUMENT["tasks"].items()}
# Sets that are measured on: names of judgment files, and what the hub calls sets of the same material.
HELD_OUT = frozenset(_DOCUMENT["held_out"])
