"""Any doctested code base as training problems: read its files, find the functions that prove themselves, turn them.

A function becomes a problem when it is documented, stands on the standard library and on helpers of its own module,
and has checks: examples in its docstring, or unit tests of the code base that call it and nothing else of the project.
The problem shows the signature and the docstring with its first two examples; every example and test is a check. The
function's body, and behind it the helpers that only the body needs, is the reference solution.

Nothing is run here: `problems_in` makes `Draft`s, and `faults` says from two outcomes of the sandbox (the reference's
and a stub's) whether a draft may stay. An exercise in exercism's layout (`.docs/instructions.md`, `.meta/example.py`
and a test file in one folder) becomes a problem too.

What it does not do: methods of classes, functions that need another module of their project, tests with fixtures.
"""

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rerank.records import PromptKind
from rerank.store import Row
from rerank.training.problems.code_base.exercises import exercise_in
from rerank.training.problems.code_base.functions import Made, functions_in
from rerank.training.problems.code_base.modules import indent_of
from rerank.training.problems.code_base.unit_tests import is_test_file, unit_tests

MAX_PROMPT_CHARACTERS = 4_000
MAX_SOLUTION_CHARACTERS = 6_000
MAX_TEST_CHARACTERS = 20_000
MIN_CHECKS = 2


@dataclass(frozen=True, slots=True)
class Draft:
    """A problem whose reference has not been run yet, in the fields of a training row."""

    task_id: str
    source: str
    prompt: str
    prompt_kind: PromptKind
    entry_point: str
    canonical_solution: str
    test: str
    num_checks: int
    license: str
    group: str
    split: str

    @property
    def program(self) -> str:
        """The reference as a whole program."""
        return self.prompt + self.canonical_solution if self.prompt_kind == "function" else self.canonical_solution

    @property
    def stub(self) -> str:
        """A whole program that answers None to everything; no test worth having lets it pass."""
        if self.prompt_kind == "function":
            return self.prompt + f"{indent_of(self.canonical_solution)}return None\n"
        return f"def {self.entry_point}(*args, **kwargs):\n    return None\n"

    def row(self) -> Row:
        return {
            "task_id": self.task_id,
            "source": self.source,
            "prompt": self.prompt,
            "prompt_kind": self.prompt_kind,
            "entry_point": self.entry_point,
            "canonical_solution": self.canonical_solution,
            "test": self.test,
            "license": self.license,
            "group": self.group,
            "checks": self.num_checks,
            "split": self.split,
        }


def problems_in(
    root: Path, *, source: str, license: str, skip: Sequence[str] = (), dropped: Counter[str] | None = None
) -> Iterator[Draft]:
    """Yield a draft for every function of the code base that can become a problem, in the order of its files.

    `skip`: folders left out, as paths below `root`. `dropped` counts what was left out, by reason.
    """
    dropped = Counter() if dropped is None else dropped
    files = [path for path in sorted(root.rglob("*.py")) if not _skipped(path.relative_to(root), skip)]
    tests = unit_tests(files, dropped)
    for path in files:
        name = path.relative_to(root).with_suffix("").as_posix()
        if path.parent.name == ".meta" and path.stem in ("example", "exemplar"):
            maker = exercise_in(path, name=path.parent.parent.name)
        elif path.parent.name == ".meta" or is_test_file(path):
            continue
        else:
            maker = functions_in(path, name=name, tests=tests)
        for made in maker:
            if isinstance(made, str):
                dropped[made] += 1
                continue
            reason = _too_long_or_few(made)
            if reason:
                dropped[reason] += 1
                continue
            group = f"{source}/{_without_version(made.name)}"
            yield Draft(
                task_id=f"{source}/{made.name}",
                source=source,
                prompt=made.prompt,
                prompt_kind=made.prompt_kind,
                entry_point=made.entry_point,
                canonical_solution=made.solution,
                test=made.test,
                num_checks=made.num_checks,
                license=license,
                group=group,
                # Functions of one file are often versions of one another, so a file is wholly on one side.
                split=split_of(f"{source}/{name}"),
            )


def faults(passed: bool, stub_passed: bool) -> str | None:
    """Why a draft whose reference and stub were run may not stay; None when it may."""
    if not passed:
        return "reference fails its test"
    return "a stub passes the test" if stub_passed else None


def split_of(group: str) -> str:
    """`dev` for about one group in ten, by the SHA-256 of its name, as in the other problem files.

    >>> split_of("mbpp/4")
    'train'
    """
    return "dev" if int(hashlib.sha256(group.encode()).hexdigest(), 16) % 10 == 0 else "train"


def license_of(root: Path) -> str | None:
    """The SPDX name of the licence file at the top of a checkout, or None when it is not one of the usual ones."""
    marks = {
        "MIT": "Permission is hereby granted, free of charge",
        "Apache-2.0": "Apache License",
        "CC0-1.0": "CC0 1.0 Universal",
        "Unlicense": "released into the public domain",
        "BSD-3-Clause": "Neither the name",
        "BSD-2-Clause": "Redistribution and use in source and binary forms",
    }
    for path in sorted([*root.glob("LICEN[CS]E*"), *root.glob("COPYING*")]):
        text = " ".join(path.read_text(encoding="utf-8", errors="replace").split())
        for name, mark in marks.items():
            if mark in text:
                return name
    return None


def _skipped(path: Path, skip: Sequence[str]) -> bool:
    return any(path.is_relative_to(folder) for folder in skip)


def _too_long_or_few(made: Made) -> str | None:
    if made.num_checks < MIN_CHECKS:
        return f"fewer than {MIN_CHECKS} checks"
    if len(made.prompt) > MAX_PROMPT_CHARACTERS:
        return "prompt too long"
    if len(made.solution) > MAX_SOLUTION_CHARACTERS:
        return "solution too long"
    if len(made.test) > MAX_TEST_CHARACTERS:
        return "test too long"
    try:
        text = made.prompt + made.solution if made.prompt_kind == "function" else made.solution
        ast.parse(text)
        ast.parse(made.test)
    except SyntaxError:
        return "does not parse once taken apart"
    return None


def _without_version(name: str) -> str:
    """The name of a task without what tells its versions apart, so that versions share a group.

    >>> _without_version("array/rotate/rotate_v2")
    'array/rotate/rotate'
    """
    return re.sub(
        r"(?:_v?\d+|_(?:recursive|iterative|naive|fast|slow|bruteforce|brute_force|optimi[sz]ed))+$", "", name
    )
