"""Judge many problems with an autorater, every verdict in a journal as soon as it is there.

    for ranking in judge_pointwise(problems, groups, load, scores=journal, costs=costs): ...

A problem's programs share a batch, and a batch decides the last bits of its numbers. So a problem (pairwise: a round)
of which any verdict is missing is asked again whole, in the same batch as the first time; the verdicts that were there
stay. A model is loaded only when there is something left to ask.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, replace
from functools import cache, partial
from typing import Any

from tqdm import tqdm

from rerank.autoraters import AUTORATERS, PairwiseAutorater, PointwiseAutorater, backend_for
from rerank.backends.engines import open_engine
from rerank.backends.interface import Engine, EngineOptions, Usage
from rerank.evidence.record import Evidence, distinct_keys
from rerank.models.scorer_card import ScorerCard
from rerank.records import Candidate, Comparison, Problem, PublicProblem, Ranking
from rerank.runs.folder import RunFolder
from rerank.runs.settings import ScoreSettings
from rerank.selection import selectors
from rerank.selection.aggregation import AGGREGATES, Aggregate
from rerank.selection.tournaments import TOURNAMENTS, Tournament
from rerank.store import Journal

Passed = Mapping[tuple[str, int], bool]  # by task_id and candidate index
Groups = Mapping[str, Sequence[Candidate]]  # a problem's candidates, by task_id
BAR: Any = {"unit": "problem", "disable": None, "dynamic_ncols": True, "leave": False}  # silent without a terminal


class Costs:
    """What judging spent, in a journal: one row a problem and step, with the seconds since the row before.

    The clock starts here; `usage` is what the autorater has spent before.
    """

    def __init__(self, journal: Journal, stage: str, usage: Usage):
        self._journal = journal
        self._stage = stage
        self._usage = usage
        self._time = time.monotonic()

    def note(self, task_id: str, step: int, usage: Usage) -> None:
        now = time.monotonic()
        spent = {
            "num_prompts": usage.num_prompts - self._usage.num_prompts,
            "num_tokens": usage.num_tokens - self._usage.num_tokens,
            "num_tokens_saved": usage.num_tokens_saved - self._usage.num_tokens_saved,
            "seconds": round(now - self._time, 3),
        }
        self._journal.append([{"stage": self._stage, "task_id": task_id, "step": step, **spent}])
        self._usage, self._time = usage, now


class Live:
    """pass@1 so far, beside the progress bar: of the choices, and of the candidates' mean."""

    def __init__(self, passed: Passed, groups: Groups):
        self._passed, self._groups = passed, groups
        self._picks: list[float] = []
        self._means: list[float] = []

    def note(self, ranking: Ranking, bar: "tqdm | None" = None) -> Ranking:
        task_id = ranking.task_id
        outcomes = [self._passed.get((task_id, candidate.index)) for candidate in self._groups[task_id]]
        pick = self._passed.get((task_id, ranking.best))
        known = [float(outcome) for outcome in outcomes if outcome is not None]
        if pick is not None and known:
            self._picks.append(float(pick))
            self._means.append(sum(known) / len(known))
            if bar is not None:
                picked, mean = (100 * sum(each) / len(each) for each in (self._picks, self._means))
                bar.set_postfix_str(f"pass@1 {picked:.1f}, mean {mean:.1f}")
        return ranking


def judge_pointwise(
    problems: Sequence[PublicProblem],
    groups: Groups,
    load: Callable[[], PointwiseAutorater],
    *,
    scores: Journal,
    costs: Journal,
    passed: Passed,
    wanted: Mapping[str, Set[str]] | None = None,
) -> Iterator[Ranking]:
    """Yield each problem's ranking by score, those that the journal holds whole first; `load` only if need be.

    `wanted` are the only keys to be scored, by task_id; None: all.
    """
    programs = {problem.task_id: _programs(groups[problem.task_id]) for problem in problems}
    if wanted is not None:
        programs = {
            task_id: {key: program for key, program in each.items() if key in wanted.get(task_id, ())}
            for task_id, each in programs.items()
        }
    live = Live(passed, groups)

    def rank(problem: PublicProblem, bar: "tqdm | None" = None) -> Ranking:
        rows = (scores[problem.task_id, key] for key in programs[problem.task_id])
        evidence = Evidence(scores={row["key"]: row["log_odds"] for row in rows})
        return live.note(selectors.rank_pointwise(problem, groups[problem.task_id], evidence), bar)

    whole = [each for each in problems if all((each.task_id, key) in scores for key in programs[each.task_id])]
    yield from map(rank, whole)
    todo = [problem for problem in problems if problem not in whole]
    if not todo:
        return
    autorater = load()
    spent = Costs(costs, "pointwise", autorater.usage)
    tasks = ((problem, programs[problem.task_id]) for problem in todo)
    with tqdm(autorater.score_many(tasks), "score", len(problems), initial=len(whole), **BAR) as bar:
        for problem, found in zip(todo, bar, strict=True):
            scores.append(asdict(score) for score in found)
            spent.note(problem.task_id, 0, autorater.usage)
            yield rank(problem, bar)


def judge_pairwise(
    problems: Sequence[PublicProblem],
    groups: Groups,
    load: Callable[[], PairwiseAutorater],
    *,
    tournament: Tournament,
    aggregate: Aggregate,
    seed: int,
    stage: str,
    scores: Journal,
    comparisons: Journal,
    costs: Journal,
    passed: Passed,
) -> Iterator[Ranking]:
    """Play all problems' tournaments, the open rounds of all at a time; yield each ranking when its last is played.

    Pointwise scores that come with the comparisons seed the tournament; `stage` is the mode's name, for the costs.
    """
    programs = {problem.task_id: _programs(groups[problem.task_id]) for problem in problems}
    verdicts: dict[str, list[Comparison]] = {problem.task_id: [] for problem in problems}
    for row in comparisons.rows.values():
        if row["task_id"] in verdicts:
            verdicts[row["task_id"]].append(Comparison(**row))
    points: dict[str, dict[str, float | None]] = {problem.task_id: {} for problem in problems}
    for row in scores.rows.values():
        if row["task_id"] in points:
            points[row["task_id"]][row["key"]] = row["log_odds"]
    live = Live(passed, groups)
    load = cache(load)

    def choose(problem: PublicProblem, given: Mapping[str, float]) -> Sequence[tuple[str, str]]:
        """The open round whole: see the head of this module. A score in the journal outlives one computed again."""
        task_id = problem.task_id
        progress = tournament(
            list(programs[task_id]),
            verdicts[task_id],
            task_id=task_id,
            seed=seed,
            scores={**given, **points[task_id]},
        )
        return progress.rounds[-1] if progress.pending else ()

    waiting = list(problems)
    while waiting:
        asked = {}
        for problem in waiting:
            task_id = problem.task_id
            if pairs := choose(problem, {}):
                asked[task_id] = pairs
                continue
            ranking = selectors.rank_pairwise(
                problem,
                groups[task_id],
                verdicts[task_id],
                tournament=tournament,
                aggregate=aggregate,
                seed=seed,
                scores=points[task_id],
                selector=stage,
            )
            yield live.note(ranking)
        waiting = [problem for problem in waiting if problem.task_id in asked]
        if not waiting:
            return
        autorater = load()
        spent = Costs(costs, stage, autorater.usage)
        tasks = ((problem, programs[problem.task_id], partial(choose, problem)) for problem in waiting)
        label = f"compare {2 * sum(map(len, asked.values()))} pairs"
        with tqdm(autorater.play_many(tasks), label, len(waiting), **BAR) as bar:
            for problem, played in zip(waiting, bar, strict=True):
                task_id = problem.task_id
                scores.append(asdict(score) for score in played.scores)
                comparisons.append(asdict(verdict) for verdict in played.comparisons)
                spent.note(task_id, len(verdicts[task_id]), autorater.usage)
                points[task_id] = {score.key: score.log_odds for score in played.scores} | points[task_id]
                known = {(each.first, each.second) for each in verdicts[task_id]}
                verdicts[task_id] += [each for each in played.comparisons if (each.first, each.second) not in known]


def _programs(candidates: Sequence[Candidate]) -> dict[str, str]:
    """Key to program, of equal ones the first drawn, in the order of the keys: a batch that no relabelling changes."""
    first = {each.key: each.program for each in reversed(candidates) if each.key is not None}
    return {key: first[key] for key in sorted(distinct_keys(candidates))}


def open_autorater(
    settings: ScoreSettings, card: ScorerCard, options: EngineOptions | None, engine: Engine | None = None
) -> tuple[Engine, Any]:
    """The engine that the settings name, unless one is given, and the autorater on it."""
    options = options or EngineOptions()
    is_reasoning = settings.mode == "reasoning"
    if is_reasoning:
        options = replace(options, purpose="generate")
    engine = engine or open_engine(backend_for(settings.mode, settings.backend), settings.autorater, options)
    more = {"num_votes": settings.num_votes, "seed": settings.seed} if is_reasoning else {}
    return engine, AUTORATERS[settings.mode](engine, card, **more)


def in_form(settings: ScoreSettings, card: ScorerCard, *, recorded_mode: str | None = None) -> ScoreSettings:
    """The settings with the form of pairwise judging decided: `--pairs`, or what the scorer was trained for.

    A run that was begun with mode pairwise (`recorded_mode`) goes on joint, as it began.
    """
    if settings.mode != "pairwise":
        return settings
    trained = "encoded-once" if "encoded-once" in card.temperature and "pairwise" not in card.temperature else "joint"
    form = settings.pairs or ("joint" if recorded_mode == "pairwise" else trained)
    if form == "encoded-once":
        return replace(settings, mode=form, pairs=None)
    return replace(settings, pairs=form)


def judge(
    folder: RunFolder,
    problems: Sequence[Problem],
    groups: Groups,
    settings: ScoreSettings,
    card: ScorerCard,
    options: EngineOptions | None,
    passed: Passed,
    wanted: Mapping[str, Set[str]] | None,
) -> Generator[Ranking]:
    engines: list[Engine] = []
    backend_for(settings.mode, settings.backend)  # refuses before the first problem is ranked

    def load() -> Any:
        engine, autorater = open_autorater(settings, card, options)
        engines.append(engine)
        folder.record_settings("judge", changeable=dict(engine.settings))
        return autorater

    try:
        shown = [problem.public for problem in problems]
        with folder.journal("costs") as costs, folder.journal("scores") as scores:
            if settings.mode == "pointwise":
                yield from judge_pointwise(
                    shown, groups, load, scores=scores, costs=costs, passed=passed, wanted=wanted
                )
            else:
                with folder.journal("comparisons") as comparisons:
                    yield from judge_pairwise(
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
