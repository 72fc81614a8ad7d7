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
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from rerank.errors import SettingError, one_line
from rerank.training.recipes import steps

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    base: Annotated[str, typer.Option(help="The model to train: a folder, or a name that rerank knows.")],
    judgments: Annotated[list[Path], typer.Option(help="A judgment file or a folder of them; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    labels: Annotated[list[Path] | None, typer.Option(help="Labelled programs; repeatable.")] = None,
    hub: Annotated[list[str] | None, typer.Option(help="A task to load from the hub; repeatable.")] = None,
    rm_hub: Annotated[bool, typer.Option("--rm-hub", help="FLAMe-RM on the paper's own four sets.")] = False,
    rm_task: Annotated[list[str] | None, typer.Option(help="A task of FLAMe-RM's mixture instead; repeatable.")] = None,
    preset: Annotated[str, typer.Option(help="small or flame.")] = "small",
    num_steps: Annotated[int | None, typer.Option(help="Of FLAMe. Default: the preset's.")] = None,
    time_budget: Annotated[float | None, typer.Option(help="Seconds for FLAMe; the schedule ends with them.")] = None,
    rm_steps: Annotated[int, typer.Option(min=1, help="Of FLAMe-RM.")] = 50,
    rm_batch: Annotated[int, typer.Option(min=1, help="Judgments a step of FLAMe-RM, at least.")] = 8,
    rm_learning_rate: Annotated[float | None, typer.Option(help="Of FLAMe-RM. Default: the preset's.")] = None,
    pack_tokens: Annotated[int | None, typer.Option(help="Tokens of a packed sequence.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapter.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Judgments a step of FLAMe, at least.")] = None,
    seed: Annotated[int, typer.Option(help="Of the mixtures and the trainings.")] = 0,
) -> None:
    options = dict(locals())
    from rerank.models import weights
    from rerank.training.mixture import build
    from rerank.training.recipes import flame
    from rerank.training.scorer.presets import preset as named

    tasks = rm_task or (flame.RM_TASKS if rm_hub else flame.RM_STAND_INS)
    unknown = [task for task in tasks if task not in build.TASKS]
    if unknown:
        raise SettingError(f"--rm-task {unknown[0]}: not in the registry; scripts/build_mixture.py --list shows it")
    changes = {"num_steps": num_steps, "time_budget_s": time_budget, "pack_tokens": pack_tokens, "rank": rank}
    settings = named(preset, **changes, batch_size=batch_size, seed=seed, keep="last")  # as published
    rm_settings = replace(
        settings,
        num_steps=rm_steps,
        batch_size=rm_batch,
        time_budget_s=None,
        num_evaluations=2,
        learning_rate=rm_learning_rate or settings.learning_rate,
    )
    files = [*options.pop("judgments"), *(options.pop("labels") or [])]
    steps.settle(out, "flame", options, files, free=["time_budget"])
    everything, equal = out / "mixture.jsonl.gz", out / "rm_mixture.jsonl.gz"
    if not everything.exists():
        gathered = build.gather(judgments, labels or [], hub or [], seed=seed)
        steps.say(f"{steps.write_mixture(gathered, everything):,} rows of the mixture")
    if not equal.exists():
        from_hub = [task for task in tasks if build.TASKS[task].origin == "hub"]
        gathered = build.gather(judgments, labels or [], from_hub, tasks=tasks, seed=seed)
        size = steps.write_mixture(gathered, equal, "equal")
        if not size:
            raise SettingError(f"none of {', '.join(tasks)} is in --judgments: give their files, or --rm-hub")
        steps.say(f"{size:,} rows of FLAMe-RM's mixture")
    is_folder = Path(base).is_dir()
    given = {"base_name": Path(base).name if is_folder else base, "report": steps.say}
    folder = Path(base) if is_folder else weights.resolve(base).folder
    # Labelled programs are in the mixture; given again, they would be trained on twice and measured by their dev part.
    first = steps.trained(folder, [], out / "flame", settings, mixture=[everything], **given)
    second = steps.trained(folder, [], out / "rm", rm_settings, mixture=[equal], start=first, **given)
    print(json.dumps({"flame": str(first), "flame_rm": str(second)}, indent=2))


if __name__ == "__main__":
    with one_line():
        app()
