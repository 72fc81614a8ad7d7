"""`rerank judge`: how well an autorater judges."""

from dataclasses import replace
from typing import Annotated

import typer

from rerank.backends.interface import EngineOptions
from rerank.cli.app import command
from rerank.cli.options import AsJson, OutputOptions
from rerank.judge_bench.settings import JudgeSettings


@command(example="rerank judge judgments/heldout --autorater rerank-0.5b --per-set 256")
def judge(
    sets: Annotated[
        list[str],
        typer.Argument(
            help="Judgment files or folders of them, RewardBench's JSONL, or a benchmark by name: reward-bench, "
            "llm-aggrefact, ... `flame`: what the hub has of FLAMe's twelve."
        ),
    ],
    settings: JudgeSettings,
    engine: EngineOptions,
    output: OutputOptions,
    as_json: AsJson = False,
) -> None:
    """Measure an autorater on judgment sets: agreement with people and execution, beside rules, and its biases."""
    from rerank.judge_bench import measure, report
    from rerank.runs.folder import RunFolder

    folder = RunFolder(output.out or measure.default_folder(sets, settings), fresh=output.fresh)
    options = replace(engine, purpose="generate" if settings.mode == "reasoning" else "judge")
    figures = measure.measure(folder, measure.gather(sets), settings, options=options)
    typer.echo(report.to_json(figures, folder.document()) if as_json else report.table(figures), nl=False)
    if not as_json:
        typer.echo(f"\nwritten: {folder.path}/judge.md, judge.json, accuracy.png", err=True)
