"""`rerank serve`: the server."""

from typing import Annotated

import typer

from rerank.backends.interface import EngineOptions
from rerank.cli.app import command
from rerank.runs.settings import ScoreSettings


@command(example="rerank serve --upstream http://localhost:8001/v1 --n 8")
def serve(
    scoring: ScoreSettings,
    engine: EngineOptions,
    upstream: Annotated[
        str | None,
        typer.Option(help="Where samples come from: a URL that ends in /v1, or a model. Without it: only ranking."),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Samples for each request that does not say how many.")] = 8,
    execute: Annotated[
        bool, typer.Option("--execute", help="Run the prompt's own examples in the sandbox; they come before scores.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen at; others than loopback need --api-key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any that is free.")] = 8000,
    api_key: Annotated[
        str, typer.Option(envvar="RERANK_API_KEY", help="Ask clients for this key.", show_envvar=True)
    ] = "",
    max_n: Annotated[int, typer.Option(min=1, help="Most samples or candidates of one request.")] = 128,
    max_queue: Annotated[int, typer.Option(min=1, help="Most requests under way; more are answered 429.")] = 256,
    max_body: Annotated[int, typer.Option(min=1, help="Largest request body, in bytes.")] = 2 << 20,
    timeout: Annotated[float, typer.Option(min=0.1, help="Most seconds that a request may take.")] = 300.0,
) -> None:
    """Serve best-of-N behind OpenAI's API: sample from an upstream, re-rank, answer with the best. Also /v1/rerank and
    /v1/score for candidates that the caller brings. Needs rerank[server]."""
    from rerank import server

    server.require()
    from rerank.server.app import Limits
    from rerank.server.service import ServeSettings
    from rerank.server.service import serve as run_server

    limits = Limits(
        num_samples=n,
        max_n=max_n,
        max_queue=max_queue,
        max_body_bytes=max_body,
        timeout_s=timeout,
        api_key=api_key,
    )
    run_server(
        ServeSettings(
            scoring=scoring,
            options=engine,
            upstream=upstream,
            execute=execute,
            limits=limits,
            host=host,
            port=port,
        )
    )
