"""`Evidence`: all that is known of one problem's candidates before one is picked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rerank.evidence.likelihoods import Read
from rerank.evidence.trials import Tried, joined
from rerank.records import Candidate, Comparison, Score


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found out about one problem's candidates, by key. A key that is missing is not known about."""

    scores: Mapping[str, float | None] = field(default_factory=dict)  # an autorater's pointwise log-odds
    comparisons: Sequence[Comparison] = ()  # its verdicts on pairs, any of them
    examples: Mapping[str, float | None] = field(default_factory=dict)  # share of the docstring's examples passed
    written: Tried | None = None  # model-written tests, and what each program did on them
    inputs: Tried | None = None  # generated inputs, on which programs can only agree
    likelihoods: Mapping[str, Read] = field(default_factory=dict)  # of programs and of the problem, by a reviewer
    greedy: int | None = None  # index of the candidate that the generator drew at temperature 0
    confidence: float = 0.9  # that another must have to replace the generator's own choice
    seed: int = 0

    @property
    def behaviour(self) -> Tried | None:
        """What programs return on all inputs at hand: those of the tests and the generated ones."""
        tried = [each for each in (self.written, self.inputs) if each]
        return joined(tried) if tried else None


def evidence_among(evidence: Evidence, keys: set[str]) -> Evidence:
    """Evidence of some programs only: what there would be, had the others not been drawn."""

    def among(tried: Tried | None) -> Tried | None:
        return tried and Tried(tried.trial, {key: trace for key, trace in tried.traces.items() if key in keys})

    played = [each for each in evidence.comparisons if each.first in keys and each.second in keys]
    return replace(evidence, written=among(evidence.written), inputs=among(evidence.inputs), comparisons=played)


def by_key(values: Mapping[str, float | None], candidates: Iterable[Candidate]) -> dict[int, float | None]:
    """Values of keys to values of candidates: those with one key share it, those without a key have none."""
    return {each.index: None if each.key is None else values.get(each.key) for each in candidates}


def distinct_keys(candidates: Iterable[Candidate]) -> list[str]:
    """The keys to be judged, each once, in the order of the candidates; programs that do not parse have none."""
    return list(dict.fromkeys(each.key for each in candidates if each.key is not None))


def log_odds_by_key(scores: Iterable[Score]) -> dict[str, float | None]:
    """Scores of one problem as `Evidence` holds them."""
    return {score.key: score.log_odds for score in scores}
