"""Self-Taught Evaluators (arXiv 2408.02666): a judge that learns from those of its own judgments that are right.

A round: the judge so far writes an evaluation plan and a verdict on pairs of a good and a worse program, in both
orders, several times each; judgments with the wrong verdict are thrown away; of the rest one an order is kept, as many
that end in [[A]] as in [[B]]; and the **seed** model is fine-tuned on them, every round anew. What the paper trusts,
that an answer to a modified instruction is worse, is known here: both programs of a pair were run.

    pairs = pairs_of(labels, seed=0)
    for _ in sample(pairs, engine, journal, num_samples=15, sampling=SAMPLING): ...
    rows = kept(pairs, journal.rows.values(), seed=0)       # to be trained on as a mixture
    figures = agreement(pairs, journal.rows.values())       # how often a judgment says what execution says

The settings of the paper: 15 judgments a pair at temperature 0.7 and top-p 0.9, fine-tuning until dev stops to improve,
32 votes at inference.
"""

import gc
import multiprocessing
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rerank.autoraters.reasoning import Reasoning, pair_text, read_verdict
from rerank.backends.engines import open_engine
from rerank.backends.interface import EngineOptions, GenerationRequest, SampleSource, Sampling
from rerank.candidates.programs import normal_form
from rerank.errors import InputError, SettingError
from rerank.metrics import Estimate, share
from rerank.records import PublicProblem
from rerank.store import Journal, Row, content_hash, read_rows, write_rows
from rerank.training.labels import rows as label_files
from rerank.training.labels.rows import Label
from rerank.training.recipes import self_taught, steps
from rerank.training.recipes.steps import say
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
        shown = (self.better, self.worse) if order == "ab" else (self.worse, self.better)
        return pair_text(self.problem, *shown)


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

    Yields a row a judgment: pair, order, index, text, verdict (A, B or null), is_right.
    """
    asked = {f"{pair.key} {order}": (pair, order) for pair in pairs for order in ORDERS}
    todo = (
        GenerationRequest(name, pair.text(order), is_chat=True)
        for name, (pair, order) in asked.items()
        if any((pair.key, order, index) not in journal for index in range(num_samples))
    )
    for request, samples in source.generate(todo, num_samples, sampling):
        pair, order = asked[request.id]
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
                    "is_right": verdict is not None and verdict == _wanted(order),
                    "is_whole": drawn.finish_reason == "stop",
                }
            )
        journal.append(rows)
        yield from rows


def kept(pairs: Sequence[ProgramPair], judgments: Iterable[Row], *, seed: int, min_words: int = 0) -> list[Row]:
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
        chosen[order].append(_learnt(pair, order, text))
    size = min(map(len, chosen.values()))
    found = []
    for order in ORDERS:
        found += sorted(chosen[order], key=lambda row: content_hash(seed, row["segments"], row["target"]))[:size]
    return sorted(found, key=lambda row: content_hash(seed, row["target"], row["segments"]))


def preferences(pairs: Sequence[ProgramPair], judgments: Iterable[Row], *, seed: int) -> list[Row]:
    """For the preference round: a right judgment against a wrong one of the same question, one such pair a question.

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
            chosen[order].append(_learnt(by_key[key], order, good) | {"rejected": bad})
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
    told = [(row, group) for row, group in zip(rows, groups, strict=True) if row["verdict"] is not None]
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
        estimate([float(row["verdict"] == "A") for row, _ in told], [group for _, group in told]),
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
    shown = [{content_hash(row.program): row.program for row in rows} for rows in chosen]
    tasks = (
        (rows[0].problem, [(a, b) for a in programs for b in programs if a != b], programs)
        for rows, programs in zip(chosen, shown, strict=True)
    )
    for rows, programs, comparisons in zip(chosen, shown, autorater.compare_many(tasks), strict=True):
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


@dataclass(frozen=True, slots=True)
class JudgeWork:
    """All that one judge is asked in a round. Plain data, so that another process can do it."""

    model: str  # as `rerank.weights` takes it
    backend: str
    folder: Path  # judgments.jsonl, dev_judgments.jsonl and picks.jsonl go here
    pairs: tuple[ProgramPair, ...]  # to learn from; empty for the last judge
    dev_pairs: tuple[ProgramPair, ...]
    problems: tuple[tuple[Label, ...], ...]  # to re-rank
    num_samples: int
    num_votes: int
    max_programs: int
    sampling: Sampling

    def journals(self) -> "tuple[Journal, Journal, Journal]":
        self.folder.mkdir(parents=True, exist_ok=True)
        return (
            Journal(self.folder / "judgments.jsonl", key=row_key),
            Journal(self.folder / "dev_judgments.jsonl", key=row_key),
            Journal(self.folder / "picks.jsonl", key=lambda row: row["task_id"]),
        )

    def is_done(self) -> bool:
        judgments, dev, picked = self.journals()
        for journal in (judgments, dev, picked):
            journal.close()
        return (
            len(judgments.rows) >= len(self.pairs) * len(ORDERS) * self.num_samples
            and len(dev.rows) >= len(self.dev_pairs) * len(ORDERS) * self.num_votes
            and len(picked.rows) >= len(self.problems)
        )


def judge_round(work: JudgeWork) -> None:
    """Load the judge and have it do what is not done yet."""
    engine = open_engine(work.backend, work.model, EngineOptions(purpose="generate"))
    judgments, dev, picked = work.journals()
    try:
        for what, pairs, journal, count in (
            ("dev pairs", work.dev_pairs, dev, work.num_votes),
            ("training pairs", work.pairs, judgments, work.num_samples),
        ):
            drawn = sample(pairs, engine, journal, num_samples=count, sampling=work.sampling)
            total = len(pairs) * len(ORDERS) * count
            for _ in tqdm(drawn, what, total, initial=len(journal.rows), unit="judgment", disable=None):
                pass
        autorater = Reasoning(engine, num_votes=work.num_votes, sampling=work.sampling)
        ranked = rank(work.problems, autorater, picked, max_programs=work.max_programs, seed=work.sampling.seed)
        for _ in tqdm(ranked, "re-rank", len(work.problems), initial=len(picked.rows), unit="problem", disable=None):
            pass
    finally:
        engine.close()
        for journal in (judgments, dev, picked):
            journal.close()


@dataclass(frozen=True, slots=True)
class Round:
    """What is reported of one judge: the seed model is round 0."""

    number: int
    seed: int
    dev: Agreement
    picks: Picks
    num_sampled: int = 0  # judgments of training pairs that made it
    train_right: float | None = None  # the share of them that is right
    num_kept: int = 0  # rows that it was trained on, half A and half B

    def to_row(self) -> Row:
        return asdict(self)


def table(rounds: Sequence[Row]) -> str:
    """Rounds of all seeds, a row each, and with several seeds the mean of each round."""
    heads = ["round", "seed", "sampled", "right", "kept", "dev right", "majority", "both orders", "names A", "unparsed"]
    heads += ["picks right", "by chance"]
    widths = [max(len(head), 5) for head in heads]
    widths[5:7] = [22, 22]
    widths[10] = 22
    lines = ["  ".join(head.rjust(width) for head, width in zip(heads, widths, strict=True))]
    for row in rounds:
        dev, picks = row["dev"], row["picks"]
        cells = [str(row["number"]), str(row["seed"]), f"{row['num_sampled']:,}", _share(row["train_right"])]
        cells += [f"{row['num_kept']:,}", _interval(dev["right"]), _interval(dev["majority"])]
        cells += [_value(dev[name]) for name in ("both_orders", "names_a", "unparsed")]
        cells += [_interval(picks["pick_rate"]), _share(picks["random"])]
        lines.append("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))
    seeds = {row["seed"] for row in rounds}
    if len(seeds) > 1:
        lines.append(f"\nmean over {len(seeds)} seeds (lowest to highest)")
        for number in sorted({row["number"] for row in rounds}):
            same = [row for row in rounds if row["number"] == number]
            parts = []
            for what, found in (
                ("dev right", [row["dev"]["right"] for row in same]),
                ("majority", [row["dev"]["majority"] for row in same]),
                ("picks right", [row["picks"]["pick_rate"] for row in same]),
            ):
                values = [100 * each["value"] for each in found if each is not None]
                if values:
                    mean = sum(values) / len(values)
                    parts.append(f"{what} {mean:.1f} ({min(values):.1f} to {max(values):.1f})")
            lines.append(f"  round {number}: {', '.join(parts)}")
    return "\n".join(lines) + "\n"


def plot(runs: Mapping[str, Sequence[Row]], path: Path) -> None:
    """Agreement with execution and picks by round: a line a run, the mean over its seeds, and a dot a seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = {
        "judgments that agree with execution": lambda row: row["dev"]["right"],
        "majority that agrees": lambda row: row["dev"]["majority"],
        "picks that are right": lambda row: row["picks"]["pick_rate"],
    }
    for axes, (title, read) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for name, rounds in runs.items():
            values: dict[int, list[float]] = {}
            for row in rounds:
                if (estimate := read(row)) is not None:
                    values.setdefault(row["number"], []).append(100 * estimate["value"])
            numbers = sorted(values)
            [line] = axes.plot(numbers, [sum(values[n]) / len(values[n]) for n in numbers], label=name)
            dots = [(number, value) for number in numbers for value in values[number]]
            axes.scatter(*zip(*dots, strict=True), s=12, color=line.get_color())
        axes.set(title=title, xlabel="round", ylabel="per cent")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    figure.savefig(path, dpi=120)


def _learnt(pair: ProgramPair, order: str, text: str) -> Row:
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


def _wanted(order: str) -> str:
    return "A" if order == "ab" else "B"


def _majority(count: "Counter[bool]") -> float:
    return 0.5 if count[True] == count[False] else float(count[True] > count[False])


def _first_programs(rows: Iterable[Row]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in rows:
        program = normal_form(row.get("program") or "")
        if program:
            found.setdefault(row["task_id"], program)
    return found


def _spread(rows: Sequence[Label], size: int, seed: int) -> list[Label]:
    """Some of a problem's programs, right and wrong ones in turn, in an order that says nothing."""
    order = sorted(rows, key=lambda row: content_hash(seed, row.program))
    right, wrong = [row for row in order if row.right], [row for row in order if not row.right]
    half = max(1, min(len(right), size // 2))
    chosen = right[:half] + wrong[: size - half]
    return sorted(chosen, key=lambda row: content_hash(seed, "shown", row.program))


def _value(estimate: Row | None) -> str:
    return "" if estimate is None else f"{100 * estimate['value']:.1f}"


def _interval(estimate: Row | None) -> str:
    if estimate is None:
        return ""
    return f"{100 * estimate['value']:.1f} ({100 * estimate['low']:.1f} to {100 * estimate['high']:.1f})"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _run(first: JudgeWork, settings: Any, folder: Path, base_name: str, rounds: int, dpo: bool, min_words: int) -> Any:
    """One seed's rounds, each yielded when its judge has been measured."""

    seed, here = settings.seed, first.folder.parent
    model, sampled, kept, right = first.model, 0, 0, None
    scorer: Path | None = None
    last = rounds + dpo
    for number in range(last + 1):
        work = replace(first, model=model, folder=here / f"round{number}", pairs=first.pairs if number < last else ())
        if not work.is_done():
            _judge(work)
        judgments, dev, picked = work.journals()
        agreed = self_taught.agreement(first.dev_pairs, dev.rows.values(), seed=seed)
        made = Round(number, seed, agreed, self_taught.picks(list(picked.rows.values())), sampled, right, kept)
        for journal in (judgments, dev, picked):
            journal.close()
        yield made
        if number == last:
            return
        rows = list(judgments.rows.values())
        sampled, right = len(rows), sum(row["is_right"] for row in rows) / len(rows)
        is_last_of_dpo = dpo and number == last - 1
        if is_last_of_dpo:
            learnt = self_taught.preferences(first.pairs, rows, seed=seed)
        else:
            learnt = self_taught.kept(first.pairs, rows, seed=seed, min_words=min_words)
        kept = len(learnt)
        if not learnt:
            raise InputError(
                f"none of {sampled:,} judgments can be learnt from: both [[A]] and [[B]] must be said rightly; give "
                "more --n or --num-pairs, or less --min-words, and this run goes on; or a stronger --base",
                path=work.folder / "judgments.jsonl",
            )
        target = here / f"round{number + 1}"
        target.mkdir(parents=True, exist_ok=True)
        write_rows(target / "learnt.jsonl", learnt)
        scorer = steps.trained(
            folder,
            [],
            target / "train",
            settings,
            mixture=[target / "learnt.jsonl"],
            start=scorer if is_last_of_dpo else None,  # a preference round goes on from the last judge
            base_name=base_name,
            report=say,
        )
        model = str(scorer) if settings.full else f"{first.model}+{scorer}"


def _judge(work: JudgeWork) -> None:
    """On a GPU in a process of its own: only its end gives back all the memory that vLLM has taken."""
    import torch

    if work.backend in ("auto", "vllm") and torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pool.submit(self_taught.judge_round, work).result()
    else:
        self_taught.judge_round(work)


def _unverified(problems: Path | None, samples: Path | None, modified: Path | None) -> list[ProgramPair]:
    given = [problems, samples, modified]
    if not any(given):
        return []
    if problems is None or samples is None or modified is None:
        raise SettingError("unverified pairs need --problems, --samples and --modified, all three")
    pairs = self_taught.unverified_pairs(
        *([row for _, row in read_rows(path)] for path in (problems, samples, modified))
    )
    if not pairs:
        raise InputError("no problem has a sample and an answer to a modified instruction", path=samples)
    return pairs
