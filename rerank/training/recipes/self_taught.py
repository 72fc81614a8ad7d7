"""Self-Taught Evaluators (arXiv 2408.02666): a judge that learns from those of its own judgments that are right.

A round: the judge so far writes an evaluation plan and a verdict on pairs of a good and a worse program, in both
orders, several times each; judgments with the wrong verdict are thrown away; of the rest one per order stays, as many
that end in [[A]] as in [[B]]; and the **seed** model is fine-tuned on them, every round anew. `run` does the rounds of
one seed, over one folder.

The settings of the paper: 15 judgments per pair at temperature 0.7 and top-p 0.9, fine-tuning until dev stops to
improve, 32 votes at inference.
"""

import gc
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from tqdm import tqdm

from rerank.autoraters.reasoning import Reasoning
from rerank.backends.engines import open_engine
from rerank.backends.interface import EngineOptions, Sampling
from rerank.errors import InputError, SettingError
from rerank.setting import Setting
from rerank.store import Journal, Row, read_rows, write_rows
from rerank.training.labels.rows import Label
from rerank.training.recipes import self_taught_judgments as judgments_of
from rerank.training.recipes import steps
from rerank.training.recipes.self_taught_judgments import ORDERS, Agreement, Picks, ProgramPair
from rerank.training.recipes.steps import BaseModel, say
from rerank.training.scorer.presets import TrainSettings


@dataclass(frozen=True, slots=True)
class SelfTaughtSettings:
    """The recipe's own settings, beside those of its trainings."""

    GROUP: ClassVar[str] = "Judgments and rounds"

    rounds: Annotated[int, Setting("Rounds of fine-tuning from the seed.", min=1)] = 3
    num_samples: Annotated[int, Setting("Judgments of a pair in each order.", min=1, flag="--n")] = 15
    votes: Annotated[int, Setting("Judgments of a dev question, put to the vote. Paper: 32.", min=1)] = 8
    max_tokens: Annotated[int, Setting("Longest judgment, in tokens.", min=1)] = 1024
    temperature: Annotated[float, Setting("Sampling temperature of the judgments.", min=0.0)] = 0.7
    top_p: Annotated[float, Setting("Nucleus of the judgments' sampling.", min=0.0, max=1.0)] = 0.9
    max_pairs: Annotated[int, Setting("Pairs of a problem.", min=1)] = 1
    num_pairs: Annotated[int | None, Setting("Training pairs in all. Default: every one.", min=1)] = None
    num_dev_pairs: Annotated[int, Setting("Dev pairs that each judge is measured on.", min=0)] = 200
    rank_problems: Annotated[int, Setting("Dev problems that each judge re-ranks.", min=0)] = 40
    rank_programs: Annotated[int, Setting("Programs of each of them.", min=2)] = 4
    min_words: Annotated[
        int, Setting("Shorter judgments are not learnt from: bare verdicts teach no evaluation.", min=0)
    ] = 0
    only_modified: Annotated[
        bool, Setting("Only answers to a modified instruction as the worse program.", flag="--only-modified")
    ] = False
    dpo: Annotated[bool, Setting("A last round on preferences, DPO and NLL, from the last judge.", flag="--dpo")] = (
        False
    )
    backend: Annotated[str, Setting("auto, transformers, vllm or openai: what writes the judgments.")] = "auto"

    def changeable(self, out: Path) -> list[str]:
        """Names of the settings that another call over `out` may change."""
        names = ["backend", "seed"]
        if not self.dpo:  # the round of preferences follows a known last one
            names += ["rounds"]
        if not any(out.glob("seed*/round1/train")):  # nothing is learnt yet: more judgments join those there
            names += ["num_samples", "num_pairs", "min_words"]
        return names


@dataclass(frozen=True, slots=True)
class JudgeWork:
    """All that one judge is asked in a round. Plain data, so that another process can do it."""

    model: str  # as `rerank.models.weights` takes it
    backend: str
    folder: Path  # judgments.jsonl, dev_judgments.jsonl and picks.jsonl go here
    pairs: tuple[ProgramPair, ...]  # to learn from; empty for the last judge
    dev_pairs: tuple[ProgramPair, ...]
    problems: tuple[tuple[Label, ...], ...]  # to re-rank
    num_samples: int
    num_votes: int
    max_programs: int
    sampling: Sampling

    def journals(self) -> tuple[Journal, Journal, Journal]:
        self.folder.mkdir(parents=True, exist_ok=True)
        return (
            Journal(self.folder / "judgments.jsonl", key=judgments_of.row_key),
            Journal(self.folder / "dev_judgments.jsonl", key=judgments_of.row_key),
            Journal(self.folder / "picks.jsonl", key=lambda row: row["task_id"]),
        )

    def is_done(self) -> bool:
        training, dev, ranking = self.journals()
        for journal in (training, dev, ranking):
            journal.close()
        return (
            len(training.rows) >= len(self.pairs) * len(ORDERS) * self.num_samples
            and len(dev.rows) >= len(self.dev_pairs) * len(ORDERS) * self.num_votes
            and len(ranking.rows) >= len(self.problems)
        )


def judge_round(work: JudgeWork) -> None:
    """Load the judge and have it do what is not done yet."""
    engine = open_engine(work.backend, work.model, EngineOptions(purpose="generate"))
    training, dev, ranking = work.journals()
    try:
        for what, pairs, journal, count in (
            ("dev pairs", work.dev_pairs, dev, work.num_votes),
            ("training pairs", work.pairs, training, work.num_samples),
        ):
            drawn = judgments_of.sample(pairs, engine, journal, num_samples=count, sampling=work.sampling)
            total = len(pairs) * len(ORDERS) * count
            for _ in tqdm(drawn, what, total, initial=len(journal.rows), unit="judgment", disable=None):
                pass
        autorater = Reasoning(engine, num_votes=work.num_votes, sampling=work.sampling)
        ranked = judgments_of.rank(
            work.problems, autorater, ranking, max_programs=work.max_programs, seed=work.sampling.seed
        )
        for _ in tqdm(ranked, "re-rank", len(work.problems), initial=len(ranking.rows), unit="problem", disable=None):
            pass
    finally:
        engine.close()
        for journal in (training, dev, ranking):
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


def first_work(
    base: str,
    out: Path,
    labels: Sequence[Label],
    unverified: Sequence[ProgramPair],
    *,
    settings: SelfTaughtSettings,
    seed: int,
) -> JudgeWork:
    """What the seed model is asked; `unverified` pairs, if any, are learnt from in place of those that ran."""
    verified = judgments_of.pairs_of(
        labels, seed=seed, max_pairs=settings.max_pairs, only_modified=settings.only_modified
    )
    train = [pair for pair in (unverified or verified) if pair.split == "train"][: settings.num_pairs]
    dev = [pair for pair in verified if pair.split == "dev"][: settings.num_dev_pairs]
    if not train:
        raise InputError("no training pair in --labels: a problem needs a right program and a wrong one")
    return JudgeWork(
        base,
        settings.backend,
        out / f"seed{seed}" / "round0",
        tuple(train),
        tuple(dev),
        tuple(map(tuple, judgments_of.to_rank(labels, num_problems=settings.rank_problems, seed=seed))),
        settings.num_samples,
        settings.votes,
        settings.rank_programs,
        Sampling(settings.temperature, settings.top_p, settings.max_tokens, seed),
    )


def run(
    first: JudgeWork, base: BaseModel, *, settings: SelfTaughtSettings, train_settings: TrainSettings
) -> Iterator[Round]:
    """The rounds of one seed, each yielded when its judge has been measured."""
    seed, folder = first.sampling.seed, first.folder.parent
    model, num_sampled, num_learnt, train_right = first.model, 0, 0, None
    scorer: Path | None = None
    last = settings.rounds + settings.dpo
    for number in range(last + 1):
        pairs = first.pairs if number < last else ()
        work = replace(first, model=model, folder=folder / f"round{number}", pairs=pairs)
        if not work.is_done():
            _judge(work)
        training, dev, ranking = work.journals()
        for journal in (training, dev, ranking):
            journal.close()
        agreement = judgments_of.agreement(first.dev_pairs, dev.rows.values(), seed=seed)
        picks = judgments_of.picks(list(ranking.rows.values()))
        yield Round(number, seed, agreement, picks, num_sampled, train_right, num_learnt)
        if number == last:
            return
        rows = list(training.rows.values())
        num_sampled, train_right = len(rows), sum(row["is_right"] for row in rows) / len(rows)
        is_preference_round = settings.dpo and number == last - 1
        if is_preference_round:
            learnt = judgments_of.preferences(first.pairs, rows, seed=seed)
        else:
            learnt = judgments_of.rows_to_learn(first.pairs, rows, seed=seed, min_words=settings.min_words)
        num_learnt = len(learnt)
        if not learnt:
            raise InputError(
                f"none of {num_sampled:,} judgments can be learnt from: both [[A]] and [[B]] must be said rightly; "
                "give more --n or --num-pairs, or less --min-words, and this run goes on; or a stronger --base",
                path=work.folder / "judgments.jsonl",
            )
        target = folder / f"round{number + 1}"
        target.mkdir(parents=True, exist_ok=True)
        write_rows(target / "learnt.jsonl", learnt)
        scorer = steps.trained(
            base.folder,
            [],
            target / "train",
            train_settings,
            mixture=[target / "learnt.jsonl"],
            start=scorer if is_preference_round else None,  # which goes on from the last judge
            base_name=base.name,
            report=say,
        )
        model = str(scorer) if train_settings.full else f"{first.model}+{scorer}"


def _judge(work: JudgeWork) -> None:
    """On a GPU in a process of its own: only its end gives back all the memory that vLLM has taken."""
    import torch

    if work.backend in ("auto", "vllm") and torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pool.submit(judge_round, work).result()
    else:
        judge_round(work)


def read_unverified(problems: Path | None, samples: Path | None, modified: Path | None) -> list[ProgramPair]:
    """The pairs of three files, all of which are given or none: as in the paper, the worse program not verified."""
    if problems is None and samples is None and modified is None:
        return []
    if problems is None or samples is None or modified is None:
        raise SettingError("unverified pairs need --problems, --samples and --modified, all three")
    rows = ([row for _, row in read_rows(path)] for path in (problems, samples, modified))
    pairs = judgments_of.unverified_pairs(*rows)
    if not pairs:
        raise InputError("no problem has a sample and an answer to a modified instruction", path=samples)
    return pairs
