"""The options that commands share, each once, and the settings that they fill."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rerank.backends.interface import EngineOptions
    from rerank.runs.candidates import Benchmark
    from rerank.runs.folder import RunFolder
    from rerank.runs.settings import GenerateSettings, ScoreSettings, Spending


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
    from rerank.problems.benchmarks import BENCHMARKS

    return list(BENCHMARKS)


def _autoraters() -> list[str]:
    from rerank.models.shipped import SCORERS
    from rerank.selection.selectors import MODEL_FREE

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


def _score_settings(
    autorater: str | None,
    mode: Mode,
    votes: int,
    tournament: TournamentName,
    aggregate: Aggregation,
    backend: Backend,
    seed: int,
) -> "ScoreSettings":
    from rerank.models.shipped import DEFAULT_AUTORATER
    from rerank.runs.settings import ScoreSettings

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
    from rerank.runs import evidence
    from rerank.runs.settings import SelectSettings, WriteSettings

    if tests and test_writer:
        raise typer.BadParameter("--tests and --test-writer exclude each other")
    if without_examples and not test_writer:
        raise typer.BadParameter("--tests-without-examples is for --test-writer")
    answers = None
    if tests:
        answers = evidence.import_tests(folder, tests, benchmark)
    elif test_writer:
        writing = WriteSettings(test_writer, without_examples=without_examples, backend=backend.value)
        answers = evidence.write_tests(folder, benchmark, writing, _options("generate", None, base_url))
    select = SelectSettings(confidence, greedy, limits.max_judgments, limits.max_seconds)
    return {"answers": answers or {}, "select": select}


def _limits(budget: str | None, *, spends_samples: bool = False) -> "Spending":
    from rerank.runs.settings import Spending

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
    from rerank.backends.interface import Sampling
    from rerank.runs.settings import GenerateSettings

    if generator is None:
        return None
    return GenerateSettings(generator, n, Sampling(temperature, top_p, max_tokens, seed), backend.value, max_total)


def _options(
    purpose: Any, weights: Path | None, base_url: str | None, cluster: str | None = None, replicas: int | None = None
) -> "EngineOptions":
    from rerank.backends.interface import EngineOptions

    return EngineOptions(purpose=purpose, weights=weights, base_url=base_url, cluster=cluster, replicas=replicas)


def _executor(cluster: str | None) -> str:
    """Where programs run: a name in `sandbox.pool.EXECUTORS`; the cluster is joined if there is to be one."""
    if cluster is None:
        return "local"
    from rerank.backends.engines import require_ray

    require_ray()
    from rerank.backends import ray_cluster

    ray_cluster.connect(cluster)
    return "ray"
