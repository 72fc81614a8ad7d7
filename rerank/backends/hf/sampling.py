"""Drawing tokens: batches of requests, the nucleus, and an attention that reads a padded cache once."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from rerank.backends.interface import GenerationRequest, Sampling
from rerank.store import content_hash

_GPU_BATCH_SAMPLES = 1024  # that grow together: a step costs about the same for one as for hundreds
_PADDED_PROMPT_TOKENS = 1 << 19  # of a batch, shorter prompts as long as the longest
_GROUPED = "rerank_grouped_heads"  # the name under which transformers calls `_attend_grouped`
_NUCLEUS_TRY = 1024  # tokens looked at first for the nucleus; sorting a whole vocabulary is slow on a CPU


def _batches(
    encoded: Iterable[tuple[GenerationRequest, list[int]]], *, max_requests: int
) -> Iterator[list[tuple[GenerationRequest, list[int]]]]:
    """Requests with their prompts that are encoded as one batch, each prompt as long as the longest of them."""
    batch: list[tuple[GenerationRequest, list[int]]] = []
    longest = 0
    for request, prompt in encoded:
        longest = max(longest, len(prompt))
        if batch and (len(batch) + 1) * longest > _PADDED_PROMPT_TOKENS:
            yield batch
            batch, longest = [], len(prompt)
        batch.append((request, prompt))
        if len(batch) == max_requests:
            yield batch
            batch, longest = [], 0
    if batch:
        yield batch


@contextmanager
def _grouped_heads(model: Any) -> Iterator[None]:
    """Lend a model an attention that reads a cache as it is: transformers copies a padded one for every query head."""
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    transformers.AttentionInterface.register(_GROUPED, _attend_grouped)
    AttentionMaskInterface.register(_GROUPED, sdpa_mask)
    before = model.config._attn_implementation
    model.set_attn_implementation(_GROUPED)
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def _attend_grouped(
    module: Any,
    query: torch.Tensor,  # (rows, query heads, tokens, head size)
    key: torch.Tensor,  # (rows, key heads, keys, head size)
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    rows, num_heads, num_tokens, size = query.shape
    if num_tokens > 1 or key.shape[1] == num_heads or attention_mask is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    # One new token a row: the query heads that share a key head stand where its tokens would.
    shared = query.reshape(rows, key.shape[1], -1, size)
    found = F.scaled_dot_product_attention(shared, key, value, attn_mask=attention_mask, scale=settings.get("scaling"))
    return found.reshape(rows, num_heads, 1, size).transpose(1, 2).contiguous(), None


def _uniform(sampling: Sampling, request_id: str, index: int) -> torch.Tensor:
    """A sample's random numbers, one a token, in [0, 1): (max_tokens,)."""
    seed = int(content_hash(sampling.seed, request_id, index), 16) & (2**63 - 1)
    return torch.rand(sampling.max_tokens, generator=torch.Generator().manual_seed(seed))


def _draw(logits: torch.Tensor, uniform: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """Sample one token a row by inverting the distribution's sum at `uniform`: (rows, vocab), (rows,) -> (rows,)."""
    if sampling.temperature == 0:
        return logits.argmax(-1)
    probabilities = (logits / sampling.temperature).softmax(-1)
    size = min(_NUCLEUS_TRY, probabilities.shape[-1])
    top, tokens = probabilities.topk(size, dim=-1)  # sorted, (rows, size)
    chosen = _pick(top, tokens, uniform, sampling.top_p)
    is_wide = top.sum(-1) < sampling.top_p
    if bool(is_wide.any()):
        top, tokens = probabilities[is_wide].sort(-1, descending=True)
        chosen[is_wide] = _pick(top, tokens, uniform[is_wide], sampling.top_p)
    return chosen


def _pick(top: torch.Tensor, tokens: torch.Tensor, uniform: torch.Tensor, top_p: float) -> torch.Tensor:
    """From tokens and their probabilities, likeliest first: (rows, size), (rows, size), (rows,) -> (rows,)."""
    total = top.cumsum(-1)
    # The nucleus: every token before which less than top_p has been summed (Holtzman et al., arXiv 1904.09751).
    total = torch.where(total - top < top_p, total, 0).cummax(-1).values
    target = uniform[:, None] * total[:, -1:]
    at = torch.searchsorted(total, target, right=True).clamp(max=top.shape[-1] - 1)
    return tokens.gather(1, at)[:, 0]
