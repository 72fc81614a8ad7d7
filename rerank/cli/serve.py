"""`rerank serve`: the server."""

from typing import Annotated

import typer

from rerank.cli.app import _guarded, app
from rerank.cli.options import (
    AggregateOption,
    Aggregation,
    AutoraterName,
    Backend,
    BackendName,
    BaseUrl,
    Mode,
    ModeName,
    Seed,
    TournamentName,
    TournamentOption,
    Weights,
    _options,
    _score_settings,
)


@app.command(epilog="Example: rerank serve --upstream http://localhost:8001/v1 --n 8")
@_guarded
def serve(
    upstream: Annotated[
        str | None,
        typer.Option(help="Where samples come from: a URL that ends in /v1, or a model. Without it: only ranking."),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Samples a request, where it does not say.")] = 8,
    autorater: AutoraterName = None,
    mode: ModeName = Mode.pointwise,
    tournament: TournamentOption = TournamentName.round_robin,
    aggregate: AggregateOption = Aggregation.borda,
    seed: Seed = 0,
    backend: BackendName = Backend.auto,
    base_url: BaseUrl = None,
    weights: Weights = None,
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

    run_server(
        ServeSettings(
            _score_settings(autorater, mode, 1, tournament, aggregate, backend, seed),
            _options("judge", weights, base_url),
            upstream,
            execute,
            Limits(n, max_n, max_queue, max_body, timeout, api_key),
            host,
            port,
        )
    )
