"""What decides a generator's samples and a ranking: small frozen records, made once where the options are read."""

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from rerank.backends.interface import Sampling
from rerank.errors import SettingError
from rerank.selection.selectors import MODEL_FREE

NEEDS_SCORES = ("top-2", "top-4", "near-ties")  # tournaments that play among the best by pointwise score


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """What decides a generator's samples."""

    generator: str
    num_samples: int = 10
    sampling: Sampling = field(default_factory=Sampling)
    backend: str = "auto"
    max_total: int | None = None  # of all problems together, spent in rounds where it is worth most (see `rounds`)


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
class Spending:
    """What may be spent on all problems together; None: no limit."""

    max_judgments: int | None = None
    max_seconds: float | None = None
    max_samples: int | None = None

    @classmethod
    def parse(cls, text: str | None) -> "Spending":
        """Read `200`, `60s` or `400samples`, several with commas between. Raises SettingError for anything else.

        >>> Spending.parse("400samples,200")
        Spending(max_judgments=200, max_seconds=None, max_samples=400)
        """
        found: dict[str, Any] = {}
        for part in text.split(",") if text is not None else ():
            match = re.fullmatch(r"(\d+)(s|samples)?", part.strip())
            name = {None: "max_judgments", "s": "max_seconds", "samples": "max_samples"}[match[2]] if match else ""
            if match is None or name in found:
                raise SettingError(
                    f"--budget {text}: a number of programs, or of seconds (60s), or of samples (400samples) is wanted"
                )
            found[name] = int(match[1])
        return cls(**found)


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
        if self.tournament in NEEDS_SCORES and self.mode not in ("pointwise", "encoded-once"):
            raise SettingError(
                f"--tournament {self.tournament}: starts from the best by pointwise score, and --mode {self.mode} "
                "gives none; take --mode encoded-once"
            )

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
