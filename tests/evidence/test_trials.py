"""Candidates by calls, in real sandbox processes: what is found out stays, whatever a program does."""

import pytest

from rerank.evidence import trials
from rerank.evidence.trial_probe import flat, shortened, text_of
from rerank.evidence.trials import Trial, run_trials
from rerank.evidence.written_tests import Check
from rerank.records import Candidate, PublicProblem
from rerank.runs.folder import KEYS
from rerank.store import Journal
from sandbox import Limits, Pool

PROBLEM = PublicProblem("t", "def g(x):\n    return x\n\ndef f(x):\n    '''Twice x.'''\n", "f")
CHECKS = (Check("f(1)", "_ == 2"), Check("f(2)", "_ == 4"), Check("f(2)", "_ == 5"), Check("f(3)", "_ > 5"))
PROGRAMS = {
    "right": "def f(x):\n    return 2 * x\n",
    "prints": "def f(x):\n    print(x, '0 111 4', flush=True)\n    return 2 * x\n",
    "hangs": "def f(x):\n    while x == 2: pass\n    return 2 * x\n",
    "swallows": "def f(x):\n    while x == 2:\n        try:\n            while True: pass\n"
    "        except BaseException: pass\n    return 2 * x\n",
    "in C": "def f(x):\n    return sum(range(10**12)) if x == 2 else 2 * x\n",
    "exits": "import os\ndef f(x):\n    if x == 2: os._exit(0)\n    return 2 * x\n",
    "raises": "def f(x):\n    return 2 * x if x != 2 else 1 / 0\n",
    "equal": "class E:\n    def __eq__(self, other): return True\n    def __gt__(self, other): return True\n"
    "def f(x):\n    return E()\n",
    "broken": "raise ValueError\n",
    "absent": "def h(x):\n    return x\n",
    "always hangs": "def f(x):\n    while True: pass\n",
}
OUTPUTS = {
    "right": ("2", "4", "6", "'aa'", "[1,1]"),
    "prints": ("2", "4", "6", "'aa'", "[1,1]"),
    "hangs": ("2", "!late", "6", "'aa'", "[1,1]"),
    "swallows": ("2", "!late", "6", "'aa'", "[1,1]"),
    "in C": ("2", "!timeout", "6", "'aa'", "[1,1]"),
    "exits": ("2", "!error", "6", "'aa'", "[1,1]"),
    "raises": ("2", "!ZeroDivisionErr", "6", "'aa'", "[1,1]"),
    "equal": ("<E>",) * 5,
    "broken": ("!ValueError",) * 5,
    "absent": ("!missing",) * 5,
    "always hangs": ("!late",) * 5,
}


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(trials, "CALL_TIMEOUT_S", 0.1)
    monkeypatch.setattr(trials, "LIMITS", Limits(timeout_s=0.6))


def candidates(programs) -> list[Candidate]:
    return [Candidate("t", index, text, text, key) for index, (key, text) in enumerate(programs.items())]


def run(path, programs, trial=None, pool=None):
    trial = trial or Trial(PROBLEM, CHECKS, ("f('a')", "f([1])"))
    with Journal(path, key=KEYS["trials"]) as journal:
        if pool:
            return run_trials([trial], candidates(programs), pool=pool, journal=journal)
        with Pool(workers=2) as pool:
            return run_trials([trial], candidates(programs), pool=pool, journal=journal)


class Refusing:
    """A pool that must not be asked for anything."""

    def map(self, jobs):
        assert not list(jobs)
        return iter(())


def test_every_program_keeps_what_it_answered(tmp_path):
    traces = run(tmp_path / "trials.jsonl", PROGRAMS)["t"].traces
    assert {key: trace.outputs for key, trace in traces.items()} == OUTPUTS
    passed = {key: trace.passed for key, trace in traces.items()}
    for key in ("right", "prints"):
        assert passed[key] == (True, True, False, True)
    for key in ("hangs", "swallows", "in C", "exits", "raises"):
        assert passed[key] == (True, False, False, True), key
    for key in ("equal", "broken", "absent", "always hangs"):
        assert not any(passed[key]), key
    again = run(tmp_path / "trials.jsonl", PROGRAMS, pool=Refusing())
    assert again["t"].traces == traces, "a second run redoes nothing"


def test_a_killed_run_goes_on_where_it_stopped(tmp_path):
    few = {"right": PROGRAMS["right"], "broken": PROGRAMS["broken"]}
    path = tmp_path / "trials.jsonl"
    expected = run(path, few)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:-9])  # the second line is torn
    assert {key: trace.outputs for key, trace in run(path, few)["t"].traces.items()} == {
        key: trace.outputs for key, trace in expected["t"].traces.items()
    }
    assert path.read_bytes().count(b"\n") == 2


def test_more_calls_than_one_process_may_report(tmp_path):
    trial = Trial(PROBLEM, tuple(Check(f"f({number})", f"_ == {2 * number}") for number in range(400)))
    trace = run(tmp_path / "trials.jsonl", {"right": PROGRAMS["right"]}, trial)["t"].traces["right"]
    assert all(trace.passed)
    assert trace.outputs[399] == "798"


def test_the_prompts_own_functions_are_the_prompts(tmp_path):
    trial = Trial(PROBLEM, (Check("f(g(2))", "_ == 4"),))
    program = "def g(x):\n    return 9\n\ndef f(x):\n    return 2 * x\n"
    assert run(tmp_path / "t.jsonl", {"k": program}, trial)["t"].traces["k"].passed == (True,)


def test_a_trial_without_a_call_has_no_entry(tmp_path):
    assert run(tmp_path / "t.jsonl", PROGRAMS, Trial(PROBLEM), pool=Refusing()) == {}


class Words(str):
    pass


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (2, 2.0, True),
        (True, 1, True),
        (0.1 + 0.2, 0.3, True),
        (0.3, 0.31, False),
        ([1], (1,), False),
        ({1: 2, 3: 4}, {3: 4, 1: 2}, True),
        ({3, 1, 2}, frozenset((2, 3, 1)), True),
        (Words("a"), "a", True),
        ("1", 1, False),
        (None, False, False),
    ],
)
def test_equal_values_have_equal_texts(one, other, is_same):
    assert (text_of(flat(one)) == text_of(flat(other))) is is_same


def test_long_texts_are_hashed():
    assert shortened("'abc'") == "'abc'"
    assert shortened("x" * 1000) != shortened("x" * 1001)
    assert len(shortened("x" * 1000)) < 17
