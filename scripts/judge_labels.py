"""What an autorater says of labelled programs: scores and comparisons, as other scripts here read them.

\b
    python scripts/judge_labels.py --labels labels.jsonl.gz --autorater rerank-0.5b --out DIR
    python scripts/judge_labels.py --labels labels.jsonl.gz --autorater SCORER --mode pairwise --split train \\
        --max-pairs 12 --out DIR

Samples only, no mutations. The first line judges dev, every pair in one pass: DIR is what
`scripts/replay_tournaments.py --labels` reads. The second lets a joint scorer judge right-wrong pairs of the training
problems: DIR/comparisons.jsonl is a teacher for `scripts/train_scorer.py --teacher`. The same command again goes on
where a killed one stopped.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from rerank.candidates.programs import program_key
from rerank.errors import InputError, SettingError, one_line
from rerank.store import Journal
from rerank.training.labels.rows import Label, by_problem, read_labels

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
Pair = tuple[str, str]


@app.command(help=__doc__)
def main(
    labels: Annotated[list[Path], typer.Option(help="Labelled programs; repeatable.")],
    out: Annotated[Path, typer.Option(help="Folder for scores.jsonl and comparisons.jsonl.")],
    autorater: Annotated[str, typer.Option(help="A model or a scorer.")] = "rerank-0.5b",
    mode: Annotated[str, typer.Option(help="encoded-once or pairwise.")] = "encoded-once",
    split: Annotated[str, typer.Option(help="dev or train.")] = "dev",
    max_pairs: Annotated[
        int | None, typer.Option(min=1, help="Right-wrong pairs of a problem, drawn by --seed. Default: every pair.")
    ] = None,
    backend: Annotated[str, typer.Option(help="auto, transformers or vllm.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the pairs drawn.")] = 0,
) -> None:
    from rerank.autoraters.played import in_both_orders
    from rerank.models import scorer_card
    from rerank.runs.folder import KEYS
    from rerank.runs.judging import open_autorater
    from rerank.runs.settings import ScoreSettings

    if mode not in ("encoded-once", "pairwise"):
        raise SettingError(f"--mode {mode}: not one of encoded-once, pairwise")
    rows = [row for row in read_labels(labels) if row.split == split and row.origin == "sample"]
    if not rows:
        raise InputError(f"no sample of the {split} split", path=labels[0])
    out.mkdir(parents=True, exist_ok=True)
    with (
        Journal(out / "scores.jsonl", key=KEYS["scores"]) as scores,
        Journal(out / "comparisons.jsonl", key=KEYS["comparisons"]) as comparisons,
    ):
        todo = []
        for task_id, own in by_problem(rows).items():
            programs = {key: row for row in reversed(own) if (key := program_key(row.program))}
            chosen = pairs(programs, max_pairs, random.Random(f"{seed}:{task_id}"))
            if any((task_id, *ordered) not in comparisons for ordered in in_both_orders(chosen)):
                todo.append((own[0].problem, {key: row.program for key, row in sorted(programs.items())}, chosen))
        if not todo:
            return
        settings = ScoreSettings(autorater, mode, backend=backend)
        engine, rater = open_autorater(settings, scorer_card.read_card(autorater), None)
        tasks = ((problem, programs, lambda _, chosen=chosen: chosen) for problem, programs, chosen in todo)
        try:
            for played in tqdm(rater.play_many(tasks), "judge", len(todo), disable=None):
                scores.append(map(asdict, played.scores))
                comparisons.append(map(asdict, played.comparisons))
        finally:
            engine.close()


def pairs(programs: Mapping[str, Label], max_pairs: int | None, rng: random.Random) -> Sequence[Pair]:
    """Every pair of keys, or some that one right and one wrong program make."""
    keys = sorted(programs)
    if max_pairs is None:
        return [(a, b) for place, a in enumerate(keys) for b in keys[place + 1 :]]
    mixed = [(a, b) for a in keys if programs[a].right for b in keys if not programs[b].right]
    return rng.sample(mixed, min(max_pairs, len(mixed)))


if __name__ == "__main__":
    with one_line():
        app()
