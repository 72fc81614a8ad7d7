"""Many programs: results in the order of the inputs, a bounded number under way, identical programs once.

    with Pool() as pool:
        for outcome in pool.map(jobs):
            ...

The work is done by an executor, chosen by name; "local" starts runners on this host. Another one (a cluster, a
container) is a function in EXECUTORS that gives an object with the methods of Executor.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import importlib.util
import json
import os
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Protocol, Self

from sandbox.outcome import Job, Limits, Mode, Outcome, SandboxError, SandboxUnavailable
from sandbox.processes import start_python
from sandbox.wire import Channel, ProtocolError

DEFAULT_PACKAGES = ("numpy",)
ISOLATIONS = ("auto", "full", "landlock", "weak")
_DEFAULT_LIMITS = Limits()
_START_S = 120.0
_MAX_AHEAD = 4096  # jobs taken from the caller before the oldest is done: one slow program must not stop the others
_MAX_REMEMBERED = 10_000  # outcomes kept for programs that come again
_MAX_ATTEMPTS = 3  # of one request whose runner was killed from outside


class Executor(Protocol):
    """Runs requests somewhere. A request is Job's fields as plain data, with a list of tests."""

    capacity: int  # requests that it takes ahead of what it has finished

    def submit(self, key: int, request: dict[str, Any]) -> None: ...

    def collect(self) -> list[tuple[int, list[Outcome]]]:
        """Wait until something submitted is done; what is done, in any order."""

    def abandon(self) -> None:
        """Forget what was submitted; nothing of it will be collected."""

    def close(self) -> None: ...


class _Worker:
    """A runner process and what it has been given to do."""

    def __init__(self, level: str, packages: dict[str, list[str]], core: int | None) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(_START_S)
        config = {"level": level, "packages": packages, "core": core}
        with theirs:
            self.process = start_python("runner", theirs.fileno(), config)
        self.core = core
        self.socket = ours
        self.channel = Channel(ours)
        self.keys: collections.deque[int] = collections.deque()
        self.bundle: Any = None
        self.isolation = ""

    def wait_until_ready(self) -> _Worker:
        try:
            hello = json.loads(self.channel.receive())
        except (EOFError, OSError) as error:
            self.close()
            raise SandboxError(f"a sandbox worker did not start: {error}") from None
        if "unconfined" in hello:
            self.close()
            raise SandboxUnavailable(hello["unconfined"])
        self.isolation = hello["isolation"]
        self.socket.settimeout(None)
        return self

    def give(self, key: int, request: dict[str, Any]) -> None:
        bundle = _bundle(request)
        if bundle == self.bundle:  # it has these tests already: they can be a megabyte
            request = {name: value for name, value in request.items() if name not in _BUNDLE}
        self.bundle = bundle
        self.keys.append(key)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # seen again when reading
            self.channel.send(json.dumps(request).encode())

    def take(self) -> list[tuple[int, list[Outcome]]]:
        """What it has finished: more than one may have come in at once."""
        done: list[tuple[int, list[Outcome]]] = []
        while self.keys and (not done or self.channel.has_pending):
            records = json.loads(self.channel.receive())
            done.append((self.keys.popleft(), [Outcome.from_dict(record) for record in records]))
        return done

    def close(self) -> None:
        self.socket.close()  # the runner sees it and goes
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_BUNDLE = ("tests", "helpers", "entry_point")


def _bundle(request: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(request[name] for name in _BUNDLE)


class LocalExecutor:
    """Runners on this host; each has one request in work and one waiting, so that it need not wait for us."""

    def __init__(self, workers: int | None, isolation: str, packages: Sequence[str]) -> None:
        workers = workers or len(os.sched_getaffinity(0))
        self.capacity = 32 * workers
        self._packages = find_packages(packages)
        cores = sorted(os.sched_getaffinity(0))
        # Of a worker's processes one runs at a time. On one core they find their caches warm, which saves a quarter of
        # the time; where there are fewer workers than cores, the kernel knows better which of them are free.
        places = [cores[number % len(cores)] if workers >= len(cores) else None for number in range(workers)]
        first = self._first(isolation, places[0])
        self.isolation = first.isolation
        self._level = first.isolation.partition(":")[0]
        self._workers = [first]
        self._queue: dict[int, dict[str, Any]] = {}
        self._requests: dict[int, tuple[dict[str, Any], int]] = {}  # given to a worker, with how often
        others = [_Worker(self._level, self._packages, place) for place in places[1:]]
        self._workers += [other.wait_until_ready() for other in others]

    def _first(self, isolation: str, core: int | None) -> _Worker:
        levels = ("full", "landlock") if isolation == "auto" else (isolation,)
        reasons = []
        for level in levels:
            try:
                return _Worker(level, self._packages, core).wait_until_ready()
            except SandboxUnavailable as error:
                reasons.append(f"{level}: {error}")
        raise SandboxUnavailable(
            f"this host gives too little isolation ({'; '.join(reasons)}). Allow user namespaces for ordinary users "
            "(sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0; in a container: "
            "--security-opt seccomp=unconfined), or boot a kernel with Landlock; isolation='weak' runs without."
        )

    def submit(self, key: int, request: dict[str, Any]) -> None:
        self._queue[key] = request
        self._dispatch()

    def _dispatch(self) -> None:
        for worker in sorted(self._workers, key=lambda worker: len(worker.keys)):
            if self._queue and len(worker.keys) < 2:
                key = self._choose(worker)
                request = self._queue.pop(key)
                self._requests[key] = (request, self._requests.get(key, (request, 0))[1] + 1)
                worker.give(key, request)

    def _choose(self, worker: _Worker) -> int:
        """The first request whose test this worker has compiled, else one that no other has, else the first."""
        taken = [other.bundle for other in self._workers]
        fresh = None
        for key, request in self._queue.items():
            bundle = _bundle(request)
            if bundle == worker.bundle:
                return key
            if fresh is None and bundle not in taken:
                fresh = key
        return next(iter(self._queue)) if fresh is None else fresh

    def collect(self) -> list[tuple[int, list[Outcome]]]:
        done: list[tuple[int, list[Outcome]]] = []
        while not done:
            events = select.poll()
            for worker in self._workers:
                if worker.keys:
                    events.register(worker.socket, select.POLLIN)
            ready = {descriptor for descriptor, _ in events.poll()}
            for worker in [worker for worker in self._workers if worker.socket.fileno() in ready]:
                try:
                    done += worker.take()
                except (EOFError, OSError, ValueError, ProtocolError):
                    self._replace(worker)
            for key, _ in done:
                self._requests.pop(key, None)
            self._dispatch()
        return done

    def _replace(self, worker: _Worker) -> None:
        """A runner ended in the middle of its work: a new one takes it up."""
        worker.close()
        self._workers[self._workers.index(worker)] = _Worker(
            self._level, self._packages, worker.core
        ).wait_until_ready()
        for key in worker.keys:
            request, attempts = self._requests[key]
            if attempts == _MAX_ATTEMPTS:
                raise SandboxError(f"{attempts} sandbox workers ended in the middle of one program")
            self._queue = {key: request, **self._queue}

    def abandon(self) -> None:
        self._queue.clear()
        while any(worker.keys for worker in self._workers):
            self.collect()

    def close(self) -> None:
        for worker in self._workers:
            worker.socket.close()
        for worker in self._workers:
            worker.close()


EXECUTORS: dict[str, Callable[[int | None, str, Sequence[str]], Executor]] = {"local": LocalExecutor}


def find_packages(names: Sequence[str]) -> dict[str, list[str]]:
    """Where the packages lie that programs may import, with the libraries that wheels put beside them."""
    found = {}
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None:
            continue
        paths = list(spec.submodule_search_locations or ([spec.origin] if spec.origin else []))
        libraries = f"{paths[0]}.libs" if paths else ""
        found[name] = [*paths, *([libraries] if os.path.isdir(libraries) else [])]
    return found


class Pool:
    """Workers that stay up between calls. One map or matrix at a time; not to be shared between threads.

    workers     None: one for each core that the executor may use; more bring nothing on a quiet machine
    isolation   "auto" (full, else landlock, else SandboxUnavailable), or one of "full", "landlock", "weak"
    executor    a name in EXECUTORS
    once        equal jobs of one call run once and share an outcome
    packages    what programs and tests may import beside the standard library, where it is installed
    """

    def __init__(
        self,
        workers: int | None = None,
        isolation: str = "auto",
        executor: str = "local",
        *,
        packages: Sequence[str] = DEFAULT_PACKAGES,
        once: bool = True,
    ) -> None:
        if isolation not in ISOLATIONS:
            raise ValueError(f"isolation is {isolation!r}: one of {', '.join(ISOLATIONS)}")
        if executor not in EXECUTORS:
            raise ValueError(f"executor is {executor!r}: one of {', '.join(sorted(EXECUTORS))}")
        self._once = once
        self._executor = EXECUTORS[executor](workers, isolation, packages)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._executor.close()

    def map(self, jobs: Iterable[Job], *, progress: Callable[[int, Outcome], None] | None = None) -> Iterator[Outcome]:
        """An outcome for each job, in the order of the jobs, as they come.

        Jobs are taken as workers get free, at most a few thousand ahead of the caller. Equal jobs run once.
        `progress(n, outcome)` is called when the n-th has been judged. A failure of the sandbox's own raises
        SandboxError.
        """
        requests = (
            (job if self._once else number, _request(job, [job.test] if job.test else []))
            for number, job in enumerate(jobs)
        )
        for outcomes in self._run(requests, progress):
            yield outcomes[0]

    def matrix(
        self,
        candidates: Sequence[str],
        tests: Sequence[str],
        entry_point: str,
        *,
        limits: Limits = _DEFAULT_LIMITS,
        mode: Mode = "auto",
        helpers: str = "",
        early_exit: bool = False,
        progress: Callable[[int, Outcome], None] | None = None,
    ) -> Iterator[list[Outcome | None]]:
        """For each candidate, in order, an outcome for each test; the limits hold for each test.

        A candidate's tests run one after another in one process of its own, loaded anew for each: it can leave traces
        for its own later tests only. `early_exit`: None for every test after the first that it did not pass.
        """
        rows = (Job(candidate, None, entry_point, limits, mode, helpers) for candidate in candidates)
        requests = ((row.candidate, _request(row, list(tests)) | {"early_exit": early_exit}) for row in rows)
        for outcomes in self._run(requests, progress):
            yield [*outcomes, *([None] * (len(tests) - len(outcomes)))]

    def _run(
        self, requests: Iterable[tuple[Hashable, dict[str, Any]]], progress: Callable[[int, Outcome], None] | None
    ) -> Iterator[list[Outcome]]:
        """Outcomes for (identity, request), in order: requests of one identity run once."""
        source = iter(requests)
        order: collections.deque[Hashable] = collections.deque()  # taken from the source, not yet given back
        under_way: dict[int, Hashable] = {}
        results: collections.OrderedDict[Hashable, list[Outcome]] = collections.OrderedDict()
        num_submitted = num_judged = 0
        try:
            while True:
                while (
                    len(under_way) < self._executor.capacity
                    and len(order) < _MAX_AHEAD
                    and (item := next(source, None)) is not None
                ):
                    identity, request = item
                    order.append(identity)
                    if identity not in results and identity not in under_way.values():
                        under_way[num_submitted] = identity
                        self._executor.submit(num_submitted, request)
                        num_submitted += 1
                if not order:
                    return
                while order and order[0] in results:
                    yield results[order.popleft()]
                while len(results) > _MAX_REMEMBERED and next(iter(results)) not in order:
                    results.popitem(last=False)
                if not under_way:
                    continue
                for key, outcomes in self._executor.collect():
                    results[under_way.pop(key)] = outcomes
                    num_judged += 1
                    for outcome in outcomes:
                        if outcome.status == "sandbox_error":
                            raise SandboxError(outcome.reason)
                        if progress:
                            progress(num_judged, outcome)
        finally:
            if under_way:  # the caller stopped in the middle
                self._executor.abandon()


def _request(job: Job, tests: list[str]) -> dict[str, Any]:
    return {
        "candidate": job.candidate,
        "tests": tests,
        "entry_point": job.entry_point,
        "helpers": job.helpers,
        "stdin": job.stdin,
        "mode": job.mode,
        "limits": job.limits.to_dict(),
    }


_shared: dict[str, Pool] = {}
_lock = threading.Lock()


def check(
    candidate: str,
    test: str,
    entry_point: str,
    *,
    limits: Limits = _DEFAULT_LIMITS,
    mode: Mode = "auto",
    isolation: str = "auto",
    helpers: str = "",
) -> Outcome:
    """Judge one program by one test.

    >>> check("def add(a, b): return a + b", "assert add(1, 2) == 3", "add").status
    'passed'
    """
    return _one(Job(candidate, test, entry_point, limits, mode, helpers), isolation)


def run(source: str, *, limits: Limits = _DEFAULT_LIMITS, stdin: str = "", isolation: str = "auto") -> Outcome:
    """Run a whole program as a script; passed when it reached its end.

    >>> run("print(input())", stdin="hello").stdout
    'hello\\n'
    """
    return _one(Job(source, limits=limits, stdin=stdin), isolation)


def _one(job: Job, isolation: str) -> Outcome:
    """Through a pool of one worker that stays up until the interpreter ends."""
    with _lock:
        if isolation not in _shared:
            _shared[isolation] = Pool(1, isolation)
        return next(iter(_shared[isolation].map([job])))


@atexit.register
def _close_shared() -> None:
    while _shared:
        _, pool = _shared.popitem()
        pool.close()
