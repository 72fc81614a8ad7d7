"""What decides the answers of an autorater on the bench. Nothing heavy is imported here, since `--help` reads it."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from rerank.backends.interface import Sampling, Seed
from rerank.errors import SettingError
from rerank.models.shipped import DEFAULT_AUTORATER
from rerank.runs.settings import Backend
from rerank.setting import Setting

MODES = ("pointwise", "pairwise", "encoded-once", "reasoning")


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """What decides the answers of an autorater on the bench."""

    GROUP: ClassVar[str] = "Judging"
    autorater: Annotated[  # a model, or one of raters.RULES
        str, Setting("A model as in `rerank run`, or longest, shortest, first, random.")
    ] = DEFAULT_AUTORATER
    mode: Annotated[
        str,
        Setting(
            "pointwise: score each response alone. pairwise: compare two in one prompt. encoded-once: read each "
            "response once, then compare. reasoning: write a plan, then compare two.",
            choices=MODES,
            metavar="MODE",
        ),
    ] = "pointwise"
    num_votes: Annotated[
        int,
        Setting("Samples of a reasoning autorater for each question, put to a majority vote.", min=1, flag="--votes"),
    ] = 1
    max_tokens: Annotated[int, Setting("Longest written judgment, in tokens.", min=1)] = 1024
    per_set: Annotated[int | None, Setting("Cases drawn from each set. Default: all.", min=1)] = None
    with_bias: Annotated[bool, Setting("Measure CoBBLEr's biases on the pairs too.", flag="--bias")] = False
    own_model: Annotated[
        str | None, Setting("The judge's own model name as the data spells it, to measure self-preference.")
    ] = None
    backend: Backend = "auto"
    seed: Seed = 0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise SettingError(f"--mode {self.mode}: one of {', '.join(MODES)}")
        if self.num_votes > 1 and self.mode != "reasoning":
            raise SettingError(f"--votes {self.num_votes}: only --mode reasoning samples; logits always say the same")

    @property
    def sampling(self) -> Sampling:
        from rerank.autoraters.reasoning import sampling_for

        return sampling_for(self.num_votes, max_tokens=self.max_tokens, seed=self.seed)
