"""transformers as an engine, on CPU and on one GPU: judging with shared prefixes, and sampling.

Judging lays prompts out so that shared parts are computed once (judge.py), and computes the logits of the two
answers only. A model whose layers do not all see the whole context takes one prompt at a time.
Sampling draws with one uniform number a token from a generator of each sample's own, so a sample depends on the seed,
the request and its index, not on when it was drawn. Both are bit-identical from run to run on one machine as long as
memory suffices, judging whatever else is asked, sampling on CUDA where the same requests come in the same order, since
they share batches: on out-of-memory a batch is halved, which moves the last bits.
"""

import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import transformers

from rerank.backends.batching import free_memory, is_out_of_memory
from rerank.backends.encoding import PromptEncoder
from rerank.backends.hf import block_mask
from rerank.backends.hf.judge import PackedJudge
from rerank.backends.hf.likelihood import LikelihoodReader
from rerank.backends.hf.sampling import _GPU_BATCH_SAMPLES, _batches, _draw, _grouped_heads, _uniform
from rerank.backends.interface import (
    AnswerLogOdds,
    Contest,
    ContestLogOdds,
    EngineOptions,
    GenerationRequest,
    Likelihood,
    LikelihoodRequest,
    Sample,
    Sampling,
)
from rerank.errors import ModelError
from rerank.models.folders import ModelFiles
from rerank.models.loading import fast_dtype, load_model, load_tokenizer
from rerank.prompts import Prompt

_log = logging.getLogger(__name__)

# Tokens of a forward pass. On a CPU larger ones gain nothing, and the mask grows with the square.
_CPU_BATCH_TOKENS = 2048
_GPU_BATCH_TOKENS = 16384


class TransformersEngine:
    """One model in this process; `model` and `tokenizer` are transformers' own objects."""

    def __init__(self, files: ModelFiles, options: EngineOptions | None = None):
        options = options or EngineOptions()
        self.files = files
        self.device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.dtype = getattr(torch, options.dtype) if options.dtype else fast_dtype(self.device)
        self.tokenizer = load_tokenizer(files)
        self.model = load_model(files, device=self.device, dtype=self.dtype)
        self.encoder = PromptEncoder(
            self.tokenizer,
            model=files.name,
            max_prompt_tokens=min(options.max_prompt_tokens, self.model.config.max_position_embeddings),
        )
        on_cuda = self.device.type == "cuda"
        max_tokens = options.max_batch_tokens or (_GPU_BATCH_TOKENS if on_cuda else _CPU_BATCH_TOKENS)
        self.reader = LikelihoodReader(self.model, self.encoder, name=files.name, max_tokens=max_tokens)
        # Samples of a batch. On a CPU a request stands alone: its samples do not hang on others by a single bit.
        self.num_rows = _GPU_BATCH_SAMPLES if on_cuda else 1
        self.judge: PackedJudge | None = None
        if _is_full_attention(self.model.config):
            self.judge = PackedJudge(
                self.model,
                self.encoder,
                name=files.name,
                max_tokens=max_tokens,
                attention=("flex" if on_cuda else "dense") if options.attention == "auto" else options.attention,
            )

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            "engine": f"transformers {transformers.__version__}",
            "model": self.files.name,
            "weights": self.files.source,
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
        }

    @property
    def has_chat_template(self) -> bool:
        return self.encoder.has_chat_template

    def close(self) -> None:
        del self.model, self.reader, self.judge
        free_memory()

    # Judging

    def answer_log_odds(self, groups: Iterable[Sequence[Prompt]]) -> Iterator[list[AnswerLogOdds]]:
        if self.judge is None:
            return map(self._answer_each_alone, groups)
        return self.judge.answer_log_odds(groups)

    def contest_log_odds(self, contests: Iterable[Contest]) -> Iterator[ContestLogOdds]:
        if self.judge is None:
            raise ModelError(
                f"{self.files.name}: some of its layers see a part of the context only, and encoded-once needs all of "
                "it; take --mode pairwise"
            )
        return self.judge.contest_log_odds(contests)

    @torch.inference_mode()
    def _answer_each_alone(self, prompts: Sequence[Prompt]) -> list[AnswerLogOdds]:
        found = []
        for prompt in prompts:
            encoded = self.encoder.encode(prompt)
            tokens = torch.tensor([encoded.tokens], device=self.device)  # (1, tokens)
            state = self.model.base_model(input_ids=tokens, use_cache=False).last_hidden_state[0, -1:]
            ids = torch.tensor(self.encoder.answer_ids(prompt.answers[:2]), device=self.device)
            # In float32: logits in bfloat16 come in steps of 1/8 from 16 up.
            logits = block_mask.answer_logits(self.model, state, ids)[0]  # (2,)
            found.append(AnswerLogOdds(float(logits[0] - logits[1]), len(encoded.tokens), 0, encoded.reason))
        return found

    def likelihoods(self, groups: Iterable[Sequence[LikelihoodRequest]]) -> Iterator[list[Likelihood]]:
        return map(self.reader.likelihoods, groups)

    # Sampling

    @property
    def _end_ids(self) -> set[int]:
        """Every token that ends the model's turn."""
        named = self.model.generation_config.eos_token_id
        ids = set(named if isinstance(named, list) else [named]) | {self.tokenizer.eos_token_id}
        return {token for token in ids if token is not None}

    def generate(
        self, requests: Iterable[GenerationRequest], num_samples: int, sampling: Sampling
    ) -> Iterator[tuple[GenerationRequest, list[Sample]]]:
        """Each prompt is encoded once for all its samples; on a GPU the samples of several requests grow together."""
        num_rows = max(self.num_rows, num_samples)  # in a batch; halved when memory runs out, for good
        encoded = ((each, self.encoder.encode_request(each, max_tokens=sampling.max_tokens)) for each in requests)
        for together in _batches(encoded, max_requests=num_rows // num_samples or 1):
            batch, prompts = zip(*together, strict=True)
            rows = [(place, index) for place in range(len(batch)) for index in range(num_samples)]
            samples: list[Sample] = []
            while len(samples) < len(rows):
                part = rows[len(samples) : len(samples) + num_rows]
                try:
                    samples += self._sample(batch, prompts, part, sampling)
                except RuntimeError as error:
                    if not is_out_of_memory(error):
                        raise
                    if num_rows == 1:
                        raise ModelError(
                            f"{self.files.name}: not enough memory for one sample of {batch[part[0][0]].id}; lower "
                            "--max-tokens"
                        ) from error
                    num_rows = (min(num_rows, len(part)) + 1) // 2
                    _log.warning("out of memory while sampling: %d samples at a time from here on", num_rows)
                    free_memory()
            for place, request in enumerate(batch):
                yield request, samples[place * num_samples : (place + 1) * num_samples]

    def _sample(
        self,
        requests: Sequence[GenerationRequest],
        prompts: Sequence[list[int]],
        rows: Sequence[tuple[int, int]],
        sampling: Sampling,
    ) -> list[Sample]:
        is_padded = len({len(prompts[place]) for place, _ in rows}) > 1
        with torch.inference_mode(), _grouped_heads(self.model) if is_padded else nullcontext():
            return self._drawn(requests, prompts, rows, sampling)

    def _drawn(
        self,
        requests: Sequence[GenerationRequest],
        prompts: Sequence[list[int]],
        rows: Sequence[tuple[int, int]],  # (place of a request, index of its sample), in order
        sampling: Sampling,
    ) -> list[Sample]:
        end_ids = self._end_ids
        uniform = torch.stack([_uniform(sampling, requests[place].id, index) for place, index in rows]).to(self.device)
        cache = transformers.DynamicCache(config=self.model.config)
        held = {_cache_argument(self.model): cache}
        first = rows[0][0]
        shown = prompts[first : rows[-1][0] + 1]
        size = max(map(len, shown))
        is_padded = any(len(prompt) < size for prompt in shown)
        # (prompts, tokens); shorter ones begin with tokens that nothing sees and that have no place.
        tokens = torch.tensor([[0] * (size - len(prompt)) + prompt for prompt in shown], device=self.device)
        prompt_of = torch.tensor([place - first for place, _ in rows], device=self.device)  # (rows,)
        seen: torch.Tensor | None = None
        given: dict[str, torch.Tensor] = {}
        if is_padded:
            seen = torch.tensor([[0] * (size - len(p)) + [1] * len(p) for p in shown], device=self.device)
            given = {"attention_mask": seen, "position_ids": (seen.cumsum(-1) - 1).clamp(min=0)}
        logits = self.model(input_ids=tokens, logits_to_keep=1, **held, **given).logits[:, -1].float()
        cache.batch_select_indices(prompt_of)
        logits = logits[prompt_of]  # (rows, vocab)
        seen = None if seen is None else seen[prompt_of]
        drawn: list[list[int]] = [[] for _ in rows]
        log_probability = [0.0 for _ in rows]
        done: dict[int, Sample] = {}
        alive = list(range(len(rows)))  # rows of the batch that still grow
        for step in range(sampling.max_tokens):
            chosen = _draw(logits, uniform[alive, step], sampling)  # (rows,)
            raw = logits.log_softmax(-1).gather(1, chosen[:, None])[:, 0]  # at temperature 1, before top-p
            growing = []  # positions in `alive`
            for at, (row, token, value) in enumerate(zip(alive, chosen.tolist(), raw.tolist(), strict=True)):
                drawn[row].append(token)
                log_probability[row] += value
                ended = token in end_ids
                stop = requests[rows[row][0]].stop
                stopped = ended or self._stops(drawn[row], stop)
                if stopped or step + 1 == sampling.max_tokens:
                    text = self._decode(drawn[row][:-1] if ended else drawn[row], stop)
                    mean = log_probability[row] / len(drawn[row])
                    done[row] = Sample(text, len(drawn[row]), "stop" if stopped else "length", mean)
                else:
                    growing.append(at)
            if not growing:
                break
            if len(growing) < len(alive):
                kept = torch.tensor(growing, device=self.device)
                cache.batch_select_indices(kept)
                chosen = chosen[kept]
                seen = None if seen is None else seen[kept]
                alive = [alive[at] for at in growing]
            if seen is not None:
                seen = torch.cat([seen, seen.new_ones(len(seen), 1)], dim=1)
                given = {"attention_mask": seen, "position_ids": seen.sum(-1, keepdim=True) - 1}
            output = self.model(input_ids=chosen[:, None], logits_to_keep=1, **held, **given)
            logits = output.logits[:, -1].float()
        return [done[row] for row in range(len(rows))]

    def _stops(self, tokens: list[int], stop: tuple[str, ...]) -> bool:
        if not stop:
            return False
        # A stop word may begin a few tokens back; no token is shorter than a byte.
        tail = self.tokenizer.decode(tokens[-2 * max(map(len, stop)) :])
        return any(word in tail for word in stop)

    def _decode(self, tokens: list[int], stop: tuple[str, ...]) -> str:
        text = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        ends = [at for word in stop if (at := text.find(word)) >= 0]
        return text[: min(ends)] if ends else text


def _cache_argument(model: Any) -> str:
    """The name of the argument of a model's forward that takes keys and values: transformers 5.24 renamed it."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def _is_full_attention(config: Any) -> bool:
    """Whether every layer attends to the whole context: only then is a tree of prompts the same as each alone."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return set(kinds) == {"full_attention"}
    return getattr(config, "sliding_window", None) is None and not hasattr(config, "ssm_cfg")
