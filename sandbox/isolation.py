"""Which layers hold on this host, for `rerank doctor` and for people.

python -m sandbox --doctor
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sandbox.jail import LEVELS
from sandbox.outcome import SandboxError
from sandbox.pool import DEFAULT_PACKAGES, LocalExecutor

_MENDS = {
    "full": "allow user namespaces for ordinary users (user.max_user_namespaces above 0, and on Ubuntu "
    "kernel.apparmor_restrict_unprivileged_userns=0); in a container add --security-opt seccomp=unconfined",
    "landlock": "boot a kernel of 5.13 or later with landlock in the lsm= list",
    "weak": "none is known: Linux is needed",
}


@dataclasses.dataclass(frozen=True)
class Layer:
    """A level of isolation, whether it can be had here, what holds in it, and what to do where it cannot."""

    name: str
    holds: bool
    detail: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {'holds' if self.holds else 'missing'} ({self.detail})" + (
            f"; to mend: {self.mend}" if self.mend else ""
        )


def isolation_report(packages: Sequence[str] = DEFAULT_PACKAGES) -> list[Layer]:
    """Try each level with a real worker; takes about a second. The first that holds is what "auto" uses."""
    layers = []
    for level in LEVELS:
        try:
            executor = LocalExecutor(1, level, packages)
        except SandboxError as error:
            layers.append(Layer(level, False, str(error).partition(". Allow")[0], _MENDS[level]))
            continue
        layers.append(Layer(level, True, executor.isolation.partition(": ")[2]))
        executor.close()
    return layers
