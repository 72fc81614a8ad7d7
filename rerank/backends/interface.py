"""What an engine takes and gives: requests, answers, and a protocol for each thing it may be able to do.

A Judge gives the log-odds of two answers, a ContestJudge those of one problem's programs read once, a SampleSource
samples, a LikelihoodSource the likelihood of given text. An Engine does one of these or several.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Protocol, runtime_checkable

from rerank.prompts import Prompt
from rerank.setting import Setting

Purpose = Literal["judge", "generate"]
Seed = Annotated[int, Setting("Seed of sampling, tournaments and random choices.")]


@dataclass(frozen=True, slots=True)
class Usage:
    """What some judging cost. `num_tokens` were computed; sharing of prefixes spared `num_tokens_saved` more."""

    num_prompts: int = 0
    num_tokens: int = 0
    num_tokens_saved: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.num_prompts + other.num_prompts,
            self.num_tokens + other.num_tokens,
            self.num_tokens_saved + other.num_tokens_saved,
        )


@dataclass(frozen=True, slots=True)
class AnswerLogOdds:
    """An engine's answer to one prompt. `log_odds` None means no verdict, and `reason` says why."""

    log_odds: float | None  # logit of the first answer less that of the second, at the start of the model's turn
    num_tokens: int  # prompt tokens computed for it; a shared prefix is booked on the first prompt that has it
    num_tokens_saved: int = 0  # prompt tokens that another prompt of the group had paid for
    reason: str = ""  # also set beside a verdict, where the prompt had to be shortened

    def scaled(self, temperature: float) -> float | None:
        return None if self.log_odds is None else self.log_odds / temperature

    @property
    def usage(self) -> Usage:
        return Usage(1, self.num_tokens, self.num_tokens_saved)


Place = tuple[int, int]  # two programs of a contest, by number, in the order in which they are compared


@dataclass(frozen=True, slots=True)
class Contest:
    """What is asked encoded-once about one problem: a pointwise prompt a program, then ordered pairs of them."""

    prompts: Sequence[Prompt]
    pairs: Callable[[Sequence[float]], Sequence[Place]]  # which, given the programs' pointwise log-odds


@dataclass(frozen=True, slots=True)
class ContestLogOdds:
    """An engine's answers to a contest."""

    points: list[AnswerLogOdds]  # for each prompt
    pairs: Sequence[Place]  # what was compared
    verdicts: list[float]  # for each of `pairs`: log-odds of A, the first, against B
    num_verdict_tokens: int  # computed for all of them together, and to make them possible


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. The same settings and prompt give the same samples again on the same engine and hardware."""

    GROUP: ClassVar[str] = "Sampling"
    temperature: Annotated[float, Setting("Sampling temperature; 0 is greedy.", min=0.0)] = 0.8
    top_p: Annotated[float, Setting("Probability mass of nucleus sampling.", min=0.0, max=1.0)] = 0.95
    max_tokens: Annotated[int, Setting("Longest completion, in tokens.", min=1)] = 512
    seed: Seed = 0


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A text to be answered (`is_chat`: as a user's message) or continued."""

    id: str  # seeds its samples together with `Sampling.seed`
    text: str
    is_chat: bool
    stop: tuple[str, ...] = ()  # the sample ends before the first of these


@dataclass(frozen=True, slots=True)
class Sample:
    """One generated text."""

    text: str
    num_tokens: int  # generated, the end token included
    finish_reason: Literal["stop", "length"]
    mean_log_probability: float | None  # nats per token at temperature 1, before top-p; None where not to be had


@dataclass(frozen=True, slots=True)
class LikelihoodRequest:
    """A text and an answer to it that is given: as a user's message and the model's turn, or as one text."""

    text: str
    answer: str
    is_chat: bool


@dataclass(frozen=True, slots=True)
class Likelihood:
    """What a model makes of a given answer. `log_probability` None means that it was not read; `reason` says why."""

    log_probability: float | None  # of the whole answer, in nats
    num_tokens: int  # of the answer
    self_certainty: float | None  # mean over its tokens of KL(uniform || p), in nats; None where it has no token
    num_prompt_tokens: int = 0
    reason: str = ""

    @property
    def usage(self) -> Usage:
        return Usage(1, self.num_tokens + self.num_prompt_tokens)


class Judge(Protocol):
    """What judges. One group's prompts share computation and decide one another's batch, and no other group's does."""

    @property
    def settings(self) -> Mapping[str, str]:
        """For the record: engine, model, where its weights came from, device, number format."""

    def answer_log_odds(self, groups: Iterable[Sequence[Prompt]]) -> Iterator[list[AnswerLogOdds]]:
        """Yield the answers of each group, in order. Raises ModelError where the model can't take the prompts."""


@runtime_checkable
class ContestJudge(Protocol):
    """What judges encoded-once. Not every engine can: vLLM and a server take whole prompts only."""

    @property
    def settings(self) -> Mapping[str, str]: ...

    def contest_log_odds(self, contests: Iterable[Contest]) -> Iterator[ContestLogOdds]:
        """Yield the answers of each contest, in order. Raises ModelError where the model can't take the prompts."""


class SampleSource(Protocol):
    """What generates."""

    @property
    def settings(self) -> Mapping[str, str]: ...

    @property
    def has_chat_template(self) -> bool: ...

    def generate(
        self, requests: Iterable[GenerationRequest], num_samples: int, sampling: Sampling
    ) -> Iterator[tuple[GenerationRequest, list[Sample]]]:
        """Yield each request with its samples, in order."""


@runtime_checkable
class LikelihoodSource(Protocol):
    """What reads how likely a given answer is. vLLM and a server do not show whole distributions."""

    @property
    def settings(self) -> Mapping[str, str]: ...

    @property
    def has_chat_template(self) -> bool: ...

    def likelihoods(self, groups: Iterable[Sequence[LikelihoodRequest]]) -> Iterator[list[Likelihood]]:
        """Yield the answers to each group, in order. A group decides its own batches."""

    def close(self) -> None: ...


class Engine(Judge, SampleSource, Protocol):
    def close(self) -> None:
        """Give back the model's memory."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What a caller may ask of an engine; each engine reads what concerns it."""

    GROUP: ClassVar[str] = "Models"
    purpose: Purpose = "judge"
    # Local weights, in place of a look-up by name.
    weights: Annotated[Path | None, Setting("Local weights of the model: a folder or a .gguf file.")] = None
    base_url: Annotated[
        str | None,
        Setting("OpenAI-style server for --backend openai, such as http://localhost:8000/v1.", metavar="URL"),
    ] = None
    device: str | None = None  # such as "cuda:1"; None: a GPU where there is one
    dtype: str | None = None  # such as "float32"; None: bfloat16 where the hardware is fast at it
    max_batch_tokens: int | None = None  # None: by device
    attention: Literal["auto", "dense", "flex"] = "auto"  # of transformers, see block_mask.py; auto: flex on CUDA
    max_prompt_tokens: int = 8192  # longer prompts are shortened, see encoding.py; never above the model's context
    memory_share: float = 0.85  # of a GPU, which vLLM takes at once for itself
    cluster: str | None = None  # "ray" or "ray://HOST:PORT": the engine's copies lie there
    replicas: int | None = None  # how many on a cluster; None: one per GPU, or one per node where there is none
