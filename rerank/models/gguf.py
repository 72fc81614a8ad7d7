"""A GGUF file to an ordinary bfloat16 model folder, so that every engine and the trainer load one form, quickly."""

import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch
import transformers

from rerank.errors import MissingError, ModelError
from rerank.models.loading import quiet

# Two quantised copies of one matrix differ by a few per cent of its norm, two trained apart by more than the norm.
_SAME_MATRIX = 0.2


def dequantise(gguf: Path, folder: Path) -> None:
    """Write `folder` (config, tokenizer with its chat template, safetensors) from a GGUF file.

    Raises ModelError for a file that transformers can't read, MissingError without the gguf package.
    """
    # Since 5.21 or so transformers keeps GGUF weights packed unless told otherwise.
    settings: dict[str, Any] = {}
    if hasattr(transformers, "GgufConfig"):
        settings["quantization_config"] = transformers.GgufConfig(dequantize=True)
    with quiet(), redirect_stderr(io.StringIO()):  # its bar can't be turned off otherwise
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                gguf.parent, gguf_file=gguf.name, dtype=torch.bfloat16, local_files_only=True, **settings
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                gguf.parent, gguf_file=gguf.name, local_files_only=True
            )
        except ImportError as error:
            raise MissingError(f"{gguf}: reading it needs the gguf package; pip install gguf") from error
        except Exception as error:  # a damaged file fails anywhere in the reader
            first_line = str(error).strip().partition("\n")[0]
            raise ModelError(f"{gguf}: transformers cannot read it ({first_line})") from error
        _tie_embeddings(model)
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@torch.no_grad()
def _tie_embeddings(model: Any) -> None:
    """Make one matrix again of a tied one that GGUF stores twice: the output's copy is the finer quantised."""
    embedding, output = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    if embedding is output or embedding.shape != output.shape:
        return
    # A sample of rows decides; float32 copies of both would take gigabytes.
    rows = slice(None, None, max(1, len(output) // 4096))
    difference = (embedding[rows].float() - output[rows].float()).norm() / output[rows].float().norm()
    if difference < _SAME_MATRIX:
        embedding.copy_(output)
        model.config.tie_word_embeddings = True
        model.tie_weights()
