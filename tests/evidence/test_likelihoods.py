"""Likelihoods of given programs: the engine's numbers against a naive loop, and the selectors made of them."""

import json
import logging
import math

import pytest
from command_line import figures, rerank, write

from rerank.backends.interface import EngineOptions, LikelihoodRequest
from rerank.errors import ModelError
from rerank.evidence.likelihoods import VALUES, Read, coder_request, is_degenerate, reviewer_request, words_of
from rerank.evidence.record import Evidence
from rerank.models import weights
from rerank.records import Candidate, PublicProblem
from rerank.runs.reviewing import require
from rerank.selection.selectors import select
from rerank.testing import FakeEngine

PROBLEM = PublicProblem("t", "def f(x):\n    '''Twice x.\n\n    >>> f(2)\n    4\n    '''\n", "f")
REQUESTS = [
    LikelihoodRequest("def add(a, b):\n", "    return a + b\n", is_chat=False),
    LikelihoodRequest("Add two numbers.", "def add(a, b):\n    for x in range(10):\n        print(x)\n", is_chat=True),
    LikelihoodRequest("Add two numbers.", "<|im_end|>", is_chat=True),
    LikelihoodRequest("def sub(a, b):\n", "", is_chat=False),
]


@pytest.fixture(scope="module")
def engine(tiny_model):
    from rerank.backends.hf.engine import TransformersEngine

    return TransformersEngine(weights.resolve(str(tiny_model)), EngineOptions(dtype="float32", device="cpu"))


def naive(engine, request):
    """Token by token, one whole forward pass each: (log-probability, self-certainty)."""
    import torch

    text, answer = engine.encoder.encode_pair(request.text, request.answer, is_chat=request.is_chat)
    total, certainty = 0.0, []
    for number, token in enumerate(answer):
        with torch.no_grad():
            logits = engine.model(input_ids=torch.tensor([[*text, *answer[:number]]])).logits[0, -1]
        shares = logits.double().log_softmax(-1)
        total += float(shares[token])
        uniform = torch.full_like(shares, -math.log(len(shares)))
        certainty.append(float((uniform.exp() * (uniform - shares)).sum()))
    return total, sum(certainty) / len(certainty) if certainty else None


@pytest.mark.parametrize("max_tokens", [1, 60, 10_000])
def test_batches_agree_with_a_naive_loop(engine, max_tokens, monkeypatch):
    monkeypatch.setattr(engine.reader, "_max_tokens", max_tokens)
    [found] = engine.likelihoods([REQUESTS])
    for request, each in zip(REQUESTS, found, strict=True):
        total, certainty = naive(engine, request)
        assert each.log_probability == pytest.approx(total, abs=1e-4)
        assert each.self_certainty == (None if certainty is None else pytest.approx(certainty, abs=1e-4))
    assert [each.num_tokens > 0 for each in found] == [True, True, True, False]
    assert found[2].num_tokens > 1, "text of a program never forges the end of the model's turn"


def test_what_does_not_fit_has_no_likelihood(engine):
    [[long, short]] = engine.likelihoods([[LikelihoodRequest("x", "y " * 9000, is_chat=False), REQUESTS[0]]])
    assert (long.log_probability, long.reason) == (None, "does not fit the context")
    assert short.log_probability is not None


def test_an_answer_after_nothing_has_no_likelihood(engine):
    """Its first token follows none, so nothing says how likely that is."""
    [[alone, after]] = engine.likelihoods([[LikelihoodRequest("", "x y", is_chat=False), REQUESTS[0]]])
    assert (alone.log_probability, alone.reason) == (None, "no text before it")
    assert after.log_probability is not None


def test_out_of_memory_halves_the_batch(engine, monkeypatch, caplog):
    [expected] = engine.likelihoods([REQUESTS])
    reader, asked = engine.reader, []
    read = type(reader)._read

    def scarce(self, pairs):
        asked.append(len(pairs))
        if len(pairs) > 1:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return read(self, pairs)

    monkeypatch.setattr(type(reader), "_read", scarce)
    monkeypatch.setattr(reader, "_max_tokens", 10_000)
    with caplog.at_level(logging.WARNING):
        [found] = engine.likelihoods([REQUESTS])
    assert [each.log_probability for each in found] == pytest.approx(
        [each.log_probability for each in expected], abs=1e-4
    )
    assert asked[0] == len(REQUESTS)
    assert "out of memory" in caplog.text
    monkeypatch.setattr(type(reader), "_read", lambda *_: (_ for _ in ()).throw(RuntimeError("can't allocate memory")))
    with pytest.raises(ModelError, match="not enough memory for one text"):
        engine.likelihoods([REQUESTS[:1]]).__next__()


def test_selectors():
    good = Read(-10.0, 10, -5.0, 5, 2.0)
    short = Read(-4.0, 2, -30.0, 5, 1.0)
    assert VALUES["coder-reviewer"](good) == -15.0
    assert VALUES["coder-reviewer-normalised"](good) == -2.0
    assert VALUES["coder-reviewer-normalised"](short) == -8.0
    assert VALUES["self-certainty"](short) == 1.0
    empty = Read(-1.0, 2, -1.0, 5, 3.0, is_degenerate=True)
    assert VALUES["coder-reviewer"](empty) is None
    assert VALUES["coder-reviewer"](Read(None, 0, -1.0, 5, None)) is None
    candidates = [Candidate("t", index, "", "", key) for index, key in enumerate(["short", "empty", "good", None])]
    evidence = Evidence(likelihoods={"good": good, "short": short, "empty": empty})
    assert select("coder-reviewer", PROBLEM, candidates, evidence).order == (2, 0, 1, 3)
    assert select("self-certainty", PROBLEM, candidates, evidence).order == (1, 2, 0, 3)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("def f(x):\n    pass", True),
        ("def f(x):\n    'Doc.'\n    return", True),
        ("def f(x):\n    return 2 * x", False),
        ("def f(x):\n" + "    x = x + 1\n" * 60 + "    return x", True),
    ],
)
def test_degenerate(program, expected):
    assert is_degenerate(program, "f") is expected


@pytest.mark.parametrize("is_chat", [True, False])
def test_requests(is_chat):
    coder = coder_request(PROBLEM, "def f(x):\n    return 2 * x", is_chat=is_chat)
    assert "Twice x." in coder.text
    assert "return 2 * x" in coder.answer
    reviewer = reviewer_request(PROBLEM, "def f(x):\n    return 2 * x", is_chat=is_chat)
    assert "return 2 * x" in reviewer.text
    assert "Twice" not in reviewer.text
    assert reviewer.answer == "Twice x.", "without its example"


@pytest.mark.parametrize(
    ("prompt", "kind", "expected"),
    [
        ("Double it.\nassert f(2) == 4\n", "text", "Double it."),
        ("async def f(x):\n    '''Twice x.'''\n", "function", "Twice x."),
        ("def f(x):\n    '''f(2) == 4'''\n", "function", "f(2) == 4"),  # there is nothing else
        ("def f(x):\n    ''' '''\n", "function", "def f(x):\n    ''' '''"),
        ("'''Double it.\n\n>>> f(2)\n4\n'''\ndef f(x):\n", "function", "'''Double it.\n'''\ndef f(x):"),
    ],
)
def test_words_of_a_problem(prompt, kind, expected):
    assert words_of(PublicProblem("t", prompt, "f", kind)) == expected


def test_an_engine_without_likelihoods():
    with pytest.raises(ModelError, match="--reviewer m: its backend shows no likelihoods"):
        require(FakeEngine(), "m")


def test_a_run_with_a_reviewer_goes_on_where_it_stopped(given, tmp_path, tiny_model):
    source, _ = given
    out = tmp_path / "run"
    options = (*source, "--autorater", "examples", "--reviewer", tiny_model, "--out", out, "--json")
    found = figures(rerank("run", *options))
    assert set(VALUES) <= set(found)
    path = out / "likelihoods.jsonl"
    lines = path.read_text().splitlines()
    assert {json.loads(line)["task_id"] for line in lines} == {"toy/0", "toy/1", "toy/2"}
    write(path, [json.loads(line) for line in lines[:-1]])  # as after a kill: the last problem is read again
    assert figures(rerank("run", *options)) == found
    assert sorted(path.read_text().splitlines()) == sorted(lines)
    costs = [json.loads(line) for line in (out / "costs.jsonl").read_text().splitlines()]
    assert sum(row["num_prompts"] for row in costs if row["stage"] == "likelihoods") > 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("self-certainty", "needs a model's likelihoods; give --reviewer"),
        ("codet", "needs written tests; give --tests"),
    ],
)
def test_selectors_that_lack_their_evidence(given, tmp_path, name, message):
    result = rerank("run", *given[0], "--autorater", name, "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert message in result.output
