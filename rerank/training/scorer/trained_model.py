"""The model that is trained: loaded with an adapter or whole, begun from another scorer's weights, written as a scorer.

tokenizer, model = load("models/qwen-0.5b", preset("small"), torch.device("cpu"))
write_weights(model, tokenizer, Path("runs/scorer/scorer"), "qwen2.5-coder-0.5b-instruct")
"""

from pathlib import Path
from typing import Any

import torch

from rerank.backends.hf import block_mask
from rerank.errors import ModelError
from rerank.store import Row, content_hash, file_hash
from rerank.training.scorer.presets import TrainSettings


def load(base: str | Path, settings: TrainSettings, device: torch.device) -> tuple[Any, Any]:
    """Tokenizer and model, with what is trained in float32 and the rest, on a GPU, in bfloat16."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(base))
        is_bf16 = device.type == "cuda" and not settings.full
        model = block_mask.load(base, device=device, dtype=torch.bfloat16 if is_bf16 else torch.float32)
    except (OSError, ValueError) as error:
        raise ModelError(f"{base}: cannot be loaded ({str(error).strip().splitlines()[0]})") from error
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if settings.full:
        return tokenizer, model
    import peft

    torch.manual_seed(settings.seed)
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    adapted: Any = peft.get_peft_model(model, config)
    if device.type == "cuda":
        # Autocast turns the adapter's weights to bfloat16; without this peft turns its inputs to float32 before.
        layer: Any
        for layer in adapted.modules():
            if hasattr(layer, "cast_input_dtype_enabled"):
                layer.cast_input_dtype_enabled = False
    return tokenizer, adapted


def begin_from(model: Any, start: Path, *, is_full: bool) -> Row:
    """Give a model the adapter of a scorer; what it was, for the record. With `is_full` it has been loaded already."""
    if not is_full:
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        try:
            loaded: Any = set_peft_model_state_dict(model, load_file(start / "adapter_model.safetensors"))
        except (OSError, RuntimeError) as error:
            why = str(error).strip().splitlines()[-1].strip()
            raise ModelError(f"{start}: not an adapter of this base at this --rank ({why})") from error
        if loaded.unexpected_keys:
            raise ModelError(f"{start}: an adapter of another model (it has {loaded.unexpected_keys[0]})")
    return {"file": start.name, "sha256": content_hash(weights_hashes(start))}


def write_weights(model: Any, tokenizer: Any, folder: Path, base_name: str) -> None:
    """In bfloat16: the adapter alone, naming its base, or the whole model with its tokenizer."""
    folder.mkdir(exist_ok=True)
    if not hasattr(model, "peft_config"):
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    weights = {name: weight.bfloat16().cpu().contiguous() for name, weight in get_peft_model_state_dict(model).items()}
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = model.peft_config["default"]
    config.base_model_name_or_path, config.inference_mode = base_name, True
    config.save_pretrained(folder)


def weights_hashes(base: str | Path) -> dict[str, str]:
    """SHA-256 of a base folder's weights; empty for a hub name."""
    return {path.name: file_hash(path) for path in sorted(Path(base).glob("*.safetensors"))}
