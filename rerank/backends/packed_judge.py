"""Judging with a transformers model: what prompts share is computed once, by layouts under a block mask.

    judge = PackedJudge(model, encoder, name="qwen", max_tokens=8192, attention="dense")
    for answers in judge.answer_log_odds(groups): ...        # pointwise and joint prompts
    for answers in judge.contest_log_odds(contests): ...     # encoded-once: programs, then any number of pairs

With dense attention (CPU) a group's prompts are a batch of their own: its numbers do not depend on other groups at all.
With flex (CUDA) groups fill packs of `max_tokens`, always padded to that length, so that the same matrix kernels run;
numbers then depend on the rest of the pack by rounding only. On out-of-memory `max_tokens` is halved, for good.
"""

import gc
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rerank import prompts
from rerank.backends import AnswerLogOdds, Contest, ContestLogOdds, block_mask, layouts
from rerank.backends.encoding import EncodedPrompt, PromptEncoder
from rerank.backends.layouts import Layout, Part
from rerank.errors import ModelError
from rerank.prompts import Prompt

_log = logging.getLogger(__name__)

_PAIR_TILE = 8  # programs: neighbouring verdicts look at few programs, so that FlexAttention skips the others


@dataclass(frozen=True, slots=True)
class _Group:
    """Encoded prompts of one problem, laid out in parts that fit a pass."""

    encoded: tuple[EncodedPrompt, ...]
    answer_ids: tuple[tuple[int, ...], ...]
    parts: tuple[tuple[Part, Layout], ...]

    @property
    def num_tokens(self) -> int:
        return sum(layout.num_tokens for _, layout in self.parts)

    def answers(self, log_odds: Sequence[float]) -> list[AnswerLogOdds]:
        """`log_odds` in the order of the parts' members; the answers in the order of the prompts."""
        found: dict[int, AnswerLogOdds] = {}
        values = iter(log_odds)
        for part, _ in self.parts:
            for index, num_new in zip(part.members, part.num_new, strict=True):
                prompt = self.encoded[index]
                found[index] = AnswerLogOdds(next(values), num_new, len(prompt.tokens) - num_new, prompt.reason)
        return [found[index] for index in range(len(self.encoded))]

    @property
    def ids_by_part(self) -> list[tuple[int, ...]]:
        return [self.answer_ids[index] for part, _ in self.parts for index in part.members]


class PackedJudge:
    """Reads verdicts off a causal model whose layers all have full attention (see `block_mask`)."""

    def __init__(
        self,
        model: Any,
        encoder: PromptEncoder,
        *,
        name: str,
        max_tokens: int,
        attention: block_mask.AttentionKind,
    ):
        block_mask.register()
        self._model, self._encoder, self._name = model, encoder, name
        self._max_tokens = max_tokens
        self._attention: block_mask.AttentionKind = attention

    def answer_log_odds(self, groups: Iterable[Sequence[Prompt]]) -> Iterator[list[AnswerLogOdds]]:
        for window in self._windows(groups, self._group):
            yield from self._retried(window, self._group, self._answer)

    def contest_log_odds(self, contests: Iterable[Contest]) -> Iterator[ContestLogOdds]:
        for window in self._windows(contests, lambda contest: self._linked(contest.prompts)):
            yield from self._retried(window, lambda contest: self._linked(contest.prompts), self._contend)

    # Windows: what is computed together

    def _windows(self, items: Iterable[Any], encode: Any) -> Iterator[list[Any]]:
        """With flex attention as many items as fit one pass, else one at a time."""
        window: list[Any] = []
        size = 0
        for item in items:
            length = 0
            if self._attention == "flex":
                length = encode(item).num_tokens
                if window and size + length > self._max_tokens:
                    yield window
                    window, size = [], 0
            elif window:
                yield window
                window = []
            window.append(item)
            size += length
        if window:
            yield window

    def _retried(self, window: list[Any], encode: Any, judge: Any) -> list[Any]:
        while True:
            try:
                with block_mask.running_packs(self._model):
                    return judge(window, [encode(item) for item in window])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                reached = error
            longest = max((len(prompt.tokens) for item in window for prompt in encode(item).encoded), default=0)
            if self._max_tokens <= max(longest, 2 * block_mask.TILE):
                raise ModelError(
                    f"{self._name}: not enough memory for one prompt of {longest} tokens; "
                    "take a smaller model or a larger machine"
                ) from reached
            self._max_tokens = max(block_mask.TILE, self._max_tokens // 2 // block_mask.TILE * block_mask.TILE)
            _log.warning("out of memory: at most %d tokens at a time from here on", self._max_tokens)
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    # Encoding

    def _group(self, asked: Sequence[Prompt]) -> _Group:
        encoded = tuple(self._encoder.encode(prompt) for prompt in asked)
        tokens = [prompt.tokens for prompt in encoded]
        split = layouts.parts(tokens, max_tokens=self._max_tokens)
        laid = tuple((part, layouts.tree([tokens[index] for index in part.members])) for part in split)
        return _Group(encoded, tuple(self._encoder.answer_ids(prompt.answers[:2]) for prompt in asked), laid)

    def _linked(self, asked: Sequence[Prompt]) -> _Group:
        """In one part, however large: a pair may be any two of its programs."""
        encoded = tuple(self._encoder.encode(prompt) for prompt in asked)
        tokens = [prompt.tokens for prompt in encoded]
        [part] = layouts.parts(tokens, max_tokens=sum(map(len, tokens))) if tokens else [Part((), ())]
        laid = layouts.linked(self._encoder, [encoded[at] for at in part.members])
        ids = tuple(self._encoder.answer_ids(prompt.answers[:2]) for prompt in asked)
        return _Group(encoded, ids, ((part, laid),) if tokens else ())

    # Passes

    @torch.inference_mode()
    def _answer(self, _window: Sequence[Any], groups: list[_Group]) -> list[list[AnswerLogOdds]]:
        states, _ = self._encode([layout for group in groups for _, layout in group.parts], keep=False)
        log_odds = iter(self._log_odds(states, [ids for group in groups for ids in group.ids_by_part]).tolist())
        return [group.answers([next(log_odds) for _ in group.encoded]) for group in groups]

    @torch.inference_mode()
    def _contend(self, contests: Sequence[Contest], groups: list[_Group]) -> list[ContestLogOdds]:
        laid = [layout for group in groups for _, layout in group.parts]
        states, memories = self._encode(laid, keep=True)
        log_odds = iter(self._log_odds(states, [ids for group in groups for ids in group.ids_by_part]).tolist())
        points = [group.answers([next(log_odds) for _ in group.encoded]) for group in groups]
        pairs = [
            contest.pairs([answer.log_odds or 0.0 for answer in own])
            for contest, own in zip(contests, points, strict=True)
        ]
        verdicts = self._verdicts(memories[0], groups, pairs) if any(pairs) else [[] for _ in groups]
        num_tokens = len(self._encoder(prompts.VERDICT))
        return [ContestLogOdds(*each, num_tokens * len(each[1])) for each in zip(points, pairs, verdicts, strict=True)]

    def _encode(self, laid: Sequence[Layout], *, keep: bool) -> tuple[torch.Tensor, list[block_mask.Memory]]:
        """States where prompts end, (prompts, hidden) float32, and with `keep` the keys and values of each pass."""
        states, memories = [], []
        for together in self._packs(laid):
            packed = block_mask.pack(
                together,
                device=self._model.device,
                num_tokens=self._padded(sum(layout.num_tokens for layout in together)),
                attention=self._attention,
                keep=keep,
            )
            hidden = block_mask.hidden_states(self._model, packed)
            states.append(hidden[torch.cat(packed.ends)].float())
            if packed.memory is not None:
                memories.append(packed.memory)
        return torch.cat(states) if states else torch.zeros(0, 0), memories

    def _packs(self, laid: Sequence[Layout]) -> Iterator[list[Layout]]:
        pack: list[Layout] = []
        size = 0
        for layout in laid:
            if pack and size + layout.num_tokens > self._max_tokens:
                yield pack
                pack, size = [], 0
            pack.append(layout)
            size += layout.num_tokens
        if pack:
            yield pack

    def _padded(self, num_tokens: int) -> int | None:
        """Few lengths, since FlexAttention compiles for each."""
        if self._attention == "dense":
            return None
        if num_tokens > self._max_tokens:
            step = max(self._max_tokens // 4, 1)
            num_tokens = -(-num_tokens // step) * step
        return -(-max(num_tokens, self._max_tokens) // block_mask.TILE) * block_mask.TILE

    def _verdicts(
        self, memory: block_mask.Memory, groups: Sequence[_Group], pairs: Sequence[Sequence[tuple[int, int]]]
    ) -> list[list[float]]:
        """f(a, b) for each ordered pair of each group: its A against its B."""
        question = self._encoder(prompts.VERDICT)
        ids = self._encoder.answer_ids(prompts.PAIRWISE.answers)
        most = max(1, self._max_tokens // len(question))  # pairs of a pass
        asked: list[tuple[int, np.ndarray, np.ndarray]] = []  # layout, pairs by place, where they stand in `pairs`
        number = 0
        for group, own in zip(groups, pairs, strict=True):
            place = np.empty(len(group.encoded), dtype=np.int64)
            place[[index for part, _ in group.parts for index in part.members]] = np.arange(len(group.encoded))
            table = place[np.array(own, dtype=np.int64).reshape(-1, 2)]
            order = np.lexsort((table[:, 1], table[:, 0], table[:, 1] // _PAIR_TILE, table[:, 0] // _PAIR_TILE))
            asked.append((number, table[order], order))
            number += len(group.parts)
        found = [np.zeros(len(own)) for own in pairs]
        pieces: list[tuple[torch.Tensor, list[tuple[int, np.ndarray]]]] = []
        for taken in _take(asked, most):
            packed = block_mask.verdict_pack(
                memory,
                [(asked[at][0], asked[at][1][slice_]) for at, slice_ in taken],
                question=question,
                num_tokens=self._padded(0),
            )
            states = block_mask.hidden_states(self._model, packed)[packed.ends].float()
            log_odds = self._log_odds(states, [ids] * len(states))
            pieces.append((log_odds, [(at, asked[at][2][slice_]) for at, slice_ in taken]))
        for log_odds, places in pieces:  # read only now, so that the device is never waited for in between
            values, done = log_odds.cpu().numpy(), 0
            for at, where in places:
                found[at][where] = values[done : done + len(where)]
                done += len(where)
        return [values.tolist() for values in found]

    def _log_odds(self, states: torch.Tensor, answer_ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logit of each state's first answer less that of its second: (states, hidden) to (states,)."""
        if not len(states):
            return torch.zeros(0)
        columns = sorted({token for ids in answer_ids for token in ids})
        logits = block_mask.answer_logits(self._model, states, torch.tensor(columns, device=states.device))
        at = torch.tensor([[columns.index(token) for token in ids] for ids in answer_ids], device=states.device)
        first, second = logits.gather(1, at).unbind(dim=1)
        return first - second


def _take(asked: Sequence[tuple[int, np.ndarray, np.ndarray]], most: int) -> Iterator[list[tuple[int, slice]]]:
    """Cut the pairs of all groups into passes of at most `most` pairs: (group, its slice)."""
    taken: list[tuple[int, slice]] = []
    room = most
    for at, (_, table, _) in enumerate(asked):
        start = 0
        while start < len(table):
            stop = min(len(table), start + room)
            taken.append((at, slice(start, stop)))
            room -= stop - start
            start = stop
            if not room:
                yield taken
                taken, room = [], most
    if taken:
        yield taken


def is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
