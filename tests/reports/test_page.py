"""The page of a run: what its data blocks hold, that no text of a model is markup, and that it may load nothing."""

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest
from page_runs import HOSTILE, judged_problems, page_of, toy_run
from typer.testing import CliRunner

from rerank.cli.app import app
from rerank.records import Candidate, Comparison, Problem, Ranking
from rerank.reports.page import MAX_TEST_CHARS, ProblemView


def data_of(page: str) -> tuple[dict, list[dict]]:
    """The index and the blocks, unpacked."""

    def unpack(packed: str):
        return json.loads(zlib.decompress(base64.b64decode(packed)))

    found = dict(re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', page))
    return unpack(json.loads(found["index"])), [unpack(each) for each in json.loads(found["blocks"])]


class Tags(HTMLParser):
    """Every tag and attribute of a page, and what stands in its scripts and styles."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.content: dict[str, list[str]] = {"script": [], "style": []}
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag in self.content:
            self.content[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside if tag != self._inside else ""

    def handle_data(self, data: str) -> None:
        if self._inside in self.content:
            self.content[self._inside][-1] += data


def test_the_data_says_what_the_run_says():
    judged = toy_run()
    index, blocks = data_of(page_of(judged))
    assert index["selectors"] == ["first", "pointwise"]
    assert (index["selector"], index["tests"]) == ("pointwise", ["base"])
    assert [each["id"] for each in index["problems"]] == ["t/0", "t/1", "t/<i>2"]
    assert [each["passed"] for each in index["problems"]] == [["10"], ["01"], ["00"]]
    assert [each["orders"][1] for each in index["problems"]] == [[0, 1], [0, 1], [1, 0]]
    candidate = blocks[2]["candidates"][0]
    assert (candidate["program"], candidate["raw"]) == ("return 3\n", "raw return 3\n")
    assert candidate["outcomes"] == [{"status": "failed", "reason": HOSTILE, "seconds": 0.0}]
    assert candidate["values"] == [0.0, -1.5], "the selectors' values, each by its own order"


def test_candidates_are_named_by_place_where_indices_have_gaps():
    (one,) = judged_problems({"t": [("a", False), ("b", True)]}, {"pointwise": {"t": [1, 0]}})
    moved = [
        Candidate("t", index, "", each.program, each.key) for index, each in zip((3, 7), one.candidates, strict=True)
    ]
    judged = [ProblemView(one.problem, moved, one.outcomes, {"pointwise": Ranking("t", "pointwise", (7, 3), (2, 1))})]
    index, (block,) = data_of(page_of(judged))
    assert index["problems"][0]["orders"] == [[1, 0]]
    assert [(each["index"], each["values"]) for each in block["candidates"]] == [(3, [1]), (7, [2])]


def test_comparisons_are_a_matrix_of_distinct_programs():
    (one,) = judged_problems({"t": [("a", False), ("b", True), ("a", False)]}, {"pairwise": {"t": [1, 0, 2]}})
    compared = [Comparison("t", "key a", "key b", -0.123), Comparison("t", "key b", "key a", None, "no answer")]
    given = ProblemView(one.problem, one.candidates, one.outcomes, one.rankings, compared)
    _, (block,) = data_of(page_of([given], selector="pairwise"))
    assert [each["group"] for each in block["candidates"]] == [0, 1, 0]
    assert block["comparisons"] == [None, -12, "?", None]
    _, (block,) = data_of(page_of([one], selector="pairwise"))
    assert block["comparisons"] is None


def test_no_text_is_markup():
    """Programs and reasons are packed; what is not (title, settings, task_ids) is escaped."""
    page = page_of(toy_run(), title=HOSTILE)
    tags = Tags(page)
    assert not [attributes for tag, attributes in tags.tags if tag == "img" or "onerror" in attributes]
    assert len(tags.content["script"]) == 3, "index, blocks and the script"
    assert "return 3" not in page
    assert "t/<i>2" not in page
    assert page.count("&lt;/script&gt;") == 3, "title, heading and settings"


def test_the_policy_forbids_loading_and_allows_only_the_own_script_and_style():
    tags = Tags(page_of(toy_run()))
    (policy,) = [each["content"] for _, each in tags.tags if each.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        digest = hashlib.sha256(tags.content[tag][-1].encode()).digest()
        assert rules[rule] == f"'sha256-{base64.b64encode(digest).decode()}'"
    links = [value for _, each in tags.tags for name, value in each.items() if name in ("src", "href", "srcset")]
    assert all(link.startswith("#") for link in links)
    assert not [each for _, each in tags.tags if "style" in each], "inline styles would be refused"


def test_a_long_test_is_left_out():
    (one,) = judged_problems({"t": [("a", True)]}, {"pointwise": {"t": [0]}})
    long = Problem("t", "p", "f", "x" * (MAX_TEST_CHARS + 1))
    _, (block,) = data_of(page_of([ProblemView(long, one.candidates, one.outcomes, one.rankings)]))
    assert block["test"] is None


def test_the_command_writes_the_page_of_a_run_folder(tmp_path: Path):
    tests = {"test": "def check(f):\n    assert f(1) == 2\n", "plus_input": [[5]], "base_input": [[1]], "atol": 0}
    problem = {
        "task_id": "t/0",
        "prompt": "def f(x):\n",
        "entry_point": "f",
        "canonical_solution": "    return x + 1\n",
    }
    (tmp_path / "p.jsonl").write_text(json.dumps(problem | tests) + "\n")
    bodies = ["return 2", "return x + 1", "raise OSError('no')"]
    rows = [{"task_id": "t/0", "completion": f"    {body}\n"} for body in bodies]
    (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["--problems", tmp_path / "p.jsonl", "--candidates", tmp_path / "c.jsonl", "--autorater", "shortest"]
    ran = CliRunner().invoke(app, ["run", *map(str, given), "--out", str(tmp_path / "run")])
    assert ran.exit_code == 0, ran.output
    pages = []
    for name in ("one.html", "two.html"):
        done = CliRunner().invoke(app, ["report", str(tmp_path / "run"), "--html", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        assert name in done.stderr
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1], "the same run, the same bytes"
    index, (block,) = data_of(pages[0].decode())
    assert (index["selector"], index["tests"]) == ("shortest", ["base", "plus"])
    assert index["problems"][0]["passed"] == ["110", "010"]
    assert [each["outcomes"][0]["status"] for each in block["candidates"]] == ["passed", "passed", "error"]
    assert block["candidates"][2]["outcomes"][0]["reason"].startswith("OSError")
    assert block["reference"] == "    return x + 1\n"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A finished run over two problems, two candidates each."""
    problems, candidates = tmp_path / "p.jsonl", tmp_path / "c.jsonl"
    task_ids = ("t/0", "t/1")
    rest = {"prompt": "def f(x):\n", "entry_point": "f", "test": "def check(f):\n    assert f(1) == 1\n"}
    problems.write_text("".join(json.dumps({"task_id": task_id} | rest) + "\n" for task_id in task_ids))
    rows = [{"task_id": task_id, "completion": f"    return {n}\n"} for task_id in task_ids for n in range(2)]
    candidates.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["--problems", problems, "--candidates", candidates, "--autorater", "first", "--out", tmp_path / "run"]
    ran = CliRunner().invoke(app, ["run", *map(str, given)])
    assert ran.exit_code == 0, ran.output
    return tmp_path / "run"


def test_problems_that_are_not_ranked_yet_are_left_out(run_folder: Path, tmp_path: Path):
    rankings = run_folder / "rankings.jsonl"
    rows = [row for row in rankings.read_text().splitlines(keepends=True) if json.loads(row)["task_id"] == "t/1"]
    rankings.write_text("".join(rows))
    done = CliRunner().invoke(app, ["report", str(run_folder), "--html", str(tmp_path / "page.html")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "page.html").read_text()
    assert [each["id"] for each in data_of(page)[0]["problems"]] == ["t/1"]
    assert "1 problem left out" in page


@pytest.mark.parametrize("where", ["absent/page.html", "."])
def test_a_place_that_cannot_be_written_is_one_line(run_folder: Path, tmp_path: Path, where: str):
    done = CliRunner().invoke(app, ["report", str(run_folder), "--html", str(tmp_path / where)])
    assert done.exit_code == 2
    assert str(tmp_path) in done.stderr.splitlines()[-1]
