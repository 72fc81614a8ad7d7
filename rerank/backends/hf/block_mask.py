"""Run layouts: many problems in one packed sequence under a block mask, with the positions that the layouts give.

    packed = pack([layout_1, layout_2], device="cuda", num_tokens=8192)
    hidden = hidden_states(model, packed)                             # (tokens, hidden)
    logits = answer_logits(model, hidden[packed.ends[0]], answers)    # (prompts of layout_1, answers)

Verdicts on pairs may stand in the layout (training), or come afterwards as questions to the keys and values that passes
kept, any number of them a pass (inference):

    packed = pack([layout_1, layout_2], device="cuda", keep=True)
    hidden_states(model, packed)
    questions = ask([packed], [pairs_of_1, pairs_of_2], question=tokens)
    hidden = hidden_states(model, questions)                          # (tokens, hidden), len(question) tokens a pair

The mask is one number a token. Blocks stand depth first, so query q attends to key k where k <= q < until[k], the end
of the subtree that k's block begins. A verdict attends to two more paths, each named by the last token on it: where
k <= path < until[k].

Two ways to the same attention: `dense`, PyTorch's scaled dot product, one layout at a time under its own mask (any
device; layouts never see each other, so nothing is computed between them); and `flex`, compiled FlexAttention over the
whole pack, which skips the empty tiles (CUDA; packs of one fixed length, else it compiles anew). In packs of one length
that begin each layout at a tile, a score does not depend on what else is packed by a single bit.

Not for models with sliding windows, attention sinks or soft-capped logits: they are refused.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from transformers import AttentionInterface, AutoModelForCausalLM

from rerank.backends.hf.layouts import Block, Layout
from rerank.errors import ModelError
from rerank.models.fused import fuse

AttentionKind = Literal["dense", "flex"]
IMPLEMENTATION = "rerank_block_mask"  # the name under which transformers calls `_attention`
TILE = 64  # tokens; FlexAttention skips a tile of the mask where nothing may be seen
_LEARNING_TILE = 128  # where gradients are wanted: what FlexAttention's backward kernels take
_DENSE_ROWS = 4096  # tokens whose dense mask is made at a time: its memory grows with the length, not with the square
_BRANCH = 128  # tokens; smaller branches of a layout are computed together by dense attention
_FAR = np.iinfo(np.int32).max


@dataclass(frozen=True, slots=True)
class Mask:
    """Which keys a query attends to; the queries' own keys are the last ones. int32, on the model's device."""

    until: torch.Tensor  # (keys,)
    own: torch.Tensor  # (queries,) each query's place among the keys
    # (queries,) each: the last token of either path of a verdict, -1 for a query that has none
    paths: tuple[torch.Tensor, torch.Tensor] | None = None

    @property
    def rule(self) -> Callable[[Any, Any, Any, Any], torch.Tensor]:
        """A FlexAttention `mask_mod`: (batch, head, query, key) to whether the query attends to the key."""
        until, own, paths = self.until, self.own, self.paths

        def visible(_batch: Any, _head: Any, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
            at, end = own[query], until[key]
            seen = (key <= at) & (at < end)
            if paths is not None:
                first, second = paths[0][query], paths[1][query]
                seen = seen | ((key <= first) & (first < end)) | ((key <= second) & (second < end))
            return seen

        return visible

    def tiles(self, size: int = TILE) -> BlockMask:
        """The rule and the tiles where it says anything, found without a table of queries and keys."""
        num_queries, num_keys = len(self.own), len(self.until)
        if num_queries % size or num_keys % size:
            raise ValueError(f"FlexAttention's packs are multiples of {size} tokens, not {num_queries} and {num_keys}")
        until, own = self.until.view(-1, size), self.own.view(-1, size)
        longest, shortest = until.amax(dim=1), until.amin(dim=1)  # (tiles of keys,)
        begin = torch.arange(0, num_keys, size, device=until.device)
        first, last = own[:, :1], own[:, -1:]  # (tiles of queries, 1)
        some = (begin <= last) & (longest > first)
        # Nothing hidden, and wholly earlier: no token needs its own test. The diagonal is always partial.
        full = (begin + size <= first) & (shortest > last)
        for path in self.paths or ():
            # What lies between a tile's first path and its last is taken in: neighbours ask about neighbours.
            ends = path.view(-1, size)
            low = ends.masked_fill(ends < 0, _FAR).amin(dim=1, keepdim=True)
            some |= (begin <= ends.amax(dim=1, keepdim=True)) & (longest > low)
        return BlockMask.from_kv_blocks(
            *_tiles(some & ~full),
            *_tiles(full),
            BLOCK_SIZE=size,
            mask_mod=self.rule,
            seq_lengths=(num_queries, num_keys),
        )


@dataclass(frozen=True, slots=True)
class Span:
    """Queries that see nothing but some runs of keys: what dense attention computes at a time."""

    queries: slice
    keys: tuple[slice, ...]


@dataclass(slots=True)
class Kept:
    """Keys and values of a pass by layer, (1, key heads, tokens, size) each, and where its programs are."""

    until: torch.Tensor  # (tokens,)
    spans: tuple[tuple[int, int], ...]  # of each layout: its first token and the one past its last
    links: tuple[np.ndarray, ...]  # of each layout: (programs, 2) last tokens of their two links
    stops: tuple[np.ndarray, ...]  # of each layout: (programs,) the position after its links
    layers: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list, repr=False)


@dataclass(frozen=True, slots=True)
class Memory:
    """What several passes kept, side by side, padded to `num_tokens` tokens: FlexAttention compiles for each length."""

    parts: tuple[Kept, ...]
    num_tokens: int

    @property
    def num_padding(self) -> int:
        return self.num_tokens - sum(len(part.until) for part in self.parts)

    def before(self, layer: int, new: tuple[torch.Tensor, torch.Tensor]) -> Iterator[torch.Tensor]:
        """Keys, then values, with the new ones last: (1, key heads, num_tokens + new tokens, size)."""
        for kept, own in zip(zip(*(part.layers[layer] for part in self.parts), strict=True), new, strict=True):
            padding = own.new_zeros((*own.shape[:2], self.num_padding, own.shape[3]))
            yield torch.cat([*kept, padding, own], dim=2)


@dataclass(slots=True)
class Pack:
    """Tokens of one pass. Tensors are on the model's device."""

    input_ids: torch.Tensor  # (1, tokens) int64
    position_ids: torch.Tensor  # (1, tokens) int64
    mask: Mask
    spans: tuple[Span, ...]  # for dense attention only
    ends: tuple[torch.Tensor, ...]  # (prompts,) of each layout: the tokens where its prompts are answered
    verdicts: tuple[torch.Tensor, ...]  # (ordered pairs,) of each layout
    firsts: tuple[tuple[int, ...], ...]  # of each layout: the first token of each block
    attention: AttentionKind
    kept: Kept | None = None  # filled by the pass that runs this pack
    memory: Memory | None = None  # what stands before it
    _masks: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def num_tokens(self) -> int:
        return self.input_ids.shape[1]

    @property
    def inputs(self) -> list[torch.Tensor]:
        """What differs between packs of one shape, the memory left out."""
        return [self.input_ids, self.position_ids, self.mask.until, *(self.mask.paths or ())]

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> Any:
        """(1, heads, tokens, size) each, fewer heads in key and value: what the tokens take from one another."""
        if self.kept is not None:
            self.kept.layers.append((key, value))
        if self.memory is not None:
            key, value = self.memory.before(layer, (key, value))
        if self.attention == "flex":
            size = _LEARNING_TILE if query.requires_grad else TILE
            if size not in self._masks:
                self._masks[size] = self.mask.tiles(size)
            return _flex()(
                query,
                key,
                value,
                block_mask=self._masks[size],
                scale=scale,
                enable_gqa=query.shape[1] != key.shape[1],
                # Left to itself it takes tiles of 128, and the rule of verdicts no longer fits its registers: on an
                # H200 1.8 ms instead of 0.4, and 0.17 instead of 0.14 for a pass that reads.
                kernel_options=None if query.requires_grad else {"BLOCK_M": TILE, "BLOCK_N": TILE},
            )
        parts = []
        for span in self.spans:
            k, v = (_for_each_head(query, _taken(tensor, span.keys)) for tensor in (key, value))
            mask = self._dense_mask(span, query.dtype)
            parts.append(F.scaled_dot_product_attention(query[:, :, span.queries], k, v, attn_mask=mask, scale=scale))
        return torch.cat(parts, dim=2)

    def _dense_mask(self, span: Span, dtype: torch.dtype) -> torch.Tensor:
        """What to add to a span's attention scores, 0 or -inf: (1, 1, queries, keys)."""
        name = (span.queries.start, dtype)
        if name not in self._masks:
            device = self.mask.until.device
            keys = torch.cat([torch.arange(run.start, run.stop, device=device) for run in span.keys])
            queries = torch.arange(span.queries.start, span.queries.stop, device=device)
            hidden = ~self.mask.rule(0, 0, queries[:, None], keys[None, :])
            additive = torch.zeros(hidden.shape, dtype=dtype, device=device).masked_fill_(hidden, -torch.inf)
            self._masks[name] = additive[None, None]
        return self._masks[name]


def pack(
    layouts: Sequence[Layout],
    *,
    device: torch.device | str = "cpu",
    num_tokens: int | None = None,
    attention: AttentionKind = "dense",
    keep: bool = False,
    step: int = 1,
) -> Pack:
    """Put layouts side by side, with flex each at a multiple of `step` and the whole padded to `num_tokens`.

    A token of the padding sees itself alone, so that no row of the mask is empty. With `keep` the pass that runs the
    pack leaves its keys and values in `kept`.
    """
    blocks = [block for layout in layouts for block in layout.blocks]
    bases = np.cumsum([0, *(len(layout.blocks) for layout in layouts)])  # each layout's first block
    lengths = np.fromiter((len(block.tokens) for block in blocks), np.int64, len(blocks))
    totals = np.fromiter((layout.num_tokens for layout in layouts), np.int64, len(layouts))
    padding = -totals % step  # behind each layout
    gaps = np.cumsum(padding) - padding  # before it, altogether
    stops = np.cumsum(lengths) + np.repeat(gaps, np.diff(bases))  # one past each block's last token
    begins = stops - lengths
    used = int((totals + padding).sum())
    size = max(used, num_tokens or 0)
    at = np.arange(totals.sum()) + np.repeat(gaps, totals)  # where the layouts' tokens stand
    ids, positions = np.zeros((2, size), np.int64)
    ids[at] = np.fromiter(chain.from_iterable(block.tokens for block in blocks), np.int64, len(at))
    first_positions = np.fromiter((block.start for block in blocks), np.int64, len(blocks))
    positions[at] = at + np.repeat(first_positions - begins, lengths)

    last_blocks = np.arange(len(blocks))  # of each block's subtree
    joined: list[tuple[int, int, int]] = []  # blocks with two parents
    for layout, base in zip(layouts, bases.tolist(), strict=False):
        for number in reversed(range(len(layout.blocks))):
            parents = layout.blocks[number].parents
            if len(parents) == 1:
                above = base + parents[0]
                last_blocks[above] = max(last_blocks[above], last_blocks[base + number])
            elif parents:
                joined.append((base + number, base + parents[0], base + parents[1]))
    until = np.arange(1, size + 1, dtype=np.int32)
    until[at] = np.repeat(stops[last_blocks], lengths)
    paths = None
    if joined:
        found = np.full((2, size), -1, np.int32)
        for number, first, second in joined:
            found[:, begins[number] : stops[number]] = [[stops[first] - 1], [stops[second] - 1]]
        paths = (moved(found[0], device), moved(found[1], device))

    def last_tokens(base: int, chosen: Sequence[int] | Sequence[tuple[int, int]]) -> np.ndarray:
        return stops[np.array(chosen, dtype=np.int64) + base] - 1

    runs = [(int(begins[b]), int(stops[e - 1])) for b, e in pairwise(bases) if e > b]
    spans: list[Span] = []
    if attention == "dense":
        tree = list(zip(begins.tolist(), stops.tolist(), last_blocks.tolist(), strict=True))
        for b, e in pairwise(bases.tolist()):
            spans += _rows(tree[b][0], tree[e - 1][1]) if joined and e > b else _branches(tree, b, e)
        spans += _rows(used, size)
    packed = Pack(
        input_ids=moved(ids, device)[None],
        position_ids=moved(positions, device)[None],
        mask=Mask(moved(until, device), torch.arange(size, dtype=torch.int32, device=device), paths),
        spans=tuple(spans),
        ends=tuple(moved(last_tokens(b, each.ends), device) for each, b in zip(layouts, bases, strict=False)),
        verdicts=tuple(moved(last_tokens(b, each.verdicts), device) for each, b in zip(layouts, bases, strict=False)),
        firsts=tuple(tuple(begins[b:e].tolist()) for b, e in pairwise(bases)),
        attention=attention,
    )
    if keep:
        links = tuple(last_tokens(b, each.links).reshape(-1, 2) for each, b in zip(layouts, bases, strict=False))
        after = [[max(each.blocks[a].stop, each.blocks[b].stop) for a, b in each.links] for each in layouts]
        packed.kept = Kept(packed.mask.until, tuple(runs), links, tuple(np.array(each, np.int64) for each in after))
    return packed


def ask(
    kept: Sequence[Kept],
    asked: Sequence[tuple[int, np.ndarray]],
    *,
    question: Sequence[int],
    attention: AttentionKind = "dense",
    num_tokens: int | None = None,
    num_kept: int | None = None,
    step: int = 1,
) -> Pack:
    """Ask `question` about ordered pairs: a pack whose one entry of `verdicts` has an end a pair.

    Each entry of `asked` is the number of a layout, counted over all that was kept, and pairs (n, 2) of its programs.
    With flex no question lies across a multiple of `step` that it could keep to one side of (see `question_tokens`),
    the questions are padded to `num_tokens` and the memory to `num_kept` tokens.
    """
    device, length = kept[0].until.device, len(question)
    offsets = np.cumsum([0, *(len(part.until) for part in kept)])
    num_memory = max(int(offsets[-1]), num_kept or 0)
    links = [own + offset for part, offset in zip(kept, offsets, strict=False) for own in part.links]
    stops = [own for part in kept for own in part.stops]
    runs = [
        slice(int(first + offset), int(last + offset))
        for part, offset in zip(kept, offsets, strict=False)
        for first, last in part.spans
    ]
    num_pairs = sum(len(pairs) for _, pairs in asked)
    group, width = _questions_together(length, step)
    begins = np.arange(num_pairs) // group * width + np.arange(num_pairs) % group * length
    used = question_tokens(num_pairs, length, step)
    size = max(used, num_tokens or 0)
    at = begins[:, None] + np.arange(length)  # (pairs, length) where the questions' tokens stand
    ids, positions = np.zeros((2, size), np.int64)
    paths = np.full((2, size), -1, np.int32)
    ids[at] = question
    until = np.arange(num_memory + 1, num_memory + size + 1, dtype=np.int32)
    until[at] = num_memory + at[:, -1:] + 1
    spans, done = [], 0
    for number, pairs in asked:
        own = at[done : done + len(pairs)]
        for side, path in enumerate(paths):
            path[own] = links[number][pairs[:, side], side][:, None]
        positions[own] = stops[number][pairs].max(axis=1)[:, None] + np.arange(length)
        if len(own):
            rows = slice(int(own[0, 0]), int(own[-1, -1]) + 1)
            spans.append(Span(rows, (runs[number], slice(num_memory + rows.start, num_memory + rows.stop))))
        done += len(pairs)
    spans += _rows(used, size, before=num_memory)
    first, second = (moved(path, device) for path in paths)
    seen_until = [part.until + int(offset) for part, offset in zip(kept, offsets, strict=False)]
    seen_until.append(torch.zeros(num_memory - int(offsets[-1]), dtype=torch.int32, device=device))  # by nobody
    return Pack(
        moved(ids, device)[None],
        moved(positions, device)[None],
        Mask(
            torch.cat([*seen_until, moved(until, device)]),
            torch.arange(num_memory, num_memory + size, dtype=torch.int32, device=device),
            (first, second),
        ),
        tuple(spans),
        ends=(),
        verdicts=(moved(at[:, -1], device),),
        firsts=(),
        attention=attention,
        memory=Memory(tuple(kept), num_memory),
    )


def question_tokens(num_questions: int, length: int, step: int) -> int:
    """The room that `ask` takes for questions."""
    group, width = _questions_together(length, step)
    return -(-num_questions // group) * width


def num_questions(room: int, length: int, step: int) -> int:
    """How many questions `ask` puts into that many tokens."""
    group, width = _questions_together(length, step)
    return room // width * group


def _questions_together(length: int, step: int) -> tuple[int, int]:
    """How many questions stand side by side, and the multiple of `step` that they fill."""
    return max(1, step // length), -(-length // step) * step


def register() -> None:
    """Make IMPLEMENTATION known to transformers."""
    AttentionInterface.register(IMPLEMENTATION, _attention)
    if torch.cuda.is_available():
        torch.backends.cuda.enable_cudnn_sdp(False)  # NaN gradients under masks with padding: PyTorch 2.11, H100


def load(base: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Any:
    """A causal language model from a folder or the hub, with the attention that runs packs and nothing else."""
    register()
    model: Any = AutoModelForCausalLM.from_pretrained(str(base), dtype=dtype, attn_implementation=IMPLEMENTATION)
    layer_types = getattr(model.config.get_text_config(), "layer_types", None) or ()
    if set(layer_types) - {"full_attention"}:
        raise ModelError(
            f"{base}: has layers of type {', '.join(sorted(set(layer_types)))}; a block mask needs full ones"
        )
    model = model.to(device)
    if model.device.type == "cuda":
        fuse(model)
    return model


@contextmanager
def running_packs(model: Any) -> Iterator[None]:
    """Lend the attention that runs packs to a model that was loaded with another, for a while."""
    # The layers read it here; set_attn_implementation walks all modules each time.
    before = model.config._attn_implementation
    model.config._attn_implementation = IMPLEMENTATION
    try:
        yield
    finally:
        model.config._attn_implementation = before


def hidden_states(model: Any, packed: Pack) -> torch.Tensor:
    """The last hidden state of each token: (tokens, hidden). `model` may carry an adapter."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    output = causal.get_decoder()(
        input_ids=packed.input_ids, position_ids=packed.position_ids, use_cache=False, packed=packed
    )
    return output.last_hidden_state[0]


def answer_logits(model: Any, hidden: torch.Tensor, answers: torch.Tensor | None = None) -> torch.Tensor:
    """Logits of some tokens, or of the whole vocabulary: (positions, hidden) to (positions, answers).

    In float32, or in float64 where the states are. Only the head's rows for those answers are multiplied, so a verdict
    does not cost a vocabulary.
    """
    head = model.get_output_embeddings()
    rows, bias = head.weight, getattr(head, "bias", None)
    if answers is not None:
        rows, bias = rows[answers], None if bias is None else bias[answers]
    with torch.autocast(hidden.device.type, enabled=False):
        dtype = torch.promote_types(hidden.dtype, torch.float32)  # logits in bfloat16 come in steps of 1/8 from 16 up
        logits = hidden.to(dtype) @ rows.to(dtype).T
        if bias is not None:
            logits = logits + bias.to(dtype)
        # Cohere and Granite scale their logits, Gemma 2 caps them.
        logits = logits * getattr(model.config, "logit_scale", 1.0) / getattr(model.config, "logits_scaling", 1.0)
        cap = getattr(model.config, "final_logit_softcapping", None)
        return cap * torch.tanh(logits / cap) if cap else logits


def check_flex(
    device: torch.device | str, *, num_tokens: int, num_heads: int, num_key_heads: int, head_size: int
) -> str:
    """Why FlexAttention cannot be used here, or "" when it agrees with dense attention, gradients included."""
    length = 90  # of a block, so that edges of blocks and tiles differ
    blocks = [Block((0,) * length, 0)]
    blocks += [Block((0,) * length, length, (0,)) for _ in range(num_tokens // length - 1)]
    generator = torch.Generator().manual_seed(0)
    start = [
        torch.randn((1, heads, num_tokens, head_size), generator=generator).to(device, torch.bfloat16)
        for heads in (num_heads, num_key_heads, num_key_heads)
    ]
    results = []
    try:
        for attention in ("flex", "dense"):
            packed = pack([Layout(tuple(blocks), ends=())], device=device, num_tokens=num_tokens, attention=attention)
            query, key, value = (tensor.clone().requires_grad_() for tensor in start)
            output = packed.attend(0, query, key, value, head_size**-0.5)
            gradients = torch.autograd.grad(output.float().square().sum(), (query, key, value))
            results.append([each.detach().float() for each in (output, *gradients)])
    except Exception as error:  # whatever a compiler may raise on a machine we have not seen
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    for name, ours, reference in zip(("outputs", "gradients", "gradients", "gradients"), *results, strict=True):
        difference = (ours - reference).abs().max().item()
        if not difference < 0.05 * reference.abs().max().item():
            return f"its {name} differ from dense attention by {difference:.3g}"
    return ""


def _attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **kwargs: Any
) -> tuple[torch.Tensor, None]:
    """The function that transformers calls in each layer; (1, heads, tokens, size) in, (1, tokens, heads, size) out."""
    if any(kwargs.get(name) is not None for name in ("sliding_window", "softcap", "s_aux")):
        raise ModelError(
            "this model's attention has a sliding window, a soft cap or sinks; a block mask does not fit it"
        )
    scale = kwargs.get("scaling") or query.shape[-1] ** -0.5
    output = kwargs["packed"].attend(module.layer_idx, query, key, value, scale)
    return output.transpose(1, 2).contiguous(), None


def _for_each_head(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """A key or value head for each query head."""
    groups = query.shape[1] // key.shape[1]
    return key if groups == 1 else key.repeat_interleave(groups, dim=1)


def _taken(tensor: torch.Tensor, runs: Sequence[slice]) -> torch.Tensor:
    """Some runs of tokens: (1, heads, tokens, size) to the same with fewer."""
    parts = [tensor[:, :, run] for run in runs]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _branches(
    tree: Sequence[tuple[int, int, int]], first: int, stop: int, path: tuple[slice, ...] = ()
) -> Iterator[Span]:
    """Queries of sibling subtrees with the keys that they may see: their common path and one another's.

    A block of the `tree` is its first token, the one past its last, and the last block of its subtree; the siblings'
    subtrees are the blocks from `first` to `stop`. A large subtree is split at its root, small ones stay together.
    """
    held: int | None = None  # where small subtrees begin that are not yielded yet
    end = 0
    while first < stop:
        begin, own_end, last = tree[first]
        end = tree[last][1]
        if held is not None and end - held > _BRANCH:
            yield from _rows(held, begin, path)
            held = None
        if end - begin > _BRANCH:
            yield from _rows(begin, own_end, path)
            yield from _branches(tree, first + 1, last + 1, _with(path, slice(begin, own_end)))
        elif held is None:
            held = begin
        first = last + 1
    if held is not None:
        yield from _rows(held, end, path)


def _rows(start: int, stop: int, path: tuple[slice, ...] = (), *, before: int = 0) -> Iterator[Span]:
    """Tokens that see a path and themselves, in pieces of a bounded mask; `before` keys stand before the first."""
    for first in range(start, stop, _DENSE_ROWS):
        last = min(stop, first + _DENSE_ROWS)
        yield Span(slice(first, last), _with(path, slice(before + start, before + last)))


def _with(path: tuple[slice, ...], run: slice) -> tuple[slice, ...]:
    if path and path[-1].stop == run.start:
        return (*path[:-1], slice(path[-1].start, run.stop))
    return (*path, run)


def moved(values: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """An array on the device, from pinned memory: from any other the host would wait for all work queued there."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor if torch.device(device).type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


@cache
def _flex() -> Callable[..., torch.Tensor]:
    # Without a GPU the uncompiled form runs, forward only: enough to test the mask.
    torch._dynamo.config.cache_size_limit = 64  # a kernel for each shape; past the limit it would run uncompiled
    compiled: Any = torch.compile(flex_attention, dynamic=False) if torch.cuda.is_available() else flex_attention
    return compiled


def _tiles(chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many tiles each row has, (1, 1, tiles), and which, those first in each row: (1, 1, tiles, tiles)."""
    count = chosen.sum(dim=-1, dtype=torch.int32)
    order = chosen.int().argsort(dim=-1, descending=True, stable=True).int()
    return count[None, None], order[None, None].contiguous()
