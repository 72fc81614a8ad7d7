"""Judges beside one another: figures that are each judge's own, paired gains, and the command."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rerank.errors import InputError
from rerank.judge_bench import comparison, measure
from rerank.judge_bench.cases import Case
from rerank.judge_bench.comparison import JudgeRun
from rerank.judge_bench.measure import JudgeSettings
from rerank.judge_bench.raters import Answer
from rerank.runs.folder import RunFolder
from rerank.store import write_rows

ROOT = Path(__file__).parents[2]


def pair(name: str, number: int, *, category: str = "code") -> Case:
    return Case(name, "pairwise", category, "?", (("prompt", str(number)),), ("long one", "short"), "AB"[number % 2])


def said(cases: list[Case], share: float, seed: int) -> dict[str, dict[str, Answer]]:
    """A judge that is right on about this share, by a hash that another seed shares half of."""
    draw = np.random.default_rng(seed).random(len(cases))
    sign = [
        (1.0 if case.label == "A" else -1.0) * (1 if hit < share else -1) for case, hit in zip(cases, draw, strict=True)
    ]
    return {case.key: {"ab": Answer((value,)), "ba": Answer((value,))} for case, value in zip(cases, sign, strict=True)}


def test_gains_are_paired_and_sets_weigh_the_same() -> None:
    small, large = [pair("small", n) for n in range(40)], [pair("large", n) for n in range(400)]
    cases = [*small, *large]
    weak = JudgeRun("weak", said(small, 0.4, 0) | said(large, 0.5, 1))
    strong = JudgeRun("strong", said(small, 0.6, 0) | said(large, 0.7, 1))  # right wherever the weak one is
    [row] = comparison.compare(cases, [weak, strong])
    right = [
        np.mean([(run.answers[c.key]["ab"].values[0] > 0) == (c.label == "A") for c in part])
        for run in (weak, strong)
        for part in (small, large)
    ]
    assert row.figures[0].value == pytest.approx((right[0] + right[1]) / 2)
    assert row.gains[0].value == pytest.approx((right[2] + right[3] - right[0] - right[1]) / 2)
    unpaired = row.figures[1].high - row.figures[1].low
    assert row.gains[0].high - row.gains[0].low < unpaired, "the same resamples for both"
    assert (row.num_cases, row.num_sets, row.longest) == (440, 2, 0.5)


def test_only_what_all_were_asked_counts() -> None:
    cases = [pair("toy", number) for number in range(10)]
    all_of_it, half = said(cases, 1.0, 0), said(cases[:5], 1.0, 0)
    [row] = comparison.compare(cases, [JudgeRun("a", all_of_it), JudgeRun("b", half)])
    assert row.num_cases == 5
    with pytest.raises(InputError, match="no case was answered"):
        comparison.compare(cases, [JudgeRun("a", all_of_it), JudgeRun("b", {})])


def test_classes_and_the_mean_over_categories_are_the_reports(tmp_path: Path) -> None:
    """Two independent ways to one number: this table, and each judge's own report."""
    rows = [
        {"task": f"{kind}_{name}", "kind": kind, "capability": name, "context": {"prompt": f"{name} {n}"}}
        | {"responses": [f"first {n}", f"second one {n % 3}"][: 1 + (kind == "pairwise")], "split": "heldout"}
        | {"label": ("AB" if kind == "pairwise" else ["yes", "no"])[n % 3 == 0], "criterion": "?", "source": "made up"}
        | {"meta": {"classes": ["yes", "no"]} if kind == "classification" else {}}
        for kind in ("pairwise", "classification")
        for name in ("code", "safety")
        for n in range(12)
    ]
    write_rows(tmp_path / "sets.jsonl", rows)
    cases = measure.gather([str(tmp_path / "sets.jsonl")])
    reports = {}
    for rule in ("random", "first"):
        reports[rule] = measure.measure(RunFolder(tmp_path / rule), cases, JudgeSettings(rule))
    runs = [comparison.read_run(tmp_path / rule) for rule in reports]
    found = {(row.measure, row.category): row for row in comparison.compare(cases, runs)}
    assert set(found) == {(m, c) for m in comparison.MEASURES.values() for c in ("code", "safety", "all")}
    for (name, category), row in found.items():
        values = [estimate.value for estimate in row.figures]
        assert values == pytest.approx([report.categories[name][category] for report in reports.values()])
    command = [sys.executable, ROOT / "scripts" / "compare_judges.py", tmp_path / "sets.jsonl"]
    command += ["--run", f"coin={tmp_path / 'random'}", "--run", tmp_path / "first"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert shown == comparison.table(list(found.values()), ["coin", "first"]) + "\n"


def test_a_folder_without_answers_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name a folder that rerank judge wrote"):
        comparison.read_run(tmp_path)
