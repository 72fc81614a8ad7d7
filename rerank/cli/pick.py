"""`rerank pick`: the best of some candidates for one problem."""

import json
import sys
from pathlib import Path
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
    Votes,
    Weights,
    _options,
    _score_settings,
)


@app.command(epilog="Example: rerank pick --prompt problem.py a.py b.py c.py")
@_guarded
def pick(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Candidates, one a file. Without any: JSONL on stdin, one candidate a line."),
    ] = None,
    prompt: Annotated[
        Path | None,
        typer.Option(help="The problem: code up to its docstring, or words. JSONL may carry it as `prompt`."),
    ] = None,
    entry_point: Annotated[
        str | None, typer.Option(help="The wanted function. Default: the prompt's last one.")
    ] = None,
    autorater: AutoraterName = None,
    mode: ModeName = Mode.pointwise,
    votes: Votes = 1,
    tournament: TournamentOption = TournamentName.round_robin,
    aggregate: AggregateOption = Aggregation.borda,
    seed: Seed = 0,
    backend: BackendName = Backend.auto,
    base_url: BaseUrl = None,
    weights: Weights = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the choice and all scores as one JSON document.")
    ] = False,
) -> None:
    """Print the best of some candidates for one problem. JSONL lines hold `solution`, `completion` or `raw`."""
    from rerank.runs import ranker as picking

    problem, texts = picking.read_input(prompt, entry_point, files or [], sys.stdin.buffer)
    scoring = _score_settings(autorater, mode, votes, tournament, aggregate, backend, seed)
    with picking.Ranker(scoring, _options("judge", weights, base_url)) as ranker:
        candidates, ranking = ranker.rank(problem, texts)
    best = candidates[ranking.best]
    if not as_json:
        typer.echo(best.program or best.raw)
        return
    scores = [
        {"index": index, "value": value, "parses": candidates[index].key is not None}
        for index, value in zip(ranking.order, ranking.values, strict=True)
    ]
    typer.echo(
        json.dumps({"best": ranking.best, "program": best.program, "selector": ranking.selector, "ranking": scores})
    )
