"""Training problems to labelled programs: choose problems, sample solutions, run everything, keep what is known.

Three steps, so that the sampling can happen on another host; every step goes on where a killed one stopped.

\b
    # 1. many problem files (never HumanEval) to one compact file: decontaminated, one form of each task, split kept
    python scripts/sample_and_label.py problems --data data/problems --out problems.jsonl.gz

\b
    # 2. samples, on a host with a GPU; once for each generator, and again with --modified for hard negatives
    python scripts/sample_and_label.py sample --problems problems.jsonl.gz --generator qwen2.5-coder-0.5b-instruct \\
        --n 10 --temperature 0.6 --temperature 1.0 --out samples.jsonl

\b
    # 3. references, samples (recorded anywhere, see rerank.candidates) and mutations, run in the sandbox
    python scripts/sample_and_label.py label --problems problems.jsonl.gz --samples samples.jsonl --out labels.jsonl.gz

`rerank.training.labels` documents the rows that come out.
"""

import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

import sandbox
from rerank.errors import one_line
from rerank.problems.benchmarks import load_problems
from rerank.store import Journal, read_rows, write_rows
from rerank.training.labels import labelling, sampling
from rerank.training.labels.labelling import _read_trials, _Runner
from rerank.training.labels.rows import Label, by_problem, difficulty, write_labels
from rerank.training.mixture.files import data_files
from rerank.training.problems.decontaminate import Benchmark, humaneval_texts
from rerank.training.problems.training_problems import choose, table, upstream_test_texts

app = typer.Typer(
    help=__doc__, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True
)

Problems = Annotated[Path, typer.Option(help="What the step `problems` wrote.")]
Data = Annotated[list[Path], typer.Option(help="A file of problems with tests, or a folder of them; repeatable.")]
Seed = Annotated[int, typer.Option(help="Seed of sampling and of mutations.")]


@app.command()
def problems(data: Data, out: Annotated[Path, typer.Option(help="JSON lines to write, .gz for compressed.")]) -> None:
    """Choose the training problems: one form of each task, none that overlaps HumanEval or MBPP's test part.

    Example: sample_and_label.py problems --data a.jsonl.gz --data b.jsonl.gz --out problems.jsonl.gz
    """
    rows = [row for path in data_files(data) for _, row in read_rows(path)]
    dropped: Counter[tuple[str, str]] = Counter()
    kept = choose(rows, Benchmark.of([*humaneval_texts(), *upstream_test_texts(rows)]), dropped)
    write_rows(out, kept)
    print(table(kept, dropped))
    print(f"\n{len(kept):,} problems: {out}", file=sys.stderr)


@app.command()
def sample(
    problems: Problems,
    generator: Annotated[str, typer.Option(help="A hub model, a folder or a .gguf file.")],
    out: Annotated[Path, typer.Option(help="JSON lines, appended to.")],
    num_samples: Annotated[int, typer.Option("--n", min=1, help="Samples a problem and temperature.")] = 10,
    temperature: Annotated[list[float] | None, typer.Option(help="Sampling temperature; repeatable. 0.8")] = None,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Nucleus sampling's share.")] = 0.95,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest completion, in tokens.")] = 512,
    is_modified: Annotated[
        bool, typer.Option("--modified", help="Have the instruction changed first and answer that: hard negatives.")
    ] = False,
    backend: Annotated[str, typer.Option(help="auto, transformers, vllm or openai.")] = "auto",
    weights: Annotated[Path | None, typer.Option(help="Local weights of the generator.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first K problems.", metavar="K")] = None,
    seed: Seed = 0,
) -> None:
    """Sample solutions to every problem.

    Example: sample_and_label.py sample --problems problems.jsonl.gz --generator qwen2.5-coder-0.5b-instruct
    --temperature 0.6 --temperature 1.0 --out samples.jsonl
    """
    from rerank.backends.engines import open_engine
    from rerank.backends.interface import EngineOptions, Sampling

    asked = [problem.public for problem in load_problems(problems)[:limit]]
    engine = open_engine(backend, generator, EngineOptions(purpose="generate", weights=weights))
    draw = sampling.sample_modified if is_modified else sampling.sample
    with Journal(out, key=sampling.row_key) as journal:
        for number, heat in enumerate(temperature or [0.8]):
            rows = draw(
                asked,
                engine,
                journal,
                num_samples=num_samples,
                sampling=Sampling(temperature=heat, top_p=top_p, max_tokens=max_tokens, seed=seed),
                generator=generator,
                first_index=number * num_samples,
            )
            for _ in tqdm(rows, total=len(asked), desc=f"temperature {heat}", unit="problem", disable=None):
                pass
    engine.close()


@app.command()
def label(
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Label rows to write; its journal is kept beside it.")],
    samples: Annotated[list[Path] | None, typer.Option(help="Recorded samples of the problems; repeatable.")] = None,
    modified_samples: Annotated[
        list[Path] | None, typer.Option("--modified", help="Answers to changed instructions; repeatable.")
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="The same as of `problems`: solutions of MBPP's test part are kept out.")
    ] = None,
    max_mutants: Annotated[int, typer.Option(min=0, help="Mutations tried a problem.")] = 8,
    max_mutated: Annotated[int, typer.Option(min=1, help="Different right programs that are mutated.")] = 3,
    timeout_s: Annotated[
        float, typer.Option(min=0.1, help="Longest CPU time of a run; short references get less.")
    ] = 5.0,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Programs run at a time; by the host when not given.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first K problems.", metavar="K")] = None,
    seed: Seed = 0,
) -> None:
    """Run every candidate against its problem's hidden tests and write what is now known of it.

    Example: sample_and_label.py label --problems problems.jsonl.gz --samples samples.jsonl --out labels.jsonl.gz
    """
    rows = [row for _, row in read_rows(problems)][:limit]
    by_id = {row["task_id"]: row for row in rows}
    benchmark = Benchmark.of(
        [*humaneval_texts(), *upstream_test_texts(row for path in data_files(data or []) for _, row in read_rows(path))]
    )
    dropped: Counter[str] = Counter()
    journal_path = out.with_name(out.name.removesuffix(".gz") + ".journal")
    with Journal(journal_path, key=lambda row: row["key"]) as journal, sandbox.Pool(workers) as pool:
        runner = _Runner(by_id, pool, journal, timeout_s)
        references = labelling.merge(trial for row in rows if (trial := labelling.reference_trial(row)))
        outcomes = runner.run(references, "references")
        right = {trial.task_id: row["cpu_s"] for trial, row in outcomes if row["status"] == "passed"}
        dropped["problem whose reference fails"] = len(rows) - len(right)
        runner.limits = labelling.limits_of(right, timeout_s=timeout_s)
        given = [
            trial
            for trial in chain(
                references,
                _read_trials(samples or [], problems, "sample"),
                _read_trials(modified_samples or [], problems, "modified"),
                labelling.buggy_trials(rows),
            )
            if trial.task_id in right
        ]
        outcomes = runner.run(labelling.merge(given), "candidates")
        passed: dict[str, list[str]] = defaultdict(list)
        for trial, row in outcomes:
            if row["status"] == "passed" and trial.origin in ("sample", "reference"):
                passed[trial.task_id].append(trial.program)
        mutants = (
            trial
            for task_id, programs in passed.items()
            for trial in labelling.mutation_trials(
                by_id[task_id], programs, seed=seed, max_mutants=max_mutants, max_mutated=max_mutated
            )
        )
        known = {trial.key for trial, _ in outcomes}
        outcomes += runner.run([trial for trial in labelling.merge(mutants) if trial.key not in known], "mutations")
    labels = []
    for trial, row in outcomes:
        made = labelling.label(by_id[trial.task_id], trial, status=row["status"], reason=row["reason"])
        if not labelling.is_wanted(made):
            dropped[f"{made.origin} that {'passes' if made.right else 'has no verdict'}"] += 1
        elif trial.origin == "sample" and benchmark.has_program(trial.program, made.entry_point):
            dropped["sample that is a benchmark's solution"] += 1
        else:
            labels.append(made)
    write_labels(out, labels)
    _print_counts(labels, dropped)
    print(f"{len(labels):,} labelled programs: {out}", file=sys.stderr)


def _print_counts(labels: Sequence[Label], dropped: Counter[str]) -> None:
    counts = Counter((label.origin, label.split, label.right) for label in labels)
    print(f"{'origin':12} {'split':6} {'right':>8} {'wrong':>8}")
    for origin, split in sorted({(origin, split) for origin, split, _ in counts}):
        print(f"{origin:12} {split:6} {counts[origin, split, True]:8,} {counts[origin, split, False]:8,}")
    problems = by_problem(labels)
    both = sum(len({label.right for label in rows}) == 2 for rows in problems.values())
    bands = Counter(difficulty(rows) for rows in problems.values())
    print(f"\n{len(problems):,} problems, {both:,} with right and wrong programs; by difficulty: {dict(bands)}")
    print("outcomes:", dict(Counter(label.outcome for label in labels).most_common()))
    print("error classes:", dict(Counter(label.error_class for label in labels if not label.right).most_common(8)))
    for reason, count in dropped.most_common():
        print(f"dropped {count:7,}  {reason}")


if __name__ == "__main__":
    with one_line(sandbox.SandboxError):
        app()
