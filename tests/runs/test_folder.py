"""The run folder: settings that decide the result cannot change under a run."""

import pytest

from rerank.errors import InputError, ResumeError, SettingError
from rerank.runs.folder import RunFolder


def test_the_same_settings_may_come_again_and_free_ones_may_change(tmp_path):
    RunFolder(tmp_path / "run").record_settings("score", fixed={"seed": 0, "share": 0.5}, changeable={"limit": 5})
    folder = RunFolder(tmp_path / "run")
    folder.record_settings("score", fixed={"seed": 0, "share": 0.5}, changeable={"limit": 9})
    assert folder.settings("score") == {"seed": 0, "share": 0.5, "limit": 9}
    assert folder.document()["versions"]["python"]


def test_a_changed_setting_is_refused_with_both_values(tmp_path):
    RunFolder(tmp_path / "run").record_settings("score", fixed={"seed": 0})
    with pytest.raises(ResumeError, match=r"score has seed = 0, this call 1; take another --out, or --fresh"):
        RunFolder(tmp_path / "run").record_settings("score", fixed={"seed": 1})


def test_fresh_starts_over(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.record_settings("score", fixed={"seed": 0})
    (folder.path / "scores.jsonl").write_text("")
    folder = RunFolder(tmp_path / "run", fresh=True)
    assert not (folder.path / "scores.jsonl").exists()
    folder.record_settings("score", fixed={"seed": 1})


def test_somebody_elses_folder_is_neither_used_nor_removed(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for fresh in (False, True):
        with pytest.raises(SettingError, match=r"holds other files and no run\.toml"):
            RunFolder(tmp_path, fresh=fresh)
    assert (tmp_path / "thesis.txt").exists()


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match="is a file"):
        RunFolder(tmp_path / "file")


def test_a_stage_that_was_not_run_and_a_broken_file_are_named(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.record_settings("score", fixed={"seed": 0})
    with pytest.raises(InputError, match=r"run\.toml: no \[execute\] in it"):
        folder.settings("execute")
    (folder.path / "run.toml").write_text("= broken")
    with pytest.raises(InputError, match=r"run\.toml: not TOML"):
        folder.record_settings("score", fixed={"seed": 0})
