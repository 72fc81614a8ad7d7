"""The same engines and the same sandbox on the nodes of a Ray cluster: `--cluster ray` or `--cluster ray://HOST:10001`.

    connect("ray")
    engine = RayEngine("transformers", "qwen2.5-coder-0.5b-instruct", EngineOptions(cluster="ray", replicas=4))
    pool = sandbox.Pool(executor="ray")

Work goes out in whole groups: a problem's prompts, a request, a program with its tests. On a CPU no group's numbers
depend on another's, and results are handed back in the order asked, so a run on a cluster writes what a run on one
machine writes, byte for byte, as long as the machines are alike, the number of threads included, which the nodes take
from here. On a GPU engines pack groups together, and their last bits follow the packs. The driver alone writes the run
folder.

A worker that dies is replaced and its work done again, `_MAX_ATTEMPTS` times; a driver that dies resumes as every run
does. Nodes come and go as Ray's autoscaler likes: a copy of the model that cannot be placed yet gets no work. Every
node needs the same version of rerank; a model's folder must be at the same path there.
"""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError

import sandbox
from rerank.backends.engines import open_engine
from rerank.backends.interface import (
    AnswerLogOdds,
    Contest,
    ContestLogOdds,
    EngineOptions,
    GenerationRequest,
    Sample,
    Sampling,
)
from rerank.errors import MissingError, SettingError, WorkerError
from rerank.host import num_usable_cores, package_version
from rerank.prompts import Prompt
from sandbox.pool import EXECUTORS, LocalExecutor

_MAX_ATTEMPTS = 3  # of one piece of work whose worker died
_AHEAD = 2  # pieces that a worker is given at a time: it need not wait for the driver
_GROUPS_A_TASK = 4  # problems in one piece of work; what a death costs at most, times _AHEAD
_GROUPS_A_TASK_ON_GPU = 32  # vLLM fills a GPU with what one call brings
T = TypeVar("T")
R = TypeVar("R")


def connect(cluster: str) -> None:
    """Join a cluster, or start one on this machine; and make executor "ray" known to the sandbox.

    Raises SettingError for a cluster of another form, MissingError where none answers at that address.
    """
    if cluster != "ray" and not cluster.startswith("ray://"):
        raise SettingError(f"--cluster {cluster}: ray or ray://HOST:PORT is wanted")
    EXECUTORS["ray"] = RayExecutor
    if ray.is_initialized():
        return
    # PyTorch shares a sum among its threads: their number must be the same everywhere for the same last bit.
    threads = os.environ.get("OMP_NUM_THREADS", str(num_usable_cores()))
    environment = {"env_vars": {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE"}}
    try:
        ray.init(cluster if cluster != "ray" else None, log_to_driver=False, runtime_env=environment)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise MissingError(f"--cluster {cluster}: no Ray cluster there ({first_line}); is it up?") from error


# Workers that may die


@dataclass
class _Member:
    """An actor and the keys of what it has been given; `ready` once it has been set up on its node."""

    actor: Any
    keys: list[int] = field(default_factory=list)
    ready: bool = False


class Crew:
    """Actors of one kind. Work is submitted under a key and collected in any order; who dies is replaced.

    An actor has two methods: `open`, called first, and `do(*arguments)`. What they raise is raised by `collect`.
    """

    def __init__(self, make_actor: Callable[[], Any], size: int):
        self._make_actor = make_actor
        self._references: dict[Any, tuple[_Member, int | None]] = {}  # key None: from `open`
        self._waiting: dict[int, tuple[Any, ...]] = {}
        self._given: dict[int, tuple[Any, ...]] = {}
        self._attempts: dict[int, int] = {}
        self._num_deaths_before_work = 0
        self._opened: list[Any] = []
        self._members = [self._hire() for _ in range(size)]

    def submit(self, key: int, *arguments: Any) -> None:
        self._waiting[key] = arguments
        self._dispatch()

    def opened(self) -> Any:
        """What `open` returned of the first actor that is ready. Waits for it."""
        while not self._opened:
            self._step()
        return self._opened[0]

    def collect(self) -> list[tuple[int, Any]]:
        """Wait until something submitted is done. Raises WorkerError for work that one actor after another died of."""
        self._dispatch()
        while not (done := self._step()):
            pass
        return done

    def _step(self) -> list[tuple[int, Any]]:
        """Wait for one thing to happen; the work that was done, if that was it."""
        [reference], _ = ray.wait(list(self._references), num_returns=1)
        member, key = self._references[reference]
        try:
            result = _get(reference)
        except RayActorError as error:
            return self._replace(member, error)
        del self._references[reference]
        if key is None:
            member.ready = True
            self._opened.append(result)
        else:
            member.keys.remove(key)
            del self._given[key]
        self._dispatch()
        return [] if key is None else [(key, result)]

    def forget(self) -> None:
        """Drop what was submitted; what is under way ends unseen."""
        self._waiting.clear()
        for reference, (member, key) in list(self._references.items()):
            if key is not None:
                member.keys.remove(key)
                del self._given[key]
                del self._references[reference]

    def close(self) -> None:
        for member in self._members:
            ray.kill(member.actor)

    def _hire(self) -> _Member:
        member = _Member(self._make_actor())
        self._references[member.actor.open.remote()] = (member, None)
        return member

    def _dispatch(self) -> None:
        for member in sorted(self._members, key=lambda member: len(member.keys)):
            while member.ready and self._waiting and len(member.keys) < _AHEAD:
                key = next(iter(self._waiting))
                self._given[key] = arguments = self._waiting.pop(key)
                self._attempts[key] = self._attempts.get(key, 0) + 1
                member.keys.append(key)
                self._references[member.actor.do.remote(*arguments)] = (member, key)

    def _replace(self, member: _Member, error: RayActorError) -> list[tuple[int, Any]]:
        """Hire another and give back for doing what a dead one had in hand; what it had finished."""
        if not member.ready:
            self._num_deaths_before_work += 1
            if self._num_deaths_before_work == _MAX_ATTEMPTS:
                raise WorkerError(f"{_MAX_ATTEMPTS} workers of the cluster died while starting") from error
        done: list[tuple[int, Any]] = []
        redo: dict[int, tuple[Any, ...]] = {}
        for reference, (owner, key) in list(self._references.items()):  # in the order in which they were given
            if owner is not member:
                continue
            del self._references[reference]
            if key is None:
                continue
            arguments = self._given.pop(key)
            try:
                done.append((key, _get(reference)))
            except RayActorError:
                # The first that is not finished was being done; those behind it did not kill it.
                if redo:
                    self._attempts[key] -= 1
                elif self._attempts[key] == _MAX_ATTEMPTS:
                    raise WorkerError(f"{_MAX_ATTEMPTS} workers of the cluster died of one piece of work") from error
                redo[key] = arguments
        self._waiting = redo | self._waiting
        self._members[self._members.index(member)] = self._hire()
        return done


def _get(reference: Any) -> Any:
    """A task's result; what it raised is raised as it was."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise error.cause if isinstance(error.cause, Exception) else error from None


def _num_gpus() -> int:
    return int(ray.cluster_resources().get("GPU", 0))


def _default_size() -> int:
    """How many of what wants a GPU: one each, or one a node where there is none."""
    return _num_gpus() or sum(bool(node["Alive"]) for node in ray.nodes())


def _placed(actor: type) -> Any:
    return ray.remote(num_gpus=1 if _num_gpus() else 0, num_cpus=1)(actor)


# Models


class _EngineActor:
    """One copy of a model, on one node."""

    def __init__(self, backend: str, model: str, options: EngineOptions, version: str | None):
        self._asked = (backend, model, options)
        self._version = version
        self._engine: Any = None

    def open(self) -> tuple[dict[str, str], bool]:
        here = package_version("rerank")
        if here != self._version:
            raise SettingError(f"--cluster: rerank {here} on a node, {self._version} here; install the same version")
        self._engine = self._engine or open_engine(*self._asked)
        return dict(self._engine.settings), self._engine.has_chat_template

    def do(self, method: str, items: Sequence[Any], *settings: Any) -> list[Any]:
        return list(getattr(self._engine, method)(items, *settings))


class RayEngine:
    """An engine whose copies lie on a cluster: one a GPU where there are any, else `replicas` or one a node."""

    def __init__(self, backend: str, model: str, options: EngineOptions):
        assert options.cluster
        connect(options.cluster)
        self._groups_a_task = _GROUPS_A_TASK_ON_GPU if _num_gpus() else _GROUPS_A_TASK
        self._size = options.replicas or _default_size()
        actor = _placed(_EngineActor)
        local = replace(options, cluster=None, replicas=None)
        version = package_version("rerank")
        self._crew = Crew(lambda: actor.remote(backend, model, local, version), self._size)
        try:
            self._settings, self._has_chat_template = self._crew.opened()
        except Exception:
            self._crew.close()
            raise

    @property
    def settings(self) -> Mapping[str, str]:
        return self._settings

    @property
    def has_chat_template(self) -> bool:
        return self._has_chat_template

    def close(self) -> None:
        self._crew.close()

    def answer_log_odds(self, groups: Iterable[Sequence[Prompt]]) -> Iterator[list[AnswerLogOdds]]:
        return self._map("answer_log_odds", groups)

    def contest_log_odds(self, contests: Iterable[Contest]) -> Iterator[ContestLogOdds]:
        return self._map("contest_log_odds", contests)

    def generate(
        self, requests: Iterable[GenerationRequest], num_samples: int, sampling: Sampling
    ) -> Iterator[tuple[GenerationRequest, list[Sample]]]:
        return self._map("generate", requests, num_samples, sampling)

    def _map(self, method: str, items: Iterable[Any], *settings: Any) -> Iterator[Any]:
        """One result an item, in the order of the items, however late one of them comes."""
        pieces = enumerate(_batched(items, self._groups_a_task))
        results: dict[int, list[Any]] = {}
        # Those behind a late one wait here: no more of them than keep everybody busy twice over.
        window = 4 * _AHEAD * self._size
        num_taken = num_given_back = 0
        try:
            while True:
                for key, piece in itertools.islice(pieces, window - (num_taken - num_given_back)):
                    self._crew.submit(key, method, piece, *settings)
                    num_taken += 1
                if num_taken == num_given_back:
                    return
                while num_given_back not in results:
                    results.update(self._crew.collect())
                yield from results.pop(num_given_back)
                num_given_back += 1
        finally:
            self._crew.forget()


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


# Anything else that wants a GPU


class _CallActor:
    def __init__(self, function: Callable[[Any], Any]):
        self._function = function

    def open(self) -> None:
        pass

    def do(self, item: Any) -> Any:
        return self._function(item)


def call_on_each(function: Callable[[T], R], items: Sequence[T], *, replicas: int | None = None) -> Iterator[R]:
    """The results of a call on each item, as they come, from one worker a GPU (or a node, or `replicas`).

    The function goes to the workers with all that it holds. Raises what it raises.
    """
    actor = _placed(_CallActor)
    crew = Crew(lambda: actor.remote(function), min(len(items), replicas or _default_size()))
    try:
        for number, item in enumerate(items):
            crew.submit(number, item)
        num_left = len(items)
        while num_left:
            for _, result in crew.collect():
                num_left -= 1
                yield result
    finally:
        crew.close()


# Programs


class _SandboxActor:
    """One sandbox worker, on one node."""

    def __init__(self, isolation: str, packages: Sequence[str]):
        self._asked = (1, isolation, packages)
        self._executor: LocalExecutor | None = None

    def open(self) -> str:
        self._executor = self._executor or LocalExecutor(*self._asked)
        return self._executor.isolation

    def do(self, request: dict[str, Any]) -> list[sandbox.Outcome]:
        assert self._executor is not None
        self._executor.submit(0, request)
        [(_, outcomes)] = self._executor.collect()
        return outcomes


class RayExecutor:
    """`sandbox.pool.Executor` over a cluster: a worker a core, each with a runner of its own."""

    def __init__(self, workers: int | None, isolation: str, packages: Sequence[str]):
        workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self.capacity = 32 * workers
        actor = ray.remote(num_cpus=1)(_SandboxActor)
        self._crew = Crew(lambda: actor.remote(isolation, list(packages)), workers)

    def submit(self, key: int, request: dict[str, Any]) -> None:
        self._crew.submit(key, request)

    def collect(self) -> list[tuple[int, list[sandbox.Outcome]]]:
        return self._crew.collect()

    def abandon(self) -> None:
        self._crew.forget()

    def close(self) -> None:
        self._crew.close()
