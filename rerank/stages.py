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
import time
from collections import Counter
from collections.abc import Generator, Iterable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

import sandbox
from rerank import candidates as candidate_files
from rerank import early, execution, generators, judging, page, posterior, reviewing, selection
from rerank import problems as problem_files
from rerank.aggregation import AGGREGATES
from rerank.autoraters import AUTORATERS, backend_for, open_autorater
from rerank.backends import Engine, EngineOptions, LikelihoodSource, Usage, open_engine
from rerank.candidates import by_problem, from_row, to_row
from rerank.errors import InputError, ResumeError, SettingError
from rerank.evidence import examples, gathering, likelihoods, writers
from rerank.evidence.agreement import AGREEMENTS
from rerank.evidence.gathering import Gathered
from rerank.evidence.writers import Answers
from rerank.generators import style_of
from rerank.records import Candidate, Comparison, Problem, Ranking, Score
from rerank.report import Cost, Picker, Report, build_report, write_report
from rerank.run import RunFolder
from rerank.scorers import ScorerCard, read_card
from rerank.selection import NEED_LIKELIHOODS, NEED_TESTS, Evidence
from rerank.settings import MODEL_FREE, GenerateSettings, ScoreSettings, SelectSettings, WriteSettings
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
    """Sample what is still missing, from a model.

    Raises ResumeError for a folder whose samples were drawn under a budget: the rest would have had other seeds.
    """
    spent = folder.document().get("candidates", {}).get("max_total")
    if spent is not None:
        raise ResumeError(f"{folder.path}: drawn with --budget {spent}samples; give it again, or take another --out")
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


def import_tests(folder: RunFolder, path: str | Path, benchmark: Benchmark) -> dict[str, Answers]:
    """Read what a model wrote when asked for tests, of the chosen problems."""
    folder.settle("tests", {"file": Path(path).name, "sha256": _file_hash(path)})
    chosen = {problem.task_id for problem in benchmark.chosen}
    answers = writers.read_answers(path, benchmark.problems)
    return {task_id: each for task_id, each in answers.items() if task_id in chosen}


def write_tests(
    folder: RunFolder, benchmark: Benchmark, settings: WriteSettings, options: EngineOptions
) -> dict[str, Answers]:
    """Have a model write tests to the problems that have none yet."""
    decided = {"writer": settings.writer, "num_samples": settings.num_samples, **asdict(settings.sampling)}
    decided |= {"without_examples": True} if settings.without_examples else {}
    folder.settle("tests", decided, free={"backend": settings.backend})
    with folder.journal("tests") as journal:
        asked = {row["task_id"] for row in journal.rows.values()}
        todo = [problem.public for problem in benchmark.chosen if problem.task_id not in asked]
        if todo:
            engine = open_engine(settings.backend, settings.writer, options)
            try:
                form = settings.form or ("chat" if style_of(engine) == "chat" else "continue")
                rows = writers.write_answers(
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
    return writers.read_answers(path, benchmark.problems) if path.stat().st_size else {}


def review(
    folder: RunFolder,
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    reviewer: str,
    options: EngineOptions,
) -> None:
    """Have a model read what the folder lacks of likelihoods: of each program, and of its problem."""
    folder.settle("likelihoods", {"reviewer": reviewer})
    engines: list[Engine] = []

    def load() -> LikelihoodSource:
        engine = open_engine("transformers", reviewer, options)  # the only backend that shows whole distributions
        engines.append(engine)
        folder.settle("reviewer", {}, free=dict(engine.settings))
        return reviewing.require(engine, reviewer)

    try:
        with folder.journal("likelihoods") as journal, folder.journal("costs") as costs:
            shown = [problem.public for problem in problems]
            for _ in reviewing.review(shown, candidates, load, journal=journal, costs=costs):
                pass
    finally:
        for engine in engines:
            engine.close()


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
    answers: Mapping[str, Answers] | None = None,
    select: SelectSettings | None = None,
) -> dict[str, list[Ranking]]:
    """Rank by the autorater, by every selector that needs no model, and by all evidence together.

    The rankings are written in the problems' order. `answers` are a model's tests, where there are some. `passed`,
    where known, only feeds the figure beside the progress bar. An interrupt is let through once the problems
    judged so far are ranked and written.
    """
    if settings.autorater in NEED_TESTS and not answers:
        raise SettingError(f"--autorater {settings.autorater}: needs written tests; give --tests or --test-writer")
    if settings.autorater in NEED_LIKELIHOODS and not load_likelihoods(folder):
        raise SettingError(f"--autorater {settings.autorater}: needs a model's likelihoods; give --reviewer")
    card = read_card(settings.autorater, options.weights if options else None) if settings.needs_model else None
    if card and settings.mode != "reasoning" and not card.knows(settings.mode):
        _log.warning("%s was not trained to judge %s: expect no better than chance", settings.autorater, settings.mode)
    folder.settle("score", {**settings.recorded(), **(card.settings(settings.mode) if card else {})})
    select = select or SelectSettings()
    if select.stops_early and (settings.mode != "pointwise" or not settings.needs_model):
        raise SettingError("--budget is for an autorater that judges pointwise: take --mode pointwise and a model")
    folder.settle("select", {}, free=select.recorded())
    groups = by_problem(candidates)
    shares, tried = run_evidence(folder, problems, candidates, answers or {}, settings.seed, num_workers, executor)
    wanted = None
    if select.stops_early:
        asks = _worth_judging(problems, groups, evidence_of(folder, problems, shares, tried, select, settings.seed))
        wanted = early.within(asks, select.max_judgments)
    by_id = {problem.task_id: problem for problem in problems}
    asked = problems if wanted is None else [by_id[task_id] for task_id in wanted]
    judged: dict[str, Ranking] = {}
    outcomes = passed.base if passed else {}
    began = time.monotonic()
    try:
        if card:
            with closing(_judge(folder, asked, groups, settings, card, options, outcomes, wanted)) as rankings:
                for ranking in rankings:
                    judged[ranking.task_id] = ranking
                    if select.max_seconds is not None and time.monotonic() - began > select.max_seconds:
                        break
    finally:
        waits = set() if select.max_seconds is not None or not card else {problem.task_id for problem in asked}
        done = [problem for problem in problems if problem.task_id in judged or problem.task_id not in waits]
        evidence = evidence_of(folder, done, shares, tried, select, settings.seed, wanted)
        found = _without_model(done, groups, evidence, has_tests=bool(answers))
        if card and wanted is None:
            found[settings.selector] = [judged[problem.task_id] for problem in done]
            weight = card.log_probability_weight.get(settings.mode)
            if weight is not None and all(each.mean_log_probability is not None for each in candidates):
                added = _with_log_probability(folder, done, groups, settings, weight, judged)
                found |= {added[0].selector: added} if added else {}
            if settings.mode == "encoded-once":  # which has the pointwise scores as well
                found["pointwise"] = [
                    selection.select("pointwise", each.public, groups[each.task_id], evidence[each.task_id])
                    for each in done
                ]
        write_rows(folder.path / "rankings.jsonl", (asdict(each) for name in found for each in found[name]))
    return found


def _without_model(
    problems: Sequence[Problem], groups: judging.Groups, evidence: Mapping[str, Evidence], *, has_tests: bool
) -> dict[str, list[Ranking]]:
    """The rankings of every selector that asks no model itself."""
    known = any(each.mean_log_probability is not None for group in groups.values() for each in group)
    left_out = {"log-probability"} if not known else set()
    left_out |= set() if has_tests else set(NEED_TESTS)
    left_out |= set() if any(each.likelihoods for each in evidence.values()) else set(NEED_LIKELIHOODS)
    return {
        name: [
            selection.select(name, problem.public, groups[problem.task_id], evidence[problem.task_id])
            for problem in problems
        ]
        for name in MODEL_FREE
        if name not in left_out
    }


def run_evidence(
    folder: RunFolder,
    problems: Sequence[Problem],
    candidates: Sequence[Candidate],
    answers: Mapping[str, Answers],
    seed: int,
    num_workers: int | None,
    executor: str = "local",
) -> tuple[dict[str, list[Score]], Gathered]:
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
    tried: Gathered,
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
    found = {
        problem.task_id: Evidence(
            scores=scores.get(problem.task_id, {}),
            comparisons=played.get(problem.task_id, ()),
            examples=selection.log_odds_by_key(shares.get(problem.task_id, ())),
            written=tried.written.get(problem.task_id),
            inputs=tried.inputs.get(problem.task_id),
            likelihoods=read.get(problem.task_id, {}),
            greedy=select.greedy,
            confidence=select.confidence,
            seed=seed,
        )
        for problem in problems
    }
    if wanted is None:
        return found
    return {task_id: replace(each, scores=early.shared(each.scores, each.behaviour)) for task_id, each in found.items()}


def _worth_judging(
    problems: Sequence[Problem],
    groups: judging.Groups,
    evidence: Mapping[str, Evidence],
) -> list[early.Ask]:
    """What to ask of the autorater, most gain first, by all other evidence."""
    model = posterior.read_model()
    unscored = {task_id: replace(each, scores={}, comparisons=()) for task_id, each in evidence.items()}
    beliefs = {
        problem.task_id: posterior.believe(groups[problem.task_id], unscored[problem.task_id], model)
        for problem in problems
    }
    behaviours = {task_id: each.behaviour for task_id, each in unscored.items()}
    return early.plan(beliefs, behaviours, separation=model.separation)


def _judge(
    folder: RunFolder,
    problems: Sequence[Problem],
    groups: judging.Groups,
    settings: ScoreSettings,
    card: ScorerCard,
    options: EngineOptions | None,
    passed: judging.Passed,
    wanted: Mapping[str, Set[str]] | None,
) -> Generator[Ranking]:
    engines: list[Engine] = []
    backend_for(settings.mode, settings.backend)  # refuses before the first problem is ranked

    def load() -> Any:
        engine, autorater = open_autorater(settings, card, options)
        engines.append(engine)
        folder.settle("judge", {}, free=dict(engine.settings))
        return autorater

    try:
        shown = [problem.public for problem in problems]
        with folder.journal("costs") as costs, folder.journal("scores") as scores:
            if settings.mode == "pointwise":
                yield from judging.judge_pointwise(
                    shown, groups, load, scores=scores, costs=costs, passed=passed, wanted=wanted
                )
            else:
                with folder.journal("comparisons") as comparisons:
                    yield from judging.judge_pairwise(
                        shown,
                        groups,
                        load,
                        tournament=TOURNAMENTS[settings.tournament],
                        aggregate=AGGREGATES[settings.aggregate],
                        seed=settings.seed,
                        stage=settings.mode,
                        scores=scores,
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
    verdicts = load_comparisons(folder)
    return [
        selection.rank_pairwise(
            each.public,
            groups[each.task_id],
            selection.shifted(verdicts.get(each.task_id, []), groups[each.task_id], weight),
            tournament=TOURNAMENTS[settings.tournament],
            aggregate=AGGREGATES[settings.aggregate],
            seed=settings.seed,
            selector=selection.with_log_probability(settings.mode),
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
    selector = next((name for name in reversed(AUTORATERS) if name in rankings), None)  # pointwise comes with others
    comparisons: dict[str, list[Comparison]] = {}
    if selector and selector != "pointwise":
        comparisons[selector] = [each for of_task in load_comparisons(folder).values() for each in of_task]
    found = build_report(
        problems,
        candidates,
        rankings,
        passed.base,
        passed_extra=passed.plus,
        costs=_costs(folder, rankings),
        comparisons=comparisons,
        pickers=_pickers(folder, problems, candidates, comparisons),
        settings=folder.document(),
    )
    write_report(found, folder.path)
    return found


def write_page(folder: RunFolder, problems: Sequence[Problem], report: Report, path: Path) -> None:
    """Write one self-contained HTML file that shows the run: the figures of `report`, and every problem it counts."""
    candidates = load_candidates(folder, problems)
    rankings = load_rankings(folder, {problem.task_id for problem in problems})
    timeout_s = folder.settings("execute")["timeout_s"]
    groups = by_problem(candidates)
    with folder.journal("outcomes") as journal:  # all there: `report` was made of them
        limits = sandbox.Limits(timeout_s=timeout_s)
        has_extra = any(suite.tests == "plus" for suite in report.suites)
        run: Any = execution.execute_plus if has_extra else execution.execute
        found = run(problems, candidates, journal=journal, limits=limits)
    by_tests = {"base": found.base, "plus": found.plus} if has_extra else {"base": found}
    places = {(each.task_id, each.index): place for place, each in enumerate(candidates)}
    ranked = {name: {ranking.task_id: ranking for ranking in given} for name, given in rankings.items()}
    verdicts = load_comparisons(folder) if {"pairwise", "encoded-once"} & set(rankings) else {}
    judged = [
        page.JudgedProblem(
            problem,
            group := sorted(groups[problem.task_id], key=lambda each: each.index),
            {name: [given[places[each.task_id, each.index]] for each in group] for name, given in by_tests.items()},
            {name: given[problem.task_id] for name, given in ranked.items()},
            verdicts.get(problem.task_id, []),
        )
        for problem in problems
        if problem.task_id in groups and all(problem.task_id in given for given in ranked.values())
    ]
    score = folder.settings("score")
    judge = str(score["mode"] if "mode" in score else score["autorater"])
    path.write_text(page.render(report, judged, judge=judge, title=str(folder.path)), encoding="utf-8", newline="\n")


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


def load_scores(folder: RunFolder) -> dict[str, dict[str, float | None]]:
    """Pointwise log-odds by task_id and key."""
    found: dict[str, dict[str, float | None]] = {}
    with folder.journal("scores") as journal:
        for row in journal.rows.values():
            found.setdefault(row["task_id"], {})[row["key"]] = row["log_odds"]
    return found


def load_likelihoods(folder: RunFolder) -> dict[str, dict[str, likelihoods.Read]]:
    """What a reviewer has read so far, by task_id and key; empty where none was asked."""
    if not (folder.path / "likelihoods.jsonl").exists():
        return {}
    with folder.journal("likelihoods") as journal:
        return likelihoods.from_rows(journal.rows.values())


def load_comparisons(folder: RunFolder) -> dict[str, list[Comparison]]:
    """What the folder's journal holds, by task_id; empty where nothing was compared."""
    found: dict[str, list[Comparison]] = {}
    if not (folder.path / "comparisons.jsonl").exists():
        return found
    with folder.journal("comparisons") as journal:
        for row in journal.rows.values():
            found.setdefault(row["task_id"], []).append(Comparison(**row))
    return found


def _costs(folder: RunFolder, selectors: Iterable[str]) -> dict[str, Cost]:
    """What each selector's evidence took, as far as the folder's journal knows."""
    with folder.journal("costs") as journal:
        rows = list(journal.rows.values())
    models = set(AUTORATERS)
    needs = {name: {"trials"} for name in AGREEMENTS} | {name: {name} for name in ("examples", *models)}
    needs |= {name: {"likelihoods"} for name in NEED_LIKELIHOODS}
    needs |= {name: {"examples", "trials", *models} for name in ("posterior", "posterior+guard")}
    found = {}
    for selector in selectors:
        own = [row for row in rows if row["stage"] in needs.get(selector, ())]
        if own:
            num_tokens = sum(row["num_tokens"] for row in own)
            asked = any(row["stage"] in {*models, "likelihoods"} for row in own)
            found[selector] = Cost(num_tokens if asked else None, sum(row["seconds"] for row in own))
    return found


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
    [selector] = comparisons
    verdicts = load_comparisons(folder)

    def pick(task_id: str, indices: Sequence[int]) -> int:
        return selection.rank_pairwise(
            by_id[task_id],
            [groups[task_id][index] for index in indices],
            verdicts.get(task_id, []),
            tournament=TOURNAMENTS["round-robin"],
            aggregate=AGGREGATES[settings["aggregate"]],
            seed=settings["seed"],
        ).best

    return {selector: pick}


def _file_hash(path: str | Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise InputError((error.strerror or str(error)).lower(), path=path) from error
