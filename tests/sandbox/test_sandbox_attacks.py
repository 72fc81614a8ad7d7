"""The attack corpus, contained: at full isolation in the plain run; other levels and users behind the slow mark."""

import json
import os
import subprocess
import sys
from pathlib import Path

import corpus
import pytest

NO_NAMESPACE = {"information/host_name"}  # without a uts namespace a program can read the host's name


def test_the_corpus_is_large_enough():
    counts = {name: len(corpus.attacks(f"{name}/*.py")) for name in corpus.CLASSES}
    assert all(count >= 10 for count in counts.values()), counts
    assert sum(counts.values()) >= 80


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("isolation", "mode"), [("full", "auto")])
def test_everything_is_contained(isolation, mode):
    report = _run_apart(isolation, mode)
    assert report["escaped"] == report["survivors"] == report["left"] == []
    assert report["num_programs"] == len(corpus.attacks())
    assert report["peak_memory_bytes"] < 4 << 30
    assert report["slowest_s"] < 60


@pytest.mark.timeout(300)
@pytest.mark.parametrize("pattern", ["[!rf]*/*.py", "files/*.py"])
def test_without_namespaces(pattern):
    report = _run_apart("landlock", pattern=pattern)
    assert set(report["escaped"]) <= NO_NAMESPACE
    assert report["survivors"] == report["left"] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("isolation", ["full", "landlock"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_as_an_ordinary_user(isolation):
    python = "/usr/bin/python3"
    if not os.path.exists(python):
        pytest.skip("no Python that everybody may run")
    report = _run_apart(isolation, python=python, user=65534, group=65534, extra_groups=[], cwd="/")
    assert set(report["escaped"]) <= (NO_NAMESPACE if isolation == "landlock" else set())
    assert report["survivors"] == report["left"] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_namespaces_in_full():
    report = _run_apart("landlock")
    assert set(report["escaped"]) <= NO_NAMESPACE
    assert report["survivors"] == report["left"] == []


def _run_apart(isolation, mode="auto", *, python=sys.executable, pattern="*/*.py", **options):
    """In a process of its own, so that what outlives it becomes visible."""
    command = [python, corpus.__file__, "--isolation", isolation, "--mode", mode, "--pattern", pattern]
    done = subprocess.run(command, capture_output=True, text=True, env=_environment(), **options)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def _environment():
    return {"PATH": os.environ["PATH"], "HOME": "/", "PYTHONPATH": str(Path(corpus.__file__).resolve().parents[2])}
