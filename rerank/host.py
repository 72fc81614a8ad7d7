"""This host for the record: processor, usable cores, versions of packages."""

import os
import platform
from pathlib import Path


def processor_name() -> str:
    """The processor's name and number of usable cores, for the record."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux
    return f"{name}, {num_usable_cores()} cores"


def num_usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def package_version(name: str) -> str | None:
    """Version of an installed package, without importing it; None where it is not installed."""
    from importlib import metadata  # takes as long as all other imports of `rerank --help` but typer's

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
