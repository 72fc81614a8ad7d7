"""A scorer's card: what it says is used, and what it can't be used for is said."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rerank.cli.app import app
from rerank.errors import InputError, ModelError
from rerank.models.scorer_card import ScorerCard, prompts_hash, read_card
from rerank.records import Candidate, Comparison, Ranking
from rerank.selection.selectors import add_log_probability, shifted
from rerank.store import read_rows

ROWS = [
    {
        "task_id": f"t/{number}",
        "prompt": f"def add{number}(a, b):\n",
        "entry_point": f"add{number}",
        "test": f"def check(candidate):\n    assert candidate(1, 2) == {3 + number}\n",
    }
    for number in range(3)
]


@pytest.fixture
def scorer(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model as a whole scorer with a card."""
    folder = tmp_path / "scorer"
    shutil.copytree(tiny_model, folder)
    card = {
        "mode": "joint",
        "temperature": {"pointwise": 2.0, "pairwise": 4.0, "encoded-once": 3.0},
        "log_probability_weight": {"pointwise": 100.0, "pairwise": 100.0, "encoded-once": 100.0},
        "prompts_hash": prompts_hash("joint"),
    }
    (folder / "scorer.json").write_text(json.dumps(card))
    return folder


@pytest.fixture
def run(tmp_path: Path):
    """Run on two candidates a problem; the second is the likelier."""
    problems, candidates = tmp_path / "problems.jsonl", tmp_path / "candidates.jsonl"
    problems.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with open(candidates, "w") as file:
        for row in ROWS:
            for place, body in enumerate(("    return a + b\n", "    return a - b\n")):
                sample = {"task_id": row["task_id"], "completion": body, "mean_log_probability": place - 2.0}
                file.write(json.dumps(sample) + "\n")

    def call(autorater: Path, mode: str) -> tuple[dict, dict]:
        out = tmp_path / f"{autorater.name}-{mode}"
        given = f"--problems {problems} --candidates {candidates} --autorater {autorater} --mode {mode} --out {out}"
        result = CliRunner().invoke(app, ["run", *given.split(), "--backend", "transformers"])
        assert result.exit_code == 0, result.output
        judged = [row for _, row in read_rows(out / ("scores.jsonl" if mode == "pointwise" else "comparisons.jsonl"))]
        rankings: dict[str, list] = {}
        for _, row in read_rows(out / "rankings.jsonl"):
            rankings.setdefault(row["selector"], []).append(row["order"][0])
        return {tuple(v for k, v in row.items() if k != "log_odds"): row["log_odds"] for row in judged}, rankings

    return call


@pytest.mark.parametrize(("mode", "temperature"), [("pointwise", 2.0), ("pairwise", 4.0), ("encoded-once", 3.0)])
def test_log_odds_are_calibrated_and_log_probability_is_added(run, scorer, tiny_model, mode, temperature) -> None:
    plain, rankings = run(tiny_model, mode)
    calibrated, with_card = run(scorer, mode)
    assert calibrated == {key: pytest.approx(value / temperature) for key, value in plain.items()}
    assert f"{mode}+log-probability" not in rankings
    # A hundred times the difference outweighs what any scorer says.
    assert with_card[f"{mode}+log-probability"] == [1, 1, 1]
    assert with_card[mode] == rankings[mode]


def test_a_mode_that_was_not_trained_is_said(run, scorer: Path, caplog) -> None:
    card = json.loads((scorer / "scorer.json").read_text())
    card["temperature"] = {"pointwise": card["temperature"]["pointwise"]}
    (scorer / "scorer.json").write_text(json.dumps(card))
    run(scorer, "pointwise")
    assert not caplog.text
    run(scorer, "pairwise")
    assert "was not trained to judge pairwise" in caplog.text


def test_no_card_a_damaged_one_and_one_for_other_prompts(scorer: Path, tiny_model: Path) -> None:
    assert read_card(str(tiny_model)) == ScorerCard()
    assert read_card("anything", tiny_model) == ScorerCard()
    assert read_card(f"base+{scorer}").temperature["pairwise"] == 4.0
    card = json.loads((scorer / "scorer.json").read_text())
    (scorer / "scorer.json").write_text(json.dumps(card | {"prompts_hash": "other"}))
    with pytest.raises(ModelError, match="train it again"):
        read_card(str(scorer))
    (scorer / "scorer.json").write_text("{}")
    with pytest.raises(InputError, match=r"scorer\.json: not a scorer's card"):
        read_card(str(scorer))


def test_sums_by_hand() -> None:
    candidates = [
        Candidate("t", 0, "", "x = 0", "a", mean_log_probability=-1.0),
        Candidate("t", 1, "", "x = 1", "b", mean_log_probability=-3.0),
        Candidate("t", 2, "", "x =  0", "a", mean_log_probability=-0.5),
        Candidate("t", 3, "", "x =", None, mean_log_probability=0.0),
    ]
    ranking = Ranking("t", "pointwise", (1, 0, 2, 3), (5.0, 2.0, 2.0, None))
    added = add_log_probability(ranking, candidates, 2.0)
    assert (added.order, added.values) == ((2, 0, 1, 3), (1.0, 0.0, -1.0, None))
    assert added.selector == "pointwise+log-probability"
    [one, two] = shifted([Comparison("t", "b", "a", 1.5), Comparison("t", "a", "b", None)], candidates, 2.0)
    assert (one.log_odds, two.log_odds) == (1.5 - 5.0, 5.0)
