"""Average the weights of scorers that were trained from one base, and calibrate the result on dev.

    python scripts/average_scorers.py runs/seed0/scorer runs/seed1/scorer --labels labels.jsonl.gz --rank 14 \\
        --out runs/mean/scorer

`rerank.training.scorer.averaging` says what is done and why. The labels' dev split decides the temperature.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from rerank.errors import one_line

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    scorers: Annotated[list[Path], typer.Argument(help="Folders of adapters with their scorer.json.")],
    labels: Annotated[list[Path], typer.Option(help="Labelled programs, of which dev is judged; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder of the new scorer.")],
    base: Annotated[str, typer.Option(help="The base model, if other than qwen2.5-coder-0.5b-instruct.")] = (
        "qwen2.5-coder-0.5b-instruct"
    ),
    rank: Annotated[int, typer.Option(min=1, help="Rank of the new adapter.")] = 14,
) -> None:
    from rerank.training.scorer.averaging import average, calibrate

    lost = average(scorers, out, rank=rank)
    print(f"{len(scorers)} scorers in rank {rank}, {100 * lost:.1f}% of the squared norm lost", file=sys.stderr)
    figures = calibrate(out, labels, base=base).figures()
    figures = figures.get("samples", figures)
    print(f"dev pair accuracy {figures['pair_accuracy']:.3f}, pick rate {figures['pick_rate']:.3f}: {out}")


if __name__ == "__main__":
    with one_line():
        app()
