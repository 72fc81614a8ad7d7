"""Run layouts: many problems in one packed sequence under a block mask, with the positions that the layouts give.

    model = load("Qwen/Qwen2.5-Coder-0.5B-Instruct", device="cuda", dtype=torch.bfloat16)
    packed = pack([layout_1, layout_2], device="cuda", num_tokens=8192)
    hidden = hidden_states(model, packed)                             # (tokens, hidden)
    logits = answer_logits(model, hidden[packed.ends[0]], answers)    # (prompts of layout_1, answers)

Two ways to the same attention: `dense`, PyTorch's scaled dot product, one layout at a time under its own mask (any
device; layouts never see each other, so nothing is computed between them); and `flex`, compiled FlexAttention over the
whole pack, which skips the empty tiles (CUDA; packs of one fixed length, else it compiles anew). A score does not
depend on what else is packed except through the rounding of larger matrix products.

Not for models with sliding windows, attention sinks or soft-capped logits: they are refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from transformers import AttentionInterface, AutoModelForCausalLM

from rerank.errors import ModelError
from rerank.layouts import Block, Layout

AttentionKind = Literal["dense", "flex"]
IMPLEMENTATION = "rerank_block_mask"  # the name under which transformers calls `_attention`
TILE = 128  # tokens; FlexAttention skips a tile of the mask where nothing may be seen


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
    _masks: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def num_tokens(self) -> int:
        return self.input_ids.shape[1]

    def dense_mask(self, span: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
        """What to add to a layout's attention scores, 0 or -inf: (1, 1, tokens, tokens)."""
        key = (span, dtype)
        if key not in self._masks:
            blocks = self.block_of[slice(*span)]
            allowed = self.sees[blocks[:, None], blocks[None, :]].tril()
            mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill_(~allowed, -torch.inf)
            self._masks[key] = mask[None, None]
        return self._masks[key]

    def flex_mask(self) -> BlockMask:
        """The same rule for the whole pack, with the tiles that are empty or full found from the blocks in them."""
        if "flex" not in self._masks:
            self._masks["flex"] = _tile_mask(self.block_of, self.sees)
        return self._masks["flex"]


def pack(
    layouts: Sequence[Layout],
    *,
    device: torch.device | str = "cpu",
    num_tokens: int | None = None,
    attention: AttentionKind = "dense",
) -> Pack:
    """Put layouts side by side; with `num_tokens` the sequence is padded to that length.

    Padding is a block of its own that nothing else sees and that sees itself, so that no row of the mask is empty.
    """
    ids: list[int] = []
    positions: list[int] = []
    block_of: list[int] = []
    seen: list[tuple[int, int]] = []
    spans, firsts = [], []
    num_blocks = 0
    for layout in layouts:
        begin, starts = len(ids), []
        for index, block in enumerate(layout.blocks):
            starts.append(len(ids))
            ids.extend(block.tokens)
            positions.extend(range(block.start, block.stop))
            block_of.extend([num_blocks + index] * len(block.tokens))
            seen.extend((num_blocks + index, num_blocks + other) for other in block.sees)
        num_blocks += len(layout.blocks)
        spans.append((begin, len(ids)))
        firsts.append(tuple(starts))
    if num_tokens is not None and len(ids) < num_tokens:
        padding = num_tokens - len(ids)
        spans.append((len(ids), num_tokens))
        ids.extend([0] * padding)
        positions.extend(range(padding))
        block_of.extend([num_blocks] * padding)
        num_blocks += 1
    # A compiled kernel is made for one shape: the table of blocks grows by steps.
    size = num_blocks if attention == "dense" else -(-num_blocks // 1024) * 1024
    sees = torch.eye(size, dtype=torch.bool)
    if seen:
        rows, columns = torch.tensor(seen).T
        sees[rows, columns] = True

    def last_tokens(layout: Layout, starts: tuple[int, ...], blocks: tuple[int, ...]) -> torch.Tensor:
        return torch.tensor([starts[b] + len(layout.blocks[b].tokens) - 1 for b in blocks], dtype=torch.long)

    each = list(zip(layouts, firsts, strict=True))
    return Pack(
        input_ids=torch.tensor(ids, dtype=torch.long)[None].to(device),
        position_ids=torch.tensor(positions, dtype=torch.long)[None].to(device),
        block_of=torch.tensor(block_of, dtype=torch.long).to(device),
        sees=sees.to(device),
        spans=tuple(spans),
        ends=tuple(last_tokens(layout, starts, layout.ends).to(device) for layout, starts in each),
        verdicts=tuple(last_tokens(layout, starts, layout.verdicts).to(device) for layout, starts in each),
        firsts=tuple(firsts),
        attention=attention,
    )


def load(base: str | Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Any:
    """A causal language model from a folder or the hub, with the attention that runs packs and nothing else."""
    AttentionInterface.register(IMPLEMENTATION, _attention)
    if torch.cuda.is_available():
        torch.backends.cuda.enable_cudnn_sdp(False)  # NaN gradients under masks with padding: PyTorch 2.11, H100
    model: Any = AutoModelForCausalLM.from_pretrained(str(base), dtype=dtype, attn_implementation=IMPLEMENTATION)
    layer_types = getattr(model.config.get_text_config(), "layer_types", None) or ()
    if set(layer_types) - {"full_attention"}:
        raise ModelError(
            f"{base}: has layers of type {', '.join(sorted(set(layer_types)))}; a block mask needs full ones"
        )
    return model.to(device)


def hidden_states(model: Any, packed: Pack) -> torch.Tensor:
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
    weight = model.get_output_embeddings().weight
    rows = weight if answers is None else weight[answers]
    with torch.autocast(hidden.device.type, enabled=False):
        return hidden.float() @ rows.float().T


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
    _module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **kwargs: Any
) -> tuple[torch.Tensor, None]:
    """The function that transformers calls in each layer; (1, heads, tokens, size) in, (1, tokens, heads, size) out."""
    packed: Pack = kwargs["packed"]
    if any(kwargs.get(name) is not None for name in ("sliding_window", "softcap", "s_aux")):
        raise ModelError(
            "this model's attention has a sliding window, a soft cap or sinks; a block mask does not fit it"
        )
    groups = query.shape[1] // key.shape[1]
    if groups > 1:  # a key head for each query head: both kernels take any number of heads so
        key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    attend = _attend_flex if packed.attention == "flex" else _attend_dense
    output = attend(query, key, value, packed, kwargs.get("scaling") or query.shape[-1] ** -0.5)
    return output.transpose(1, 2).contiguous(), None


def _attend_dense(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packed: Pack, scale: float
) -> torch.Tensor:
    parts = []
    for start, stop in packed.spans:
        mask = packed.dense_mask((start, stop), query.dtype)
        q, k, v = (tensor[:, :, start:stop] for tensor in (query, key, value))
        parts.append(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale))
    return torch.cat(parts, dim=2)


def _attend_flex(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, packed: Pack, scale: float
) -> torch.Tensor:
    return _flex()(query, key, value, block_mask=packed.flex_mask(), scale=scale)


@cache
def _flex() -> Callable[..., torch.Tensor]:
    # Without a GPU the uncompiled form runs, forward only: enough to test the mask.
    compiled: Any = torch.compile(flex_attention, dynamic=False) if torch.cuda.is_available() else flex_attention
    return compiled


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


def _tiles(chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How many tiles each row has, (1, 1, tiles), and which, those first in each row: (1, 1, tiles, tiles)."""
    count = chosen.sum(dim=-1, dtype=torch.int32)
    order = chosen.int().argsort(dim=-1, descending=True, stable=True).int()
    return count[None, None], order[None, None].contiguous()
