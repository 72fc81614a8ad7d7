"""Passes as CUDA graphs: which are captured, and what a replay takes in and gives back. The device is faked here."""

from contextlib import nullcontext
from dataclasses import replace
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rerank import prompts
from rerank.backends.encoding import PromptEncoder
from rerank.backends.hf import block_mask, graphs, layouts
from rerank.records import PublicProblem

PROGRAMS = [f"def f(a):\n    return a + {number}" for number in (1, 22, 333)]
PAIRS = np.array(list(permutations(range(3), 2)))


@pytest.fixture(scope="module")
def model(tiny_model):
    return block_mask.load(tiny_model).eval()


@pytest.fixture(scope="module")
def encoder(tiny_model):
    from transformers import AutoTokenizer

    return PromptEncoder(AutoTokenizer.from_pretrained(tiny_model), model="tiny", max_prompt_tokens=2000)


def on_gpu(num_tokens, **changes):
    shape = {"num_tokens": num_tokens, "memory": None, "kept": None, "attention": "flex", "mask": block_mask.Mask(0, 0)}
    return SimpleNamespace(**shape | {"input_ids": SimpleNamespace(is_cuda=True)} | changes)


@pytest.fixture
def passes(monkeypatch):
    """Passes that say how they were run; `captures` lists the lengths that were captured."""

    def capture(_, packed):
        captures.append(packed.num_tokens)
        if packed.num_tokens > 512:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")
        return lambda _: "graph"

    captures = []
    monkeypatch.setattr(graphs, "_Graph", capture)
    monkeypatch.setattr(block_mask, "hidden_states", lambda *_: "kernels")
    made = graphs.GraphedPasses(None)
    made.captures = captures
    return made


def test_a_shape_is_captured_when_it_has_come_some_times(passes):
    usual = ["kernels"] * graphs._USUAL
    assert [passes(on_gpu(256)) for _ in range(6)] == [*usual, "graph", "graph", "graph"]
    assert [passes(on_gpu(128)) for _ in range(4)] == [*usual, "graph"]
    assert passes.captures == [256, 128]
    passes.clear()
    assert [passes(on_gpu(256)) for _ in range(4)] == [*usual, "graph"]


@pytest.mark.parametrize(
    "changes", [{"attention": "dense"}, {"input_ids": SimpleNamespace(is_cuda=False)}], ids=["dense", "on a CPU"]
)
def test_other_passes_are_never_captured(passes, changes):
    assert {passes(on_gpu(256, **changes)) for _ in range(9)} == {"kernels"}
    assert passes.captures == []


def test_a_capture_that_fails_is_the_last(passes):
    assert {passes(on_gpu(1024)) for _ in range(9)} == {"kernels"}
    assert {passes(on_gpu(256)) for _ in range(9)} == {"kernels"}
    assert passes.captures == [1024]


def read(encoder, text):
    encoded = [encoder.encode(prompts.pointwise(PublicProblem("p", text, "f", "text"), each)) for each in PROGRAMS]
    return block_mask.pack([layouts.linked(encoder, encoded)], num_tokens=384, attention="flex", keep=True, step=64)


def ask(kept, *pairs):
    return block_mask.ask(
        kept, [*enumerate(pairs)], question=(7, 8, 9), attention="flex", num_tokens=64, num_kept=1024, step=16
    )


def replayed(model, packed):
    """A graph whose replay runs the captured pass again, into the tensors that it was captured with."""
    graph = graphs._Graph(model, packed)
    own = graph._pack
    written = [*own.kept.layers] if own.kept else []

    def replay():
        own._masks.clear()
        again = replace(own, kept=own.kept and replace(own.kept, layers=[]))
        graph._hidden.copy_(block_mask.hidden_states(model, again))
        for layer, values in zip(written, again.kept.layers if again.kept else [], strict=True):
            for tensor, value in zip(layer, values, strict=True):
                tensor.copy_(value)

    graph._graph = SimpleNamespace(replay=replay)
    return graph


@torch.inference_mode()
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_a_replay_takes_in_what_differs_and_leaves_other_passes_alone(model, encoder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: None)
    for name in ("graph", "device", "Stream"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, **__: nullcontext())
    texts = ["Add a number to a.", "Add another number to a, which may be negative.", "Add."]
    plain, packs = [], [read(encoder, text) for text in texts]
    for text in texts:
        packed = read(encoder, text)
        plain.append((block_mask.hidden_states(model, packed), packed.kept))
    captured = read(encoder, texts[0])
    run = replayed(model, captured)
    for packed, (states, _) in zip(packs, plain, strict=True):
        torch.testing.assert_close(run(packed), states)
    for packed, (_, kept) in zip(packs, plain, strict=True):  # after all of them: none wrote into another's
        torch.testing.assert_close(packed.kept.layers, kept.layers)
    torch.testing.assert_close(captured.inputs, read(encoder, texts[0]).inputs)

    first, second, third = (kept for _, kept in plain)
    run = replayed(model, ask([first, second], PAIRS, PAIRS))
    for kept, pairs in (([second, third], [PAIRS, PAIRS[::-1]]), ([third], [PAIRS]), ([first, second], [PAIRS, PAIRS])):
        asked = ask(kept, *pairs)
        at = asked.verdicts[0]  # the padding sees itself alone
        torch.testing.assert_close(run(asked)[at], block_mask.hidden_states(model, asked)[at])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_graphs_and_kernels_give_the_same_bits_alone_and_in_company(tiny_model, monkeypatch):
    from rerank.backends.hf.engine import TransformersEngine
    from rerank.backends.interface import Contest, EngineOptions
    from rerank.models import weights

    monkeypatch.setattr(graphs, "_USUAL", 1)
    options = EngineOptions(dtype="bfloat16", device="cuda", max_batch_tokens=2048)
    engine = TransformersEngine(weights.resolve(str(tiny_model)), options)
    problems = [PublicProblem(f"p/{n}", f"Add {n} to a." * (n % 7 + 1), "f", "text") for n in range(40)]
    contests = [
        Contest([prompts.pointwise(problem, program) for program in PROGRAMS], lambda _: PAIRS.tolist())
        for problem in problems
    ]

    def results(order):
        found = engine.contest_log_odds([contests[at] for at in order])
        return {
            at: ([answer.log_odds for answer in each.points], each.verdicts)
            for at, each in zip(order, found, strict=True)
        }

    everything = range(len(contests))
    captured = results(everything)
    assert len(engine.judge._passes._graphs) == 2  # one reads, one asks
    assert results(everything[::-1]) == captured
    assert results(everything[5:17]) == {at: captured[at] for at in everything[5:17]}
    monkeypatch.setattr(engine.judge, "_passes", lambda packed: block_mask.hidden_states(engine.model, packed))
    assert results(everything) == captured
    assert {at: results([at])[at] for at in everything[:6]} == {at: captured[at] for at in everything[:6]}
