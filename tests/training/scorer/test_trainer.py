import json
import time
from dataclasses import replace
from itertools import pairwise as neighbours
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from rerank.backends.encoding import PromptEncoder
from rerank.backends.hf import layouts
from rerank.errors import InputError, ResumeError, SettingError
from rerank.store import read_rows, write_rows
from rerank.training.scorer.inputs import read_problems
from rerank.training.scorer.presets import preset
from rerank.training.scorer.trainer import learning_rate, train

# The new names are not in every transformers 5, and peft 0.21 uses an old one too.
pytestmark = pytest.mark.filterwarnings(r"ignore:`\w*gradient_checkpointing\w*` is deprecated:FutureWarning")

SMALL = preset(
    "small",
    num_steps=4,
    batch_size=24,
    pack_tokens=2048,
    rank=2,
    learning_rate=0.02,
    num_evaluations=2,
    max_programs=4,
)


def losses(out: Path) -> list[float]:
    return [row["loss"] for _, row in read_rows(out / "log.jsonl")]


@pytest.mark.parametrize("mode", ["pointwise", "joint", "encoded-once"])
def test_loss_falls_and_dev_improves(base: Path, labels: Path, tmp_path: Path, mode: str) -> None:
    result = train(base, [labels], tmp_path, replace(SMALL, mode=mode, num_steps=30))
    found = losses(tmp_path)
    assert sum(found[-5:]) < 0.8 * sum(found[:5])
    [first, *_, last] = [row for _, row in read_rows(tmp_path / "dev.jsonl")]
    assert last["negative_log_likelihood"] < first["negative_log_likelihood"]
    assert result.num_steps == 30
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert ("pairwise" in result.dev, "encoded-once" in result.dev) == (mode == "joint", mode == "encoded-once")
    if mode == "encoded-once":
        assert result.dev["encoded-once"]["order_consistency"] == 1.0


def test_full_fine_tuning_over_the_vocabulary(base: Path, labels: Path, tmp_path: Path) -> None:
    settings = replace(SMALL, full=True, loss="vocabulary", num_steps=12, learning_rate=0.003)
    result = train(base, [labels], tmp_path, settings)
    assert losses(tmp_path)[-1] < losses(tmp_path)[0]
    AutoTokenizer.from_pretrained(result.folder)
    assert AutoModelForCausalLM.from_pretrained(result.folder).dtype == torch.bfloat16


def test_gradient_checkpointing_changes_nothing(base: Path, labels: Path, tmp_path: Path) -> None:
    train(base, [labels], tmp_path / "without", SMALL)
    train(base, [labels], tmp_path / "with", replace(SMALL, gradient_checkpointing=True))
    assert losses(tmp_path / "with") == pytest.approx(losses(tmp_path / "without"), rel=1e-5)


def test_a_killed_run_goes_on_to_the_bit(base: Path, labels: Path, tmp_path: Path) -> None:
    settings = replace(SMALL, num_steps=8, num_evaluations=4, mode="encoded-once")
    whole = train(base, [labels], tmp_path / "whole", settings)

    def kill(row: dict) -> None:
        if row["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(base, [labels], tmp_path / "killed", settings, on_step=kill)
    assert len(losses(tmp_path / "killed")) == 5
    resumed = train(base, [labels], tmp_path / "killed", settings)
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert resumed.dev == whole.dev
    ours, theirs = (load_file(result.folder / "adapter_model.safetensors") for result in (resumed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_another_setting_does_not_go_on(base: Path, labels: Path, tmp_path: Path) -> None:
    def kill(_row: dict) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(base, [labels], tmp_path, SMALL, on_step=kill)
    with pytest.raises(ResumeError, match="was begun with seed 0, not 1"):
        train(base, [labels], tmp_path, replace(SMALL, seed=1))
    train(base, [labels], tmp_path, SMALL)
    with pytest.raises(ResumeError, match="finished scorer"):
        train(base, [labels], tmp_path, SMALL)


def test_a_time_budget_leaves_a_usable_adapter(base: Path, labels: Path, tmp_path: Path) -> None:
    begun = time.monotonic()
    settings = replace(SMALL, num_steps=10**6, time_budget_s=8.0)
    result = train(base, [labels], tmp_path, settings, base_name="tiny")
    assert time.monotonic() - begun < 9
    assert 0 < result.num_steps < 10**6
    rates = [row["learning_rate"] for _, row in read_rows(tmp_path / "log.jsonl")]
    assert rates[-1] < 0.1 * max(rates), "the schedule ends with the time"
    judged = _judge(base, result.folder, labels)
    card = json.loads((result.folder / "scorer.json").read_text())
    assert card["base"]["name"] == "tiny"
    assert card["temperature"]["pointwise"] > 0
    assert card["dev"]["num_programs"] == len(judged)


def test_the_adapter_on_disk_gives_the_figures_of_its_card(base: Path, labels: Path, tmp_path: Path) -> None:
    result = train(base, [labels], tmp_path, replace(SMALL, num_steps=12))
    card = json.loads((result.folder / "scorer.json").read_text())
    judged = _judge(base, result.folder, labels)
    right = torch.tensor([float(is_right) for is_right, _ in judged])
    log_odds = torch.tensor([value for _, value in judged]) / card["temperature"]["pointwise"]
    loss = torch.nn.functional.binary_cross_entropy_with_logits(log_odds, right)
    assert float(loss) == pytest.approx(card["dev"]["negative_log_likelihood"], rel=1e-4)


def _judge(base: Path, adapter: Path, labels: Path) -> list[tuple[bool, float]]:
    """(label, log-odds) of the dev programs by the stored adapter, each alone, under transformers' own attention."""
    model = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
    encoder = PromptEncoder(AutoTokenizer.from_pretrained(base), model="tiny", max_prompt_tokens=4096)
    yes, no = encoder.answer_ids(("Yes", "No"))
    judged = []
    for problem in read_problems([labels]):
        for program in problem.programs if problem.split == "dev" else ():
            layout = layouts.pointwise(encoder, problem.problem, [program.program])
            ids = torch.tensor([[token for block in layout.blocks for token in block.tokens]])
            with torch.no_grad():
                logits = model(ids).logits[0, -1]
            judged.append((program.right, float(logits[yes] - logits[no])))
    return judged


def test_a_mixture_of_choices_and_free_text_is_learnt(base: Path, labels: Path, tmp_path: Path) -> None:
    mixture = [
        {"task": task, "split": split, "segments": ["INSTRUCTIONS:\n", f"{text} {number}\n"], "answers": answers}
        | {"target": target, "weight": 1.0, "group": str(number), "kind": "k", "capability": "c"}
        for number, split in enumerate(["train"] * 16 + ["dev"] * 4)
        for task, text, answers, target in [
            ("choice", "plus" if number % 2 else "minus", ["A", "B"], "B" if number % 2 else "A"),
            ("text", "copy", [], "a + b"),
        ]
    ]
    write_rows(tmp_path / "mixture.jsonl", mixture)
    settings = replace(SMALL, num_steps=40, batch_size=40)
    result = train(base, [labels], tmp_path / "out", settings, mixture=[tmp_path / "mixture.jsonl"])
    assert result.dev["judgments"]["text"] == {"num": 4, "accuracy": 1.0}
    assert result.dev["judgments"]["choice"]["num"] == 4
    mixture[0]["target"] = "C"
    write_rows(tmp_path / "mixture.jsonl", mixture)
    with pytest.raises(InputError, match="'C' is none of the answers"):
        train(base, [labels], tmp_path / "bad", settings, mixture=[tmp_path / "mixture.jsonl"])


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_learning_rate_rises_then_falls(schedule: str) -> None:
    settings = preset("small", schedule=schedule, warmup=0.1, learning_rate=1.0)
    rates = [learning_rate(settings, step / 100) for step in range(101)]
    assert rates[0] == 0
    assert rates[10] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(1.0 if schedule == "constant" else 0.0)
    assert all(after <= before + 1e-12 for before, after in neighbours(rates[10:]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "both"}, "--mode both: not one of pointwise, joint, encoded-once"),
        ({"pack_tokens": 1000}, "--pack-tokens 1000: take a multiple of 128"),
        ({"batch_size": 0}, "--batch-size 0"),
        ({"batch_of": "tokens"}, "--batch-of tokens: not one of judgments, examples"),
        ({"learnign_rate": 1.0}, "no such setting: learnign_rate"),
    ],
)
def test_a_bad_setting_is_named(changes: dict, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        preset("small", **changes)


def test_flame_is_what_was_published() -> None:
    flame = preset("flame")
    assert (flame.num_steps, flame.batch_size, flame.learning_rate, flame.dropout) == (30_000, 32, 1e-4, 0.05)
