"""Answers to figures: one row a set, by category, by RewardBench's rules, and the table of biases. No model here.

A pair's verdict is the mean of its two orders' values; a judge that does not see the order is asked once. What gave no
verdict counts as a tie, and a tie is half right; pairs that people called a tie are left out and counted. The main
figure of a set: accuracy for pairs and best-of (a right response scores highest), balanced accuracy for classes,
Kendall's tau-b of the expected grade for grades. Where a set has subsets that are graded apart (criteria,
LLM-AggreFact's parts), it is the mean over them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rerank import metrics
from rerank.judge_bench import agreement, bias
from rerank.judge_bench.agreement import TiesCase
from rerank.judge_bench.bias import Bias
from rerank.judge_bench.cases import SECTIONS, Case, missing_subsets, section_of, section_scores
from rerank.judge_bench.raters import Answer
from rerank.metrics import Estimate

Answers = Mapping[str, Answer]  # of one case, by variant
Judged = Sequence[tuple[Case, Answers]]
_KENDALL, _BALANCED, _ACCURACY = "Kendall", "balanced accuracy", "accuracy"


@dataclass(frozen=True, slots=True)
class SetFigures:
    """How a judge did on one set, or one subset of it. None: undefined, or not measured for this kind."""

    name: str
    kind: str
    category: str
    num_cases: int  # with a label to agree with
    main: Estimate | None
    figures: dict[str, Estimate | None]  # everything measured, by name
    baselines: dict[str, float | None]  # the main figure of rules that need no model
    num_label_ties: int = 0
    subsets: tuple["SetFigures", ...] = ()

    @property
    def measure(self) -> str:
        """The name of the main figure."""
        return {"pointwise": _KENDALL, "classification": _BALANCED}.get(self.kind, _ACCURACY)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was measured of one judge."""

    sets: tuple[SetFigures, ...]
    categories: dict[str, dict[str, float]]  # measure to category to the mean over its sets; "all" is over categories
    reward_bench: dict[str, float] = field(default_factory=dict)  # by section, and "overall" where all four are there
    reward_bench_missing: tuple[str, ...] = ()
    reward_bench_2: dict[str, float] = field(default_factory=dict)
    biases: tuple[Bias, ...] = ()
    num_questions: int = 0
    num_votes: int = 0
    num_unparsed: int = 0


def make_report(judged: Judged, *, with_bias: bool = False, own_model: str | None = None, seed: int = 0) -> Report:
    """All figures, from every case with its answers by variant."""
    by_set: dict[str, list[tuple[Case, Answers]]] = {}
    for case, answers in judged:
        by_set.setdefault(case.set, []).append((case, answers))
    sets = tuple(_set(name, rows, seed) for name, rows in sorted(by_set.items()))
    pairs = [(case, answers) for case, answers in judged if case.kind == "pairwise"]
    sections = _sections([(case, answers) for case, answers in pairs if case.subset and _is_reward_bench(case)])
    all_answers = [answer for _, answers in judged for answer in answers.values()]
    return Report(
        sets,
        _categories(sets),
        sections.scores,
        sections.missing,
        _reward_bench_2([row for row in judged if row[0].kind == "best_of"]),
        tuple(bias.biases([(case, values(answers)) for case, answers in pairs], own_model=own_model, seed=seed))
        if with_bias
        else (),
        len(all_answers),
        sum(answer.num_votes for answer in all_answers),
        sum(answer.num_unparsed for answer in all_answers),
    )


def values(answers: Answers) -> dict[str, float | None]:
    """A pair's value by variant; a judge that does not see the order answers both orders alike."""
    found = {variant: answer.values[0] if answer.values else None for variant, answer in answers.items()}
    for forward in [variant for variant in found if variant.startswith("ab")]:
        if " " not in forward or "named" in forward:
            found.setdefault("ba" + forward[2:], found[forward])
    return found


def verdict(answers: Answers) -> float:
    """Of a pair, over both orders: above 0, the first response is better."""
    found = values(answers)
    return ((found.get("ab") or 0.0) + (found.get("ba") or 0.0)) / 2


def grade(answer: Answer) -> float | None:
    """The expected grade, from the log-probability of each; a rule's one value as it is."""
    if answer.values is None or len(answer.values) == 1:
        return answer.values[0] if answer.values else None
    return math.fsum(number * math.exp(value) for number, value in enumerate(answer.values, 1))


def _set(name: str, rows: Judged, seed: int) -> SetFigures:
    case = rows[0][0]
    subsets = sorted({each.subset for each, _ in rows})
    if len(subsets) > 1 and (case.kind == "pointwise" or name == "llm-aggrefact"):
        parts = tuple(_figures(subset, [row for row in rows if row[0].subset == subset], seed) for subset in subsets)
        return _mean_of_parts(name, parts)
    found = _figures(name, rows, seed)
    if len(subsets) > 1 and case.kind in ("pairwise", "best_of"):
        parts = tuple(_figures(subset, [row for row in rows if row[0].subset == subset], seed) for subset in subsets)
        found = replace(found, subsets=parts)
    return found


def _figures(name: str, rows: Judged, seed: int) -> SetFigures:
    return _BY_KIND[rows[0][0].kind](name, rows, seed)


def _pairs(name: str, rows: Judged, seed: int) -> SetFigures:
    decided = [(case, answers) for case, answers in rows if case.label != "tie"]
    groups = [case.group for case, _ in decided]
    sign = [1 if case.label == "A" else -1 for case, _ in decided]
    found = [values(answers) for _, answers in decided]
    both = [(each.get("ab"), each.get("ba")) for each in found]
    verdicts = [verdict(answers) for _, answers in decided]
    columns = {
        _ACCURACY: [_credit(s * v) for s, v in zip(sign, verdicts, strict=True)],
        "one order": [_credit(s * (f or 0.0)) for s, (f, _) in zip(sign, both, strict=True)],
        "right in both orders": [
            float(s * (f or 0.0) > 0 and s * (b or 0.0) > 0) for s, (f, b) in zip(sign, both, strict=True)
        ],
        "orders agree": [float((f or 0.0) * (b or 0.0) > 0) for f, b in both],
        "ties": [float(v == 0) for v in verdicts],
        "no verdict": [
            sum(answer.num_unparsed for answer in answers.values())
            / max(1, sum(answer.num_votes for answer in answers.values()))
            for _, answers in decided
        ],
    }
    figures = {key: metrics.share(column, groups, seed=seed) for key, column in columns.items()}
    longer = [_credit(s * (len(c.responses[0]) - len(c.responses[1]))) for s, (c, _) in zip(sign, decided, strict=True)]
    first = [float(s > 0) for s in sign]
    baselines = {
        "longest": _plain_mean(longer),
        "shortest": None if not longer else 1 - (_plain_mean(longer) or 0.0),
        "first": _plain_mean(first),
        "second": None if not first else 1 - (_plain_mean(first) or 0.0),
        "random": 0.5,
    }
    case = rows[0][0]
    return SetFigures(
        name,
        "pairwise",
        case.category,
        len(decided),
        figures[_ACCURACY],
        figures,
        baselines,
        num_label_ties=len(rows) - len(decided),
    )


def _best_of(name: str, rows: Judged, seed: int) -> SetFigures:
    credit, longest, shortest, chance, groups = [], [], [], [], []
    for case, answers in rows:
        lengths = [float(len(response)) for response in case.responses]
        share = case.num_best / len(case.responses)
        scores = answers["ab"].values
        credit.append(share if scores is None else agreement.best_of_credit(scores, case.num_best))
        longest.append(agreement.best_of_credit(lengths, case.num_best))
        shortest.append(agreement.best_of_credit([-length for length in lengths], case.num_best))
        chance.append(share)
        groups.append(case.group)
    accuracy = metrics.share(credit, groups, seed=seed)
    figures = {_ACCURACY: accuracy, "no verdict": _unparsed(rows, seed)}
    baselines = {"longest": _plain_mean(longest), "shortest": _plain_mean(shortest), "random": _plain_mean(chance)}
    return SetFigures(name, "best_of", rows[0][0].category, len(rows), accuracy, figures, baselines)


def _grades(name: str, rows: Judged, seed: int) -> SetFigures:
    known = [(case, value) for case, answers in rows if (value := grade(answers["ab"])) is not None]
    labels = [float(case.label) for case, _ in known]
    grades = [value for _, value in known]
    groups = [case.group for case, _ in known]
    measures = {_KENDALL: agreement.kendall, "Spearman": agreement.spearman, "Pearson": agreement.pearson}
    figures = {
        key: agreement.correlation(measure, grades, labels, groups, seed=seed) for key, measure in measures.items()
    }
    figures["no verdict"] = _unparsed(rows, seed)
    lengths = [float(len(case.responses[0])) for case, _ in rows]
    tau = agreement.kendall(lengths, [float(case.label) for case, _ in rows])
    baselines = {"longest": tau, "shortest": None if tau is None else -tau, "random": 0.0}
    return SetFigures(name, "pointwise", rows[0][0].category, len(rows), figures[_KENDALL], figures, baselines)


def _classes(name: str, rows: Judged, seed: int) -> SetFigures:
    wanted = [str(case.label) for case, _ in rows]
    given = [named_class(case, answers["ab"]) for case, answers in rows]
    groups = [case.group for case, _ in rows]
    is_answered = any(give is not None for give in given)  # longest and shortest know no classes
    balanced = agreement.balanced_accuracy(wanted, given, groups, seed=seed) if is_answered else None
    right = [float(want == give) for want, give in zip(wanted, given, strict=True)] if is_answered else []
    figures = {
        _BALANCED: balanced,
        _ACCURACY: metrics.share(right, groups, seed=seed),
        "no verdict": _unparsed(rows, seed),
    }
    occurring = len(set(wanted))
    # Always the same class: that class is recognised whole and the others not at all.
    baselines: dict[str, float | None] = {"one class": 1 / occurring, "random": 1 / len(rows[0][0].classes)}
    return SetFigures(name, "classification", rows[0][0].category, len(rows), balanced, figures, baselines)


_BY_KIND: dict[str, Callable[[str, Judged, int], SetFigures]] = {
    "pairwise": _pairs,
    "best_of": _best_of,
    "pointwise": _grades,
    "classification": _classes,
}


def named_class(case: Case, answer: Answer) -> str | None:
    """The likeliest class; None without an answer."""
    if answer.values is None:
        return None
    return case.classes[max(range(len(answer.values)), key=answer.values.__getitem__)]


def _mean_of_parts(name: str, parts: Sequence[SetFigures]) -> SetFigures:
    """A set whose subsets count the same. The interval of the mean takes the parts as independent."""
    first = parts[0]
    figures = {key: _mean_estimate([part.figures[key] for part in parts]) for key in first.figures}
    baselines = {
        key: _plain_mean([value for part in parts if (value := part.baselines[key]) is not None])
        for key in first.baselines
    }
    size = sum(part.num_cases for part in parts)
    main = _mean_estimate([part.main for part in parts])
    return SetFigures(name, first.kind, first.category, size, main, figures, baselines, subsets=tuple(parts))


def _mean_estimate(estimates: Sequence[Estimate | None]) -> Estimate | None:
    value = agreement.mean_of(estimates)
    if value is None:
        return None
    known = [each for each in estimates if each is not None]
    below = math.sqrt(sum((each.value - each.low) ** 2 for each in known)) / len(known)
    above = math.sqrt(sum((each.high - each.value) ** 2 for each in known)) / len(known)
    return Estimate(value, value - below, value + above)


def _categories(sets: Sequence[SetFigures]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for measure in (_ACCURACY, _BALANCED, _KENDALL):
        by_category: dict[str, list[float]] = {}
        for each in sets:
            # RewardBench's sections are a category each, with weights of their own: see `reward_bench`.
            if each.measure == measure and each.main is not None and not each.name.startswith("reward-bench"):
                by_category.setdefault(each.category, []).append(each.main.value)
        if by_category:
            means = {category: sum(part) / len(part) for category, part in sorted(by_category.items())}
            found[measure] = means | {"all": sum(means.values()) / len(means)}
    return found


@dataclass(frozen=True, slots=True)
class _Sections:
    scores: dict[str, float]
    missing: tuple[str, ...]


def _sections(rows: Judged) -> _Sections:
    if not rows:
        return _Sections({}, ())
    by_subset: dict[str, list[float]] = {}
    for case, answers in rows:
        by_subset.setdefault(case.subset, []).append(_credit((1 if case.label == "A" else -1) * verdict(answers)))
    accuracy = {subset: sum(credit) / len(credit) for subset, credit in by_subset.items()}
    scores = section_scores(accuracy)
    missing = tuple(missing_subsets(accuracy))
    if not missing:
        scores["overall"] = sum(scores.values()) / len(SECTIONS)
    return _Sections(scores, missing)


def _is_reward_bench(case: Case) -> bool:
    return section_of(case.subset) in SECTIONS


def _reward_bench_2(rows: Judged) -> dict[str, float]:
    """RewardBench 2's score by subset and their mean; its Ties by `agreement.ties_score`."""
    by_subset: dict[str, list[tuple[Case, Answers]]] = {}
    for case, answers in rows:
        by_subset.setdefault(case.subset, []).append((case, answers))
    scores: dict[str, float] = {}
    for subset, part in sorted(by_subset.items()):
        if subset == "Ties":
            found = agreement.ties_score(
                [
                    TiesCase(case.id, scored[: case.num_best], scored[case.num_best :])
                    for case, answers in part
                    if (scored := answers["ab"].values) is not None
                ]
            )
            if found is not None:
                scores[subset] = found
            continue
        main = _best_of(subset, part, 0).main
        assert main is not None
        scores[subset] = main.value
    return scores | {"overall": sum(scores.values()) / len(scores)} if scores else {}


def _unparsed(rows: Judged, seed: int) -> Estimate | None:
    column = [answer.num_unparsed / max(1, answer.num_votes) for _, answers in rows for answer in answers.values()]
    return metrics.share(column, [case.group for case, answers in rows for _ in answers], seed=seed)


def _credit(margin: float) -> float:
    return 0.5 if margin == 0 else float(margin > 0)


def _plain_mean(column: Sequence[float]) -> float | None:
    return math.fsum(column) / len(column) if column else None
