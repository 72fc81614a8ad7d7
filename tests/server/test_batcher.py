"""Many callers and one thread: what is done together, what fails alone, and what is left out."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from rerank.server.batcher import Batcher


class Doubler:
    """Work that doubles numbers, holds its first batch until told, and fails at a text."""

    def __init__(self) -> None:
        self.batches: list[list[object]] = []
        self.go_on = threading.Event()

    def __call__(self, items: list[object]) -> Iterator[tuple[int, int]]:
        self.batches.append(list(items))
        if len(self.batches) == 1:
            assert self.go_on.wait(10)
        for place, item in reversed(list(enumerate(items))):  # in any order
            if not isinstance(item, int):
                raise ValueError(item)
            yield place, 2 * item


@pytest.fixture
def doubler():
    return Doubler()


def run(doubler: Doubler, items: list[object], *, max_batch: int = 64, cancelled: int | None = None) -> list[object]:
    """Submit 0, and while that is worked on the items; what they came to."""

    async def main() -> list[object]:
        first = asyncio.create_task(batcher.submit(0))
        while not doubler.batches:
            await asyncio.sleep(0.001)
        rest = [asyncio.create_task(batcher.submit(item)) for item in items]
        await asyncio.sleep(0.01)
        if cancelled is not None:
            rest[cancelled].cancel()
        doubler.go_on.set()
        return (await asyncio.gather(first, *rest, return_exceptions=True))[1:]

    batcher = Batcher(doubler, max_batch=max_batch)
    try:
        return asyncio.run(main())
    finally:
        batcher.close()


def test_what_waits_is_done_together(doubler):
    assert run(doubler, [1, 2, 3, 4, 5], max_batch=4) == [2, 4, 6, 8, 10]
    assert doubler.batches == [[0], [1, 2, 3, 4], [5]]


def test_what_breaks_a_batch_fails_alone(doubler):
    found = run(doubler, [1, "bad", 3])
    assert [found[0], found[2]] == [2, 6]
    assert isinstance(found[1], ValueError)
    # 3 was there before the batch broke; the others were tried again one by one.
    assert doubler.batches == [[0], [1, "bad", 3], [1], ["bad"]]


def test_who_left_is_left_out(doubler):
    found = run(doubler, [1, 2, 3], cancelled=1)
    assert isinstance(found[1], asyncio.CancelledError)
    assert doubler.batches == [[0], [1, 3]]


def test_a_result_that_is_missing_is_an_error():
    with_gap = Batcher(lambda items: iter([(place, "x") for place in range(len(items) - 1)]), max_batch=4)
    try:
        with pytest.raises(RuntimeError, match="no result"):
            asyncio.run(with_gap.submit("item"))
    finally:
        with_gap.close()
