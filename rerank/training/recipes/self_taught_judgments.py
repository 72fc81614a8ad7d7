"""Judgments that a judge is to learn from (Self-Taught Evaluators, arXiv 2408.02666), and how well it judges.

    pairs = pairs_of(labels, seed=0)
    for _ in sample(pairs, engine, journal, num_samples=15, sampling=SAMPLING): ...
    rows = rows_to_learn(pairs, journal.rows.values(), seed=0)       # to be trained on as a mixture
    figures = agreement(pairs, journal.rows.values())                # how often a judgment says what execution says

What the paper trusts, that an answer to a modified instruction is worse, is known here: both programs of a pair were
run.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rerank.autoraters.reasoning import Reasoning, pair_text, read_verdict
from rerank.backends.interface import GenerationRequest, SampleSource, Sampling
from rerank.candidates.programs import normal_form
from rerank.metrics import Estimate, share
from rerank.records import PublicProblem
from rerank.store import Journal, Row, content_hash
from rerank.training.labels import rows as label_files
from rerank.training.labels.rows import Label
from rerank.training.scorer.evaluate import pick_rate

ORDERS = ("ab", "ba")  # the better program first, or second
TASK = "self_taught"


@dataclass(frozen=True, slots=True)
class ProgramPair:
    """Two programs for one problem, one of them better."""

    problem: PublicProblem
    group: str
    split: str
    better: str
    worse: str
    is_verified: bool = True  # by execution; else the worse one is an answer to a modified instruction, not run

    @property
    def key(self) -> str:
        return content_hash(self.problem.task_id, self.better, self.worse)

    def text(self, order: str) -> str:
        """The judgment's prompt with the programs in this order."""
        first, second = (self.better, self.worse) if order == "ab" else (self.worse, self.better)
        return pair_text(self.problem, first, second)


def pairs_of(
    labels: Iterable[Label], *, seed: int, max_pairs: int = 1, only_modified: bool = False
) -> list[ProgramPair]:
    """Up to `max_pairs` verified pairs of each problem: a right program, and one that ran and was wrong.

    Answers to a modified instruction come first, as in the paper; `only_modified` takes no other.
    """
    rows = list(labels)
    modified = {row.task_id for row in rows if row.origin == "modified" and not row.right}
    chosen = [
        row
        for row in rows
        if row.right or row.origin == "modified" or (row.task_id not in modified and not only_modified)
    ]
    return [
        ProgramPair(pair.first.problem, pair.first.group, pair.first.split, pair.first.program, pair.second.program)
        for pair in label_files.pairs(chosen, seed=seed, max_pairs=max_pairs)
        if pair.first.right
    ]


def unverified_pairs(problems: Iterable[Row], samples: Iterable[Row], modified: Iterable[Row]) -> list[ProgramPair]:
    """The paper's own pairs, not run: a problem's first sample, and its first answer to a modified instruction.

    Rows as `scripts/sample_and_label.py` writes them. Programs that do not parse or are the same make no pair.
    """
    better, worse = _first_programs(samples), _first_programs(modified)
    pairs = []
    for row in problems:
        name = row["task_id"]
        if name in better and name in worse and better[name] != worse[name]:
            problem = PublicProblem(name, row["prompt"], row["entry_point"], row.get("prompt_kind", "function"))
            pairs.append(ProgramPair(problem, row["group"], row["split"], better[name], worse[name], is_verified=False))
    return pairs


def row_key(row: Row) -> tuple[str, str, int]:
    """Of a judgment in its journal."""
    return row["pair"], row["order"], row["index"]


def sample(
    pairs: Sequence[ProgramPair], source: SampleSource, journal: Journal, *, num_samples: int, sampling: Sampling
) -> Iterator[Row]:
    """Have every pair judged `num_samples` times in each order; what the journal holds is not asked again.

    Yields a row per judgment: pair, order, index, text, verdict (A, B or null), is_right.
    """
    questions = {f"{pair.key} {order}": (pair, order) for pair in pairs for order in ORDERS}
    todo = (
        GenerationRequest(name, pair.text(order), is_chat=True)
        for name, (pair, order) in questions.items()
        if any((pair.key, order, index) not in journal for index in range(num_samples))
    )
    for request, samples in source.generate(todo, num_samples, sampling):
        pair, order = questions[request.id]
        rows = []
        for index, drawn in enumerate(samples):
            verdict = read_verdict(drawn.text)
            rows.append(
                {
                    "pair": pair.key,
                    "order": order,
                    "index": index,
                    "text": drawn.text,
                    "verdict": verdict,
                    "is_right": verdict is not None and verdict == right_answer(order),
                    "is_whole": drawn.finish_reason == "stop",
                }
            )
        journal.append(rows)
        yield from rows


def rows_to_learn(
    pairs: Sequence[ProgramPair], judgments: Iterable[Row], *, seed: int, min_words: int = 0
) -> list[Row]:
    """Rows to be learnt: one right and finished judgment of each pair and order, as many for A as for B.

    In the form of a mixture (`inputs.read_judgments`), the target the whole of the model's turn. `min_words` leaves out
    bare verdicts: a small seed model writes hardly anything else, and would learn to write nothing else.
    """
    by_key = {pair.key: pair for pair in pairs}
    right: dict[tuple[str, str], list[str]] = {}
    for row in judgments:
        if row["is_right"] and row["is_whole"] and row["pair"] in by_key and len(row["text"].split()) >= min_words:
            right.setdefault((row["pair"], row["order"]), []).append(row["text"])
    chosen: dict[str, list[Row]] = {order: [] for order in ORDERS}
    for (key, order), texts in sorted(right.items()):
        text = random.Random(content_hash(seed, key, order)).choice(sorted(texts))
        pair = by_key[key]
        chosen[order].append(learnt_row(pair, order, text))
    size = min(map(len, chosen.values()))
    rows = []
    for order in ORDERS:
        rows += sorted(chosen[order], key=lambda row: content_hash(seed, row["segments"], row["target"]))[:size]
    return sorted(rows, key=lambda row: content_hash(seed, row["target"], row["segments"]))


def preferences(pairs: Sequence[ProgramPair], judgments: Iterable[Row], *, seed: int) -> list[Row]:
    """For the preference round: a right judgment against a wrong one of the same question, one such pair per question.

    As many questions whose answer is A as B. Rows of a mixture with `rejected` beside `target`.
    """
    by_key = {pair.key: pair for pair in pairs}
    texts: dict[tuple[str, str], dict[bool, list[str]]] = {}
    for row in judgments:
        if row["verdict"] is not None and row["is_whole"] and row["pair"] in by_key:
            texts.setdefault((row["pair"], row["order"]), {True: [], False: []})[row["is_right"]].append(row["text"])
    chosen: dict[str, list[Row]] = {order: [] for order in ORDERS}
    for (key, order), sides in sorted(texts.items()):
        if sides[True] and sides[False]:
            draw = random.Random(content_hash(seed, key, order))
            good, bad = draw.choice(sorted(sides[True])), draw.choice(sorted(sides[False]))
            chosen[order].append(learnt_row(by_key[key], order, good) | {"rejected": bad})
    size = min(map(len, chosen.values()))
    return [row for order in ORDERS for row in chosen[order][:size]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How judgments agree with execution. Shares are of judgments, votes of orders of pairs; a vote's tie is half."""

    num_pairs: int
    num_judgments: int
    right: Estimate | None  # share of all judgments that name the better program; no verdict is not right
    unparsed: Estimate | None
    names_a: Estimate | None  # of the judgments with a verdict: what favours a place is far from 0.5
    majority: Estimate | None  # by the majority of a question's judgments
    both_orders: Estimate | None  # pairs whose majority is right in both orders


def agreement(pairs: Sequence[ProgramPair], judgments: Iterable[Row], *, seed: int = 0) -> Agreement:
    """Figures of the judgments of these pairs, intervals over the groups of their problems."""
    by_key = {pair.key: pair for pair in pairs}
    rows = [row for row in judgments if row["pair"] in by_key]
    groups = [by_key[row["pair"]].group for row in rows]
    with_verdict = [(row, group) for row, group in zip(rows, groups, strict=True) if row["verdict"] is not None]
    votes: dict[tuple[str, str], Counter[bool]] = {}
    for row in rows:
        votes.setdefault((row["pair"], row["order"]), Counter())
        if row["verdict"] is not None:
            votes[row["pair"], row["order"]][row["is_right"]] += 1
    credit = {key: _majority(count) for key, count in votes.items()}
    both = {key for key, _ in credit if all((key, order) in credit for order in ORDERS)}

    def estimate(values: list[float], of: list[str]) -> Estimate | None:
        return share(values, of, seed=seed)

    return Agreement(
        len({row["pair"] for row in rows}),
        len(rows),
        estimate([float(row["is_right"]) for row in rows], groups),
        estimate([float(row["verdict"] is None) for row in rows], groups),
        estimate([float(row["verdict"] == "A") for row, _ in with_verdict], [group for _, group in with_verdict]),
        estimate(list(credit.values()), [by_key[key].group for key, _ in credit]),
        estimate(
            [float(all(credit[key, order] == 1 for order in ORDERS)) for key in sorted(both)],
            [by_key[key].group for key in sorted(both)],
        ),
    )


@dataclass(frozen=True, slots=True)
class Picks:
    """The judge as a re-ranker of dev problems that have right and wrong samples."""

    num_problems: int
    pick_rate: Estimate | None  # share whose first choice is right
    random: float | None  # the same by chance


def rank(
    problems: Sequence[Sequence[Label]], autorater: Reasoning, journal: Journal, *, max_programs: int, seed: int
) -> Iterator[Row]:
    """Re-rank some programs of each problem by a round-robin in both orders; problems in the journal stay as they are.

    Yields the journal's rows: task_id, group, picked (1.0 when the first choice is right), random (its chance).
    """
    chosen = [_spread(rows, max_programs, seed) for rows in problems if rows[0].task_id not in journal]
    programs_of = [{content_hash(row.program): row.program for row in rows} for rows in chosen]
    tasks = (
        (rows[0].problem, [(a, b) for a in programs for b in programs if a != b], programs)
        for rows, programs in zip(chosen, programs_of, strict=True)
    )
    for rows, programs, comparisons in zip(chosen, programs_of, autorater.compare_many(tasks), strict=True):
        scores = dict.fromkeys(programs, 0.0)
        for comparison in comparisons:
            scores[comparison.first] += comparison.log_odds or 0.0
            scores[comparison.second] -= comparison.log_odds or 0.0
        right = [row.right for row in rows]
        picked = pick_rate(right, [scores[content_hash(row.program)] for row in rows])
        chance = sum(right) / len(right)
        row = {"task_id": rows[0].task_id, "group": rows[0].group, "picked": picked, "random": chance}
        journal.append([row])
        yield row


def picks(rows: Sequence[Row], *, seed: int = 0) -> Picks:
    """What the rows of `rank` come to."""
    if not rows:
        return Picks(0, None, None)
    estimate = share([row["picked"] for row in rows], [row["group"] for row in rows], seed=seed)
    return Picks(len(rows), estimate, sum(row["random"] for row in rows) / len(rows))


def to_rank(labels: Iterable[Label], *, num_problems: int, seed: int) -> list[list[Label]]:
    """Samples of dev problems that have right and wrong ones."""
    samples = (row for row in labels if row.split == "dev" and row.origin == "sample")
    problems = [rows for rows in label_files.by_problem(samples).values() if len({row.right for row in rows}) == 2]
    return sorted(problems, key=lambda rows: content_hash(seed, rows[0].task_id))[:num_problems]


def learnt_row(pair: ProgramPair, order: str, text: str) -> Row:
    """A judgment as a row of a mixture, whose target is the whole of the model's turn."""
    return {
        "task": TASK,
        "kind": "open_ended",
        "capability": "code",
        "split": "train",
        "segments": [pair.text(order)],
        "answers": [],
        "target": text,
        "ends": True,
        "weight": 1.0,
        "group": pair.group,
    }


def right_answer(order: str) -> str:
    """The verdict that names the better program."""
    return "A" if order == "ab" else "B"


def _majority(count: "Counter[bool]") -> float:
    return 0.5 if count[True] == count[False] else float(count[True] > count[False])


def _first_programs(rows: Iterable[Row]) -> dict[str, str]:
    programs: dict[str, str] = {}
    for row in rows:
        program = normal_form(row.get("program") or "")
        if program:
            programs.setdefault(row["task_id"], program)
    return programs


def _spread(rows: Sequence[Label], size: int, seed: int) -> list[Label]:
    """Some of a problem's programs, right and wrong ones in turn, in an order that says nothing."""
    order = sorted(rows, key=lambda row: content_hash(seed, row.program))
    right, wrong = [row for row in order if row.right], [row for row in order if not row.right]
    half = max(1, min(len(right), size // 2))
    chosen = right[:half] + wrong[: size - half]
    return sorted(chosen, key=lambda row: content_hash(seed, "shown", row.program))
