"""Values that need no model."""

from rerank.records import Candidate
from rerank.selection.baselines import BASELINES


def candidate(index: int, program: str = "x", log_probability: float | None = None) -> Candidate:
    return Candidate("t", index, program, program, program, mean_log_probability=log_probability)


def test_values():
    candidates = [candidate(0, "long program", -0.5), candidate(1, "short"), candidate(2, "", -0.1)]
    values = {name: baseline(candidates, task_id="t", seed=0) for name, baseline in BASELINES.items()}
    assert values["first"] == {0: 0.0, 1: -1.0, 2: -2.0}
    assert values["shortest"] == {0: -12.0, 1: -5.0, 2: 0.0}
    assert values["log-probability"] == {0: -0.5, 1: None, 2: -0.1}


def test_random_is_uniform_and_hangs_on_seed_task_and_index_alone():
    random = BASELINES["random"]
    picks = [0] * 4
    for seed in range(2000):
        values = random([candidate(index) for index in range(4)], task_id="t", seed=seed)
        assert all(0 <= value < 1 for value in values.values())
        picks[max(values, key=values.__getitem__)] += 1
    assert all(430 < count < 570 for count in picks), picks  # 3.6 standard deviations
    one = random([candidate(0, "a"), candidate(1, "b")], task_id="t", seed=0)
    assert one == random([candidate(1, "c"), candidate(0, "d")], task_id="t", seed=0)
    assert one != random([candidate(0, "a"), candidate(1, "b")], task_id="u", seed=0)
