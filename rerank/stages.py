"""The stages of a run, each over a run folder: candidates, outcomes, rankings, report.

    folder = RunFolder("runs/first")
    benchmark = open_problems(folder, "humaneval")
    problems, candidates = benchmark.chosen, import_candidates(folder, "samples.jsonl", benchmark)
    outcomes = execute(folder, problems, candidates)
    rankings = score(folder, problems, candidates, ScoreSettings("examples"), outcomes)
    print(table(make_report(folder, problems)))

A stage does what its journal lacks, so each may be called again after a kill, alone or in a whole run. Outcomes come
before rankings so that progress can show pass@1 as it goes; no selector sees them (`selection` takes none).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

import sandbox
from rerank import candidates as candidate_files
from rerank import execution, generators, judging, selection
from rerank import problems as problem_files
from rerank.aggregation import AGGREGATES
from rerank.autoraters import AUTORATERS
from rerank.backends import Engine, EngineOptions, open_engine
from rerank.candidates import by_problem, from_row, to_row
from rerank.errors import InputError
from rerank.evidence import examples
from rerank.records import Candidate, Comparison, Problem, Ranking
from rerank.report import Cost, Picker, Report, build_report, write_report
from rerank.run import RunFolder
from rerank.scorers import ScorerCard, read_card
from rerank.selection import Evidence
from rerank.settings import MODEL_FREE, GenerateSettings, ScoreSettings
from rerank.store import content_hash, file_hash, read_rows, write_rows
from rerank.tournaments import TOURNAMENTS

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """All problems of a benchmark, and those of them that a run is over."""

    problems: list[Problem]
    chosen: list[Problem]


def open_problems(folder: RunFolder, name: str, *, limit: int | None = None) -> Benchmark:
    """Load the problems and settle them; `limit` may grow from one call to the next."""
    problems = problem_files.load_problems(name)
    digest = content_hash(*map(asdict, problems))
    folder.settle("problems", {"name": name, "sha256": digest}, free={"limit": limit or len(problems)})
    return Benchmark(problems, problems[:limit])


def generate(
    folder: RunFolder, problems: Sequence[Problem], settings: GenerateSettings, options: EngineOptions
) -> list[Candidate]:
    """Sample what is still missing, from a model."""
    folder.settle(
        "candidates",
        {
            "generator": settings.generator,
            "num_samples": settings.num_samples,
            **asdict(settings.sampling),
        },
        free={"backend": settings.backend},
    )
    with folder.journal("candidates") as journal:
        wanted = [(problem.task_id, index) for problem in problems for index in range(settings.num_samples)]
        todo = {task_id for task_id, index in wanted if (task_id, index) not in journal}
        if todo:
            engine = open_engine(settings.backend, settings.generator, options)
            folder.settle("sampler", {}, free=dict(engine.settings))
            try:
                batches = generators.generate(
                    [problem.public for problem in problems if problem.task_id in todo],
                    engine,
                    journal,
                    num_samples=settings.num_samples,
                    sampling=settings.sampling,
                    generator=settings.generator,
                )
                for _ in tqdm(batches, "generate", len(problems), initial=len(problems) - len(todo), **judging.BAR):
                    pass
            finally:
                engine.close()
        return [from_row(journal[place]) for place in wanted]


def import_candidates(folder: RunFolder, path: str | Path, benchmark: Benchmark) -> list[Candidate]:
    """Read recorded samples of any shape into the folder, those of the chosen problems."""
    folder.settle("candidates", {"file": Path(path).name, "sha256": _file_hash(path)})
    wanted = {problem.task_id for problem in benchmark.chosen}
    with folder.journal("candidates") as journal:
        if wanted - {row["task_id"] for row in journal.rows.values()}:
            read = candidate_files.read_candidates(path, benchmark.problems, allow_missing=True)
            journal.append(to_row(candidate) for candidate in read if candidate.task_id in wanted)
        candidates = [from_row(row) for row in journal.rows.values() if row["task_id"] in wanted]
    missing = sorted(wanted - {candidate.task_id for candidate in candidates})
    if missing:
        raise candidate_files.missing_error(missing, path)
    return candidates


def load_candidates(folder: RunFolder, problems: Sequence[Problem]) -> list[Candidate]:
    """The candidates that an earlier stage left in the folder."""
    folder.settings("candidates")
    wanted = {problem.task_id for problem in problems}
    with folder.journal("candidates") as journal:
        return [from_row(row) for row in journal.rows.values() if row["task_id"] in wanted]


@dataclass(frozen=True, slots=True)
class Passed:
    """Whether each candidate passed, by task_id and candidate index."""

    base: dict[tuple[str, int], bool]
    plus: dict[tuple[str, int], bool] | None  # base and extra tests both; None where the problems have no extra tests


def execute(
    folder: RunFolder,
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    *,
    timeout_s: float = 3.0,
    num_workers: int | None = None,
    executor: str = "local",
) -> Passed:
    """Run every candidate under the hidden tests, and under the extra ones where every problem has some."""
    limits = sandbox.Limits(timeout_s=timeout_s)
    folder.settle("execute", {"timeout_s": timeout_s})
    has_extra = all(problem.extra_test is not None for problem in problems)
    run: Any = execution.execute_plus if has_extra else execution.execute
    with folder.journal("outcomes") as journal:
        found = run(problems, candidates, journal=journal, limits=limits, workers=num_workers, executor=executor)

    def passed(outcomes: Sequence[sandbox.Outcome]) -> dict[tuple[str, int], bool]:
        return {(each.task_id, each.index): one.passed for each, one in zip(candidates, outcomes, strict=True)}

    return Passed(passed(found.base), passed(found.plus)) if has_extra else Passed(passed(found), None)


def score(
    folder: RunFolder,
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    settings: ScoreSettings,
    *,
    options: EngineOptions | None = None,
    passed: Passed | None = None,
    num_workers: int | None = None,
    executor: str = "local",
) -> dict[str, list[Ranking]]:
    """Rank by the autorater and by every selector that needs no model; write the rankings in the problems' order.

    `passed`, where known, only feeds the figure beside the progress bar. An interrupt is let through once the problems
    judged so far are ranked and written.
    """
    card = read_card(settings.autorater, options.weights if options else None) if settings.needs_model else None
    if card and not card.knows(settings.mode):
        _log.warning("%s was not trained to judge %s: expect no better than chance", settings.autorater, settings.mode)
    folder.settle("score", {**settings.recorded(), **(card.settings(settings.mode) if card else {})})
    groups = by_problem(candidates)
    with sandbox.Pool(workers=num_workers, executor=executor) as pool, folder.journal("examples") as journal:
        shares = examples.judge((problem.public for problem in problems), candidates, pool=pool, journal=journal)
    judged: dict[str, Ranking] = {}
    try:
        if card:
            for ranking in _judge(folder, problems, groups, settings, card, options, passed.base if passed else {}):
                judged[ranking.task_id] = ranking
    finally:
        done = [problem for problem in problems if problem.task_id in judged or not settings.needs_model]
        rankings: dict[str, list[Ranking]] = {}
        for name in MODEL_FREE:
            if name == "log-probability" and all(each.mean_log_probability is None for each in candidates):
                continue
            rankings[name] = [
                selection.select(
                    name,
                    problem.public,
                    groups[problem.task_id],
                    Evidence(examples=selection.log_odds_by_key(shares.get(problem.task_id, ())), seed=settings.seed),
                )
                for problem in done
            ]
        if card:
            rankings[settings.selector] = [judged[problem.task_id] for problem in done]
            weight = card.log_probability_weight.get(settings.mode)
            if weight is not None and all(each.mean_log_probability is not None for each in candidates):
                added = _with_log_probability(folder, done, groups, settings, weight, judged)
                rankings |= {added[0].selector: added} if added else {}
        write_rows(folder.path / "rankings.jsonl", (asdict(each) for name in rankings for each in rankings[name]))
    return rankings


def _judge(
    folder: RunFolder,
    problems: Sequence[Problem],
    groups: judging.Groups,
    settings: ScoreSettings,
    card: ScorerCard,
    options: EngineOptions | None,
    passed: judging.Passed,
) -> Iterator[Ranking]:
    engines: list[Engine] = []

    def load() -> Any:
        engines.append(open_engine(settings.backend, settings.autorater, options))
        folder.settle("judge", {}, free=dict(engines[0].settings))
        return AUTORATERS[settings.mode](engines[0], card.temperature_of(settings.mode))

    try:
        shown = [problem.public for problem in problems]
        with folder.journal("costs") as costs:
            if settings.mode == "pointwise":
                with folder.journal("scores") as scores:
                    yield from judging.judge_pointwise(shown, groups, load, scores=scores, costs=costs, passed=passed)
            else:
                with folder.journal("comparisons") as comparisons:
                    yield from judging.judge_pairwise(
                        shown,
                        groups,
                        load,
                        tournament=TOURNAMENTS[settings.tournament],
                        aggregate=AGGREGATES[settings.aggregate],
                        seed=settings.seed,
                        comparisons=comparisons,
                        costs=costs,
                        passed=passed,
                    )
    finally:
        for engine in engines:
            engine.close()


def _with_log_probability(
    folder: RunFolder,
    problems: Sequence[Problem],
    groups: judging.Groups,
    settings: ScoreSettings,
    weight: float,
    judged: Mapping[str, Ranking],
) -> list[Ranking]:
    """The autorater's rankings once more, log-probability added; none after a tournament that it would have changed."""
    if settings.mode == "pointwise":
        return [selection.add_log_probability(judged[each.task_id], groups[each.task_id], weight) for each in problems]
    if settings.tournament != "round-robin":
        return []
    verdicts = _by_task(_load_comparisons(folder))
    return [
        selection.rank_pairwise(
            each.public,
            groups[each.task_id],
            selection.shifted(verdicts.get(each.task_id, []), groups[each.task_id], weight),
            tournament=TOURNAMENTS[settings.tournament],
            aggregate=AGGREGATES[settings.aggregate],
            seed=settings.seed,
            selector=selection.with_log_probability("pairwise"),
        )
        for each in problems
    ]


def make_report(folder: RunFolder, problems: Sequence[Problem], *, num_workers: int | None = None) -> Report:
    """Put together what the folder holds and write report.json, report.md and the plots into it.

    Raises InputError where candidates, rankings or outcomes are missing.
    """
    candidates = load_candidates(folder, problems)
    rankings = load_rankings(folder, {problem.task_id for problem in problems})
    passed = execute(
        folder, problems, candidates, timeout_s=folder.settings("execute")["timeout_s"], num_workers=num_workers
    )
    selector = next((name for name in ("pairwise", "pointwise") if name in rankings), None)
    comparisons: dict[str, list[Comparison]] = {}
    if selector == "pairwise":
        comparisons[selector] = _load_comparisons(folder)
    found = build_report(
        problems,
        candidates,
        rankings,
        passed.base,
        passed_extra=passed.plus,
        costs={selector: _cost(folder, selector)} if selector else {},
        comparisons=comparisons,
        pickers=_pickers(folder, problems, candidates, comparisons),
        settings=folder.document(),
    )
    write_report(found, folder.path)
    return found


def num_ranked(folder: RunFolder) -> int:
    """How many problems the folder's rankings are about; 0 where there are none."""
    path = folder.path / "rankings.jsonl"
    return len({row["task_id"] for _, row in read_rows(path)}) if path.exists() else 0


def load_rankings(folder: RunFolder, task_ids: set[str]) -> dict[str, list[Ranking]]:
    """Every selector's rankings of these problems. Raises InputError where the folder has none."""
    rankings: dict[str, list[Ranking]] = {}
    for _, row in read_rows(folder.path / "rankings.jsonl"):
        ranking = Ranking(**{**row, "order": tuple(row["order"]), "values": tuple(row["values"])})
        if ranking.task_id in task_ids:
            rankings.setdefault(ranking.selector, []).append(ranking)
    return rankings


def _load_comparisons(folder: RunFolder) -> list[Comparison]:
    with folder.journal("comparisons") as journal:
        return [Comparison(**row) for row in journal.rows.values()]


def _by_task(comparisons: Sequence[Comparison]) -> dict[str, list[Comparison]]:
    found: dict[str, list[Comparison]] = {}
    for each in comparisons:
        found.setdefault(each.task_id, []).append(each)
    return found


def _cost(folder: RunFolder, selector: str) -> Cost:
    with folder.journal("costs") as journal:
        rows = [row for row in journal.rows.values() if row["stage"] == selector]
    return Cost(num_tokens=sum(row["num_tokens"] for row in rows), seconds=sum(row["seconds"] for row in rows))


def _pickers(
    folder: RunFolder,
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    comparisons: Mapping[str, Sequence[Comparison]],
) -> dict[str, Picker]:
    """For the growth curve: what a round-robin among some of the candidates would choose.

    Its comparisons are all there, which those of a knockout or a Swiss among some are not.
    """
    settings = folder.settings("score")
    if not comparisons or settings["tournament"] != "round-robin":
        return {}
    by_id = {problem.task_id: problem.public for problem in problems}
    groups = {task_id: {each.index: each for each in group} for task_id, group in by_problem(candidates).items()}
    verdicts = _by_task(comparisons["pairwise"])

    def pick(task_id: str, indices: Sequence[int]) -> int:
        return selection.rank_pairwise(
            by_id[task_id],
            [groups[task_id][index] for index in indices],
            verdicts.get(task_id, []),
            tournament=TOURNAMENTS["round-robin"],
            aggregate=AGGREGATES[settings["aggregate"]],
            seed=settings["seed"],
        ).best

    return {"pairwise": pick}


def _file_hash(path: str | Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise InputError((error.strerror or str(error)).lower(), path=path) from error
