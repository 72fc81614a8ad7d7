"""Train a scorer on labelled programs and, if given, on judgments of a mixture.

\b
    python scripts/train_scorer.py --base qwen2.5-coder-0.5b-instruct --labels labels.jsonl.gz --out runs/scorer
    python scripts/train_scorer.py --base DIR --labels A.jsonl --labels B.jsonl --mixture mixture.jsonl.gz \\
        --out runs/scorer --mode encoded-once --time-budget 600 --seed 1
    python scripts/judge_labels.py --labels A.jsonl --autorater JOINT --mode pairwise --split train --out TEACHER
    python scripts/train_scorer.py --base DIR --labels A.jsonl --mode encoded-once \\
        --teacher TEACHER/comparisons.jsonl --out runs/distilled
    accelerate launch --num_processes 2 scripts/train_scorer.py --base DIR --labels A.jsonl --out runs/scorer

The same command again goes on where a killed one stopped. The scorer is in OUT/scorer, its curves in OUT/curves.png.
Settings that are not given come from the preset; `rerank/training/scorer/presets.py` has the presets.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from rerank.cli.from_settings import ChangesTo, GroupedCommand, takes_settings
from rerank.errors import UserError
from rerank.store import Row
from rerank.training.scorer.presets import TrainSettings, preset

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(cls=GroupedCommand, help=__doc__)
@takes_settings
def main(
    base: Annotated[str, typer.Option(help="The model to train: a folder, or a name that rerank knows.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    changes: Annotated[dict[str, Any], ChangesTo(TrainSettings)],
    labels: Annotated[list[Path] | None, typer.Option(help="Labelled programs (JSON lines); repeatable.")] = None,
    mixture: Annotated[
        list[Path] | None, typer.Option(help="Judgments of a mixture (JSON lines), beside labels or alone; repeatable.")
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help="Another scorer's comparisons of labelled programs, for --mode encoded-once; repeatable."),
    ] = None,
    preset_name: Annotated[
        str, typer.Option("--preset", help="Settings to start from: small, flame, flame-rm or flame-opt-rm.")
    ] = "small",
    start: Annotated[Path | None, typer.Option(help="A scorer of the same base to go on from: its folder.")] = None,
    base_name: Annotated[
        str | None, typer.Option(help="The name of the base for the record, when it is a folder.")
    ] = None,
) -> None:
    from rerank.training.recipes.steps import base_model, say
    from rerank.training.scorer.trainer import train

    try:
        model = base_model(base)
        result = train(
            model.folder,
            labels or [],
            out,
            preset(preset_name, **changes),
            mixture=mixture or [],
            teacher=teacher or [],
            start=start,
            base_name=base_name or model.name,
            report=say,
            on_step=_progress(),
        )
    except UserError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error
    summary = {"scorer": str(result.folder), "num_steps": result.num_steps, "seconds": round(result.seconds, 1)}
    print(json.dumps({**summary, "dev": result.dev}, indent=2))


def _progress() -> Callable[[Row], None]:
    """Prints a step on stderr, at most one every five seconds."""
    last = 0.0

    def show(row: Row) -> None:
        nonlocal last
        if time.monotonic() - last > 5:
            last = time.monotonic()
            line = "step {step}: loss {loss:.4f}, learning rate {learning_rate:.2e}, {tokens_per_s:,} tokens/s"
            print(line.format(**row), file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    app()
