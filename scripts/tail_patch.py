"""FLAMe-Opt-RM in one command: tail-patch every task, rate it, weight the mixture by that, train on it
(arXiv 2407.10817, section 4.3).

\b
    python scripts/build_mixture.py --judgments data/judgments --labels labels.jsonl.gz --out mixture.jsonl.gz
    python scripts/tail_patch.py --base qwen2.5-coder-0.5b-instruct --mixture mixture.jsonl.gz \\
        --labels labels.jsonl.gz --out runs/opt                     # the small preset: one GPU
    python scripts/tail_patch.py ... --cluster ray                  # the tail-patches on a Ray cluster, one a GPU
    python scripts/tail_patch.py ... --worker 3/8                   # one of eight that share OUT; then once without
    python scripts/tail_patch.py ... --train equal                  # one of --against's trainings, meanwhile elsewhere
    python scripts/tail_patch.py ... --preset flame --start-steps 5000 --patch-steps 3000 --final-steps 5000

Stages, each skipped where it is done, so that the same command goes on where a killed one stopped. Any of these
commands may run at the same time over one OUT: what one of them is at, the others leave to it and wait for, and take
over if it dies.

\b
    start/        the partly trained checkpoint, on the mixture as it is (--start SCORER takes another)
    tasks/        one file a task: dev by category before its tail-patch and along it
    effects.md    every task's effect, rating, bundles and weight; weights.json
    opt/          trained from the base on the re-weighted mixture
    compare.md    with --against proportional or equal: the same training on those weights, and how many examples each
                  takes to reach the other's last figure; the curves are in compare.png

Dev alone is looked at. Rules and weights are options; their defaults are the paper's, where it gives numbers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from tqdm import tqdm

from rerank.errors import InputError, SettingError, one_line

if TYPE_CHECKING:
    pass
from rerank.training.recipes import steps
from rerank.training.recipes.tail_patch import _weighted

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    base: Annotated[str, typer.Option(help="The model to train: a folder, or a name that rerank knows.")],
    mixture: Annotated[Path, typer.Option(help="What scripts/build_mixture.py wrote, train and dev rows.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; several workers may share it.")],
    labels: Annotated[
        list[Path] | None, typer.Option(help="Labelled programs, of which the dev part is measured on; repeatable.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="A partly trained scorer of the base, in place of start/.")] = None,
    preset: Annotated[str, typer.Option(help="small, flame or flame-opt-rm.")] = "small",
    start_steps: Annotated[int, typer.Option(min=1, help="Steps of the partly trained checkpoint.")] = 60,
    patch_steps: Annotated[int, typer.Option(min=1, help="Steps of a tail-patch; the paper: at most 3,000.")] = 20,
    patch_evaluations: Annotated[int, typer.Option(min=1, help="Evaluations along a tail-patch.")] = 2,
    patch_batch_size: Annotated[int | None, typer.Option(min=1, help="Default: --batch-size.")] = None,
    patch_learning_rate: Annotated[float | None, typer.Option(help="Default: --learning-rate.")] = None,
    final_evaluations: Annotated[int, typer.Option(min=1, help="Evaluations along that training.")] = 10,
    final_steps: Annotated[int, typer.Option(min=1, help="Steps on the re-weighted mixture; the paper: 5,000.")] = 200,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Judgments a step; the paper: 8.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Default: the preset's.")] = None,
    pack_tokens: Annotated[int | None, typer.Option(help="Tokens of a packed sequence.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapter.")] = None,
    max_dev: Annotated[int, typer.Option(min=1, help="Dev judgments of a task that are measured.")] = 40,
    max_dev_problems: Annotated[int, typer.Option(min=0, help="Dev problems that are measured.")] = 100,
    max_rows: Annotated[int, typer.Option(min=1, help="Training rows of a task that a tail-patch reads.")] = 20_000,
    worker: Annotated[str | None, typer.Option(help="I/N: only tail-patches, this worker's part of N.")] = None,
    cluster: Annotated[
        str | None,
        typer.Option(help="Tail-patches on a Ray cluster: ray, or ray://HOST:PORT; same paths there."),
    ] = None,
    replicas: Annotated[int | None, typer.Option(min=1, help="At a time. Default: one a GPU, or one a node.")] = None,
    train: Annotated[str | None, typer.Option(help="Only this training of --against: proportional or equal.")] = None,
    no_train: Annotated[bool, typer.Option("--no-train", help="Stop at the weights.")] = False,
    against: Annotated[list[str] | None, typer.Option(help="Train on these weights too: proportional, equal.")] = None,
    significant: Annotated[float, typer.Option(help="A gain or loss from here on is significant (share of 1).")] = 0.03,
    slight: Annotated[float, typer.Option(help="A gain from here on is slight.")] = 0.01,
    general_total: Annotated[int, typer.Option(help="Ratings that make a task generally helpful.")] = 5,
    threshold: Annotated[
        list[str] | None, typer.Option(help="category=share: what a task must reach for its bundle; repeatable.")
    ] = None,
    weak: Annotated[list[str] | None, typer.Option(help="A category whose best two tasks come first.")] = None,
    seed: Annotated[int, typer.Option(help="Of the trainings.")] = 0,
) -> None:
    options = dict(locals())
    from rerank.locks import each_once
    from rerank.models import weights as models
    from rerank.training.recipes import tail_patch
    from rerank.training.scorer.presets import preset as named

    rules = tail_patch.Rules(
        significant=significant,
        slight=slight,
        general_total=general_total,
        thresholds=_shares(threshold or []),
        weak=tuple(weak or ()),
    )
    for option, name in [("against", each) for each in against or []] + ([("train", train)] if train else []):
        if name not in ("proportional", "equal"):
            raise SettingError(f"--{option} {name}: proportional or equal")
    share = _part(worker)
    changes = {"batch_size": batch_size, "learning_rate": learning_rate, "pack_tokens": pack_tokens, "rank": rank}
    # Equal steps of equally many judgments, as published: no early stopping, and free text is one judgment too.
    settings = named(preset, **changes, batch_of="examples", seed=seed, keep="last")
    is_folder = Path(base).is_dir()
    folder = Path(base) if is_folder else models.resolve(base).folder
    given: dict[str, Any] = {"base_name": Path(base).name if is_folder else base, "report": steps.say}
    files = [options.pop("mixture"), *(options.pop("labels") or [])]
    rated = ["significant", "slight", "general_total", "threshold", "weak", "final_steps", "against", "no_train"]
    steps.settle(out, "tail_patch", options, files, free=[*rated, "train", "worker", "cluster", "replicas"])
    data = tail_patch.read_data(mixture, labels or [], max_dev=max_dev, max_dev_problems=max_dev_problems)
    final = replace(settings, num_steps=final_steps, num_evaluations=final_evaluations)
    weighted = partial(_weighted, out=out, mixture=mixture, data=data, settings=final, base=folder, given=given)
    sizes = data.sizes
    schemes = {"proportional": sizes, "equal": dict.fromkeys(sizes, 1.0)}
    if train:
        weighted(train, schemes[train])
        return
    checkpoint = start or out / "start" / "scorer"
    if start is None:
        first = replace(settings, num_steps=start_steps, num_evaluations=1)
        if share is not None and share[0] > 1 and not (checkpoint / "scorer.json").exists():
            raise InputError("not there yet: worker 1 trains it, or give --start", path=checkpoint)
        train_start = partial(steps.trained, settings=first, mixture=[mixture], **given)
        [checkpoint] = each_once(["start"], out, lambda name: train_start(folder, [], out / name), report=steps.say)
    patched = replace(
        settings,
        num_steps=patch_steps,
        num_evaluations=patch_evaluations,
        batch_size=patch_batch_size or settings.batch_size,
        learning_rate=patch_learning_rate or settings.learning_rate,
    )
    tasks = sorted(data.train)
    mine = tasks if share is None else tasks[share[0] - 1 :: share[1]]
    if cluster:
        from rerank.backends.ray_cluster import call_on_each, connect

        connect(cluster)
        todo = [task for task in mine if not (out / "tasks" / f"{task}.json").exists()]
        patch = partial(
            tail_patch.patch_elsewhere,
            data=data,
            base=folder.resolve(),
            start=checkpoint.resolve(),
            settings=patched,
            max_rows=max_rows,
        )
        found_there = call_on_each(patch, todo, replicas=replicas)
        for effect in tqdm(found_there, desc="tail-patches", total=len(todo), unit="task", disable=None):
            tail_patch.write_effect(out / "tasks", effect)
    patch_here = partial(
        tail_patch.patch_task,
        data=data,
        out=out / "tasks",
        base=folder,
        start=checkpoint,
        settings=patched,
        max_rows=max_rows,
    )
    made = each_once(mine, out / "tasks", patch_here, wait=share is None, report=steps.say)
    bar = tqdm(made, desc="tail-patches", total=len(mine), unit="task", disable=None)
    effects = sorted(bar, key=lambda effect: effect.task)
    if share is not None:
        print(f"{len(effects)} of {len(tasks)} tasks are done; without --worker the command goes on from there")
        return
    found, top = tail_patch.bundles(effects, rules), tail_patch.top_tasks(effects, rules)
    task_weights = tail_patch.task_weights(found, top, rules)
    shown = tail_patch.table(effects, rules)
    (out / "effects.md").write_text(f"```\n{shown}```\n", encoding="utf-8")
    document = {"weights": task_weights, "bundles": found, "best": top}
    (out / "weights.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(shown)
    if no_train:
        return
    schemes["opt"] = task_weights
    curves = {name: tail_patch.curve(weighted(name, schemes[name])) for name in ("opt", *(against or []))}
    compared = tail_patch.comparison(curves)
    (out / "compare.md").write_text(f"```\n{compared}```\n", encoding="utf-8")
    tail_patch.plot(curves, out / "compare.png")
    print(compared)


def _part(worker: str | None) -> tuple[int, int] | None:
    if worker is None:
        return None
    number, _, total = worker.partition("/")
    if not (number.isdigit() and total.isdigit() and 1 <= int(number) <= int(total)):
        raise SettingError(f"--worker {worker}: write I/N, such as 3/8")
    return int(number), int(total)


def _shares(given: list[str]) -> dict[str, float]:
    shares = {}
    for each in given:
        name, _, number = each.partition("=")
        try:
            shares[name] = float(number)
        except ValueError:
            raise SettingError(f"--threshold {each}: write category=share, such as code=0.66") from None
    return shares


if __name__ == "__main__":
    with one_line():
        app()
