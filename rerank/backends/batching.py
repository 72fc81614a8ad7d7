"""What is computed together, and what every engine of PyTorch does when that was too much."""

import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def filled(items: Iterable[T], *, size: Callable[[T], int], limit: Callable[[], int]) -> Iterator[list[T]]:
    """Batches of items, in order, whose sizes sum to at most `limit`, as it is then; each has at least one item."""
    batch: list[T] = []
    total = 0
    for item in items:
        if batch and total + size(item) > limit():
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size(item)
    if batch:
        yield batch


def ahead(items: Iterable[T], function: Callable[[T], R], *, most: int) -> Iterator[tuple[T, R]]:
    """Items with what a function makes of them, in order; a thread of its own is at most `most` items ahead."""
    pool = ThreadPoolExecutor(1)
    try:
        coming: deque[tuple[T, Future[R]]] = deque()
        for item in items:
            coming.append((item, pool.submit(function, item)))
            if len(coming) > most:
                item, made = coming.popleft()
                yield item, made.result()
        for item, made in coming:
            yield item, made.result()
    finally:
        pool.shutdown(cancel_futures=True)


def is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def free_memory() -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
