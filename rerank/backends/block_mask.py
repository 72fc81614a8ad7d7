"""Run layouts: many problems in one packed sequence under a block mask, with the positions that the layouts give.

    packed = pack([layout_1, layout_2], device="cuda", num_tokens=8192)
    hidden = hidden_states(model, packed)                             # (tokens, hidden)
    logits = answer_logits(model, hidden[packed.ends[0]], answers)    # (prompts of layout_1, answers)

Verdicts on pairs may stand in the layout (training), or come afterwards as queries against the keys and values that the
first pass kept, any number of them a pass (inference):

    packed = pack([layout_1, layout_2], device="cuda", keep=True)
    hidden_states(model, packed)
    queries = verdict_pack(packed.memory, [(0, pairs_of_1), (1, pairs_of_2)], question=tokens)
    hidden = hidden_states(model, queries)                            # (tokens, hidden), len(question) tokens a pair

Two ways to the same attention: `dense`, PyTorch's scaled dot product, one layout at a time under its own mask (any
device; layouts never see each other, so nothing is computed between them); and `flex`, compiled FlexAttention over the
whole pack, which skips the empty tiles (CUDA; packs of one fixed length, else it compiles anew). A score does not
depend on what else is packed except through the rounding of larger matrix products.

Not for models with sliding windows, attention sinks or soft-capped logits: they are refused.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from transformers import AttentionInterface, AutoModelForCausalLM

from rerank.backends.layouts import Block, Layout
from rerank.errors import ModelError

AttentionKind = Literal["dense", "flex"]
IMPLEMENTATION = "rerank_block_mask"  # the name under which transformers calls `_attention`
TILE = 128  # tokens; FlexAttention skips a tile of the mask where nothing may be seen
_DENSE_ROWS = 4096  # tokens whose dense mask is made at a time: its memory grows with the length, not with the square
_TABLE_STEP = 1024  # a compiled kernel is made for one shape: tables of blocks grow by steps


@dataclass(frozen=True, slots=True)
class Kept:
    """What a verdict needs to know of one layout in the memory."""

    first_token: int  # of its tokens in the memory
    last_token: int  # one past them
    firsts: torch.Tensor  # (programs, blocks of the memory) bool: what a program's first link sees, itself included
    seconds: torch.Tensor  # the same of the second link
    stops: np.ndarray  # (programs,): the position after its links


@dataclass(slots=True)
class Memory:
    """Keys and values of a pass, by layer: (1, key heads, tokens, size), and who they belong to."""

    block_of: torch.Tensor  # (tokens,)
    layouts: tuple[Kept, ...]
    attention: AttentionKind
    keys: list[torch.Tensor] = field(default_factory=list, repr=False)
    values: list[torch.Tensor] = field(default_factory=list, repr=False)

    @property
    def num_tokens(self) -> int:
        return len(self.block_of)


@dataclass(slots=True)
class Pack:
    """Layouts side by side in one sequence. Tensors are on the model's device."""

    input_ids: torch.Tensor  # (1, tokens) int64
    position_ids: torch.Tensor  # (1, tokens) int64
    block_of: torch.Tensor  # (tokens,) int64: which block a token is in, counted over the pack; padding is a block
    sees: torch.Tensor  # (blocks, blocks) bool: row attends to column; the diagonal is set
    spans: tuple[tuple[int, int], ...]  # first token and the one past the last, of each layout and of the padding
    ends: tuple[torch.Tensor, ...]  # (prompts,) of each layout: the tokens where its prompts are answered
    verdicts: tuple[torch.Tensor, ...]  # (ordered pairs,) of each layout
    firsts: tuple[tuple[int, ...], ...]  # of each layout: the first token of each block
    attention: AttentionKind
    memory: Memory | None = None  # filled by the pass that runs this pack
    _masks: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def num_tokens(self) -> int:
        return self.input_ids.shape[1]

    def dense_mask(self, rows: tuple[int, int, int], dtype: torch.dtype) -> torch.Tensor:
        """What to add to attention scores, 0 or -inf: (1, 1, tokens, keys).

        `rows` are the first token of a layout, the first of some of its tokens and the one past the last of these; the
        keys are the layout's up to there.
        """
        start, first, last = rows
        if (rows, dtype) not in self._masks:
            queries, keys = self.block_of[first:last], self.block_of[start:last]
            allowed = self.sees[queries[:, None], keys[None, :]].tril(first - start)
            self._masks[rows, dtype] = _additive(allowed, dtype)
        return self._masks[rows, dtype]

    def flex_mask(self) -> BlockMask:
        """The same rule for the whole pack, with the tiles that are empty or full found from the blocks in them."""
        if "flex" not in self._masks:
            self._masks["flex"] = _tile_mask(self.block_of, self.sees)
        return self._masks["flex"]

    def attend(self, _layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> Any:
        """(1, heads, tokens, size) each, fewer heads in key and value: what the tokens take from one another."""
        if self.memory is not None:
            self.memory.keys.append(key)
            self.memory.values.append(value)
        key, value = _for_each_head(query, key, value)
        return (_attend_flex if self.attention == "flex" else _attend_dense)(query, key, value, self, scale)


@dataclass(slots=True)
class VerdictPack:
    """Questions about ordered pairs, each a run of the same few tokens that sees its pair's programs and itself."""

    input_ids: torch.Tensor  # (1, tokens)
    position_ids: torch.Tensor  # (1, tokens)
    ends: torch.Tensor  # (pairs,) the tokens where they are answered
    memory: Memory
    # (tokens,) rows of the tables below, and the number of the pair
    first_of: torch.Tensor
    second_of: torch.Tensor
    pair_of: torch.Tensor
    firsts: torch.Tensor  # (programs, blocks of the memory) bool
    seconds: torch.Tensor
    spans: tuple[
        tuple[int, int, int, int], ...
    ]  # tokens here [start, stop) that see tokens of the memory [start, stop)
    _masks: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def num_tokens(self) -> int:
        return self.input_ids.shape[1]

    def allowed(self, queries: slice, keys: slice) -> torch.Tensor:
        """(queries, keys of the memory and then the queries themselves) bool."""
        blocks = self.memory.block_of[keys]
        seen = self.firsts[self.first_of[queries]][:, blocks] | self.seconds[self.second_of[queries]][:, blocks]
        pairs = self.pair_of[queries]
        return torch.cat([seen, (pairs[:, None] == pairs[None, :]).tril()], dim=1)

    def flex_mask(self) -> BlockMask:
        if "flex" not in self._masks:
            self._masks["flex"] = _verdict_tile_mask(self)
        return self._masks["flex"]

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> Any:
        keys, values = self.memory.keys[layer], self.memory.values[layer]
        if self.memory.attention == "flex":
            key, value = torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)
            return _flex()(query, *_for_each_head(query, key, value), block_mask=self.flex_mask(), scale=scale)
        parts = []
        for start, stop, first, last in self.spans:
            if (start, query.dtype) not in self._masks:
                allowed = self.allowed(slice(start, stop), slice(first, last))
                self._masks[start, query.dtype] = _additive(allowed, query.dtype)
            own = slice(start, stop)
            both = (
                torch.cat([kept[:, :, first:last], new[:, :, own]], dim=2)
                for kept, new in ((keys, key), (values, value))
            )
            mask = self._masks[start, query.dtype]
            repeated = _for_each_head(query, *both)
            parts.append(F.scaled_dot_product_attention(query[:, :, own], *repeated, attn_mask=mask, scale=scale))
        return torch.cat(parts, dim=2)


def pack(
    layouts: Sequence[Layout],
    *,
    device: torch.device | str = "cpu",
    num_tokens: int | None = None,
    attention: AttentionKind = "dense",
    keep: bool = False,
) -> Pack:
    """Put layouts side by side; with `num_tokens` the sequence is padded to that length.

    Padding is a block of its own that nothing else sees and that sees itself, so that no row of the mask is empty.
    With `keep` the pass that runs the pack leaves its keys and values in the pack's memory.
    """
    blocks = [block for layout in layouts for block in layout.blocks]
    lengths = np.fromiter((len(block.tokens) for block in blocks), np.int64, len(blocks))
    begins = np.cumsum(lengths) - lengths  # each block's first token
    used = int(lengths.sum())
    ids = np.fromiter(chain.from_iterable(block.tokens for block in blocks), np.int64, used)
    block_of = np.repeat(np.arange(len(blocks)), lengths)
    first_positions = np.fromiter((block.start for block in blocks), np.int64, len(blocks))
    positions = np.arange(used) + np.repeat(first_positions - begins, lengths)
    spans: list[tuple[int, int]] = []
    firsts: list[tuple[int, ...]] = []
    first_blocks = [0]
    for layout in layouts:
        own = begins[first_blocks[-1] : first_blocks[-1] + len(layout.blocks)].tolist()
        begin = spans[-1][1] if spans else 0
        spans.append((begin, begin + layout.num_tokens))
        firsts.append(tuple(own))
        first_blocks.append(first_blocks[-1] + len(layout.blocks))
    if padding := max(0, (num_tokens or 0) - used):
        spans.append((used, used + padding))
        ids = np.concatenate([ids, np.zeros(padding, np.int64)])
        positions = np.concatenate([positions, np.arange(padding)])
        block_of = np.concatenate([block_of, np.full(padding, len(blocks))])
    num_blocks = len(blocks) + bool(padding)
    size = num_blocks if attention == "dense" else _step(num_blocks, _TABLE_STEP)
    sees = torch.eye(size, dtype=torch.bool)
    num_seen = np.fromiter((len(block.sees) for block in blocks), np.int64, len(blocks))
    bases = np.repeat(first_blocks[:-1], [len(layout.blocks) for layout in layouts])  # of each block's layout
    columns = np.fromiter(chain.from_iterable(block.sees for block in blocks), np.int64, int(num_seen.sum()))
    sees[np.repeat(np.arange(len(blocks)), num_seen), columns + np.repeat(bases, num_seen)] = True

    def last_tokens(layout: Layout, starts: tuple[int, ...], blocks: tuple[int, ...]) -> torch.Tensor:
        return torch.tensor([starts[b] + len(layout.blocks[b].tokens) - 1 for b in blocks], dtype=torch.long)

    each = list(zip(layouts, firsts, strict=True))
    packed = Pack(
        input_ids=torch.from_numpy(ids)[None].to(device),
        position_ids=torch.from_numpy(positions)[None].to(device),
        block_of=torch.from_numpy(block_of).to(device),
        sees=sees.to(device),
        spans=tuple(spans),
        ends=tuple(last_tokens(layout, starts, layout.ends).to(device) for layout, starts in each),
        verdicts=tuple(last_tokens(layout, starts, layout.verdicts).to(device) for layout, starts in each),
        firsts=tuple(firsts),
        attention=attention,
    )
    if keep:
        kept = []
        for layout, span, base in zip(layouts, spans, first_blocks, strict=False):
            first, second = (sees[[base + pair[side] for pair in layout.links]].to(device) for side in (0, 1))
            stops = [max(layout.blocks[a].stop, layout.blocks[b].stop) for a, b in layout.links]
            kept.append(Kept(*span, first, second, np.array(stops, dtype=np.int64)))
        packed.memory = Memory(packed.block_of, tuple(kept), attention)
    return packed


def verdict_pack(
    memory: Memory,
    asked: Sequence[tuple[int, np.ndarray]],
    *,
    question: Sequence[int],
    num_tokens: int | None = None,
) -> VerdictPack:
    """Ask `question` about ordered pairs.

    Each entry of `asked` is the number of a layout in the memory and pairs (n, 2) of its programs. With `num_tokens`
    the sequence is padded to that length.
    """
    device, length = memory.block_of.device, len(question)
    first_tables, second_tables, first_of, second_of, starts, spans = [], [], [], [], [], []
    num_programs = num_pairs = 0
    for number, pairs in asked:
        kept = memory.layouts[number]
        first_tables.append(kept.firsts)
        second_tables.append(kept.seconds)
        first_of.append(pairs[:, 0] + num_programs)
        second_of.append(pairs[:, 1] + num_programs)
        starts.append(np.maximum(kept.stops[pairs[:, 0]], kept.stops[pairs[:, 1]]))
        spans.append((num_pairs * length, (num_pairs + len(pairs)) * length, kept.first_token, kept.last_token))
        num_programs, num_pairs = num_programs + len(kept.stops), num_pairs + len(pairs)
    used = num_pairs * length
    size = max(used, num_tokens or 0)
    ids = np.zeros(size, dtype=np.int64)
    ids[:used] = np.tile(np.asarray(question), num_pairs)
    positions = np.zeros(size, dtype=np.int64)
    positions[:used] = (np.concatenate(starts)[:, None] + np.arange(length)).ravel()
    pair_of = np.full(size, num_pairs)  # padding is one more pair, which sees itself and what pair 0 sees
    pair_of[:used] = np.repeat(np.arange(num_pairs), length)
    tables = [torch.cat(tables) for tables in (first_tables, second_tables)]
    if memory.attention == "flex":
        missing = _step(num_programs, _TABLE_STEP // 4) - num_programs
        tables = [F.pad(table, (0, 0, 0, missing)) for table in tables]

    def moved(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(values).to(device, non_blocking=True)

    def by_token(rows: list[np.ndarray]) -> torch.Tensor:
        found = np.zeros(size, dtype=np.int64)
        found[:used] = np.repeat(np.concatenate(rows), length)
        return moved(found)

    return VerdictPack(
        moved(ids)[None],
        moved(positions)[None],
        ends=torch.arange(length - 1, used, length, device=device),
        memory=memory,
        first_of=by_token(first_of),
        second_of=by_token(second_of),
        pair_of=moved(pair_of),
        firsts=tables[0],
        seconds=tables[1],
        spans=tuple(spans),
    )


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
    return model.to(device)


@contextmanager
def running_packs(model: Any) -> Iterator[None]:
    """Lend the attention that runs packs to a model that was loaded with another, for a while."""
    before = model.config._attn_implementation
    model.set_attn_implementation(IMPLEMENTATION)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def hidden_states(model: Any, packed: Pack | VerdictPack) -> torch.Tensor:
    """The last hidden state of each token: (tokens, hidden). `model` may carry an adapter."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    output = causal.get_decoder()(
        input_ids=packed.input_ids, position_ids=packed.position_ids, use_cache=False, packed=packed
    )
    return output.last_hidden_state[0]


def answer_logits(model: Any, hidden: torch.Tensor, answers: torch.Tensor | None = None) -> torch.Tensor:
    """Logits of some tokens, or of the whole vocabulary: (positions, hidden) to (positions, answers), in float32.

    Only the head's rows for those answers are multiplied, so a verdict does not cost a vocabulary.
    """
    head = model.get_output_embeddings()
    rows, bias = head.weight, getattr(head, "bias", None)
    if answers is not None:
        rows, bias = rows[answers], None if bias is None else bias[answers]
    with torch.autocast(hidden.device.type, enabled=False):
        logits = hidden.float() @ rows.float().T
        if bias is not None:
            logits = logits + bias.float()
        # Cohere and Granite scale their logits, Gemma 2 caps them.
        logits = logits * getattr(model.config, "logit_scale", 1.0) / getattr(model.config, "logits_scaling", 1.0)
        cap = getattr(model.config, "final_logit_softcapping", None)
        return cap * torch.tanh(logits / cap) if cap else logits


def check_flex(device: torch.device | str, *, num_tokens: int, num_heads: int, head_size: int) -> str:
    """Why FlexAttention cannot be used here, or "" when it agrees with dense attention, gradients included."""
    length = 90  # of a block, so that edges of blocks and tiles differ
    blocks = [Block((0,) * length, 0)]
    blocks += [Block((0,) * length, length, sees=(0,)) for _ in range(num_tokens // length - 1)]
    packed = pack([Layout(tuple(blocks), ends=())], device=device, num_tokens=num_tokens, attention="flex")
    generator = torch.Generator().manual_seed(0)
    shape = (3, 1, num_heads, num_tokens, head_size)
    start = torch.randn(shape, generator=generator).to(device, torch.bfloat16)
    results = []
    try:
        for attend in (_attend_flex, _attend_dense):
            query, key, value = (tensor.clone().requires_grad_() for tensor in start)
            output = attend(query, key, value, packed, head_size**-0.5)
            gradients = torch.autograd.grad(output.float().square().sum(), (query, key, value))
            results.append((output.detach().float(), torch.stack(gradients).float()))
    except Exception as error:  # whatever a compiler may raise on a machine we have not seen
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    for name, ours, reference in zip(("outputs", "gradients"), *results, strict=True):
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


def _for_each_head(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A key and a value head for each query head: both kernels take any number of heads so."""
    groups = query.shape[1] // key.shape[1]
    if groups == 1:
        return key, value
    return key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)


def _attend_dense(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packed: Pack, scale: float
) -> torch.Tensor:
    parts = []
    for start, stop in packed.spans:
        for first in range(start, stop, _DENSE_ROWS):
            last = min(stop, first + _DENSE_ROWS)
            mask = packed.dense_mask((start, first, last), query.dtype)
            q, k, v = query[:, :, first:last], key[:, :, start:last], value[:, :, start:last]
            parts.append(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale))
    return torch.cat(parts, dim=2)


def _attend_flex(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packed: Pack, scale: float
) -> torch.Tensor:
    return _flex()(query, key, value, block_mask=packed.flex_mask(), scale=scale)


@cache
def _flex() -> Callable[..., torch.Tensor]:
    # Without a GPU the uncompiled form runs, forward only: enough to test the mask.
    torch._dynamo.config.cache_size_limit = 64  # a kernel for each shape; past the limit it would run uncompiled
    compiled: Any = torch.compile(flex_attention, dynamic=False) if torch.cuda.is_available() else flex_attention
    return compiled


def _step(count: int, step: int) -> int:
    return -(-count // step) * step


def _additive(allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """0 where allowed and -inf elsewhere: (rows, columns) to (1, 1, rows, columns)."""
    mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, -torch.inf)
    return mask[None, None]


def _tile_mask(block_of: torch.Tensor, sees: torch.Tensor) -> BlockMask:
    """A BlockMask from the blocks in each tile, without the (tokens, tokens) table that create_block_mask makes."""
    num_tokens = len(block_of)
    if num_tokens % TILE:
        raise ValueError(f"FlexAttention's packs are multiples of {TILE} tokens, not {num_tokens}")
    num_tiles = num_tokens // TILE
    tile_of = torch.arange(num_tokens, device=block_of.device) // TILE
    holds = torch.zeros(num_tiles, len(sees), device=block_of.device)  # (tiles, blocks), 1 where a tile has the block
    holds[tile_of, block_of] = 1.0
    causal = torch.ones(num_tiles, num_tiles, dtype=torch.bool, device=block_of.device).tril()
    some = (holds @ sees.float() @ holds.T > 0) & causal
    # Nothing hidden, and wholly earlier: no token needs its own test. The diagonal is always partial.
    full = (holds @ (~sees).float() @ holds.T == 0) & causal.tril(-1)
    partial = some & ~full

    def mask_mod(_batch: Any, _head: Any, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        return sees[block_of[query], block_of[key]] & (query >= key)

    return BlockMask.from_kv_blocks(
        *_tiles(partial), *_tiles(full), BLOCK_SIZE=TILE, mask_mod=mask_mod, seq_lengths=(num_tokens, num_tokens)
    )


def _verdict_tile_mask(packed: VerdictPack) -> BlockMask:
    """Rows are the verdicts' tokens; columns the memory's, then the verdicts' own."""
    memory, size = packed.memory, packed.num_tokens
    if size % TILE or memory.num_tokens % TILE:
        raise ValueError(f"FlexAttention's packs are multiples of {TILE} tokens, not {size} and {memory.num_tokens}")
    device, num_tiles, num_kept = memory.block_of.device, size // TILE, memory.num_tokens
    tile_of = torch.arange(num_kept, device=device) // TILE
    holds = torch.zeros(num_kept // TILE, packed.firsts.shape[1], device=device)  # (memory tiles, blocks)
    holds[tile_of, memory.block_of] = 1.0
    tile_of = torch.arange(size, device=device) // TILE
    some = torch.zeros(num_tiles, num_kept // TILE, dtype=torch.bool, device=device)
    for rows, table in ((packed.first_of, packed.firsts), (packed.second_of, packed.seconds)):
        asks = torch.zeros(num_tiles, len(table), device=device)  # (tiles, programs)
        asks[tile_of, rows] = 1.0
        some |= asks @ table.float() @ holds.T > 0
    own = torch.eye(num_tiles, dtype=torch.bool, device=device)
    own |= own.roll(1, dims=1).triu().T  # a question may begin in the tile before
    partial = torch.cat([some, own], dim=1)
    first_of, second_of, pair_of = packed.first_of, packed.second_of, packed.pair_of
    firsts, seconds, block_of = packed.firsts, packed.seconds, memory.block_of

    def mask_mod(_batch: Any, _head: Any, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        block = block_of[key.clamp(max=num_kept - 1)]
        other = (key - num_kept).clamp(min=0)
        kept = firsts[first_of[query], block] | seconds[second_of[query], block]
        return torch.where(key < num_kept, kept, (pair_of[query] == pair_of[other]) & (query >= other))

    none = torch.zeros_like(partial)
    return BlockMask.from_kv_blocks(
        *_tiles(partial), *_tiles(none), BLOCK_SIZE=TILE, mask_mod=mask_mod, seq_lengths=(size, num_kept + size)
    )


def _tiles(chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many tiles each row has, (1, 1, tiles), and which, those first in each row: (1, 1, tiles, tiles)."""
    count = chosen.sum(dim=-1, dtype=torch.int32)
    order = chosen.int().argsort(dim=-1, descending=True, stable=True).int()
    return count[None, None], order[None, None].contiguous()
