"""The fakes that we give to others: their examples run, they are light, and they say plainly when a queue is empty."""

import doctest
import itertools
import subprocess
import sys

import pytest

from rerank import testing
from rerank.autoraters import AUTORATERS
from rerank.backends.engines import ENGINES, open_engine
from rerank.backends.interface import GenerationRequest, Sample, Sampling, Usage
from rerank.errors import SettingError
from rerank.records import Candidate, Comparison, PublicProblem, Score
from rerank.runs.folder import KEYS
from rerank.runs.judging import judge_pointwise
from rerank.store import Journal
from rerank.testing import FakeAutorater, FakeEngine, use_engines

PROBLEM = PublicProblem("t", "def f(x):\n", "f")
PROGRAMS = {"a": "def f(x):\n    return 1", "b": "def f(x):\n    return 2"}
REQUEST = GenerationRequest("t", "def f(x):", is_chat=False)


def test_the_examples_are_so():
    result = doctest.testmod(testing)
    assert result.attempted > 9
    assert result.failed == 0


def test_no_model_library_is_loaded():
    code = (
        "import sys, rerank.testing\n"
        "heavy = {'torch', 'transformers', 'numpy', 'vllm', 'ray', 'pytest'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_empty_queue_says_what_was_asked():
    with pytest.raises(LookupError, match=r"no verdict left for Prompt"):
        AUTORATERS["pointwise"](FakeEngine()).score(PROBLEM, PROGRAMS)
    with pytest.raises(LookupError, match=r"no sample left for GenerationRequest"):
        list(FakeEngine().generate([REQUEST], 1, Sampling()))


def test_samples_from_a_queue_and_from_a_function():
    whole = Sample("y", 9, "length", None)
    [(request, samples)] = FakeEngine(samples=["x", whole]).generate([REQUEST], 2, Sampling())
    assert (request, samples) == (REQUEST, [Sample("x", 1, "stop", -0.5), whole])
    engine = FakeEngine(samples=lambda request, index: f"{request.id}{index}")
    [(_, samples)] = engine.generate([REQUEST], 2, Sampling(seed=3))
    assert [sample.text for sample in samples] == ["t0", "t1"]
    assert (engine.requests, [each.seed for each in engine.samplings]) == ([REQUEST], [3])


def test_a_contest_asks_the_programs_and_then_the_pairs():
    engine = FakeEngine(verdicts=[2.0, 1.0, 0.5, -0.5])
    seen = []
    [played] = AUTORATERS["encoded-once"](engine).play_many(
        [(PROBLEM, PROGRAMS, lambda points: seen.append(points) or [("a", "b")])]
    )
    assert seen == [{"a": 2.0, "b": 1.0}]
    assert played.scores == [Score("t", "a", 2.0), Score("t", "b", 1.0)]
    # s(a) - s(b) + (f(a, b) - f(b, a)) / 2, see encoded_once.py
    assert played.comparisons == [Comparison("t", "a", "b", 1.5), Comparison("t", "b", "a", -1.5)]


def test_an_autorater_in_place_of_a_model():
    autorater = FakeAutorater(lambda _, key: {"a": -1.0, "b": "broken", "c": 1.0}[key])
    candidates = [Candidate("t", index, "", PROGRAMS["a"], key) for index, key in enumerate("abc")]
    scores, costs = (Journal(None, key=KEYS[name]) for name in ("scores", "costs"))
    [ranking] = judge_pointwise([PROBLEM], {"t": candidates}, lambda: autorater, scores=scores, costs=costs, passed={})
    assert ranking.best == 2
    assert autorater.asked == [("t", "a"), ("t", "b"), ("t", "c")]
    assert autorater.usage == Usage(3, 30, 15)


def test_an_autorater_compares_in_both_orders():
    autorater = FakeAutorater(itertools.cycle([1.0, "broken"]))
    [played] = autorater.play_many([(PROBLEM, PROGRAMS, lambda _: [("a", "b")])])
    assert played.comparisons == [Comparison("t", "a", "b", 1.0), Comparison("t", "b", "a", None, "broken")]
    assert autorater.asked == [("t", "a", "b"), ("t", "b", "a")]


def test_engines_are_given_back():
    before = dict(ENGINES)
    engine = FakeEngine()
    with use_engines(lambda *_: engine):
        assert open_engine("auto", "any") is open_engine("vllm", "any") is engine
        with pytest.raises(SettingError, match="unknown"):
            open_engine("none", "any")
    assert before == ENGINES
