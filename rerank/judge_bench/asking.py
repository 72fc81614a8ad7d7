"""A case as prompts. A task of the training mixture is asked in its own words, Python programs in the scorers' words.

An `Ask` is one question about a case: which order, whose names, what remark beside it. A verdict on a pair always says
how much better the case's first response is, in whatever order the two were shown.
"""

from dataclasses import dataclass

from rerank import prompts
from rerank.errors import ModelError
from rerank.judge_bench.cases import Case
from rerank.prompts import Prompt, Task
from rerank.records import PublicProblem
from rerank.training.mixture.tasks import SCALE, TASKS

_LETTERS = "ABCDEFGH"


@dataclass(frozen=True, slots=True)
class Ask:
    """One question about a case; a plain one unless said otherwise."""

    case: Case
    swapped: bool = False  # a pair's second response stands first
    remark: str = ""  # names a bias and a side, such as "bandwagon A"; see `remark_text`
    named: bool = False  # the models' names stand beside the responses

    @property
    def variant(self) -> str:
        """Names the question among those about its case."""
        return " ".join(filter(None, ["ba" if self.swapped else "ab", "named" if self.named else "", self.remark]))


def remark_text(case: Case, remark: str) -> str:
    """The sentence that stands for a remark: about a majority, or something that says nothing of the answer.

    A hash of the case picks its share (60 to 90 per cent, as CoBBLEr's) or its words.
    """
    kind, side = remark.split()
    draw = int(case.key, 16)
    if kind == "bandwagon":
        return f"{60 + draw % 31}% of people think that {_noun(case)} {side} is the better one."
    idle = ("was written on a Tuesday.", "is kept in a blue folder.", "was typed on an old keyboard.")
    return f"{_noun(case).capitalize()} {side} {idle[draw % len(idle)]}"


def pair_prompt(ask: Ask) -> Prompt:
    """Which of two responses is better? The answers are A and B, in the order shown."""
    case = ask.case
    first, second = case.responses[::-1] if ask.swapped else case.responses
    if _is_python(case) and case.set not in TASKS and not ask.remark and not ask.named:
        return prompts.pairwise(_problem(case), first, second)
    names = case.models[::-1] if ask.swapped else case.models
    titles = [f"{_noun(case)} {letter}" for letter in "AB"]
    if ask.named:
        titles = [f"{title} (by {name})" for title, name in zip(titles, names, strict=True)]
    context = list(case.context)
    if case.set in TASKS and TASKS[case.set].shows_criterion:
        context.append(("question", case.question))
    if ask.remark:
        context.append(("remark", remark_text(case, ask.remark)))
    return prompts.judgment(_pair_task(case), [*context, *zip(titles, (first, second), strict=True)])


def score_prompt(case: Case, response: str) -> Prompt:
    """Is this response good? For pairs and best-of, judged one by one; the answers are Yes and No."""
    if _is_python(case):
        return prompts.pointwise(_problem(case), response)
    task = Task(
        "Is this response good?",
        "You are given what was asked for and one response to it. Decide whether the response is what a careful judge "
        f"would want. The judge's question is: {case.question}",
        "answer: Yes if the response is good, No if it is not.",
        ("Yes", "No"),
    )
    return prompts.judgment(task, [*case.context, ("response", response)])


def choice_prompt(case: Case) -> Prompt:
    """A class or a grade. The answers stand in the order of the case's classes, or from the lowest grade up."""
    if case.set in TASKS:
        task = TASKS[case.set]
        context = [*case.context, *([("question", case.question)] if task.shows_criterion else [])]
        answers = task.prompt.answers
        if case.kind == "classification":
            answers = tuple(task.classes[label] for label in case.classes)
        prompt = prompts.judgment(task.prompt, [*context, (task.judged, case.responses[0])])
        return Prompt(prompt.segments, answers)
    if case.kind == "classification" and _is_python(case) and case.classes == ("correct", "incorrect"):
        return prompts.pointwise(_problem(case), case.responses[0])
    return prompts.judgment(_choice_task(case), [*case.context, ("response", case.responses[0])])


def _choice_task(case: Case) -> Task:
    given = "You are given a response and what it belongs to. Answer the question in the title."
    if case.kind == "pointwise":
        given += " Give a grade on the scale below, whatever range the question names."
        return Task(case.question, given, "answer: a whole number from 1 (worst) to 5 (best).", SCALE)
    if len(case.classes) == 2:
        yes, no = case.classes
        return Task(case.question, given, f"answer: Yes ({yes}) or No ({no}).", ("Yes", "No"))
    if len(case.classes) > len(_LETTERS):
        raise ModelError(f"{case.set}: {len(case.classes)} classes, and at most {len(_LETTERS)} have a letter")
    letters = tuple(_LETTERS[: len(case.classes)])
    meanings = "; ".join(f"{letter}: {label}" for letter, label in zip(letters, case.classes, strict=True))
    return Task(case.question, given, f"answer: one letter. {meanings}.", letters)


def _pair_task(case: Case) -> Task:
    if case.set in TASKS:
        return TASKS[case.set].prompt
    return Task(
        case.question,
        "You are given what was asked for and two responses to it, A and B. Choose by the question in the title. "
        "Neither length nor place counts.",
        "answer: A or B, the response chosen.",
        ("A", "B"),
    )


def _noun(case: Case) -> str:
    return TASKS[case.set].judged if case.set in TASKS else "response"


def _is_python(case: Case) -> bool:
    context = dict(case.context)
    return case.category == "code" and "problem" in context and context.get("language", "Python") == "Python"


def _problem(case: Case) -> PublicProblem:
    return PublicProblem(case.id, dict(case.context)["problem"], "")
