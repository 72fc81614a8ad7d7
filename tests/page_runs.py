"""Small judged runs, and their page, for the tests of the page."""

from rerank.records import Candidate, Problem, Ranking
from rerank.reports.page import ProblemView, render
from rerank.reports.report import build_report
from rerank.runs.outcomes import Passed
from sandbox import Outcome

HOSTILE = '</script><img src=x onerror="document.title=1">\n<!-- {{script}} ${1} \u2028 \udc80 & "quoted" \'single\''


def judged_problems(
    programs: dict[str, list[tuple[str, bool]]], orders: dict[str, dict[str, list[int]]], **more: object
) -> list[ProblemView]:
    """Problems by task_id from (program, whether it passes) of each candidate, and each selector's order."""
    return [
        ProblemView(
            Problem(task_id, "def f(x):\n    '''The prompt.\n\n    Of four lines.'''\n", "f", "check = 1", **more),
            [
                Candidate(task_id, index, f"raw {text}", text, f"key {text}", mean_log_probability=-0.25)
                for index, (text, _) in enumerate(given)
            ],
            {"base": [Outcome("passed" if good else "failed", "" if good else HOSTILE) for _, good in given]},
            {
                name: Ranking(task_id, name, tuple(of[task_id]), tuple(-1.5 * rank for rank in range(len(given))))
                for name, of in orders.items()
            },
        )
        for task_id, given in programs.items()
    ]


def page_of(judged: list[ProblemView], *, selector: str = "pointwise", title: str = "runs/toy") -> str:
    report = build_report(
        [one.problem for one in judged],
        [each for one in judged for each in one.candidates],
        {name: [one.rankings[name] for one in judged] for name in judged[0].rankings},
        Passed(
            {
                (one.problem.task_id, each.index): outcome.passed
                for one in judged
                for each, outcome in zip(one.candidates, one.outcomes["base"], strict=True)
            }
        ),
        num_resamples=20,
        settings={"note": HOSTILE},
    )
    return render(report, judged, selector=selector, title=title)


def toy_run() -> list[ProblemView]:
    """Of three problems the judge gets the first, misses the second, and the third has no right candidate."""
    return judged_problems(
        {
            "t/0": [("return 0\n", True), ("return 1\n", False)],
            "t/1": [("return 2\n", False), (HOSTILE, True)],
            "t/<i>2": [("return 3\n", False), ("return 4\n", False)],
        },
        {
            "first": {"t/0": [0, 1], "t/1": [0, 1], "t/<i>2": [0, 1]},
            "pointwise": {"t/0": [0, 1], "t/1": [0, 1], "t/<i>2": [1, 0]},
        },
    )
