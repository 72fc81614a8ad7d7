"""Start the server, and stop it in order: `rerank serve`."""

import ipaddress
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, replace

import uvicorn

from rerank.backends.interface import EngineOptions
from rerank.errors import SettingError
from rerank.runs.ranker import Ranker, require_no_more
from rerank.runs.settings import ScoreSettings
from rerank.selection.selectors import SELECTORS
from rerank.server.app import Limits, create_app
from rerank.server.counters import Metrics
from rerank.server.gate import Gate
from rerank.server.ranking import Judge
from rerank.server.upstream import open_upstream

_GRACE_S = 10  # for requests under way when the server is told to stop


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What `rerank serve` was asked for."""

    scoring: ScoreSettings
    options: EngineOptions
    upstream: str | None  # URL or model; None: only candidates that callers bring
    execute: bool  # run the prompts' own examples in the sandbox
    limits: Limits
    host: str = "127.0.0.1"
    port: int = 8000  # 0: any that is free


def serve(settings: ServeSettings) -> None:
    """Serve until SIGINT or SIGTERM. Models are loaded first: what is wrong with them is said at once.

    Raises SettingError for settings that do not go together or a port in use, and what loading a model raises.
    """
    check(settings)
    with listen(settings.host, settings.port) as listener:
        app = open_app(settings)
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        print(f"serving on http://{shown}:{port}/v1 (stop: Ctrl-C)", file=sys.stderr, flush=True)
        with suppress(KeyboardInterrupt):  # uvicorn has stopped in order, and hands the signal on
            uvicorn.Server(configure(app)).run(sockets=[listener])


def open_app(settings: ServeSettings) -> Gate:
    """The ASGI application, its models loaded. Raises what loading a model raises."""
    metrics = Metrics()
    ranker = Ranker(settings.scoring, settings.options)
    if settings.scoring.needs_model:
        ranker.load()
    upstream = None
    if settings.upstream:
        # --backend and --base-url are the judge's; a model to sample from runs here, where it fits best.
        backend = settings.scoring.backend if settings.scoring.backend != "openai" else "auto"
        options = replace(settings.options, base_url=None, weights=None)
        upstream = open_upstream(settings.upstream, options, backend=backend, timeout_s=settings.limits.timeout_s)
    return create_app(Judge(ranker, execute=settings.execute), upstream, limits=settings.limits, metrics=metrics)


def configure(app: Gate) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that takes connections. Raises SettingError where the address cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingError(f"--host {host} --port {port}: cannot listen there ({reason}); take another") from error


def check(settings: ServeSettings) -> None:
    """Raise SettingError for settings that do not go together."""
    autorater = settings.scoring.autorater
    require_no_more(autorater)
    if autorater in SELECTORS and SELECTORS[autorater].executes and not settings.execute:
        raise SettingError(f"--autorater {autorater} runs candidates in the sandbox: say so with --execute")
    if not settings.limits.api_key and not _is_loopback(settings.host):
        raise SettingError(
            f"--host {settings.host}: others can reach it; give --api-key (or RERANK_API_KEY), or take 127.0.0.1"
        )
    if settings.limits.num_samples > settings.limits.max_n:
        raise SettingError(f"--n {settings.limits.num_samples}: above --max-n {settings.limits.max_n}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
