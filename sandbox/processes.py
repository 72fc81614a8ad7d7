"""TODO."""

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from sandbox import usage
from sandbox.child import CONFINED
from sandbox.outcome import MAX_TAIL_CHARS, MIB, Limits
from sandbox.wire import Channel, ProtocolError

# All that a program finds in its environment. Fixed, so that it runs the same everywhere; one thread for numpy's
# libraries and one arena for malloc, since both would reserve address space for every core of the host.
ENVIRONMENT = {
    "HOME": "/tmp", "TMPDIR": "/tmp", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "TZ": "UTC",
    "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}  # fmt: skip


JUDGE_LIMITS = Limits(timeout_s=1e6, memory_bytes=4096 * MIB, max_processes=8)


_START_S = 60.0  # for a server to stand, on a machine that is ten times slower than slow


_END_S = 30.0  # for a killed program to be gone


_SETTLE_S = 5.0


_MAX_REPORT_BYTES = 1 << 16


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
            self._process = start_python("fork_server", theirs.fileno(), {"level": level, "packages": packages})
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
        self.watched = usage.Group(usage.pid_of(self.handle))

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
        self._group: usage.Group | None = None
        try:
            _await_confined(self.connection, "a program")
        except ServerLost as error:
            self.bury()
            raise ServerLost(f"{error}: {self.tails()[1]}") from None

    @property
    def group(self) -> usage.Group:
        if self._group is None:
            pid = usage.pid_of(self.handle)
            self._group = usage.Group(pid) if self._server.level == "full" else usage.Group(pid, self._server.pid)
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
