"""The posterior's fit: labelled candidates to cases, and what a fit is worth on problems that it has not seen.

    found = instances(candidates, evidence, right, group_of)     # of the problems that have labelled candidates
    regressions = posterior.fit([case for each in found for case in each.cases])
    cross_validate(found, ("examples", "inputs"))                # pick rate, calibration
    gain(found, ("log-probability",), "self-certainty")          # what a reviewer's likelihoods would add

Never give it HumanEval or MBPP's test part: those are for measuring.
"""

import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from rerank import metrics
from rerank.candidates.files import by_problem
from rerank.evidence import likelihoods
from rerank.evidence.likelihoods import Read
from rerank.evidence.record import Evidence, evidence_among
from rerank.metrics import Estimate
from rerank.records import Candidate
from rerank.selection.posterior import ALL_FEATURES, Case, Columns, features, fit_one, names_of
from rerank.store import content_hash

NUM_FOLDS = 5
NUM_BINS = 15  # of the calibration error

# Features that a case may have and no regression of the posterior looks at: see `gain`.
LIKELIHOODS = {name: (name, f"{name} less best") for name in likelihoods.VALUES}
_EXTRA = tuple(itertools.chain.from_iterable(LIKELIHOODS.values()))

Verdicts = Mapping[str, Mapping[str, Mapping[str, bool]]]  # task_id to key to example to whether it passed


@dataclass(frozen=True, slots=True)
class Instance:
    """The labelled candidates of one problem, as one generator drew them, with the evidence that one fit may see."""

    task_id: str
    group: str  # problems of one group share a fold
    cases: tuple[Case, ...]


Unseen = tuple[Instance, list[float]]  # the log-odds of its cases, by a fit that has not seen it


@dataclass(frozen=True, slots=True)
class Figures:
    """What some groups of evidence are worth on problems that the fit has not seen."""

    num_problems: int
    num_mixed: int  # with right and wrong candidates: only these count for picking
    pick_rate: Estimate
    random: float  # what picking at random gives on the same problems
    negative_log_likelihood: float  # nats a candidate
    calibration_error: float


@dataclass(frozen=True, slots=True)
class Gain:
    """What one more kind of evidence changes on the same problems, unseen by either fit. Every problem counts once."""

    num_problems: int
    num_mixed: int  # of them, with right and wrong candidates
    pick_rate: Estimate
    negative_log_likelihood: Estimate  # nats a candidate; below 0 is better


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
            columns = features(known, each) | _likelihoods(each.likelihoods, set(counts))
            cases = []
            for key, count in counts.items():
                values = {name: columns[name][key] for name in (*ALL_FEATURES, *_EXTRA) if key in columns.get(name, ())}
                weight = count / len(known) / len(seen)
                cases.append(Case(group_of[task_id], values, right[task_id, key], weight))
            found.append(Instance(task_id, group_of[task_id], tuple(cases)))
    return found


def _likelihoods(read: Mapping[str, Read], keys: set[str]) -> Columns:
    """LIKELIHOODS by key; none where a program was not read. One without a value stands with the problem's lowest."""
    columns: Columns = {}
    if not keys <= read.keys():
        return columns
    for name, (level, less_best) in LIKELIHOODS.items():
        values = likelihoods.values_of(name, {key: read[key] for key in keys})
        known = [value for value in values.values() if value is not None]
        low, best = min(known, default=0.0), max(known, default=0.0)
        columns[level] = {key: low if value is None else value for key, value in values.items()}
        columns[less_best] = {key: value - best for key, value in columns[level].items()}
    return columns


def cross_validate(found: Sequence[Instance], groups: Sequence[str], *, num_folds: int = NUM_FOLDS) -> Figures | None:
    """Fit on all folds but one, look at that one, in turn. None where too few problems have all the evidence.

    A pick rate is a mean over problems; of several instances of one problem, over their mean.
    """
    names = names_of(groups)
    unseen = _unseen(_having(found, names), names, num_folds)
    if unseen is None:
        return None
    log_odds = [value for _, values in unseen for value in values]
    labels = [case.right for each, _ in unseen for case in each.cases]
    weights = [case.weight for each, _ in unseen for case in each.cases]
    means: dict[str, list[float]] = defaultdict(list)  # by task_id
    for each, _ in unseen:
        if _is_mixed(each):
            total = sum(case.weight for case in each.cases)
            means[each.task_id].append(sum(case.weight for case in each.cases if case.right) / total)
    picks = _pick_rates(unseen)
    if not picks:
        return None
    odds, truth, share = np.array(log_odds), np.array(labels, float), np.array(weights)
    chance = 1 / (1 + np.exp(-odds))
    bins = np.minimum((chance * NUM_BINS).astype(int), NUM_BINS - 1)
    gaps = [abs(float(((chance - truth) * share)[bins == each].sum())) for each in range(NUM_BINS)]
    return Figures(
        num_problems=len({each.task_id for each, _ in unseen}),
        num_mixed=len(picks),
        pick_rate=metrics.mean(list(picks.values())),
        random=sum(sum(each) / len(each) for each in means.values()) / len(means),
        negative_log_likelihood=float(np.average(np.logaddexp(0.0, odds) - truth * odds, weights=share)),
        calibration_error=sum(gaps) / float(share.sum()),
    )


def gain(found: Sequence[Instance], groups: Sequence[str], more: str, *, num_folds: int = NUM_FOLDS) -> Gain | None:
    """What `more`, one of LIKELIHOODS, adds to these groups. None where too few problems have all of it."""
    names = names_of(groups)
    whole = _having(found, (*names, *LIKELIHOODS[more]))
    without, having = _unseen(whole, names, num_folds), _unseen(whole, (*names, *LIKELIHOODS[more]), num_folds)
    if without is None or having is None or not (before := _pick_rates(without)):
        return None
    after = _pick_rates(having)
    losses, lower = _losses(without), _losses(having)
    return Gain(
        num_problems=len(losses),
        num_mixed=len(before),
        pick_rate=metrics.mean([after[task_id] - rate for task_id, rate in before.items()]),
        negative_log_likelihood=metrics.mean([lower[task_id] - loss for task_id, loss in losses.items()]),
    )


def _having(found: Sequence[Instance], names: Sequence[str]) -> list[Instance]:
    """The instances whose every case has these features."""
    return [each for each in found if all(name in case.features for case in each.cases for name in names)]


def _unseen(whole: Sequence[Instance], names: tuple[str, ...], num_folds: int) -> list[Unseen] | None:
    """Each instance with its cases' log-odds by the fit to the other folds; None where such a fit cannot be made."""
    order = sorted({each.group for each in whole})
    random.Random(0).shuffle(order)
    fold_of = {group: number % num_folds for number, group in enumerate(order)}
    judged = []
    for fold in range(num_folds):
        seen = [case for each in whole if fold_of[each.group] != fold for case in each.cases]
        if len({case.right for case in seen}) < 2:
            return None
        regression = fit_one(seen, names)
        judged += [
            (each, [regression.log_odds([case.features[name] for name in names]) for case in each.cases])
            for each in whole
            if fold_of[each.group] == fold
        ]
    return judged


def _is_mixed(instance: Instance) -> bool:
    return len({case.right for case in instance.cases}) == 2


def _pick_rates(unseen: Iterable[Unseen]) -> dict[str, float]:
    """By task_id, over the instances of a problem that have right and wrong candidates."""
    picks: dict[str, list[float]] = defaultdict(list)
    for each, values in unseen:
        if _is_mixed(each):
            picks[each.task_id].append(_picked(each.cases, values))
    return {task_id: sum(rates) / len(rates) for task_id, rates in picks.items()}


def _losses(unseen: Iterable[Unseen]) -> dict[str, float]:
    """The negative log-likelihood a candidate, by task_id."""
    total: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for each, values in unseen:
        for case, value in zip(each.cases, values, strict=True):
            sums = total[each.task_id]
            sums[0] += case.weight * (float(np.logaddexp(0.0, value)) - value * case.right)
            sums[1] += case.weight
    return {task_id: loss / weight for task_id, (loss, weight) in total.items()}


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
