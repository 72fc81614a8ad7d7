"""Packed against one at a time. float32 on a CPU: equal up to the rounding of larger matrix products."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from rerank import prompts
from rerank.backends.encoding import PromptEncoder
from rerank.backends.hf import block_mask, layouts
from rerank.backends.hf.layouts import Block, Layout
from rerank.errors import ModelError
from rerank.prompts import Prompt
from rerank.records import PublicProblem
from rerank.training.scorer.batch import Scorer, collate, loss_sums
from rerank.training.scorer.inputs import Example, Target

TOLERANCE = 1e-5  # of logits of size 1 to 10, and of gradients relative to their largest
PROBLEMS = [PublicProblem(f"p/{n}", f"Add {n} to a." * (n + 1), "f", "text") for n in range(3)]
PROGRAMS = [f"def f(a):\n    return a {sign} {number}" for sign in "+-" for number in (1, 22, 333)]
PAIRS = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)]


@pytest.fixture(scope="module")
def encoder(base: Path) -> PromptEncoder:
    return PromptEncoder(AutoTokenizer.from_pretrained(base), model="tiny", max_prompt_tokens=4096)


@pytest.fixture(scope="module")
def model(base: Path):
    return block_mask.load(base).eval()


@pytest.fixture(scope="module")
def plain(base: Path):
    """The same weights under transformers' own causal attention."""
    return AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager").eval()


def alone(plain, encoder: PromptEncoder, prompt: Prompt) -> torch.Tensor:
    """Logits of the prompt's answers, from its own sequence: (answers,)."""
    tokens = encoder.encode(prompt).tokens
    return plain(torch.tensor([tokens])).logits[0, -1][list(encoder.answer_ids(prompt.answers))]


def packed_logits(model, asked: list[Layout], answers: tuple[int, ...], **options: object) -> list[torch.Tensor]:
    packed = block_mask.pack(asked, **options)  # type: ignore[arg-type]
    hidden = block_mask.hidden_states(model, packed)
    ids = torch.tensor(answers)
    reads = [torch.cat(ends) for ends in zip(packed.ends, packed.verdicts, strict=True)]
    return [block_mask.answer_logits(model, hidden[where], ids) for where in reads]


@torch.no_grad()
def test_packed_prompts_answer_as_each_alone(model, plain, encoder: PromptEncoder) -> None:
    pointwise = [layouts.pointwise(encoder, problem, PROGRAMS) for problem in PROBLEMS]
    for problem, logits in zip(
        PROBLEMS, packed_logits(model, pointwise, encoder.answer_ids(("Yes", "No"))), strict=True
    ):
        expected = [alone(plain, encoder, prompts.pointwise(problem, program)) for program in PROGRAMS]
        torch.testing.assert_close(logits, torch.stack(expected), atol=TOLERANCE, rtol=TOLERANCE)
    joint = [layouts.joint(encoder, problem, PROGRAMS, PAIRS) for problem in PROBLEMS]
    for problem, logits in zip(PROBLEMS, packed_logits(model, joint, encoder.answer_ids(("A", "B"))), strict=True):
        asked = [prompts.pairwise(problem, PROGRAMS[a], PROGRAMS[b]) for a, b in PAIRS]
        expected = [alone(plain, encoder, prompt) for prompt in asked]
        torch.testing.assert_close(logits, torch.stack(expected), atol=TOLERANCE, rtol=TOLERANCE)


def test_packed_gradients_are_the_sum_of_each_alone(base: Path, plain, encoder: PromptEncoder) -> None:
    yes_no = encoder.answer_ids(("Yes", "No"))
    examples = []
    for problem in PROBLEMS:
        layout = layouts.pointwise(encoder, problem, PROGRAMS)
        targets = tuple(Target(end, -1, yes_no, index % 2) for index, end in enumerate(layout.ends))
        examples.append(Example(problem.task_id, layout, targets))
    scorer = Scorer(block_mask.load(base))
    batch = collate(examples, encoder)
    loss_sums(batch, *scorer(batch.packed, batch.reads, batch.answers, batch.open_reads))["answer"].backward()
    plain.zero_grad()
    total = 0.0
    for problem in PROBLEMS:
        for index, program in enumerate(PROGRAMS):
            logits = alone(plain, encoder, prompts.pointwise(problem, program))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                logits[0] - logits[1], torch.tensor(float(index % 2 == 0))
            )
            loss.backward()
            total += loss.item()
    assert total > 0
    for (name, ours), (_, theirs) in zip(scorer.model.named_parameters(), plain.named_parameters(), strict=True):
        largest = float(theirs.grad.abs().max())
        torch.testing.assert_close(
            ours.grad, theirs.grad, atol=TOLERANCE * largest, rtol=0, msg=lambda m, n=name: n + m
        )
    plain.zero_grad()


@torch.no_grad()
@pytest.mark.parametrize("form", [layouts.pointwise, layouts.encoded_once])
def test_no_candidate_sees_another(model, encoder: PromptEncoder, form) -> None:
    """Another program of as many tokens in B's place: the same bits for everybody else."""
    ids = encoder.answer_ids(("Yes", "No"))
    other = [*PROGRAMS]
    other[1] = other[1].replace("22", "29")  # at the same place among the others
    assert len(encoder(other[1])) == len(encoder(PROGRAMS[1]))
    arguments = (PAIRS,) if form is layouts.encoded_once else ()
    [before] = packed_logits(model, [form(encoder, PROBLEMS[0], PROGRAMS, *arguments)], ids)
    [after] = packed_logits(model, [form(encoder, PROBLEMS[0], other, *arguments)], ids)
    sees_b = {1} | {len(PROGRAMS) + index for index, pair in enumerate(PAIRS) if 1 in pair and arguments}
    for index, (x, y) in enumerate(zip(before, after, strict=True)):
        assert torch.equal(x, y) == (index not in sees_b), index


@torch.no_grad()
def test_encoded_once_scores_programs_as_pointwise_does(model, encoder: PromptEncoder) -> None:
    ids = encoder.answer_ids(("Yes", "No"))
    [once] = packed_logits(model, [layouts.encoded_once(encoder, PROBLEMS[1], PROGRAMS, PAIRS)], ids)
    [point] = packed_logits(model, [layouts.pointwise(encoder, PROBLEMS[1], PROGRAMS)], ids)
    torch.testing.assert_close(once[: len(PROGRAMS)], point, atol=TOLERANCE, rtol=TOLERANCE)


@torch.no_grad()
def test_encoded_once_is_antisymmetric_to_the_bit_and_tells_first_from_second(model, encoder: PromptEncoder) -> None:
    ids = encoder.answer_ids(("A", "B"))
    [logits] = packed_logits(model, [layouts.encoded_once(encoder, PROBLEMS[0], PROGRAMS, PAIRS)], ids)
    log_odds = logits[:, 0] - logits[:, 1]
    points, verdicts = log_odds[: len(PROGRAMS)], dict(zip(PAIRS, log_odds[len(PROGRAMS) :], strict=True))
    for a, b in PAIRS:
        forward = layouts.comparison(points[a], points[b], verdicts[a, b], verdicts[b, a])
        backward = layouts.comparison(points[b], points[a], verdicts[b, a], verdicts[a, b])
        assert torch.equal(forward, -backward)
        assert abs(verdicts[a, b] - verdicts[b, a]) > 1e-3


@torch.no_grad()
def test_what_else_is_packed_and_padding_do_not_matter(model, encoder: PromptEncoder) -> None:
    ids = encoder.answer_ids(("Yes", "No"))
    each = [layouts.encoded_once(encoder, problem, PROGRAMS, PAIRS) for problem in PROBLEMS]
    together = packed_logits(model, each, ids, num_tokens=4096)
    for layout, logits in zip(each, together, strict=True):
        [single] = packed_logits(model, [layout], ids)
        torch.testing.assert_close(logits, single, atol=TOLERANCE, rtol=TOLERANCE)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_attention_computes_the_same(model, encoder: PromptEncoder) -> None:
    ids = encoder.answer_ids(("Yes", "No"))
    each = [layouts.encoded_once(encoder, problem, PROGRAMS, PAIRS) for problem in PROBLEMS]
    flex = packed_logits(model, each, ids, num_tokens=2048, attention="flex")
    for ours, dense in zip(flex, packed_logits(model, each, ids), strict=True):
        torch.testing.assert_close(ours, dense, atol=TOLERANCE, rtol=TOLERANCE)


def attended(each: list[Layout], num_tokens: int) -> torch.Tensor:
    """Who attends to whom, (queries, keys), from the parents alone: oneself so far, and all blocks above."""
    allowed = torch.eye(num_tokens, dtype=torch.bool)
    base = 0
    for layout in each:
        runs, above = [], []
        for block in layout.blocks:
            own = range(base, base + len(block.tokens))
            base = own.stop
            seen = {token for parent in block.parents for token in (*above[parent], *runs[parent])}
            runs.append(own)
            above.append(seen)
            for token in own:
                allowed[token, [*seen, *range(own.start, token + 1)]] = True
    return allowed


@pytest.mark.parametrize("size", [64, 128])
def test_the_tiles_are_those_of_the_mask(encoder: PromptEncoder, size: int) -> None:
    long = replace(PROBLEMS[0], prompt="Add 1 to a. " * 40)
    each = [layouts.encoded_once(encoder, problem, PROGRAMS, PAIRS) for problem in (*PROBLEMS[:2], long)]
    packed = block_mask.pack(each, num_tokens=2048, attention="flex")
    mask = packed.mask.tiles(size)
    query, key = torch.meshgrid(torch.arange(2048), torch.arange(2048), indexing="ij")
    allowed = mask.mask_mod(0, 0, query, key)
    assert torch.equal(allowed, attended(each, 2048))
    # A tile that only a verdict sees whole is tested token by token.
    above = replace(packed.mask, paths=None).rule(0, 0, query, key)
    some = allowed.unfold(0, size, size).unfold(1, size, size).any(dim=(2, 3))  # (rows, rows)
    full = above.unfold(0, size, size).unfold(1, size, size).flatten(2).all(dim=2)
    num_rows = 2048 // size
    for row in range(num_rows):
        partial = set(mask.kv_indices[0, 0, row, : mask.kv_num_blocks[0, 0, row]].tolist())
        whole = set(mask.full_kv_indices[0, 0, row, : mask.full_kv_num_blocks[0, 0, row]].tolist())
        assert whole == set(full[row].nonzero()[:, 0].tolist())
        assert partial >= set((some & ~full)[row].nonzero()[:, 0].tolist())
        assert not partial & whole
    visited = int(mask.kv_num_blocks.sum() + mask.full_kv_num_blocks.sum())
    assert 0 < int(full.sum()) < int(some.sum()) <= visited < 1.5 * int(some.sum()) < num_rows * (num_rows + 1) / 2


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_layouts_at_multiples_of_a_step_answer_as_side_by_side(model, encoder: PromptEncoder) -> None:
    ids = encoder.answer_ids(("Yes", "No"))
    each = [layouts.encoded_once(encoder, problem, PROGRAMS, PAIRS) for problem in PROBLEMS]
    packed = block_mask.pack(each, num_tokens=2048, step=64)
    starts = [own[0] for own in packed.firsts]
    assert [start % 64 for start in starts] == [0, 0, 0]
    assert all(layout.num_tokens % 64 for layout in each)  # so that there is padding behind each
    holds = torch.zeros(2048, dtype=torch.bool)
    for start, layout in zip(starts, each, strict=True):
        holds[start : start + layout.num_tokens] = True
    query, key = torch.meshgrid(torch.arange(2048), torch.arange(2048), indexing="ij")
    allowed = packed.mask.rule(0, 0, query, key)
    assert torch.equal(allowed[holds][:, holds], attended(each, int(holds.sum())))
    others = allowed & ~torch.eye(2048, dtype=torch.bool)
    assert not others[~holds].any()  # the padding sees itself alone
    assert not others[:, ~holds].any()  # and nothing else sees it
    flex = packed_logits(model, each, ids, num_tokens=2048, step=64, attention="flex")
    for ours, dense in zip(flex, packed_logits(model, each, ids), strict=True):
        torch.testing.assert_close(ours, dense, atol=TOLERANCE, rtol=TOLERANCE)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("length", [1, 3, 5, 16, 20])
def test_questions_within_a_step_are_answered_as_side_by_side(model, encoder: PromptEncoder, length: int) -> None:
    ids = torch.tensor(encoder.answer_ids(("A", "B")))
    asked = [
        [encoder.encode(prompts.pointwise(problem, program)) for program in PROGRAMS[:size]]
        for problem, size in zip(PROBLEMS, (4, 2, 3), strict=True)
    ]
    read = block_mask.pack(
        [layouts.linked(encoder, own) for own in asked], num_tokens=1024, attention="flex", keep=True, step=64
    )
    block_mask.hidden_states(model, read)
    pairs = [(n, np.array(list(permutations(range(len(own)), 2)))) for n, own in enumerate(asked)]
    question, logits = torch.arange(7, 7 + length), []
    for step in (1, 16):
        packed = block_mask.ask(
            [read.kept], pairs, question=question.tolist(), attention="flex", step=step, num_tokens=1024
        )
        at = packed.verdicts[0][:, None] + torch.arange(1 - length, 1)  # (pairs, length)
        assert torch.equal(packed.input_ids[0, at], question.expand(at.shape))
        assert len(at.unique()) == at.numel()
        if step == 16 and length <= 16:
            assert torch.equal(at[:, 0] // 16, at[:, -1] // 16)
        elif step == 16:
            assert not (at[:, 0] % 16).any()
        room = block_mask.question_tokens(len(at), length, step)
        assert room - step <= int(at.max()) < room
        assert room % step == 0
        hidden = block_mask.hidden_states(model, packed)[packed.verdicts[0]]
        logits.append(block_mask.answer_logits(model, hidden, ids))
    torch.testing.assert_close(logits[1], logits[0], atol=TOLERANCE, rtol=TOLERANCE)
    assert len(logits[0].unique(dim=0)) == len(at)  # a verdict in another's place would be seen


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40).map(tuple), min_size=1, max_size=30))
def test_dense_attention_gives_each_branch_all_that_it_may_see(sequences) -> None:
    packed = block_mask.pack([layouts.tree(sequences), layouts.tree(sequences[:2])], num_tokens=1300)
    query, key = torch.meshgrid(torch.arange(packed.num_tokens), torch.arange(packed.num_tokens), indexing="ij")
    allowed = packed.mask.rule(0, 0, query, key)
    begin = 0
    for span in packed.spans:
        assert span.queries.start == begin < span.queries.stop
        begin = span.queries.stop
        given_keys = torch.zeros(packed.num_tokens, dtype=torch.bool)
        for run in span.keys:
            assert not given_keys[run].any()
            given_keys[run] = True
        assert not allowed[span.queries, ~given_keys].any()
    assert begin == packed.num_tokens


def test_dense_attention_leaves_out_what_branches_do_not_see(encoder: PromptEncoder) -> None:
    body = "    a += 1\n" * 40
    long = [f"def f(a):\n{body}    return a {sign} {n}" for sign in "+-" for n in range(3)]
    layout = layouts.joint(encoder, PROBLEMS[0], long, [(a, b) for a in range(6) for b in range(6) if a != b])
    spans = block_mask.pack([layout]).spans
    size = sum(
        (span.queries.stop - span.queries.start) * sum(run.stop - run.start for run in span.keys) for span in spans
    )
    assert size < layout.num_tokens**2 / 3


def test_shared_beginnings_are_written_once(encoder: PromptEncoder) -> None:
    layout = layouts.pointwise(encoder, PROBLEMS[0], [*PROGRAMS, PROGRAMS[0]])
    asked = [encoder.encode(prompts.pointwise(PROBLEMS[0], program)).tokens for program in PROGRAMS]
    beginnings = {tokens[:length] for tokens in asked for length in range(1, len(tokens) + 1)}
    assert layout.num_tokens == len(beginnings)
    assert layout.ends[-1] == layout.ends[0]


TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=8).map(tuple)


@given(st.lists(TOKENS, min_size=1, max_size=8))
def test_every_sequence_reads_itself_in_its_tree(sequences) -> None:
    """Walking from a sequence's end up to the root spells the sequence, at positions 0, 1, 2..."""
    layout = layouts.tree(sequences)
    assert layout.num_tokens == len({tokens[: n + 1] for tokens in sequences for n in range(len(tokens))})
    for end, tokens in zip(layout.ends, sequences, strict=True):
        path = [end]
        while layout.blocks[path[0]].parents:
            path[:0] = layout.blocks[path[0]].parents
        assert path == sorted(path)
        assert tuple(token for index in path for token in layout.blocks[index].tokens) == tokens
        assert [layout.blocks[index].start for index in path[1:]] == [layout.blocks[index].stop for index in path[:-1]]


@given(st.lists(TOKENS, min_size=1, max_size=8), st.integers(1, 20), st.randoms())
def test_parts_fit_and_do_not_depend_on_the_order(sequences, max_tokens, random) -> None:
    found = list(layouts.parts(sequences, max_tokens=max_tokens))
    assert sorted(index for part in found for index in part.members) == list(range(len(sequences)))
    for part in found:
        own = [sequences[index] for index in part.members]
        assert layouts.tree(own).num_tokens == sum(part.num_new)
        assert sum(part.num_new) <= max_tokens or len(own) == 1
    shuffled = random.sample(sequences, len(sequences))
    again = layouts.parts(shuffled, max_tokens=max_tokens)
    assert [[sequences[i] for i in part.members] for part in found] == [[shuffled[i] for i in p.members] for p in again]


def test_models_and_tokenizers_that_do_not_fit_are_refused(base: Path, encoder: PromptEncoder, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="where one is needed"):
        encoder.answer_ids(("Yes", "Certainly not"))
    plain = AutoModelForCausalLM.from_pretrained(base)
    plain.config.use_sliding_window, plain.config.sliding_window = True, 16
    plain.config.layer_types = ["full_attention", "sliding_attention"]
    plain.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="sliding_attention"):
        block_mask.load(tmp_path)


@pytest.mark.parametrize(
    ("parents", "fault"),
    [
        ([(), (0,), (0,), (1,)], "block 3: not behind its parent"),
        ([(), (1,)], "block 1: not behind its parent"),
        ([(), (0,), (0, 1), (0,)], "block 3: blocks of two parents stand last"),
        ([(), (0, 2)], "block 1: blocks of two parents stand last"),
    ],
)
def test_blocks_in_another_order_are_refused(parents, fault) -> None:
    with pytest.raises(ValueError, match=fault):
        Layout(tuple(Block((1,), 0, each) for each in parents), ends=())
