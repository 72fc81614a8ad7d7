"""Load on `rerank serve`: answers lost or crossed, latency, memory, the full queue, a killed upstream.

    python scripts/bench_server.py --clients 64 --seconds 60 --out results/server/load.json

Three processes on one machine: an upstream that answers at once with programs made from the prompt, `rerank serve`
with the tests' tiny random model as its autorater, and this one with its clients. A client sends one request after
another, in turn /v1/chat/completions (n = 8), the same streamed, and /v1/rerank (8 candidates). Every request has a
number of its own, and every text of its answer must hold that number and no other. Then a second server whose queue is
an eighth of the clients, and last the upstream is killed. Nothing is downloaded.

Exit code 1 where an answer was lost or crossed, or a phase did not show what it must.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

from rerank.host import processor_name

NUM_SAMPLES = 8
CHAT, STREAM, RERANK = "chat", "chat streamed", "rerank"
_NUMBER = re.compile(r"\bn(\d+)\b")


def prompt_of(number: int) -> str:
    return f'def f(x):\n    """Add n{number} to x."""\n'


def solutions_of(number: int) -> list[str]:
    """Eight programs that all name the number, different from one another."""
    return [f"    n{number} = {number} + {index}\n    return x + n{number}\n" for index in range(NUM_SAMPLES)]


# The upstream


async def upstream(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An ASGI application that answers chat completions with `solutions_of` the prompt's number."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    asked = json.loads(body)
    [number] = _NUMBER.findall(asked["messages"][0]["content"])
    texts = solutions_of(int(number))[: asked.get("n", 1)]
    choices = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for index, text in enumerate(texts)
    ]
    answer = {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 0, "model": "m", "choices": choices}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


@contextmanager
def started(command: list[str], ready: re.Pattern[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process, and what `ready` finds in its first line on stderr; ended afterwards."""
    # Tiny models gain nothing from threads, and on a busy machine these wait for one another.
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = ready.search(line)
        if not found:
            raise SystemExit(f"{command[0]} did not start: {line}{process.stderr.read()}")
        # What it says later must not fill the pipe, nor be lost.
        threading.Thread(target=lambda: [print(each, end="", file=sys.stderr) for each in process.stderr or ()]).start()
        yield process, found[0]
    finally:
        process.terminate()
        process.wait(30)


def start_upstream() -> Any:
    return started([sys.executable, __file__, "--upstream"], re.compile(r"http://\S+"))


def start_server(upstream_url: str, model: Path, *arguments: str) -> Any:
    command = [sys.executable, "-m", "rerank", "serve", "--upstream", upstream_url, "--n", str(NUM_SAMPLES)]
    command += ["--autorater", str(model), "--backend", "transformers", "--port", "0", *arguments]
    return started(command, re.compile(r"http://[^/]+"))


# The clients


@dataclass
class Tally:
    """What the clients saw. Seconds are of whole requests that were answered 200, by kind."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {CHAT: [], STREAM: [], RERANK: []})
    statuses: Counter[int] = field(default_factory=Counter)
    num_sent: int = 0
    num_crossed: int = 0
    num_without_retry_after: int = 0  # among those of status 429
    broken: Counter[str] = field(default_factory=Counter)  # no answer at all, by the error's name

    @property
    def num_lost(self) -> int:
        return self.num_sent - self.statuses.total()


def request_of(kind: str, number: int) -> tuple[str, dict[str, Any]]:
    if kind == RERANK:
        return "/v1/rerank", {"query": prompt_of(number), "documents": solutions_of(number)}
    messages = [{"role": "user", "content": prompt_of(number)}]
    return "/v1/chat/completions", {"model": "m", "messages": messages, "stream": kind == STREAM}


def texts_of(kind: str, response: httpx.Response) -> list[str]:
    if kind == RERANK:
        return [each["document"]["text"] for each in response.json()["results"]]
    if kind == CHAT:
        return [response.json()["choices"][0]["message"]["content"], response.json()["id"].replace("chatcmpl-", "n")]
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    return ["".join(event["choices"][0]["delta"].get("content", "") for event in events)]


async def client(name: int, num_clients: int, url: str, until: float, tally: Tally) -> None:
    # No TLS here: reading the certificates for each client would keep the machine busy for seconds.
    async with httpx.AsyncClient(base_url=url, timeout=120, verify=False) as session:
        turn = 0
        while time.monotonic() < until:
            number, kind = turn * num_clients + name, (CHAT, STREAM, RERANK)[(turn + name) % 3]
            turn += 1
            path, body = request_of(kind, number)
            tally.num_sent += 1
            began = time.perf_counter()
            try:
                response = await session.post(path, json=body)
            except httpx.HTTPError as error:
                tally.broken[type(error).__name__] += 1
                continue
            tally.statuses[response.status_code] += 1
            if response.status_code == 200:
                tally.seconds[kind].append(time.perf_counter() - began)
                texts = texts_of(kind, response)
                right = texts and all(set(_NUMBER.findall(text)) == {str(number)} for text in texts)
                tally.num_crossed += not (right and len(texts) == (NUM_SAMPLES if kind == RERANK else len(texts)))
            elif response.status_code == 429:
                tally.num_without_retry_after += "retry-after" not in response.headers
                await asyncio.sleep(0.05)


def memory_mib(pid: int) -> float:
    """Resident memory of a process, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


async def load(url: str, *, num_clients: int, seconds: float, pid: int) -> tuple[Tally, list[float]]:
    """Run the clients; what they saw, and the server's memory each second."""
    tally, memory = Tally(), [memory_mib(pid)]
    until = time.monotonic() + seconds
    clients = [asyncio.create_task(client(name, num_clients, url, until, tally)) for name in range(num_clients)]
    for _ in tqdm(range(int(seconds)), "load", unit="s", disable=None):
        await asyncio.sleep(1)
        memory.append(memory_mib(pid))
    await asyncio.gather(*clients)
    return tally, memory


# The phases


def measure_load(url: str, arguments: argparse.Namespace, pid: int) -> dict[str, Any]:
    asyncio.run(load(url, num_clients=arguments.clients, seconds=5, pid=pid))  # the first requests warm it up
    cpu_before = cpu_seconds(pid)
    tally, memory = asyncio.run(load(url, num_clients=arguments.clients, seconds=arguments.seconds, pid=pid))
    answered = sum(map(len, tally.seconds.values()))
    metrics = dict(
        line.rsplit(" ", 1) for line in httpx.get(f"{url}/metrics").text.splitlines() if not line.startswith("#")
    )
    return {
        "clients": arguments.clients,
        "seconds": arguments.seconds,
        "sent": tally.num_sent,
        "answered_200": answered,
        "lost": tally.num_lost,
        "crossed": tally.num_crossed,
        "broken": dict(tally.broken),
        "requests_per_s": round(answered / arguments.seconds, 1),
        "latency_s": {kind: quantiles(values) for kind, values in tally.seconds.items()}
        | {"all": quantiles([value for values in tally.seconds.values() for value in values])},
        "requests_ranked_together_mean": round(
            float(metrics["rerank_batch_requests_sum"]) / float(metrics["rerank_batch_requests_count"]), 1
        ),
        "server_cpu_ms_a_request": round(1000 * (cpu_seconds(pid) - cpu_before) / max(1, answered), 1),
        "server_memory_mib": {
            "before": round(memory[0]),
            "at_a_third": round(memory[len(memory) // 3]),
            "at_two_thirds": round(memory[2 * len(memory) // 3]),
            "after": round(memory[-1]),
            "peak": round(max(memory)),
        },
    }


def measure_full_queue(url: str, arguments: argparse.Namespace, pid: int) -> dict[str, Any]:
    tally, _ = asyncio.run(load(url, num_clients=arguments.clients, seconds=5, pid=pid))
    return {
        "max_queue": max_queue(arguments),
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "429_without_retry_after": tally.num_without_retry_after,
        "lost": tally.num_lost,
        "crossed": tally.num_crossed,
    }


def measure_killed_upstream(url: str, process: subprocess.Popen[str]) -> dict[str, Any]:
    process.send_signal(signal.SIGKILL)
    process.wait()
    answers = {}
    for kind in (CHAT, RERANK):
        path, body = request_of(kind, 1)
        answers[kind] = httpx.post(url + path, json=body, timeout=30)
    return {
        "sampling": answers[CHAT].status_code,
        "message": re.sub(r"127.0.0.1:\d+", "HOST", answers[CHAT].json()["error"]["message"]),
        "ranking": answers[RERANK].status_code,
        "health": httpx.get(f"{url}/health").status_code,
    }


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def max_queue(arguments: argparse.Namespace) -> int:
    return max(1, arguments.clients // 8)


def quantiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {"p50": round(cuts[49], 3), "p95": round(cuts[94], 3), "p99": round(cuts[98], 3), "n": len(values)}


def is_good(found: dict[str, Any]) -> bool:
    load, full, killed = found["load"], found["full_queue"], found["killed_upstream"]
    return (
        load["lost"] == load["crossed"] == full["lost"] == full["crossed"] == full["429_without_retry_after"] == 0
        and load["answered_200"] == load["sent"]
        and set(full["statuses"]) == {"200", "429"}
        and (killed["sampling"], killed["ranking"], killed["health"]) == (502, 200, 200)
    )


def make_tiny_model(folder: Path) -> None:
    """The model that the tests judge with: two layers, random weights."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    from conftest import make_model, make_tokenizer

    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    make_model(tokenizer).save_pretrained(folder)


def serve_upstream() -> None:
    import uvicorn

    from rerank.server.service import listen

    with listen("127.0.0.1", 0) as listener:
        print(f"upstream at http://127.0.0.1:{listener.getsockname()[1]}/v1", file=sys.stderr, flush=True)
        uvicorn.Server(uvicorn.Config(upstream, lifespan="off", log_level="warning")).run(sockets=[listener])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0, help="of load, after 5 s of warm-up")
    parser.add_argument("--out", type=Path, help="JSON file for the figures; else only printed")
    parser.add_argument("--upstream", action="store_true", help=argparse.SUPPRESS)  # the script starts itself with it
    arguments = parser.parse_args()
    if arguments.upstream:
        serve_upstream()
        return
    with tempfile.TemporaryDirectory() as folder, start_upstream() as (upstream_process, upstream_url):
        model = Path(folder)
        make_tiny_model(model)
        found: dict[str, Any] = {
            "versions": {"python": platform.python_version()}
            | {name: version(name) for name in ("rerank", "torch", "transformers", "fastapi", "uvicorn", "httpx")},
            "host": {"platform": platform.platform(), "processor": processor_name()},
            "load_average_before": round(os.getloadavg()[0], 1),
        }
        with start_server(upstream_url, model, "--max-queue", str(max_queue(arguments))) as (process, url):
            found["full_queue"] = measure_full_queue(url, arguments, process.pid)
        with start_server(upstream_url, model) as (process, url):
            found["load"] = measure_load(url, arguments, process.pid)
            found["killed_upstream"] = measure_killed_upstream(url, upstream_process)
    text = json.dumps(found, indent=1) + "\n"
    print(text, end="")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text, encoding="utf-8")
    sys.exit(0 if is_good(found) else 1)


if __name__ == "__main__":
    main()
