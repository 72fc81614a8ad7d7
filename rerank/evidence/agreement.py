"""What candidates' behaviour says of each other: published selectors by execution, as one value a program.

    AGREEMENTS["codet"](tried, counts)     ->  {key: value}, higher is better

`counts` is how many candidates share a key: a program that was sampled twice counts twice. Keys without a trace have no
value. Where nothing tells two programs apart they have the same value, and `selection` orders them by log-probability
and index, where the papers draw at random.

codet          CodeT (arXiv 2207.10397): programs that pass the same tests form a group; its value is the root of its
               size times the tests passed, each as often as it was written. The paper has the size itself; the root
               is what its authors released and ran.
srank          SRank (arXiv 2311.03366): programs with equal results on all inputs form a cluster of value
               (share of candidates) x (share of written results that it gives); a cluster's score is the sum of all
               clusters' values, each weighted by the share of inputs on which the two give the same result.
mbr-exec       MBR-Exec (arXiv 2204.11454): how many candidates give the same results on all inputs.
majority-vote  on how many inputs a program gives the most common result. Ties are all most common.

A failure is never agreement between two programs, except that a cluster is a cluster: equal traces, failures included.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import lru_cache

from rerank.evidence.trials import NO_RESULT, Tried

Values = dict[str, float | None]
Counts = Mapping[str, int]  # candidates a key
Agreement = Callable[[Tried, Counts], Values]


def codet(tried: Tried, counts: Counts) -> Values:
    """No value at all where there is no check: agreement needs something to agree on."""
    checks = tried.trial.checks
    if not checks:
        return {}
    sizes: Counter[tuple[bool, ...]] = Counter()
    for key, trace in tried.traces.items():
        sizes[trace.passed] += counts[key]
    return {
        key: math.sqrt(sizes[trace.passed])
        * sum(check.count for check, passed in zip(checks, trace.passed, strict=True) if passed)
        for key, trace in tried.traces.items()
    }


def srank(tried: Tried, counts: Counts) -> Values:
    checks = tried.trial.checks
    if not checks:
        return {}
    clusters = _clusters(tried)
    total = sum(counts[key] for key in tried.traces)
    written = sum(check.count for check in checks)

    def value(keys: list[str]) -> float:
        passed = tried.traces[keys[0]].passed
        right = sum(check.count for check, good in zip(checks, passed, strict=True) if good)
        return sum(counts[key] for key in keys) / total * right / written

    worth = {outputs: value(keys) for outputs, keys in clusters.items()}
    return {
        key: sum(
            worth[other] * (1.0 if other == outputs else overlap(outputs, other)) for other in clusters if worth[other]
        )
        for outputs, keys in clusters.items()
        for key in keys
    }


def mbr_exec(tried: Tried, counts: Counts) -> Values:
    found: Values = {}
    for outputs, keys in _clusters(tried).items():
        is_silent = all(map(_failed, outputs))
        found |= dict.fromkeys(keys, 0.0 if is_silent else float(sum(counts[key] for key in keys)))
    return found


def majority_vote(tried: Tried, counts: Counts) -> Values:
    winners = []
    for votes in votes_of(tried, counts):
        most = max(votes.values(), default=0)
        winners.append({text for text, number in votes.items() if number == most})
    return {
        key: float(sum(text in winning for text, winning in zip(trace.outputs, winners, strict=True)))
        for key, trace in tried.traces.items()
    }


AGREEMENTS: dict[str, Agreement] = {
    "codet": codet,
    "srank": srank,
    "mbr-exec": mbr_exec,
    "majority-vote": majority_vote,
}


def votes_of(tried: Tried, counts: Counts) -> list[Counter[str]]:
    """For each input how many candidates give each result; failures have no vote."""
    votes: list[Counter[str]] = [Counter() for _ in tried.trial.calls]
    for key, trace in tried.traces.items():
        for text, counter in zip(trace.outputs, votes, strict=True):
            if not _failed(text):
                counter[text] += counts[key]
    return votes


@lru_cache(maxsize=100_000)
def overlap(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    """The share of inputs on which two programs give the same result, not failing."""
    same = sum(a == b and not _failed(a) for a, b in zip(one, other, strict=True))
    return same / len(one)


def _clusters(tried: Tried) -> dict[tuple[str, ...], list[str]]:
    """Programs by all their results, in an order that no relabelling changes."""
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for key in sorted(tried.traces):
        found[tried.traces[key].outputs].append(key)
    return dict(sorted(found.items()))


def _failed(text: str) -> bool:
    return text.startswith(NO_RESULT)
