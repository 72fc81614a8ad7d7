"""Turn a doctested code base into training problems: every self-contained function that proves itself in the sandbox.

\b
    python scripts/problems_from_code.py ~/src/mylib --out mylib.jsonl.gz
    python scripts/problems_from_code.py ~/src/Python --out algorithms.jsonl.gz --skip project_euler --source algorithms

Rows have the fields of the other problem files (task_id, prompt, entry_point, canonical_solution, test, license, group,
split ...). A function is kept when its reference passes its checks twice and a stub that returns None does not. What
was left out is counted by reason on standard error. See `rerank.training.code_problems` for what is looked for.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

import sandbox
from rerank.errors import InputError, SettingError, one_line
from rerank.store import write_rows
from rerank.training.problems import code_problems

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command(help=__doc__)
def convert(
    path: Annotated[Path, typer.Argument(help="A checkout, read and never run outside the sandbox.")],
    out: Annotated[Path, typer.Option(help="JSON lines to write; compressed when the name ends in .gz.")],
    source: Annotated[
        str | None, typer.Option(help="Name of the code base in task ids; its folder's by default.")
    ] = None,
    license: Annotated[str | None, typer.Option(help="SPDX name; read from the licence file by default.")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="A folder below PATH to leave out; repeatable.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Programs run in parallel.")] = 2,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Longest time of one run, in seconds.")] = 5.0,
) -> None:
    if not path.is_dir():
        raise InputError("is not a folder", path=path)
    license = license or code_problems.license_of(path)
    if license is None:
        raise SettingError(f"{path} has no licence file that is known here: name its licence with --license")
    dropped: Counter[str] = Counter()
    source = source or path.resolve().name
    drafts = list(code_problems.problems_in(path, source=source, license=license, skip=skip or [], dropped=dropped))
    rows = []
    limits = sandbox.Limits(timeout_s=timeout_s)
    # In one process with its test: classes and their objects do not cross to another.
    # Twice the reference: what depends on hash order or chance seldom passes both times. The second differs by a line
    # break, since the pool runs identical programs once.
    jobs = [
        sandbox.Job(program, draft.test, draft.entry_point, limits=limits, mode="in-process")
        for draft in drafts
        for program in (draft.program, draft.program + "\n", draft.stub)
    ]
    with sandbox.Pool(workers) as pool:
        outcomes = tqdm(pool.map(jobs), total=len(jobs), unit="program", file=sys.stderr, disable=None)
        for draft, first, second, stub in zip(drafts, outcomes, outcomes, outcomes, strict=True):
            fault = code_problems.faults(first.passed and second.passed, stub.passed)
            if fault:
                dropped[fault] += 1
            else:
                rows.append(draft.row())
    write_rows(out, rows)
    num_dev = sum(row["split"] == "dev" for row in rows)
    print(f"{len(rows)} problems ({num_dev} dev) from {path}, {license}: {out}", file=sys.stderr)
    for reason, count in dropped.most_common():
        print(f"  {count:6,}  {reason}", file=sys.stderr)


if __name__ == "__main__":
    with one_line():
        app()
