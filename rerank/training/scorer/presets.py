"""Settings of a training run, and the named sets of them."""

from collections.abc import Collection
from dataclasses import dataclass, fields, make_dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from rerank.errors import SettingError
from rerank.setting import Setting

Mode = Literal["pointwise", "joint", "encoded-once"]


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Everything that decides a trained scorer beside its base model and its data."""

    GROUP: ClassVar[str] = "Training"

    # What is asked
    mode: Annotated[Mode, Setting("joint and encoded-once train pointwise as well, and pairs in that form.")] = (
        "pointwise"
    )
    max_programs: Annotated[
        int, Setting("Programs of a problem in one packed example; an epoch shows all, over several examples.", min=1)
    ] = 12
    num_pairs: Annotated[
        int, Setting("Right-wrong pairs of an example that are judged pairwise, each in both orders.", min=1)
    ] = 4
    loss: Annotated[
        Literal["answers", "vocabulary"], Setting("Cross-entropy over the legal answers, or over every token.")
    ] = "answers"
    joint_share: Annotated[
        float, Setting("Share of encoded-once examples whose pairs are asked jointly as well.", min=0.0, max=1.0)
    ] = 0.0
    teacher_weight: Annotated[
        float, Setting("Weight of a teacher's verdict on a pair, beside its label.", min=0.0, max=1.0)
    ] = 0.5
    ranking_weight: Annotated[
        float, Setting("Weight of the ranking loss between pointwise scores of one problem; 0 leaves it out.", min=0.0)
    ] = 1.0
    preference_beta: Annotated[
        float, Setting("How sharply a preferred judgment is told from a rejected one (DPO's beta).", min=0.0)
    ] = 0.1
    # 1 to 1.5 is published.
    preference_weight: Annotated[
        float, Setting("Weight of DPO beside the preferred judgment's cross-entropy.", min=0.0)
    ] = 2 / 3
    only_solved: Annotated[
        bool,
        Setting("Train only on problems with both right and wrong samples.", flag="--only-solved/--all-problems"),
    ] = True
    # What is trained
    full: Annotated[bool, Setting("Train every weight, or a LoRA adapter.", flag="--full/--lora")] = False
    rank: Annotated[int, Setting("Rank of the adapter.", min=1)] = 8
    alpha: Annotated[float, Setting("LoRA updates are scaled by alpha / rank.", min=0.0)] = 16.0
    dropout: Annotated[float, Setting("Dropout on the inputs of the LoRA layers.", min=0.0, max=1.0)] = 0.05
    # How
    num_steps: Annotated[int | None, Setting("Optimizer steps, in place of --num-epochs.", min=1)] = None
    num_epochs: Annotated[int, Setting("Times that every program is shown.", min=1)] = 6
    batch_size: Annotated[int, Setting("Size of a step, see --batch-of.", min=1)] = 192
    # Free text counts by its tokens. With exactly as many examples, trainings on different data see equally many.
    batch_of: Annotated[
        Literal["judgments", "examples"],
        Setting("What a step takes: whole packs with --batch-size judgments or more, or exactly as many examples."),
    ] = "judgments"
    # Also, halved, the longest prompt that is kept.
    pack_tokens: Annotated[int, Setting("Tokens of a packed sequence, a multiple of 128.", min=128)] = 8192
    learning_rate: Annotated[float, Setting("Learning rate at the top of the schedule.", min=0.0)] = 7e-4
    schedule: Annotated[Literal["cosine", "linear", "constant"], Setting("Shape of the learning rate.")] = "cosine"
    # At 0.03 and 1e-3 the loss first rose threefold.
    warmup: Annotated[float, Setting("Share of the training in which the learning rate rises.", min=0.0, max=1.0)] = 0.1
    weight_decay: Annotated[float, Setting("Weight decay of AdamW.", min=0.0)] = 0.0
    max_gradient_norm: Annotated[float, Setting("Larger gradients are scaled down to it.", min=0.0)] = 1.0
    gradient_checkpointing: Annotated[
        bool,
        Setting("Less memory for more time.", flag="--gradient-checkpointing/--keep-activations"),
    ] = False
    attention: Annotated[
        Literal["auto", "dense", "flex"], Setting("auto: flex on CUDA where it agrees with dense.")
    ] = "auto"
    num_evaluations: Annotated[
        int, Setting("Evaluations on dev during the training, evenly spaced, beside one before it.", min=1)
    ] = 8
    keep: Annotated[
        Literal["best", "last"],
        Setting("Weights to ship: of the best evaluation, the untrained ones included, or those at the end."),
    ] = "best"
    time_budget_s: Annotated[
        float | None,
        Setting(
            "Seconds for the whole training, evaluations and earlier parts included; the schedule ends with them.",
            min=0.0,
            flag="--time-budget",
        ),
    ] = None
    seed: Annotated[int, Setting("Seed of order, pairs, adapter and dropout.")] = 0

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(TrainSettings, include_extras=True).items():
            if get_origin(hint) is Annotated:
                kind, setting = get_args(hint)
                option = setting.flag or f"--{name.replace('_', '-')}"
                _check(option.partition("/")[0], getattr(self, name), kind, setting)
        if self.pack_tokens % 128:
            raise SettingError(f"--pack-tokens {self.pack_tokens}: take a multiple of 128")


def _check(option: str, value: Any, kind: Any, setting: Setting) -> None:
    if get_origin(kind) is Literal and value not in get_args(kind):
        raise SettingError(f"{option} {value}: not one of {', '.join(get_args(kind))}")
    if value is not None and setting.min is not None and value < setting.min:
        raise SettingError(f"{option} {value}: take {setting.min} or more")
    if value is not None and setting.max is not None and value > setting.max:
        raise SettingError(f"{option} {value}: take {setting.max} or less")


def train_options(*, without: Collection[str]) -> type:
    """A record of TrainSettings' fields but those that a recipe decides by itself: for the options of its command."""
    hints = get_type_hints(TrainSettings, include_extras=True)
    chosen = [(each.name, hints[each.name], each.default) for each in fields(TrainSettings) if each.name not in without]
    return make_dataclass("TrainOptions", chosen, namespace={"GROUP": TrainSettings.GROUP}, frozen=True)


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
