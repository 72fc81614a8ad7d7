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

`rerank.training.labels.rows` documents the rows that come out.
"""

import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

import sandbox
from rerank.cli.from_settings import GroupedCommand, takes_settings
from rerank.errors import one_line
from rerank.problems.benchmarks import load_problems
from rerank.store import Journal, read_rows, write_rows
from rerank.training.labels import running, sampling
from rerank.training.labels.rows import write_labels
from rerank.training.labels.running import LabelSettings, journal_key, label_problems, read_trials
from rerank.training.mixture.files import data_files
from rerank.training.problems.decontaminate import Benchmark, humaneval_texts
from rerank.training.problems.training_problems import choose, table, upstream_test_texts

app = typer.Typer(
    help=__doc__, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, no_args_is_help=True
)

Problems = Annotated[Path, typer.Option(help="What the step `problems` wrote.")]
Data = Annotated[list[Path], typer.Option(help="A file of problems with tests, or a folder of them; repeatable.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first K problems.", metavar="K")]


@app.command()
def problems(data: Data, out: Annotated[Path, typer.Option(help="JSON lines to write, .gz for compressed.")]) -> None:
    """Choose the training problems: one form of each task, none that overlaps HumanEval or MBPP's test part.

    Example: sample_and_label.py problems --data a.jsonl.gz --data b.jsonl.gz --out problems.jsonl.gz
    """
    rows = [row for path in data_files(data) for _, row in read_rows(path)]
    dropped: Counter[tuple[str, str]] = Counter()
    chosen = choose(rows, Benchmark.of([*humaneval_texts(), *upstream_test_texts(rows)]), dropped)
    write_rows(out, chosen)
    print(table(chosen, dropped))
    print(f"\n{len(chosen):,} problems: {out}", file=sys.stderr)


@app.command()
def sample(
    problems: Problems,
    generator: Annotated[str, typer.Option(help="A hub model, a folder or a .gguf file.")],
    out: Annotated[Path, typer.Option(help="JSON lines, appended to.")],
    num_samples: Annotated[int, typer.Option("--n", min=1, help="Samples per problem and temperature.")] = 10,
    temperature: Annotated[
        list[float] | None, typer.Option(help="Sampling temperature; repeatable. Default: 0.8.")
    ] = None,
    top_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Nucleus sampling's share.")] = 0.95,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest completion, in tokens.")] = 512,
    is_modified: Annotated[
        bool, typer.Option("--modified", help="Have the instruction changed first and answer that: hard negatives.")
    ] = False,
    backend: Annotated[str, typer.Option(help="auto, transformers, vllm or openai.")] = "auto",
    weights: Annotated[Path | None, typer.Option(help="Local weights of the generator.")] = None,
    limit: Limit = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
) -> None:
    """Sample solutions to every problem.

    Example: sample_and_label.py sample --problems problems.jsonl.gz --generator qwen2.5-coder-0.5b-instruct
    --temperature 0.6 --temperature 1.0 --out samples.jsonl
    """
    from rerank.backends.engines import open_engine
    from rerank.backends.interface import EngineOptions, Sampling

    chosen = [problem.public for problem in load_problems(problems)[:limit]]
    engine = open_engine(backend, generator, EngineOptions(purpose="generate", weights=weights))
    draw = sampling.sample_modified if is_modified else sampling.sample
    with Journal(out, key=sampling.row_key) as journal:
        for number, value in enumerate(temperature or [0.8]):
            rows = draw(
                chosen,
                engine,
                journal,
                num_samples=num_samples,
                sampling=Sampling(temperature=value, top_p=top_p, max_tokens=max_tokens, seed=seed),
                generator=generator,
                first_index=number * num_samples,
            )
            for _ in tqdm(rows, total=len(chosen), desc=f"temperature {value}", unit="problem", disable=None):
                pass
    engine.close()


@app.command(cls=GroupedCommand)
@takes_settings
def label(
    problems: Problems,
    out: Annotated[Path, typer.Option(help="Label rows to write; its journal is kept beside it.")],
    settings: LabelSettings,
    samples: Annotated[list[Path] | None, typer.Option(help="Recorded samples of the problems; repeatable.")] = None,
    modified_samples: Annotated[
        list[Path] | None, typer.Option("--modified", help="Answers to changed instructions; repeatable.")
    ] = None,
    data: Annotated[
        list[Path] | None, typer.Option(help="The same as of `problems`: solutions of MBPP's test part are left out.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Programs run in parallel. Default: by the host.")] = None,
    limit: Limit = None,
) -> None:
    """Run every candidate against its problem's hidden tests and write what is now known of it.

    Example: sample_and_label.py label --problems problems.jsonl.gz --samples samples.jsonl --out labels.jsonl.gz
    """
    rows = [row for _, row in read_rows(problems)][:limit]
    data_rows = (row for path in data_files(data or []) for _, row in read_rows(path))
    benchmark = Benchmark.of([*humaneval_texts(), *upstream_test_texts(data_rows)])
    sampled = chain(
        read_trials(samples or [], problems, "sample"), read_trials(modified_samples or [], problems, "modified")
    )
    journal_path = out.with_name(out.name.removesuffix(".gz") + ".journal")
    with Journal(journal_path, key=journal_key) as journal, sandbox.Pool(workers) as pool:
        labelled = label_problems(rows, sampled, pool, journal, benchmark=benchmark, settings=settings)
    write_labels(out, labelled.labels)
    print(running.table(labelled))
    print(f"{len(labelled.labels):,} labelled programs: {out}", file=sys.stderr)


if __name__ == "__main__":
    with one_line(sandbox.SandboxError):
        app()
