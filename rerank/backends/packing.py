"""Many prompts that begin alike, as one sequence in which each shared part stands once.

Prompts form a tree of tokens. A pack lists the tree's tokens; each token attends to its own ancestors and itself, at
the position it has in its own prompt, so every prompt gets the numbers that it would get alone (up to rounding).
Known as prefix-tree or tree attention, as in "SpecInfer" (arXiv 2305.09781), section 4. Pure Python: no engine here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Run:
    """A chain of the tree, tokens [start, stop) of a pack: they attend to `ancestors`, and causally to one another."""

    start: int
    stop: int
    ancestors: tuple[tuple[int, int], ...]  # spans of the pack, [start, stop), in order of position


@dataclass(slots=True)
class Pack:
    """One forward pass."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)  # (prompt's index, pack index of its last token)
    num_new: list[int] = field(default_factory=list)  # beside `ends`: tokens computed for that prompt


def pack_prompts(prompts: Sequence[Sequence[int]], *, max_tokens: int) -> Iterator[Pack]:
    """Pack prompts, at most `max_tokens` a pack (a longer prompt goes alone).

    Packs depend on the set of prompts only, not on their order.

    >>> [pack] = pack_prompts([[1, 2, 3], [1, 2, 4, 5]], max_tokens=100)
    >>> pack.tokens, pack.positions, pack.ends
    ([1, 2, 3, 4, 5], [0, 1, 2, 2, 3], [(0, 2), (1, 4)])
    """
    order = sorted(range(len(prompts)), key=lambda index: tuple(prompts[index]))
    pack = Pack()
    path: list[tuple[int, int]] = []  # spans of the pack that spell the last prompt
    last: Sequence[int] = ()
    for index in order:
        prompt = prompts[index]
        shared = _num_shared(last, prompt)
        if pack.tokens and len(pack.tokens) + len(prompt) - shared > max_tokens:
            yield pack
            pack, path, shared = Pack(), [], 0
        path = _clip(path, shared)
        start, new = len(pack.tokens), prompt[shared:]
        if new:
            pack.tokens += new
            pack.positions += range(shared, len(prompt))
            pack.runs.append(Run(start, start + len(new), tuple(path)))
            path.append((start, start + len(new)))
        pack.ends.append((index, path[-1][1] - 1))
        pack.num_new.append(len(new))
        last = prompt
    if pack.tokens:
        yield pack


def _num_shared(a: Sequence[int], b: Sequence[int]) -> int:
    for count, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return count
    return min(len(a), len(b))


def _clip(path: list[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """The first `length` tokens of a path."""
    clipped = []
    for start, stop in path:
        if length <= 0:
            break
        clipped.append((start, min(stop, start + length)))
        length -= stop - start
    return clipped
