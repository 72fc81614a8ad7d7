"""FLAMe-Opt-RM in one command: tail-patch every task, rate it, weight the mixture by that, train on it
(arXiv 2407.10817, section 4.3).

\b
    python scripts/build_mixture.py --judgments data/judgments --labels labels.jsonl.gz --out mixture.jsonl.gz
    python scripts/tail_patch.py --base qwen2.5-coder-0.5b-instruct --mixture mixture.jsonl.gz \\
        --labels labels.jsonl.gz --out runs/opt                     # the small preset: one GPU
    python scripts/tail_patch.py ... --cluster ray                  # the tail-patches on a Ray cluster, one per GPU
    python scripts/tail_patch.py ... --worker 3/8                   # one of eight that share OUT; then once without
    python scripts/tail_patch.py ... --train equal                  # one of --against's trainings, meanwhile elsewhere
    python scripts/tail_patch.py ... --preset flame --start-steps 5000 --patch-steps 3000 --final-steps 5000

Stages, each skipped where it is done, so that the same command goes on where a killed one stopped. Any of these
commands may run at the same time over one OUT: what one of them is at, the others leave to it and wait for, and take
over if it dies.

\b
    start/        the partly trained checkpoint, on the mixture as it is (--start SCORER takes another)
    tasks/        one file per task: dev by category before its tail-patch and along it
    effects.md    every task's effect, rating, bundles and weight; weights.json
    opt/          trained from the base on the re-weighted mixture
    compare.md    with --against proportional or equal: the same training on those weights, and how many examples each
                  takes to reach the other's last figure; the curves are in compare.png

Dev alone is looked at. Rules and weights are options; their defaults are the paper's, where it gives numbers.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rerank.cli.from_settings import ChangesTo, GroupedCommand, takes_settings
from rerank.errors import one_line
from rerank.training.recipes import steps, tail_patch
from rerank.training.recipes.tail_patch import PatchSettings
from rerank.training.recipes.task_effects import Rules
from rerank.training.scorer.presets import preset, train_options

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
# The recipe's own settings say how long each training is. Equal steps of equally many judgments, as published: no early
# stopping, and free text is one judgment too.
FIXED = {"batch_of": "examples", "keep": "last"}
TrainOptions = train_options(without=("num_steps", "num_epochs", "num_evaluations", "time_budget_s", *FIXED))


@app.command(cls=GroupedCommand, help=__doc__)
@takes_settings
def main(
    base: Annotated[str, typer.Option(help="The model to train: a folder, or a name that rerank knows.")],
    mixture: Annotated[Path, typer.Option(help="What scripts/build_mixture.py wrote, train and dev rows.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; several workers may share it.")],
    settings: PatchSettings,
    rules: Rules,
    changes: Annotated[dict[str, Any], ChangesTo(TrainOptions)],
    labels: Annotated[
        list[Path] | None, typer.Option(help="Labelled programs, of which the dev part is measured on; repeatable.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="A partly trained scorer of the base, in place of start/.")] = None,
    preset_name: Annotated[str, typer.Option("--preset", help="small, flame or flame-opt-rm.")] = "small",
) -> None:
    rules = settings.rules(rules)
    _ = settings.part  # a wrong --worker is told before anything is written
    train_settings = preset(preset_name, **changes, **FIXED)
    model = steps.base_model(base)
    rated = {name: getattr(rules, name) for name in ("significant", "slight", "general_total")}
    options = {"base": base, "preset": preset_name, "seed": 0, **asdict(settings), **rated, **changes}
    steps.record_settings(out, "tail_patch", options, [mixture, *(labels or [])], changeable=tail_patch.CHANGEABLE)
    result = tail_patch.run(
        out,
        model,
        mixture,
        labels or [],
        settings=settings,
        train_settings=train_settings,
        rules=rules,
        start=start,
    )
    if settings.part is not None and not settings.train:
        print(f"{result.num_effects} of {result.num_tasks} tasks are done; without --worker the command goes on")
    elif result.table:
        print(result.table, result.comparison, sep="\n" if result.comparison else "")


if __name__ == "__main__":
    with one_line():
        app()
