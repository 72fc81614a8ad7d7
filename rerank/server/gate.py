"""What every request passes before a route sees it: key, place in the queue, size, time.

The body is read here, within `max_body_bytes` and `_BODY_S` seconds, so a client that hangs holds a socket and no more.
While a route works, the gate watches its client: when that leaves, the work is cancelled, upstream included.
"""

import asyncio
import contextlib
import math
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from rerank.server.counters import Metrics
from rerank.server.refusals import Refused

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

OPEN_PATHS = frozenset({"/health", "/metrics", "/openapi.json"})  # without a key, and also when the queue is full
_BODY_S = 20.0  # for the whole body of a request
_MAX_DRAINED_BYTES = 64 << 20  # read and thrown away of a body that is refused, so that its client sees the answer
_MAX_RETRY_AFTER_S = 60


class Gate:
    """An ASGI application around another."""

    def __init__(
        self,
        app: App,
        *,
        metrics: Metrics,
        routes: frozenset[str],
        api_key: str,
        max_queue: int,
        max_body_bytes: int,
        timeout_s: float,
    ):
        self._app = app
        self._metrics = metrics
        self._routes = routes
        self._api_key = api_key.encode()
        self._max_queue = max_queue
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s
        self._in_flight = 0
        self._recent_s: deque[float] = deque([1.0], maxlen=50)

    @property
    def in_flight(self) -> int:
        return self._in_flight

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status = 0

        async def counting_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._admit(scope, receive, counting_send)
        except Refused as refused:
            if status == 0:
                await _answer(refused, counting_send)
        except _ClientLeft:
            self._metrics.cancelled.inc()
        finally:
            # Other paths are anybody's to invent, and each would be a series of its own.
            path = scope["path"] if scope["path"] in self._routes else "other"
            if status:
                self._metrics.requests.labels(path, str(status)).inc()
                self._metrics.seconds.labels(path).observe(time.monotonic() - started)

    async def _admit(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value for name, value in scope["headers"]}
        if self._api_key and not _has_key(headers.get("authorization", b""), self._api_key):
            await self._drain(receive)
            raise Refused(401, "no or a wrong API key: send `Authorization: Bearer KEY`")
        if self._in_flight >= self._max_queue:
            await self._drain(receive)
            # What a request has taken lately: by then some of those under way are done.
            wait = math.ceil(sum(self._recent_s) / len(self._recent_s))
            raise Refused(
                429,
                f"{self._max_queue} requests are under way, which is all that this server takes; try again later",
                retry_after_s=min(max(wait, 1), _MAX_RETRY_AFTER_S),
            )
        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)
        started = time.monotonic()
        try:
            body = await self._read(scope, headers, receive)
            await self._watched(scope, body, receive, send)
            self._recent_s.append(time.monotonic() - started)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)

    async def _read(self, scope: Message, headers: dict[str, bytes], receive: Receive) -> bytes:
        if scope["method"] != "POST":
            await self._drain(receive)
            return b""
        # Also keeps web pages out: a browser sends JSON to another origin only if that allows it, and we never do.
        kind = headers.get("content-type", b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            await self._drain(receive)
            raise Refused(415, "the body is to be JSON: send `Content-Type: application/json`")
        parts, size = [], 0
        try:
            async with asyncio.timeout(_BODY_S):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _ClientLeft
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._max_body_bytes:
                        parts.clear()
                        if message.get("more_body"):
                            await self._drain(receive)
                        raise Refused(413, f"the body has more than {self._max_body_bytes} bytes (--max-body)")
                    if not message.get("more_body"):
                        return b"".join(parts)
        except TimeoutError:
            raise Refused(408, f"the body did not arrive within {_BODY_S:.0f} seconds") from None

    async def _drain(self, receive: Receive) -> None:
        size = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BODY_S):
                while size <= _MAX_DRAINED_BYTES:
                    message = await receive()
                    size += len(message.get("body", b""))
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        return

    async def _work(self, scope: Message, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _watched(self, scope: Message, body: bytes, receive: Receive, send: Send) -> None:
        """Run the application on a body that was read; stop when the client leaves or the time is over."""
        gone = asyncio.create_task(_until_gone(receive))
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if not replayed:
                replayed = True
                return {"type": "http.request", "body": body, "more_body": False}
            await asyncio.shield(gone)
            return {"type": "http.disconnect"}

        work = asyncio.create_task(self._work(scope, replay, send))
        try:
            await asyncio.wait({work, gone}, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                if gone.done():
                    raise _ClientLeft
                raise Refused(504, f"no answer within {self._timeout_s:g} seconds (--timeout)")
            await work
        finally:
            for task in (work, gone):
                task.cancel()
            await asyncio.gather(work, gone, return_exceptions=True)


class _ClientLeft(Exception):
    """The connection is closed: there is nobody to answer."""


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _has_key(header: bytes, key: bytes) -> bool:
    scheme, _, given = header.partition(b" ")
    return scheme.lower() == b"bearer" and secrets.compare_digest(given.strip(), key)


async def _answer(refused: Refused, send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in refused.headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": refused.body})
