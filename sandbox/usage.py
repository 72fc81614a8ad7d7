"""What a group of processes has used so far, read from /proc while it runs. Linux only, and no privilege needed."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import time

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclasses.dataclass(frozen=True)
class Usage:
    cpu_s: float  # of the processes that live, and of the children that they waited for
    memory_bytes: int  # resident, added up: pages that two share count twice
    num_tasks: int  # processes and threads
    asleep: bool  # every one of them waits for something other than a core or a disk


class Group:
    """A process and its descendants; where orphans do not stay within it, also those left to `adopter`."""

    def __init__(self, pid: int, adopter: int | None = None) -> None:
        self.pid = pid
        self._adopter = adopter

    def cpu_s(self) -> float:
        """CPU time of the first process alone: one system call."""
        return process_cpu_s(self.pid)

    def usage(self) -> Usage:
        cpu_s, memory_bytes, num_tasks, asleep = 0.0, 0, 0, True
        waiting = [self.pid] if self._adopter is None else _children(self._adopter)
        while waiting:
            pid = waiting.pop()
            with contextlib.suppress(OSError, IndexError):
                fields = _stat(f"/proc/{pid}/stat")
                cpu_s += process_cpu_s(pid) + (int(fields[13]) + int(fields[14])) * _TICK_S
                memory_bytes += int(fields[21]) * _PAGE_BYTES
                threads = os.listdir(f"/proc/{pid}/task")
                num_tasks += len(threads)
                for thread in threads:
                    asleep = asleep and _stat(f"/proc/{pid}/task/{thread}/stat")[0] in "SZ"
                waiting += _children(pid)
        return Usage(cpu_s, memory_bytes, num_tasks, asleep)


def process_cpu_s(pid: int) -> float:
    """All threads of one process, to the nanosecond. The number is how the kernel spells a process's clock."""
    return time.clock_gettime(~pid << 3 | 2)


def pid_of(handle: int) -> int:
    """The process of a pidfd, as this process sees it: inside a namespace it has another number."""
    with open(f"/proc/self/fdinfo/{handle}") as file:
        found = re.search(r"^Pid:\s*(-?\d+)", file.read(), re.MULTILINE)
    return int(found[1]) if found else -1


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    return found


def _stat(path: str) -> list[str]:
    """The fields after the name, which may hold anything: the state first (field 3 of the manual)."""
    with open(path) as file:
        return file.read().rpartition(")")[2].split()


def descendants(pid: int) -> list[int]:
    """Children, their children and so on, each after its parent."""
    found = _children(pid)
    for child in found:
        found += _children(child)
    return found
