"""An OpenAI-style server as an engine: /chat/completions with `n`, `seed` and log-probabilities.

The key is read from OPENAI_API_KEY (a local server needs none). Verdicts are read from `top_logprobs` of the first
token, of which servers list 20 at most: an answer below those has no log-probability, and the lowest listed stands for
it as a bound, with a reason beside the verdict. A server does its own batching and caching; requests go out
`_NUM_CONNECTIONS` at a time.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from rerank.backends.interface import AnswerLogOdds, EngineOptions, GenerationRequest, Sample, Sampling
from rerank.errors import MissingError, ModelError, SettingError
from rerank.prompts import Prompt
from rerank.store import content_hash

_NUM_CONNECTIONS = 16
_NUM_TRIES = 5
_TOP_LOGPROBS = 20
_TIMEOUT_S = 300.0
_RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504})
T = TypeVar("T")
R = TypeVar("R")


class OpenAIEngine:
    """A model behind a server. `first_wait_s` doubles from one try to the next."""

    def __init__(self, model: str, options: EngineOptions, *, first_wait_s: float = 1.0):
        if not options.base_url:
            raise SettingError("--backend openai: needs --base-url, such as http://localhost:8000/v1")
        self._model = model
        self._url = options.base_url.rstrip("/")
        self._key = os.environ.get("OPENAI_API_KEY", "")
        self._first_wait_s = first_wait_s
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            self._client = httpx.Client(base_url=self._url, headers=headers, timeout=_TIMEOUT_S)
        except (httpx.InvalidURL, ValueError) as error:
            raise SettingError(f"--base-url {options.base_url}: not a URL ({error})") from error

    def __repr__(self) -> str:
        key = f"...{self._key[-4:]}" if len(self._key) > 12 else "***" if self._key else "none"
        return f"OpenAIEngine({self._model!r}, {self._url!r}, key={key})"

    @property
    def settings(self) -> Mapping[str, str]:
        return {"engine": "openai", "model": self._model, "weights": self._url, "device": "remote", "dtype": "unknown"}

    @property
    def has_chat_template(self) -> bool:
        return True  # the server applies it

    def close(self) -> None:
        self._client.close()

    def answer_log_odds(self, groups: Iterable[Sequence[Prompt]]) -> Iterator[list[AnswerLogOdds]]:
        for prompts in groups:
            yield self._in_parallel(self._judge, prompts)

    def _judge(self, prompt: Prompt) -> AnswerLogOdds:
        body = {"max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": _TOP_LOGPROBS}
        reply = self._ask(prompt.text, body)
        num_tokens = int((reply.get("usage") or {}).get("prompt_tokens") or 0)
        details = (reply.get("usage") or {}).get("prompt_tokens_details") or {}
        num_saved = int(details.get("cached_tokens") or 0)
        content = (reply["choices"][0].get("logprobs") or {}).get("content")
        if not content:
            raise ModelError(f"{self._model} at {self._url}: the server gives no log-probabilities; judging needs them")
        listed: dict[str, float] = {}
        for entry in content[0]["top_logprobs"]:
            token = entry["token"].strip()
            listed[token] = max(listed.get(token, -float("inf")), entry["logprob"])
        log_odds, reason = _log_odds(listed, prompt.answers)
        return AnswerLogOdds(log_odds, num_tokens - num_saved, num_saved, reason)

    def generate(
        self, requests: Iterable[GenerationRequest], num_samples: int, sampling: Sampling
    ) -> Iterator[tuple[GenerationRequest, list[Sample]]]:
        def draw(request: GenerationRequest) -> list[Sample]:
            return self._draw(request, num_samples, sampling)

        remaining = iter(requests)
        while batch := list(itertools.islice(remaining, _NUM_CONNECTIONS)):
            yield from zip(batch, self._in_parallel(draw, batch), strict=True)

    def _draw(self, request: GenerationRequest, num_samples: int, sampling: Sampling) -> list[Sample]:
        if not request.is_chat:
            raise SettingError("--backend openai: only chat prompts can be sent; a base model needs another backend")
        body: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "logprobs": True,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        samples: list[Sample] = []
        # Some servers ignore `n`: ask until there are enough, each time with a seed of its own.
        while len(samples) < num_samples:
            body["n"] = num_samples - len(samples)
            body["seed"] = int(content_hash(sampling.seed, request.id, len(samples)), 16) & (2**31 - 1)
            reply = self._ask(request.text, body)
            samples += [_sample(choice, reply) for choice in reply["choices"]]
        return samples[:num_samples]

    def _in_parallel(self, function: Callable[[T], R], items: Sequence[T]) -> list[R]:
        with ThreadPoolExecutor(_NUM_CONNECTIONS) as pool:
            return list(pool.map(function, items))

    def _ask(self, text: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One chat completion; waits and tries again where the server is busy or away for a moment."""
        message = {"model": self._model, "messages": [{"role": "user", "content": text}], **body}
        problem = ""
        for attempt in range(_NUM_TRIES):
            if attempt:
                time.sleep(self._first_wait_s * 2 ** (attempt - 1))
            try:
                response = self._client.post("/chat/completions", json=message)
            except httpx.TransportError as error:
                problem = f"{type(error).__name__}: {error}"
                continue
            if response.status_code in _RETRIED:
                problem = f"status {response.status_code}"
                continue
            return self._read(response)
        raise MissingError(f"{self._url}: no answer in {_NUM_TRIES} tries ({problem}); is the server up?")

    def _read(self, response: httpx.Response) -> dict[str, Any]:
        if response.status_code in (401, 403):
            raise SettingError(f"{self._url}: OPENAI_API_KEY is not accepted (status {response.status_code})")
        if response.status_code == 404:
            raise ModelError(f"{self._model}: not known at {self._url} (status 404); look at its /models")
        if response.is_error:
            raise ModelError(f"{self._model} at {self._url}: status {response.status_code}, {response.text[:200]!r}")
        try:
            reply = response.json()
        except ValueError as error:
            raise ModelError(f"{self._url}: the answer is not JSON; is it an OpenAI-style server?") from error
        if not isinstance(reply, dict) or not reply.get("choices"):
            raise ModelError(f"{self._url}: the answer holds no choices; is it an OpenAI-style server?")
        return reply


def _log_odds(listed: Mapping[str, float], answers: Sequence[str]) -> tuple[float | None, str]:
    """Log-odds of the first answer against the second from the likeliest tokens, and a remark."""
    first, second = answers[:2]
    if first not in listed and second not in listed:
        return None, f"neither {first} nor {second} is among the {len(listed)} likeliest tokens"
    bound = min(listed.values())
    missing = [answer for answer in (first, second) if answer not in listed]
    remark = f"{missing[0]} is not among the likeliest tokens: a bound" if missing else ""
    return listed.get(first, bound) - listed.get(second, bound), remark


def _sample(choice: Mapping[str, Any], reply: Mapping[str, Any]) -> Sample:
    content = (choice.get("logprobs") or {}).get("content") or []
    values = [entry["logprob"] for entry in content]
    num_tokens = len(values) or int((reply.get("usage") or {}).get("completion_tokens") or 0) // len(reply["choices"])
    text = (choice.get("message") or {}).get("content") or ""
    mean = sum(values) / len(values) if values else None
    return Sample(text, num_tokens, "length" if choice.get("finish_reason") == "length" else "stop", mean)
