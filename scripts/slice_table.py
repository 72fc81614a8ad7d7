"""Re-rank every slice of a run's candidates: of 100 samples per problem, ten times the best of ten.

    python scripts/slice_table.py runs/codegen --size 10

Reads a finished pointwise run folder of `rerank run` and judges nothing anew. One slice's figure depends on which
samples it happened to hold; their spread says how much.
"""

from pathlib import Path
from typing import Annotated

import typer

from rerank.errors import one_line
from rerank.reports.slices import slices, table
from rerank.runs.finished import open_run

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    run: Annotated[Path, typer.Argument(help="Run folder of `rerank run --mode pointwise`.")],
    size: Annotated[int, typer.Option(min=1, help="Candidates of a problem in a slice.")] = 10,
) -> None:
    print(table(slices(open_run(run), size=size)))


if __name__ == "__main__":
    with one_line():
        app()
