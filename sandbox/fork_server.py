"""The fork server: a small, clean process behind the jail's walls that forks one program at a time.

The runner starts it by exec with an empty environment:

    python -s -S -P -c '...; sandbox.fork_server.main()' CONTROL_FD CONFIG_JSON

It never holds a program, a test or a verdict: a program's text goes from the runner straight to the forked child, over
a socket that only passes through here. What it imports is what every child finds imported, so it imports little.

On the control socket (one JSON record a message):
    to the runner    {"level", "layers", "scratch"} once ready, or {"unconfined": why}
    from the runner  {"role", "limits"} with descriptors: channel, stdin, stdout, stderr
    to the runner    {"started": true} with the child's pidfd
    to the runner    {"status", "cpu_s", "memory_bytes"} when the child and all its descendants are gone
    from the runner  {"preload": [module, ...]}: nothing comes back
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import select
import signal
import socket
import sys
from typing import Any

from sandbox import child, jail, judge, syscalls
from sandbox.outcome import Limits

_MAX_MESSAGE_BYTES = 1 << 16
_ROLES = {**child.ROLES, "judge": judge.serve}


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    config = json.loads(sys.argv[2])
    try:
        walls = jail.enter(config["level"], config["packages"])
    except (jail.Unconfined, OSError) as error:
        _tell(control, {"unconfined": str(error)})
        return
    child.prepare()
    child.warm_up()
    if walls.level != "full":
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)  # orphans come to us, to be ended
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who then lets go of us
    _tell(control, {"level": walls.level, "layers": walls.layers, "scratch": walls.scratch})
    try:
        _serve(control, walls)
    except (BrokenPipeError, ConnectionResetError):
        pass  # the runner has gone
    finally:
        walls.remove_scratch()


def _serve(control: socket.socket, walls: jail.Jail) -> None:
    gc.collect()
    gc.freeze()  # what is here now is never collected, so a child's collector does not copy its pages
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, _MAX_MESSAGE_BYTES, 4)
        if not message:
            return
        request = json.loads(message)
        if "preload" in request:
            for name in request["preload"]:
                with contextlib.suppress(ImportError):
                    __import__(name)
            gc.freeze()
            continue
        process = walls.fork()
        if process == 0:
            control.close()
            _become(request["role"], Limits(**request["limits"]), walls, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        if not _see_through(control, process):
            return
        walls.clean()


def _become(role: str, limits: Limits, walls: jail.Jail, descriptors: list[int]) -> None:
    """The forked child's whole life. Never returns."""
    status = 70
    try:
        channel, *standard = descriptors
        for target, descriptor in enumerate(standard):
            os.dup2(descriptor, target)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        walls.confine(limits)
        if channel != 3:
            os.dup2(channel, 3)
        os.closerange(4, 128)
        connection = socket.socket(fileno=3)
        random.seed(0)  # the fork gave it a new seed
        connection.sendall(child.CONFINED)
        status = _ROLES[role](connection)
    except BaseException as error:  # the runner reads it at the end of stderr
        with contextlib.suppress(BaseException):
            os.write(2, f"sandbox: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(status)


def _see_through(control: socket.socket, process: int) -> bool:
    """Hand out the child's pidfd, wait for its end, end what it left behind, report. False: the runner has gone."""
    handle = os.pidfd_open(process)
    _tell(control, {"started": True}, [handle])
    ends = select.poll()
    ends.register(handle, select.POLLIN)
    ends.register(control, select.POLLRDHUP)
    ready = [descriptor for descriptor, _ in ends.poll()]
    if handle not in ready:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    os.close(handle)
    _, status, usage = os.wait4(process, 0)
    cpu_s = usage.ru_utime + usage.ru_stime + _end_orphans()
    if handle not in ready:
        return False
    _tell(control, {"status": status, "cpu_s": cpu_s, "memory_bytes": usage.ru_maxrss * 1024})
    return True


def _end_orphans() -> float:
    """End every descendant that was left to us, and say their CPU time. In a pid namespace there are none."""
    cpu_s = 0.0
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            orphans = file.read().split()
        if not orphans:
            return cpu_s
        for orphan in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(orphan), signal.SIGKILL)
        for _ in orphans:
            with contextlib.suppress(ChildProcessError):
                _, _, usage = os.wait4(-1, 0)
                cpu_s += usage.ru_utime + usage.ru_stime


def _tell(control: socket.socket, record: dict[str, Any], descriptors: list[int] | None = None) -> None:
    socket.send_fds(control, [json.dumps(record).encode()], descriptors or [])
