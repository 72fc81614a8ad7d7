"""Judging with a transformers model: what prompts share is computed once, by layouts under a block mask.

    judge = PackedJudge(model, encoder, name="qwen", max_tokens=8192, attention="dense")
    for answers in judge.answer_log_odds(groups): ...        # pointwise and joint prompts
    for answers in judge.contest_log_odds(contests): ...     # encoded-once: programs, then any number of pairs

With dense attention (CPU) a group's prompts are a batch of their own: its numbers do not depend on other groups at all.
With flex (CUDA) groups fill packs of `max_tokens`, and the pairs of several packs are asked together. Their numbers do
not depend on one another either: every pass has one length, each group begins where a tile of FlexAttention does, and
no question lies across the tokens that a matrix instruction adds up at once. The device is given a pack to read before
the one ahead of it is looked at, so that it does not wait for the host. On out-of-memory `max_tokens` is halved, for
good.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch

from rerank import prompts
from rerank.backends.batching import ahead, filled, free_memory, is_out_of_memory
from rerank.backends.encoding import EncodedPrompt, PromptEncoder
from rerank.backends.hf import block_mask, layouts
from rerank.backends.hf.graphs import GraphedPasses
from rerank.backends.hf.layouts import Layout, Part
from rerank.backends.interface import AnswerLogOdds, Contest, ContestLogOdds
from rerank.errors import ModelError
from rerank.prompts import Prompt

_log = logging.getLogger(__name__)

_SUMMED = 16  # keys whose values a matrix instruction adds up at once, in no order of their own
_PAIR_TILE = 8  # programs: neighbouring verdicts look at few programs, so that FlexAttention skips the others
_ITEMS_AHEAD = 64  # that are laid out before they are wanted: some packs
_DENSE_QUESTION_TOKENS = 2048  # asked in one pass with dense attention, whatever `max_tokens` is
_PACKS_ASKED = 4  # read packs whose pairs are asked together, with flex: a few long passes instead of many short ones


@dataclass(frozen=True, slots=True)
class _Group:
    """Encoded prompts of one problem, laid out in parts that fit a pass."""

    encoded: tuple[EncodedPrompt, ...]
    answer_ids: tuple[tuple[int, ...], ...]
    parts: tuple[tuple[Part, Layout], ...]
    max_tokens: int  # that a pass had when the parts were made

    @property
    def num_tokens(self) -> int:
        return sum(layout.num_tokens for _, layout in self.parts)

    @property
    def num_link_tokens(self) -> int:
        """Tokens of the layout that no prompt pays for."""
        return self.num_tokens - sum(sum(part.num_new) for part, _ in self.parts)

    def answers(self, log_odds: Iterator[float]) -> list[AnswerLogOdds]:
        """The next of `log_odds`, in the order of the parts' members, as answers in the order of the prompts."""
        found: dict[int, AnswerLogOdds] = {}
        for part, _ in self.parts:
            for index, num_new in zip(part.members, part.num_new, strict=True):
                prompt = self.encoded[index]
                found[index] = AnswerLogOdds(next(log_odds), num_new, len(prompt.tokens) - num_new, prompt.reason)
        return [found[index] for index in range(len(self.encoded))]

    @property
    def ids_by_part(self) -> list[tuple[int, ...]]:
        return [self.answer_ids[index] for part, _ in self.parts for index in part.members]

    def places(self, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
        """Pairs of prompts as pairs of members of the parts: (pairs, 2)."""
        place = np.empty(len(self.encoded), dtype=np.int64)
        place[[index for part, _ in self.parts for index in part.members]] = np.arange(len(self.encoded))
        return place[np.array(pairs, dtype=np.int64).reshape(-1, 2)]


_Pack = list[tuple[Any, _Group]]  # items with their layouts, read in one pass where they fit


class _Coming:
    """Numbers on their way from the device."""

    def __init__(self, values: torch.Tensor):
        self._values = values.to("cpu", non_blocking=True)
        self._sent = torch.cuda.Event() if values.is_cuda else None
        if self._sent:
            self._sent.record(torch.cuda.current_stream(values.device))

    def wait(self) -> np.ndarray:
        if self._sent:
            self._sent.synchronize()
        return self._values.numpy()


@dataclass(frozen=True, slots=True)
class _Reading:
    """A pack that the device is reading, or has read."""

    pack: _Pack
    points: _Coming  # log-odds of each group's parts' members
    kept: list[block_mask.Kept]

    def answers(self) -> list[list[AnswerLogOdds]]:
        log_odds = iter(self.points.wait().tolist())
        return [group.answers(log_odds) for _, group in self.pack]


_Collect = Callable[[], list[Any]]  # waits for the results of what was asked, one an item


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
        self._passes = GraphedPasses(model)
        self._max_tokens = max_tokens
        if attention == "flex":
            self._max_tokens = max(block_mask.TILE, max_tokens // block_mask.TILE * block_mask.TILE)
        self._attention: block_mask.AttentionKind = attention
        self._step, self._question_step = (1, 1) if attention == "dense" else (block_mask.TILE, _SUMMED)

    def answer_log_odds(self, groups: Iterable[Sequence[Prompt]]) -> Iterator[list[AnswerLogOdds]]:
        return self._each(groups, self._group, self._answer, num_packs=1)

    def contest_log_odds(self, contests: Iterable[Contest]) -> Iterator[ContestLogOdds]:
        num_packs = 1 if self._attention == "dense" else _PACKS_ASKED
        return self._each(contests, self._linked, self._contend, num_packs=num_packs)

    # The order of passes

    @torch.inference_mode()
    def _each(
        self,
        items: Iterable[Any],
        lay_out: Callable[[Any], _Group],
        ask: Callable[[Sequence[_Reading]], _Collect],
        *,
        num_packs: int,
    ) -> Iterator[Any]:
        """Read packs of items, ask about `num_packs` at a time, collect the results; in the order of the items.

        With flex each of the three comes a pack later than it could, so that the device always has work queued. When
        memory runs out, what was asked is collected and what was only read is read again in smaller passes.
        """
        num_ahead = 0 if self._attention == "dense" else 1
        held: list[_Pack] = []  # read, or to be read, and not asked yet
        reading: list[_Reading] = []
        asked: deque[_Collect] = deque()
        for pack in chain(self._packs(items, lay_out), [None]):
            reached = None
            try:
                if pack is not None:
                    # Laid out ahead, maybe for longer passes than memory turned out to hold.
                    pack = [
                        (item, group if group.max_tokens == self._max_tokens else lay_out(item)) for item, group in pack
                    ]
                    held.append(pack)
                    reading.append(self._read(pack))
                ready = len(reading) if pack is None else len(reading) - num_ahead
                if ready >= num_packs or (ready and pack is None):
                    asked.append(ask(reading[:ready]))
                    del reading[:ready], held[:ready]
            except RuntimeError as error:
                reached = _out_of_memory(error)
            while len(asked) > (0 if reached or pack is None else num_ahead):
                yield from asked.popleft()()
            if reached:
                again = [entry for each in held for entry in each]
                held.clear()
                reading.clear()
                self._halve([group for _, group in again], reached)
                for item, _ in again:
                    yield from self._alone(item, lay_out, ask)

    def _alone(
        self, item: Any, lay_out: Callable[[Any], _Group], ask: Callable[[Sequence[_Reading]], _Collect]
    ) -> list[Any]:
        """One item by itself, in passes as small as it takes."""
        while True:
            group = lay_out(item)
            try:
                return ask([self._read([(item, group)])])()
            except RuntimeError as error:
                reached = _out_of_memory(error)
            self._halve([group], reached)

    def _halve(self, groups: Sequence[_Group], reached: RuntimeError) -> None:
        longest = max((len(prompt.tokens) for group in groups for prompt in group.encoded), default=0)
        if self._max_tokens <= max(longest, 2 * block_mask.TILE):
            raise ModelError(
                f"{self._name}: not enough memory for one prompt of {longest} tokens; "
                "take a smaller model or a larger machine"
            ) from reached
        self._passes.clear()
        self._max_tokens = max(block_mask.TILE, self._max_tokens // 2 // block_mask.TILE * block_mask.TILE)
        _log.warning("out of memory: at most %d tokens at a time from here on", self._max_tokens)
        free_memory()

    def _packs(self, items: Iterable[Any], lay_out: Callable[[Any], _Group]) -> Iterator[_Pack]:
        """With flex attention as many items as fit one pass, else one at a time; each with its layouts.

        Texts are tokenised and laid out while the device runs and the main thread looks after it.
        """
        laid = ahead(items, lay_out, most=0 if self._attention == "dense" else _ITEMS_AHEAD)
        return filled(
            laid,
            size=lambda entry: sum(self._room(layout) for _, layout in entry[1].parts),
            limit=lambda: -1 if self._attention == "dense" else self._max_tokens,
        )

    # Encoding

    def _group(self, asked: Sequence[Prompt]) -> _Group:
        encoded, max_tokens = tuple(self._encoder.encode_all(asked)), self._max_tokens
        tokens = [prompt.tokens for prompt in encoded]
        split = layouts.parts(tokens, max_tokens=max_tokens)
        laid = tuple((part, layouts.tree([tokens[index] for index in part.members])) for part in split)
        ids = tuple(self._encoder.answer_ids(prompt.answers[:2]) for prompt in asked)
        return _Group(encoded, ids, laid, max_tokens)

    def _linked(self, contest: Contest) -> _Group:
        """In one part, however large: a pair may be any two of its programs."""
        asked = contest.prompts
        encoded = tuple(self._encoder.encode_all(asked))
        tokens = [prompt.tokens for prompt in encoded]
        [part] = layouts.parts(tokens, max_tokens=sum(map(len, tokens))) if tokens else [Part((), ())]
        laid = layouts.linked(self._encoder, [encoded[at] for at in part.members])
        ids = tuple(self._encoder.answer_ids(prompt.answers[:2]) for prompt in asked)
        return _Group(encoded, ids, ((part, laid),) if tokens else (), self._max_tokens)

    # Passes

    def _run(self, packed: block_mask.Pack, at: torch.Tensor) -> torch.Tensor:
        """States of some tokens: (tokens, hidden) float32."""
        with block_mask.running_packs(self._model):
            return self._passes(packed)[at].float()

    def _read(self, pack: _Pack) -> _Reading:
        states, kept = [], []
        laid = (layout for _, group in pack for _, layout in group.parts)
        for together in filled(laid, size=self._room, limit=lambda: self._max_tokens):
            packed = block_mask.pack(
                together,
                device=self._model.device,
                num_tokens=self._padded(sum(map(self._room, together))),
                attention=self._attention,
                keep=any(layout.links for layout in together),
                step=self._step,
            )
            states.append(self._run(packed, torch.cat(packed.ends)))
            if packed.kept is not None:
                kept.append(packed.kept)
        ids = [ids for _, group in pack for ids in group.ids_by_part]
        log_odds = self._log_odds(torch.cat(states), ids) if states else torch.zeros(0)
        return _Reading(pack, _Coming(log_odds), kept)

    def _answer(self, reading: Sequence[_Reading]) -> _Collect:
        return lambda: [answers for each in reading for answers in each.answers()]

    def _contend(self, reading: Sequence[_Reading]) -> _Collect:
        points = [answers for each in reading for answers in each.answers()]
        contests: list[Contest] = [contest for each in reading for contest, _ in each.pack]
        groups = [group for each in reading for _, group in each.pack]
        pairs = [
            contest.pairs([answer.log_odds or 0.0 for answer in own])
            for contest, own in zip(contests, points, strict=True)
        ]
        coming = self._verdicts([kept for each in reading for kept in each.kept], groups, pairs)
        num_tokens = len(self._encoder(prompts.VERDICT))

        def collect() -> list[ContestLogOdds]:
            verdicts = [np.zeros(len(own)) for own in pairs]
            for values, places in coming:
                done = 0
                for at, where in places:
                    verdicts[at][where] = values.wait()[done : done + len(where)]
                    done += len(where)
            return [
                ContestLogOdds(own, asked, found.tolist(), group.num_link_tokens + num_tokens * len(asked))
                for own, asked, found, group in zip(points, pairs, verdicts, groups, strict=True)
            ]

        return collect

    def _room(self, layout: Layout) -> int:
        return _stepped(layout.num_tokens, self._step)

    def _padded(self, num_tokens: int) -> int | None:
        """One length: matrix products of another add up in another order, and FlexAttention compiles for each."""
        return _stepped(num_tokens, self._max_tokens) if self._attention == "flex" else None

    def _verdicts(
        self,
        kept: Sequence[block_mask.Kept],
        groups: Sequence[_Group],
        pairs: Sequence[Sequence[tuple[int, int]]],
    ) -> list[tuple[_Coming, list[tuple[int, np.ndarray]]]]:
        """f(a, b) of ordered pairs, pass by pass: its A against its B, and which pairs of which groups these are."""
        question = self._encoder(prompts.VERDICT)
        ids = self._encoder.answer_ids(prompts.PAIRWISE.answers)
        asked: list[tuple[int, np.ndarray, np.ndarray]] = []  # layout, pairs by place, where they stand in `pairs`
        number = 0
        for group, own in zip(groups, pairs, strict=True):
            table = group.places(own)
            order = np.lexsort((table[:, 1], table[:, 0], table[:, 1] // _PAIR_TILE, table[:, 0] // _PAIR_TILE))
            asked.append((number, table[order], order))
            number += len(group.parts)
        coming = []
        num_kept = sum(len(part.until) for part in kept)
        is_flex = self._attention == "flex"
        length, step = len(question), self._question_step
        # A float32 product of few rows takes another kernel on some processors, so where the passes are cut moves the
        # last bits: with dense attention they are cut in one way, at any `max_tokens`. These passes are small.
        room = self._max_tokens if is_flex else _DENSE_QUESTION_TOKENS
        for taken in _take(asked, max(1, block_mask.num_questions(room, length, step))):
            num_asked = sum(slice_.stop - slice_.start for _, slice_ in taken)
            packed = block_mask.ask(
                kept,
                [(asked[at][0], asked[at][1][slice_]) for at, slice_ in taken],
                question=question,
                attention=self._attention,
                num_tokens=self._padded(block_mask.question_tokens(num_asked, length, step)),
                num_kept=_stepped(num_kept, _PACKS_ASKED * self._max_tokens) if is_flex else None,
                step=step,
            )
            [ends] = packed.verdicts
            values = _Coming(self._log_odds(self._run(packed, ends), [ids]))
            coming.append((values, [(at, asked[at][2][slice_]) for at, slice_ in taken]))
        return coming

    def _log_odds(self, states: torch.Tensor, answer_ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Logit of each state's first answer less that of its second: (states, hidden) to (states,).

        `answer_ids` has an entry a state, or one for all.
        """
        columns = sorted({token for ids in answer_ids for token in ids})
        device = states.device
        # A product's rounding hangs on how many rows it has; in float64, rounded once, nothing of that is left.
        states = states.double() if self._attention == "flex" else states
        logits = block_mask.answer_logits(self._model, states, block_mask.moved(np.array(columns, np.int64), device))
        place = {token: at for at, token in enumerate(columns)}
        sides = np.array([[place[token] for token in ids] for ids in answer_ids], dtype=np.int64)
        first, second = logits.gather(1, block_mask.moved(sides, device).expand(len(states), 2)).unbind(dim=1)
        return (first - second).float()


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


def _stepped(num_tokens: int, step: int) -> int:
    """The next multiple of a step."""
    return -(-num_tokens // step) * step


def _out_of_memory(error: RuntimeError) -> RuntimeError:
    """The error without its frames, which hold what filled the memory; raises it where memory is not its cause."""
    if not is_out_of_memory(error):
        raise error
    return error.with_traceback(None)
