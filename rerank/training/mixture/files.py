"""Data files as they are named on a command line."""

from collections.abc import Iterable
from pathlib import Path

from rerank.errors import InputError


def data_files(paths: Iterable[Path]) -> list[Path]:
    """Files as given, and for a folder the JSON-lines files in it; never what lies below it, such as held-out sets."""
    found = []
    for path in paths:
        if path.is_dir():
            inside = sorted([*path.glob("*.jsonl.gz"), *path.glob("*.jsonl")])
            if not inside:
                raise InputError("holds no .jsonl or .jsonl.gz file", path=path)
            found += inside
        else:
            found.append(path)
    return found
