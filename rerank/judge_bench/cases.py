"""What is judged, with the answer that is wanted, read from files of several forms.

    cases = read_cases("judgments/heldout")          # a folder or a file; the form is seen from the fields
    cases = sample(cases, per_set=256, seed=0)       # as many a set as FLAMe measured (arXiv 2407.10817, section 5.1)

Forms: this project's judgment files (task, kind, context, responses, label, criterion, split, meta; rows of the split
`train` are never read); RewardBench (prompt, chosen, rejected, subset); RewardBench 2 (lists of chosen and rejected,
num_correct). Open-ended rows have no answer that could be counted, and are left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rerank.errors import InputError
from rerank.store import Row, content_hash, read_rows
from rerank.training.mixture.files import data_files

Kind = Literal["pairwise", "best_of", "pointwise", "classification"]
Context = tuple[tuple[str, str], ...]  # named texts, in order


@dataclass(frozen=True, slots=True)
class Case:
    """One judgment to be made, and what was found right."""

    set: str  # such as judgebench_gpt4o or reward-bench
    kind: Kind
    category: str  # a capability, or RewardBench's section
    question: str
    context: Context
    responses: tuple[str, ...]  # two for pairwise, two or more for best_of, else one
    label: str | float  # pairwise: A, B or tie; classification: one of `classes`; pointwise: a number; best_of: ""
    subset: str = ""  # reported apart, such as RewardBench's hep-python or a criterion of SummEval
    classes: tuple[str, ...] = ()
    num_best: int = 1  # best_of: the first so many responses are right
    models: tuple[str, ...] = ()  # who wrote the responses, where known
    id: str = ""

    @property
    def key(self) -> str:
        return content_hash(self.set, self.subset, self.id, self.question, self.context, self.responses)

    @property
    def group(self) -> str:
        """Cases about the same material share it: intervals resample groups."""
        return content_hash(self.set, self.context)


def read_cases(path: str | Path) -> list[Case]:
    """Every case of a file or of the files in a folder. Raises InputError for a row of no known form."""
    cases: list[Case] = []
    for file in data_files([Path(path)]):
        for line, row in read_rows(file):
            try:
                cases += row_cases(row, file.name.split(".")[0])
            except (KeyError, TypeError, ValueError, InputError) as error:
                why = f"has no {error}" if isinstance(error, KeyError) else str(error)
                raise InputError(f"not a judgment that can be measured: {why}", path=file, line=line) from error
    return cases


def sample(cases: Iterable[Case], *, per_set: int | None, seed: int = 0) -> list[Case]:
    """At most `per_set` cases of each set, picked by a hash of the case and the seed, in the order given."""
    by_set: dict[str, list[tuple[str, int, Case]]] = {}
    for place, case in enumerate(cases):
        by_set.setdefault(case.set, []).append((content_hash(seed, case.key), place, case))
    kept = [each for found in by_set.values() for each in sorted(found, key=lambda each: each[:2])[:per_set]]
    return [case for _, _, case in sorted(kept, key=lambda each: each[1])]


def row_cases(row: Row, name: str) -> Iterator[Case]:
    """The case of one row, if it has one that can be measured; `name` is the set's where the row does not say."""
    if "responses" in row:
        yield from _judgment(row)
    elif isinstance(row["chosen"], str):
        yield reward_bench_case(row, name)
    else:
        yield best_of_case(row, name)


def _judgment(row: Row) -> Iterator[Case]:
    if row["kind"] == "open_ended" or row.get("split") == "train":
        return
    meta, kind, label = row["meta"], row["kind"], row["label"]
    responses = tuple(row["responses"])
    classes = tuple(meta.get("classes", ()))
    if kind not in ("pairwise", "pointwise", "classification") or len(responses) != 1 + (kind == "pairwise"):
        raise InputError(f"kind {kind!r} with {len(responses)} responses")
    if (kind == "pairwise" and label not in ("A", "B", "tie")) or (kind == "classification" and label not in classes):
        raise InputError(f"the label {label!r} is none of the answers")
    subset = meta.get("reward_bench_subset") or meta.get("dimension") or meta.get("subset") or ""
    yield Case(
        row["task"],
        kind,
        row["capability"],
        row["criterion"],
        tuple(row["context"].items()),
        responses,
        float(label) if kind == "pointwise" else label,
        subset=str(subset),
        classes=classes,
        models=tuple(meta.get("models") or meta.get("systems") or ()),
        id=str(meta.get("id", "")),
    )


def reward_bench_case(row: Row, name: str) -> Case:
    """A row of RewardBench (arXiv 2403.13787). A hash of the two texts decides which is shown first."""
    chosen, rejected = row["chosen"], row["rejected"]
    is_first = int(content_hash(chosen, rejected), 16) % 2 == 0
    models = (str(row.get("chosen_model") or ""), str(row.get("rejected_model") or ""))
    return Case(
        name,
        "pairwise",
        section_of(row["subset"]),
        "Which response is better?",
        (("prompt", str(row["prompt"])),),
        (chosen, rejected) if is_first else (rejected, chosen),
        "A" if is_first else "B",
        subset=row["subset"],
        models=() if not all(models) else models if is_first else models[::-1],
        id=str(row.get("id", "")),
    )


def best_of_case(row: Row, name: str) -> Case:
    """A row of RewardBench 2 (arXiv 2506.01937): the right responses first, then the others."""
    chosen, rejected = tuple(row["chosen"]), tuple(row["rejected"])
    if not chosen or not rejected:
        raise InputError("chosen and rejected must each hold a response")
    return Case(
        name,
        "best_of",
        row["subset"],
        "Which response is better?",
        (("prompt", str(row["prompt"])),),
        chosen + rejected,
        "",
        subset=row["subset"],
        num_best=len(chosen),
        id=str(row.get("id", "")),
    )


# RewardBench's sections and the weight of each subset within its section: its number of prompts, but PRM math counts as
# much as all of code. From rewardbench/constants.py of allenai/reward-bench, commit 05a9005.
SECTIONS: Mapping[str, Mapping[str, int]] = {
    "Chat": {
        "alpacaeval-easy": 100,
        "alpacaeval-length": 95,
        "alpacaeval-hard": 95,
        "mt-bench-easy": 28,
        "mt-bench-med": 40,
    },
    "Chat Hard": {
        "mt-bench-hard": 37,
        "llmbar-natural": 100,
        "llmbar-adver-neighbor": 134,
        "llmbar-adver-GPTInst": 92,
        "llmbar-adver-GPTOut": 47,
        "llmbar-adver-manual": 46,
    },
    "Safety": {
        "refusals-dangerous": 100,
        "refusals-offensive": 100,
        "xstest-should-refuse": 154,
        "xstest-should-respond": 250,
        "donotanswer": 136,
    },
    "Reasoning": {
        "math-prm": 984,
        "hep-cpp": 164,
        "hep-go": 164,
        "hep-java": 164,
        "hep-js": 164,
        "hep-python": 164,
        "hep-rust": 164,
    },
}


def section_of(subset: str) -> str:
    """RewardBench's section of a subset; the subset itself where it has none, such as the prior sets."""
    return next((section for section, subsets in SECTIONS.items() if subset in subsets), subset)


def section_scores(accuracy: Mapping[str, float]) -> dict[str, float]:
    """Accuracy by subset to RewardBench's score by section; a section of which no subset was measured is left out.

    >>> section_scores({"hep-python": 0.5, "math-prm": 1.0})["Reasoning"]
    0.9285714285714286
    """
    scores = {}
    for section, weights in SECTIONS.items():
        known = {subset: weight for subset, weight in weights.items() if subset in accuracy}
        if known:
            total = sum(accuracy[subset] * weight for subset, weight in known.items())
            scores[section] = total / sum(known.values())
    return scores


def missing_subsets(accuracy: Mapping[str, float]) -> Sequence[str]:
    """Subsets of RewardBench that a score by section lacks."""
    return [subset for weights in SECTIONS.values() for subset in weights if subset not in accuracy]
