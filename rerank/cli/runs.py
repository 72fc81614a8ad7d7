"""`rerank run` and its stages one by one: generate, score, execute, report, export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank.cli.app import _guarded, app
from rerank.cli.options import (
    AggregateOption,
    Aggregation,
    AsJson,
    AutoraterName,
    Backend,
    BackendName,
    BareTests,
    BaseUrl,
    Budget,
    Candidates,
    Cluster,
    Confidence,
    Form,
    Fresh,
    GeneratorName,
    Greedy,
    Limit,
    MaxTokens,
    Mode,
    ModeName,
    NumSamples,
    Out,
    Problems,
    Replicas,
    Reviewer,
    Seed,
    Temperature,
    Tests,
    TestWriter,
    Timeout,
    TopP,
    TournamentName,
    TournamentOption,
    Votes,
    Weights,
    Workers,
    _evidence,
    _executor,
    _generate_settings,
    _limits,
    _options,
    _score_settings,
)

if TYPE_CHECKING:
    from rerank.records import Candidate, Problem
    from rerank.runs.folder import RunFolder
    from rerank.runs.settings import GenerateSettings, ScoreSettings


@app.command(epilog="Example: rerank run --limit 20")
@_guarded
def run(
    problems: Problems = "humaneval",
    candidates: Candidates = None,
    generator: GeneratorName = None,
    n: NumSamples = 10,
    temperature: Temperature = 0.8,
    top_p: TopP = 0.95,
    max_tokens: MaxTokens = 512,
    seed: Seed = 0,
    autorater: AutoraterName = None,
    mode: ModeName = Mode.pointwise,
    votes: Votes = 1,
    tournament: TournamentOption = TournamentName.round_robin,
    aggregate: AggregateOption = Aggregation.borda,
    backend: BackendName = Backend.auto,
    base_url: BaseUrl = None,
    weights: Weights = None,
    tests: Tests = None,
    test_writer: TestWriter = None,
    tests_without_examples: BareTests = False,
    reviewer: Reviewer = None,
    confidence: Confidence = 0.9,
    greedy: Greedy = None,
    budget: Budget = None,
    timeout: Timeout = 3.0,
    workers: Workers = None,
    cluster: Cluster = None,
    replicas: Replicas = None,
    limit: Limit = None,
    out: Out = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """The whole job: candidates, execution, judgments, table. With no option: the shipped candidates for HumanEval,
    judged by the default autorater."""
    from rerank.models import shipped
    from rerank.reports import of_run, tables
    from rerank.runs import candidates as sampling_stage
    from rerank.runs import journals, outcomes, ranking, rounds
    from rerank.runs.evidence import review

    if candidates and generator:
        raise typer.BadParameter("--candidates and --generator exclude each other")
    limits = _limits(budget, spends_samples=generator is not None)
    executor = _executor(cluster)
    scoring = _score_settings(autorater, mode, votes, tournament, aggregate, backend, seed)
    sampling = _generate_settings(generator, n, temperature, top_p, max_tokens, seed, backend, limits.max_samples)
    source = None if sampling else candidates or str(shipped.shipped(shipped.CANDIDATES))
    folder = _open_folder(out, fresh, problems, source, sampling, scoring)
    benchmark = sampling_stage.open_problems(folder, problems, limit=limit)
    chosen = benchmark.chosen
    if not sampling:
        found = sampling_stage.import_candidates(folder, str(source), benchmark)
    evidence = _evidence(
        folder, benchmark, tests, test_writer, tests_without_examples, backend, base_url, confidence, greedy, limits
    )
    if sampling:
        asking = _options("generate", weights, base_url, cluster, replicas)
        if sampling.max_total is None:
            found = sampling_stage.generate(folder, chosen, sampling, asking)
        else:
            given = {"seed": seed, "num_workers": workers, "executor": executor, **evidence}
            found = rounds.generate(folder, chosen, sampling, asking, **given)
    if sampling or candidates:  # what the shipped candidates lost to extraction stands in the report
        _warn(found, chosen)
    passed = outcomes.execute(folder, chosen, found, timeout_s=timeout, num_workers=workers, executor=executor)
    options = _options("judge", weights, base_url, cluster, replicas)
    if reviewer:
        review(folder, chosen, found, reviewer, _options("judge", None, None))
    given = {"options": options, "num_workers": workers, "executor": executor, **evidence}
    try:
        ranking.score(folder, chosen, found, scoring, passed=passed, **given)
    except KeyboardInterrupt:
        if journals.num_ranked(folder):  # what is known so far is shown before the interrupt goes on
            typer.echo(tables.table(of_run.make_report(folder, chosen)))
        raise
    made = of_run.make_report(folder, chosen)
    _print(tables.to_json(made) if as_json else tables.table(made), folder, quiet=as_json)


@app.command(epilog="Example: rerank generate --generator Qwen/Qwen2.5-Coder-0.5B-Instruct --limit 5 --out runs/first")
@_guarded
def generate(
    generator: Annotated[
        str, typer.Option(help="Model to sample from: a hub id, a folder, a .gguf file, or a served model.")
    ],
    out: Annotated[Path, typer.Option(help="Run folder; the samples go to candidates.jsonl in it.")],
    problems: Problems = "humaneval",
    n: NumSamples = 10,
    temperature: Temperature = 0.8,
    top_p: TopP = 0.95,
    max_tokens: MaxTokens = 512,
    seed: Seed = 0,
    backend: BackendName = Backend.auto,
    base_url: BaseUrl = None,
    weights: Weights = None,
    cluster: Cluster = None,
    replicas: Replicas = None,
    limit: Limit = None,
    fresh: Fresh = False,
) -> None:
    """Sample N solutions to each problem, with their mean log-probability, into candidates.jsonl of a run folder."""
    from rerank.runs import candidates as sampling_stage
    from rerank.runs.folder import RunFolder

    folder = RunFolder(out, fresh=fresh)
    chosen = sampling_stage.open_problems(folder, problems, limit=limit).chosen
    sampling = _generate_settings(generator, n, temperature, top_p, max_tokens, seed, backend)
    assert sampling is not None
    found = sampling_stage.generate(
        folder, chosen, sampling, _options("generate", weights, base_url, cluster, replicas)
    )
    _warn(found, chosen)
    typer.echo(f"{len(found)} candidates in {folder.path / 'candidates.jsonl'}")


@app.command(epilog="Example: rerank score --candidates samples.jsonl --autorater examples --out runs/first")
@_guarded
def score(
    out: Annotated[Path, typer.Option(help="Run folder; the rankings go to rankings.jsonl in it.")],
    problems: Annotated[str | None, typer.Option(help="As in `rerank run`; default: those of the run folder.")] = None,
    candidates: Candidates = None,
    autorater: AutoraterName = None,
    mode: ModeName = Mode.pointwise,
    votes: Votes = 1,
    tournament: TournamentOption = TournamentName.round_robin,
    aggregate: AggregateOption = Aggregation.borda,
    seed: Seed = 0,
    backend: BackendName = Backend.auto,
    base_url: BaseUrl = None,
    weights: Weights = None,
    tests: Tests = None,
    test_writer: TestWriter = None,
    tests_without_examples: BareTests = False,
    reviewer: Reviewer = None,
    confidence: Confidence = 0.9,
    greedy: Greedy = None,
    budget: Budget = None,
    workers: Workers = None,
    cluster: Cluster = None,
    replicas: Replicas = None,
    limit: Limit = None,
) -> None:
    """Judge the candidates and rank them, by the autorater and by every selector that needs no model."""
    from rerank.runs import ranking
    from rerank.runs.candidates import Benchmark
    from rerank.runs.evidence import review

    limits = _limits(budget)
    folder, chosen, found = _candidates_at_hand(out, problems, candidates, limit)
    scoring = _score_settings(autorater, mode, votes, tournament, aggregate, backend, seed)
    options = _options("judge", weights, base_url, cluster, replicas)
    benchmark = Benchmark(chosen, chosen)
    evidence = _evidence(
        folder, benchmark, tests, test_writer, tests_without_examples, backend, base_url, confidence, greedy, limits
    )
    if reviewer:
        review(folder, chosen, found, reviewer, _options("judge", None, None))
    given: dict[str, Any] = {"options": options, "num_workers": workers, "executor": _executor(cluster), **evidence}
    ranking.score(folder, chosen, found, scoring, **given)
    typer.echo(f"{len(chosen)} problems ranked in {folder.path / 'rankings.jsonl'}")


@app.command(epilog="Example: rerank execute --out runs/first --timeout 3")
@_guarded
def execute(
    out: Annotated[Path, typer.Option(help="Run folder; the outcomes go to outcomes.jsonl in it.")],
    problems: Annotated[str | None, typer.Option(help="As in `rerank run`; default: those of the run folder.")] = None,
    candidates: Candidates = None,
    timeout: Timeout = 3.0,
    workers: Workers = None,
    cluster: Cluster = None,
    limit: Limit = None,
) -> None:
    """Run every candidate under the hidden tests, in the sandbox."""
    from rerank.runs import outcomes

    folder, chosen, found = _candidates_at_hand(out, problems, candidates, limit)
    passed = outcomes.execute(
        folder, chosen, found, timeout_s=timeout, num_workers=workers, executor=_executor(cluster)
    )
    right = sum((passed.plus or passed.base).values())
    typer.echo(f"{right} of {len(found)} candidates passed; outcomes in {folder.path / 'outcomes.jsonl'}")


@app.command(name="report", epilog="Example: rerank report runs/first --html report.html")
@_guarded
def report_command(
    folder: Annotated[Path, typer.Argument(help="A run folder with candidates, outcomes and rankings.")],
    html: Annotated[
        Path | None, typer.Option("--html", help="Also write one HTML file to browse: figures, programs, outcomes.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the table of a run and write report.json, report.md and the plots into its folder."""
    from rerank.reports import of_run, tables

    opened, chosen, _ = _candidates_at_hand(folder, None, None, None)
    made = of_run.make_report(opened, chosen)
    if html:
        of_run.write_page(opened, chosen, made, html)
    _print(tables.to_json(made) if as_json else tables.table(made), opened, quiet=as_json)
    if html and not as_json:
        typer.echo(f"         {html}", err=True)


@app.command(epilog="Example: rerank export runs/first best.jsonl --form evalplus")
@_guarded
def export(
    folder: Annotated[Path, typer.Argument(help="A run folder with rankings.")],
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    form: Annotated[Form, typer.Option(help="Whose file: EvalPlus' (also ours), HumanEval's or bigcode's.")] = (
        Form.evalplus
    ),
    selector: Annotated[str | None, typer.Option(help="Whose choice. Default: the run's autorater.")] = None,
    best: Annotated[int, typer.Option(min=1, help="How many candidates of each problem, best first.")] = 1,
) -> None:
    """Write the chosen candidates as a file that another harness evaluates."""
    from rerank.runs import export as exporting
    from rerank.runs.folder import RunFolder

    written = exporting.export(RunFolder(folder), out, form=form.value, selector=selector, num_best=best)
    typer.echo(f"{written} candidates in {out}")


def _open_folder(
    out: Path | None,
    fresh: bool,
    problems: str,
    source: str | None,
    sampling: "GenerateSettings | None",
    scoring: "ScoreSettings",
) -> "RunFolder":
    """The run folder asked for, or one whose name follows from the settings: the same command goes on with it."""
    from dataclasses import asdict

    from rerank.runs.folder import RunFolder
    from rerank.store import content_hash

    if out is None:
        settings = (problems, source, asdict(sampling) if sampling else None, scoring.recorded())
        out = Path("runs") / f"{Path(problems).name.partition('.')[0]}-{scoring.selector}-{content_hash(*settings)[:6]}"
    return RunFolder(out, fresh=fresh)


def _candidates_at_hand(
    out: Path, problems: str | None, candidates: str | None, limit: int | None
) -> "tuple[RunFolder, list[Problem], list[Candidate]]":
    """A stage's inputs: from a file if one is given, else what an earlier stage left in the folder."""
    from rerank.runs import journals
    from rerank.runs.candidates import import_candidates, open_problems
    from rerank.runs.folder import RunFolder

    folder = RunFolder(out)
    recorded = folder.document().get("problems", {})
    benchmark = open_problems(folder, problems or str(recorded.get("name", "humaneval")), limit=limit)
    chosen = benchmark.chosen
    if candidates:
        found = import_candidates(folder, candidates, benchmark)
    else:
        found = journals.load_candidates(folder, chosen)
        sampled = {candidate.task_id for candidate in found}
        chosen = [problem for problem in chosen if problem.task_id in sampled]
    return folder, chosen, found


def _warn(candidates: "list[Candidate]", problems: "list[Problem]") -> None:
    from rerank.candidates.files import summarize

    for line in summarize(candidates, problems).warnings():
        typer.echo(f"warning: {line}", err=True)


def _print(text: str, folder: "RunFolder", *, quiet: bool) -> None:
    typer.echo(text, nl=False)
    if not quiet:
        typer.echo(f"\nwritten: {folder.path}/report.md, report.json, selectors.png, growth.png", err=True)
