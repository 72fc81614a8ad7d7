"""Ranker: candidates of one problem, without a run folder."""

import pytest

from rerank.models import weights
from rerank.records import PublicProblem
from rerank.runs.ranker import Ranker
from rerank.runs.settings import ScoreSettings
from rerank.selection.selectors import SELECTORS

PROBLEM = PublicProblem("t", "def f(x):\n    '''Twice x.\n\n    >>> f(2)\n    4\n    '''\n", "f")


@pytest.mark.parametrize("name", [name for name, selector in SELECTORS.items() if not selector.needs - {"examples"}])
def test_a_selector_without_a_model_asks_no_hub(name, monkeypatch):
    asked = []
    monkeypatch.setattr(weights, "folder_of", asked.append)
    with Ranker(ScoreSettings(name)) as ranker:
        _, ranking = ranker.rank(PROBLEM, ["    return x + 3\n", "    return 2 * x\n"])
    assert not asked
    if SELECTORS[name].executes:
        assert ranking.best == 1
