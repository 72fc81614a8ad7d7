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
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace

from rerank.backends.interface import EngineOptions
from rerank.candidates.files import by_problem
from rerank.errors import SettingError
from rerank.evidence.record import Evidence
from rerank.evidence.test_writers import Answers
from rerank.models.scorer_card import read_card
from rerank.records import Candidate, Problem, Ranking
from rerank.runs import judging
from rerank.runs.evidence import evidence_of, run_evidence
from rerank.runs.folder import RunFolder
from rerank.runs.journals import load_comparisons, load_likelihoods
from rerank.runs.judging import in_form, judge
from rerank.runs.outcomes import Passed
from rerank.runs.settings import ScoreSettings, SelectSettings
from rerank.selection import budget, posterior, selectors
from rerank.selection.aggregation import AGGREGATES
from rerank.selection.selectors import MODEL_FREE, SELECTORS, EvidenceKind
from rerank.selection.tournaments import TOURNAMENTS
from rerank.store import write_rows

_log = logging.getLogger(__name__)


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
    needs = SELECTORS[settings.autorater].needs if settings.autorater in SELECTORS else frozenset()
    if "tests" in needs and not answers:
        raise SettingError(f"--autorater {settings.autorater}: needs written tests; give --tests or --test-writer")
    if "likelihoods" in needs and not load_likelihoods(folder):
        raise SettingError(f"--autorater {settings.autorater}: needs a model's likelihoods; give --reviewer")
    card = read_card(settings.autorater, options.weights if options else None) if settings.needs_model else None
    if card:
        recorded_mode = folder.document().get("score", {}).get("mode")
        settings = in_form(settings, card, recorded_mode=str(recorded_mode) if recorded_mode else None)
    if card and settings.mode != "reasoning" and not card.knows(settings.mode):
        _log.warning("%s was not trained to judge %s: expect no better than chance", settings.autorater, settings.mode)
    folder.record_settings("score", fixed={**settings.recorded(), **(card.settings(settings.mode) if card else {})})
    select = select or SelectSettings()
    if select.stops_early and (settings.mode != "pointwise" or not settings.needs_model):
        raise SettingError("--budget is for an autorater that judges pointwise: take --mode pointwise and a model")
    folder.record_settings("select", changeable=select.recorded())
    groups = by_problem(candidates)
    shares, tried = run_evidence(folder, problems, candidates, answers or {}, settings.seed, num_workers, executor)
    wanted = None
    if select.stops_early:
        asks = _worth_judging(problems, groups, evidence_of(folder, problems, shares, tried, select, settings.seed))
        wanted = budget.within(asks, select.max_judgments)
    by_id = {problem.task_id: problem for problem in problems}
    asked = problems if wanted is None else [by_id[task_id] for task_id in wanted]
    judged: dict[str, Ranking] = {}
    outcomes = passed.base if passed else {}
    began = time.monotonic()
    interrupt: KeyboardInterrupt | None = None
    try:
        if card:
            with closing(judge(folder, asked, groups, settings, card, options, outcomes, wanted)) as rankings:
                for ranking in rankings:
                    judged[ranking.task_id] = ranking
                    if select.max_seconds is not None and time.monotonic() - began > select.max_seconds:
                        break
    except KeyboardInterrupt as stopped:  # goes on once what is judged so far is ranked and written
        interrupt = stopped
    waits = set() if select.max_seconds is not None or not card else {problem.task_id for problem in asked}
    done = [problem for problem in problems if problem.task_id in judged or problem.task_id not in waits]
    evidence = evidence_of(folder, done, shares, tried, select, settings.seed, wanted)
    rankings_by_selector = _without_model(done, groups, evidence, has_tests=bool(answers))
    if card and wanted is None:
        rankings_by_selector[settings.selector] = [judged[problem.task_id] for problem in done]
        weight = card.log_probability_weight.get(settings.mode)
        if weight is not None and all(each.mean_log_probability is not None for each in candidates):
            added = _with_log_probability(folder, done, groups, settings, weight, judged)
            rankings_by_selector |= {added[0].selector: added} if added else {}
        if settings.mode == "encoded-once":  # which has the pointwise scores as well
            rankings_by_selector["pointwise"] = [
                selectors.select("pointwise", each.public, groups[each.task_id], evidence[each.task_id])
                for each in done
            ]
    rows = (asdict(ranking) for rankings in rankings_by_selector.values() for ranking in rankings)
    write_rows(folder.path / "rankings.jsonl", rows)
    if interrupt:
        raise interrupt
    return rankings_by_selector


def _without_model(
    problems: Sequence[Problem], groups: judging.Groups, evidence: Mapping[str, Evidence], *, has_tests: bool
) -> dict[str, list[Ranking]]:
    """The rankings of every selector that asks no model itself."""
    known = any(each.mean_log_probability is not None for group in groups.values() for each in group)
    absent: set[EvidenceKind] = set()
    if not known:
        absent.add("log-probability")
    if not has_tests:
        absent.add("tests")
    if not any(each.likelihoods for each in evidence.values()):
        absent.add("likelihoods")
    return {
        name: [
            selectors.select(name, problem.public, groups[problem.task_id], evidence[problem.task_id])
            for problem in problems
        ]
        for name in MODEL_FREE
        if not SELECTORS[name].needs & absent
    }


def _worth_judging(
    problems: Sequence[Problem],
    groups: judging.Groups,
    evidence: Mapping[str, Evidence],
) -> list[budget.Ask]:
    """What to ask of the autorater, most gain first, by all other evidence."""
    model = posterior.read_model()
    unscored = {task_id: replace(each, scores={}, comparisons=()) for task_id, each in evidence.items()}
    beliefs = {
        problem.task_id: posterior.believe(groups[problem.task_id], unscored[problem.task_id], model)
        for problem in problems
    }
    behaviours = {task_id: each.behaviour for task_id, each in unscored.items()}
    return budget.plan(beliefs, behaviours, separation=model.separation)


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
        return [selectors.add_log_probability(judged[each.task_id], groups[each.task_id], weight) for each in problems]
    if settings.tournament != "round-robin":
        return []
    verdicts = load_comparisons(folder)
    return [
        selectors.rank_pairwise(
            each.public,
            groups[each.task_id],
            selectors.shifted(verdicts.get(each.task_id, []), groups[each.task_id], weight),
            tournament=TOURNAMENTS[settings.tournament],
            aggregate=AGGREGATES[settings.aggregate],
            seed=settings.seed,
            selector=selectors.with_log_probability(settings.mode),
        )
        for each in problems
    ]
