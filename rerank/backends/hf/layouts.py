"""Judgments as blocks of tokens: what is shared is written once, and each block says what it may look at.

A `Layout` holds what is asked about one problem. Its tokens stand in blocks, and blocks in a tree: a token attends to
its own block up to itself, and to the whole of the blocks above. Positions are given too, so that a block is computed
exactly as if only the blocks above stood before it. A block's descendants follow it at once, so those that attend to a
token end where its block's subtree does: one number a token is the whole mask. No model here: `backends.block_mask`
runs layouts, training and inference alike.

    prompt tree     prompts that begin alike share their beginning, token by token (pointwise: the problem, and what
                    programs begin with; pairwise: the first candidate as well). The same numbers as one prompt at a
                    time. Known as tree attention, as in "SpecInfer" (arXiv 2305.09781), section 4.

    encoded-once    problem ─┬─ program a ─┬─ question           -> pointwise log-odds s(a)
                             │             ├─ first link          "A"
                             │             └─ second link         "B"
                             ├─ program b ...  (as a, at the same positions, blind to a)
                             └─ verdict (a, b): under a's first link and b's second    -> f(a, b)

Both programs of a pair stand at the same positions, so a verdict could not tell them apart by place. The links can:
each program is followed by two short texts that read it, one naming it A and one naming it B, and the verdict on (a, b)
sees a's first and b's second with all above them. They cost 2 N blocks, not N(N-1). The comparison is then

    log-odds that a is better  =  s(a) - s(b) + (f(a, b) - f(b, a)) / 2

which is antisymmetric to the bit, since x - y and y - x differ in sign alone in floating point. It starts where the
pointwise scores are and learns what they miss.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rerank import prompts
from rerank.backends.encoding import EncodedPrompt, PromptEncoder
from rerank.prompts import Prompt
from rerank.records import PublicProblem

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A run of tokens that see the same."""

    tokens: Tokens
    start: int  # position id of the first token; the others follow
    parents: tuple[int, ...] = ()  # earlier blocks of the layout, which it sees with all above them; a verdict has two

    @property
    def stop(self) -> int:
        return self.start + len(self.tokens)


@dataclass(frozen=True, slots=True)
class Layout:
    """The blocks of one problem and where its answers are read: at the last token of the blocks named.

    Depth first: a block with one parent stands behind that parent or behind another descendant of it. Blocks with two
    parents stand last. Raises ValueError where this does not hold.
    """

    blocks: tuple[Block, ...]
    ends: tuple[int, ...]  # for each prompt, in order
    links: tuple[tuple[int, int], ...] = ()  # encoded-once: for each program, its first and its second link
    verdicts: tuple[int, ...] = ()  # encoded-once, written out for training: for each ordered pair, in order

    def __post_init__(self) -> None:
        path: list[int] = []  # from the root to the block before
        is_tree = True
        for number, block in enumerate(self.blocks):
            is_tree &= len(block.parents) < 2
            if not is_tree:
                if len(block.parents) != 2 or max(block.parents) >= number:
                    raise ValueError(f"block {number}: blocks of two parents stand last, after both")
                continue
            while path and path[-1:] != [*block.parents]:
                path.pop()
            if path[-1:] != [*block.parents]:
                raise ValueError(f"block {number}: not behind its parent, depth first")
            path.append(number)

    @property
    def num_tokens(self) -> int:
        return sum(len(block.tokens) for block in self.blocks)


def tree(sequences: Sequence[Tokens]) -> Layout:
    """Token sequences, none empty, as a tree in which each shared beginning stands once.

    >>> layout = tree([(1, 2, 3), (1, 2, 4, 5)])
    >>> [(block.tokens, block.start, block.parents) for block in layout.blocks], layout.ends
    ([((1, 2), 0, ()), ((3,), 2, (0,)), ((4, 5), 2, (0,))], (1, 2))
    """
    blocks: list[Block] = []
    ends = [0] * len(sequences)
    # Members of an entry, in sorted order, share their first `depth` tokens, which `parent` and its ancestors spell.
    open_: list[tuple[list[int], int, int | None]] = [(_sorted(sequences), 0, None)] if sequences else []
    while open_:
        members, depth, parent = open_.pop()
        first = sequences[members[0]]
        stop = num_shared(first, sequences[members[-1]], depth)
        if stop > depth:
            blocks.append(Block(first[depth:stop], depth, () if parent is None else (parent,)))
            parent = len(blocks) - 1
        longer = []
        for index in members:
            if len(sequences[index]) > stop:
                longer.append(index)
            elif parent is not None:
                ends[index] = parent
        parts = [list(part) for _, part in groupby(longer, key=lambda index: sequences[index][stop])]
        open_ += [(part, stop, parent) for part in reversed(parts)]
    return Layout(tuple(blocks), tuple(ends))


@dataclass(frozen=True, slots=True)
class Part:
    """Some of many sequences that are laid out together."""

    members: tuple[int, ...]
    num_new: tuple[int, ...]  # for each member: its tokens that none before it had paid for


def parts(sequences: Sequence[Tokens], *, max_tokens: int) -> Iterator[Part]:
    """Split sequences so that the tree of each part has at most `max_tokens` (a longer sequence goes alone).

    Parts depend on the set of sequences only, not on their order.
    """
    members: list[int] = []
    num_new: list[int] = []
    for index in _sorted(sequences):
        new = len(sequences[index])
        if members:
            new -= num_shared(sequences[members[-1]], sequences[index], 0)
            if sum(num_new) + new > max_tokens:
                yield Part(tuple(members), tuple(num_new))
                members, num_new, new = [], [], len(sequences[index])
        members.append(index)
        num_new.append(new)
    if members:
        yield Part(tuple(members), tuple(num_new))


def num_shared(a: Tokens, b: Tokens, start: int) -> int:
    """Length of the common beginning of two sequences that are known to share their first `start` tokens."""
    stop = min(len(a), len(b))
    while start < stop:  # what is shared ends between the two
        middle = (start + stop + 1) // 2
        if a[start:middle] == b[start:middle]:
            start = middle
        else:
            stop = middle - 1
    return start


def _sorted(sequences: Sequence[Tokens]) -> list[int]:
    return sorted(range(len(sequences)), key=sequences.__getitem__)


def prompt_tree(encoder: PromptEncoder, asked: Sequence[Prompt]) -> Layout:
    return tree([encoder.encode(prompt).tokens for prompt in asked])


def pointwise(encoder: PromptEncoder, problem: PublicProblem, programs: Sequence[str]) -> Layout:
    """One question for each program, the problem shared."""
    return prompt_tree(encoder, [prompts.pointwise(problem, program) for program in programs])


def joint(
    encoder: PromptEncoder, problem: PublicProblem, programs: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> Layout:
    """One question for each ordered pair of programs; the problem, and a first program that returns, are shared."""
    return prompt_tree(encoder, [prompts.pairwise(problem, programs[a], programs[b]) for a, b in pairs])


def linked(encoder: PromptEncoder, asked: Sequence[EncodedPrompt]) -> Layout:
    """Pointwise prompts of one problem, each program followed by its two links as well."""
    count = len(asked)
    links = [[prompt.shown + encoder(text) for prompt in asked] for text in (prompts.FIRST_LINK, prompts.SECOND_LINK)]
    layout = tree([*(prompt.tokens for prompt in asked), *links[0], *links[1]])
    firsts, seconds = layout.ends[count : 2 * count], layout.ends[2 * count :]
    return replace(layout, ends=layout.ends[:count], links=tuple(zip(firsts, seconds, strict=True)))


def encoded_once(
    encoder: PromptEncoder, problem: PublicProblem, programs: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> Layout:
    """`pointwise`, then a verdict for each ordered pair; a comparison needs a pair in both orders."""
    layout = linked(encoder, [encoder.encode(prompts.pointwise(problem, program)) for program in programs])
    blocks = list(layout.blocks)
    for a, b in pairs:
        parents = layout.links[a][0], layout.links[b][1]
        start = max(layout.blocks[parent].stop for parent in parents)
        blocks.append(Block(encoder(prompts.VERDICT), start, parents))
    verdicts = range(len(layout.blocks), len(blocks))
    return replace(layout, blocks=tuple(blocks), verdicts=tuple(verdicts))


def comparison(point_first: float, point_second: float, forward: float, backward: float) -> float:
    """Log-odds that the first is better, from its two pointwise and two verdict log-odds (the module's formula).

    Works on floats and tensors. Bit for bit the negative of the call with both pairs swapped:

    >>> comparison(0.5, 0.2, 0.1, 0.4) == -comparison(0.2, 0.5, 0.4, 0.1)
    True
    """
    return (point_first - point_second) + (forward - backward) / 2
