"""What goes into the sandbox and what comes out: Limits, Job, Outcome, and the errors.

    >>> Limits(timeout_s=3.0).scaled_to(reference_s=2.0).timeout_s
    20.0
    >>> Outcome("failed", "test line 3: AssertionError").passed
    False

The tree of errors:

    SandboxError               something of ours broke; the program was not judged. Catch it to record "no verdict".
    +- SandboxUnavailable      this host gives too little isolation; the message says the mend. Catch it at start-up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

Status = Literal[
    "passed",         # every check was reached, and held
    "failed",         # an assertion did not hold; the reason says which
    "error",          # an exception, or an end before the last check
    "timeout",        # over its CPU time, or asleep or on the wall for too long
    "memory",         # over its memory
    "output",         # wrote more than it may
    "killed",         # ended by us for breaking the protocol, or by SIGKILL from outside
    "crashed",        # ended by a signal of its own making, such as SIGSEGV
    "unsupported",    # this test cannot run in the mode that was asked for
    "sandbox_error",  # ours, never the program's fault
]  # fmt: skip
STATUSES: tuple[str, ...] = get_args(Status)
Mode = Literal["auto", "separated", "in-process"]

MIB = 1 << 20
MAX_TAIL_CHARS = 4096  # kept of stdout and of stderr


class SandboxError(Exception):
    """The sandbox itself broke, so there is no verdict."""


class SandboxUnavailable(SandboxError):
    """The host gives less isolation than was asked for."""


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one program may use. Sizes in bytes, times in seconds.

    timeout_s         CPU seconds of all the program's processes; time in which it sleeps counts as well, time in
                      which it waits for a core does not, so that a busy machine gives the same verdicts
    wall_s            seconds by the clock after which it is ended whatever it does; None: 20 x timeout_s + 10
    memory_bytes      address space of each process, and resident memory of all of them together
    max_output_bytes  stdout and stderr together
    max_file_bytes    each file, and the private folder as a whole
    max_processes     processes and threads at one time
    """

    timeout_s: float = 3.0
    wall_s: float | None = None
    memory_bytes: int = 1024 * MIB
    max_output_bytes: int = 8 * MIB
    max_file_bytes: int = 64 * MIB
    max_processes: int = 32

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and not value > 0:
                raise ValueError(f"Limits.{field.name} is {value!r}: give a number above zero")

    @property
    def max_wall_s(self) -> float:
        return 20 * self.timeout_s + 10 if self.wall_s is None else self.wall_s

    def scaled_to(self, reference_s: float, *, floor_s: float = 1.0, factor: float = 10.0) -> Limits:
        """These limits with `factor` times the CPU time of the reference solution on this host, `floor_s` at least."""
        return dataclasses.replace(self, timeout_s=max(floor_s, factor * reference_s))

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclasses.dataclass(frozen=True)
class Job:
    """One program to judge. `test` None or "": the program is run as a script and passes when it reaches its end.

    `helpers` is trusted source (HumanEval's prompt, say) whose functions the test may call: with it, a program that
    redefines such a function changes nothing.
    """

    candidate: str
    test: str | None = None
    entry_point: str = ""
    limits: Limits = Limits()
    mode: Mode = "auto"
    helpers: str = ""
    stdin: str = ""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one program.

    cpu_s, wall_s and peak_memory_bytes are 0 where the program was not run. `timeout_s` is the limit it ran under.
    """

    status: str
    reason: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_bytes: int = 0
    stdout: str = ""  # the last MAX_TAIL_CHARS characters
    stderr: str = ""
    mode: str = ""  # "separated", "in-process" or "program"
    isolation: str = ""  # the level, then the layers that held
    timeout_s: float = 0.0

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"Outcome.status is {self.status!r}: one of {', '.join(STATUSES)}")

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def to_dict(self) -> dict[str, Any]:
        return {"passed": self.passed, "result": self.status, **vars(self)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Outcome:
        return cls(**{field.name: record[field.name] for field in dataclasses.fields(cls) if field.name in record})
