"""vLLM (0.19 or later) as an engine. Prefix caching shares what prompts have in common; requests go in tree order.

Verdicts: the model may give the two answers only, and vLLM reports their log-probabilities after that mask, whose
difference is the difference of the two logits. Where vLLM can't compute logits in float32 (0.20.2 says so and goes
on), they are rounded to bfloat16, in steps of 1/8 from 16 up: expect ties between similar programs.

Samples: seeded one by one, but the last bits of a logit depend on what else is in vLLM's batch, so now and then a run
draws another sample where two tokens are nearly alike. For the same bits use the transformers engine.
"""

import gc
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import vllm

from rerank.backends.batching import filled
from rerank.backends.encoding import EncodedPrompt, PromptEncoder
from rerank.backends.interface import AnswerLogOdds, EngineOptions, GenerationRequest, Sample, Sampling
from rerank.errors import ModelError, SettingError
from rerank.models import weights
from rerank.models.folders import ModelFiles
from rerank.prompts import Prompt
from rerank.store import content_hash

# One call of vLLM handles whole groups or requests up to about this many; finished calls outlive a kill.
_PROMPTS_A_CALL = 4096
_SAMPLES_A_CALL = 4096
_SAMPLES_A_CALL_ON_CPU = 256


class VllmEngine:
    """One model in vLLM, loaded to judge or to generate: vLLM fixes at loading which log-probabilities it reports."""

    def __init__(self, files: ModelFiles, options: EngineOptions | None = None):
        options = options or EngineOptions()
        self.files = files
        self._purpose = options.purpose
        folder = weights.merged(files) if files.adapter else files.folder
        on_cpu = not torch.cuda.is_available()
        settings: dict[str, Any] = {"logprobs_mode": "raw_logprobs"}
        if options.purpose == "judge":
            settings = {"logprobs_mode": "processed_logprobs", "hf_overrides": {"head_dtype": "float32"}}
        if options.max_batch_tokens:
            settings["max_num_batched_tokens"] = options.max_batch_tokens
        if on_cpu:
            # A prompt read in two parts sets a seeded sample's generator back, which those of a CPU do not support.
            settings["enable_chunked_prefill"] = False
        try:
            self.llm = vllm.LLM(
                model=str(folder),
                dtype=options.dtype or "auto",
                enable_prefix_caching=True,
                enforce_eager=on_cpu,  # compiling for a CPU takes longer than most runs
                max_model_len=min(_context_length(folder), options.max_prompt_tokens + 1),
                gpu_memory_utilization=options.memory_share,
                seed=0,
                **settings,
            )
        except (ValueError, OSError) as error:
            first_line = str(error).strip().partition("\n")[0]
            raise ModelError(f"{files.name}: vLLM cannot load it ({first_line}); try --backend transformers") from error
        self._device = "cpu" if on_cpu else torch.cuda.get_device_name()
        self._tokenizer = self.llm.get_tokenizer()
        self.encoder = PromptEncoder(
            self._tokenizer,
            model=files.name,
            max_prompt_tokens=min(_context_length(folder) - 1, options.max_prompt_tokens),
        )

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            "engine": f"vllm {vllm.__version__}",
            "model": self.files.name,
            "weights": self.files.source,
            "device": self._device,
            "dtype": str(self.llm.llm_engine.model_config.dtype).removeprefix("torch."),
        }

    @property
    def has_chat_template(self) -> bool:
        return self.encoder.has_chat_template

    def close(self) -> None:
        del self.llm
        gc.collect()

    def answer_log_odds(self, groups: Iterable[Sequence[Prompt]]) -> Iterator[list[AnswerLogOdds]]:
        """Many groups a call, to fill the device; `num_tokens_saved` is what vLLM says it found in its cache."""
        self._need("judge")
        for batch in filled(groups, size=len, limit=lambda: _PROMPTS_A_CALL):
            prompts = [prompt for group in batch for prompt in group]
            answers = iter(self._judge(prompts))
            for group in batch:
                yield list(itertools.islice(answers, len(group)))

    def _judge(self, prompts: Sequence[Prompt]) -> list[AnswerLogOdds]:
        encoded = [self.encoder.encode(prompt) for prompt in prompts]
        order = sorted(range(len(prompts)), key=lambda index: encoded[index].tokens)
        answer_ids = [self.encoder.answer_ids(prompt.answers[:2]) for prompt in prompts]
        outputs = self.llm.generate(
            [{"prompt_token_ids": list(encoded[index].tokens)} for index in order],
            [_verdict_params(answer_ids[index]) for index in order],
            use_tqdm=False,
        )
        found: dict[int, AnswerLogOdds] = {}
        for index, output in zip(order, outputs, strict=True):
            found[index] = _verdict(output, answer_ids[index], encoded[index])
        return [found[index] for index in range(len(prompts))]

    def generate(
        self, requests: Iterable[GenerationRequest], num_samples: int, sampling: Sampling
    ) -> Iterator[tuple[GenerationRequest, list[Sample]]]:
        self._need("generate")
        limit = _SAMPLES_A_CALL_ON_CPU if self._device == "cpu" else _SAMPLES_A_CALL
        for batch in filled(requests, size=lambda _: num_samples, limit=lambda: limit):
            prompts = [
                {"prompt_token_ids": self.encoder.encode_request(request, max_tokens=sampling.max_tokens)}
                for request in batch
            ]
            params = [_sampling_params(request, num_samples, sampling) for request in batch]
            outputs = self.llm.generate(prompts, params, use_tqdm=False)
            for request, output in zip(batch, outputs, strict=True):
                yield (
                    request,
                    [
                        self._sample(drawn, is_text=bool(request.stop))
                        for drawn in sorted(output.outputs, key=lambda drawn: drawn.index)
                    ],
                )

    def _sample(self, drawn: Any, *, is_text: bool) -> Sample:
        num_tokens = len(drawn.token_ids)
        mean = drawn.cumulative_logprob / num_tokens if num_tokens and drawn.cumulative_logprob is not None else None
        text = drawn.text if is_text else self._tokenizer.decode(drawn.token_ids, skip_special_tokens=True)
        return Sample(text, num_tokens, "length" if drawn.finish_reason == "length" else "stop", mean)

    def _need(self, purpose: str) -> None:
        if self._purpose != purpose:
            raise SettingError(f"{self.files.name}: loaded in vLLM to {self._purpose}; to {purpose}, load it anew")


def _verdict_params(answer_ids: Sequence[int]) -> vllm.SamplingParams:
    return vllm.SamplingParams(
        max_tokens=1, temperature=0, logprobs=len(answer_ids), allowed_token_ids=list(answer_ids), detokenize=False
    )


def _verdict(output: Any, answer_ids: Sequence[int], encoded: EncodedPrompt) -> AnswerLogOdds:
    [first_token] = output.outputs[0].logprobs
    num_cached = output.num_cached_tokens or 0
    num_tokens = len(encoded.tokens) - num_cached
    first, second = (first_token.get(token) for token in answer_ids)
    if first is None or second is None:
        return AnswerLogOdds(None, num_tokens, num_cached, "vLLM reported no log-probability of an answer")
    return AnswerLogOdds(first.logprob - second.logprob, num_tokens, num_cached, encoded.reason)


def _sampling_params(request: GenerationRequest, num_samples: int, sampling: Sampling) -> vllm.SamplingParams:
    return vllm.SamplingParams(
        n=num_samples,
        # vLLM seeds sample number i with this plus i.
        seed=int(content_hash(sampling.seed, request.id), 16) & (2**31 - 1),
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        stop=list(request.stop),
        logprobs=0,
        # vLLM would turn every token of every sample into text on one CPU core, and the GPU would wait for it (8,500
        # tokens a second on an H200, whatever the sampler). Only stop words need that; `_sample` decodes the rest once.
        detokenize=bool(request.stop),
        flat_logprobs=True,
    )


def _context_length(folder: Path) -> int:
    return int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"])
