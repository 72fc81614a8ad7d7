"""JSON lines on disk: errors name the line, and a kill loses at most one line."""

import gzip

import pytest

from rerank.errors import InputError
from rerank.store import Journal, content_hash, read_rows, write_rows


def by_id(row):
    return row["id"]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_rows_come_back_as_written(tmp_path, name):
    rows = [{"id": 1, "text": "ä\u2028\n"}, {"id": 2, "text": "\ud800"}]
    assert write_rows(tmp_path / name, rows[:1]) == 1
    assert list(read_rows(tmp_path / name)) == [(1, rows[0])]


def test_the_same_rows_give_the_same_compressed_bytes(tmp_path):
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        write_rows(tmp_path / name, [{"id": 1}])
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"id": 1}\n{"id": \n', "line 2: not JSON"),
        (b'{"id": 1}\n\n[1]\n', "line 3: a JSON object is wanted, not list"),
        (b'{"id": "\xff"}\n', "line 1: not UTF-8"),
        (b"[" * 100_000, "line 1: JSON nested too deeply"),
    ],
)
def test_a_bad_line_is_named(tmp_path, content, message):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_rows(path))


def test_files_that_cannot_be_read_are_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.jsonl: no such file"):
        list(read_rows(tmp_path / "absent.jsonl"))
    (tmp_path / "broken.gz").write_bytes(gzip.compress(b'{"id": 1}\n' * 1000)[:-12])
    with pytest.raises(InputError, match=r"broken\.gz: cannot be read"):
        list(read_rows(tmp_path / "broken.gz"))


def test_a_byte_order_mark_is_not_part_of_the_first_line(tmp_path):
    (tmp_path / "rows.jsonl").write_bytes(b'\xef\xbb\xbf{"id": 1}\n')
    assert list(read_rows(tmp_path / "rows.jsonl")) == [(1, {"id": 1})]


def test_a_journal_goes_on_where_a_kill_tore_its_last_line(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_bytes(b'{"id": 1}\n{"id": 2}\n{"id": 3, "te')
    with Journal(path, key=by_id) as journal:
        assert 2 in journal
        assert 3 not in journal
        journal.append([{"id": 3, "text": "whole"}])
    assert [row for _, row in read_rows(path)] == [{"id": 1}, {"id": 2}, {"id": 3, "text": "whole"}]


def test_the_first_row_with_a_key_stays(tmp_path):
    with Journal(tmp_path / "j.jsonl", key=by_id) as journal:
        journal.append([{"id": 1, "n": 1}])
        journal.append([{"id": 1, "n": 2}, {"id": 2, "n": 3}])
        assert journal[1] == {"id": 1, "n": 1}
    assert len(list(read_rows(tmp_path / "j.jsonl"))) == 2


def test_a_row_of_another_stage_is_refused(tmp_path):
    (tmp_path / "j.jsonl").write_text('{"other": 1}\n')
    with pytest.raises(InputError, match="line 1: not a row of this stage"):
        Journal(tmp_path / "j.jsonl", key=by_id)


def test_a_journal_without_a_path_keeps_rows_in_memory():
    journal = Journal(None, key=by_id)
    journal.append([{"id": 1}])
    assert 1 in journal


def test_content_hash_tells_parts_apart():
    assert content_hash("a", "bc") != content_hash("ab", "c")
    assert content_hash({"a": 1, "b": 2}) == content_hash({"b": 2, "a": 1})
