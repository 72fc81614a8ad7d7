"""The attack corpus: runs every program under attacks/ and says which were contained.

    python tests/sandbox/corpus.py --isolation full
    python tests/sandbox/corpus.py --isolation landlock --mode in-process --json out.json

An attack passes the test below only if what it tries has worked, so "contained" is "did not pass". Beside the
verdicts, the run looks at what stayed behind: processes (this one adopts orphans), files, a changed canary, and at the
most memory that all programs together held. $NAMES$ in a program are filled in with things of this host to go for.

Every program is harmless where it escapes: loops end, forks and files are counted, the network is the loopback.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":  # started by path, as the ordinary user who has nothing installed
    sys.path.insert(0, str(ROOT))

import sandbox  # noqa: E402
from sandbox import syscalls, usage  # noqa: E402

ATTACKS = Path(__file__).parent / "attacks"
CLASSES = ("resource", "files", "network", "process", "forgery", "information")
TEST = """
marker = "marker-of-the-test"

def check(candidate):
    assert candidate(1, 2) == 3
    assert candidate(20, 22) == 42
    assert abs(candidate(-5, 5)) < 1e-9
    assert candidate(0.5, 0.25) == 0.75
    assert candidate("a", "b") == "ab"
    assert len(candidate([1], [2])) == 2
"""
LIMITS = sandbox.Limits(timeout_s=0.5, wall_s=20)
EARLIER = "secret = 'marker-of-an-earlier-program'\ndef add(a, b):\n    return a + b\n"
_TRACES = ("/left-by-the-program", *(f"{folder}/left-behind" for folder in ("/tmp", "/var/tmp", "/dev/shm")))


@dataclasses.dataclass
class Report:
    """What one run over the corpus found."""

    isolation: str
    num_programs: int
    escaped: list[str]  # attacks that passed
    survivors: list[int]  # processes that outlived the pool
    left: list[str]  # files
    peak_memory_bytes: int
    slowest: str
    slowest_s: float
    statuses: dict[str, dict[str, int]]

    @property
    def is_clean(self) -> bool:
        return not (self.escaped or self.survivors or self.left)


def attacks(pattern: str = "*/*.py") -> list[Path]:
    return sorted(ATTACKS.glob(pattern))


def run(isolation: str, *, mode: str = "auto", pattern: str = "*/*.py", workers: int = 2) -> Report:
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    os.environ["SANDBOX_SECRET"] = "secret-of-the-caller"
    found: dict[str, sandbox.Outcome] = {}
    folders = _folders()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        canary = folder / "canary"
        canary.write_text("untouched")
        canary.chmod(0o644)
        places = {"CANARY": str(canary), "PID": str(os.getpid()), "HOST": platform.node(), "REPOSITORY": str(ROOT)}
        places["PORT"], places["ABSTRACT"] = _listen(stack, f"{canary}.socket")
        pool = stack.enter_context(sandbox.Pool(workers, isolation))
        peak = stack.enter_context(_watch_memory())
        files = attacks(pattern)
        jobs = [sandbox.Job(EARLIER, TEST, "add")]
        jobs += [sandbox.Job(_fill(file.read_text(), places), TEST, "add", LIMITS, mode) for file in files]
        first, *outcomes = pool.map(jobs)
        assert first.passed, first
        for file, outcome in zip(files, outcomes, strict=True):
            found[f"{file.parent.name}/{file.stem}"] = outcome
        changed = [] if canary.exists() and canary.read_text() == "untouched" else ["the canary"]
        changed += [] if len(os.listdir(folder)) == 2 else ["beside the canary"]
    statuses = {
        name: dict(Counter(outcome.status for key, outcome in found.items() if key.startswith(name)))
        for name in CLASSES
    }
    return Report(
        isolation=outcomes[-1].isolation,
        num_programs=len(found),
        escaped=[name for name, outcome in found.items() if outcome.passed],
        survivors=_children(),
        left=changed + [path for path in _TRACES if os.path.exists(path)] + sorted(_folders() - folders),
        peak_memory_bytes=max(peak),
        slowest=max(found, key=lambda name: found[name].wall_s),
        slowest_s=max(outcome.wall_s for outcome in outcomes),
        statuses=statuses,
    )


def _fill(text: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"${name}$", value)
    return text


def _listen(stack: contextlib.ExitStack, path: str) -> tuple[str, str]:
    """Servers of the host on the loopback, for TCP and UDP, and on local sockets; their names."""
    abstract = f"sandbox-test-{os.getpid()}"
    tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.bind(tcp.getsockname())
    for address in (f"\0{abstract}", path):
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind(address)
        local.listen()
    os.chmod(path, 0o666)
    return str(tcp.getsockname()[1]), abstract


@contextlib.contextmanager
def _watch_memory():
    """A list that grows by the memory of all our descendants, 20 times a second."""
    seen, done = [0], threading.Event()

    def watch() -> None:
        own = usage.Group(os.getpid())
        while not done.wait(0.05):
            seen.append(own.usage().memory_bytes)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def _folders() -> set[str]:
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("sandbox-")}


def _children() -> list[int]:
    """What still runs of all that was started, a moment after the pool was closed."""
    time.sleep(0.2)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    return [
        int(child)
        for thread in os.listdir("/proc/self/task")
        for child in Path(f"/proc/self/task/{thread}/children").read_text().split()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isolation", default="auto", choices=("auto", "full", "landlock", "weak"))
    parser.add_argument("--mode", default="auto", choices=("auto", "separated", "in-process"))
    parser.add_argument("--pattern", default="*/*.py", help="which attacks, such as 'forgery/wire_*.py'")
    parser.add_argument("--json", type=Path, help="write the report here")
    options = parser.parse_args()
    report = run(options.isolation, mode=options.mode, pattern=options.pattern)
    record = {
        "command": " ".join(["python", *sys.argv]),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "user": "root" if os.geteuid() == 0 else "ordinary",
        "mode": options.mode,
        **dataclasses.asdict(report),
    }
    text = json.dumps(record, indent=1)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
