"""Where candidates are sampled: a server behind a URL, or a model in this process.

    upstream = open_upstream("http://localhost:8001/v1", EngineOptions())
    drawn = await upstream.sample("chat/completions", {"messages": [...], "temperature": 0.8}, num_samples=8)
    drawn.choices[0]["message"]["content"]

The key for a URL is read from OPENAI_API_KEY, as everywhere in rerank.
"""

import asyncio
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import httpx

from rerank.backends.engines import open_engine
from rerank.backends.interface import Engine, EngineOptions, GenerationRequest, Sample, Sampling
from rerank.errors import SettingError
from rerank.server.batcher import Batcher
from rerank.server.refusals import Refused
from rerank.store import content_hash

Route = Literal["chat/completions", "completions"]
Body = Mapping[str, Any]  # a request's fields, without those of `rerank` and of streaming
_MAX_CONNECTIONS = 256
_CONNECT_S = 10.0
_MAX_ANSWER_BYTES = 64 << 20  # of one answer: what a broken upstream may make us hold
_MAX_BATCH = 16  # requests sampled together by a model in this process


@dataclass(frozen=True, slots=True)
class Drawn:
    """Some samples of one request, as OpenAI's choices, and the head that their answer came with."""

    choices: list[dict[str, Any]]
    log_probabilities: list[float | None]  # means in nats a token, where asked for and known
    head: dict[str, Any]  # id, object, created, model, usage and what else the upstream says


class Upstream(Protocol):
    name: str

    async def sample(self, route: Route, body: Body, num_samples: int, *, log_probabilities: bool = False) -> Drawn:
        """Draw `num_samples`. Raises Refused with the status to answer with. Cancelled when the client leaves."""

    async def close(self) -> None: ...


def open_upstream(name: str, options: EngineOptions, *, backend: str, timeout_s: float) -> Upstream:
    """A URL or a model's name. Raises SettingError for a bad URL, and what `open_engine` raises."""
    if "://" in name:
        return HttpUpstream(name, timeout_s=timeout_s)
    return EngineUpstream(name, open_engine(backend, name, replace(options, purpose="generate")))


class HttpUpstream:
    """An OpenAI-style server; fields that we do not read go to it as they came."""

    def __init__(self, url: str, *, timeout_s: float):
        self.name = url.rstrip("/")
        key = os.environ.get("OPENAI_API_KEY", "")
        try:
            self._client = httpx.AsyncClient(
                base_url=self.name,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S),
                # Shorter than servers keep idle connections open: one that is just being closed is not used again.
                limits=httpx.Limits(max_connections=_MAX_CONNECTIONS, keepalive_expiry=2.0),
            )
            if self._client.base_url.scheme not in ("http", "https"):
                raise ValueError("http:// or https:// is wanted")
        except (httpx.InvalidURL, ValueError) as error:
            raise SettingError(f"--upstream {url}: not a URL ({error})") from error

    async def sample(self, route: Route, body: Body, num_samples: int, *, log_probabilities: bool = False) -> Drawn:
        adds = log_probabilities and not body.get("logprobs")
        if adds:
            body = {**body, "logprobs": True if route == "chat/completions" else 1}
        first = await self._ask(route, {**body, "n": num_samples} if num_samples > 1 else body)
        answers = [first]
        # Some servers ignore `n`: the rest is asked for one by one, each with a seed of its own.
        if (missing := num_samples - len(first["choices"])) > 0:
            answers += await self._ask_all(route, [_reseeded(body, number) for number in range(1, missing + 1)])
        choices = [choice for answer in answers for choice in answer["choices"]][:num_samples]
        values = [_mean_log_probability(choice) if log_probabilities else None for choice in choices]
        if adds:  # not asked for by the client
            choices = [{**choice, "logprobs": None} for choice in choices]
        head = {name: value for name, value in first.items() if name != "choices"}
        return Drawn(choices, values, head | {"usage": _sum_usage([answer.get("usage") for answer in answers])})

    async def _ask_all(self, route: Route, bodies: Sequence[Body]) -> list[dict[str, Any]]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(route, body)) for body in bodies]
        except BaseExceptionGroup as failed:  # the others were cancelled: the first says it all
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, route: Route, body: Body) -> dict[str, Any]:
        # Written here and not by httpx, which fails on a lone surrogate; as an escape it is the upstream's to refuse.
        content = json.dumps(body).encode()
        try:
            async with self._client.stream(
                "POST", f"/{route}", content=content, headers={"Content-Type": "application/json"}
            ) as response:
                parts, size = [], 0
                async for part in response.aiter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > _MAX_ANSWER_BYTES:
                        raise Refused(502, f"the upstream {self.name} answers with more than {_MAX_ANSWER_BYTES} bytes")
        except httpx.TimeoutException as error:
            raise Refused(504, f"the upstream {self.name} did not answer in time ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise Refused(
                502, f"the upstream {self.name} cannot be reached ({type(error).__name__}: {error}); is it up?"
            ) from error
        answer = _parse(b"".join(parts))
        if response.is_success:
            return self._checked(answer)
        raise self._refusal(response, answer)

    def _checked(self, answer: Any) -> dict[str, Any]:
        choices = answer.get("choices") if isinstance(answer, dict) else None
        if not isinstance(choices, list) or not choices or not all(isinstance(each, dict) for each in choices):
            raise Refused(502, f"the upstream {self.name} answers without choices; is it an OpenAI-style server?")
        return answer

    def _refusal(self, response: httpx.Response, answer: Any) -> Refused:
        status = response.status_code
        said = answer.get("error", answer) if isinstance(answer, dict) else None
        message = said.get("message") if isinstance(said, dict) else said
        message = str(message or f"status {status}")[:1000]
        if status in (401, 403):
            return Refused(502, f"the upstream {self.name} does not accept OPENAI_API_KEY (status {status})")
        if status == 429:
            wait = response.headers.get("retry-after", "")
            return Refused(429, f"the upstream is busy: {message}", retry_after_s=int(wait) if wait.isdigit() else 1)
        if 400 <= status < 500:
            return Refused(status, f"the upstream says: {message}")
        return Refused(502, f"the upstream {self.name} failed with status {status}: {message}")


@dataclass(frozen=True, slots=True)
class _Order:
    """A request to the model in this process."""

    request: GenerationRequest
    num_samples: int
    sampling: Sampling


class EngineUpstream:
    """A model in this process. It takes one user message, after system messages if need be, and knows these fields."""

    _KNOWN = frozenset(
        {"model", "messages", "prompt", "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop"}
    )

    def __init__(self, name: str, engine: Engine):
        self.name = name
        self._engine = engine
        self._batcher = Batcher(self._work, max_batch=_MAX_BATCH)

    async def sample(self, route: Route, body: Body, num_samples: int, *, log_probabilities: bool = False) -> Drawn:
        unknown = next((name for name in body if name not in self._KNOWN), None)
        if unknown:
            raise Refused(400, f"{unknown}: a model in this server's own process does not know it", param=unknown)
        order = _Order(_request(route, body, self._engine.has_chat_template), num_samples, _sampling(body))
        samples = await self._batcher.submit(order)
        is_chat = route == "chat/completions"
        head = {
            "id": f"{'chatcmpl' if is_chat else 'cmpl'}-{uuid.uuid4().hex}",
            "object": "chat.completion" if is_chat else "text_completion",
            "created": int(time.time()),
            "model": self.name,
            "usage": _sum_usage([{"completion_tokens": sample.num_tokens} for sample in samples]),
        }
        values = [sample.mean_log_probability if log_probabilities else None for sample in samples]
        return Drawn([_choice(index, sample, is_chat) for index, sample in enumerate(samples)], values, head)

    async def close(self) -> None:
        await asyncio.to_thread(self._batcher.close)
        self._engine.close()

    def _work(self, orders: list[_Order]) -> Iterator[tuple[int, list[Sample]]]:
        alike: dict[tuple[int, Sampling], list[int]] = {}
        for place, order in enumerate(orders):
            alike.setdefault((order.num_samples, order.sampling), []).append(place)
        for (num_samples, sampling), places in alike.items():
            requests = [orders[place].request for place in places]
            for place, (_, samples) in zip(places, self._engine.generate(requests, num_samples, sampling), strict=True):
                yield place, samples


def _reseeded(body: Body, number: int) -> Body:
    seed = body.get("seed")
    return body if seed is None else {**body, "seed": (seed + number) % 2**31}


def _mean_log_probability(choice: Body) -> float | None:
    """Mean over a choice's tokens, in nats; None where the upstream gave none."""
    given = choice.get("logprobs")
    if not isinstance(given, dict):
        return None
    content = given.get("content")
    values = [entry.get("logprob") for entry in content] if isinstance(content, list) else given.get("token_logprobs")
    numbers = [value for value in values or () if isinstance(value, int | float)]
    return sum(numbers) / len(numbers) if numbers else None


def _request(route: Route, body: Body, has_chat_template: bool) -> GenerationRequest:
    if route == "chat/completions":
        if not has_chat_template:
            raise Refused(400, "the model has no chat template; ask /v1/completions", param="messages")
        *before, last = body["messages"]
        if last["role"] != "user" or any(message["role"] != "system" for message in before):
            raise Refused(
                400,
                "a model in this server's own process takes system messages and then one user message; "
                "for conversations serve it with vLLM and name its URL as --upstream",
                param="messages",
            )
        text = "\n\n".join(_text(message) for message in body["messages"])
    else:
        text = body["prompt"] if isinstance(body["prompt"], str) else body["prompt"][0]
    stop = body.get("stop") or ()
    stops = (stop,) if isinstance(stop, str) else tuple(each for each in stop if each)
    # Sampling is seeded by the request's id: without a seed each request is to be another one.
    name = content_hash(text) if body.get("seed") is not None else uuid.uuid4().hex
    return GenerationRequest(name, text, route == "chat/completions", stops)


def _text(message: Body) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "\n".join(part.get("text") or "" for part in content)


def _sampling(body: Body) -> Sampling:
    default = Sampling()
    max_tokens = body.get("max_completion_tokens") or body.get("max_tokens") or default.max_tokens
    return Sampling(body["temperature"], body["top_p"], max_tokens, body.get("seed") or 0)


def _choice(index: int, sample: Sample, is_chat: bool) -> dict[str, Any]:
    content = {"message": {"role": "assistant", "content": sample.text}} if is_chat else {"text": sample.text}
    return {"index": index, **content, "finish_reason": sample.finish_reason, "logprobs": None}


def _sum_usage(usages: list[Any]) -> dict[str, int]:
    """Token counts of several answers together: the prompt once, as one answer with `n` would count it."""
    found = [usage for usage in usages if isinstance(usage, dict)]
    prompt = max((_count(usage, "prompt_tokens") for usage in found), default=0)
    completion = sum(_count(usage, "completion_tokens") for usage in found)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _count(usage: Body, name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) else 0


def _parse(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
