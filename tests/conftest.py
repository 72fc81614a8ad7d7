"""What tests share: a scrubbed environment, and a tiny random model made on the spot."""

import os

# Read once, when the hub's package is imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# Tiny models gain nothing from threads, and waiting ones keep a shared core busy.
os.environ["OMP_NUM_THREADS"] = "1"
# Ray writes RAY_AUTH_MODE=token into the environment of the process that starts its first cluster, and keeps it in its
# native code: workers of a second cluster that is started with another mode are turned away and die.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from pathlib import Path

import pytest
from command_line import ROWS, WRONG, write

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TOKENIZER_LINES = [
    "Yes\nNo\nYes\nNo\nYes\nNo",
    "INSTRUCTIONS:\ntitle: Is this Python solution correct?",
    "def add(a, b):\n    return a + b",
    "def sub(a, b):\n    return a - b",
    "solution A:\nsolution B:\nEVALUATION:\nanswer:",
    "for x in range(10):\n    if x == 0:\n        print(x)",
    "system\nuser\nassistant",
    "```python\nimport math\n```",
]


@pytest.fixture(autouse=True)
def scrubbed(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No user's settings, keys or caches; nothing a test does reaches beyond its own folders."""
    for name in ("OPENAI_API_KEY", "XDG_CACHE_HOME", "HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RERANK_CACHE", str(tmp_path_factory.mktemp("cache")))


def make_tokenizer():
    """A byte-level tokenizer in which Yes, No, A and B are one token each."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TOKENIZER_LINES * 4, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )


def make_model(tokenizer, *, seed: int = 0):
    """Two layers of Qwen2's architecture with random weights, large enough that verdicts differ."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen2ForCausalLM(config).eval()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole model folder: tokenizer with chat template, config, float32 safetensors."""
    folder = tmp_path_factory.mktemp("tiny-model")
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    make_model(tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_adapter(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Path:
    """A peft adapter of `tiny_model`, with random weights that change its verdicts."""
    import warnings

    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("tiny-adapter")
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    settings = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # peft asks transformers by an old name
        get_peft_model(base, settings).save_pretrained(folder)
    return folder


@pytest.fixture
def given(tmp_path: Path):
    """Three candidates a problem: two wrong ones that pass the docstring's example, and the right one, said last."""
    bodies = [WRONG[2], "    return x + 7 if x > 3 else x + {}\n", "    return x + {}\n"]
    problems = write(tmp_path / "problems.jsonl", ROWS)
    candidates = write(
        tmp_path / "candidates.jsonl",
        [
            {"task_id": row["task_id"], "completion": body.format(number), "mean_log_probability": -0.1 * place}
            for number, row in enumerate(ROWS)
            for place, body in enumerate(bodies)
        ],
    )
    tests = write(
        tmp_path / "tests.jsonl",
        [
            {"task_id": row["task_id"], "form": "continue", "texts": [f"0) == {n}\nassert add{n}(9) == {n + 9}\n"] * 3}
            for n, row in enumerate(ROWS)
        ],
    )
    return ("--problems", problems, "--candidates", candidates, "--limit", "3"), ("--tests", tests)
