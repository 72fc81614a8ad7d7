"""Self-Taught Evaluators in one command: judge, keep what is right, fine-tune the seed, again (arXiv 2408.02666).

\b
    python scripts/sample_and_label.py ...                          # labels.jsonl.gz, with --modified samples in it
    python scripts/self_taught.py --base qwen2.5-coder-0.5b-instruct --labels labels.jsonl.gz --out runs/self_taught
    python scripts/self_taught.py --base MODEL --labels labels.jsonl.gz --seed 0 --seed 1 --seed 2 --dpo --out RUN
    python scripts/self_taught.py --base MODEL --labels labels.jsonl.gz --problems problems.jsonl.gz \\
        --samples samples.jsonl --modified modified.jsonl --out RUN # pairs as in the paper, the worse one not verified

The same command again goes on where a killed one stopped. OUT/seedN/roundR holds what judge R wrote (round 0 is the
seed model) and, from round 1 on, its training in train/. OUT/rounds.json, rounds.md and rounds.png have the figures:
how often a judgment agrees with execution, by majority vote and in both orders, and how often the judge picks a right
program. Small seed models write many bare verdicts: see --min-words.
HumanEval is for later: `rerank run --mode reasoning --autorater BASE+OUT/seed0/round3/train/scorer`.
"""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from rerank.cli.from_settings import ChangesTo, GroupedCommand, takes_settings
from rerank.errors import one_line
from rerank.store import Row
from rerank.training.labels.rows import read_labels
from rerank.training.recipes import self_taught, self_taught_report, steps
from rerank.training.recipes.self_taught import SelfTaughtSettings
from rerank.training.scorer.presets import preset, train_options

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
# What asks about labelled programs has no meaning for judgments in words.
UNUSED = ("mode", "max_programs", "num_pairs", "joint_share", "teacher_weight", "ranking_weight", "only_solved")
TrainOptions = train_options(without=("seed", *UNUSED))


@app.command(cls=GroupedCommand, help=__doc__)
@takes_settings
def main(
    base: Annotated[str, typer.Option(help="The seed model: a folder, or a name that rerank knows.")],
    labels: Annotated[list[Path], typer.Option(help="Labelled programs, train and dev; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    settings: SelfTaughtSettings,
    changes: Annotated[dict[str, Any], ChangesTo(TrainOptions)],
    problems: Annotated[Path | None, typer.Option(help="With --samples and --modified: unverified pairs.")] = None,
    samples: Annotated[Path | None, typer.Option(help="Samples of the problems; the first is the good one.")] = None,
    modified: Annotated[
        Path | None, typer.Option(help="Answers to modified instructions; the first is the worse.")
    ] = None,
    preset_name: Annotated[str, typer.Option("--preset", help="Settings of the fine-tuning to start from.")] = "small",
    seed: Annotated[list[int] | None, typer.Option(help="A whole run per seed; repeatable. Default: 0.")] = None,
) -> None:
    train_settings = preset(preset_name, **changes)
    options = {"base": base, "preset": preset_name, "seed": seed or [], **asdict(settings), **changes}
    files = [path for path in (*labels, problems, samples, modified) if path]
    steps.record_settings(out, "self_taught", options, files, changeable=settings.changeable(out))
    label_rows = read_labels(labels)
    unverified = self_taught.read_unverified(problems, samples, modified)
    model = steps.base_model(base)
    rows: list[Row] = []
    for number in seed or [0]:
        work = self_taught.first_work(base, out, label_rows, unverified, settings=settings, seed=number)
        of_seed = replace(train_settings, seed=number)
        for judge_round in self_taught.run(work, model, settings=settings, train_settings=of_seed):
            rows.append(judge_round.to_row())
            (out / "rounds.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
            (out / "rounds.md").write_text(f"```\n{self_taught_report.table(rows)}```\n", encoding="utf-8")
    # From the file: tuples are lists there.
    rows = json.loads((out / "rounds.json").read_text(encoding="utf-8"))
    self_taught_report.plot({"not verified" if unverified else "verified": rows}, out / "rounds.png")
    print(self_taught_report.table(rows), end="")


if __name__ == "__main__":
    with one_line():
        app()
