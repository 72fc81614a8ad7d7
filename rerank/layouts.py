"""Judgments as blocks of tokens: what is shared is written once, and each block says what it may look at.

A `Layout` holds everything that is asked about one problem. Its tokens stand in blocks; a token attends to its own
block up to itself and to the whole of every block that its own `sees`. Positions are given too, so that a block is
computed exactly as if only the blocks that it sees stood before it. No model here: `backends.block_mask` runs layouts,
training and inference alike.

    prompt tree     prompts that begin alike share their beginning (pointwise: the problem; pairwise: the first
                    candidate as well). The same numbers as one prompt at a time.

    encoded-once    problem ─┬─ program a ─┬─ question           -> pointwise log-odds s(a)
                             │             ├─ first link          "this is A"
                             │             └─ second link         "this is B"
                             ├─ program b ...  (as a, at the same positions, blind to a)
                             └─ verdict (a, b): sees problem, a, b, first link of a, second link of b -> f(a, b)

Both programs of a pair stand at the same positions, so a verdict could not tell them apart by place. The links can:
each program is followed by two short texts that read it, one naming it A and one naming it B, and the verdict on (a, b)
sees a's first and b's second. They cost 2 N blocks, not N(N-1). The comparison is then

    log-odds that a is better  =  s(a) - s(b) + (f(a, b) - f(b, a)) / 2

which is antisymmetric to the bit, since x - y and y - x differ in sign alone in floating point. It starts where the
pointwise scores are and learns what they miss.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rerank import prompts
from rerank.errors import ModelError
from rerank.prompts import Prompt
from rerank.records import PublicProblem

FIRST_LINK = "\n\nThis is solution A."
SECOND_LINK = "\n\nThis is solution B."
VERDICT = "\n\nbetter:"


@dataclass(frozen=True, slots=True)
class Block:
    """A run of tokens that see the same."""

    tokens: tuple[int, ...]
    start: int  # position id of the first token; the others follow
    sees: tuple[int, ...] = ()  # earlier blocks of the layout, all of whose tokens these may attend to

    @property
    def stop(self) -> int:
        return self.start + len(self.tokens)


@dataclass(frozen=True, slots=True)
class Layout:
    """The blocks of one problem and where its answers are read: at the last token of the blocks named."""

    blocks: tuple[Block, ...]
    ends: tuple[int, ...]  # for each prompt, in order
    verdicts: tuple[int, ...] = ()  # encoded-once: for each ordered pair, in order

    @property
    def num_tokens(self) -> int:
        return sum(len(block.tokens) for block in self.blocks)


class Encoder:
    """Text to tokens, each text on its own, inside the model's chat template.

    Text of a problem or a program never becomes a special token, so a program cannot end the user's turn.
    The same tokens as `backends.encoding` gives a whole prompt, here kept apart by segment.
    """

    def __init__(self, tokenizer: Any):
        if tokenizer.chat_template is None:
            raise ModelError("the tokenizer has no chat template; take an instruction-tuned model")
        self._tokenizer = tokenizer
        self._cache: dict[str, tuple[int, ...]] = {}
        mark = "RERANK-USER-MESSAGE"
        framed = tokenizer.apply_chat_template(
            [{"role": "user", "content": mark}], tokenize=False, add_generation_prompt=True
        )
        before, found, after = framed.partition(mark)
        if not found:
            raise ModelError("the model's chat template drops the user's message; take another model")
        self.before: tuple[int, ...] = tuple(tokenizer.encode(before, add_special_tokens=False))
        self.after: tuple[int, ...] = tuple(tokenizer.encode(after, add_special_tokens=False))

    def __call__(self, text: str) -> tuple[int, ...]:
        if text not in self._cache:
            self.warm([text])
        return self._cache[text]

    def warm(self, texts: Iterable[str]) -> None:
        """Tokenise many texts at once, which a fast tokenizer does in parallel."""
        new = [text for text in dict.fromkeys(texts) if text not in self._cache]
        if new:
            rows = self._tokenizer(new, add_special_tokens=False, split_special_tokens=True)["input_ids"]
            self._cache.update(zip(new, map(tuple, rows), strict=True))

    @property
    def end(self) -> int:
        """The token that ends the model's turn."""
        if self._tokenizer.eos_token_id is None:
            raise ModelError("the tokenizer names no token that ends the model's turn; take an instruction-tuned model")
        return int(self._tokenizer.eos_token_id)

    def answers(self, answers: Sequence[str]) -> tuple[int, ...]:
        """The token of each answer. ModelError where an answer is not one token, or two answers share it."""
        rows = [self(answer) for answer in answers]
        if any(len(row) != 1 for row in rows) or len(set(rows)) < len(rows):
            raise ModelError(f"the answers {', '.join(answers)} are not one token each in the model's tokenizer")
        return tuple(row[0] for row in rows)


def prompt_tree(encoder: Encoder, asked: Sequence[Prompt]) -> Layout:
    """Prompts as a tree: a segment that follows the same segments as in an earlier prompt is not written again."""
    tree = _Tree(encoder)
    return Layout(ends=tuple(tree.add(prompt) for prompt in asked), blocks=tuple(tree.blocks))


def pointwise(encoder: Encoder, problem: PublicProblem, programs: Sequence[str]) -> Layout:
    """One question for each program, the problem shared."""
    return prompt_tree(encoder, [prompts.pointwise(problem, program) for program in programs])


def joint(
    encoder: Encoder, problem: PublicProblem, programs: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> Layout:
    """One question for each ordered pair of programs; the problem, and a first program that returns, are shared."""
    return prompt_tree(encoder, [prompts.pairwise(problem, programs[a], programs[b]) for a, b in pairs])


def encoded_once(
    encoder: Encoder, problem: PublicProblem, programs: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> Layout:
    """`pointwise`, then a verdict for each ordered pair; a comparison needs a pair in both orders."""
    tree = _Tree(encoder)
    ends, links = [], []
    for program in programs:
        prompt = prompts.pointwise(problem, program)
        ends.append(tree.add(prompt))
        below = tree.path(prompt.segments[:-1])
        links.append((tree.below(below, FIRST_LINK), tree.below(below, SECOND_LINK)))
    question = encoder(VERDICT) + encoder.after
    verdicts = []
    for a, b in pairs:
        first, second = links[a][0], links[b][1]
        sees = {first, second, *tree.blocks[first].sees, *tree.blocks[second].sees}
        start = max(tree.blocks[first].stop, tree.blocks[second].stop)
        verdicts.append(tree.append(Block(question, start, tuple(sorted(sees)))))
    return Layout(tuple(tree.blocks), tuple(ends), tuple(verdicts))


def comparison(point_first: float, point_second: float, forward: float, backward: float) -> float:
    """Log-odds that the first is better, from its two pointwise and two verdict log-odds (the module's formula).

    Works on floats and tensors. Bit for bit the negative of the call with both pairs swapped:

    >>> comparison(0.5, 0.2, 0.1, 0.4) == -comparison(0.2, 0.5, 0.4, 0.1)
    True
    """
    return (point_first - point_second) + (forward - backward) / 2


class _Tree:
    """Blocks under construction, found again by the segments that lead to them."""

    def __init__(self, encoder: Encoder):
        self._encoder = encoder
        self._found: dict[tuple[str, ...], int] = {}
        self.blocks: list[Block] = []

    def add(self, prompt: Prompt) -> int:
        """Write what is new of a prompt; return the block at whose last token its answer is read."""
        parent = self.path(prompt.segments[:-1])
        return self._child(parent, prompt.segments, self._encoder(prompt.segments[-1]) + self._encoder.after)

    def path(self, segments: tuple[str, ...]) -> int | None:
        """The block of the last segment, written with those before it where they are new."""
        parent: int | None = None
        for depth in range(1, len(segments) + 1):
            tokens = self._encoder(segments[depth - 1])
            # The key of an inner segment ends with a mark, so that it never stands for a prompt's last one.
            parent = self._child(parent, (*segments[:depth], "..."), tokens)
        return parent

    def below(self, parent: int | None, text: str) -> int:
        return self.append(self._under(parent, self._encoder(text)))

    def append(self, block: Block) -> int:
        self.blocks.append(block)
        return len(self.blocks) - 1

    def _child(self, parent: int | None, key: tuple[str, ...], tokens: tuple[int, ...]) -> int:
        if key not in self._found:
            self._found[key] = self.append(self._under(parent, tokens))
        return self._found[key]

    def _under(self, parent: int | None, tokens: tuple[int, ...]) -> Block:
        if parent is None:
            return Block(self._encoder.before + tokens, 0)
        above = self.blocks[parent]
        return Block(tokens, above.stop, (*above.sees, parent))
