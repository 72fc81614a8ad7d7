"""Best-of-N over HTTP: the calls of the command line as an OpenAI-style server, with no judging of its own.

    rerank serve --upstream http://localhost:8001/v1 --n 8

    service.py    settings, start, stop          app.py        routes: request to answer
    gate.py       key, queue, sizes, time-outs   schemas.py    what requests may hold, for OpenAPI too
    batcher.py    many callers, one thread       upstream.py   where samples come from
    ranking.py    problems out of requests, and their candidates ranked together
    counters.py   counts for Prometheus          refusals.py   every error answer

Importing this package imports none of them; fastapi, uvicorn and prometheus-client come with `rerank[server]`.
"""

import importlib.util

from rerank.errors import MissingError


def require() -> None:
    """Raise MissingError where a package that the server needs is not installed."""
    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingError(f"{', '.join(missing)} not installed: pip install 'rerank[server]'")
