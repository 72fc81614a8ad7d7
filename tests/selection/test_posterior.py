"""The posterior: what it learns, with whatever evidence is there; and the guard, which needs to be sure."""

import itertools
import math
import random
from dataclasses import replace

import pytest

from rerank.errors import InputError
from rerank.evidence.likelihoods import Read
from rerank.evidence.record import Evidence
from rerank.evidence.trials import Trace, Trial, Tried
from rerank.evidence.written_tests import Check
from rerank.records import Candidate, Comparison, PublicProblem
from rerank.selection import posterior
from rerank.selection.fitting import cross_validate, gain, instances, separation, subsets
from rerank.selection.posterior import ALL_FEATURES, GROUPS, Belief, Model, believe, choose, default_of, features, fit
from rerank.selection.selectors import select

PROBLEM = PublicProblem("t", "def f(x):\n", "f")


def candidate(index: int, key: str | None, log_probability: float | None = None, task_id: str = "t") -> Candidate:
    return Candidate(task_id, index, "x", "x", key, mean_log_probability=log_probability)


def a_world(num_problems: int, *, seed: int = 0):
    """Right programs score higher and agree; wrong ones each do something of their own."""
    rng = random.Random(seed)
    candidates, evidence, right, group_of = [], {}, {}, {}
    for number in range(num_problems):
        task_id = f"t/{number}"
        group_of[task_id] = task_id
        share = rng.random()
        keys = [f"{number}-{index}" for index in range(6)]
        scores, examples, traces = {}, {}, {}
        for index, key in enumerate(keys):
            good = rng.random() < share
            right[task_id, key] = good
            candidates.append(candidate(index, key, rng.gauss(-0.2, 0.05) + 0.02 * good, task_id))
            scores[key] = rng.gauss(1.0 if good else -1.0, 1.0)
            examples[key] = 1.0 if good else rng.choice((0.0, 0.5, 1.0))
            traces[key] = Trace(("4", "6") if good else (str(index), str(index)), (good, rng.random() < 0.5), 0.0)
        trial = Trial(PROBLEM, (Check("f(2)", "_ == 4"), Check("f(3)", "_ == 6")))
        played = [
            Comparison(task_id, first, second, rng.gauss(right[task_id, first] - right[task_id, second], 1.0))
            for first, second in itertools.combinations(keys, 2)
        ]
        evidence[task_id] = Evidence(scores, played, examples, written=Tried(trial, traces))
    return candidates, evidence, right, group_of


def instances_of(world):
    candidates, known, right, group_of = world
    return instances(candidates, {task_id: [each] for task_id, each in known.items()}, right, group_of)


@pytest.fixture(scope="module")
def world():
    return a_world(80)


@pytest.fixture(scope="module")
def model(world):
    found = instances_of(world)
    return Model(fit([case for each in found for case in each.cases]), separation(found))


def test_every_set_of_groups_has_a_regression(model):
    assert len(model.regressions) == 2 ** len(GROUPS)
    for groups, regression in model.regressions.items():
        assert regression.features == posterior.names_of(groups)
        assert len(regression.covariance) == len(regression.features)


def test_more_evidence_picks_better_and_is_calibrated(world):
    found = instances_of(world)
    rows = {groups: cross_validate(found, groups) for groups in subsets(list(GROUPS))}
    everything = rows[tuple(GROUPS)]
    assert everything.pick_rate.value > rows[("scores",)].pick_rate.value > everything.random
    assert everything.negative_log_likelihood < rows[("scores",)].negative_log_likelihood < math.log(2)
    assert everything.calibration_error < 0.1


def test_a_problem_with_several_writers_of_tests_counts_once(world):
    candidates, evidence, right, group_of = world
    twice = {task_id: [each, replace(each, written=None)] for task_id, each in evidence.items()}
    found = instances(candidates, twice, right, group_of)
    one = [each for each in found if each.task_id == "t/0"]
    assert len(one) == 2
    assert sum(case.weight for each in one for case in each.cases) == pytest.approx(1.0)
    assert ["tests" in each.cases[0].features for each in one] == [True, False]


def test_what_likelihoods_would_add(world):
    """Those that tell right from wrong add to log-probability; noise does not; a program not read leaves no figure."""
    candidates, evidence, right, group_of = world
    rng = random.Random(1)
    read = {
        task_id: {
            key: Read(-10.0 + 3 * right[task_id, key] + rng.gauss(0, 1), 10, -5.0, 5, rng.gauss(0, 1), number == 0)
            for number, key in enumerate(each.scores)
        }
        for task_id, each in evidence.items()
    }
    given = {task_id: [replace(each, likelihoods=read[task_id])] for task_id, each in evidence.items()}
    found = instances(candidates, given, right, group_of)
    told = gain(found, ("log-probability",), "coder-reviewer")
    assert told.num_problems == len(found)
    assert told.pick_rate.low > 0
    assert told.negative_log_likelihood.high < 0
    noise = gain(found, ("log-probability",), "self-certainty")
    assert noise.pick_rate.value < told.pick_rate.low
    assert noise.negative_log_likelihood.low < 0 < noise.negative_log_likelihood.high
    before, after = (cross_validate(each, ("scores",)) for each in (instances_of(world), found))
    assert before == after, "figures of the posterior's own evidence stay"
    for each in given.values():
        del each[0].likelihoods[next(iter(each[0].scores))]
    assert gain(instances(candidates, given, right, group_of), (), "coder-reviewer") is None


def test_a_program_without_a_likelihood_stands_with_the_lowest():
    read = {"a": Read(-2.0, 2, -1.0, 1, 3.0), "b": Read(-9.0, 2, -1.0, 1, 2.0), "c": Read(-1.0, 1, -1.0, 1, 1.0, True)}
    candidates = [candidate(index, key) for index, key in enumerate("abc")]
    right = {("t", key): key == "a" for key in "abc"}
    [found] = instances(candidates, {"t": [Evidence(likelihoods=read)]}, right, {"t": "t"})
    assert [case.features["coder-reviewer"] for case in found.cases] == [-3.0, -10.0, -10.0]
    assert [case.features["coder-reviewer less best"] for case in found.cases] == [0.0, -7.0, -7.0]
    assert [case.features["self-certainty less best"] for case in found.cases] == [0.0, -1.0, -2.0]


def test_weights_of_a_regression_against_counting():
    """One feature that takes two values: the fit is the share of right programs at each, but for the ridge."""
    cases = [
        posterior.Case(str(number), {"this program": float(number % 2)}, number % 4 in (0, 1, 3), 1.0)
        for number in range(4000)
    ]
    regression = posterior.fit_one(cases, ("this program",))
    shares = [1 / (1 + math.exp(-regression.log_odds([value]))) for value in (0.0, 1.0)]
    assert shares == pytest.approx([0.5, 1.0], abs=0.01)


def test_the_sandwich_agrees_with_textbook_variance():
    """Independent cases, a clean model: the variance of a log odds ratio is the sum of the counts' inverses."""
    rng = random.Random(0)
    cases = [
        posterior.Case(str(number), {"this program": float(number % 2)}, rng.random() < (0.3, 0.6)[number % 2], 1.0)
        for number in range(4000)
    ]
    counts = [sum(c.features["this program"] == x and c.right == y for c in cases) for x in (0, 1) for y in (0, 1)]
    [[variance]] = posterior.fit_one(cases, ("this program",)).covariance
    assert variance == pytest.approx(sum(1 / count for count in counts), rel=0.05)


@pytest.mark.parametrize("missing", ["scores", "comparisons", "examples", "written", "all"])
def test_missing_evidence(world, model, missing):
    candidates, evidence, _, _ = world
    full = evidence["t/0"]
    kept = {
        "scores": Evidence(comparisons=full.comparisons, examples=full.examples, written=full.written),
        "comparisons": Evidence(full.scores, examples=full.examples, written=full.written),
        "examples": Evidence(full.scores, full.comparisons, written=full.written),
        "written": Evidence(full.scores, full.comparisons, examples=full.examples),
        "all": Evidence(),
    }[missing]
    drawn = [each for each in candidates if each.task_id == "t/0"]
    beliefs = believe(drawn, kept, model)
    assert set(beliefs) == {each.key for each in drawn}
    assert all(0 < belief.probability < 1 for belief in beliefs.values())
    groups = {belief.groups for belief in beliefs.values()}
    assert len(groups) == 1
    assert missing not in groups.pop()


def test_evidence_of_a_group_that_was_not_fitted_is_left_out(world, model):
    candidates, evidence, _, _ = world
    without = {groups: each for groups, each in model.regressions.items() if "written" not in groups}
    drawn = [each for each in candidates if each.task_id == "t/0"]
    beliefs = believe(drawn, evidence["t/0"], Model(without))
    assert {belief.groups for belief in beliefs.values()} == {
        ("scores", "comparisons", "log-probability", "examples", "inputs")
    }


def test_a_program_without_a_score_is_judged_by_the_rest(world, model):
    drawn = [each for each in world[0] if each.task_id == "t/0"]
    some = Evidence(scores={drawn[0].key: 1.0, drawn[1].key: None})
    beliefs = believe(drawn, some, model)
    assert "scores" in beliefs[drawn[0].key].groups
    assert "scores" not in beliefs[drawn[1].key].groups


def test_features():
    trial = Trial(PROBLEM, (Check("f(2)", "_ == 4", 3), Check("f(3)", "_ == 6")))
    traces = {"a": Trace(("4", "6"), (True, True), 0.0), "b": Trace(("4", "!late"), (True, False), 0.0)}
    evidence = Evidence(
        scores={"a": 9.0, "b": 1.0},
        comparisons=[
            Comparison("t", "a", "b", 9.0), Comparison("t", "b", "a", -2.0), Comparison("t", "a", "other", -9.0)
        ],
        examples={"a": 1.0, "b": 0.5},
        written=Tried(trial, traces),
    )  # fmt: skip
    drawn = [candidate(0, "a", -0.5), candidate(1, "a", -0.1), candidate(2, "b", -0.3), candidate(3, None)]
    columns = features(drawn, evidence)
    assert {name: columns[name]["b"] for name in ALL_FEATURES} == pytest.approx(
        {
            "this program": 1 / 4,
            "score": 1.0,
            "score less best": -5.0,  # 9 counts as 6
            "margin": -5.5,  # both orders, one game
            "margin less best": -11.0,
            "log-probability": -0.3,
            "log-probability less best": -0.2,
            "examples": 0.5,
            "examples less best": -0.5,
            "all examples": 0.0,
            "tests": 3 / 4,
            "tests less best": -1 / 4,
            "codet": 3 / (4 * math.sqrt(2)),
            "agreement": (3 / 4 + 0) / 2,
            "agreement less best": 3 / 8 - (3 / 4 + 2 / 4) / 2,
            "same everywhere": math.sqrt(1 / 4),
        }
    )


def beliefs_of(**log_odds: float) -> dict[str, Belief]:
    return {key: Belief(value, (), (value,)) for key, value in log_odds.items()}


def a_model(deviation: float) -> Model:
    regression = posterior.Regression(("this program",), 0.0, (1.0,), ((deviation**2,),))
    return Model({(): regression})


def test_the_guard_keeps_the_generators_choice_unless_it_is_sure():
    drawn = [candidate(0, "a", -0.1), candidate(1, "b", -0.2)]
    beliefs = beliefs_of(a=0.0, b=1.0)
    # The difference is 1 and its deviation 1 x `deviation`: sure to 0.9 below a deviation of 1 / 1.2816.
    assert choose(drawn, beliefs, a_model(0.77), confidence=0.9) == posterior.Choice(
        1, True, pytest.approx(0.2311, abs=1e-3)
    )
    assert choose(drawn, beliefs, a_model(0.79), confidence=0.9) == posterior.Choice(0, False, 0.0)
    assert choose(drawn, beliefs, a_model(0.79), confidence=0.8).index == 1
    assert choose(drawn, beliefs_of(a=1.0, b=0.0), a_model(0.1)).acted is False, "the best is its own choice"


def test_the_generators_own_choice():
    drawn = [candidate(0, "a", -0.3), candidate(1, "b", -0.1), candidate(2, "c")]
    assert default_of(drawn).index == 1
    assert default_of(drawn, greedy=2).index == 2
    assert default_of(drawn, greedy=7).index == 1, "not among these candidates"
    assert default_of([candidate(1, "b"), candidate(0, "a")]).index == 0


def test_a_choice_that_does_not_parse_is_not_kept():
    drawn = [candidate(0, None, -0.1), candidate(1, "b", -0.2)]
    assert choose(drawn, beliefs_of(b=-5.0), a_model(99.0)).index == 1
    assert choose([candidate(0, None), candidate(1, None)], {}, a_model(1.0)) == posterior.Choice(0, False, 0.0)


def test_the_file(tmp_path, model):
    path = tmp_path / "posterior.json"
    posterior.write_model(path, model, {"num_problems": 80})
    found = posterior.read_model(path)
    assert found.regressions.keys() == model.regressions.keys()
    for groups, regression in model.regressions.items():
        assert found.regressions[groups].coefficients == pytest.approx(regression.coefficients, rel=1e-4)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(InputError, match=r"bad\.json: not a posterior's file .* fit it again"):
        posterior.read_model(tmp_path / "bad.json")


def test_the_shipped_model_prefers_what_passes_the_examples():
    drawn = [candidate(0, "a", -0.1), candidate(1, "b", -0.2)]
    evidence = Evidence(examples={"a": 0.0, "b": 1.0}, scores={"a": 0.5, "b": 0.4})
    for selector in ("posterior", "posterior+guard"):
        assert select(selector, PROBLEM, drawn, evidence).best == 1
    assert select("posterior", PROBLEM, drawn, Evidence()).order == (0, 1)
