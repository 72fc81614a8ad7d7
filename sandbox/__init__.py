"""Runs untrusted Python: contained, fast, and with verdicts that the program cannot forge.

    >>> import sandbox
    >>> sandbox.check("def f(x): return x + 1", "assert f(1) == 2", "f").passed
    True

Names are imported when first used: the fork server imports this package, and has to stay small.
docs/sandbox.md says what each layer stops and what is not promised.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandbox.isolation import isolation_report as isolation_report
    from sandbox.outcome import Job as Job
    from sandbox.outcome import Limits as Limits
    from sandbox.outcome import Outcome as Outcome
    from sandbox.outcome import SandboxError as SandboxError
    from sandbox.outcome import SandboxUnavailable as SandboxUnavailable
    from sandbox.pool import EXECUTORS as EXECUTORS
    from sandbox.pool import Executor as Executor
    from sandbox.pool import Pool as Pool
    from sandbox.pool import check as check
    from sandbox.pool import run as run

_HOMES = {
    "outcome": ("Job", "Limits", "Outcome", "SandboxError", "SandboxUnavailable"),
    "pool": ("EXECUTORS", "Executor", "Pool", "check", "run"),
    "isolation": ("isolation_report",),
}
__all__ = [name for names in _HOMES.values() for name in names]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"sandbox.{home}"), name)
    raise AttributeError(f"module 'sandbox' has no attribute {name!r}")
