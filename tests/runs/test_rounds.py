"""A budget of samples: where the next round goes, and a run that spends one and can be killed."""

import json

import pytest
from command_line import ROWS, figures, rerank, write

from rerank.backends.interface import EngineOptions, Sample
from rerank.errors import ResumeError, SettingError
from rerank.evidence.trials import Trace, Trial, Tried
from rerank.problems.benchmarks import load_problems
from rerank.records import Candidate, PublicProblem
from rerank.runs import rounds
from rerank.runs.candidates import generate
from rerank.runs.folder import RunFolder
from rerank.runs.settings import GenerateSettings, SelectSettings, Spending
from rerank.selection.budget import gain_of_samples, next_round
from rerank.selection.posterior import Belief
from rerank.testing import use_engines

RIGHT, WRONG = "    return x + {}\n", "    return x - 9 - {}\n"


def candidates(*keys: str | None) -> list[Candidate]:
    return [Candidate("t", index, "x", "x", key) for index, key in enumerate(keys)]


def beliefs(**log_odds: float) -> dict[str, Belief]:
    return {key: Belief(value, (), ()) for key, value in log_odds.items()}


def test_more_samples_are_worth_most_where_the_best_is_unsure():
    drawn = candidates("a", "b")
    sure, unsure = (gain_of_samples(drawn, beliefs(a=value, b=-3.0), None, 2) for value in (4.0, 0.0))
    assert 0 < sure < unsure < 0.5
    # The best is wrong with 1/2; of two others like `b`, each right by (0.047 + 1) / 4.
    assert unsure == pytest.approx(0.5 * (1 - (1 - (0.0474 + 1) / 4) ** 2), abs=1e-4)
    assert gain_of_samples(candidates(None, None), {}, None, 1) == pytest.approx(1 / 4), "nothing parses so far"


def test_samples_that_behave_as_the_best_do_promise_nothing_else():
    trial = Trial(PublicProblem("t", "def f(x):\n", "f"), inputs=("f(1)",))
    alike = Tried(trial, {key: Trace(("1",), (), 0.0) for key in "ab"})
    drawn, known = candidates("a", "b"), beliefs(a=0.1, b=0.0)
    assert gain_of_samples(drawn, known, alike, 1) < gain_of_samples(drawn, known, None, 1)


def test_a_round_takes_half_of_what_is_left():
    gains, drawn = {"a": 0.5, "b": 0.4, "c": 0.001, "d": 0.6}, {"a": 2, "b": 2, "c": 2, "d": 10}
    assert next_round(gains, drawn, max_each=10, size=2, left=4) == {"a": 2}, "d has all its samples"
    assert next_round(gains, drawn, max_each=10, size=2, left=100) == {"a": 2, "b": 2}, "c is not worth it"
    assert next_round(gains, drawn, max_each=10, size=2, left=1) == {"a": 1}
    assert next_round(gains, drawn, max_each=10, size=2, left=0) == {}
    assert next_round(gains, {**drawn, "a": 9}, max_each=10, size=2, left=8) == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, Spending()),
        ("0", Spending(max_judgments=0)),
        ("60s", Spending(max_seconds=60)),
        ("400samples, 20", Spending(max_judgments=20, max_samples=400)),
    ],
)
def test_budgets(text, expected):
    assert Spending.parse(text) == expected


@pytest.mark.parametrize("text", ["", "5,6", "-1", "400 sample", "1s2"])
def test_no_budgets(text):
    with pytest.raises(SettingError, match="a number of programs"):
        Spending.parse(text)


class Source:
    """Right at once for the first problem; for the others wrong until the fifth sample."""

    has_chat_template = False

    def __init__(self, *, dies_after: int = 10**9):
        self.settings = {"engine": "fake", "model": "fake"}
        self.seeds: list[tuple[str, int, int]] = []
        self.left = dies_after

    def generate(self, requests, num_samples, sampling):
        for request in requests:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            self.seeds.append((request.id, num_samples, sampling.seed))
            number = int(request.id.partition("/")[2])
            start = {0: 0}.get(sampling.seed, 2)
            bodies = [RIGHT if number == 0 or start + step >= 2 else WRONG for step in range(num_samples)]
            yield request, [Sample(body.format(number), 5, "stop", -0.5) for body in bodies]

    def close(self):
        pass


def draw(folder, source, problems, *, budget=12):
    with use_engines(lambda *_: source):
        return rounds.generate(
            folder, problems, GenerateSettings("m", 10, max_total=budget), EngineOptions(),
            answers={}, select=SelectSettings(), seed=0, num_workers=2,
        )  # fmt: skip


def test_rounds_go_where_nothing_is_right_yet_and_survive_a_kill(tmp_path):
    problems = load_problems(write(tmp_path / "problems.jsonl", ROWS[:3]))
    source = Source()
    found = draw(RunFolder(tmp_path / "whole"), source, problems)
    counts = {problem.task_id: sum(each.task_id == problem.task_id for each in found) for problem in problems}
    assert sum(counts.values()) <= 12
    assert counts["toy/0"] < min(counts["toy/1"], counts["toy/2"]), "its example passes"
    assert {seed for task_id, _, seed in source.seeds[:3]} == {0}
    assert 0 not in {seed for _, _, seed in source.seeds[3:]}, "later samples are new ones"
    assert sorted((each.task_id, each.index) for each in found) == [
        (task_id, index) for task_id, count in counts.items() for index in range(count)
    ]
    killed = RunFolder(tmp_path / "killed")
    with pytest.raises(KeyboardInterrupt):
        draw(killed, Source(dies_after=4), problems)
    again = Source()
    assert sorted(draw(killed, again, problems), key=repr) == sorted(found, key=repr)
    assert len(again.seeds) == len(source.seeds) - 4, "nothing is drawn twice"
    never = Source(dies_after=0)
    assert len(draw(killed, never, problems)) == len(found), "a run that is done asks no model"
    with pytest.raises(ResumeError, match="--budget 12samples"):
        generate(killed, problems, GenerateSettings("m", 10), EngineOptions())


def test_a_budget_below_the_first_round(tmp_path):
    problems = load_problems(write(tmp_path / "problems.jsonl", ROWS[:3]))
    with pytest.raises(SettingError, match="the first round draws 2 of each of 3 problems; at least 6"):
        draw(RunFolder(tmp_path / "run"), Source(), problems, budget=5)


def test_a_run_with_a_budget_of_samples(tmp_path, tiny_model):
    problems = write(tmp_path / "problems.jsonl", ROWS[:2])
    given = ("--problems", problems, "--generator", tiny_model, "--backend", "transformers", "--max-tokens", "4")
    options = (*given, "--n", "5", "--budget", "6samples", "--autorater", "posterior", "--out", tmp_path / "run")
    found = figures(rerank("run", *options, "--json"))
    assert "posterior" in found
    lines = (tmp_path / "run" / "candidates.jsonl").read_text().splitlines()
    assert 2 < len(lines) <= 6
    assert len({(row["task_id"], row["index"]) for row in map(json.loads, lines)}) == len(lines)


def test_samples_without_a_generator(tmp_path):
    for command in ("run", "score"):
        result = rerank(command, "--budget", "9samples", "--out", tmp_path / "run")
        assert result.exit_code == 2
        assert "samples are spent by rerank run with --generator" in " ".join(result.output.replace("│", " ").split())
