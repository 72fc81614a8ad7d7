"""Put judges beside one another on the judgments that all of them were asked.

    rerank judge judgments/heldout --autorater MODEL --per-set 64 --out runs/untrained
    rerank judge judgments/heldout --autorater MODEL+runs/flame/scorer --per-set 64 --out runs/judge_flame
    python scripts/compare_judges.py judgments/heldout --run untrained=runs/untrained --run flame=runs/judge_flame

Prints Markdown: each category's figure with its interval, and each judge's gain over the first, paired.
"""

from pathlib import Path
from typing import Annotated

import typer

from rerank.errors import SettingError, one_line
from rerank.judge_bench import comparison
from rerank.judge_bench.measure import gather

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    sets: Annotated[list[str], typer.Argument(help="What the judges were measured on, as in `rerank judge`.")],
    run: Annotated[list[str], typer.Option(help="name=FOLDER of a judge's run, or FOLDER; the first is the base.")],
    seed: Annotated[int, typer.Option(help="Of the intervals.")] = 0,
) -> None:
    if len(run) < 2:
        raise SettingError("--run: name two judges or more")
    runs = []
    for each in run:
        name, _, folder = each.rpartition("=")
        runs.append(comparison.read_run(Path(folder), name=name))
    print(comparison.table(comparison.compare(gather(sets), runs, seed=seed), [each.name for each in runs]))


if __name__ == "__main__":
    with one_line():
        app()
