"""`rerank pick`: the best of some candidates for one problem."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from rerank.backends.interface import EngineOptions
from rerank.cli.app import command
from rerank.runs.settings import ScoreSettings


@command(example="rerank pick --prompt problem.py a.py b.py c.py")
def pick(
    scoring: ScoreSettings,
    engine: EngineOptions,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Candidates, one per file. Without any: JSONL on stdin, one candidate per line."),
    ] = None,
    prompt: Annotated[
        Path | None,
        typer.Option(help="The problem: code up to its docstring, or words. JSONL may carry it as `prompt`."),
    ] = None,
    entry_point: Annotated[
        str | None, typer.Option(help="The function to write. Default: the prompt's last one.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the choice and all scores as one JSON document.")
    ] = False,
) -> None:
    """Print the best of some candidates for one problem. JSONL lines hold `solution`, `completion` or `raw`."""
    from rerank.runs import ranker as picking

    problem, texts = picking.read_input(prompt, entry_point, files or [], sys.stdin.buffer)
    with picking.Ranker(scoring, engine) as ranker:
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
