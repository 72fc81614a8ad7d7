"""Many programs through one pool, one in ten hostile: does anything leak, does the rate hold, is anything lost?

    python scripts/soak_sandbox.py --programs 50000 --out results/sandbox/soak.json

Programs are numbered, so that none is a repeat: every one answers with its number, and every tenth is one of the attack
corpus in turn (without those that sleep or fill memory for a second or more). After each tenth of the run the pool's
processes, their open files, their resident memory and what lies in the temporary folder are written down. In the
middle a worker and, a little later, a fork server are killed from outside. The run fails (exit 1) where a verdict is
wrong, an attack passes, or a count at the end is above the one after the first tenth.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sandbox
from sandbox import usage

ATTACKS = Path(__file__).resolve().parents[1] / "tests" / "sandbox" / "attacks"
LIMITS = sandbox.Limits(timeout_s=0.2, wall_s=10)
SLOW = {
    "memory_in_children", "memory_in_kernel", "many_big_files", "stop_itself", "fork_bomb", "fork_tree", "thread_bomb",
    "wire_collisions", "big_file", "memory_list", "immortal_children", "daemon", "wire_pass_descriptors",
}  # fmt: skip
TEST = "assert add(1, 2) == 3, {number}\nassert number() // 1000 * 1000 == {number}"


def jobs(count: int) -> Iterator[sandbox.Job]:
    hostile = [file.read_text() for file in sorted(ATTACKS.glob("*/*.py")) if file.stem not in SLOW]
    places = {"PID": "1", "PORT": "9", "CANARY": "/etc/passwd", "HOST": platform.node(), "ABSTRACT": "x"}
    for name, value in places.items():
        hostile = [text.replace(f"${name}$", value) for text in hostile]
    for number in range(count):
        program = f"def add(a, b):\n    return a + b\ndef number():\n    return {number}\n"
        if number % 10 == 9:
            program = f"{hostile[number // 10 % len(hostile)]}\n\ndef number():\n    return None\n"
        yield sandbox.Job(program, TEST.format(number=number // 1000 * 1000), "add", LIMITS)


def count_everything() -> dict[str, int]:
    family = [os.getpid(), *usage.descendants(os.getpid())]
    kilobytes = descriptors = 0
    for pid in family:
        with contextlib.suppress(OSError):  # a program that has ended since
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))
            with open(f"/proc/{pid}/smaps_rollup") as file:
                kilobytes += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return {
        "processes": len(family),
        "descriptors": descriptors,
        "memory_kb": kilobytes,
        "folders": sum(name.startswith("sandbox-") for name in os.listdir(tempfile.gettempdir())),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=50_000)
    parser.add_argument("--isolation", default="auto", help="full, landlock or weak; auto takes the best")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    step = options.programs // 10
    marks: list[dict[str, Any]] = []
    statuses: Counter[str] = Counter()
    wrong: list[str] = []
    killed = []
    with sandbox.Pool(isolation=options.isolation) as pool:
        began = time.perf_counter()
        for number, outcome in enumerate(pool.map(jobs(options.programs)), 1):
            honest = number % 10 != 0
            statuses[f"{'honest' if honest else 'hostile'} {outcome.status}"] += 1
            if outcome.passed != honest and len(wrong) < 20:
                wrong.append(f"{number}: {outcome.status} {outcome.reason}")
            if number in (options.programs // 2, options.programs // 2 + step // 4):
                workers = usage.descendants(os.getpid())
                # First a runner, the eldest child; then the last fork server.
                killed.append(workers[0] if not killed else workers[-1])
                os.kill(killed[-1], signal.SIGKILL)
            if number % step == 0:
                seconds = time.perf_counter() - began
                marks.append({"programs": number, "per_s": round(step / seconds, 1), **count_everything()})
                print(marks[-1], file=sys.stderr)
                began = time.perf_counter()
        isolation = outcome.isolation
    first, last = marks[0], marks[-1]
    leaks = [name for name, slack in _SLACK.items() if last[name] > first[name] + slack]
    record = {
        "command": " ".join(["python", *sys.argv]),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "isolation": isolation,
        "marks": marks,
        "outcomes": dict(sorted(statuses.items())),
        "killed_from_outside": len(killed),
        "wrong": wrong,
        "leaks": leaks,
    }
    text = json.dumps(record, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")
    return 1 if wrong or leaks else 0


# How much more than after the first tenth is no leak: a program may be under way when we count, and the pool keeps
# the outcomes of the last 10,000 programs.
_SLACK = {"processes": 8, "descriptors": 40, "memory_kb": 60_000, "folders": 0}


if __name__ == "__main__":
    sys.exit(main())
