"""Start one program at a time, watch it, end it with all it started, and read the verdict.

A runner is a process of its own, started by exec from the pool (so that it holds nothing of the caller's and a crash
of it is a crash of nothing else). It keeps two fork servers, one for programs and one for judges:

    python -s -S -P -c '...; sandbox.runner.main()' SOCKET_FD CONFIG_JSON

With the pool, in frames: {"level", "layers"} or {"unconfined": why}; then a request in, a list of outcomes out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from sandbox import sampling
from sandbox.child import CONFINED
from sandbox.judge import is_check_form
from sandbox.modes import needs_one_process
from sandbox.outcome import MAX_TAIL_CHARS, MIB, Limits, Outcome
from sandbox.wire import Channel, ProtocolError

# All that a program finds in its environment. Fixed, so that it runs the same everywhere; one thread for numpy's
# libraries and one arena for malloc, since both would reserve address space for every core of the host.
ENVIRONMENT = {
    "HOME": "/tmp", "TMPDIR": "/tmp", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC",
    "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}  # fmt: skip
JUDGE_LIMITS = Limits(timeout_s=1e6, memory_bytes=4096 * MIB, max_processes=8)
_JUDGE_CPU_S = 10.0  # for one test, besides the program's limit
_START_S = 60.0  # for a server to stand, on a machine that is ten times slower than slow
_END_S = 30.0  # for a killed program to be gone
_SAMPLE_S = 0.05
_NUMPY = re.compile(r"^\s*(?:import|from)\s+numpy\b", re.MULTILINE)
_SETTLE_S = 5.0
_MAX_REPORT_BYTES = 1 << 16
_JUDGE_STATUSES = ("passed", "failed", "error", "memory", "killed", "unsupported", "lost")
_HARNESS_STATUSES = ("failed", "error", "memory")


class ServerLost(Exception):
    """A fork server broke or was killed: nothing is known of the program, which is run again."""


class JudgeLost(ServerLost):
    """A judge broke while it looked at what a program gave it."""


class Unavailable(Exception):
    """No server could be set up at this level."""


def start_python(module: str, descriptor: int, config: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start `module`.main() in a clean interpreter that inherits one socket and nothing else."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    code = f"import sys; sys.path.insert(0, {root!r}); from sandbox import {module}; {module}.main()"
    return subprocess.Popen(
        [sys.executable, "-s", "-S", "-P", "-c", code, str(descriptor), json.dumps(config)],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(descriptor,),
        start_new_session=True,
    )


class _Server:
    """A running fork server."""

    def __init__(self, level: str, packages: dict[str, list[str]]) -> None:
        self._scratch = ""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = start_python("server", theirs.fileno(), {"level": level, "packages": packages})
        hello, _ = self.receive(_START_S)
        if "unconfined" in hello:
            self.close()
            raise Unavailable(hello["unconfined"])
        self.level: str = hello["level"]
        self.layers: list[str] = hello["layers"]
        self._scratch = hello["scratch"]
        self.pid = self._process.pid

    def fileno(self) -> int:
        return self._control.fileno()

    def receive(self, timeout_s: float) -> tuple[dict[str, Any], list[int]]:
        self._control.settimeout(timeout_s)
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, 1 << 16, 1)
        except OSError as error:
            raise ServerLost(f"fork server: {error}") from None
        if not message:
            raise ServerLost("the fork server ended")
        return json.loads(message), descriptors

    def spawn(self, role: str, limits: Limits, descriptors: list[int]) -> int:
        """Have a child forked; its pidfd."""
        self._send({"role": role, "limits": limits.to_dict()}, descriptors)
        _, (handle,) = self.receive(_START_S)
        return handle

    def preload(self, module: str) -> None:
        self._send({"preload": [module]}, [])

    def _send(self, record: dict[str, Any], descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._control, [json.dumps(record).encode()], descriptors)
        except OSError as error:
            raise ServerLost(f"fork server: {error}") from None

    def close(self) -> None:
        self._control.close()  # the server sees it and goes, with whatever it has running
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)


class _Judge:
    """A judge process for one bundle of tests."""

    def __init__(self, server: _Server, bundle: tuple[Any, ...]) -> None:
        self.bundle = bundle
        self._server = server
        tests, helpers, entry_point = bundle
        self.connection, theirs = socket.socketpair()
        with theirs, open(os.devnull, "r+b") as null:
            standard = [null.fileno()] * 3
            self.handle = server.spawn("judge", JUDGE_LIMITS, [theirs.fileno(), *standard])
        self.channel = Channel(self.connection)
        try:
            _await_confined(self.connection, "a judge")
            setup = {"tests": tests, "helpers": helpers, "entry_point": entry_point}
            self.channel.send(json.dumps(setup).encode())
            self.broken: list[str | None] = json.loads(self.channel.receive())
        except (EOFError, OSError) as error:
            self.close()
            raise ServerLost(f"judge: {error}") from None
        self.busy = False
        self.watched = sampling.Group(sampling.pid_of(self.handle))

    def start(self, test: int, candidate: socket.socket) -> None:
        try:
            socket.send_fds(self.connection, [test.to_bytes(4, "big")], [candidate.fileno()])
        except OSError as error:
            raise ServerLost(f"judge: {error}") from None
        self.busy = True

    def close(self) -> None:
        self.connection.close()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)
        os.close(self.handle)
        self._server.receive(_END_S)


@dataclasses.dataclass(frozen=True)
class _End:
    """How a program came to its end: a verdict, a limit that it passed, or "lost", to be read from its exit status."""

    status: str
    reason: str = ""


class _Program:
    """One forked program with its pipes, from spawn to burial."""

    def __init__(self, server: _Server, role: str, limits: Limits, stdin: str) -> None:
        self._server = server
        self.limits = limits
        self.began = time.monotonic()
        self.connection, theirs = socket.socketpair()
        stdout, stdout_end = os.pipe()
        stderr, stderr_end = os.pipe()
        self.outputs = {stdout: bytearray(), stderr: bytearray()}
        self.num_written = 0
        self.spent_s = 0.0  # CPU time that earlier tests of a row have used
        self.ended: dict[str, Any] | None = None
        with theirs, _input(stdin) as input_file:
            self.handle = server.spawn(role, limits, [theirs.fileno(), input_file.fileno(), stdout_end, stderr_end])
        os.close(stdout_end)
        os.close(stderr_end)
        for descriptor in self.outputs:
            os.set_blocking(descriptor, False)
        self._group: sampling.Group | None = None
        try:
            _await_confined(self.connection, "a program")
        except ServerLost as error:
            self.bury()
            raise ServerLost(f"{error}: {self.tails()[1]}") from None

    @property
    def group(self) -> sampling.Group:
        if self._group is None:
            pid = sampling.pid_of(self.handle)
            self._group = sampling.Group(pid) if self._server.level == "full" else sampling.Group(pid, self._server.pid)
        return self._group

    def read_output(self, descriptor: int) -> bool:
        """Take some of what has been written. False: there is no more for now, or no writer left."""
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return False
        self.num_written += len(data)
        tail = self.outputs[descriptor]
        tail += data
        del tail[: -4 * MAX_TAIL_CHARS]
        return bool(data)

    def send_setup(self, setup: dict[str, Any]) -> bool:
        """Hand over what to run. False: the child ended before it had it all."""
        try:
            Channel(self.connection).send(json.dumps(setup).encode())
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def claim(self, proof: str) -> _End:
        """What a child that holds both program and test says of itself: only the proof is a pass."""
        try:
            frame = _read_report(self.connection)
            if secrets.compare_digest(frame, proof.encode()):
                return _End("passed")
            status, reason = json.loads(frame)
            if status in _HARNESS_STATUSES and type(reason) is str:
                return _End(status, reason[:2000])
        except EOFError:
            return _End("lost")
        except (ProtocolError, ValueError, TypeError, RecursionError):
            pass
        return _End("killed", "broke the protocol: not a report")

    def kill(self) -> None:
        if self.ended is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.handle, signal.SIGKILL)

    def see_end(self) -> dict[str, Any]:
        if self.ended is None:
            self.ended, _ = self._server.receive(_END_S)
        return self.ended

    def bury(self) -> None:
        """End it, wait until it and all its descendants are gone, and take the rest of what it wrote."""
        self.kill()
        self.connection.close()
        try:
            self.see_end()
            for descriptor in self.outputs:
                while self.num_written <= self.limits.max_output_bytes and self.read_output(descriptor):
                    pass
        finally:
            os.close(self.handle)
            for descriptor in self.outputs:
                os.close(descriptor)

    def tails(self) -> list[str]:
        return [tail.decode("utf-8", "replace")[-MAX_TAIL_CHARS:] for tail in self.outputs.values()]


def _await_confined(connection: socket.socket, what: str) -> None:
    """The first byte says that the walls are up; nothing that could harm us has run before it."""
    connection.settimeout(_START_S)
    try:
        word = connection.recv(1)
    except OSError:
        word = b""
    connection.settimeout(None)
    if word != CONFINED:
        raise ServerLost(f"{what} could not be confined")


def _input(text: str) -> Any:
    if not text:
        return open(os.devnull, "rb")
    file = os.fdopen(os.memfd_create("stdin"), "r+b")
    file.write(text.encode("utf-8", "surrogateescape"))
    file.seek(0)
    return file


class Runner:
    """Two fork servers and the judge in use; run() gives an outcome for each test of a request."""

    def __init__(self, level: str, packages: dict[str, list[str]], caller: socket.socket | None = None) -> None:
        self._packages = packages
        self._caller = caller  # when it hangs up, nobody waits for the verdict
        self._servers: dict[str, _Server] = {}
        self._judge: _Judge | None = None
        self._preloaded = False
        self.level = level
        self.isolation = "none"
        self._server("programs")

    def _server(self, duty: str) -> _Server:
        if duty not in self._servers:
            server = self._servers[duty] = _Server(self.level, self._packages)
            self.isolation = f"{server.level}: {' '.join(server.layers)}"
        return self._servers[duty]

    def close(self) -> None:
        """Let everything go; a later request starts anew."""
        if self._judge is not None:
            self._judge.connection.close()
            os.close(self._judge.handle)
            self._judge = None
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        self._preloaded = False

    def run(self, request: dict[str, Any]) -> list[Outcome]:
        """Judge one program by the tests of `request`. What is ours to blame is tried twice."""
        limits = Limits(**request["limits"])
        for attempt in (1, 2):
            try:
                return self._run(request, limits)
            except (ServerLost, ProtocolError, OSError) as error:
                self.close()
                if attempt == 2:
                    # Twice the same values broke a judge: it is the program that does not get its verdict.
                    status = "killed" if isinstance(error, JudgeLost) else "sandbox_error"
                    return [self._outcome(_End(status, f"{type(error).__name__}: {error}"), None, "", limits)]
        raise AssertionError("unreachable")

    def _run(self, request: dict[str, Any], limits: Limits) -> list[Outcome]:
        tests = request["tests"]
        if not tests:
            return [self._run_alone("program", request, "", limits)]
        if len(tests) > 1:
            return self._run_row(request, limits)
        return [self._run_test(request, 0, limits)]

    def _run_row(self, request: dict[str, Any], limits: Limits) -> list[Outcome]:
        """One program by many tests, in one process as long as it behaves: it is loaded anew for each test."""
        outcomes: list[Outcome] = []
        program: _Program | None = None
        try:
            for number, test in enumerate(request["tests"]):
                if request["mode"] == "in-process" or needs_one_process(test, request["entry_point"]):
                    outcomes.append(self._run_test(request, number, limits))
                else:
                    if program is None:
                        program = _Program(self._server("programs"), "candidate", limits, request["stdin"])
                        program.send_setup({"candidate": request["candidate"]})
                    outcome, is_well = self._examine(request, number, program)
                    if not is_well:
                        program.bury()
                        program = None
                    outcomes.append(outcome)
                if request["early_exit"] and not outcomes[-1].passed:
                    break
        finally:
            if program is not None:
                program.bury()
        return outcomes

    def _examine(self, request: dict[str, Any], number: int, program: _Program) -> tuple[Outcome, bool]:
        """One test of a row, and whether the program's process can go on to the next one."""
        judge = self._judge_for(request)
        limits = program.limits
        broken = judge.broken[number]
        if broken is not None:
            return self._outcome(_End("error", broken), None, "separated", limits), True
        before_s, began = program.group.cpu_s(), time.monotonic()
        program.began, program.spent_s = began, before_s
        judge.start(number, program.connection)
        end = self._watch(program, judge.connection, judge)
        is_well = end is None
        end = end or self._verdict_of(judge)
        is_well = is_well and end.status in ("passed", "failed", "error", "unsupported") and program.ended is None
        spent_s = 0.0 if program.ended else program.group.cpu_s() - before_s
        if end.status == "lost":
            end = _explain_exit(program.see_end()["status"], limits)
        if not is_well:
            program.kill()
            if judge.busy and not self._settle(judge):
                self._drop_judge()
        outcome = self._outcome(end, None, "separated", limits)
        return dataclasses.replace(outcome, cpu_s=spent_s, wall_s=time.monotonic() - began), is_well

    def _run_test(self, request: dict[str, Any], number: int, limits: Limits) -> Outcome:
        mode, test = request["mode"], request["tests"][number]
        if mode != "in-process":
            why = needs_one_process(test, request["entry_point"])
            if not why:
                outcome = self._run_separated(request, number, limits)
                # "unsupported" comes from an argument that the test made, never from what the program gave back.
                if outcome.status != "unsupported" or mode == "separated":
                    return outcome
            elif mode == "separated":
                return self._outcome(_End("unsupported", f"the test needs mode in-process: {why}"), None, mode, limits)
        return self._run_alone("in_process", request, test, limits)

    def _run_separated(self, request: dict[str, Any], test: int, limits: Limits) -> Outcome:
        judge = self._judge_for(request)
        broken = judge.broken[test]
        if broken is not None:
            return self._outcome(_End("error", broken), None, "separated", limits)
        program = _Program(self._server("programs"), "candidate", limits, request["stdin"])
        try:
            if program.send_setup({"candidate": request["candidate"]}):
                judge.start(test, program.connection)
                program.connection.close()
                end = self._watch(program, judge.connection, judge) or self._verdict_of(judge)
            else:
                end = _End("lost")
            if end.status == "lost":
                end = _explain_exit(program.see_end()["status"], limits)
        finally:
            program.bury()
        if judge.busy and not self._settle(judge):
            self._drop_judge()
        return self._outcome(end, program, "separated", limits)

    def _run_alone(self, role: str, request: dict[str, Any], test: str, limits: Limits) -> Outcome:
        proof = secrets.token_hex(32)
        setup = {"candidate": request["candidate"], "proof": proof}
        if role == "in_process":
            setup |= {"test": test, "entry_point": request["entry_point"], "calls_check": is_check_form(test)}
        program = _Program(self._server("programs"), role, limits, request["stdin"])
        try:
            program.send_setup(setup)
            end = self._watch(program, program.connection, None) or program.claim(proof)
            if end.status == "lost":
                end = _explain_exit(program.see_end()["status"], limits)
        finally:
            program.bury()
        return self._outcome(end, program, role.replace("_", "-"), limits)

    def _judge_for(self, request: dict[str, Any]) -> _Judge:
        tests, helpers = request["tests"], request["helpers"]
        bundle = (tuple(tests), helpers, request["entry_point"])
        if self._judge is None or self._judge.bundle != bundle:
            self._drop_judge()
            server = self._server("judges")
            if not self._preloaded and any(_NUMPY.search(text) for text in (*tests, helpers)):
                server.preload("numpy")  # 0.1 s, once for all judges to come
                self._preloaded = True
            self._judge = _Judge(server, bundle)
        return self._judge

    def _drop_judge(self) -> None:
        if self._judge is not None:
            judge, self._judge = self._judge, None
            judge.close()

    def _verdict_of(self, judge: _Judge) -> _End:
        """What the judge says. It is ours, but the test in it may be a model's: its words are checked too."""
        judge.busy = False
        try:
            status, reason = json.loads(_read_report(judge.connection))
        except (EOFError, OSError, ValueError, TypeError, ProtocolError):
            self._drop_judge()
            raise JudgeLost("the judge ended while it looked at the results") from None
        if status not in _JUDGE_STATUSES or type(reason) is not str:
            raise JudgeLost("the judge gave no verdict")
        return _End(status, reason)

    def _settle(self, judge: _Judge) -> bool:
        """Wait until a judge whose candidate was ended has seen it; False: it is caught in the test."""
        try:
            _read_report(judge.connection)
        except (EOFError, OSError, ProtocolError):
            return False
        judge.busy = False
        return True

    def _watch(self, program: _Program, source: socket.socket, judge: _Judge | None) -> _End | None:
        """Wait until `source` has something to say; None then. An _End: a limit was passed first."""
        limits = program.limits
        events = select.poll()
        for descriptor in (source.fileno(), self._server("programs").fileno(), *program.outputs):
            events.register(descriptor, select.POLLIN)
        if self._caller is not None:
            events.register(self._caller, select.POLLRDHUP)
        judge_cpu_s = judge.watched.cpu_s() if judge else 0.0
        asleep_s, seen_cpu_s, pause_s = 0.0, 0.0, _SAMPLE_S
        sampled = time.monotonic()
        while True:
            ready = {descriptor for descriptor, _ in events.poll(pause_s * 1000)}
            for descriptor in ready & program.outputs.keys():
                if not program.read_output(descriptor):
                    events.unregister(descriptor)
            if program.num_written > limits.max_output_bytes:
                return _End("output", f"wrote more than {limits.max_output_bytes} bytes")
            if source.fileno() in ready:
                return None
            if self._caller is not None and self._caller.fileno() in ready:
                raise SystemExit
            if self._server("programs").fileno() in ready:
                program.see_end()  # not the end of the story: a reply may still be on its way
                events.unregister(self._server("programs").fileno())
            now = time.monotonic()
            if now - program.began > limits.max_wall_s:
                return _End("timeout", f"over {limits.max_wall_s:g} s by the clock")
            if now - sampled < min(pause_s, _SAMPLE_S) and ready:
                continue
            used = program.group.usage() if program.ended is None else sampling.Usage(0.0, 0, 0, False)
            cpu_s = max(0.0, used.cpu_s - program.spent_s)
            judging_s = judge.watched.cpu_s() - judge_cpu_s if judge else 0.0
            if judging_s > _JUDGE_CPU_S + limits.timeout_s:
                return _End("timeout", f"the test took over {judging_s:.0f} s to look at the results")
            # Time in which both sides sleep is the program's to answer for; at most what we meant to wait, since
            # more than that says how busy the host is, not how long the program slept.
            busy_s = cpu_s + judging_s - seen_cpu_s
            if used.asleep and busy_s < 0.1 * _SAMPLE_S and (judge is None or judge.watched.usage().asleep):
                asleep_s += min(now - sampled, 2 * _SAMPLE_S)
            seen_cpu_s, sampled = cpu_s + judging_s, now
            if cpu_s > limits.timeout_s:
                return _End("timeout", f"over {limits.timeout_s:g} s of CPU time")
            if cpu_s + asleep_s > limits.timeout_s:
                return _End("timeout", f"over {limits.timeout_s:g} s, {asleep_s:.1f} s of them asleep")
            if used.memory_bytes > limits.memory_bytes:
                return _End("memory", f"over {limits.memory_bytes} bytes in all its processes")
            if used.num_tasks > limits.max_processes + 1:
                return _End("killed", f"more than {limits.max_processes} processes and threads")
            pause_s = min(_SAMPLE_S, max(0.002, (limits.timeout_s - cpu_s) / max(1, used.num_tasks)))

    def _outcome(self, end: _End, program: _Program | None, mode: str, limits: Limits) -> Outcome:
        outcome = Outcome(end.status, end.reason, mode=mode, isolation=self.isolation, timeout_s=limits.timeout_s)
        if program is None:
            return outcome
        ended = program.see_end()
        stdout, stderr = program.tails()
        return dataclasses.replace(
            outcome,
            cpu_s=ended["cpu_s"],
            wall_s=time.monotonic() - program.began,
            peak_memory_bytes=ended["memory_bytes"],
            stdout=stdout,
            stderr=stderr,
        )


def _read_report(connection: socket.socket) -> bytes:
    """One short frame, which an honest sender writes in one piece: nobody can keep us waiting for the rest of it."""
    connection.settimeout(_SETTLE_S)
    try:
        data = connection.recv(_MAX_REPORT_BYTES)
    except ConnectionResetError:
        data = b""
    finally:
        connection.settimeout(None)
    if not data:
        raise EOFError("no report")
    if int.from_bytes(data[:4], "big") != len(data) - 4:
        raise ProtocolError("not a report")
    return data[4:]


def _explain_exit(status: int, limits: Limits) -> _End:
    """An end without a word from the harness."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
        if number == signal.SIGXCPU:
            return _End("timeout", f"over {limits.timeout_s:g} s of CPU time")
        return _End("killed" if number == signal.SIGKILL else "crashed", f"ended by {name}")
    return _End("error", f"exited with status {os.WEXITSTATUS(status)} before the last check")


def main() -> None:
    caller = socket.socket(fileno=int(sys.argv[1]))
    config = json.loads(sys.argv[2])
    channel = Channel(caller)
    if config["core"] is not None:
        os.sched_setaffinity(0, {config["core"]})
    try:
        runner = Runner(config["level"], config["packages"], caller)
    except (Unavailable, ServerLost, OSError) as error:
        channel.send(json.dumps({"unconfined": str(error)}).encode())
        return
    channel.send(json.dumps({"isolation": runner.isolation}).encode())
    try:
        bundle: dict[str, Any] = {}
        while True:
            request = json.loads(channel.receive())
            bundle = {name: request.get(name, bundle.get(name)) for name in ("tests", "helpers", "entry_point")}
            outcomes = runner.run(request | bundle)
            channel.send(json.dumps([outcome.to_dict() for outcome in outcomes]).encode())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the pool has gone
    finally:
        runner.close()
