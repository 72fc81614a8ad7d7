"""Folders that hold models: where one lies, whether it is whole, which adapter sits on it, and its fingerprint."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from rerank.errors import InputError, ModelError
from rerank.store import content_hash


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a model lies."""

    name: str  # as it was asked for
    folder: Path  # a whole model: config.json, tokenizer, safetensors
    adapter: Path | None  # a peft adapter to put on it
    source: str  # for the record: where the weights came from


def fingerprint(folder: Path) -> str:
    """Tells one set of weights from another: names, sizes and both ends of the files that decide a model's answers."""
    parts: list[object] = []
    for file in sorted(folder.iterdir()):
        if file.suffix in (".safetensors", ".bin", ".json", ".jinja"):
            size = file.stat().st_size
            with open(file, "rb") as opened:
                ends = opened.read(1 << 20)
                opened.seek(max(0, size - (1 << 20)))
                ends += opened.read()
            parts.append((file.name, size, hashlib.sha256(ends).hexdigest()))
    return content_hash(parts)


def base_of(adapter: Path) -> str:
    path = adapter / "adapter_config.json"
    try:
        base = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"not an adapter's settings ({error})", path=path) from error
    if not base:
        raise ModelError(f"{adapter}: the adapter names no base model; write BASE+{adapter}")
    return str(base)


def is_whole(folder: Path) -> bool:
    """Whether a folder holds a model with every file of its weights."""
    if not (folder / "config.json").is_file():
        return False
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return all((folder / shard).is_file() for shard in shards)
    return (folder / "model.safetensors").is_file()
