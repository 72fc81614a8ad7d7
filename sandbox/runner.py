"""Start one program at a time, watch it, end it with all it started, and read the verdict.

A runner is a process of its own, started by exec from the pool (so that it holds nothing of the caller's and a crash
of it is a crash of nothing else). It keeps two fork servers, one for programs and one for judges:

    python -s -S -P -c '...; sandbox.runner.main()' SOCKET_FD CONFIG_JSON

With the pool, in frames: {"level", "layers"} or {"unconfined": why}; then a request in, a list of outcomes out.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import secrets
import select
import socket
import sys
import time
from typing import Any

from sandbox import usage
from sandbox.judge import is_check_form
from sandbox.modes import needs_one_process
from sandbox.outcome import Limits, Outcome
from sandbox.processes import (
    JudgeLost,
    ServerLost,
    Unavailable,
    _End,
    _explain_exit,
    _Judge,
    _Program,
    _read_report,
    _Server,
)
from sandbox.wire import Channel, ProtocolError

_JUDGE_CPU_S = 10.0  # for one test, besides the program's limit
_SAMPLE_S = 0.05
_NUMPY = re.compile(r"^\s*(?:import|from)\s+numpy\b", re.MULTILINE)
_JUDGE_STATUSES = ("passed", "failed", "error", "memory", "killed", "unsupported", "lost")


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
            used = program.group.usage() if program.ended is None else usage.Usage(0.0, 0, 0, False)
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
