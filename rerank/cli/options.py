"""The options of the command line that no stage's settings hold: each once, in records by heading.

The settings of the stages are in `rerank.runs.settings`; `rerank.cli.from_settings` makes options of both.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from rerank.backends.interface import EngineOptions, Purpose
from rerank.errors import SettingError
from rerank.runs.settings import SelectSettings, Spending
from rerank.setting import Setting


def _benchmarks() -> list[str]:
    from rerank.problems.benchmarks import BENCHMARKS

    return list(BENCHMARKS)


Candidates = Annotated[
    str | None,
    Setting(
        "Recorded samples: JSONL with `completion`, `solution`, `raw` or CodeT's `samples`, or the files of bigcode- "
        "and lm-evaluation-harness; `-` is stdin.",
        metavar="FILE",
    ),
]
Limit = Annotated[int | None, Setting("Only the first K problems.", min=1, metavar="K")]
Problems = Annotated[
    str,
    Setting(
        "humaneval, humaneval+, mbpp, mbpp+, or a JSONL file with HumanEval's or MBPP's fields.",
        complete=_benchmarks,
    ),
]
Workers = Annotated[int | None, Setting("Programs run in parallel. Default: one per core.", min=1)]
Cluster = Annotated[
    str | None,
    Setting("Do the work on a Ray cluster: ray (this machine's), or ray://HOST:PORT.", metavar="ADDRESS"),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document instead of a table.", rich_help_panel="Output"),
]
OutOf = Annotated[Path, typer.Option(help="Run folder; what this stage makes goes into it.", rich_help_panel="Output")]
Fresh = Annotated[
    bool, Setting("Start the run folder over, or go on where it stopped (the default).", flag="--fresh/--resume")
]


@dataclass(frozen=True, slots=True)
class BenchmarkOptions:
    """All problems of a benchmark."""

    GROUP: ClassVar[str] = "Problems and candidates"
    problems: Problems = "humaneval"


@dataclass(frozen=True, slots=True)
class ProblemOptions:
    """The problems, by name or file."""

    GROUP: ClassVar[str] = "Problems and candidates"
    problems: Problems = "humaneval"
    limit: Limit = None


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The problems, and candidates that were recorded."""

    GROUP: ClassVar[str] = "Problems and candidates"
    problems: Problems = "humaneval"
    candidates: Candidates = None
    limit: Limit = None


@dataclass(frozen=True, slots=True)
class FolderSourceOptions:
    """As SourceOptions, for a stage that takes what it is not given from the run folder."""

    GROUP: ClassVar[str] = "Problems and candidates"
    problems: Annotated[
        str | None, Setting("As in `rerank run`; default: those of the run folder.", complete=_benchmarks)
    ] = None
    candidates: Candidates = None
    limit: Limit = None


@dataclass(frozen=True, slots=True)
class EvidenceOptions:
    """Where evidence beside the autorater's scores comes from, and how much judging it may spare."""

    GROUP: ClassVar[str] = "Evidence"
    tests: Annotated[
        str | None,
        Setting(
            "Tests that a model wrote: JSONL with `task_id`, `form` and `texts`, or CodeT's `samples`.", metavar="FILE"
        ),
    ] = None
    reviewer: Annotated[
        str | None,
        Setting(
            "Model that reads the candidates for coder-reviewer and self-certainty; best is the generator itself.",
            metavar="MODEL",
        ),
    ] = None
    budget: Annotated[
        str | None,
        Setting(
            "Stop early. 200: judge at most 200 programs in all. 60s: judge for at most 60 s. 400samples (with "
            "--generator): draw at most 400, most where the choice is least sure."
        ),
    ] = None

    def spending(self, *, of_samples: bool = False) -> Spending:
        """What --budget allows. Raises SettingError where it limits samples and none are drawn."""
        limits = Spending.parse(self.budget)
        if limits.max_samples is not None and not of_samples:
            raise SettingError(f"--budget {self.budget}: samples are spent by rerank run with --generator")
        return limits


@dataclass(frozen=True, slots=True)
class MachineOptions:
    """Where the work is done; decides no result."""

    GROUP: ClassVar[str] = "Execution"
    workers: Workers = None
    cluster: Cluster = None
    replicas: Annotated[
        int | None,
        Setting("Copies of the model on the cluster. Default: one per GPU, or one per node without GPUs.", min=1),
    ] = None

    def engine(self, options: EngineOptions, purpose: Purpose) -> EngineOptions:
        return replace(options, purpose=purpose, cluster=self.cluster, replicas=self.replicas)


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """MachineOptions of a stage without a model."""

    GROUP: ClassVar[str] = "Execution"
    workers: Workers = None
    cluster: Cluster = None


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The run folder."""

    GROUP: ClassVar[str] = "Output"
    out: Annotated[Path | None, Setting("Run folder. Default: runs/ and a name made from the settings.")] = None
    fresh: Fresh = False


def limited(select: SelectSettings, limits: Spending) -> SelectSettings:
    """How to choose, within what may be spent."""
    return replace(select, max_judgments=limits.max_judgments, max_seconds=limits.max_seconds)


def executor_on(cluster: str | None) -> str:
    """Where programs run: a name in `sandbox.pool.EXECUTORS`; the cluster is joined if one is named."""
    if cluster is None:
        return "local"
    from rerank.backends.engines import require_ray

    require_ray()
    from rerank.backends import ray_cluster

    ray_cluster.connect(cluster)
    return "ray"
