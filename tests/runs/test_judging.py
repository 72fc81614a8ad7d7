"""Judging many problems: nothing is asked twice, and a killed run ends where an unbroken one does."""

import random

import pytest

from rerank.autoraters import Played
from rerank.backends.interface import Usage
from rerank.records import Candidate, Comparison, PublicProblem, Score
from rerank.runs.folder import KEYS
from rerank.runs.judging import judge_pairwise, judge_pointwise
from rerank.selection.aggregation import AGGREGATES
from rerank.selection.tournaments import TOURNAMENTS
from rerank.store import Journal, content_hash, read_rows

PROBLEMS = [PublicProblem(f"t/{number}", "def f(x):\n", "f") for number in range(4)]
GROUPS = {
    problem.task_id: [
        Candidate(problem.task_id, index, "", f"def f(x):\n    return x + {index}\n", f"k{index}") for index in range(5)
    ]
    for problem in PROBLEMS
}


class Killed(Exception):
    pass


class Steady:
    """An autorater whose verdict is a function of the programs; it dies after `life` problems, and counts all asks."""

    def __init__(self, life: int = 10**6, *, scores: bool = False):
        self.usage = Usage()
        self._scores = scores  # pointwise ones, beside comparisons
        self.asked: list[object] = []
        self._life = life

    def _spend(self) -> None:
        if self._life == 0:
            raise Killed
        self._life -= 1
        self.usage += Usage(1, 100, 10)

    def score_many(self, tasks):
        for problem, programs in tasks:
            self._spend()
            self.asked += [(problem.task_id, key) for key in programs]
            yield [Score(problem.task_id, key, _number(problem.task_id, key)) for key in programs]

    def play_many(self, tasks):
        for problem, programs, choose in tasks:
            self._spend()
            scores = [Score(problem.task_id, key, _number(problem.task_id, key)) for key in programs]
            chosen = choose({score.key: score.log_odds for score in scores} if self._scores else {})
            pairs = [ordered for a, b in chosen for ordered in ((a, b), (b, a))]
            self.asked += [(problem.task_id, *pair) for pair in pairs]
            comparisons = [Comparison(problem.task_id, a, b, _number(problem.task_id, a, b)) for a, b in pairs]
            yield Played(comparisons, scores if self._scores else [])


def _number(*parts: str) -> float:
    return int(content_hash(*parts), 16) / 16**16 - 0.5


def pointwise(autorater, scores, costs=None):
    costs = costs or Journal(None, key=KEYS["costs"])
    return list(judge_pointwise(PROBLEMS, GROUPS, lambda: autorater, scores=scores, costs=costs, passed={}))


def pairwise(autorater, comparisons, tournament="swiss", scores=None):
    return list(
        judge_pairwise(
            PROBLEMS,
            GROUPS,
            lambda: autorater,
            tournament=TOURNAMENTS[tournament],
            aggregate=AGGREGATES["borda"],
            seed=0,
            stage="pairwise",
            scores=Journal(None, key=KEYS["scores"]) if scores is None else scores,
            comparisons=comparisons,
            costs=Journal(None, key=KEYS["costs"]),
            passed={},
        )
    )


@pytest.mark.parametrize(("judge", "stage"), [(pointwise, "scores"), (pairwise, "comparisons")])
def test_a_run_killed_anywhere_ends_like_an_unbroken_one(tmp_path, judge, stage):
    unbroken = judge(Steady(), Journal(None, key=KEYS[stage]))
    draw = random.Random(0)
    path = tmp_path / "journal.jsonl"
    asked: list[object] = []
    for _ in range(50):
        autorater = Steady(life=draw.randint(0, 2))
        with Journal(path, key=KEYS[stage]) as journal:
            try:
                rankings = judge(autorater, journal)
                break
            except Killed:
                asked += autorater.asked
        if draw.random() < 0.5:  # the kill tore the last line as well
            path.write_bytes(path.read_bytes()[: -draw.randint(1, 20)] if path.stat().st_size else b"")
    asked += autorater.asked
    assert sorted(rankings, key=lambda each: each.task_id) == sorted(unbroken, key=lambda each: each.task_id)
    keys = [KEYS[stage](row) for _, row in read_rows(path)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("tournament", TOURNAMENTS)
def test_scores_that_come_with_comparisons_seed_the_tournament_and_outlive_a_kill(tmp_path, tournament):
    def play(autorater, folder):
        with (
            Journal(folder / "scores.jsonl", key=KEYS["scores"]) as scores,
            Journal(folder / "comparisons.jsonl", key=KEYS["comparisons"]) as comparisons,
        ):
            return pairwise(autorater, comparisons, tournament, scores)

    for name in ("unbroken", "broken"):
        (tmp_path / name).mkdir()
    unbroken = play(Steady(scores=True), tmp_path / "unbroken")
    while True:
        try:
            broken = play(Steady(1, scores=True), tmp_path / "broken")
            break
        except Killed:
            continue
    order = sorted(unbroken, key=lambda each: each.task_id)
    assert sorted(broken, key=lambda each: each.task_id) == order
    for name in ("scores", "comparisons"):
        kept = [
            sorted(str(row) for _, row in read_rows(tmp_path / x / f"{name}.jsonl")) for x in ("unbroken", "broken")
        ]
        assert kept[0] == kept[1]
    if tournament == "top-2":
        for ranking in unbroken:
            numbers = {key: _number(ranking.task_id, key) for key in ("k0", "k1", "k2", "k3", "k4")}
            best = sorted(numbers, key=numbers.__getitem__)[-2:]
            assert {f"k{index}" for index in ranking.order[:2]} == set(best)
            assert ranking.num_comparisons == 2


def test_nothing_finished_is_asked_again(tmp_path):
    path = tmp_path / "scores.jsonl"
    first = Steady(life=2)
    with Journal(path, key=KEYS["scores"]) as journal, pytest.raises(Killed):
        pointwise(first, journal)
    second = Steady()
    with Journal(path, key=KEYS["scores"]) as journal:
        pointwise(second, journal)
    assert not set(first.asked) & set(second.asked)
    with Journal(path, key=KEYS["scores"]) as journal:
        pointwise(None, journal)  # all is known: no autorater is needed


def test_every_tournament_asks_both_orders_and_says_what_it_spent():
    for name, most in (("round-robin", 20), ("knockout", 8), ("swiss", 15)):
        autorater = Steady()
        rankings = pairwise(autorater, Journal(None, key=KEYS["comparisons"]), name)
        asked = {(task_id, b, a) for task_id, a, b in autorater.asked}
        assert asked == set(autorater.asked)
        assert sum(ranking.num_comparisons for ranking in rankings) == len(autorater.asked) <= most * len(PROBLEMS)


def test_costs_are_what_the_autorater_used():
    costs = Journal(None, key=KEYS["costs"])
    pointwise(Steady(), Journal(None, key=KEYS["scores"]), costs)
    assert [row["num_tokens"] for row in costs.rows.values()] == [100] * 4
