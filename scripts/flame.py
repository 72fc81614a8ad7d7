"""FLAMe, then FLAMe-RM, from judgments to two scorers in one command (arXiv 2407.10817, sections 4.1 and 4.2).

\b
    python scripts/flame.py --base qwen2.5-coder-0.5b-instruct --judgments data/judgments --labels labels.jsonl.gz \\
        --out runs/flame                                            # the small preset: one GPU, minutes
    python scripts/flame.py --base MODEL --judgments data/judgments --preset flame --out runs/flame
    python scripts/flame.py --base MODEL --judgments data/judgments --hub shp_pair --hub webgpt_pair --rm-hub \\
        --preset flame --out runs/flame                             # with sets that only the hub has

The same command again goes on where a killed one stopped. OUT holds mixture.jsonl.gz, rm_mixture.jsonl.gz, flame/ and
rm/, each a training run with its scorer; measure them with `rerank judge --autorater OUT/rm/scorer`. FLAMe-RM's four
sets are HelpSteer, PRM800K, CommitPack and HH-RLHF harmlessness with --rm-hub, else judgment files of the same kinds.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from rerank.cli.from_settings import ChangesTo, GroupedCommand, takes_settings
from rerank.errors import one_line
from rerank.training.recipes import flame, steps
from rerank.training.recipes.flame import FlameSettings
from rerank.training.scorer.presets import preset, train_options

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
TrainOptions = train_options(without=["keep"])  # the last weights are shipped, as published


@app.command(cls=GroupedCommand, help=__doc__)
@takes_settings
def main(
    base: Annotated[str, typer.Option(help="The model to train: a folder, or a name that rerank knows.")],
    judgments: Annotated[list[Path], typer.Option(help="A judgment file or a folder of them; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    settings: FlameSettings,
    changes: Annotated[dict[str, Any], ChangesTo(TrainOptions)],
    labels: Annotated[list[Path] | None, typer.Option(help="Labelled programs; repeatable.")] = None,
    preset_name: Annotated[str, typer.Option("--preset", help="small or flame.")] = "small",
) -> None:
    train_settings = preset(preset_name, **changes, keep="last")
    options = {"base": base, "preset": preset_name, "seed": 0, **asdict(settings), **changes}
    steps.record_settings(out, "flame", options, [*judgments, *(labels or [])], changeable=["time_budget_s"])
    scorers = flame.run(
        out,
        steps.base_model(base),
        judgments,
        labels or [],
        settings=settings,
        train_settings=train_settings,
    )
    print(json.dumps({name: str(folder) for name, folder in asdict(scorers).items()}, indent=2))


if __name__ == "__main__":
    with one_line():
        app()
