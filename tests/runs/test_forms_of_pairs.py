"""The form in which --mode pairwise compares: asked for, or what the scorer was trained for."""

import pytest

from rerank.errors import SettingError
from rerank.models.scorer_card import ScorerCard
from rerank.runs.judging import in_form
from rerank.runs.settings import ScoreSettings

ENCODED = ScorerCard({"pointwise": 1.0, "encoded-once": 1.0})
JOINT = ScorerCard({"pointwise": 1.0, "pairwise": 1.0})
UNTRAINED = ScorerCard()


@pytest.mark.parametrize(
    ("card", "pairs", "recorded_mode", "mode"),
    [
        (ENCODED, None, None, "encoded-once"),  # as it was trained
        (ENCODED, "joint", None, "pairwise"),  # the option wins
        (ENCODED, None, "pairwise", "pairwise"),  # a run goes on as it began, when pairwise was always joint
        (ENCODED, "encoded-once", "pairwise", "encoded-once"),  # which the run folder then refuses
        (JOINT, None, None, "pairwise"),
        (JOINT, "encoded-once", None, "encoded-once"),
        (UNTRAINED, None, None, "pairwise"),
    ],
)
def test_the_form_is_the_scorers_unless_asked(card, pairs, recorded_mode, mode):
    settings = in_form(ScoreSettings("m", mode="pairwise", pairs=pairs), card, recorded_mode=recorded_mode)
    assert settings.mode == mode
    assert settings.recorded() == ScoreSettings("m", mode=mode).recorded(), "run.toml says the form by its mode"


def test_other_modes_have_no_form():
    settings = ScoreSettings("m", mode="pointwise")
    assert in_form(settings, ENCODED) is settings


def test_a_tournament_of_the_best_fits_the_form():
    settings = ScoreSettings("m", mode="pairwise", tournament="top-2")
    assert in_form(settings, ENCODED).mode == "encoded-once"
    with pytest.raises(SettingError, match="top-2"):
        in_form(settings, JOINT)
