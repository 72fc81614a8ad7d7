"""The settings of each stage: small frozen records, made once where the options are read.

A field's `Setting` holds its help sentence and its check: `rerank.cli.from_settings` makes the command-line option of
it, and `--config` reads the same names from a file. What a stage writes to run.toml has the fields' names too.
Nothing heavy is imported here, since `--help` reads these records.
"""

import re
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, ClassVar

from rerank.backends.interface import Sampling, Seed
from rerank.errors import SettingError
from rerank.models.shipped import DEFAULT_AUTORATER, SCORERS
from rerank.setting import Setting

BACKENDS = ("auto", "transformers", "vllm", "openai")
MODES = ("pointwise", "pairwise", "encoded-once", "reasoning")
PAIRS = ("joint", "encoded-once")
TOURNAMENTS = ("round-robin", "knockout", "swiss", "top-2", "top-4", "near-ties")
AGGREGATES = ("borda", "wins", "bradley-terry")
NEEDS_SCORES = ("top-2", "top-4", "near-ties")  # tournaments that play among the best by pointwise score

Backend = Annotated[
    str,
    Setting(
        "What runs the models: transformers, vllm, openai, or auto: vllm on a GPU where installed, else transformers.",
        choices=BACKENDS,
        metavar="NAME",
        group="Models",
    ),
]


def _autoraters() -> list[str]:
    from rerank.selection.selectors import MODEL_FREE  # imports numpy, which --help does without

    return [*SCORERS, *MODEL_FREE]


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """What decides a generator's samples."""

    GROUP: ClassVar[str] = "Sampling"
    generator: Annotated[
        str, Setting("Model to sample from: a hub id, a folder, a .gguf file, or a model at --base-url.")
    ]
    num_samples: Annotated[int, Setting("Candidates to sample for each problem.", min=1, flag="--n")] = 10
    sampling: Sampling = field(default_factory=Sampling)
    backend: Backend = "auto"
    max_total: int | None = None  # of all problems together, spent in rounds where it is worth most (see `rounds`)


@dataclass(frozen=True, slots=True)
class WriteSettings:
    """What decides the tests that a model writes."""

    GROUP: ClassVar[str] = "Evidence"
    writer: Annotated[str, Setting("Model that writes tests, from the problems alone.", flag="--test-writer")]
    form: str | None = None  # one of written_tests.STYLES; None: by whether the model has a chat template
    without_examples: Annotated[
        bool,
        Setting("Show --test-writer no example of a docstring, as CodeT does.", flag="--tests-without-examples"),
    ] = False
    num_samples: int = 10
    sampling: Annotated[Sampling, "fixed: its fields are no options"] = field(
        default_factory=lambda: Sampling(max_tokens=300)
    )
    backend: Backend = "auto"


@dataclass(frozen=True, slots=True)
class SelectSettings:
    """What decides a choice, once the evidence is there."""

    GROUP: ClassVar[str] = "Evidence"
    # With which another candidate must be expected to beat the generator's own choice.
    confidence: Annotated[
        float,
        Setting("How sure posterior+guard must be before it overrides the generator's own choice.", min=0.5, max=1.0),
    ] = 0.9
    greedy: Annotated[
        int | None,
        Setting(
            "Which candidate was sampled at temperature 0; the guard treats it as the generator's own choice.",
            min=0,
            metavar="INDEX",
        ),
    ] = None
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
        limits: dict[str, Any] = {}
        for part in text.split(",") if text is not None else ():
            match = re.fullmatch(r"(\d+)(s|samples)?", part.strip())
            name = {None: "max_judgments", "s": "max_seconds", "samples": "max_samples"}[match[2]] if match else ""
            if match is None or name in limits:
                raise SettingError(
                    f"--budget {text}: a number of programs, or of seconds (60s), or of samples (400samples) is wanted"
                )
            limits[name] = int(match[1])
        return cls(**limits)


@dataclass(frozen=True, slots=True)
class ExecuteSettings:
    """What decides an outcome beside the program and its tests."""

    GROUP: ClassVar[str] = "Execution"
    timeout_s: Annotated[
        float, Setting("Seconds of processor time that a program may take.", min=0.1, flag="--timeout", metavar="S")
    ] = 3.0


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """What decides a ranking."""

    GROUP: ClassVar[str] = "Judging"
    autorater: Annotated[
        str,
        Setting(
            "A hub model, a folder, a .gguf file, an adapter's folder, or random, first, shortest, log-probability, "
            "examples, mbr-exec, majority-vote, codet, srank, coder-reviewer, self-certainty, posterior. Shipped: "
            "rerank-0.5b, rerank-1.5b.",
            complete=_autoraters,
        ),
    ] = DEFAULT_AUTORATER
    mode: Annotated[
        str,
        Setting(
            "pointwise: score each program alone. pairwise: compare two at a time, in the form that the scorer was "
            "trained for. encoded-once: read each program once, then compare any two. reasoning: write an evaluation, "
            "then a verdict.",
            choices=MODES,
            metavar="MODE",
        ),
    ] = "pointwise"
    tournament: Annotated[
        str, Setting("Which pairs to compare: " + ", ".join(TOURNAMENTS) + ".", choices=TOURNAMENTS, metavar="NAME")
    ] = "round-robin"
    aggregate: Annotated[
        str,
        Setting("How comparisons become a ranking: " + ", ".join(AGGREGATES) + ".", choices=AGGREGATES, metavar="NAME"),
    ] = "borda"
    backend: Backend = "auto"
    seed: Seed = 0
    num_votes: Annotated[
        int, Setting("Evaluations of each pair by --mode reasoning, put to a majority vote.", min=1, flag="--votes")
    ] = 1
    pairs: Annotated[
        str | None,
        Setting(
            "How --mode pairwise compares. joint: both programs in one prompt. encoded-once: each program read once. "
            "Default: as the scorer was trained.",
            choices=PAIRS,
            metavar="FORM",
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.num_votes > 1 and self.mode != "reasoning":
            raise SettingError(f"--votes {self.num_votes}: only --mode reasoning samples; logits always say the same")
        if self.pairs is not None and self.mode != "pairwise":
            raise SettingError(f"--pairs {self.pairs}: is for --mode pairwise, not --mode {self.mode}")
        if self.tournament in NEEDS_SCORES and self._gives_no_scores:
            raise SettingError(
                f"--tournament {self.tournament}: starts from the best by pointwise score, and --mode {self.mode} "
                "gives none; take --mode encoded-once"
            )

    @property
    def _gives_no_scores(self) -> bool:
        return self.mode == "reasoning" or (self.mode == "pairwise" and self.pairs == "joint")

    @property
    def needs_model(self) -> bool:
        from rerank.selection.selectors import MODEL_FREE  # as above

        return self.autorater not in MODEL_FREE

    @property
    def selector(self) -> str:
        """The name of the selector that this autorater is."""
        return self.mode if self.needs_model else self.autorater

    def recorded(self) -> dict[str, str | int]:
        """The settings that have a say: no tournament in a pointwise run, no mode without a model.

        The form of pairs is in the mode once it is decided: pairwise is joint.
        """
        if not self.needs_model:
            return {"autorater": self.autorater, "seed": self.seed}
        unused = {"pairs"}
        unused |= {"tournament", "aggregate"} if self.mode == "pointwise" else set()
        unused |= {"num_votes"} if self.mode != "reasoning" else set()
        return {name: value for name, value in asdict(self).items() if name not in unused}
