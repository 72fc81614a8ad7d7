"""Spend a budget of samples where it is worth most: draw some of each problem, look at the evidence, draw on.

    candidates = generate(folder, problems, settings, options, answers={}, select=SelectSettings(), seed=0)

The first round draws the same number of every problem. Each further one draws the same number again of the problems
with the largest expected gain (see `budget.gain_of_samples`), by all evidence that needs no autorater, until the budget
is spent or the posterior is sure of all. What a round draws is written down before it is drawn, so that a killed run
goes on with the same round; a sample depends on the seed, the problem and its number, not on when its round came.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace

from tqdm import tqdm

from rerank import generators
from rerank.backends.engines import lazy_engine, open_engine
from rerank.backends.interface import Engine, EngineOptions, Sampling
from rerank.candidates.files import by_problem, from_row
from rerank.errors import SettingError
from rerank.evidence.record import Evidence
from rerank.evidence.test_writers import Answers
from rerank.records import Candidate, Problem
from rerank.runs.evidence import evidence_of, run_evidence
from rerank.runs.folder import RunFolder
from rerank.runs.judging import BAR
from rerank.runs.settings import GenerateSettings, SelectSettings
from rerank.selection import budget, posterior
from rerank.store import Journal, content_hash


def generate(
    folder: RunFolder,
    problems: Sequence[Problem],
    settings: GenerateSettings,
    options: EngineOptions,
    *,
    answers: Mapping[str, Answers],
    select: SelectSettings,
    seed: int,
    num_workers: int | None = None,
    executor: str = "local",
) -> list[Candidate]:
    """Draw at most `settings.max_total` samples, at most `settings.num_samples` of one problem.

    Raises SettingError where the budget is too small for the first round.
    """
    assert settings.max_total is not None
    size = budget.round_size(settings.num_samples)
    if settings.max_total < size * len(problems):
        raise SettingError(
            f"--budget {settings.max_total}samples: the first round draws {size} of each of {len(problems)} problems; "
            f"at least {size * len(problems)}, or a smaller --n"
        )
    folder.record_settings(
        "candidates",
        fixed={
            "generator": settings.generator,
            "num_samples": settings.num_samples,
            "max_total": settings.max_total,
            **asdict(settings.sampling),
        },
        changeable={"backend": settings.backend},
    )
    by_id = {problem.task_id: problem for problem in problems}

    def open_sampler() -> Engine:
        engine = open_engine(settings.backend, settings.generator, options)
        folder.record_settings("sampler", changeable=dict(engine.settings))
        return engine

    def next_counts(candidates: Sequence[Candidate], drawn: Counter[str]) -> dict[str, int]:
        assert settings.max_total is not None
        shares, tried = run_evidence(folder, problems, candidates, answers, seed, num_workers, executor)
        gains = _gains(candidates, evidence_of(folder, problems, shares, tried, select, seed), size)
        left = settings.max_total - drawn.total()
        return budget.next_round(gains, drawn, max_each=settings.num_samples, size=size, left=left)

    drawn: Counter[str] = Counter()
    with (
        lazy_engine(open_sampler) as engine,
        folder.journal("candidates") as journal,
        folder.journal("rounds") as rounds,
    ):
        for number in itertools.count():
            if number not in rounds:
                first_round = dict.fromkeys(by_id, size)
                counts = next_counts(_candidates(journal, by_id), drawn) if number else first_round
                rounds.append([{"round": number, "counts": counts}])
            counts = rounds[number]["counts"]
            if not counts:
                break
            _draw([by_id[task_id] for task_id in counts], counts, drawn, journal, settings, engine)
            drawn.update(counts)
        folder.record_settings("rounds", changeable={"num_rounds": number, "num_samples": drawn.total()})
        return _candidates(journal, by_id)


def _gains(candidates: Sequence[Candidate], evidence: Mapping[str, Evidence], size: int) -> dict[str, float]:
    """What `size` more samples of each problem are expected to gain."""
    groups = by_problem(candidates)
    model = posterior.read_model()
    return {
        task_id: budget.gain_of_samples(
            groups[task_id], posterior.believe(groups[task_id], of_task, model), of_task.behaviour, size
        )
        for task_id, of_task in evidence.items()
    }


def _draw(
    problems: Sequence[Problem],
    counts: Mapping[str, int],
    drawn: Mapping[str, int],
    journal: Journal,
    settings: GenerateSettings,
    engine: Callable[[], Engine],
) -> None:
    """Draw one round, as far as the journal lacks it."""
    batches: dict[tuple[int, int], list[Problem]] = {}  # by first index and number: those that are asked alike
    for problem in problems:
        first, count = drawn.get(problem.task_id, 0), counts[problem.task_id]
        if any((problem.task_id, first + step) not in journal for step in range(count)):
            batches.setdefault((first, count), []).append(problem)
    if not batches:
        return
    with tqdm(total=sum(map(len, batches.values())), desc="generate", **BAR) as bar:
        for (first, count), alike in batches.items():
            for _ in generators.generate(
                [problem.public for problem in alike],
                engine(),
                journal,
                num_samples=count,
                sampling=_seeded(settings.sampling, first),
                generator=settings.generator,
                first_index=first,
            ):
                bar.update()


def _seeded(sampling: Sampling, first: int) -> Sampling:
    """The first round draws as a run without a budget does; each later one with a seed of its own."""
    return sampling if first == 0 else replace(sampling, seed=int(content_hash(sampling.seed, first), 16) % 2**31)


def _candidates(journal: Journal, by_id: Mapping[str, Problem]) -> list[Candidate]:
    return [from_row(row) for row in journal.rows.values() if row["task_id"] in by_id]
