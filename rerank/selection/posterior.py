"""All evidence to one calibrated probability that a program is right, and when to act on it.

    model = read_model()                                  # the shipped one, fitted on the dev split
    beliefs = believe(candidates, evidence, model)        # by key
    beliefs[key].probability                              # that the program is right
    choose(candidates, beliefs, model, confidence=0.9)    # the generator's own choice, or a better one

A logistic regression. Evidence comes in groups (GROUPS), and any of them may be missing: each set of groups has a
regression of its own, fitted on the same problems with only that evidence in view, so that what is absent is neither
guessed nor held against a program. Each group says two or three things of a program, most of them beside the best of
the same problem, since a problem's candidates compete:

always           share of the candidates that are this very program
scores           the autorater's log-odds; the same less the problem's best
comparisons      the autorater's mean log-odds over the other programs that each was compared with; the same less the
                 problem's best. Fitted on whole round-robins; a tournament of some pairs says the same with more noise
log-probability  of the generator, nats a token; the same less the problem's best
examples         share of the docstring's examples passed, whether all were, and the share less the problem's best
written          share of the model-written tests passed, each as often as it was written; the same less the problem's
                 best; CodeT's value (see evidence.agreement) over the problem's best
inputs           behaviour on generated inputs and on the calls of written tests: mean share of the candidates that give
                 the same result; the same less the problem's best; root of the share that does so on every input

Every regression keeps the covariance of its coefficients (sandwich estimate, clustered by problem). That is what the
guard's confidence is about: whether the better of two programs would still be expected to be better, had the problems
of the fit been drawn again. It knows nothing of how much the new problems differ from those.
"""

import functools
import itertools
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from rerank.errors import InputError
from rerank.evidence.agreement import codet, mbr_exec, votes_of
from rerank.evidence.trials import Tried
from rerank.records import Candidate, Comparison
from rerank.selection.aggregation import margins

if TYPE_CHECKING:
    from rerank.evidence.record import Evidence  # which selects by this module, among others

MODEL = Path(__file__).with_name("posterior.json")
CONFIDENCE = 0.9  # one-sided, of the guard
_RIDGE = 1.0  # on standardised coefficients, in units of problems
_MAX_LOG_ODDS = 6.0  # an autorater's verdict beyond this is as good as certain

Columns = dict[str, dict[str, float]]  # feature to key to value


@dataclass(frozen=True, slots=True)
class Regression:
    """Log-odds = constant + coefficients x features, by name."""

    features: tuple[str, ...]
    constant: float
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]  # of the coefficients, without the constant

    def log_odds(self, values: Sequence[float]) -> float:
        return self.constant + sum(a * b for a, b in zip(self.coefficients, values, strict=True))


@dataclass(frozen=True, slots=True)
class Belief:
    """What all evidence at hand says of one program."""

    log_odds: float  # that it is right
    groups: tuple[str, ...]  # the evidence that there was
    features: tuple[float, ...]

    @property
    def probability(self) -> float:
        return 1 / (1 + math.exp(-self.log_odds))


@dataclass(frozen=True, slots=True)
class Model:
    regressions: Mapping[tuple[str, ...], Regression]  # by the groups at hand, in the order of GROUPS
    separation: float = (
        0.0  # of the autorater's scores of right and wrong programs that other evidence ties; see `early`
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """What to return. `gain` is the expected gain in pass@1 over the default, by the posterior."""

    index: int
    acted: bool  # another than the default
    gain: float


def believe(candidates: Sequence[Candidate], evidence: "Evidence", model: Model) -> dict[str, Belief]:
    """A belief for each key; of one key's candidates the highest log-probability counts.

    Evidence of a group that the model was not fitted with is left out.
    """
    columns = features(candidates, evidence)
    beliefs = {}
    for key in {each.key: None for each in candidates if each.key is not None}:
        groups = tuple(group for group in GROUPS if (group,) in model.regressions and key in columns[GROUPS[group][0]])
        regression = model.regressions[groups]
        values = tuple(columns[name][key] for name in regression.features)
        beliefs[key] = Belief(regression.log_odds(values), groups, values)
    return beliefs


def choose(
    candidates: Sequence[Candidate],
    beliefs: Mapping[str, Belief],
    model: Model,
    *,
    confidence: float = CONFIDENCE,
    greedy: int | None = None,
) -> Choice:
    """Do no harm: the generator's own choice, unless another is expected to be better with `confidence`.

    Its own choice is the greedy sample where its index is given, else that of the highest log-probability, else the
    first. One that does not parse is never kept.
    """
    default = default_of(candidates, greedy)
    known = [each for each in sorted(candidates, key=lambda each: each.index) if each.key is not None]
    if not known:
        return Choice(default.index, False, 0.0)
    best = max(known, key=lambda each: beliefs[each.key or ""].log_odds)
    ours = beliefs[best.key or ""]
    theirs = None if default.key is None else beliefs[default.key]
    if theirs is None:
        return Choice(best.index, True, ours.probability)
    gain = ours.probability - theirs.probability
    if best.key == default.key or _confidence(ours, theirs, model) < confidence:
        return Choice(default.index, False, 0.0)
    return Choice(best.index, True, gain)


def default_of(candidates: Sequence[Candidate], greedy: int | None = None) -> Candidate:
    """The generator's own choice: see `choose`."""
    by_index = {each.index: each for each in candidates}
    if greedy in by_index:
        return by_index[greedy]
    unknown = -math.inf
    return max(
        candidates,
        key=lambda each: (unknown if (p := each.mean_log_probability) is None else p, -each.index),
    )


def _confidence(ours: Belief, theirs: Belief, model: Model) -> float:
    """That `ours` is rightly expected to be better, given how well the coefficients are known."""
    difference = ours.log_odds - theirs.log_odds
    if ours.groups != theirs.groups:  # two regressions: no covariance between them is known
        return 1.0 if difference > 0 else 0.0
    gap = np.subtract(ours.features, theirs.features)
    deviation = math.sqrt(max(0.0, float(gap @ np.asarray(model.regressions[ours.groups].covariance) @ gap)))
    return NormalDist().cdf(difference / deviation) if deviation > 0 else float(difference > 0)


# Evidence to numbers


def features(candidates: Sequence[Candidate], evidence: "Evidence") -> Columns:
    """Every feature of every key that has the evidence for it; names of absent groups are there and empty."""
    counts = Counter(each.key for each in candidates if each.key is not None)
    columns = {name: dict[str, float]() for name in ALL_FEATURES}
    columns["this program"] = {key: number / len(candidates) for key, number in counts.items()}
    scores = {key: evidence.scores.get(key) for key in counts}
    known = {k: max(-_MAX_LOG_ODDS, min(_MAX_LOG_ODDS, s)) for k, s in scores.items() if s is not None}
    columns |= {"score": known, "score less best": _less_best(known)}
    played = _margins(evidence.comparisons, counts)
    columns |= {"margin": played, "margin less best": _less_best(played)}
    likely: dict[str, float] = {}
    for each in candidates:
        if each.key is not None and each.mean_log_probability is not None:
            likely[each.key] = max(each.mean_log_probability, likely.get(each.key, -math.inf))
    columns |= {"log-probability": likely, "log-probability less best": _less_best(likely)}
    shares = {key: share for key in counts if (share := evidence.examples.get(key)) is not None}
    columns |= {"examples": shares, "examples less best": _less_best(shares)}
    columns["all examples"] = {key: float(share == 1.0) for key, share in shares.items()}
    if evidence.written and evidence.written.trial.checks:
        columns |= _written(evidence.written, counts)
    if evidence.behaviour:
        columns |= _behaviour(evidence.behaviour, counts, len(candidates))
    return columns


def _margins(comparisons: Iterable[Comparison], counts: Mapping[str, int]) -> dict[str, float]:
    """A program's mean log-odds against the others that it was compared with."""
    own = (each for each in comparisons if each.first in counts and each.second in counts)
    games: dict[str, list[float]] = defaultdict(list)
    for (first, second), margin in margins(own).items():
        value = max(-_MAX_LOG_ODDS, min(_MAX_LOG_ODDS, margin))
        games[first].append(value)
        games[second].append(-value)
    return {key: math.fsum(each) / len(each) for key, each in games.items()}


def _written(tried: Tried, counts: Counter[str]) -> Columns:
    total = sum(check.count for check in tried.trial.checks)
    shares = {
        key: sum(check.count for check, good in zip(tried.trial.checks, trace.passed, strict=True) if good) / total
        for key, trace in tried.traces.items()
    }
    values = {key: value or 0.0 for key, value in codet(tried, counts).items()}
    most = max(values.values(), default=0.0) or 1.0
    return {
        "tests": shares,
        "tests less best": _less_best(shares),
        "codet": {key: value / most for key, value in values.items()},
    }


def _behaviour(tried: Tried, counts: Counter[str], num_candidates: int) -> Columns:
    mean, same = {}, {}
    votes, together = votes_of(tried, counts), mbr_exec(tried, counts)
    for key, trace in tried.traces.items():
        shares = [counter[text] / num_candidates for counter, text in zip(votes, trace.outputs, strict=True)]
        mean[key] = sum(shares) / len(shares)
        same[key] = math.sqrt((together[key] or 0.0) / num_candidates)
    return {"agreement": mean, "agreement less best": _less_best(mean), "same everywhere": same}


def _less_best(values: Mapping[str, float]) -> dict[str, float]:
    best = max(values.values(), default=0.0)
    return {key: value - best for key, value in values.items()}


GROUPS: dict[str, tuple[str, ...]] = {
    "scores": ("score", "score less best"),
    "comparisons": ("margin", "margin less best"),
    "log-probability": ("log-probability", "log-probability less best"),
    "examples": ("examples", "examples less best", "all examples"),
    "written": ("tests", "tests less best", "codet"),
    "inputs": ("agreement", "agreement less best", "same everywhere"),
}
ALWAYS = ("this program",)
ALL_FEATURES = (*ALWAYS, *itertools.chain.from_iterable(GROUPS.values()))


def names_of(groups: Sequence[str]) -> tuple[str, ...]:
    """The features of a regression on these groups."""
    return (*ALWAYS, *itertools.chain.from_iterable(GROUPS[group] for group in groups))


# Fitting


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled program. All that stands in `group` counts as one problem."""

    group: str
    features: Mapping[str, float]
    right: bool
    weight: float  # of a problem's candidates that are this program, over all; 1 a problem in sum


def fit(cases: Sequence[Case]) -> dict[tuple[str, ...], Regression]:
    """A regression for every set of groups, from the cases that have all of it; sets without a case are left out."""
    found = {}
    for count in range(len(GROUPS) + 1):
        for groups in itertools.combinations(GROUPS, count):
            names = names_of(groups)
            chosen = [case for case in cases if all(name in case.features for name in names)]
            if len({case.right for case in chosen}) == 2:
                found[groups] = fit_one(chosen, names)
    return found


def fit_one(cases: Sequence[Case], names: tuple[str, ...]) -> Regression:
    """Weighted logistic regression with a ridge, by Newton's method on standardised features."""
    raw = np.array([[case.features[name] for name in names] for case in cases])  # (cases, features)
    labels, weights = np.array([case.right for case in cases], float), np.array([case.weight for case in cases])
    mean = np.average(raw, axis=0, weights=weights)
    scale = np.sqrt(np.average((raw - mean) ** 2, axis=0, weights=weights))
    scale[scale < 1e-9] = 1.0
    design = np.column_stack([np.ones(len(raw)), (raw - mean) / scale])
    ridge = np.diag([0.0, *[_RIDGE] * len(names)])
    solution = np.zeros(design.shape[1])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ solution))
        curvature = (design * (weights * chance * (1 - chance))[:, None]).T @ design + ridge
        step = np.linalg.solve(curvature, design.T @ (weights * (labels - chance)) - ridge @ solution)
        solution += step
        if np.abs(step).max() < 1e-9:
            break
    chance = 1 / (1 + np.exp(-design @ solution))
    pulls = design * (weights * (labels - chance))[:, None]  # (cases, features + 1)
    clusters = {group: number for number, group in enumerate(dict.fromkeys(case.group for case in cases))}
    by_cluster = np.zeros((len(clusters), design.shape[1]))
    np.add.at(by_cluster, [clusters[case.group] for case in cases], pulls)
    bread = np.linalg.inv((design * (weights * chance * (1 - chance))[:, None]).T @ design + ridge)
    covariance = bread @ (by_cluster.T @ by_cluster) @ bread
    return Regression(
        features=names,
        constant=float(solution[0] - (solution[1:] * mean / scale).sum()),
        coefficients=tuple(map(float, solution[1:] / scale)),
        covariance=tuple(tuple(map(float, row)) for row in covariance[1:, 1:] / np.outer(scale, scale)),
    )


# The file


def write_model(path: str | Path, model: Model, about: Mapping[str, object]) -> None:
    """One JSON document: what it was fitted on, and each regression under its groups."""
    rows = [{"groups": groups, **asdict(regression)} for groups, regression in model.regressions.items()]
    rounded = json.loads(
        json.dumps({"about": about, "separation": model.separation, "regressions": rows}),
        parse_float=lambda text: float(f"{float(text):.6g}"),
    )
    Path(path).write_text(
        json.dumps(rounded, separators=(",", ":")).replace('{"groups"', '\n{"groups"') + "\n", encoding="utf-8"
    )


@functools.cache
def read_model(path: Path = MODEL) -> Model:
    """Raises InputError for a file that is missing or no model."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        regressions = {
            tuple(row["groups"]): Regression(
                tuple(row["features"]),
                row["constant"],
                tuple(row["coefficients"]),
                tuple(map(tuple, row["covariance"])),
            )
            for row in document["regressions"]
        }
        return Model(regressions, document["separation"])
    except OSError as error:
        raise InputError((error.strerror or str(error)).lower(), path=path) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"not a posterior's file ({error}); fit it again", path=path) from error
