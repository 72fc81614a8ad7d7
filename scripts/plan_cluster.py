"""How long a run of any size takes on a cluster, what it stores, and what breaks first: from measured rates.

    python scripts/plan_cluster.py measure --out results/cluster/rates.json        # this machine's share of the rates
    python scripts/plan_cluster.py plan --rates results/cluster/rates.json --problems 1000000 --n 100 --gpus 64

`measure` takes what needs no GPU: CPU time, on the driver, of reading a program out of a sample and of handing one
piece of work to a worker of a Ray cluster on this machine; memory and bytes on disk of one candidate. The GPU's rates
and the sandbox's were measured before; each stands below with where.
"""

import argparse
import json
import math
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rerank import store
from rerank.candidates import extraction, programs
from rerank.candidates.files import to_row
from rerank.errors import one_line
from rerank.host import processor_name
from rerank.models.shipped import CANDIDATES, shipped
from rerank.problems.benchmarks import load_problems
from rerank.records import Candidate
from rerank.runs.folder import KEYS

# Measured with Qwen2.5-Coder-0.5B; another model's rates go in by the options of the same name.
SAMPLED_TOKENS_PER_GPU_S = 13_500.0  # results/LOG.md, vLLM on an H200
JUDGED_PROGRAMS_PER_GPU_S = 110.0  # results/untrained_0.5b/shipped_pointwise: 1,441 in 13.1 s on an H200
EXECUTED_PROGRAMS_PER_CORE_S = 103.0  # results/sandbox, "defaults": 206 on 2 cores
DISTINCT_SHARE = 0.66  # results/trained_0.5b/codegen16b_n100: 10,848 of 16,400 at N = 100
NUM_ROUNDS = 40  # of the shipped candidates, for the memory that a journal takes
NUM_TASKS = 5_000


def measure_reading(rows: list[dict[str, Any]]) -> dict[str, float]:
    """CPU time of extraction, key and row of a sample, in milliseconds; tokens and bytes of one."""
    problems = {problem.task_id: problem.public for problem in load_problems("humaneval")}
    began = time.process_time()
    num_bytes = 0
    for row in tqdm(rows, "read", disable=None):
        found = extraction.extract(problems[row["task_id"]], row["raw"])
        key = programs.program_key(found.program)
        candidate = Candidate(row["task_id"], row["index"], row["raw"], found.program, key, found.cuts)
        num_bytes += len(store.encode_row(to_row(candidate)).encode())
    spent = time.process_time() - began
    return {
        "driver_ms_a_sample": round(1000 * spent / len(rows), 2),
        "tokens_a_sample": round(sum(row["num_tokens"] for row in rows) / len(rows)),
        "candidate_bytes_on_disk": round(num_bytes / len(rows)),
    }


def measure_journal(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Memory that the driver holds for one candidate in its journal, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candidates.jsonl"
        copies = ({**row, "index": row["index"] + 10 * number} for number in range(NUM_ROUNDS) for row in rows)
        store.write_rows(path, copies)
        before = _resident_bytes()
        with store.Journal(path, key=KEYS["candidates"]) as journal:
            taken = _resident_bytes() - before
            return {"journal_bytes_a_candidate": round(taken / len(journal.rows))}


def measure_dispatch() -> dict[str, float]:
    """CPU time of the driver for one piece of work of a sandbox worker, in milliseconds."""
    import ray

    from rerank.backends.ray_cluster import Crew, connect

    class Idle:
        def open(self) -> None:
            pass

        def do(self, request: dict[str, Any]) -> int:
            return len(request)

    connect("ray")
    crew = Crew(ray.remote(num_cpus=0)(Idle).remote, 4)
    crew.opened()
    request = {"candidate": "x" * 600, "tests": ["y" * 1500]}
    began = time.process_time()
    num_done = 0
    for key in range(NUM_TASKS):
        crew.submit(key, request)
        if key >= 64:
            num_done += len(crew.collect())
    while num_done < NUM_TASKS:
        num_done += len(crew.collect())
    spent = time.process_time() - began
    crew.close()
    return {"driver_ms_a_task": round(1000 * spent / NUM_TASKS, 2)}


def measure(arguments: argparse.Namespace) -> None:
    rows = [row for _, row in store.read_rows(shipped(CANDIDATES))]
    found = {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("rerank", "ray")},
        "host": {"platform": platform.platform(), "processor": processor_name()},
        "n": len(rows),
        **measure_reading(rows),
        **measure_journal(rows),
        **measure_dispatch(),
    }
    text = json.dumps(found, indent=1) + "\n"
    print(text, end="")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8")


def plan(arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of the plan, in Markdown."""
    rates = json.loads(arguments.rates.read_text(encoding="utf-8"))
    num_samples = arguments.problems * arguments.n
    num_distinct = num_samples * arguments.distinct_share
    drivers, cores = arguments.drivers, arguments.cores
    sampling_s = num_samples * rates["tokens_a_sample"] / (arguments.sampled_tokens_per_gpu_s * arguments.gpus)
    judging_s = num_distinct / (arguments.judged_programs_per_gpu_s * arguments.gpus)
    executing_s = num_distinct / (arguments.executed_programs_per_core_s * cores)
    reading_s = num_samples * rates["driver_ms_a_sample"] / 1000
    dispatch_s = num_distinct * rates["driver_ms_a_task"] / 1000
    held = num_samples * rates["journal_bytes_a_candidate"]
    yield f"{arguments.problems:,} problems x {arguments.n} samples on {arguments.gpus} GPUs and {cores:,} cores,"
    yield f"{drivers} drivers with {math.ceil(arguments.problems / drivers):,} problems each."
    yield ""
    yield "| stage | on the cluster | on one driver for all | on each driver |"
    yield "|---|---|---|---|"
    # The drivers read while the GPUs sample, and hand out programs while the cores run them: the slower one counts.
    yield f"| sample | {_hours(sampling_s)} | {_hours(reading_s)} | {_hours(reading_s / drivers)} |"
    yield f"| score, pointwise | {_hours(judging_s)} | | |"
    yield f"| execute | {_hours(executing_s)} | {_hours(dispatch_s)} | {_hours(dispatch_s / drivers)} |"
    yield f"| candidates in memory | | {_size(held)} | {_size(held / drivers)} |"
    yield ""
    total_s = max(sampling_s, reading_s / drivers) + judging_s + max(executing_s, dispatch_s / drivers)
    gpu_hours = total_s / 3600 * arguments.gpus
    yield (
        f"Together {_hours(total_s)}, {gpu_hours:,.0f} GPU hours held: {gpu_hours * arguments.price:,.0f} at "
        f"{arguments.price:g} a GPU hour. Candidates on disk: {_size(num_samples * rates['candidate_bytes_on_disk'])}."
    )


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h"


def _size(num_bytes: float) -> str:
    return f"{num_bytes / 1e9:,.1f} GB"


def _resident_bytes() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure")
    measuring.add_argument("--out", type=Path)
    planning = commands.add_parser("plan")
    planning.add_argument("--rates", type=Path, required=True, help="what `measure` wrote")
    planning.add_argument("--problems", type=int, required=True)
    planning.add_argument("--n", type=int, required=True, help="samples a problem")
    planning.add_argument("--gpus", type=int, required=True)
    planning.add_argument("--cores", type=int, default=1024, help="for the sandbox")
    planning.add_argument("--drivers", type=int, default=64, help="run folders that the problems are split over")
    planning.add_argument("--price", type=float, default=2.0, help="of one GPU for an hour, in your money")
    planning.add_argument("--sampled-tokens-per-gpu-s", type=float, default=SAMPLED_TOKENS_PER_GPU_S)
    planning.add_argument("--judged-programs-per-gpu-s", type=float, default=JUDGED_PROGRAMS_PER_GPU_S)
    planning.add_argument("--executed-programs-per-core-s", type=float, default=EXECUTED_PROGRAMS_PER_CORE_S)
    planning.add_argument("--distinct-share", type=float, default=DISTINCT_SHARE)
    arguments = parser.parse_args()
    with one_line(OSError):
        if arguments.command == "measure":
            measure(arguments)
        else:
            sys.stdout.writelines(line + "\n" for line in plan(arguments))


if __name__ == "__main__":
    main()
