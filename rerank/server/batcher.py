"""Many callers, one thread: what waits while the thread is busy goes to it together.

    batcher = Batcher(work, max_batch=64)       # work: Callable[[list[T]], Iterator[tuple[int, R]]]
    result = await batcher.submit(item)         # from any event loop

No delay is put in to fill a batch: under load the one before it is delay enough.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T]):
    item: T
    future: "asyncio.Future[Any]"

    def settle(self, result: Any = None, error: BaseException | None = None) -> None:
        def in_the_loop() -> None:
            if self.future.done():  # its caller left
                return
            if error is None:
                self.future.set_result(result)
            else:
                self.future.set_exception(error)

        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.future.get_loop().call_soon_threadsafe(in_the_loop)


class Batcher(Generic[T, R]):
    """Hands items to `work`, which yields (place in the list, result) in any order, as soon as each is there.

    What breaks a batch of several is tried again alone, so that it fails for its own caller only. An item whose caller
    was cancelled before its batch began is left out.
    """

    def __init__(self, work: Callable[[list[T]], Iterator[tuple[int, R]]], *, max_batch: int):
        self._work = work
        self._max_batch = max_batch
        self._queue: queue.SimpleQueue[_Waiting[T] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="rerank-batcher", daemon=True)
        self._thread.start()

    async def submit(self, item: T) -> R:
        """The item's result. Raises what `work` raised for it."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.put(_Waiting(item, future))
        return await future

    def close(self, timeout_s: float = 10.0) -> None:
        """Finish the batch under way and stop; what waits is not done any more."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            stop = False
            while len(batch) < self._max_batch and not stop:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                else:
                    batch.append(following)
            if batch := [each for each in batch if not each.future.cancelled()]:
                self._do(batch)
            if stop:
                return

    def _do(self, batch: Sequence[_Waiting[T]]) -> None:
        left = dict(enumerate(batch))
        try:
            for place, result in self._work([each.item for each in batch]):
                left.pop(place).settle(result)
            if left:
                raise RuntimeError(f"{len(left)} of {len(batch)} items got no result")
        except Exception as error:
            if len(batch) == 1:
                batch[0].settle(error=error)
                return
            for each in left.values():
                self._do([each])
