"""Model files to a model and a tokenizer in memory; the one place that calls transformers' loaders for inference."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers

from rerank.errors import ModelError
from rerank.models.folders import ModelFiles
from rerank.models.fused import fuse


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, else float32 (several times faster there).

    By the processor's flags, not by timing: the choice must be the same when a killed run goes on.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].split()
    except OSError:
        return torch.float32
    return torch.bfloat16 if {"avx512_bf16", "amx_bf16", "bf16"} & set(flags) else torch.float32


def gpus() -> tuple[str | None, list[str]]:
    """The CUDA version that torch was built for (None: a CPU-only build), and one line per GPU of this host."""
    cuda = torch.version.cuda
    devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    return cuda, [f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, CUDA {cuda}" for gpu in devices]


def load_tokenizer(files: ModelFiles) -> Any:
    """A model's tokenizer; an adapter's own where it brings one."""
    folder = files.adapter if files.adapter and (files.adapter / "tokenizer_config.json").exists() else files.folder
    with quiet(), _model_errors(files, "tokenizer"):
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_model(files: ModelFiles, *, device: torch.device, dtype: torch.dtype) -> Any:
    """A causal language model ready for inference, its adapter merged in."""
    # Merged in float32: a bfloat16 weight would swallow small changes one by one.
    first_dtype = torch.float32 if files.adapter else dtype
    model: Any
    with quiet(), _model_errors(files, "model"):
        model = transformers.AutoModelForCausalLM.from_pretrained(
            files.folder, dtype=first_dtype, attn_implementation="sdpa", local_files_only=True
        )
        if files.adapter:
            model = _merged(model, files.adapter)
    model = model.to(device=device, dtype=dtype).eval()
    if device.type == "cuda":
        fuse(model)
    return model


def merged_folder(files: ModelFiles, into: Path) -> Path:
    """Write base and adapter, merged in float32, as one bfloat16 model folder: for engines that load folders only."""
    model = load_model(files, device=torch.device("cpu"), dtype=torch.bfloat16)
    with quiet():
        model.save_pretrained(into)
        load_tokenizer(files).save_pretrained(into)
    return into


def _merged(model: Any, adapter: Path) -> Any:
    import peft

    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # peft asks transformers by old names
        return peft.PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' progress bars and its remarks on GGUF tokenizers (wrong there) off the terminal."""
    from transformers.utils import logging as messages

    verbosity, bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(verbosity)
        if bars:
            messages.enable_progress_bar()


@contextmanager
def _model_errors(files: ModelFiles, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ModelError(f"{files.name}: its {what} cannot be loaded from {files.folder} ({first_line})") from error
