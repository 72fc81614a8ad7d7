"""A finished run to its report and its page."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sandbox
from rerank.autoraters import AUTORATERS
from rerank.candidates.files import by_problem
from rerank.records import Candidate, Comparison, Problem
from rerank.reports import page
from rerank.reports.report import Cost, Picker, Report, build_report
from rerank.reports.tables import write_report
from rerank.runs import execution
from rerank.runs.folder import RunFolder
from rerank.runs.journals import load_candidates, load_comparisons, load_rankings
from rerank.runs.outcomes import execute
from rerank.selection import selectors as selection
from rerank.selection.aggregation import AGGREGATES
from rerank.selection.selectors import SELECTORS, EvidenceKind
from rerank.selection.tournaments import TOURNAMENTS


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


def _costs(folder: RunFolder, selectors: Iterable[str]) -> dict[str, Cost]:
    """What each selector's evidence took, as far as the folder's journal knows."""
    with folder.journal("costs") as journal:
        rows = list(journal.rows.values())
    models = set(AUTORATERS)
    stages: dict[EvidenceKind, set[str]] = {
        "examples": {"examples"},
        "inputs": {"trials"},
        "tests": {"trials"},
        "likelihoods": {"likelihoods"},
        "scores": models,
    }
    needs = {name: {name} for name in models}
    for name in SELECTORS.keys() - models:
        evidence = SELECTORS[name].needs | SELECTORS[name].uses
        needs[name] = set().union(*(stages.get(kind, set()) for kind in evidence))
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
