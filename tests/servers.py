"""Servers for tests, on loopback: ours in a thread, and an upstream that answers as it is told."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import uvicorn

from rerank.backends.interface import EngineOptions
from rerank.runs.settings import ScoreSettings
from rerank.server.app import Limits
from rerank.server.service import ServeSettings, configure, listen, open_app

Reply = Callable[[str, dict[str, Any]], Any]  # path and body to an answer, or (status, answer), or raw bytes


class FakeUpstream:
    """An OpenAI-style server. `asked` is every request's path and body."""

    def __init__(self, reply: Reply):
        self.reply = reply
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self._connections: list[socket.socket] = []
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                upstream._connections.append(self.connection)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                upstream.asked.append((self.path, body))
                upstream.headers.append(dict(self.headers))
                answer = upstream.reply(self.path, body)
                status, answer = answer if isinstance(answer, tuple) else (200, answer)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Go away as a killed process does, open connections included; may be called again."""
        self._server.shutdown()
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        self._thread.join()


def chat_answer(*texts: str, **extra: Any) -> dict[str, Any]:
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 7, "completion_tokens": 5 * len(texts), "total_tokens": 7 + 5 * len(texts)}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
    return {**head, "choices": choices, "usage": usage, **extra}


def text_answer(*texts: str) -> dict[str, Any]:
    choices = [{"index": index, "text": text, "finish_reason": "stop"} for index, text in enumerate(texts)]
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": choices}


@contextmanager
def serving(
    upstream: str | None = None,
    *,
    autorater: str = "shortest",
    mode: str = "pointwise",
    execute: bool = False,
    **limits: Any,
) -> Iterator[str]:
    """Our server in a thread; its URL without /v1."""
    scoring = ScoreSettings(autorater, mode, backend="transformers")
    app = open_app(ServeSettings(scoring, EngineOptions(), upstream, execute, Limits(**limits)))
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(configure(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
