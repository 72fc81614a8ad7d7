"""Judgments as text: FLAMe's three blocks (arXiv 2407.10817, section 3 and figure 2), one format for every task.

A task has a title, a description and output fields (INSTRUCTIONS); what is judged is named text (CONTEXT); the answer
follows EVALUATION. A `Prompt` keeps its text in segments that are tokenised one by one, so that the tokens of a
candidate never depend on what stands beside it: that is what lets an engine encode a shared part once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rerank.records import PublicProblem


@dataclass(frozen=True, slots=True)
class Task:
    """The INSTRUCTIONS block of one quality-assessment task."""

    title: str
    description: str
    output_fields: str
    answers: tuple[str, ...]  # every legal answer; empty for free text or a number

    @property
    def instructions(self) -> str:
        return (
            f"INSTRUCTIONS:\ntitle: {self.title}\ndescription: {self.description}\n"
            f"output_fields: {self.output_fields}\n\nCONTEXT:\n"
        )


@dataclass(frozen=True, slots=True)
class Prompt:
    """A judgment to be made. Joined, the segments are one user message; the model's turn begins with an answer."""

    segments: tuple[str, ...]
    answers: tuple[str, ...]  # single tokens at the start of the model's turn; log-odds are first against second

    @property
    def text(self) -> str:
        return "".join(self.segments)


POINTWISE = Task(
    title="Is this Python solution correct?",
    description="You are given a programming problem and a Python solution to it. Decide whether the solution does "
    "exactly what the problem asks for on every input that the problem allows, edge cases included.",
    output_fields="answer: Yes if the solution is correct, No if it is not.",
    answers=("Yes", "No"),
)

PAIRWISE = Task(
    title="Which Python solution is better?",
    description="You are given a programming problem and two Python solutions to it, A and B. Decide which one is more "
    "likely to do exactly what the problem asks for on every input that the problem allows, edge cases included.",
    output_fields="answer: A if solution A is better, B if solution B is better.",
    answers=("A", "B"),
)

EVALUATION = "\n\nEVALUATION:\nanswer:"

# Encoded-once (see backends/layouts.py): what follows a program to name it A or B, and what asks about two of them.
FIRST_LINK = "\n\nA"
SECOND_LINK = "\n\nB"
VERDICT = "\n\nbetter:"


def pointwise(problem: PublicProblem, solution: str) -> Prompt:
    """Ask whether one solution is right. Segments: (instructions and problem, solution, question)."""
    head = f"{POINTWISE.instructions}problem:\n{problem.prompt.strip()}\n\nsolution:\n"
    return Prompt((head, solution, EVALUATION), POINTWISE.answers)


def pairwise(problem: PublicProblem, first: str, second: str) -> Prompt:
    """Ask which of two solutions is better. Segments: (instructions and problem, A, link, B, question)."""
    head = f"{PAIRWISE.instructions}problem:\n{problem.prompt.strip()}\n\nsolution A:\n"
    return Prompt((head, first, "\n\nsolution B:\n", second, EVALUATION), PAIRWISE.answers)


def judgment(task: Task, context: Sequence[tuple[str, str]]) -> Prompt:
    """Any other task of the mixture: named texts in order, one segment each after the instructions."""
    named = tuple(f"{name}:\n{text.strip()}\n\n" for name, text in context)
    return Prompt((task.instructions, *named, EVALUATION.lstrip("\n")), task.answers)
