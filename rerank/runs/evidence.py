"""The evidence stage: recorded or new written tests, a reviewer's reading, and trials of the candidates."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, replace
from pathlib import Path

from tqdm import tqdm

import sandbox
from rerank.backends.engines import open_engine
from rerank.backends.interface import Engine, EngineOptions, LikelihoodSource, Usage
from rerank.evidence import examples, gathering, record, test_writers
from rerank.evidence.gathering import TaskTrials
from rerank.evidence.record import Evidence
from rerank.evidence.test_writers import Answers
from rerank.generators import style_of
from rerank.records import Candidate, Problem, Score
from rerank.runs import judging, reviewing
from rerank.runs.candidates import Benchmark, _file_hash
from rerank.runs.folder import RunFolder
from rerank.runs.journals import load_comparisons, load_likelihoods, load_scores
from rerank.runs.settings import SelectSettings, WriteSettings
from rerank.selection import budget


def import_tests(folder: RunFolder, path: str | Path, benchmark: Benchmark) -> dict[str, Answers]:
    """Read what a model wrote when asked for tests, of the chosen problems."""
    folder.record_settings("tests", fixed={"file": Path(path).name, "sha256": _file_hash(path)})
    chosen = {problem.task_id for problem in benchmark.chosen}
    answers = test_writers.read_answers(path, benchmark.problems)
    return {task_id: each for task_id, each in answers.items() if task_id in chosen}


def write_tests(
    folder: RunFolder, benchmark: Benchmark, settings: WriteSettings, options: EngineOptions
) -> dict[str, Answers]:
    """Have a model write tests to the problems that have none yet."""
    decided = {"writer": settings.writer, "num_samples": settings.num_samples, **asdict(settings.sampling)}
    decided |= {"without_examples": True} if settings.without_examples else {}
    folder.record_settings("tests", fixed=decided, changeable={"backend": settings.backend})
    with folder.journal("tests") as journal:
        asked = {row["task_id"] for row in journal.rows.values()}
        todo = [problem.public for problem in benchmark.chosen if problem.task_id not in asked]
        if todo:
            engine = open_engine(settings.backend, settings.writer, options)
            try:
                form = settings.form or ("chat" if style_of(engine) == "chat" else "continue")
                rows = test_writers.write_answers(
                    todo,
                    engine,
                    journal,
                    form=form,
                    num_samples=settings.num_samples,
                    sampling=settings.sampling,
                    without_examples=settings.without_examples,
                )
                for _ in tqdm(rows, "write tests", len(todo), **judging.BAR):
                    pass
            finally:
                engine.close()
    path = folder.path / "tests.jsonl"
    return test_writers.read_answers(path, benchmark.problems) if path.stat().st_size else {}


def review(
    folder: RunFolder,
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    reviewer: str,
    options: EngineOptions,
) -> None:
    """Have a model read what the folder lacks of likelihoods: of each program, and of its problem."""
    folder.record_settings("likelihoods", fixed={"reviewer": reviewer})
    engines: list[Engine] = []

    def load() -> LikelihoodSource:
        engine = open_engine("transformers", reviewer, options)  # the only backend that shows whole distributions
        engines.append(engine)
        folder.record_settings("reviewer", changeable=dict(engine.settings))
        return reviewing.require(engine, reviewer)

    try:
        with folder.journal("likelihoods") as journal, folder.journal("costs") as costs:
            shown = [problem.public for problem in problems]
            for _ in reviewing.review(shown, candidates, load, journal=journal, costs=costs):
                pass
    finally:
        for engine in engines:
            engine.close()


def run_evidence(
    folder: RunFolder,
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    answers: Mapping[str, Answers],
    seed: int,
    num_workers: int | None,
    executor: str = "local",
) -> tuple[dict[str, list[Score]], TaskTrials]:
    """Run the docstring's examples, then written tests and generated inputs; note what each took."""
    shown = [problem.public for problem in problems]
    with (
        sandbox.Pool(workers=num_workers, executor=executor) as pool,
        folder.journal("examples") as example_rows,
        folder.journal("trials") as trial_rows,
        folder.journal("costs") as costs,
    ):
        counts = Counter(row["stage"] for row in costs.rows.values())
        spent = judging.Costs(costs, "examples", Usage())
        shares = examples.judge(shown, candidates, pool=pool, journal=example_rows)
        spent.note("", counts["examples"], Usage())
        spent = judging.Costs(costs, "trials", Usage())
        tried = gathering.gather(shown, candidates, answers, pool=pool, journal=trial_rows, seed=seed)
        spent.note("", counts["trials"], Usage())
    return shares, tried


def evidence_of(
    folder: RunFolder,
    problems: Sequence[Problem],
    shares: Mapping[str, Sequence[Score]],
    tried: TaskTrials,
    select: SelectSettings,
    seed: int,
    wanted: Mapping[str, Set[str]] | None = None,
) -> dict[str, Evidence]:
    """All that is known, by task_id: pointwise scores as far as the folder has them; of the `wanted` keys, if given."""
    scores, read, played = load_scores(folder), load_likelihoods(folder), load_comparisons(folder)
    if wanted is not None:
        scores = {
            task_id: {key: value for key, value in of_task.items() if key in wanted.get(task_id, ())}
            for task_id, of_task in scores.items()
        }
    evidence = gathering.evidence_by_task(
        [problem.task_id for problem in problems],
        trials=tried,
        examples={task_id: record.log_odds_by_key(of_task) for task_id, of_task in shares.items()},
        scores=scores,
        comparisons=played,
        likelihoods=read,
        greedy=select.greedy,
        confidence=select.confidence,
        seed=seed,
    )
    if wanted is None:
        return evidence
    return {
        task_id: replace(each, scores=budget.shared(each.scores, each.behaviour)) for task_id, each in evidence.items()
    }
