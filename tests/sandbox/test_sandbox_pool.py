"""The pool: order, laziness, identical programs once, a dead worker, the matrix, executors by name."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import sandbox
from sandbox import pool as pool_module
from sandbox import usage

ROOT = Path(__file__).resolve().parents[2]


def job(number, **fields):
    return sandbox.Job(f"def f(): return {number}", f"assert f() % 3 == 0, {number}", "f", **fields)


def test_outcomes_come_in_the_order_of_the_jobs(pool):
    slow = "import time\ndef f():\n    time.sleep(0.3)\n    return 3"
    jobs = [sandbox.Job(slow, "assert f() == 3", "f"), *map(job, range(30))]
    passed = [outcome.passed for outcome in pool.map(jobs)]
    assert passed == [True, *(number % 3 == 0 for number in range(30))]


def test_jobs_are_taken_lazily_and_the_pool_survives_a_caller_who_stops(pool):
    taken = []

    def jobs():
        for number in itertools.count():
            taken.append(number)
            yield job(number)

    outcomes = pool.map(jobs())
    assert next(outcomes).passed
    assert len(taken) <= 100
    outcomes.close()
    assert [outcome.passed for outcome in pool.map([job(3), job(4)])] == [True, False]


def test_equal_jobs_run_once(pool):
    calls = []
    outcomes = list(pool.map([job(6)] * 50 + [job(7)], progress=lambda number, _: calls.append(number)))
    assert calls == [1, 2]
    assert len(outcomes) == 51
    assert outcomes[0] is outcomes[49]


def test_the_matrix(pool):
    candidates = [
        "def f(x): return x",
        "def f(x): return 1",
        "def f(x):\n    while x == 2: pass\n    return x",
        "def f(",
    ]
    tests = ["assert f(1) == 1", "assert f(2) == 2", "assert f(", "assert f(3) == 3"]
    limits = sandbox.Limits(timeout_s=0.4)

    def statuses(**options):
        rows = pool.matrix(candidates, tests, "f", limits=limits, **options)
        return [[outcome and outcome.status for outcome in row] for row in rows]

    assert statuses() == [
        ["passed", "passed", "error", "passed"],
        ["passed", "failed", "error", "failed"],
        ["passed", "timeout", "error", "passed"],
        ["error", "error", "error", "error"],
    ]
    assert statuses(early_exit=True) == [
        ["passed", "passed", "error", None],
        ["passed", "failed", None, None],
        ["passed", "timeout", None, None],
        ["error", None, None, None],
    ]


def test_a_worker_killed_in_the_middle_loses_nothing():
    with sandbox.Pool(2) as pool:
        victims = usage._children(os.getpid())
        assert victims
        slow = [
            sandbox.Job(f"import time\ndef f():\n    time.sleep(0.3)\n    return {number}", "assert f() >= 0", "f")
            for number in range(6)
        ]
        timer = threading.Timer(0.4, lambda: os.kill(pool._executor._workers[0].process.pid, signal.SIGKILL))
        timer.start()
        assert [outcome.status for outcome in pool.map(slow)] == ["passed"] * 6
        timer.join()


def test_a_fork_server_killed_in_the_middle_loses_nothing():
    with sandbox.Pool(1) as pool:
        runner = pool._executor._workers[0].process.pid
        slow = sandbox.Job("import time\ndef f():\n    time.sleep(0.5)\n    return 1", "assert f() == 1", "f")
        timer = threading.Timer(0.25, lambda: [os.kill(pid, signal.SIGKILL) for pid in usage._children(runner)])
        timer.start()
        assert next(iter(pool.map([slow]))).passed
        timer.join()


def test_a_sandbox_that_keeps_breaking_is_an_error_and_no_verdict(monkeypatch):
    with sandbox.Pool(1) as pool:
        monkeypatch.setattr(pool_module, "_MAX_ATTEMPTS", 1)
        sleeper = sandbox.Job("import time\ndef f(): time.sleep(2)", "f()", "f")
        timer = threading.Timer(0.3, lambda: os.kill(pool._executor._workers[0].process.pid, signal.SIGKILL))
        timer.start()
        with pytest.raises(sandbox.SandboxError, match="ended in the middle"):
            list(pool.map([sleeper]))
        timer.join()


def test_everything_ends_with_its_caller():
    """A caller that is killed leaves no process behind, though a program of its ignores signals."""
    code = (
        "import sandbox, os\npool = sandbox.Pool(1)\nprint(pool._executor._workers[0].process.pid, flush=True)\n"
        "list(pool.map([sandbox.Job('import os, time\\nos.fork()\\ntime.sleep(60)', limits=sandbox.Limits(60))]))"
    )
    caller = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert caller.stdout is not None
    runner = int(caller.stdout.readline())
    family: list[int] = []
    for _ in range(100):
        family = [runner, *usage.descendants(runner)]
        if len(family) >= 5:
            break
        threading.Event().wait(0.05)
    assert len(family) >= 5
    caller.kill()
    caller.wait()
    caller.stdout.close()
    for _ in range(100):
        alive = [pid for pid in family if _is_alive(pid)]
        if not alive:
            break
        threading.Event().wait(0.1)
    assert alive == []


def _is_alive(pid):
    try:
        return usage._stat(f"/proc/{pid}/stat")[0] not in "ZX"
    except OSError:
        return False


def test_other_executors_by_name(monkeypatch):
    class Echo:
        capacity = 4

        def __init__(self, *_):
            self.keys = []

        def submit(self, key, _):
            self.keys.append(key)

        def collect(self):
            done, self.keys = self.keys, []
            return [(key, [sandbox.Outcome("passed", "elsewhere")]) for key in done]

        def abandon(self):
            self.keys.clear()

        def close(self):
            pass

    monkeypatch.setitem(sandbox.EXECUTORS, "echo", Echo)
    with sandbox.Pool(executor="echo") as pool:
        assert [outcome.reason for outcome in pool.map(map(job, range(9)))] == ["elsewhere"] * 9
    with pytest.raises(ValueError, match=r"executor is 'none': one of echo, local"):
        sandbox.Pool(executor="none")
    with pytest.raises(ValueError, match="isolation is 'strong'"):
        sandbox.Pool(isolation="strong")


def test_too_little_isolation_is_refused_with_the_mend(monkeypatch):
    def refuse(*_):
        raise sandbox.SandboxUnavailable("namespaces: Operation not permitted")

    monkeypatch.setattr(pool_module, "_Worker", refuse)
    with pytest.raises(sandbox.SandboxUnavailable, match=r"max_user_namespaces.*isolation='weak'"):
        sandbox.Pool(1)


def test_the_report_says_what_holds():
    layers = sandbox.isolation_report()
    assert [layer.name for layer in layers] == ["full", "landlock", "weak"]
    assert layers[0].holds
    assert "seccomp" in str(layers[0])


def test_memory_and_descriptors_do_not_grow(pool):
    list(pool.map(map(job, range(1000, 1040))))
    before = [_num_descriptors(pid) for pid in _workers(pool)], len(usage.descendants(os.getpid()))
    list(pool.map(map(job, range(2000, 2200))))
    after = [_num_descriptors(pid) for pid in _workers(pool)], len(usage.descendants(os.getpid()))
    assert after == before


def _workers(pool):
    return [os.getpid(), *(worker.process.pid for worker in pool._executor._workers)]


def _num_descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
