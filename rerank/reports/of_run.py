"""A finished run to its report and its page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rerank.autoraters import AUTORATERS
from rerank.records import Comparison, Problem
from rerank.reports import page
from rerank.reports.report import Cost, Picker, Report, build_report
from rerank.reports.tables import write_report
from rerank.runs.finished import FinishedRun, open_run
from rerank.runs.folder import RunFolder
from rerank.selection import selectors
from rerank.selection.aggregation import AGGREGATES
from rerank.selection.selectors import SELECTORS, EvidenceKind
from rerank.selection.tournaments import TOURNAMENTS


def make_report(folder: RunFolder, problems: Sequence[Problem]) -> Report:
    """Put together what the folder holds and write report.json, report.md and the plots into it. Nothing is executed.

    Raises InputError where candidates, rankings or outcomes are missing.
    """
    run = open_run(folder, problems)
    comparisons = _comparisons(run)
    report = build_report(
        run.problems,
        run.candidates,
        run.rankings,
        run.passed,
        costs=_costs(run),
        comparisons=comparisons,
        pickers=_pickers(run, comparisons),
        settings=run.settings,
    )
    write_report(report, folder.path)
    return report


def write_page(folder: RunFolder, problems: Sequence[Problem], report: Report, path: Path) -> None:
    """Write one self-contained HTML file that shows the run: the figures of `report`, and every problem it counts."""
    run = open_run(folder, problems)
    places = {(each.task_id, each.index): place for place, each in enumerate(run.candidates)}
    outcomes = {"base": run.outcomes.base}
    if run.outcomes.plus is not None and any(suite.tests == "plus" for suite in report.suites):
        outcomes["plus"] = run.outcomes.plus
    rankings = {name: {ranking.task_id: ranking for ranking in of_name} for name, of_name in run.rankings.items()}
    comparisons = run.comparisons if {"pairwise", "encoded-once"} & set(rankings) else {}
    views = [
        page.ProblemView(
            problem,
            group := sorted(run.groups[problem.task_id], key=lambda each: each.index),
            {tests: [listed[places[each.task_id, each.index]] for each in group] for tests, listed in outcomes.items()},
            {name: of_task[problem.task_id] for name, of_task in rankings.items()},
            comparisons.get(problem.task_id, []),
        )
        for problem in run.problems
        if all(problem.task_id in of_task for of_task in rankings.values())
    ]
    text = page.render(report, views, selector=run.selector, title=str(folder.path))
    path.write_text(text, encoding="utf-8", newline="\n")


def _comparisons(run: FinishedRun) -> dict[str, list[Comparison]]:
    """By the selector that asked for them: the run's autorater, if it compares."""
    selector = next(
        (name for name in reversed(AUTORATERS) if name in run.rankings), None
    )  # pointwise comes with others
    if selector is None or selector == "pointwise":
        return {}
    return {selector: [comparison for of_task in run.comparisons.values() for comparison in of_task]}


def _costs(run: FinishedRun) -> dict[str, Cost]:
    """What each selector's evidence took, as far as the folder's journal knows."""
    with run.folder.journal("costs") as journal:
        rows = list(journal.rows.values())
    models = set(AUTORATERS)
    stages_of: dict[EvidenceKind, set[str]] = {
        "examples": {"examples"},
        "inputs": {"trials"},
        "tests": {"trials"},
        "likelihoods": {"likelihoods"},
        "scores": models,
    }
    stages = {name: {name} for name in models}
    for name in SELECTORS.keys() - models:
        evidence = SELECTORS[name].needs | SELECTORS[name].uses
        stages[name] = set().union(*(stages_of.get(kind, set()) for kind in evidence))
    costs = {}
    for selector in run.rankings:
        of_selector = [row for row in rows if row["stage"] in stages.get(selector, ())]
        if of_selector:
            num_tokens = sum(row["num_tokens"] for row in of_selector)
            reads = any(row["stage"] in {*models, "likelihoods"} for row in of_selector)
            costs[selector] = Cost(num_tokens if reads else None, sum(row["seconds"] for row in of_selector))
    return costs


def _pickers(run: FinishedRun, comparisons: Mapping[str, Sequence[Comparison]]) -> dict[str, Picker]:
    """For the growth curve: what a round-robin among some of the candidates would choose.

    Its comparisons are all there, which those of a knockout or a Swiss among some are not.
    """
    settings = run.folder.settings("score")
    if not comparisons or settings["tournament"] != "round-robin":
        return {}
    problems = {problem.task_id: problem.public for problem in run.problems}
    groups = {task_id: {each.index: each for each in group} for task_id, group in run.groups.items()}
    [selector] = comparisons

    def pick(task_id: str, indices: Sequence[int]) -> int:
        return selectors.rank_pairwise(
            problems[task_id],
            [groups[task_id][index] for index in indices],
            run.comparisons.get(task_id, []),
            tournament=TOURNAMENTS["round-robin"],
            aggregate=AGGREGATES[settings["aggregate"]],
            seed=settings["seed"],
        ).best

    return {selector: pick}
