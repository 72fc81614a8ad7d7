"""What decides a generator's samples and a ranking: small frozen records, made once where the options are read."""

from dataclasses import asdict, dataclass, field

from rerank.backends import Sampling
from rerank.baselines import BASELINES
from rerank.errors import SettingError
from rerank.evidence.agreement import AGREEMENTS
from rerank.evidence.likelihoods import VALUES

# Autoraters by name that need no model; the posterior takes a model's scores where there are some.
MODEL_FREE = (*BASELINES, "examples", *AGREEMENTS, *VALUES, "posterior", "posterior+guard")


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """What decides a generator's samples."""

    generator: str
    num_samples: int = 10
    sampling: Sampling = field(default_factory=Sampling)
    backend: str = "auto"


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """What decides the tests that a model writes."""

    writer: str
    form: str | None = None  # one of written_tests.STYLES; None: by whether the model has a chat template
    without_examples: bool = False  # ask from the problem without its docstring's examples
    num_samples: int = 10
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=300))
    backend: str = "auto"


@dataclass(frozen=True, slots=True)
class SelectSettings:
    """What decides a choice, once the evidence is there."""

    confidence: float = 0.9  # with which another candidate must be expected to beat the generator's own choice
    greedy: int | None = None  # index of the candidate that was sampled at temperature 0
    max_judgments: int | None = None  # judge only where other evidence leaves it open, and no more programs than these
    max_seconds: float | None = None  # the same, by the clock

    @property
    def stops_early(self) -> bool:
        return self.max_judgments is not None or self.max_seconds is not None

    def recorded(self) -> dict[str, float | int]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """What decides a ranking."""

    autorater: str  # a model, or one of MODEL_FREE
    mode: str = "pointwise"
    tournament: str = "round-robin"
    aggregate: str = "borda"
    backend: str = "auto"
    seed: int = 0
    num_votes: int = 1  # samples of a reasoning autorater a comparison

    def __post_init__(self) -> None:
        if self.num_votes > 1 and self.mode != "reasoning":
            raise SettingError(f"--votes {self.num_votes}: only --mode reasoning samples; logits always say the same")

    @property
    def needs_model(self) -> bool:
        return self.autorater not in MODEL_FREE

    @property
    def selector(self) -> str:
        """The name of the selector that this autorater is."""
        return self.mode if self.needs_model else self.autorater

    def recorded(self) -> dict[str, str | int]:
        """The settings that have a say: no tournament in a pointwise run, no mode without a model."""
        if not self.needs_model:
            return {"autorater": self.autorater, "seed": self.seed}
        unused = {"tournament", "aggregate"} if self.mode == "pointwise" else set()
        unused |= {"num_votes"} if self.mode != "reasoning" else set()
        return {name: value for name, value in asdict(self).items() if name not in unused}
