"""Averaged scorers: the mean of the weights, and a card that fits them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rerank.errors import InputError
from rerank.models.scorer_card import prompts_hash, read_card
from rerank.store import read_rows
from rerank.training.scorer.averaging import average, calibrate
from rerank.training.scorer.presets import preset
from rerank.training.scorer.trainer import train

# The new names are not in every transformers 5, and peft 0.21 uses an old one too.
pytestmark = pytest.mark.filterwarnings(r"ignore:`\w*gradient_checkpointing\w*` is deprecated:FutureWarning")

SETTINGS = preset("small", num_steps=10, batch_size=24, pack_tokens=2048, rank=2, learning_rate=0.02, num_evaluations=1)


@pytest.fixture(scope="module")
def two(base: Path, labels: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("two")
    return [train(base, [labels], folder / str(s), replace(SETTINGS, seed=s)).folder for s in (0, 1)]


def update(folder: Path) -> dict[str, torch.Tensor]:
    """What an adapter adds to each weight."""
    config = json.loads((folder / "adapter_config.json").read_text())
    weights = {name: value.float() for name, value in load_file(folder / "adapter_model.safetensors").items()}
    return {
        name: config["lora_alpha"] / config["r"] * weights[name.replace("lora_A", "lora_B")] @ value
        for name, value in weights.items()
        if "lora_A" in name
    }


def test_the_mean_at_full_rank_and_the_nearest_below(two: list[Path], tmp_path: Path) -> None:
    assert average(two, tmp_path / "whole", rank=4) == pytest.approx(0, abs=1e-5)
    one, other, mean = update(two[0]), update(two[1]), update(tmp_path / "whole")
    for name, value in mean.items():
        wanted = (one[name] + other[name]) / 2
        assert torch.linalg.norm(value - wanted) < 0.01 * torch.linalg.norm(wanted)  # bfloat16
    lost = average(two, tmp_path / "cut", rank=1)
    cut = update(tmp_path / "cut")
    squares = sum(float(((cut[name] - value) ** 2).sum()) for name, value in mean.items())
    assert lost == pytest.approx(squares / sum(float((value**2).sum()) for value in mean.values()), rel=0.05)
    assert 0.05 < lost < 1


@pytest.mark.parametrize("mode", ["pointwise", "joint", "encoded-once"])
def test_the_card_is_fitted_on_dev(two: list[Path], base: Path, labels: Path, tmp_path: Path, mode: str) -> None:
    average(two, tmp_path, rank=4)
    document = json.loads((tmp_path / "scorer.json").read_text())
    changed = {"mode": mode, "prompts_hash": prompts_hash(mode)}
    (tmp_path / "scorer.json").write_text(json.dumps(document | changed))
    scores = calibrate(tmp_path, [labels], base=str(base))
    assert set(scores.temperatures()) == {"pointwise", *({"joint": ["pairwise"], "encoded-once": [mode]}.get(mode, []))}
    card = read_card(str(tmp_path))
    assert card.temperature == scores.temperatures()
    document = json.loads((tmp_path / "scorer.json").read_text())
    assert [each["settings"]["seed"] for each in document["mean_of"]] == [0, 1]
    judged = [row for _, row in read_rows(tmp_path / "dev_scores.jsonl")]
    assert document["dev"]["num_programs"] == sum(len(row["right"]) for row in judged)


def test_adapters_of_two_bases_are_refused(two: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in two[1].iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    config = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "another"}))
    with pytest.raises(InputError, match="another base"):
        average([two[0], other], tmp_path / "out", rank=4)
