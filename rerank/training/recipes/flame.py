"""FLAMe and FLAMe-RM (arXiv 2407.10817, sections 4.1 and 4.2) as stages that a killed run goes on with.

    mixture.jsonl.gz      all tasks, examples-proportional, at most 65,536 of a task
    flame/                trained on it
    rm_mixture.jsonl.gz   four sets of pairs in equal parts
    rm/                   FLAMe after 50 more steps on those

`scripts/flame.py` is the command; `tail_patch` holds the third recipe, FLAMe-Opt-RM.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar

from rerank.errors import SettingError
from rerank.setting import Setting
from rerank.training.mixture import build
from rerank.training.mixture.tasks import TASKS
from rerank.training.recipes import steps
from rerank.training.recipes.steps import BaseModel, say
from rerank.training.scorer.presets import TrainSettings

# FLAMe-RM's four sets by their names here, and sets of the same kinds from the judgment files where there is no hub:
# help, mathematics, repaired programs, harmlessness.
RM_TASKS = ("helpsteer_pair", "prm800k_pair", "commitpackft_pair", "hh_rlhf_harmless_pair")
RM_STAND_INS = ("hh_helpful_base", "gsm8k_solution_pair", "bugsinpy_fix", "hh_harmless_base")


@dataclass(frozen=True, slots=True)
class FlameSettings:
    """The recipe's own settings, beside those of FLAMe's training."""

    GROUP: ClassVar[str] = "FLAMe-RM and the hub"

    hub: Annotated[list[str], Setting("A task to load from the hub; repeatable.")] = field(default_factory=list)
    rm_hub: Annotated[bool, Setting("FLAMe-RM on the paper's own four sets.", flag="--rm-hub")] = False
    rm_task: Annotated[list[str], Setting("A task of FLAMe-RM's mixture instead; repeatable.")] = field(
        default_factory=list
    )
    rm_steps: Annotated[int, Setting("Optimizer steps of FLAMe-RM.", min=1)] = 50
    rm_batch: Annotated[int, Setting("Judgments per step of FLAMe-RM, at least.", min=1)] = 8
    rm_learning_rate: Annotated[float | None, Setting("Learning rate of FLAMe-RM. Default: FLAMe's.")] = None

    def __post_init__(self) -> None:
        for task in self.rm_task:
            if task not in TASKS:
                raise SettingError(f"--rm-task {task}: no such task; scripts/build_mixture.py --list shows them")

    @property
    def rm_tasks(self) -> Sequence[str]:
        return self.rm_task or (RM_TASKS if self.rm_hub else RM_STAND_INS)


@dataclass(frozen=True, slots=True)
class FlameScorers:
    flame: Path
    flame_rm: Path


def run(
    out: Path,
    base: BaseModel,
    judgments: Sequence[Path],
    labels: Sequence[Path],
    *,
    settings: FlameSettings,
    train_settings: TrainSettings,
) -> FlameScorers:
    """Both mixtures and both trainings, each skipped where it is done; `train_settings` are FLAMe's."""
    all_tasks, equal_parts = out / "mixture.jsonl.gz", out / "rm_mixture.jsonl.gz"
    if not all_tasks.exists():
        mixture = build.gather(judgments, labels, settings.hub, seed=train_settings.seed)
        say(f"{steps.write_mixture(mixture, all_tasks):,} rows of the mixture")
    if not equal_parts.exists():
        tasks = settings.rm_tasks
        from_hub = [task for task in tasks if TASKS[task].origin == "hub"]
        mixture = build.gather(judgments, labels, from_hub, tasks=tasks, seed=train_settings.seed)
        size = steps.write_mixture(mixture, equal_parts, "equal")
        if not size:
            raise SettingError(f"none of {', '.join(tasks)} is in --judgments: give their files, or --rm-hub")
        say(f"{size:,} rows of FLAMe-RM's mixture")
    rm_settings = replace(
        train_settings,
        num_steps=settings.rm_steps,
        batch_size=settings.rm_batch,
        time_budget_s=None,
        num_evaluations=2,
        learning_rate=settings.rm_learning_rate or train_settings.learning_rate,
    )
    # Labelled programs are in the mixture; given again, they would be trained on twice and measured by their dev part.
    flame = steps.trained(
        base.folder, [], out / "flame", train_settings, mixture=[all_tasks], base_name=base.name, report=say
    )
    flame_rm = steps.trained(
        base.folder, [], out / "rm", rm_settings, mixture=[equal_parts], start=flame, base_name=base.name, report=say
    )
    return FlameScorers(flame, flame_rm)
