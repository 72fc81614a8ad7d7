"""Work that several processes share through a folder: each piece is done by one of them, and by another if that dies.

    for effect in each_once(tasks, folder, patch):      # the same call in every process, on any machine
        ...

A claim is a lock of the kernel (flock) on NAME.lock in the folder. It goes with its process, however that ends, so
nothing is left to be cleared away. Machines that share a folder must share its locks too: NFS does since version 4,
Lustre when it is mounted with `flock`.

By hand and not with `filelock`: that leaves its files behind (one per task in a folder of tasks) or, where a file
system keeps no locks, takes a lock file in their place, which outlives a killed process.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from rerank.errors import InputError

T = TypeVar("T")


@contextmanager
def claimed(path: Path) -> Iterator[bool]:
    """Whether the claim on the file at `path` is this process' own; inside the block no other is told so.

    The file goes with the claim: look inside the block whether the work is done already. Raises InputError where the
    file system keeps no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(path, "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    why = f"its file system keeps no locks ({error.strerror}); take a folder on another"
                    raise InputError(why, path=path) from error
                yield False
                return
            if not _is_at(file, path):
                continue  # it was opened before an earlier claim took it away; another may be there by now
            try:
                yield True
            finally:
                path.unlink(missing_ok=True)
            return


def each_once(
    names: Sequence[str],
    folder: Path,
    make: Callable[[str], T],
    *,
    wait: bool = True,
    poll_s: float = 1.0,
    report: Callable[[str], None] = lambda _: None,
) -> Iterator[T]:
    """What `make` gives for each name, as it comes; no two processes that share the folder make the same at once.

    `make` keeps its result in the folder and gives what is kept there already. What another process is at comes last:
    with `wait` this one waits until that is done, or makes it where the other ended without; else it is left out.
    """
    left = list(names)
    is_told = False
    while left:
        elsewhere = []
        for name in left:
            with claimed(folder / f"{name}.lock") as is_ours:
                made = [make(name)] if is_ours else []
            yield from made
            if not made:
                elsewhere.append(name)
        if not wait:
            return
        if elsewhere and not is_told:
            report(f"waiting for other processes, which are at {', '.join(elsewhere)}")
            is_told = True
        if len(elsewhere) == len(left):
            time.sleep(poll_s)
        left = elsewhere


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
