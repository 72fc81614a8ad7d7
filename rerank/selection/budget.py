"""Stop early: which programs are still worth a judgment, once the cheap evidence is in.

    asks = plan(beliefs, behaviours, separation=model.separation)    # most worth first
    wanted = within(asks, budget=200)                                # {task_id: {key, ...}}

    next_round(gains, drawn, max_each=20, size=4, left=100)      # the same of samples: {task_id: how many to draw}

A judgment can only change what is chosen where programs nearly tie. So for each problem the gain of judging its best m
programs is worked out beforehand: draw which of them are right from their beliefs, draw the autorater's verdicts as
normal with the separation that it showed on dev, update, and see how much likelier to be right the choice becomes. The
m with the most gain a judgment counts. Programs that behaved alike on every input are right or wrong together: one of
them stands for all, the one believed most.

That draws programs as independent of each other, and verdicts as independent of the other evidence. Both flatter a
judgment, so a gain is for ordering problems and for leaving out those that are decided, not a promise.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rerank.evidence.trials import Tried
from rerank.records import Candidate
from rerank.selection.posterior import Belief

MIN_GAIN = 0.002  # pass@1 of one problem, a judgment or a sample: below it nothing is asked
MAX_JUDGED = 12  # programs of one problem
_NUM_DRAWS = 2000
_NUM_ROUNDS = 5  # of samples, in which a problem reaches the most that it may have


@dataclass(frozen=True, slots=True)
class Ask:
    """Programs of one problem that are worth judging together."""

    task_id: str
    keys: tuple[str, ...]
    gain: float  # expected, in pass@1 of this problem

    @property
    def num_pairs(self) -> int:
        return len(self.keys) * (len(self.keys) - 1) // 2

    @property
    def rate(self) -> float:
        return self.gain / len(self.keys)


def plan(
    beliefs: Mapping[str, Mapping[str, Belief]],
    behaviours: Mapping[str, Tried | None],
    *,
    separation: float,
    min_gain: float = MIN_GAIN,
    seed: int = 0,
) -> list[Ask]:
    """What to ask of each problem, the most gain a judgment first; decided problems are left out."""
    asks = []
    for task_id in sorted(beliefs):
        keys = representatives(beliefs[task_id], behaviours.get(task_id))[: MAX_JUDGED + 1]
        gains = gains_of([beliefs[task_id][key].log_odds for key in keys], separation, seed=seed)
        if gains:
            count = max(gains, key=lambda number: gains[number] / number)
            ask = Ask(task_id, tuple(keys[:count]), gains[count])
            if ask.rate >= min_gain:
                asks.append(ask)
    return sorted(asks, key=lambda ask: (-ask.rate, ask.task_id))


def within(
    asks: Iterable[Ask], budget: int | None, *, cost: Callable[[Ask], int] = lambda ask: len(ask.keys)
) -> dict[str, set[str]]:
    """As many asks, in order, as the budget of judgments allows, or of what `cost` counts; None: all."""
    wanted: dict[str, set[str]] = {}
    for ask in asks:
        if budget is not None and cost(ask) > budget:
            continue  # a smaller one may still fit
        wanted[ask.task_id] = set(ask.keys)
        budget = None if budget is None else budget - cost(ask)
    return wanted


def gain_of_samples(
    candidates: Sequence[Candidate], beliefs: Mapping[str, Belief], behaviour: Tried | None, num_new: int
) -> float:
    """Expected gain in one problem's pass@1 of drawing more: the best is wrong, and a new sample is right.

    A new sample is right as often as those drawn that do not behave as the best does, by the rule of succession: even
    where all look hopeless it is worth a try. That it is then chosen is taken for granted.
    """
    known = [each for each in candidates if each.key is not None]
    right = best = 0.0
    if known:
        leaders = representatives(beliefs, behaviour)
        best = beliefs[leaders[0]].probability
        alike = _behaviour_of(leaders[0], behaviour)
        others = (each.key or "" for each in known if _behaviour_of(each.key or "", behaviour) != alike)
        right = sum(beliefs[key].probability for key in others)
    chance = (right + 1) / (len(candidates) + 2)
    return (1 - best) * (1 - (1 - chance) ** num_new)


def round_size(max_each: int) -> int:
    """How many a round draws of a problem, which so may get `max_each` in all."""
    return -(-max_each // _NUM_ROUNDS)


def next_round(
    gains: Mapping[str, float], drawn: Mapping[str, int], *, max_each: int, size: int, left: int
) -> dict[str, int]:
    """How many to draw of which problem, the most gain first: half of what is left of the budget, or one last bit.

    The other half waits for what these show. Problems of too little gain a sample, or with `max_each` drawn, get none.
    """
    share = max(size, left // 2)
    wanted: dict[str, int] = {}
    for task_id in sorted(gains, key=lambda each: (-gains[each], each)):
        count = min(size, max_each - drawn[task_id], share, left)
        if count > 0 and gains[task_id] / size >= MIN_GAIN:
            wanted[task_id] = count
            share, left = share - count, left - count
    return wanted


def representatives(beliefs: Mapping[str, Belief], behaviour: Tried | None) -> list[str]:
    """One key of each group that behaved alike, the likeliest; the likeliest group first. Without traces: all keys."""
    order = sorted(beliefs, key=lambda key: (-beliefs[key].log_odds, key))
    seen: set[object] = set()
    chosen = []
    for key in order:
        alike = _behaviour_of(key, behaviour)
        if alike not in seen:
            seen.add(alike)
            chosen.append(key)
    return chosen


def _behaviour_of(key: str, behaviour: Tried | None) -> object:
    return behaviour.traces[key].outputs if behaviour and key in behaviour.traces else key


def shared(scores: Mapping[str, float | None], behaviour: Tried | None) -> dict[str, float | None]:
    """Scores, with those of programs that stood for others given to the others too (see `representatives`)."""
    found = dict(scores)
    if behaviour:
        by_outputs = {behaviour.traces[key].outputs: scores[key] for key in sorted(scores) if key in behaviour.traces}
        for key, trace in behaviour.traces.items():
            if key not in found and trace.outputs in by_outputs:
                found[key] = by_outputs[trace.outputs]
    return found


def gains_of(log_odds: Sequence[float], separation: float, *, seed: int = 0) -> dict[int, float]:
    """Number judged, from 2 on, to the expected gain in the chosen one's probability; `log_odds` from the highest on.

    >>> gains_of([6.0, -6.0], 1.0)[2] < 0.001 < gains_of([0.0, 0.0], 1.0)[2]
    True
    """
    if len(log_odds) < 2 or separation <= 0:
        return {}
    rng = np.random.default_rng(seed)
    prior = np.asarray(log_odds)  # (programs,)
    chance = 1 / (1 + np.exp(-prior))
    right = rng.random((_NUM_DRAWS, len(prior))) < chance
    shift = np.where(right, 0.5, -0.5) * separation**2
    after = prior + shift + separation * rng.standard_normal(right.shape)  # (draws, programs)
    updated = 1 / (1 + np.exp(-after))
    found = {}
    for count in range(2, min(len(prior), MAX_JUDGED) + 1):
        rest = chance[count] if count < len(prior) else 0.0
        # Less the first's own updated chance, whose mean is its chance now: the draws' noise is the same in both.
        found[count] = float(np.mean(np.maximum(np.max(updated[:, :count], axis=1), rest) - updated[:, 0]))
    return found
