"""What a budget buys: pass@1 of the choice against judgments, comparisons and samples, by replaying a run.

    judged = by_judgments(groups, evidence, model, budgets=(0, 100, ...))     # [(judgments spent, choices), ...]
    drawn = by_samples(groups, evidence, model, batch=10, sureness=(0.5, 0.9, ...))

Nothing is judged or sampled anew: a score that the replay does not ask for is hidden from the choice, and a candidate
that it does not draw is not there. The posterior makes every choice.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from rerank import early
from rerank.evidence.fitting import evidence_among
from rerank.posterior import Model, believe
from rerank.records import Candidate
from rerank.selection import Evidence

Groups = Mapping[str, Sequence[Candidate]]


@dataclass(frozen=True, slots=True)
class Point:
    """What was spent on all problems, and the index chosen of each."""

    setting: float  # the budget of judgments, or the sureness asked for
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
            choices[task_id] = _best(groups[task_id], shown, model, left_out=left_out)[0]
        points.append(Point(budget, sum(cost[task_id] for task_id in wanted), choices))
    return points


def by_samples(
    groups: Groups, evidence: Mapping[str, Evidence], model: Model, *, batch: int, sureness: Sequence[float]
) -> list[Point]:
    """Draw `batch` more of each problem's candidates, in their order, until the best is that surely right."""
    steps: dict[str, list[tuple[int, int, float]]] = {}  # samples, choice and its probability, batch by batch
    for task_id, group in groups.items():
        for end in range(batch, len(group) + batch, batch):
            drawn = group[:end]
            among = evidence_among(evidence[task_id], {each.key for each in drawn if each.key is not None})
            steps.setdefault(task_id, []).append((len(drawn), *_best(drawn, among, model)))
    points = []
    for wanted in sureness:
        ends = {
            task_id: next((step for step in each if step[2] >= wanted), each[-1]) for task_id, each in steps.items()
        }
        choices = {task_id: choice for task_id, (_, choice, _) in ends.items()}
        points.append(Point(wanted, sum(number for number, _, _ in ends.values()), choices))
    return points


def _best(
    candidates: Sequence[Candidate], evidence: Evidence, model: Model, *, left_out: Set[str] = frozenset()
) -> tuple[int, float]:
    """The index of the best by the posterior, and its probability; the first where no program parses."""
    beliefs = believe(candidates, evidence, model)
    parsed = [each for each in candidates if each.key is not None and each.key not in left_out]
    if not parsed:
        return candidates[0].index, 0.0
    best = max(parsed, key=lambda each: (beliefs[each.key or ""].log_odds, each.mean_log_probability or 0, -each.index))
    return best.index, beliefs[best.key or ""].probability
