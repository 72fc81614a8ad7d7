"""Work that processes share: done once, and taken over from the dead. The other process is a real one."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from rerank import locks
from rerank.errors import InputError
from rerank.locks import claimed, each_once

# Claims b, says so, waits until a and c are done, and then leaves b as its argument says.
OTHER = """
import json, os, signal, sys, time
from pathlib import Path
from rerank.locks import claimed

folder, end = Path(sys.argv[1]), sys.argv[2]
with claimed(folder / "b.lock") as is_ours:
    print(is_ours, flush=True)
    while not all((folder / f"{name}.json").exists() for name in "ac"):
        time.sleep(0.01)
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "failed":
        raise SystemExit(1)
    (folder / "b.json").write_text(json.dumps("theirs"))
"""


def maker(folder: Path):
    def make(name: str) -> str:
        path = folder / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps("ours"))
        return f"{name} {json.loads(path.read_text())}"

    return make


def start_other(folder: Path, end: str) -> subprocess.Popen[str]:
    other = subprocess.Popen([sys.executable, "-c", OTHER, folder, end], stdout=subprocess.PIPE, text=True)
    assert other.stdout
    assert other.stdout.readline() == "True\n"
    return other


@pytest.mark.parametrize(
    ("end", "last"),
    [
        ("done", "b theirs"),  # waited for, not made again
        ("killed", "b ours"),  # taken over, though nobody could clear its claim away
        ("failed", "b ours"),
    ],
)
def test_what_another_process_is_at_comes_last(tmp_path: Path, end: str, last: str) -> None:
    said: list[str] = []
    with start_other(tmp_path, end):
        made = list(each_once("abc", tmp_path, maker(tmp_path), poll_s=0.01, report=said.append))
    assert made == ["a ours", "c ours", last]
    assert said == ["waiting for other processes, which are at b"]
    assert not list(tmp_path.glob("*.lock"))


def test_without_waiting_it_is_left_out(tmp_path: Path) -> None:
    with start_other(tmp_path, "done"):
        assert list(each_once("abc", tmp_path, maker(tmp_path), wait=False)) == ["a ours", "c ours"]
    assert list(each_once("abc", tmp_path, maker(tmp_path))) == ["a ours", "b theirs", "c ours"]


def test_a_claim_on_a_file_that_went_with_an_earlier_one_is_none(tmp_path: Path, monkeypatch) -> None:
    path, lock = tmp_path / "a.lock", locks.fcntl.flock

    def flock(file, how):  # the holder ends between our opening the file and our locking it, and a third one comes
        monkeypatch.setattr(locks.fcntl, "flock", lock)
        path.unlink()
        held.enter_context(claimed(path))
        return lock(file, how)

    with ExitStack() as held:
        monkeypatch.setattr(locks.fcntl, "flock", flock)
        with claimed(path) as is_ours:
            assert not is_ours
        assert path.exists(), "the third one's"


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch) -> None:
    def flock(*_):
        raise OSError(locks.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    words = r"a\.lock: its file system keeps no locks \(No locks available\)"
    with pytest.raises(InputError, match=words), claimed(tmp_path / "a.lock"):
        pass
