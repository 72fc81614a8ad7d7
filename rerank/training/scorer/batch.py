"""Packed examples as tensors, what a model says of them, and the loss. One pack a forward pass.

The loss of a step is a sum of terms, each a weighted mean over the step:

    answer    cross-entropy of the answers; for two answers, binary cross-entropy of their log-odds
    ranking   -log sigmoid(s_right - s_wrong) over the right and wrong programs of one problem (RankNet, Burges et al.
              2005, equation 3 where the order is known): what is wanted is the best program of one problem
    verdict   binary cross-entropy of an encoded-once comparison
    preference  -log sigmoid(beta (m - m_ref)), m the log-probability of a chosen text less that of a rejected one,
              m_ref the same where the training started (DPO, arXiv 2305.18290, equation 7); the chosen text's own
              cross-entropy is in `answer`
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from rerank import prompts
from rerank.backends.encoding import PromptEncoder
from rerank.backends.hf import block_mask, layouts
from rerank.backends.hf.block_mask import Pack
from rerank.training.scorer.evaluate import JudgedExample
from rerank.training.scorer.inputs import Example


class Scorer(nn.Module):
    """A causal language model read at a few positions of a pack."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(
        self, packed: Pack, reads: torch.Tensor, answers: torch.Tensor, open_reads: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the answers and of the whole vocabulary: (reads, answers) and (open reads, vocab), float32."""
        hidden = block_mask.hidden_states(self.model, packed)  # (tokens, hidden)
        causal = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        closed = block_mask.answer_logits(causal, hidden[reads], answers)
        return closed, block_mask.answer_logits(causal, hidden[open_reads])


@dataclass(frozen=True, slots=True)
class Batch:
    """One pack with its targets. An answer is a column of the logits that `Scorer` returns."""

    packed: Pack
    reads: torch.Tensor  # (reads,) tokens: choices first, then verdicts
    answers: torch.Tensor  # (answers,) token ids
    legal: torch.Tensor  # (choices, answers) bool
    wanted: torch.Tensor  # (choices,) columns
    weights: torch.Tensor  # (choices,)
    sides: torch.Tensor  # (reads, 2) columns whose difference is the log-odds
    rankings: torch.Tensor  # (pairs, 2): the reads of a right and a wrong program
    ranking_weights: torch.Tensor  # (pairs,)
    verdicts: torch.Tensor  # (comparisons, 4): the reads of first, second, forward, backward
    probabilities: torch.Tensor  # (comparisons,)
    verdict_weights: torch.Tensor  # (comparisons,)
    open_reads: torch.Tensor  # (open reads,)
    open_wanted: torch.Tensor  # (open reads,) token ids
    open_weights: torch.Tensor  # (open reads,)
    open_sides: torch.Tensor  # (open reads,) 1 in a chosen text, -1 in a rejected one, else 0
    open_preferences: torch.Tensor  # (open reads,) the preference that a read belongs to; 0 where it has no side
    references: torch.Tensor  # (preferences,)

    def log_odds(self, logits: torch.Tensor) -> torch.Tensor:
        """First answer against second: (reads, answers) to (reads,); 0 where there are not two."""
        return logits.gather(1, self.sides[:, :1])[:, 0] - logits.gather(1, self.sides[:, 1:])[:, 0]

    def comparisons(self, log_odds: torch.Tensor) -> torch.Tensor:
        """Encoded-once log-odds that the first is better: (comparisons,)."""
        return layouts.comparison(*log_odds[self.verdicts].unbind(dim=1))  # type: ignore[arg-type, return-value]


def collate(
    examples: Sequence[Example],
    encoder: PromptEncoder,
    *,
    over_vocabulary: bool = False,
    device: torch.device | str = "cpu",
    num_tokens: int | None = None,
    attention: block_mask.AttentionKind = "dense",
) -> Batch:
    """Pack examples and say where and against what each is read.

    `over_vocabulary` predicts every answer among all tokens too, and leaves the choice among the answers untrained.
    """
    packed = block_mask.pack([e.layout for e in examples], device=device, num_tokens=num_tokens, attention=attention)
    a_b = encoder.answer_ids(prompts.PAIRWISE.answers) if any(example.verdicts for example in examples) else ()
    ids = sorted({a for e in examples for t in e.targets if not t.is_open for a in t.answers} | set(a_b))
    column = {token: index for index, token in enumerate(ids)}
    reads: list[int] = []
    verdict_reads: list[int] = []
    sides: list[tuple[int, int]] = []
    legal, wanted, weights = [], [], []
    open_reads, open_wanted, open_weights = [], [], []
    open_sides, open_preferences = [], []
    references: list[float] = []
    rankings, ranking_weights = [], []
    verdicts, probabilities, verdict_weights = [], [], []
    num_choices = sum(not target.is_open for example in examples for target in example.targets)
    for example, starts in zip(examples, packed.firsts, strict=True):
        first_read = len(reads)
        for target in example.targets:
            size = len(example.layout.blocks[target.block].tokens)
            read = starts[target.block] + target.token % size
            if target.is_open or over_vocabulary:
                open_reads.append(read)
                open_wanted.append(target.answers[target.wanted])
                open_weights.append(example.weight * target.weight)
                open_sides.append(target.side)
                open_preferences.append(len(references) if target.side else 0)
            if not target.is_open:
                columns = [column[answer] for answer in target.answers]
                reads.append(read)
                legal.append([index in columns for index in range(len(ids))])
                wanted.append(columns[target.wanted])
                weights.append(0.0 if over_vocabulary else example.weight)
                sides.append((columns[0], columns[-1] if len(columns) == 2 else columns[0]))
        if example.reference is not None:
            references.append(example.reference)
        for right, wrong in example.rankings:
            rankings.append((first_read + right, first_read + wrong))
            ranking_weights.append(example.weight / len(example.rankings))
        for verdict in example.verdicts:
            first_verdict = num_choices + len(verdict_reads)
            verdicts.append(
                (
                    first_read + verdict.first,
                    first_read + verdict.second,
                    first_verdict + verdict.forward,
                    first_verdict + verdict.backward,
                )
            )
            probabilities.append(verdict.probability)
            verdict_weights.append(example.weight / len(example.verdicts))
        for block in example.layout.verdicts:
            verdict_reads.append(starts[block] + len(example.layout.blocks[block].tokens) - 1)
    if verdict_reads:
        sides += [(column[a_b[0]], column[a_b[1]])] * len(verdict_reads)

    def integers(values: Sequence[Any], *shape: int) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.long).reshape(-1, *shape).to(device)

    def numbers(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float32).to(device)

    return Batch(
        packed,
        reads=integers(reads + verdict_reads),
        answers=integers(ids),
        legal=torch.tensor(legal, dtype=torch.bool).reshape(num_choices, len(ids)).to(device),
        wanted=integers(wanted),
        weights=numbers(weights),
        sides=integers(sides, 2),
        rankings=integers(rankings, 2),
        ranking_weights=numbers(ranking_weights),
        verdicts=integers(verdicts, 4),
        probabilities=numbers(probabilities),
        verdict_weights=numbers(verdict_weights),
        open_reads=integers(open_reads),
        open_wanted=integers(open_wanted),
        open_weights=numbers(open_weights),
        open_sides=numbers(open_sides),
        open_preferences=integers(open_preferences),
        references=numbers(references),
    )


def margins(batch: Batch, open_logits: torch.Tensor) -> torch.Tensor:
    """Log-probability of each preference's chosen text less that of its rejected one: (preferences,)."""
    log_probability = -F.cross_entropy(open_logits, batch.open_wanted, reduction="none")
    return torch.zeros_like(batch.references).index_add(0, batch.open_preferences, batch.open_sides * log_probability)


def loss_sums(
    batch: Batch, logits: torch.Tensor, open_logits: torch.Tensor, *, beta: float = 0.1
) -> dict[str, torch.Tensor]:
    """The weighted sum of each term of the loss over a pack; `loss_weights` gives what to divide a step's sum by."""
    choices = logits[: len(batch.wanted)].masked_fill(~batch.legal, -torch.inf)
    answer = F.cross_entropy(choices, batch.wanted, reduction="none") @ batch.weights
    answer = answer + F.cross_entropy(open_logits, batch.open_wanted, reduction="none") @ batch.open_weights
    log_odds = batch.log_odds(logits)
    better, worse = log_odds[batch.rankings].unbind(dim=1)
    ranking = F.softplus(worse - better) @ batch.ranking_weights
    verdict = F.binary_cross_entropy_with_logits(batch.comparisons(log_odds), batch.probabilities, reduction="none")
    preference = answer.new_zeros(())
    if len(batch.references):
        preference = F.softplus(-beta * (margins(batch, open_logits) - batch.references)).sum()
    return {
        "answer": answer,
        "ranking": ranking,
        "verdict": verdict @ batch.verdict_weights,
        "preference": preference,
    }


def loss_weights(examples: Sequence[Example]) -> dict[str, float]:
    """The sum of the weights of each term. Known without a model, so that every process divides by the whole step's."""
    return {
        "answer": sum(example.weight * target.weight for example in examples for target in example.targets),
        "ranking": sum(example.weight for example in examples if example.rankings),
        "verdict": sum(example.weight for example in examples if example.verdicts),
        "preference": sum(1.0 for example in examples if example.reference is not None),
    }


def judge(
    batch: Batch, examples: Sequence[Example], logits: torch.Tensor, open_logits: torch.Tensor
) -> list[JudgedExample]:
    """What the model says of each example of a batch (one collated without `over_vocabulary`)."""
    log_odds = batch.log_odds(logits)
    choice = logits[: len(batch.wanted)].masked_fill(~batch.legal, -torch.inf).argmax(dim=1)
    is_right = iter((choice == batch.wanted).tolist())
    is_open_right = iter((open_logits.argmax(dim=1) == batch.open_wanted).tolist())
    point, compared = iter(log_odds.tolist()), iter(batch.comparisons(log_odds).tolist())
    judged = []
    for example in examples:
        open_targets = [target for target in example.targets if target.is_open]
        num_choices = len(example.targets) - len(open_targets)
        judged.append(
            JudgedExample(
                tuple(islice(point, num_choices)),
                tuple(islice(compared, len(example.verdicts))),
                all([*islice(is_right, num_choices), *islice(is_open_right, len(open_targets))]),
            )
        )
    return judged
