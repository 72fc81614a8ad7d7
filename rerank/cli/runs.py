"""`rerank run` and its stages one by one: generate, score, execute, report, export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rerank.backends.interface import EngineOptions
from rerank.cli.app import command
from rerank.cli.config import Config
from rerank.cli.options import (
    AsJson,
    EvidenceOptions,
    FolderSourceOptions,
    MachineOptions,
    OutOf,
    OutputOptions,
    ProblemOptions,
    SandboxOptions,
    SourceOptions,
    executor_on,
    limited,
)
from rerank.errors import SettingError
from rerank.runs.settings import ExecuteSettings, GenerateSettings, ScoreSettings, SelectSettings, WriteSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rerank.evidence.test_writers import Answers
    from rerank.records import Candidate, Problem
    from rerank.runs.candidates import Benchmark
    from rerank.runs.folder import RunFolder

FreshOnly = Annotated[
    bool,
    typer.Option(
        "--fresh/--resume",
        help="Start the run folder over, or go on where it stopped (the default).",
        rich_help_panel="Output",
    ),
]


@command(example="rerank run --limit 20")
def run(
    source: SourceOptions,
    sampling: GenerateSettings | None,
    scoring: ScoreSettings,
    engine: EngineOptions,
    evidence: EvidenceOptions,
    writing: WriteSettings | None,
    select: SelectSettings,
    execution: ExecuteSettings,
    machines: MachineOptions,
    output: OutputOptions,
    as_json: AsJson = False,
    _config: Config = None,
) -> None:
    """The whole job: candidates, execution, judgments, table. With no option: the shipped candidates for HumanEval,
    judged by the default autorater."""
    from dataclasses import replace

    from rerank.models import shipped
    from rerank.reports import of_run, tables
    from rerank.runs import candidates as sampling_stage
    from rerank.runs import journals, outcomes, ranking, rounds
    from rerank.runs.evidence import review

    if source.candidates and sampling:
        raise SettingError("--candidates and --generator exclude each other")
    limits = evidence.spending(of_samples=sampling is not None)
    select = limited(select, limits)
    executor = executor_on(machines.cluster)
    if sampling:
        sampling = replace(sampling, max_total=limits.max_samples)
    file = None if sampling else source.candidates or str(shipped.shipped(shipped.CANDIDATES))
    folder = _open_folder(output, source.problems, file, sampling, scoring)
    benchmark = sampling_stage.open_problems(folder, source.problems, limit=source.limit)
    problems = benchmark.chosen
    if file:  # a file that cannot be read is told before a model writes tests
        candidates = sampling_stage.import_candidates(folder, file, benchmark)
    answers = _written_tests(folder, benchmark, evidence.tests, writing, engine)
    if sampling and sampling.max_total is None:
        candidates = sampling_stage.generate(folder, problems, sampling, machines.engine(engine, "generate"))
    elif sampling:
        candidates = rounds.generate(
            folder,
            problems,
            sampling,
            machines.engine(engine, "generate"),
            answers=answers,
            select=select,
            seed=scoring.seed,
            num_workers=machines.workers,
            executor=executor,
        )
    if sampling or source.candidates:  # what the shipped candidates lost to extraction stands in the report
        _warn(candidates, problems)
    passed = outcomes.execute(
        folder,
        problems,
        candidates,
        timeout_s=execution.timeout_s,
        num_workers=machines.workers,
        executor=executor,
    )
    if evidence.reviewer:
        review(folder, problems, candidates, evidence.reviewer, EngineOptions())
    try:
        ranking.score(
            folder,
            problems,
            candidates,
            scoring,
            options=machines.engine(engine, "judge"),
            passed=passed,
            num_workers=machines.workers,
            executor=executor,
            answers=answers,
            select=select,
        )
    except KeyboardInterrupt:
        if journals.num_ranked(folder):  # what is known so far is shown before the interrupt goes on
            typer.echo(tables.table(of_run.make_report(folder, problems)))
        raise
    report = of_run.make_report(folder, problems)
    _print(tables.to_json(report) if as_json else tables.table(report), folder, quiet=as_json)


@command(example="rerank generate --generator Qwen/Qwen2.5-Coder-0.5B-Instruct --limit 5 --out runs/first")
def generate(
    source: ProblemOptions,
    sampling: GenerateSettings,
    engine: EngineOptions,
    machines: MachineOptions,
    out: OutOf,
    fresh: FreshOnly = False,
    _config: Config = None,
) -> None:
    """Sample N solutions to each problem, with their mean log-probability, into candidates.jsonl of a run folder."""
    from rerank.runs import candidates as sampling_stage
    from rerank.runs.folder import RunFolder

    folder = RunFolder(out, fresh=fresh)
    problems = sampling_stage.open_problems(folder, source.problems, limit=source.limit).chosen
    candidates = sampling_stage.generate(folder, problems, sampling, machines.engine(engine, "generate"))
    _warn(candidates, problems)
    typer.echo(f"{len(candidates)} candidates in {folder.path / 'candidates.jsonl'}")


@command(example="rerank score --candidates samples.jsonl --autorater examples --out runs/first")
def score(
    source: FolderSourceOptions,
    scoring: ScoreSettings,
    engine: EngineOptions,
    evidence: EvidenceOptions,
    writing: WriteSettings | None,
    select: SelectSettings,
    machines: MachineOptions,
    out: OutOf,
    _config: Config = None,
) -> None:
    """Judge the candidates and rank them, by the autorater and by every selector that needs no model."""
    from rerank.runs import ranking
    from rerank.runs.evidence import review

    select = limited(select, evidence.spending())
    folder, benchmark, candidates = _candidates_at_hand(out, source)
    problems = benchmark.chosen
    answers = _written_tests(folder, benchmark, evidence.tests, writing, engine)
    if evidence.reviewer:
        review(folder, problems, candidates, evidence.reviewer, EngineOptions())
    ranking.score(
        folder,
        problems,
        candidates,
        scoring,
        options=machines.engine(engine, "judge"),
        num_workers=machines.workers,
        executor=executor_on(machines.cluster),
        answers=answers,
        select=select,
    )
    typer.echo(f"{len(problems)} problems ranked in {folder.path / 'rankings.jsonl'}")


@command(example="rerank execute --out runs/first --timeout 3")
def execute(
    source: FolderSourceOptions,
    execution: ExecuteSettings,
    machines: SandboxOptions,
    out: OutOf,
    _config: Config = None,
) -> None:
    """Run every candidate under the hidden tests, in the sandbox."""
    from rerank.runs import outcomes

    folder, benchmark, candidates = _candidates_at_hand(out, source)
    passed = outcomes.execute(
        folder,
        benchmark.chosen,
        candidates,
        timeout_s=execution.timeout_s,
        num_workers=machines.workers,
        executor=executor_on(machines.cluster),
    )
    num_passed = sum((passed.plus or passed.base).values())
    typer.echo(f"{num_passed} of {len(candidates)} candidates passed; outcomes in {folder.path / 'outcomes.jsonl'}")


@command("report", example="rerank report runs/first --html report.html")
def report_command(
    folder: Annotated[Path, typer.Argument(help="A run folder with candidates, outcomes and rankings.")],
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write one HTML file to browse: figures, programs, outcomes.")
    ] = None,
    execute: Annotated[
        bool, typer.Option("--execute", help="First run the candidates that have no outcome, as `rerank execute` does.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the table of a run and write report.json, report.md and the plots into its folder. Runs no program unless
    asked to."""
    from rerank.reports import of_run, tables
    from rerank.runs import outcomes

    opened, benchmark, candidates = _candidates_at_hand(folder, FolderSourceOptions())
    problems = benchmark.chosen
    if execute:
        timeout_s = opened.document().get("execute", {}).get("timeout_s", ExecuteSettings().timeout_s)
        outcomes.execute(opened, problems, candidates, timeout_s=float(str(timeout_s)))
    report = of_run.make_report(opened, problems)
    if html:
        of_run.write_page(opened, problems, report, html)
    _print(tables.to_json(report) if as_json else tables.table(report), opened, quiet=as_json)
    if html and not as_json:
        typer.echo(f"         {html}", err=True)


@command(example="rerank export runs/first best.jsonl --form evalplus")
def export(
    folder: Annotated[Path, typer.Argument(help="A run folder with rankings.")],
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    form: Annotated[
        Literal["evalplus", "humaneval", "bigcode"],
        typer.Option(help="Whose file: evalplus (what we read ourselves too), humaneval or bigcode.", metavar="NAME"),
    ] = "evalplus",
    selector: Annotated[str | None, typer.Option(help="Whose choice. Default: the run's autorater.")] = None,
    best: Annotated[int, typer.Option(min=1, help="How many candidates of each problem, best first.")] = 1,
) -> None:
    """Write the chosen candidates as a file that another harness evaluates."""
    from rerank.runs import export as exporting
    from rerank.runs.folder import RunFolder

    num_written = exporting.export(RunFolder(folder), out, form=form, selector=selector, num_best=best)
    typer.echo(f"{num_written} candidates in {out}")


def _open_folder(
    output: OutputOptions,
    problems: str,
    file: str | None,
    sampling: GenerateSettings | None,
    scoring: ScoreSettings,
) -> "RunFolder":
    """The run folder asked for, or one whose name follows from the settings: the same command goes on with it."""
    from dataclasses import asdict

    from rerank.runs.folder import RunFolder
    from rerank.store import content_hash

    out = output.out
    if out is None:
        settings = [problems, file, asdict(sampling) if sampling else None, scoring.recorded()]
        settings += [scoring.pairs] if scoring.pairs else []
        out = Path("runs") / f"{Path(problems).name.partition('.')[0]}-{scoring.selector}-{content_hash(*settings)[:6]}"
    return RunFolder(out, fresh=output.fresh)


def _written_tests(
    folder: "RunFolder",
    benchmark: "Benchmark",
    file: str | None,
    writing: WriteSettings | None,
    engine: EngineOptions,
) -> "Mapping[str, Answers]":
    """The tests that a model wrote or writes now, by task_id; none where neither is asked for."""
    from rerank.runs import evidence

    if file and writing:
        raise SettingError("--tests and --test-writer exclude each other")
    if file:
        return evidence.import_tests(folder, file, benchmark)
    if writing:
        options = EngineOptions(purpose="generate", base_url=engine.base_url)
        return evidence.write_tests(folder, benchmark, writing, options)
    return {}


def _candidates_at_hand(out: Path, source: FolderSourceOptions) -> "tuple[RunFolder, Benchmark, list[Candidate]]":
    """A stage's inputs: from a file if one is given, else what an earlier stage left in the folder."""
    from rerank.runs import journals
    from rerank.runs.candidates import Benchmark, import_candidates, open_problems
    from rerank.runs.folder import RunFolder

    folder = RunFolder(out)
    recorded = folder.document().get("problems", {})
    name = source.problems or str(recorded.get("name", "humaneval"))
    benchmark = open_problems(folder, name, limit=source.limit)
    if source.candidates:
        return folder, benchmark, import_candidates(folder, source.candidates, benchmark)
    candidates = journals.load_candidates(folder, benchmark.chosen)
    sampled = {candidate.task_id for candidate in candidates}
    chosen = [problem for problem in benchmark.chosen if problem.task_id in sampled]
    return folder, Benchmark(benchmark.problems, chosen), candidates


def _warn(candidates: "list[Candidate]", problems: "list[Problem]") -> None:
    from rerank.candidates.files import summarize

    for line in summarize(candidates, problems).warnings():
        typer.echo(f"warning: {line}", err=True)


def _print(text: str, folder: "RunFolder", *, quiet: bool) -> None:
    typer.echo(text, nl=False)
    if not quiet:
        typer.echo(f"\nwritten: {folder.path}/report.md, report.json, selectors.png, growth.png", err=True)
