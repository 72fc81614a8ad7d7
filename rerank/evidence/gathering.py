"""The evidence that comes from running candidates: on written tests and on generated inputs, all in one journal.

    found = gather(problems, candidates, answers, pool=pool, journal=journal)
    found.written["HumanEval/0"], found.inputs["HumanEval/0"]

It is given PublicProblems and what a model wrote about them: no hidden test can come in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rerank.evidence import generated_inputs, written_tests
from rerank.evidence.test_writers import Answers
from rerank.evidence.trials import Trial, Tried, run_trials
from rerank.records import Candidate, PublicProblem
from rerank.store import Journal
from sandbox import Pool


@dataclass(frozen=True, slots=True)
class Gathered:
    """By task_id; a problem without a test, or without an example to make inputs from, has no entry."""

    written: Mapping[str, Tried]
    inputs: Mapping[str, Tried]


def gather(
    problems: Sequence[PublicProblem],
    candidates: Sequence[Candidate],
    answers: Mapping[str, Answers],
    *,
    pool: Pool,
    journal: Journal,
    seed: int = 0,
) -> Gathered:
    """Run every distinct program on the tests in `answers` (by task_id) and on generated inputs."""
    tests = [
        Trial(problem, written_tests.collect(problem, answer.texts, known=answer.shown))
        for problem in problems
        if (answer := answers.get(problem.task_id))
    ]
    made = [
        Trial(problem, inputs=generated_inputs.generate(generated_inputs.example_calls(problem), seed=seed))
        for problem in problems
    ]
    return Gathered(
        run_trials(tests, candidates, pool=pool, journal=journal),
        run_trials(made, candidates, pool=pool, journal=journal),
    )
