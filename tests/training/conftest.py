"""A tiny random model with a real tokenizer and chat template, and labels that a tiny model can learn."""

import random
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from rerank import prompts
from rerank.store import write_rows

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LINES = [
    "Yes No Yes No A B",
    "def f(a):\n    return a + 10\n",
    "return a - 10",
    prompts.POINTWISE.instructions,
    prompts.PAIRWISE.instructions,
    prompts.EVALUATION,
    prompts.FIRST_LINK + prompts.SECOND_LINK + prompts.VERDICT,
] * 4


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Matrices this small only lose time to a second thread."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a two-layer Qwen2 and its tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>")
    fast.chat_template = CHAT_TEMPLATE
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        initializer_range=0.3,  # large enough that attention at random weights is far from uniform
    )
    folder = tmp_path_factory.mktemp("base")
    Qwen2ForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def program(operator: str, constant: int) -> str:
    return f"def f(a):\n    return a {operator} {constant}"


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 problems whose right programs are those with a plus sign, whatever the constant; every fourth one is dev."""
    rng = random.Random(0)
    rows = []
    for number in range(24):
        for index in range(6):
            right = index % 2 == 0
            rows.append(
                {
                    "task_id": f"toy/{number}",
                    "group": f"toy/{number}",
                    "split": "dev" if number % 4 == 0 else "train",
                    "prompt": f"Add {number}.",
                    "prompt_kind": "text",
                    "entry_point": "f",
                    "program": program("+" if right else "-", 10 * rng.randrange(9) + index),
                    "outcome": "passed" if right else "failed",
                    "right": right,
                    "origin": "sample" if index < 4 else "mutation",
                    "generator": "toy",
                    "mean_log_probability": -rng.random(),
                }
            )
    path = tmp_path_factory.mktemp("labels") / "labels.jsonl"
    write_rows(path, rows)
    return path
