"""What tail-patches did to each category, and the weights of tasks that follow (FLAMe-Opt-RM, arXiv 2407.10817, 4.3).

An effect becomes a rating by rules, ratings put tasks into seven bundles, and a task's weight is the sum of its
bundles' weights.

    members = bundles(effects, rules)
    weights = task_weights(members, top_tasks(effects, rules), rules)     # task to examples

Where the paper says "significantly", "slightly" and "stable", these are numbers here (`Rules`), and its thresholds are
settings: its categories and scores are RewardBench's, ours are dev's. `code` is the mean of the pick rate and the pair
accuracy on dev's labelled programs and the accuracy on its code judgments; every other category is the accuracy on its
dev judgments, all pooled.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from rerank.errors import SettingError
from rerank.setting import Setting
from rerank.store import Row
from rerank.training.mixture.tasks import TASKS

# The five categories that tasks are rated for, by the capabilities that they take in. The paper's are RewardBench's,
# its reasoning split into mathematics and coding.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "code": ("code",),
    "math": ("math",),
    "factuality": ("factuality", "summary"),
    "chat": ("helpfulness", "instruction_following"),
    "safety": ("safety",),
}
GENERAL, OTHERS = "generally helpful", "others"


@dataclass(frozen=True, slots=True)
class Rules:
    """From effects to weights. Weights are examples of a task; the defaults are the paper's."""

    GROUP: ClassVar[str] = "Rating"

    significant: Annotated[float, Setting("A gain or a loss from here on is significant (a share of 1).")] = 0.03
    # A significant gain that never falls below it is stable.
    slight: Annotated[float, Setting("A gain from here on is slight.")] = 0.01
    general_total: Annotated[int, Setting("Sum of ratings that makes a task generally helpful.")] = 5
    thresholds: Mapping[str, float] = field(default_factory=dict)  # by category; not given: before + significant
    weak: tuple[str, ...] = ()  # categories whose best tasks come first; not given: the three with the lowest scores
    num_weak: int = 3
    num_top: int = 2  # best tasks of a weak category
    general: float = 100_000
    specific: float = 30_000
    others: float = 3_000
    top: float = 200_000

    def __post_init__(self) -> None:
        unknown = (set(self.thresholds) | set(self.weak)) - set(CATEGORIES)
        if unknown:
            raise SettingError(f"category {unknown.pop()}: not one of {', '.join(CATEGORIES)}")
        if not 0 <= self.slight <= self.significant:
            raise SettingError(f"--slight {self.slight}: take a number from 0 to --significant ({self.significant})")


Scores = Mapping[str, float]  # by category, those that dev has rows of; from 0 to 1


@dataclass(frozen=True, slots=True)
class Effect:
    """What a tail-patch on one task did."""

    task: str
    before: Scores
    after: tuple[Scores, ...]  # at evenly spaced evaluations during the tail-patch; the last one at its end
    num_rows: int  # training rows of the task
    note: str = ""  # why there was no tail-patch

    def gain(self, category: str) -> float:
        """Of the last evaluation over the checkpoint; 0 where nothing was measured."""
        if not self.after or category not in self.before:
            return 0.0
        return self.after[-1][category] - self.before[category]


def rating(effect: Effect, category: str, rules: Rules) -> int:
    """+2 helpful: significantly better and stable; +1 somewhat helpful: slightly better, or significantly but not
    stable; -1 harmful: significantly worse; 0 no clear effect. Stable: no evaluation of the second half falls below a
    slight gain.
    """
    if not effect.after or category not in effect.before:
        return 0
    gains = [scores[category] - effect.before[category] for scores in effect.after]
    last = round(gains[-1], 9)  # a gain of exactly the threshold counts, whatever the last bit
    if last <= -rules.significant:
        return -1
    if last < rules.slight or last <= 0:
        return 0
    is_stable = all(gain >= rules.slight for gain in gains[len(gains) // 2 :])
    return 2 if last >= rules.significant and is_stable else 1


def bundles(effects: Sequence[Effect], rules: Rules) -> dict[str, tuple[str, ...]]:
    """The seven bundles by name, tasks in the order of `effects`: generally helpful, one per category, others."""
    ratings = {effect.task: {name: rating(effect, name, rules) for name in CATEGORIES} for effect in effects}
    members: dict[str, tuple[str, ...]] = {
        GENERAL: tuple(task for task, row in ratings.items() if sum(row.values()) >= rules.general_total)
    }
    for name in CATEGORIES:
        members[name] = tuple(effect.task for effect in effects if _crosses(effect, name, rules))
    chosen = {task for tasks in members.values() for task in tasks}
    members[OTHERS] = tuple(task for task in ratings if task not in chosen)
    return members


def top_tasks(effects: Sequence[Effect], rules: Rules) -> dict[str, tuple[str, ...]]:
    """The best tasks of each weak category by their gain, best first; only those that gain something."""
    best = {}
    for name in weak_categories(effects, rules):
        gaining = sorted((e for e in effects if e.gain(name) > 0), key=lambda e: (-e.gain(name), e.task))
        best[name] = tuple(effect.task for effect in gaining[: rules.num_top])
    return best


def weak_categories(effects: Sequence[Effect], rules: Rules) -> tuple[str, ...]:
    if rules.weak:
        return rules.weak
    before = next((effect.before for effect in effects if effect.before), {})
    return tuple(sorted(before, key=lambda name: before[name])[: rules.num_weak])


def task_weights(
    members: Mapping[str, Sequence[str]], top: Mapping[str, Sequence[str]], rules: Rules
) -> dict[str, float]:
    """Examples of each task: the sum over its bundles, but a fixed weight for the best of the weak categories."""
    size = {GENERAL: rules.general, OTHERS: rules.others}
    weights: dict[str, float] = {}
    for name, tasks in members.items():
        for task in tasks:
            weights[task] = weights.get(task, 0.0) + size.get(name, rules.specific)
    return weights | {task: rules.top for tasks in top.values() for task in tasks}


def _crosses(effect: Effect, category: str, rules: Rules) -> bool:
    if not effect.after or category not in effect.before:
        return False
    threshold = rules.thresholds.get(category, effect.before[category] + rules.significant)
    return round(effect.after[-1][category] - threshold, 9) >= 0


def scores(dev: Row) -> dict[str, float]:
    """An evaluation's figures (a row of a training's dev.jsonl) by category."""
    right: dict[str, float] = {}
    size: dict[str, int] = {}
    for task, figures in dev.get("judgments", {}).items():
        if name := category_of(task):
            right[name] = right.get(name, 0.0) + figures["num"] * figures["accuracy"]
            size[name] = size.get(name, 0) + figures["num"]
    result = {name: right[name] / size[name] for name in CATEGORIES if size.get(name)}
    programs = dev.get("samples", dev)
    parts = [programs.get(key) for key in ("pick_rate", "pair_accuracy")]
    known = [part for part in [*parts, result.get("code")] if part is not None]
    return ({"code": sum(known) / len(known)} if known else {}) | {k: v for k, v in result.items() if k != "code"}


def category_of(task: str) -> str | None:
    """None for what no category counts: another capability, or free text, which is hardly ever right to the letter."""
    if TASKS[task].kind == "open_ended":
        return None
    return next((name for name, those in CATEGORIES.items() if TASKS[task].capability in those), None)


def write_effect(out: Path, effect: Effect) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{effect.task}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(effect), indent=2) + "\n", encoding="utf-8")
    part.replace(path)


def read_effect(path: Path) -> Effect:
    row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Effect(**{**row, "after": tuple(row["after"])})
