"""Candidates x calls, in the sandbox: what each program returns, and which checks it passes.

    trials = [Trial(problem.public, checks, inputs), ...]
    with sandbox.Pool() as pool, folder.journal("trials") as journal:
        found = run_trials(trials, candidates, pool=pool, journal=journal)
    found["HumanEval/0"].traces[key].outputs, .passed

One process a program answers all calls of a problem, each under a limit of its own; a call that hangs, exits or kills
the process loses none of the others, and after a few of them the rest is given up (see `probe`). Results are journaled
a program at a time under the content hash of all that decides them.
"""

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from tqdm import tqdm

from rerank.candidates.programs import stub
from rerank.evidence import trial_probe
from rerank.evidence.written_tests import Check, used_calls
from rerank.records import Candidate, PublicProblem
from rerank.store import Journal, Row, content_hash
from sandbox import Job, Limits, Outcome, Pool

CALL_TIMEOUT_S = 0.5  # CPU seconds of one call
MAX_LATE = 3  # calls that may hang, exit or kill the process, after which the rest is not tried
LIMITS = Limits(timeout_s=4.0)  # of one process, for all its calls
_MAX_REPORT = 4000  # characters of lines that one process may write: the sandbox keeps the last 4,096
NO_RESULT = "!"  # what a text begins with where a call gave none


@dataclass(frozen=True)
class Trial:
    """What to run every candidate of one problem on."""

    problem: PublicProblem
    checks: tuple[Check, ...] = ()
    inputs: tuple[str, ...] = ()  # further calls, of which only the results are wanted

    @cached_property
    def calls(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*used_calls(self.checks), *self.inputs)))

    @cached_property
    def predicates(self) -> dict[str, list[str]]:
        """The predicates of each call, in the order of `checks`."""
        found: dict[str, list[str]] = {call: [] for call in self.calls}
        for check in self.checks:
            found[check.call].append(check.predicate)
        return found


@dataclass(frozen=True, slots=True)
class Trace:
    """What one program did on a trial. No selector needs more, and none sees another test than the trial's."""

    outputs: tuple[str, ...]  # one a call of the trial; equal results have equal texts, NO_RESULT begins a failure
    passed: tuple[bool, ...]  # one a check of the trial
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial with what became of it."""

    trial: Trial
    traces: Mapping[str, Trace]  # by key


def run_trials(
    trials: Iterable[Trial],
    candidates: Iterable[Candidate],
    *,
    pool: Pool,
    journal: Journal,
) -> dict[str, Tried]:
    """Run each distinct program on its problem's trial; by task_id. Trials without a call have no entry.

    A failure of the sandbox's own is the pool's SandboxError, never the program's.
    """
    programs: dict[str, dict[str, str]] = {}  # of equal programs the one drawn first
    for candidate in sorted(candidates, key=lambda each: each.index):
        if candidate.key is not None:
            programs.setdefault(candidate.task_id, {}).setdefault(candidate.key, candidate.program)
    runs = [
        _Run(trial, key, program)
        for trial in trials
        if trial.calls
        for key, program in programs.get(trial.problem.task_id, {}).items()
    ]
    _execute([run for run in runs if run.name not in journal], pool, journal)
    found: dict[str, dict[str, Trace]] = {}
    trial_of = {run.trial.problem.task_id: run.trial for run in runs}
    for run in runs:
        row = journal[run.name]
        bits = {call: iter(each) for call, each in zip(run.trial.calls, row["bits"], strict=True)}
        passed = tuple(next(bits[check.call]) == "1" for check in run.trial.checks)
        trace = Trace(tuple(row["outputs"]), passed, row["cpu_s"])
        found.setdefault(run.trial.problem.task_id, {})[run.key] = trace
    return {task_id: Tried(trial_of[task_id], traces) for task_id, traces in found.items()}


def joined(tried: Sequence[Tried]) -> Tried:
    """Several trials of one problem as one, each call once; a program that is not in all of them is left out."""
    checks = tuple(check for each in tried for check in each.trial.checks)
    trial = Trial(tried[0].trial.problem, checks, tuple(call for each in tried for call in each.trial.calls))
    traces = {}
    for key in set.intersection(*(set(each.traces) for each in tried)):
        own = [each.traces[key] for each in tried]
        outputs = {
            call: text
            for each, trace in zip(tried, own, strict=True)
            for call, text in zip(each.trial.calls, trace.outputs, strict=True)
        }
        passed = tuple(good for trace in own for good in trace.passed)
        traces[key] = Trace(tuple(outputs[call] for call in trial.calls), passed, sum(trace.cpu_s for trace in own))
    return Tried(trial, traces)


@dataclass
class _Run:
    """One program on one trial, as far as it has come."""

    trial: Trial
    key: str
    program: str
    outputs: dict[int, str] = field(default_factory=dict)
    bits: dict[int, str] = field(default_factory=dict)
    cpu_s: float = 0.0
    num_lost: int = 0  # calls that took their process, or their time, with them

    @cached_property
    def name(self) -> str:
        trial, problem = self.trial, self.trial.problem
        settings = (CALL_TIMEOUT_S, MAX_LATE, LIMITS.to_dict())
        return content_hash(self.program, problem.entry_point, problem.prompt, trial.predicates, settings)

    @property
    def todo(self) -> list[int]:
        return [number for number in range(len(self.trial.calls)) if number not in self.outputs]

    def chunk(self) -> list[int]:
        """The next calls, as many as have room in one process' report."""
        room, chosen = _MAX_REPORT, list[int]()
        for number in self.todo:
            room -= len(self.trial.predicates[self.trial.calls[number]]) + trial_probe.MAX_TEXT + 8
            if room < 0 and chosen:
                break
            chosen.append(number)
        return chosen

    def job(self) -> Job:
        calls = [(n, self.trial.calls[n], self.trial.predicates[self.trial.calls[n]]) for n in self.chunk()]
        problem = self.trial.problem
        helpers = stub(problem.prompt) or "" if problem.prompt_kind == "function" else ""
        arguments = (self.program, helpers, problem.entry_point, calls, CALL_TIMEOUT_S, MAX_LATE - self.num_lost)
        return Job(f"{_probe_source()}\n\nprobe{arguments!r}\n", limits=LIMITS)

    def take(self, outcome: Outcome) -> None:
        """Read the lines of one process; what it should have told and did not is the fault of the first such call."""
        asked = self.chunk()
        self.cpu_s += outcome.cpu_s
        ending = ""
        for line in outcome.stdout.splitlines():
            number, bits, text = (*line.split(" ", 2), "", "")[:3]
            if number == "-1":
                ending = text
            elif number.isdigit() and int(number) in asked:
                self.bits[int(number)], self.outputs[int(number)] = bits.replace("-", ""), text
                self.num_lost += text == "!late"
        missing = [number for number in asked if number not in self.outputs]
        if ending:
            self._give_up(self.todo, ending)
        elif missing:
            self._give_up(missing[:1], f"!{outcome.status}")
            self.num_lost += 1
        if self.num_lost >= MAX_LATE:
            self._give_up(self.todo, "!skipped")

    def _give_up(self, numbers: Sequence[int], text: str) -> None:
        for number in numbers:
            self.outputs[number] = text
            self.bits[number] = "0" * len(self.trial.predicates[self.trial.calls[number]])

    def row(self) -> Row:
        count = range(len(self.trial.calls))
        return {
            "key": self.name,
            "task_id": self.trial.problem.task_id,
            "program": self.key,
            "outputs": [self.outputs[number] for number in count],
            "bits": [self.bits[number] for number in count],
            "cpu_s": round(self.cpu_s, 4),
        }


def _execute(runs: Sequence[_Run], pool: Pool, journal: Journal) -> None:
    """Run them to their ends, a process each at a time, and journal each that is done."""
    unfinished = list({run.name: run for run in runs}.values())
    with tqdm(total=len(unfinished), desc="trials", unit="program", disable=None, file=sys.stderr, leave=False) as bar:
        while unfinished:
            for run, outcome in zip(unfinished, pool.map(_jobs(unfinished)), strict=True):
                run.take(outcome)
                if not run.todo:
                    journal.append([run.row()])
                    bar.update()
            unfinished = [run for run in unfinished if run.todo]


def _jobs(runs: Sequence[_Run]) -> Iterator[Job]:
    return (run.job() for run in runs)


@lru_cache(maxsize=1)
def _probe_source() -> str:
    return inspect.getsource(trial_probe)
