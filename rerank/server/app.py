"""The routes: a request is read, sampled and ranked by others, and put into the answer's shape here.

app = create_app(judge, upstream, limits=Limits(), metrics=metrics)     # an ASGI application, gate included
"""

import asyncio
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from rerank.backends.interface import Sampling
from rerank.errors import MissingError, ModelError, UserError
from rerank.host import package_version
from rerank.server import schemas
from rerank.server.counters import Metrics
from rerank.server.gate import OPEN_PATHS, Gate
from rerank.server.ranking import Judge, Judged, JudgedCandidate, Task, relevance, to_json
from rerank.server.refusals import Refused
from rerank.server.upstream import Drawn, Route, Upstream

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.ErrorAnswer, "description": what}
    for status, what in {
        400: "The request cannot be used; the message names the field.",
        401: "No or a wrong API key.",
        404: "The server was started without --upstream, or the upstream does not know the model.",
        408: "The body did not arrive in time.",
        413: "The body is too large.",
        415: "The body is not announced as JSON.",
        429: "The queue is full; Retry-After says when to come again.",
        500: "A bug, or the model failed.",
        502: "The upstream or the autorater's server is away or broken.",
        504: "No answer in time.",
    }.items()
}
_STREAMED: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
_OWN_FIELDS = {"n", "stream", "stream_options", "rerank"}  # of a request to sample; all others are the upstream's


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request and all of them together may ask for."""

    num_samples: int = 8  # where a request does not say
    max_n: int = 128  # samples, or candidates brought by the caller
    max_queue: int = 256  # requests under way; the next one is answered 429
    max_body_bytes: int = 2 << 20
    timeout_s: float = 300.0  # from a request's body to its answer
    api_key: str = field(default="", repr=False)  # empty: none is asked for


def create_app(judge: Judge, upstream: Upstream | None, *, limits: Limits, metrics: Metrics) -> Gate:
    """The server as an ASGI application; with it `judge` and `upstream` are closed."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if upstream:
            await upstream.close()
        await asyncio.to_thread(judge.close)

    # No pages of documentation: they would load scripts from elsewhere. /openapi.json is there.
    app = FastAPI(
        title="rerank", version=package_version("rerank") or "0", docs_url=None, redoc_url=None, lifespan=lifespan
    )
    started = int(time.time())

    async def rank(task: Task) -> Judged:
        with metrics.ranking_seconds.time():
            judged = await judge.rank(task)
        metrics.note(judged)
        return judged

    async def sample(route: Route, request: schemas.ChatRequest | schemas.CompletionRequest) -> Drawn:
        if upstream is None:
            raise Refused(404, "this server was started without --upstream: it ranks (/v1/rerank) and does not sample")
        num_samples = request.n or limits.num_samples
        if num_samples > limits.max_n:
            raise Refused(400, f"n is {num_samples}: at most {limits.max_n} (--max-n)", param="n")
        body = request.model_dump(exclude_unset=True, exclude=_OWN_FIELDS)
        default = Sampling()
        body = {"temperature": default.temperature, "top_p": default.top_p} | {
            name: value for name, value in body.items() if value is not None
        }
        if body["temperature"] == 0:
            num_samples = 1  # all would be the same
        with metrics.sampling_seconds.time():
            wanted = judge.name == "log-probability"
            return await upstream.sample(route, body, num_samples, log_probabilities=wanted)

    async def choose(drawn: Drawn, task: Task, request: schemas.Sampling) -> dict[str, Any]:
        judged = await rank(task)
        extra = to_json(judged)
        if request.rerank.return_candidates:
            extra["candidates"] = [task.solutions[each.index] for each in judged.candidates]
        best = {**drawn.choices[judged.best], "index": 0}
        return {**drawn.head, "choices": [best], "rerank": extra}

    @app.post("/v1/chat/completions", response_model=schemas.Completion, responses=_ERRORS | _STREAMED)
    async def chat_completions(request: schemas.ChatRequest) -> Response:
        """Sample `n` answers, rank the programs in them, return the best."""
        drawn = await sample("chat/completions", request)
        asked = [message.text for message in request.messages if message.role == "user"]
        task = Task(
            request.rerank.problem or (asked[-1] if asked else ""),
            tuple(_message_text(choice) for choice in drawn.choices),
            _known(drawn.log_probabilities),
            request.rerank.entry_point,
        )
        answer = _completed(await choose(drawn, task, request), "chatcmpl", "chat.completion", request.model)
        return _stream(_chat_chunks(answer), request) if request.stream else JSONResponse(answer)

    @app.post("/v1/completions", response_model=schemas.Completion, responses=_ERRORS | _STREAMED)
    async def completions(request: schemas.CompletionRequest) -> Response:
        """Sample `n` continuations of a prompt, rank the programs that they make, return the best."""
        drawn = await sample("completions", request)
        task = Task(
            request.rerank.problem or request.text,
            tuple(_plain(choice.get("text")) for choice in drawn.choices),
            _known(drawn.log_probabilities),
            request.rerank.entry_point,
            continues=request.rerank.problem is None,
        )
        answer = _completed(await choose(drawn, task, request), "cmpl", "text_completion", request.model)
        return _stream(_text_chunks(answer), request) if request.stream else JSONResponse(answer)

    @app.post("/v2/rerank", response_model=schemas.RerankAnswer, responses=_ERRORS, include_in_schema=False)
    @app.post("/rerank", response_model=schemas.RerankAnswer, responses=_ERRORS, include_in_schema=False)
    @app.post("/v1/rerank", response_model=schemas.RerankAnswer, responses=_ERRORS)
    async def rerank(request: schemas.RerankRequest) -> schemas.RerankAnswer:
        """Rank candidates that the caller brings: `query` is the problem. Also at /rerank and /v2/rerank."""
        texts = [each if isinstance(each, str) else each.text for each in request.documents]
        _check_count(len(texts), limits.max_n, "documents")
        judged = await rank(Task(request.query, tuple(texts), entry_point=request.entry_point))
        results = [
            schemas.RerankResult(
                index=each.index,
                relevance_score=number,
                document=schemas.ReturnedDocument(text=texts[each.index]) if request.return_documents else None,
                rerank=_scored(each),
            )
            for each, number in list(zip(judged.candidates, relevance(judged), strict=True))[: request.top_n]
        ]
        usage = schemas.Usage(total_tokens=judged.num_tokens, prompt_tokens=judged.num_tokens)
        return schemas.RerankAnswer(id=_new_id("rerank"), model=judge.name, results=results, usage=usage)

    @app.post("/score", response_model=schemas.ScoreAnswer, responses=_ERRORS, include_in_schema=False)
    @app.post("/v1/score", response_model=schemas.ScoreAnswer, responses=_ERRORS)
    async def score(request: schemas.ScoreRequest) -> schemas.ScoreAnswer:
        """Score candidates in the order given: `text_1` is the problem, `text_2` its candidates. Also at /score."""
        firsts, seconds = _listed(request.text_1), _listed(request.text_2)
        if len(firsts) not in (1, len(seconds)):
            raise Refused(
                400,
                f"text_1 has {len(firsts)} texts, text_2 {len(seconds)}: give one problem, or one a candidate",
                param="text_1",
            )
        _check_count(len(seconds), limits.max_n, "text_2")
        groups: dict[str, list[int]] = {}  # candidates of one problem are judged together, wherever they stand
        for place in range(len(seconds)):
            groups.setdefault(firsts[place % len(firsts)], []).append(place)
        found: dict[int, schemas.ScoreResult] = {}
        num_tokens = 0
        for problem, places in groups.items():
            solutions = tuple(seconds[place] for place in places)
            judged = await rank(Task(problem, solutions, entry_point=request.entry_point))
            for each, number in zip(judged.candidates, relevance(judged), strict=True):
                place = places[each.index]
                found[place] = schemas.ScoreResult(index=place, score=number, rerank=_scored(each))
            num_tokens += judged.num_tokens
        data = [found[place] for place in range(len(seconds))]
        usage = schemas.Usage(total_tokens=num_tokens, prompt_tokens=num_tokens)
        return schemas.ScoreAnswer(
            id=_new_id("score"), created=int(time.time()), model=judge.name, data=data, usage=usage
        )

    @app.get("/v1/models", response_model=schemas.Models, responses={401: _ERRORS[401], 429: _ERRORS[429]})
    async def models() -> schemas.Models:
        """What answers: the upstream, if there is one, and the autorater."""
        owners = {upstream.name if upstream else None: "upstream", judge.name: "rerank"}
        found = [schemas.Model(id=name, created=started, owned_by=owner) for name, owner in owners.items() if name]
        return schemas.Models(data=found)

    @app.get("/health", response_model=schemas.Health)
    async def health() -> schemas.Health:
        """That the server is up, and how busy it is. Says nothing about the upstream: that may be another's."""
        return schemas.Health(
            autorater=judge.name,
            upstream=upstream.name if upstream else None,
            in_flight=gate.in_flight,
            max_queue=limits.max_queue,
        )

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def prometheus() -> Response:
        """Counts in Prometheus' text form."""
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")

    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Refused, _on_refused)
    app.add_exception_handler(UserError, _on_user_error)
    app.add_exception_handler(Exception, _on_bug)
    _drop_422(app)
    routes = frozenset(path for route in app.routes if (path := getattr(route, "path", None))) - OPEN_PATHS
    gate = Gate(
        app,
        metrics=metrics,
        routes=routes,
        api_key=limits.api_key,
        max_queue=limits.max_queue,
        max_body_bytes=limits.max_body_bytes,
        timeout_s=limits.timeout_s,
    )
    return gate


# Answers


def _completed(answer: dict[str, Any], prefix: str, kind: str, model: str) -> dict[str, Any]:
    """An upstream's answer with the fields that a client counts on, also where the upstream left some out."""
    defaults = {"id": _new_id(prefix), "object": kind, "created": int(time.time()), "model": model}
    return defaults | {name: value for name, value in answer.items() if value is not None}


def _chat_chunks(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = _chunk_head(answer, "chat.completion.chunk")
    [choice] = answer["choices"]
    delta = {"role": "assistant"} | {name: value for name, value in (choice.get("message") or {}).items() if value}
    if isinstance(calls := delta.get("tool_calls"), list):
        delta["tool_calls"] = [{"index": number, **call} for number, call in enumerate(calls)]
    logprobs = {"logprobs": choice.get("logprobs")}
    yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None, **logprobs}]}
    end: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": choice.get("finish_reason") or "stop"}
    yield {**head, "choices": [end], "rerank": answer["rerank"]}
    yield {**head, "choices": [], "usage": answer["usage"]}


def _text_chunks(answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = _chunk_head(answer, "text_completion")
    yield {**head, "choices": answer["choices"], "rerank": answer["rerank"]}
    yield {**head, "choices": [], "usage": answer["usage"]}


def _chunk_head(answer: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: answer[name] for name in ("id", "created", "model")} | {"object": kind}


def _stream(chunks: Iterator[dict[str, Any]], request: schemas.Sampling) -> StreamingResponse:
    """Server-sent events. The last chunk is the usage, for those who asked for it."""
    *shown, usage = chunks
    if request.stream_options and request.stream_options.include_usage:
        shown.append(usage)

    async def events() -> AsyncIterator[str]:
        for chunk in shown:
            yield f"data: {json.dumps(chunk)}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-cache"})


def _scored(judged: JudgedCandidate) -> schemas.ScoredCandidate:
    return schemas.ScoredCandidate.model_validate(judged, from_attributes=True)


def _message_text(choice: dict[str, Any]) -> str:
    message = choice.get("message")
    return _plain(message.get("content")) if isinstance(message, dict) else ""


def _plain(text: Any) -> str:
    return text if isinstance(text, str) else ""


def _known(values: list[float | None]) -> tuple[float | None, ...] | None:
    return None if all(value is None for value in values) else tuple(values)


def _listed(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _check_count(count: int, limit: int, name: str) -> None:
    if count > limit:
        raise Refused(400, f"{name} has {count} texts: at most {limit} (--max-n)", param=name)


def _new_id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex}"


# Errors


async def _on_refused(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's shape
    assert isinstance(error, Refused)
    return Response(error.body, error.status, error.headers)


async def _on_invalid(request: Request, error: Exception) -> Response:
    """The first thing that is wrong, in one line that names the field."""
    assert isinstance(error, RequestValidationError)
    # In a union each branch complains; the one that got farthest into the value knows best what is wrong.
    first = max(error.errors(), key=lambda each: len(each["loc"]))
    # Pydantic also names the branches of a union, as `str` or `list[...]`: no fields of ours are called so.
    place = [str(part) for part in first["loc"][1:] if re.fullmatch(r"[a-z_0-9]+", str(part)) and part != "str"]
    name = ".".join(place) if first["type"] != "json_invalid" else ""
    message = "the body is not JSON" if first["type"] == "json_invalid" else first["msg"]
    message = "unknown field" if first["type"] == "extra_forbidden" else message
    refused = Refused(400, f"{name}: {message}" if name else message, param=name or None)
    return await _on_refused(request, refused)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    # FastAPI's own words for bytes that are not UTF-8 or JSON nested too deeply say less.
    is_body = error.status_code == 400
    refused = Refused(error.status_code, "the body is not JSON in UTF-8" if is_body else str(error.detail))
    response = await _on_refused(request, refused)
    response.headers.update(error.headers or {})
    return response


async def _on_user_error(request: Request, error: Exception) -> Response:
    status = 502 if isinstance(error, MissingError) else 400 if isinstance(error, ModelError) else 500
    return await _on_refused(request, Refused(status, str(error)))


async def _on_bug(request: Request, error: Exception) -> Response:
    """What uvicorn logs with its traceback; the client gets no detail of it."""
    return await _on_refused(request, Refused(500, f"the server failed ({type(error).__name__}); its log says where"))


def _drop_422(app: FastAPI) -> None:
    """Take FastAPI's own answer to invalid requests out of the published schema: ours is 400, as OpenAI's."""
    schema = app.openapi()
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)
