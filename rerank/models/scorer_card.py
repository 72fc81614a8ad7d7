"""What a trained scorer's folder says of itself: scorer.json, which the trainer writes beside the weights.

card = read_card("rerank/data/scorer/qwen2.5-coder-0.5b")
card.temperature["pointwise"]    # by which its log-odds are divided to be calibrated
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rerank import prompts
from rerank.errors import InputError, ModelError
from rerank.models import weights
from rerank.store import content_hash

CARD = "scorer.json"


@dataclass(frozen=True, slots=True)
class ScorerCard:
    """By mode of judging; a mode that is not named was not trained. That of an untrained model is empty."""

    temperature: Mapping[str, float] = field(default_factory=dict)
    log_probability_weight: Mapping[str, float] = field(default_factory=dict)  # log-odds a nat of mean log-probability

    def knows(self, mode: str) -> bool:
        """False for a scorer that was trained, but not to judge in this way."""
        return not self.temperature or mode in self.temperature

    def temperature_of(self, mode: str) -> float:
        return self.temperature.get(mode, 1.0)

    def settings(self, mode: str) -> dict[str, float]:
        """What it decides of a ranking, for the record."""
        return {
            "temperature": self.temperature_of(mode),
            "log_probability_weight": self.log_probability_weight.get(mode, 0.0),
        }


UNTRAINED = ScorerCard()


def read_card(name: str, path: str | Path | None = None) -> ScorerCard:
    """The card of an autorater by its name (see `rerank.weights`), or of the local weights that take its place.

    Raises InputError for a damaged card, ModelError for a scorer that was trained on other words than are asked here.
    """
    folder = weights.folder_of(weights.place_of(name, path))
    if folder is None or not (folder / CARD).is_file():
        return UNTRAINED
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        found = ScorerCard(card["temperature"], card.get("log_probability_weight", {}))
        is_current = card["prompts_hash"] == prompts_hash(card["mode"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"not a scorer's card ({error})", path=folder / CARD) from error
    if not is_current:
        raise ModelError(f"{folder}: trained on other prompts than this version of rerank uses; train it again")
    return found


def prompts_hash(mode: str) -> str:
    """A scorer is used with the words that it was trained on, by its mode of training: this changes when they do."""
    asked = [prompts.POINTWISE.instructions, prompts.EVALUATION]
    if mode == "joint":
        asked += [prompts.PAIRWISE.instructions]
    elif mode == "encoded-once":
        asked += [prompts.FIRST_LINK, prompts.SECOND_LINK, prompts.VERDICT]
    return content_hash(*asked)
