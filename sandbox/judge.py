"""The trusted side of mode separated: runs a test against a program that lives in another process.

A judge is a process for one bundle of tests, forked and confined like a program (a test that a model wrote is not to
be trusted with the host either). It never runs a line of a candidate's: what the test calls are stand-ins that send a
question over the candidate's channel and give back the plain data of the reply, so every comparison is made here.

With the runner, over the channel it was born with:
    from the runner  {"tests", "helpers", "entry_point"}
    to the runner    [null or why it does not compile, for each test]
    from the runner  the number of a test, in 4 bytes, with the descriptor of the candidate's channel
    to the runner    [status, reason]; status "lost" where the candidate's end is for the runner to explain
"""

from __future__ import annotations

import builtins
import contextlib
import json
import linecache
import os
import random
import re
import socket
import types
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.child import TEST_NAME, describe, describe_check
from sandbox.wire import (
    NUMBER_BYTES,
    Channel,
    NoPlainForm,
    ProtocolError,
    copy_into,
    decode_value,
    encode_value,
    may_change,
    refuse,
)

_DEFINES_CHECK = re.compile(r"^def check\(", re.MULTILINE)
_CALLS_CHECK = re.compile(r"^check\(", re.MULTILINE)


class CandidateLost(BaseException):
    """The candidate's process has gone or broke the protocol. Not an Exception: no test may catch it by accident."""


def is_check_form(test: str) -> bool:
    """HumanEval's form: the test defines check(candidate) and leaves the call to us."""
    return bool(_DEFINES_CHECK.search(test)) and not _CALLS_CHECK.search(test)


def serve(connection: socket.socket) -> int:
    channel = Channel(connection)
    setup = json.loads(channel.receive())
    bench = _Bench(**setup)
    channel.send(json.dumps(bench.broken).encode())
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, 4, 1)
        if not message:
            return 0
        candidate = socket.socket(fileno=descriptors[0])
        try:
            verdict = bench.examine(Channel(candidate), int.from_bytes(message, "big"))
        finally:
            candidate.close()
        channel.send(json.dumps(verdict).encode())


class _Bench:
    """Compiled tests, each run in a fresh namespace for every candidate."""

    def __init__(self, tests: list[str], helpers: str, entry_point: str) -> None:
        self._tests = tests
        self._entry_point = entry_point
        self._helpers, why = _compiled(helpers, "helpers.py")
        self._codes: list[types.CodeType | None] = []
        self.broken: list[str | None] = []
        for test in tests:
            code, why_not = _compiled(test, TEST_NAME)
            self._codes.append(code)
            self.broken.append(why or why_not)
        self._names = [set() if code is None else set(_names(code)) | {entry_point} for code in self._codes]

    def examine(self, channel: Channel, number: int) -> tuple[str, str]:
        candidate = _Candidate(channel)
        try:
            status, reason = self._run(candidate, number)
        except BaseException as error:
            status, reason = self._explain(error, number)
        # Whatever a test that swallows everything made of it: a candidate that was lost did not pass.
        return candidate.breach or (status, reason)

    def _run(self, candidate: _Candidate, number: int) -> tuple[str, str]:
        random.seed(0)
        offered = candidate.load()
        namespace: dict[str, Any] = {"__name__": "test", "__builtins__": builtins}
        exec(self._helpers or "", namespace)
        for name in self._names[number]:
            # Of its other names a test may want some, but never one that would stand in for a built-in function.
            known = name in namespace or hasattr(builtins, name)
            if name in offered and (name == self._entry_point or not known):
                namespace[name] = candidate.stand_in(name) if offered[name] else candidate.ask("get", name)
        if self._entry_point and self._entry_point not in offered:
            return "error", f"NameError: the program does not define {self._entry_point}"
        test, code = self._tests[number], self._codes[number]
        assert code is not None
        linecache.cache[TEST_NAME] = (len(test), None, test.splitlines(True), TEST_NAME)
        exec(code, namespace)
        if is_check_form(test):
            namespace["check"](namespace[self._entry_point])
        return "passed", ""

    def _explain(self, error: BaseException, number: int) -> tuple[str, str]:
        report = getattr(error, "sandbox_report", None)
        if report is not None:
            return "memory" if isinstance(error, MemoryError) else "error", report
        if isinstance(error, NoPlainForm):  # made by the test: what comes from the candidate can always go back
            return "unsupported", f"an argument has no plain form: {error}"
        if isinstance(error, AssertionError):
            return "failed", describe_check(error, self._tests[number])
        return "error", describe(error, TEST_NAME)


def _compiled(source: str, name: str) -> tuple[types.CodeType | None, str | None]:
    """The code, or why there is none."""
    try:
        return compile(source, name, "exec", dont_inherit=True), None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return None, f"{name} does not compile: {describe(error, name)}"


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


class _Candidate:
    """The far process: asks it one question at a time and believes nothing but the data of the reply."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._changeable: list[Any] = []  # arguments of the question under way
        self._generators: list[tuple[Any, int]] = []
        self.breach: tuple[str, str] | None = None

    def load(self) -> dict[str, bool]:
        """Have the program run; what names it then has, and whether each can be called. A claim, like all it says."""
        offered = self.ask("load")
        try:
            return {str(name): bool(can_be_called) for name, can_be_called in offered}
        except (TypeError, ValueError):
            raise self._lose("killed", "broke the protocol: not a list of names") from None

    def stand_in(self, name: str) -> Any:
        def function(*arguments: Any, **keywords: Any) -> Any:
            return self.ask("call", name, arguments, keywords)

        function.__name__ = function.__qualname__ = name
        return function

    def ask(self, verb: str, target: Any = None, arguments: tuple[Any, ...] = (), keywords: Any = None) -> Any:
        if self.breach:
            raise CandidateLost
        keywords = keywords or {}
        question = [verb, target, list(arguments), keywords] if verb == "call" else [verb, target]
        number = os.urandom(NUMBER_BYTES // 2).hex().encode()
        self._changeable = [value for value in (*arguments, *keywords.values()) if may_change(value)]
        frame = number + encode_value(question, self._stand_in)
        if self._channel.has_pending:
            raise self._lose("killed", "broke the protocol: a reply before the question")
        try:
            self._channel.send(frame)
            reply = self._channel.receive()
            if reply[:NUMBER_BYTES] != number:
                raise ProtocolError("a reply to no question")
            result, *changed = decode_value(reply[NUMBER_BYTES + 1 :], self._resolve)
            error = _rebuild(*result) if reply[NUMBER_BYTES] == ord("!") else None
            if error is None and changed:
                for old, new in zip(self._changeable, changed, strict=True):
                    if new is not None:
                        copy_into(old, new)
        except (EOFError, OSError):
            raise self._lose("lost", "") from None
        except (ProtocolError, TypeError, ValueError) as problem:
            raise self._lose("killed", f"broke the protocol: {problem}") from None
        if error is not None:
            raise error
        return result

    def _lose(self, status: str, reason: str) -> CandidateLost:
        self.breach = (status, reason)
        return CandidateLost()

    def _resolve(self, kind: str, parts: Any) -> Any:
        if kind == "argument":
            return self._changeable[parts]
        number, class_name = parts
        if kind == "iterator" and class_name == "generator":  # a real one, for tests that look at the type
            generator = self._generate(int(number))
            self._generators.append((generator, int(number)))
            return generator
        return _REMOTES[kind](self, int(number), str(class_name)[:100])

    def _generate(self, number: int) -> Iterator[Any]:
        with contextlib.suppress(StopIteration):
            while True:
                yield self.ask("next", number)

    def _stand_in(self, value: Any, tagged: Callable[[Any], Any]) -> Any:
        """What came from the candidate can go back to it as a handle; what the test made has to be plain."""
        if isinstance(value, _Remote):
            return {value.kind: [value.sandbox_number, ""]}
        for generator, number in self._generators:
            if generator is value:
                return {"iterator": [number, ""]}
        return refuse(value, tagged)


class _Remote:
    """Stands for an object of the candidate's that has no plain form. Equal to itself only."""

    kind = "object"

    def __init__(self, candidate: _Candidate, number: int, class_name: str) -> None:
        self._candidate = candidate
        self._class_name = class_name
        self.sandbox_number = number

    def __repr__(self) -> str:
        return f"<{self._class_name} of the candidate's>"


class _RemoteFunction(_Remote):
    kind = "function"

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._candidate.ask("call", self.sandbox_number, arguments, keywords)


class _RemoteIterator(_Remote):
    kind = "iterator"

    def __iter__(self) -> _RemoteIterator:
        return self

    def __next__(self) -> Any:
        return self._candidate.ask("next", self.sandbox_number)


_REMOTES: dict[str, type[_Remote]] = {remote.kind: remote for remote in (_RemoteFunction, _RemoteIterator, _Remote)}


def _rebuild(names: Any, arguments: Any, report: Any) -> BaseException:
    """The candidate's exception as the nearest built-in class, so that a test's `except ValueError` works."""
    if type(names) is not list or type(report) is not str:
        raise ProtocolError("not an exception")
    kinds = [getattr(builtins, name, None) for name in names if type(name) is str]
    known = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseException)]
    kind = known[0] if known else Exception
    try:
        error = kind(*arguments) if type(arguments) is list else kind(report)
    except Exception:
        error = Exception(report)
    error.sandbox_report = report[:1000]  # type: ignore[attr-defined]
    return error
