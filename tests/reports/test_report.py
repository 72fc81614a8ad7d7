"""The report: figures against hand-counted ones, what is left out, and the files it writes."""

import json

import matplotlib.image
import pytest

from rerank.errors import InputError
from rerank.metrics import pass_at_k
from rerank.records import Candidate, Comparison, Problem, Ranking
from rerank.reports.plots import plot_growth
from rerank.reports.report import Cost, build_report
from rerank.reports.tables import markdown, table, to_json, write_report
from rerank.runs.outcomes import Passed

PROBLEMS = [Problem(task_id, "p", "f", "test") for task_id in ("a", "b", "c", "d")]
PASSED = {  # candidate 0, 1, 2 of each problem
    **{("a", index): good for index, good in enumerate([False, True, True])},
    **{("b", index): good for index, good in enumerate([True, False, False])},
    **{("c", index): good for index, good in enumerate([False, False, False])},
    **{("d", index): good for index, good in enumerate([True, True, False])},
}
CANDIDATES = [
    Candidate(
        task_id,
        index,
        "raw",
        "program",
        None if (task_id, index) == ("c", 2) else f"key{min(index, 1)}",
        ("fence removed",) if index == 0 else (),
        mean_log_probability=-1.0,
    )
    for task_id, index in PASSED
]


def rankings(best: dict[str, int], name: str, *, value: float | None = 1.0, num_comparisons: int = 0) -> list[Ranking]:
    return [
        Ranking(task_id, name, (first, *(set(range(3)) - {first})), (value,) * 3, num_comparisons)
        for task_id, first in best.items()
    ]


RANKINGS = {
    "random": rankings({"a": 1, "b": 1, "c": 1, "d": 1}, "random"),
    "log-probability": rankings({"a": 0, "b": 0, "c": 0, "d": 2}, "log-probability", value=None),
    "pairwise": rankings({"a": 1, "b": 0, "c": 0, "d": 0}, "pairwise", num_comparisons=6),
}


def build(plus=None, **settings):
    return build_report(PROBLEMS, CANDIDATES, RANKINGS, Passed(PASSED, plus), num_resamples=200, **settings)


def test_figures():
    report = build(costs={"pairwise": Cost(1200, 3.5)}, settings={"seed": 0})
    assert (report.num_problems, report.num_incomplete, report.num_candidates) == (4, 0, 12)
    assert (report.num_distinct, report.num_unparsed, report.num_changed) == (8, 1, 4)
    assert report.cuts == {"fence removed": 4}
    assert report.num_comparisons == {"random": 0, "log-probability": 0, "pairwise": 24}
    (suite,) = report.suites
    assert (suite.tests, suite.num_problems) == ("base", 4)
    assert suite.mean.value == pytest.approx((2 / 3 + 1 / 3 + 0 + 2 / 3) / 4)
    assert suite.oracle.value == 0.75
    assert suite.pass_at_k == {1: pytest.approx(suite.mean.value)}
    random, log_probability, pairwise = suite.selectors
    assert [row.num_passed for row in suite.selectors] == [2, 1, 3]
    assert [row.num_fallbacks for row in suite.selectors] == [0, 4, 0]
    assert pairwise.figures.gap_closed.value == pytest.approx(1)
    assert pairwise.figures.uplift.value == pytest.approx(0.75 - suite.mean.value)
    assert (random.mcnemar_p, log_probability.mcnemar_p, pairwise.mcnemar_p) == (1.0, None, 0.5)


def test_growth():
    suite = build().suites[0]
    assert set(suite.growth) == {"log-probability", "random", "oracle"}, "one that compares needs a picker"
    for curve in suite.growth.values():
        assert curve[0] == pytest.approx(suite.mean.value), "of one candidate there is no choice"
    assert suite.growth["log-probability"][-1] == 0.25
    assert suite.growth["random"] == [pytest.approx(suite.mean.value)] * 3
    expected = sum(pass_at_k(3, num_correct, 2) for num_correct in (2, 1, 0, 2)) / 4
    assert suite.growth["oracle"] == pytest.approx([suite.mean.value, expected, 0.75])


def test_growth_by_a_picker():
    asked = []

    def pick(task_id, indices):
        asked.append((task_id, indices))
        return max(indices)

    extra = dict(PASSED)
    suites = build(pickers={"pairwise": pick}, plus=extra).suites
    assert suites[0].growth["pairwise"][0] == pytest.approx(suites[0].mean.value, abs=0.3)
    assert suites[0].growth["pairwise"][-1] == 0.25, "of all three it takes the last"
    assert len(asked) == len(set(asked)), "nothing is picked from twice, not even for other tests"


def test_plus_tests():
    """Passed by both; problems that have no extra outcomes are not among them."""
    extra = {(task_id, index): index > 0 for task_id in ("a", "b") for index in range(3)}
    base, plus = build(plus=extra).suites
    assert (base.num_problems, plus.num_problems) == (4, 2)
    assert [row.num_passed for row in plus.selectors] == [1, 0, 1]
    assert plus.oracle.value == 0.5
    assert len(build(plus={}).suites) == 1


def test_incomplete_problems_are_left_out_and_counted():
    problems = [*PROBLEMS, Problem("without candidates", "p", "f", "test")]
    passed = {place: good for place, good in PASSED.items() if place != ("b", 2)}
    unranked = {**RANKINGS, "pairwise": RANKINGS["pairwise"][:3]}
    report = build_report(problems, CANDIDATES, unranked, Passed(passed), num_resamples=50)
    assert (report.num_problems, report.num_incomplete, report.num_candidates) == (2, 3, 6)
    assert "3 problems left out" in table(report)
    with pytest.raises(InputError, match="nothing to report"):
        build_report(problems, CANDIDATES, RANKINGS, Passed({}))


def test_order_of_inputs_does_not_matter():
    extra = dict.fromkeys(PASSED, False)
    shuffled = build_report(
        PROBLEMS,
        CANDIDATES[::-1],
        {name: given[::-1] for name, given in RANKINGS.items()},
        Passed(dict(reversed(PASSED.items())), extra),
        num_resamples=200,
    )
    assert shuffled == build(plus=extra)


def test_table():
    comparisons = [Comparison("a", "key0", "key1", 1.0), Comparison("a", "key1", "key0", 2.0)]
    text = table(build(costs={"pairwise": Cost(12_000, 3.5)}, comparisons={"pairwise": comparisons}))
    head, block, notes = text.split("\n\n")
    assert "4 problems, 12 candidates (3 per problem), 8 distinct" in head
    lines = block.splitlines()
    assert lines[0] == "base tests, 4 problems"
    assert " ".join(lines[2].split()) == "selector pass@1 95% uplift 95% gap closed p comparisons tokens seconds"
    row = next(line for line in lines if line.startswith("pairwise"))
    assert row.split()[1] == "75.0"
    assert row.split()[-3:] == ["24", "12,000", "3.5"]
    assert row.index("75.0") + 4 == lines[2].index("pass@1") + 6, "numbers end where their header ends"
    assert "order consistency 0.0% of 1 pairs, 1 disagree" in notes
    assert "log-probability had no value for any candidate of 4 problems, so the tie-break chose" in notes
    assert "200 resamples, seed 0" in notes


def test_columns_that_nobody_fills_are_left_out():
    report = build_report(PROBLEMS, CANDIDATES, {"random": RANKINGS["random"]}, Passed(PASSED), num_resamples=50)
    header = table(report).split("\n\n")[1].splitlines()[2]
    assert header.split() == ["selector", "pass@1", "95%", "uplift", "95%", "gap", "closed"]


def test_files(tmp_path):
    report = build(plus=PASSED, settings={"autorater": "fake", "n": 3})
    paths = write_report(report, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    document = json.loads((tmp_path / "report.json").read_text())
    assert document == json.loads(to_json(report))
    assert document["suites"][1]["selectors"][2]["figures"]["pass_at_1"]["value"] == 0.75
    page = (tmp_path / "report.md").read_text()
    assert page == markdown(report)
    assert '"autorater": "fake"' in page
    for name in ("selectors.png", "growth.png"):
        assert f"]({name})" in page
        height, width, _ = matplotlib.image.imread(tmp_path / name).shape
        assert width > height > 200
    before = {path.name: path.read_bytes() for path in paths}
    write_report(report, tmp_path)
    assert {path.name: path.read_bytes() for path in paths} == before, "the same report, the same bytes"


def test_plots_of_the_smallest_run(tmp_path):
    """One problem, one candidate, one selector, nothing passes."""
    ranking = [Ranking("a", "first", (0,), (0.0,))]
    candidates = [Candidate("a", 0, "", "", None)]
    report = build_report(PROBLEMS[:1], candidates, {"first": ranking}, Passed({("a", 0): False}), num_resamples=10)
    assert report.suites[0].selectors[0].figures.gap_closed is None
    assert len(write_report(report, tmp_path)) == 4


def test_many_candidates_are_drawn_on_a_log_scale(tmp_path):
    candidates = [Candidate("a", index, "", "", f"k{index}") for index in range(30)]
    ranking = [Ranking("a", "pointwise", tuple(range(30)), (0.0,) * 30)]
    passed = {("a", index): index % 3 == 0 for index in range(30)}
    report = build_report(PROBLEMS[:1], candidates, {"pointwise": ranking}, Passed(passed), num_resamples=10)
    assert list(report.suites[0].pass_at_k) == [1, 10]
    plot_growth(report, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 10_000
