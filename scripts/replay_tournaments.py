"""What other tournaments would have picked, and at what cost: a whole round-robin played over again.

\b
    rerank run --candidates samples.jsonl --mode encoded-once --tournament round-robin --out runs/whole
    python scripts/replay_tournaments.py runs/whole [RUN...]
    python scripts/replay_tournaments.py DIR --labels labels.jsonl.gz --plot frontier.png

Reads finished run folders that hold every comparison (--mode pairwise or encoded-once) and judges nothing anew. A line
is a way to spend comparisons, both orders counted: pass@1 of what it picks with its 95% interval, and its gain over the
pointwise choice, or else over random choice (paired). Where the folder has pointwise scores (encoded-once), tournaments
are seeded by them; `unseeded` are not. A last column adds the log-probability, weighted as the scorer's card says.

With --labels DIR is what `scripts/judge_labels.py` wrote (its files may be gzipped), and the dev problems that have
right and wrong samples count: what a default is chosen on.
"""

from pathlib import Path
from typing import Annotated

import typer

from rerank.errors import one_line
from rerank.reports.tournaments import measure, of_dev, of_run, plot, table

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    runs: Annotated[list[Path], typer.Argument(help="Run folders with a whole round-robin each.")],
    labels: Annotated[
        list[Path] | None, typer.Option(help="Labelled programs: the folders hold verdicts on their dev part.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--plot", help="PNG to write: what is picked against its cost.")] = None,
) -> None:
    lines = {}
    for run in runs:
        lines[run.name] = measure(of_dev(run, labels) if labels else of_run(run))
        print(f"\n{run.name}\n\n{table(lines[run.name])}")
    if out:
        plot(lines, out)


if __name__ == "__main__":
    with one_line():
        app()
