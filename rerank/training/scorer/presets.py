"""Settings of a training run, and the named sets of them."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints

from rerank.errors import SettingError

Mode = Literal["pointwise", "joint", "encoded-once"]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that decides a trained scorer beside its base model and its data."""

    # What is asked
    mode: Mode = "pointwise"  # `joint` and `encoded-once` train pointwise as well, and pairs in that form
    max_programs: int = 12  # of a problem in one packed example; an epoch shows all of them, over several examples
    num_pairs: int = 4  # right-wrong pairs of an example that are judged pairwise, each in both orders
    loss: Literal["answers", "vocabulary"] = "answers"  # cross-entropy over the legal answers, or over every token
    joint_share: float = 0.0  # encoded-once: of examples whose pairs are asked jointly as well, as in mode `joint`
    teacher_weight: float = 0.5  # of a teacher's verdict on a pair, beside its label, where there is one
    ranking_weight: float = 1.0  # of the ranking loss between pointwise scores of one problem; 0 leaves it out
    preference_beta: float = 0.1  # how sharply a preferred judgment is told from a rejected one (DPO's beta)
    preference_weight: float = 2 / 3  # of DPO beside the preferred judgment's cross-entropy; 1 to 1.5 is published
    only_solved: bool = True  # train only on problems with both right and wrong samples
    # What is trained
    full: bool = False  # every weight instead of a LoRA adapter
    rank: int = 8
    alpha: float = 16.0  # LoRA updates are scaled by alpha / rank
    dropout: float = 0.05  # on the input of the LoRA layers
    # How
    num_steps: int | None = None  # optimizer steps; None: num_epochs
    num_epochs: int = 6
    batch_size: int = 192  # of a step, see batch_of
    # A step takes whole packs with batch_size judgments or more, free text counted by its tokens; or exactly batch_size
    # examples, so that trainings on different data see equally many.
    batch_of: Literal["judgments", "examples"] = "judgments"
    pack_tokens: int = 8192  # length of a packed sequence; also, halved, the longest prompt that is kept
    learning_rate: float = 7e-4  # at the top of the schedule
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.1  # share of the training; at 0.03 and 1e-3 the loss first rose threefold
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    gradient_checkpointing: bool = False
    attention: Literal["auto", "dense", "flex"] = "auto"  # auto: flex on CUDA where it agrees with dense
    num_evaluations: int = 8  # on dev during the training, evenly spaced, beside one before it
    # The weights to ship: of the best evaluation, the untrained ones included, or those at the end.
    keep: Literal["best", "last"] = "best"
    time_budget_s: float | None = None  # wall clock of the whole training, evaluation and earlier parts included
    seed: int = 0

    def __post_init__(self) -> None:
        hints = get_type_hints(TrainSettings)
        for name in ("mode", "loss", "batch_of", "schedule", "attention", "keep"):
            if getattr(self, name) not in get_args(hints[name]):
                known = ", ".join(get_args(hints[name]))
                raise SettingError(f"--{name.replace('_', '-')} {getattr(self, name)}: not one of {known}")
        if self.pack_tokens % 128:
            raise SettingError(f"--pack-tokens {self.pack_tokens}: take a multiple of 128")
        for name in ("max_programs", "num_pairs", "rank", "num_epochs", "batch_size", "num_evaluations"):
            if getattr(self, name) < 1:
                raise SettingError(f"--{name.replace('_', '-')} {getattr(self, name)}: take 1 or more")


# `small`: a 0.5B scorer in minutes. Rank 8 on every linear layer of Qwen2.5-0.5B is 4.4 M weights, 8.4 MiB in bfloat16;
# rank 16 would be 16.8 MiB. At 7e-4 seven runs of seven learned; at 1e-3, with a third of the warm-up, two of three.
# `flame`: what FLAMe publishes (arXiv 2407.10817): every weight trained, 30,000 steps of 32 examples, learning rate
# 1e-4, dropout 0.05. The schedule is ours. Its dropout is inside the network; the models that we train have none to
# turn on, so it acts only where an adapter is trained instead (full=False).
PRESETS: dict[str, TrainSettings] = {
    "small": TrainSettings(),
    "flame": TrainSettings(
        full=True,
        num_steps=30_000,
        batch_size=32,
        pack_tokens=2048,
        learning_rate=1e-4,
        schedule="constant",
        warmup=0.0,
        loss="vocabulary",
        ranking_weight=0.0,
        only_solved=False,
        num_evaluations=30,
        keep="last",
    ),
}
# FLAMe-RM goes on from FLAMe on four sets of pairs, FLAMe-Opt-RM starts from the base on the re-weighted mixture; both
# with batches of 8 (section 4.4).
PRESETS["flame-rm"] = replace(PRESETS["flame"], num_steps=50, batch_size=8, num_evaluations=2)
PRESETS["flame-opt-rm"] = replace(PRESETS["flame"], num_steps=5_000, batch_size=8, num_evaluations=10)


def preset(name: str, **changes: Any) -> TrainSettings:
    """A named set with some settings changed; a change of None keeps the preset's value.

    >>> preset("flame", num_steps=100, rank=None).num_steps
    100
    """
    if name not in PRESETS:
        raise SettingError(f"--preset {name}: not one of {', '.join(PRESETS)}")
    unknown = set(changes) - {field.name for field in fields(TrainSettings)}
    if unknown:
        raise SettingError(f"no such setting: {', '.join(sorted(unknown))}")
    return replace(PRESETS[name], **{key: value for key, value in changes.items() if value is not None})
