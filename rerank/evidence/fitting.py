"""The posterior's fit: labelled candidates to cases, and what a fit is worth on problems that it has not seen.

    found = instances(candidates, evidence, right, group_of)     # of the problems that have labelled candidates
    regressions = posterior.fit([case for each in found for case in each.cases])
    cross_validate(found, ("examples", "inputs"))                # pick rate, calibration

Never give it HumanEval or MBPP's test part: those are for measuring.
"""

import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from rerank import metrics
from rerank.candidates import by_problem
from rerank.evidence.matrix import Tried
from rerank.metrics import Estimate
from rerank.posterior import ALL_FEATURES, Case, features, fit_one, names_of
from rerank.records import Candidate
from rerank.selection import Evidence
from rerank.store import content_hash

NUM_FOLDS = 5
NUM_BINS = 15  # of the calibration error

Verdicts = Mapping[str, Mapping[str, Mapping[str, bool]]]  # task_id to key to example to whether it passed


@dataclass(frozen=True, slots=True)
class Instance:
    """The labelled candidates of one problem, as one generator drew them, with the evidence that one fit may see."""

    task_id: str
    group: str  # problems of one group share a fold
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What some groups of evidence are worth on problems that the fit has not seen."""

    num_problems: int
    num_mixed: int  # with right and wrong candidates: only these count for picking
    pick_rate: Estimate
    random: float  # what picking at random gives on the same problems
    negative_log_likelihood: float  # nats a candidate
    calibration_error: float


def instances(
    candidates: Sequence[Candidate],
    evidence: Mapping[str, Sequence[Evidence]],
    right: Mapping[tuple[str, str], bool],
    group_of: Mapping[str, str],
    verdicts: Verdicts | None = None,
    *,
    seed: int = 0,
) -> list[Instance]:
    """Candidates whose programs have a label by (task_id, key), problem by problem.

    `evidence` by task_id may be several things that could be known, such as the tests of several writers: the problem
    is there with each, its weight shared among them.

    `verdicts`: the outcome of each of a docstring's examples. Training problems show more of their tests as examples
    than a user's prompt does. So each problem with several examples is there twice, with half the weight: with all of
    them, and with some of them, chosen at random.
    """
    found = []
    for task_id, drawn in by_problem(candidates).items():
        known = [each for each in drawn if each.key is None or (task_id, each.key) in right]
        counts = Counter(each.key for each in known if each.key is not None)
        if not counts:
            continue
        seen = [evidence_among(each, set(counts)) for each in evidence[task_id]]
        outcomes = (verdicts or {}).get(task_id, {})
        examples = sorted({example for each in outcomes.values() for example in each})
        if len(examples) > 1:
            rng = random.Random(content_hash(seed, task_id))
            kept = rng.sample(examples, rng.randrange(1, len(examples)))
            shares = {key: sum(each[one] for one in kept) / len(kept) for key, each in outcomes.items()}
            seen += [replace(each, examples={key: shares[key] for key in counts if key in shares}) for each in seen]
        for each in seen:
            columns = features(known, each)
            cases = []
            for key, count in counts.items():
                values = {name: columns[name][key] for name in ALL_FEATURES if key in columns[name]}
                weight = count / len(known) / len(seen)
                cases.append(Case(group_of[task_id], values, right[task_id, key], weight))
            found.append(Instance(task_id, group_of[task_id], tuple(cases)))
    return found


def evidence_among(evidence: Evidence, keys: set[str]) -> Evidence:
    """Evidence of some programs only: what there would be, had the others not been drawn."""

    def among(tried: Tried | None) -> Tried | None:
        return tried and Tried(tried.trial, {key: trace for key, trace in tried.traces.items() if key in keys})

    played = [each for each in evidence.comparisons if each.first in keys and each.second in keys]
    return replace(evidence, written=among(evidence.written), inputs=among(evidence.inputs), comparisons=played)


def cross_validate(found: Sequence[Instance], groups: Sequence[str], *, num_folds: int = NUM_FOLDS) -> Figures | None:
    """Fit on all folds but one, look at that one, in turn. None where too few problems have all the evidence.

    A pick rate is a mean over problems; of several instances of one problem, over their mean.
    """
    names = names_of(groups)
    whole = [each for each in found if all(name in case.features for case in each.cases for name in names)]
    order = sorted({each.group for each in whole})
    random.Random(0).shuffle(order)
    fold_of = {group: number % num_folds for number, group in enumerate(order)}
    log_odds, labels, weights = [], [], []
    picks: dict[str, list[float]] = defaultdict(list)  # by task_id
    means: dict[str, list[float]] = defaultdict(list)
    for fold in range(num_folds):
        seen = [case for each in whole if fold_of[each.group] != fold for case in each.cases]
        if len({case.right for case in seen}) < 2:
            return None
        regression = fit_one(seen, names)
        for each in whole:
            if fold_of[each.group] != fold:
                continue
            values = [regression.log_odds([case.features[name] for name in names]) for case in each.cases]
            log_odds += values
            labels += [case.right for case in each.cases]
            weights += [case.weight for case in each.cases]
            if len({case.right for case in each.cases}) == 2:
                picks[each.task_id].append(_picked(each.cases, values))
                total = sum(case.weight for case in each.cases)
                means[each.task_id].append(sum(case.weight for case in each.cases if case.right) / total)
    if not picks:
        return None
    odds, truth, share = np.array(log_odds), np.array(labels, float), np.array(weights)
    chance = 1 / (1 + np.exp(-odds))
    bins = np.minimum((chance * NUM_BINS).astype(int), NUM_BINS - 1)
    gaps = [abs(float(((chance - truth) * share)[bins == each].sum())) for each in range(NUM_BINS)]
    return Figures(
        num_problems=len({each.task_id for each in whole}),
        num_mixed=len(picks),
        pick_rate=metrics.mean([sum(each) / len(each) for each in picks.values()]),
        random=sum(sum(each) / len(each) for each in means.values()) / len(means),
        negative_log_likelihood=float(np.average(np.logaddexp(0.0, odds) - truth * odds, weights=share)),
        calibration_error=sum(gaps) / float(share.sum()),
    )


def _picked(cases: Sequence[Case], values: Sequence[float]) -> float:
    """Chance that the best is right, ties drawn at random."""
    best = [case.right for case, value in zip(cases, values, strict=True) if value == max(values)]
    return sum(best) / len(best)


def separation(found: Sequence[Instance]) -> float:
    """How far apart the autorater's scores put right and wrong programs that pass the same share of the examples.

    The distance of two normal distributions of variance one, from the share of such pairs that the scores order
    rightly; every problem counts the same. 0 without a pair.
    """
    shares = []
    for each in found:
        scored = [case for case in each.cases if "score" in case.features]
        pairs = [
            (right.features["score"], wrong.features["score"])
            for right in scored
            for wrong in scored
            if right.right and not wrong.right and right.features.get("examples") == wrong.features.get("examples")
        ]
        if pairs:
            shares.append(sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs))
    if not shares:
        return 0.0
    accuracy = min(max(sum(shares) / len(shares), 0.5), 0.999)
    return math.sqrt(2) * NormalDist().inv_cdf(accuracy)


def subsets(groups: Sequence[str]) -> list[tuple[str, ...]]:
    """All that is worth a row: each group alone, all, and all but each."""
    alone = [(group,) for group in groups]
    but_one = [tuple(other for other in groups if other != group) for group in groups]
    return list(dict.fromkeys(itertools.chain(alone, but_one, [tuple(groups)])))
