"""Train a scorer on labelled programs and, if given, on judgments of a mixture.

    python scripts/train_scorer.py --base qwen2.5-coder-0.5b-instruct --labels labels.jsonl.gz --out runs/scorer
    python scripts/train_scorer.py --base DIR --labels A.jsonl --labels B.jsonl --mixture mixture.jsonl.gz \\
        --out runs/scorer --mode encoded-once --time-budget 600 --seed 1
    python scripts/judge_labels.py --labels A.jsonl --autorater JOINT --mode pairwise --split train --out TEACHER
    python scripts/train_scorer.py --base DIR --labels A.jsonl --mode encoded-once \\
        --teacher TEACHER/comparisons.jsonl --out runs/distilled
    accelerate launch --num_processes 2 scripts/train_scorer.py --base DIR --labels A.jsonl --out runs/scorer

The same command again goes on where a killed one stopped. The scorer is in OUT/scorer, its curves in OUT/curves.png.
Settings not named here come from the preset; `rerank/training/scorer/presets.py` says what each is.
"""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from rerank.errors import UserError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    base: Annotated[str, typer.Option(help="The model to train: a folder, or a name that rerank knows.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    labels: Annotated[
        list[Path] | None, typer.Option(help="Labelled programs (JSON lines); may be given several times.")
    ] = None,
    mixture: Annotated[
        list[Path] | None, typer.Option(help="Judgments of a mixture (JSON lines), beside labels or alone.")
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help="Another scorer's comparisons of labelled programs, for --mode encoded-once; repeatable."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Settings to start from: small, flame, flame-rm or flame-opt-rm.")
    ] = "small",
    start: Annotated[Path | None, typer.Option(help="A scorer of the same base to go on from: its folder.")] = None,
    base_name: Annotated[
        str | None, typer.Option(help="The name of the base for the record, when it is a folder.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="pointwise, joint or encoded-once.")] = None,
    loss: Annotated[
        str | None, typer.Option(help="answers: among the legal ones; vocabulary: among all tokens.")
    ] = None,
    ranking_weight: Annotated[float | None, typer.Option(help="Weight of the ranking loss within a problem.")] = None,
    max_programs: Annotated[int | None, typer.Option(help="Programs of a problem in one example.")] = None,
    num_pairs: Annotated[int | None, typer.Option(help="Pairs of an example judged pairwise.")] = None,
    joint_share: Annotated[
        float | None, typer.Option(help="Share of encoded-once examples whose pairs are asked jointly as well.")
    ] = None,
    teacher_weight: Annotated[float | None, typer.Option(help="Of a teacher's verdict beside the label.")] = None,
    only_solved: Annotated[
        bool | None,
        typer.Option("--only-solved/--all-problems", help="Train only on problems with right and wrong samples."),
    ] = None,
    full: Annotated[bool | None, typer.Option("--full/--lora", help="Train all weights, or an adapter.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapter.")] = None,
    alpha: Annotated[float | None, typer.Option(help="Scale of the adapter, times its rank.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout on the adapter's inputs.")] = None,
    num_steps: Annotated[int | None, typer.Option(help="Optimizer steps; otherwise --num-epochs.")] = None,
    num_epochs: Annotated[int | None, typer.Option(help="Times that every program is shown.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Of a step, see --batch-of.")] = None,
    batch_of: Annotated[
        str | None, typer.Option(help="judgments: whole packs with as many or more; examples: exactly as many.")
    ] = None,
    pack_tokens: Annotated[int | None, typer.Option(help="Tokens of a packed sequence.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At the top of the schedule.")] = None,
    schedule: Annotated[str | None, typer.Option(help="cosine, linear or constant.")] = None,
    warmup: Annotated[float | None, typer.Option(help="Share of the training in which the rate rises.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="AdamW's.")] = None,
    max_gradient_norm: Annotated[float | None, typer.Option(help="Larger gradients are scaled down to it.")] = None,
    gradient_checkpointing: Annotated[
        bool | None, typer.Option("--gradient-checkpointing/--keep-activations", help="Less memory, more time.")
    ] = None,
    attention: Annotated[str | None, typer.Option(help="auto, dense or flex.")] = None,
    num_evaluations: Annotated[int | None, typer.Option(help="Evaluations on dev during the training.")] = None,
    keep: Annotated[str | None, typer.Option(help="Weights to ship: best, by dev, or last.")] = None,
    time_budget: Annotated[
        float | None, typer.Option(help="Seconds for all of it; the schedule ends with them.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of order, pairs, adapter and dropout.")] = None,
) -> None:
    given = dict(locals())  # the options by name: those left are settings
    for name in ("base", "labels", "out", "mixture", "teacher", "preset", "start", "base_name"):
        del given[name]
    given["time_budget_s"] = given.pop("time_budget")
    try:
        _train(base, labels or [], out, mixture or [], teacher or [], preset, start, base_name, given)
    except UserError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from error


def _train(
    base: str,
    labels: list[Path],
    out: Path,
    mixture: list[Path],
    teacher: list[Path],
    preset_name: str,
    start: Path | None,
    base_name: str | None,
    changes: dict[str, Any],
) -> None:
    from rerank.training.scorer.presets import preset
    from rerank.training.scorer.trainer import train

    settings = preset(preset_name, **changes)
    folder: str | Path = base
    if not Path(base).is_dir():
        from rerank.models import weights

        folder, base_name = weights.resolve(base).folder, base_name or base
    result = train(
        folder,
        labels,
        out,
        settings,
        mixture=mixture,
        teacher=teacher,
        start=start,
        base_name=base_name,
        report=lambda line: print(line, file=sys.stderr, flush=True),
        on_step=_progress(),
    )
    summary = {"scorer": str(result.folder), "num_steps": result.num_steps, "seconds": round(result.seconds, 1)}
    print(json.dumps({**summary, "dev": result.dev}, indent=2))


def _progress() -> Any:
    """Prints a step on stderr, at most one every five seconds."""
    last = 0.0

    def show(row: dict[str, Any]) -> None:
        nonlocal last
        if time.monotonic() - last > 5:
            last = time.monotonic()
            line = "step {step}: loss {loss:.4f}, learning rate {learning_rate:.2e}, {tokens_per_s:,} tokens/s"
            print(line.format(**row), file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    app()
