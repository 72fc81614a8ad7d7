"""What each part of the evidence is worth on one run: a table per set of tests, every row on the same candidates.

\b
    python scripts/selection_table.py runs/codegen --tests test_case.jsonl.gz --plus HumanEvalPlus.jsonl.gz --out DIR

Reads a run folder of `rerank run` and judges nothing anew. `--tests` is the file that the run was given. `--plus` names
problems with extra tests, by which the candidates are executed as well. `--size` takes the first candidates of each
problem only. Below DIR: table.md, and picks.jsonl.gz with each row's choice and whether it passed.

Columns: pass@1 and its uplift over the candidates' mean with 95% intervals (bootstrap over problems), the paired
difference from the row `--against`, and the processor seconds that the row's own executions took.
"""

from pathlib import Path
from typing import Annotated

import typer

from rerank.errors import SettingError, one_line
from rerank.reports import ablation
from rerank.reports.replay import open_replay
from rerank.runs.settings import SelectSettings
from rerank.store import write_rows

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def main(
    run: Annotated[Path, typer.Argument(help="Run folder of `rerank run`.")],
    out: Annotated[Path, typer.Option(help="Folder for the table and the choices.")],
    tests: Annotated[Path | None, typer.Option(help="The run's file of written tests.")] = None,
    plus: Annotated[str | None, typer.Option(help="Problems with extra tests: humaneval+, or a file.")] = None,
    size: Annotated[int | None, typer.Option(min=1, help="Only the first K candidates of each problem.")] = None,
    against: Annotated[str, typer.Option(help="The row that all are compared with.")] = "examples",
    greedy: Annotated[int | None, typer.Option(min=0, help="Index of each problem's sample at temperature 0.")] = None,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=1.0, help="How sure the guard must be to leave the generator's own choice.")
    ] = 0.9,
    workers: Annotated[int | None, typer.Option(min=1, help="Programs run in parallel. Default: one per core.")] = None,
) -> None:
    select = SelectSettings(confidence=confidence, greedy=greedy)
    replay = open_replay(run, tests=tests, plus=plus, size=size, select=select, workers=workers)
    ranked = ablation.rankings(replay.public, replay.groups, replay.evidence)
    if against not in ranked:
        raise SettingError(f"--against {against}: this run has no such row; one of {', '.join(ranked)}")
    out.mkdir(parents=True, exist_ok=True)
    text = ablation.text(replay, ranked, against=against, greedy=greedy)
    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    write_rows(out / "picks.jsonl.gz", ablation.pick_rows(replay, ranked))
    print(text)


if __name__ == "__main__":
    with one_line():
        app()
