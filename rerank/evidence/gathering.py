"""Where `Evidence` is made: trials of the candidates on written tests and generated inputs, and all kinds put together.

    trials = gather(problems, candidates, answers, pool=pool, journal=journal)
    evidence_by_task(["HumanEval/0"], trials=trials, scores=scores)["HumanEval/0"]

A new kind of evidence comes in here, and so to runs, the server and the fit of the posterior alike. It is given
PublicProblems and what a model wrote about them: no hidden test can come in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rerank.evidence import generated_inputs, written_tests
from rerank.evidence.likelihoods import Read
from rerank.evidence.record import Evidence
from rerank.evidence.test_writers import Answers
from rerank.evidence.trials import Trial, Tried, run_trials
from rerank.records import Candidate, Comparison, PublicProblem
from rerank.store import Journal
from sandbox import Pool


@dataclass(frozen=True, slots=True)
class TaskTrials:
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
) -> TaskTrials:
    """Run every distinct program on the tests in `answers` (by task_id) and on generated inputs."""
    tests = [
        Trial(problem, written_tests.collect(problem, answer.texts, known=answer.shown))
        for problem in problems
        if (answer := answers.get(problem.task_id))
    ]
    on_inputs = [
        Trial(problem, inputs=generated_inputs.generate(generated_inputs.example_calls(problem), seed=seed))
        for problem in problems
    ]
    return TaskTrials(
        run_trials(tests, candidates, pool=pool, journal=journal),
        run_trials(on_inputs, candidates, pool=pool, journal=journal),
    )


def evidence_by_task(
    task_ids: Iterable[str],
    *,
    trials: TaskTrials | None = None,
    examples: Mapping[str, Mapping[str, float | None]] | None = None,
    scores: Mapping[str, Mapping[str, float | None]] | None = None,
    comparisons: Mapping[str, Sequence[Comparison]] | None = None,
    likelihoods: Mapping[str, Mapping[str, Read]] | None = None,
    greedy: int | None = None,
    confidence: float = 0.9,
    seed: int = 0,
) -> dict[str, Evidence]:
    """All that is known, put together for each task; each kind is by task_id and may lack some or be None."""
    trials = trials or TaskTrials({}, {})
    return {
        task_id: Evidence(
            scores=(scores or {}).get(task_id, {}),
            comparisons=(comparisons or {}).get(task_id, ()),
            examples=(examples or {}).get(task_id, {}),
            written=trials.written.get(task_id),
            inputs=trials.inputs.get(task_id),
            likelihoods=(likelihoods or {}).get(task_id, {}),
            greedy=greedy,
            confidence=confidence,
            seed=seed,
        )
        for task_id in task_ids
    }
