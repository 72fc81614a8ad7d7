"""What a budget buys: pass@1 of the choice against judgments, comparisons and samples, by replaying a run.

    judged = by_judgments(groups, evidence, model, budgets=(0, 100, ...))     # [(judgments spent, choices), ...]
    drawn = by_samples(groups, evidence, model, budgets=(400, 800, ...))

Nothing is judged or sampled anew: a score that the replay does not ask for is hidden from the choice, and a candidate
that it does not draw is not there. The posterior makes every choice.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache

from rerank.evidence.record import Evidence, evidence_among
from rerank.records import Candidate
from rerank.selection import budget as early
from rerank.selection.posterior import Model, believe

Groups = Mapping[str, Sequence[Candidate]]


@dataclass(frozen=True, slots=True)
class Point:
    """What was spent on all problems, and the index chosen of each."""

    budget: int
    spent: int  # judgments, comparisons or samples
    choices: Mapping[str, int]


def by_judgments(
    groups: Groups,
    evidence: Mapping[str, Evidence],
    model: Model,
    *,
    budgets: Sequence[int],
    min_gain: float = 0.0,
    pairs: bool = False,
) -> list[Point]:
    """Spend each budget of judgments where most is gained, by all other evidence (see `early`).

    `pairs`: what is counted are comparisons. Those among the programs asked about are shown beside their scores, as
    encoded-once makes them; without, no comparison is shown.
    """
    unjudged = {task_id: replace(each, scores={}, comparisons=()) for task_id, each in evidence.items()}
    beliefs = {task_id: believe(groups[task_id], each, model) for task_id, each in unjudged.items()}
    behaviours = {task_id: each.behaviour for task_id, each in unjudged.items()}
    asks = early.plan(beliefs, behaviours, separation=model.separation, min_gain=min_gain)
    cost = {ask.task_id: ask.num_pairs if pairs else len(ask.keys) for ask in asks}
    points = []
    for budget in budgets:
        wanted = early.within(asks, budget, cost=lambda ask: cost[ask.task_id])
        choices = {}
        for task_id, each in evidence.items():
            keys = wanted.get(task_id, set())
            scores = early.shared({key: each.scores[key] for key in keys if key in each.scores}, behaviours[task_id])
            played = [one for one in each.comparisons if {one.first, one.second} <= keys] if pairs else []
            shown = replace(each, scores=scores, comparisons=played)
            # Of programs that behave alike only the one that was compared has comparisons: it stands for all.
            left_out = set(scores) - keys if played else set()
            choices[task_id] = _best(groups[task_id], shown, model, left_out=left_out)
        points.append(Point(budget, sum(cost[task_id] for task_id in wanted), choices))
    return points


def by_samples(
    groups: Groups, evidence: Mapping[str, Evidence], model: Model, *, budgets: Sequence[int]
) -> list[Point]:
    """Spend each budget of samples as `rounds` does: by all evidence but the autorater's; all of it makes the choice.

    A budget below the first round buys nothing else than that round.
    """
    max_each = max(map(len, groups.values()))
    size = early.round_size(max_each)

    @cache
    def gain(task_id: str, number: int) -> float:
        shown = replace(evidence[task_id], scores={}, comparisons=())
        drawn, among = _first(groups[task_id], shown, number)
        return early.gain_of_samples(drawn, believe(drawn, among, model), among.behaviour, size)

    @cache
    def choice(task_id: str, number: int) -> int:
        return _best(*_first(groups[task_id], evidence[task_id], number), model)

    points = []
    for budget in budgets:
        drawn = {task_id: min(size, len(group)) for task_id, group in groups.items()}
        while True:
            gains = {task_id: gain(task_id, number) for task_id, number in drawn.items()}
            left = budget - sum(drawn.values())
            counts = early.next_round(gains, drawn, max_each=max_each, size=size, left=left)
            if not counts:
                break
            drawn = {task_id: number + counts.get(task_id, 0) for task_id, number in drawn.items()}
        choices = {task_id: choice(task_id, number) for task_id, number in drawn.items()}
        points.append(Point(budget, sum(drawn.values()), choices))
    return points


def _first(candidates: Sequence[Candidate], evidence: Evidence, number: int) -> tuple[Sequence[Candidate], Evidence]:
    """The candidates drawn first, and what there would be had no other been drawn."""
    drawn = candidates[:number]
    return drawn, evidence_among(evidence, {each.key for each in drawn if each.key is not None})


def _best(
    candidates: Sequence[Candidate], evidence: Evidence, model: Model, *, left_out: Set[str] = frozenset()
) -> int:
    """The index of the best by the posterior; the first where no program parses."""
    beliefs = believe(candidates, evidence, model)
    parsed = [each for each in candidates if each.key is not None and each.key not in left_out]
    if not parsed:
        return candidates[0].index
    best = max(parsed, key=lambda each: (beliefs[each.key or ""].log_odds, each.mean_log_probability or 0, -each.index))
    return best.index
