"""How likely a causal model finds given answers, and how sure it is of them, many at a time.

    reader = LikelihoodReader(model, encoder, name="qwen", max_tokens=2048)
    reader.likelihoods([LikelihoodRequest(text, answer, is_chat=True), ...])

A group's answers are batched by length, padded on the right, where no earlier token sees it. Logits are worked out in
float32 a few positions at a time: those of a whole batch would not fit. On out-of-memory batches are halved, for good.
"""

import logging
import math
from collections.abc import Sequence
from typing import Any

import torch

from rerank.backends.batching import free_memory, is_out_of_memory
from rerank.backends.encoding import PromptEncoder
from rerank.backends.hf import block_mask
from rerank.backends.interface import Likelihood, LikelihoodRequest
from rerank.errors import ModelError

_log = logging.getLogger(__name__)

_HEAD_TOKENS = 512  # positions whose distributions are held at a time: (512, 152k) in float32 are 0.3 GB

Encoded = tuple[list[int], list[int]]  # tokens of the text, and of its answer


class LikelihoodReader:
    def __init__(self, model: Any, encoder: PromptEncoder, *, name: str, max_tokens: int):
        self._model, self._encoder, self._name = model, encoder, name
        self._max_tokens = max_tokens  # of a batch, padding included

    def likelihoods(self, requests: Sequence[LikelihoodRequest]) -> list[Likelihood]:
        found = [Likelihood(None, 0, None, reason="does not fit the context") for _ in requests]
        encoded = {
            place: pair
            for place, each in enumerate(requests)
            if (pair := self._encoder.encode_pair(each.text, each.answer, is_chat=each.is_chat))
        }
        for place in [place for place, (text, _) in encoded.items() if not text]:
            del encoded[place]
            found[place] = Likelihood(None, 0, None, reason="no text before it")
        todo = sorted(encoded, key=lambda place: sum(map(len, encoded[place])))
        while todo:
            batch = self._batch([sum(map(len, encoded[place])) for place in todo])
            try:
                read = self._read([encoded[place] for place in todo[:batch]])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if batch == 1:
                    longest = sum(map(len, encoded[todo[0]]))
                    raise ModelError(f"{self._name}: not enough memory for one text of {longest} tokens") from error
                self._max_tokens = batch // 2 * sum(map(len, encoded[todo[batch - 1]]))
                _log.warning("out of memory: at most %d tokens at a time from here on", self._max_tokens)
                free_memory()
                continue
            for place, each in zip(todo[:batch], read, strict=True):
                found[place] = each
            todo = todo[batch:]
        return found

    def _batch(self, lengths: Sequence[int]) -> int:
        """How many of these, in rising order, fit into one batch; at least one."""
        return max((count for count, length in enumerate(lengths, 1) if count * length <= self._max_tokens), default=1)

    @torch.inference_mode()
    def _read(self, pairs: Sequence[Encoded]) -> list[Likelihood]:
        device = self._model.device
        longest = max(len(text) + len(answer) for text, answer in pairs)
        whole = [[*text, *answer] for text, answer in pairs]
        rows = [each + each[-1:] * (longest - len(each)) for each in whole]
        tokens = torch.tensor(rows, device=device)  # (rows, longest)
        states = self._model.base_model(input_ids=tokens, use_cache=False).last_hidden_state  # (rows, longest, hidden)
        owners = torch.tensor([row for row, (_, answer) in enumerate(pairs) for _ in answer])
        at = torch.tensor([len(text) + step for text, answer in pairs for step in range(len(answer))])
        chosen, certainty = [], []
        for start in range(0, len(at), _HEAD_TOKENS):
            row, place = owners[start : start + _HEAD_TOKENS], at[start : start + _HEAD_TOKENS]
            shares = block_mask.answer_logits(self._model, states[row, place - 1]).log_softmax(-1)  # (positions, vocab)
            chosen.append(shares.gather(1, tokens[row, place][:, None])[:, 0].double().cpu())
            # KL(uniform || p) = -log(vocab) - mean of log p (Kang et al., arXiv 2502.18581, section 3).
            certainty.append(-shares.mean(-1).double().cpu() - math.log(shares.shape[-1]))
        sums = torch.zeros(2, len(pairs), dtype=torch.float64)
        if chosen:
            sums[0].index_add_(0, owners, torch.cat(chosen))
            sums[1].index_add_(0, owners, torch.cat(certainty))
        return [
            Likelihood(total, len(answer), sure / len(answer) if answer else None, len(text))
            for (text, answer), total, sure in zip(pairs, *sums.tolist(), strict=True)
        ]
