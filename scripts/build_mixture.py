"""Build the mixture: labelled programs, judgments and hub sets as one file of judgments to learn from.

\b
    python scripts/build_mixture.py --judgments data/judgments --labels labels.jsonl.gz --out mixture.jsonl.gz
    python scripts/build_mixture.py --judgments data/judgments --weighting equal --out equal.jsonl.gz
    python scripts/build_mixture.py --hub helpsteer_pair --hub prm800k_pair --hub commitpackft_pair \\
        --hub hh_rlhf_harmless_pair --weighting equal --out flame_rm.jsonl.gz
    python scripts/build_mixture.py --labels labels.jsonl.gz --judgments data/judgments \\
        --weight code_pair=30000 --weight argument_convincing=3000 --out weighted.jsonl.gz
    python scripts/build_mixture.py --list

Prints a table of tasks, sizes, weights and tokens. The same inputs and seed give the same file to the byte. Held-out
sets are refused. `rerank/training/mixture/tasks.toml` has every task's source and licence,
`rerank.training.mixture.judgments` the rows.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from rerank.errors import MissingError, SettingError, one_line
from rerank.store import write_rows
from rerank.training.mixture import build as mixtures
from rerank.training.mixture.build import Weighting
from rerank.training.mixture.tasks import TASKS

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def build(
    out: Annotated[Path | None, typer.Option(help="JSON lines to write, .gz for compressed.")] = None,
    judgments: Annotated[list[Path] | None, typer.Option(help="A judgment file or a folder; repeatable.")] = None,
    labels: Annotated[list[Path] | None, typer.Option(help="Labelled programs; repeatable.")] = None,
    hub: Annotated[list[str] | None, typer.Option(help="A task to load from the Hugging Face hub; repeatable.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Keep these tasks and no others; repeatable.")] = None,
    leave_out: Annotated[list[str] | None, typer.Option(help="A task to leave out; repeatable.")] = None,
    weighting: Annotated[str, typer.Option(help="proportional or equal.")] = "proportional",
    weight: Annotated[list[str] | None, typer.Option(help="TASK=EXAMPLES per epoch; repeatable.")] = None,
    max_examples: Annotated[int, typer.Option(min=1, help="Most examples of a task.")] = mixtures.MAX_EXAMPLES,
    tokenizer: Annotated[str | None, typer.Option(help="Model whose tokens to count, not estimate.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of every choice and of the order.")] = 0,
    is_list: Annotated[bool, typer.Option("--list", help="List all tasks and stop.")] = False,
) -> None:
    if is_list:
        for task in TASKS.values():
            print(
                f"{task.name:30} {task.kind:14} {task.capability:21} {task.origin:9} {task.licence:14} {task.location}"
            )
        return
    if out is None:
        raise SettingError("--out is missing: name the file to write")
    if weighting not in ("proportional", "equal"):
        raise SettingError(f"--weighting {weighting}: proportional or equal")
    chosen = _chosen(only or [], leave_out or [])
    mixture = mixtures.gather(
        judgments or [], labels or [], hub or [], tasks=chosen, seed=seed, max_examples=max_examples
    )
    explicit = mixtures.parse_weights(weight) if weight else None
    named: Weighting = "equal" if weighting == "equal" else "proportional"
    rows = mixture.rows(named, explicit)
    if not rows:
        raise SettingError("nothing to mix: give --judgments, --labels or --hub")
    write_rows(out, (row.to_row() for row in rows))
    print(mixtures.table(mixtures.sizes(rows, _counter(tokenizer)), mixture.dropped))
    print(f"{len(rows):,} rows: {out}", file=sys.stderr)


def _chosen(only: list[str], leave_out: list[str]) -> set[str]:
    for name in (*only, *leave_out):
        if name not in TASKS:
            raise SettingError(f"task {name} is not in the registry; --list shows it")
    return (set(only) or set(TASKS)) - set(leave_out)


def _counter(tokenizer: str | None) -> Callable[[str], int]:
    if tokenizer is None:
        return mixtures.estimated_tokens
    from transformers import AutoTokenizer

    try:
        encode = AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError) as error:
        raise MissingError(f"--tokenizer {tokenizer}: no tokenizer there; name a folder or a hub model") from error
    return lambda text: len(encode(text).input_ids)


if __name__ == "__main__":
    with one_line():
        app()
