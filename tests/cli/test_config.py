"""`--config`: a file sets any option, a run's run.toml too; the command line wins; what it gets wrong is one line."""

import json

import pytest
from command_line import rerank

from rerank.runs import settings
from rerank.runs.folder import RunFolder


def recorded(out):
    return RunFolder(out).document()


def test_a_file_sets_options_and_the_command_line_wins(problems, candidates, tmp_path):
    config = tmp_path / "my.toml"
    config.write_text(
        f'problems = "{problems}"\ncandidates = "{candidates}"\nautorater = "first"\nseed = 3\nlimit = 2\n'
        f'timeout = 2\nout = "{tmp_path / "run"}"\n'
    )
    result = rerank("run", "--config", config, "--seed", "4", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)
    document = recorded(tmp_path / "run")
    assert document["score"] == {"autorater": "first", "seed": 4}
    assert document["problems"]["limit"] == 2
    assert document["execute"]["timeout_s"] == 2.0

    # The run's own file gives the same settings again.
    again = rerank(
        "run", "--config", tmp_path / "run/run.toml", "--candidates", candidates, "--out", tmp_path / "again"
    )
    assert again.exit_code == 0, again.output
    copy = recorded(tmp_path / "again")
    assert [copy[stage] for stage in ("problems", "candidates", "score", "execute")] == [
        document[stage] for stage in ("problems", "candidates", "score", "execute")
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("autoratr = 'first'", "my.toml: unknown key autoratr"),
        ("[score]\nmod = 'pairwise'", "my.toml: unknown key mod in [score]; one of autorater, mode"),
        ("[scores]\nmode = 'pairwise'", "my.toml: unknown table [scores]"),
        ("n = 0", "my.toml: n = 0: "),
        ("mode = 'fast'", "'fast' is not one of"),
        ("limit = true", "my.toml: limit = True: one value is needed"),
        ("fresh = 1", "my.toml: fresh = 1: true or false is needed"),
        ("autorater = ['a']", "my.toml: autorater = ['a']: one value is needed"),
        ("= 3", "my.toml: not TOML"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(tmp_path, text, words):
    config = tmp_path / "my.toml"
    config.write_text(text)
    result = rerank("run", "--config", config)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_budget_is_put_together_from_what_was_recorded(tmp_path):
    (tmp_path / "run.toml").write_text("[select]\nconfidence = 0.8\nmax_judgments = 200\nmax_seconds = 60\n[score]\n")
    result = rerank("run", "--config", tmp_path / "run.toml", "--autorater", "first", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "--budget is for an autorater that judges pointwise" in result.stderr


def test_a_missing_file_is_named(tmp_path):
    result = rerank("score", "--config", tmp_path / "absent.toml", "--out", tmp_path)
    assert result.exit_code == 2
    assert "absent.toml: no such file or directory" in result.stderr


def test_an_option_of_an_absent_stage_is_refused(tmp_path):
    result = rerank("run", "--n", "5", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "--n is for --generator, which is not given" in result.stderr


def test_pairs_are_for_pairwise(tmp_path):
    result = rerank("run", "--pairs", "joint", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "--pairs joint: is for --mode pairwise, not --mode pointwise" in result.stderr


def test_the_choices_are_those_of_the_tables():
    from rerank.autoraters import AUTORATERS
    from rerank.backends.engines import ENGINES
    from rerank.selection.aggregation import AGGREGATES
    from rerank.selection.tournaments import TOURNAMENTS

    assert set(settings.MODES) == set(AUTORATERS)
    assert set(settings.TOURNAMENTS) == set(TOURNAMENTS)
    assert set(settings.AGGREGATES) == set(AGGREGATES)
    assert set(settings.BACKENDS) == {"auto", *ENGINES}
