"""Many problem files into one training-problem file: one form of each task, decontaminated, small enough to travel.

A row has: task_id, source, group, split (`train` or `dev`, as in the data), prompt, prompt_kind, entry_point,
canonical_solution, test (every hidden check, to be run behind a whole program), license, weight, and buggy_solution
where the source has one.

A task any form of which overlaps a benchmark is dropped in every form (`rerank.training.decontaminate`).

A task that stands in several files is taken from the first of `PREFERENCE` that has it: function-form prompts with a
docstring before plain words, and MBPP+'s tests before MBPP's. Different problems of one group (methods of one class,
versions of one function) all stay, and share the group's weight of 1.
"""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from rerank.errors import InputError
from rerank.store import Row
from rerank.training.problems.decontaminate import Benchmark, BenchmarkText, shapes

PREFERENCE = ("mbpp_plus", "mbpp_function", "mbpp_sanitized", "mbpp", "classeval_methods", "classeval")
LEFT_OUT = ("mathqa_python",)
MAX_TEST_BYTES = 20_000
FIELDS = ("task_id", "source", "prompt", "prompt_kind", "entry_point", "canonical_solution", "test", "group", "split")


def whole_program(row: Mapping[str, object], solution: str) -> str:
    """A solution in the row's own form as a whole program."""
    return f"{row['prompt']}{solution}" if row["prompt_kind"] == "function" else solution


def is_upstream_test(row: Mapping[str, object]) -> bool:
    """Whether the row is of MBPP's own test part, which is measured on."""
    return row.get("upstream_split") == "test"


def upstream_test_texts(rows: Iterable[Row]) -> list[BenchmarkText]:
    """MBPP's test part, as overlap wants it. Its names are too common to be barred."""
    return [
        BenchmarkText(_told(row), whole_program(row, row["canonical_solution"]), row["entry_point"], False)
        for row in rows
        if is_upstream_test(row)
    ]


def choose(rows: Iterable[Row], benchmark: Benchmark, dropped: Counter[tuple[str, str]]) -> list[Row]:
    """The training problems among the rows of all files, in their order. `dropped` counts by (source, reason)."""
    rows = list(rows)
    for row in rows:
        missing = [name for name in FIELDS if name not in row]
        if missing:
            raise InputError(f"problem {row.get('task_id', '?')} lacks {', '.join(missing)}")
    barred: dict[str, str] = {}  # group -> why, since what is true of one form is true of the task
    for row in rows:
        reason = None if _left_out(row) else _overlap(row, benchmark)
        if reason:
            barred.setdefault(row["group"], reason)
    usable = []
    for row in rows:
        reason = _left_out(row) or barred.get(row["group"])
        if reason is None:
            usable.append(row)
        else:
            dropped[row["source"], reason] += 1
    best: dict[str, str] = {}
    for row in usable:
        source = best.setdefault(row["group"], row["source"])
        best[row["group"]] = min(source, row["source"], key=_rank)
    kept = []
    seen_shapes: dict[str, str] = {}  # shape of a solution -> its group
    for row in usable:
        if row["source"] != best[row["group"]]:
            dropped[row["source"], "another form of the task is used"] += 1
            continue
        found = shapes(whole_program(row, row["canonical_solution"]), row["entry_point"])
        if any(seen_shapes.setdefault(shape, row["group"]) != row["group"] for shape in found):
            dropped[row["source"], "same solution up to names as another task"] += 1
            continue
        test = joined_test(row)
        if test is None:
            dropped[row["source"], f"test over {MAX_TEST_BYTES:,} bytes"] += 1
            continue
        kept.append((row, test))
    sizes = Counter(row["group"] for row, _ in kept)
    return [_travelling(row, test, weight=1 / sizes[row["group"]]) for row, test in kept]


def joined_test(row: Mapping[str, object]) -> str | None:
    """`test` and `extra_test` as one, without its last asserts where it is too long; None when that does not help."""
    parts = [str(row["test"]).strip("\n")]
    if row.get("extra_test"):
        if re.search(r"^def check\(", parts[0], re.MULTILINE) and not re.search(r"^check\(", parts[0], re.MULTILINE):
            parts.append(
                f"check({row['entry_point']})"
            )  # what follows makes it statements, so the call must stand there
        parts.append(str(row["extra_test"]).strip("\n"))
    test = "\n\n\n".join(parts) + "\n"
    if len(test.encode()) <= MAX_TEST_BYTES:
        return test
    lines = test.splitlines(keepends=True)
    statements = ast.parse(test).body
    while statements and isinstance(statements[-1], ast.Assert) and len("".join(lines).encode()) > MAX_TEST_BYTES:
        del lines[statements.pop().lineno - 1 :]
    enough = sum(isinstance(statement, ast.Assert) for statement in statements) >= 2
    return "".join(lines) if enough and len("".join(lines).encode()) <= MAX_TEST_BYTES else None


def table(kept: Iterable[Row], dropped: Counter[tuple[str, str]]) -> str:
    """What stayed by source and split, and what was dropped and why, for a person."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    weights: Counter[str] = Counter()
    for row in kept:
        counts[row["source"]][row["split"]] += 1
        weights[row["source"]] += row["weight"]
    lines = [f"{'source':24} {'train':>7} {'dev':>5} {'weight':>8}"]
    for source, by_split in counts.items():
        lines.append(f"{source:24} {by_split['train']:7,} {by_split['dev']:5,} {weights[source]:8.1f}")
    total: Counter[str] = sum(counts.values(), Counter())
    lines.append(f"{'all':24} {total['train']:7,} {total['dev']:5,} {sum(weights.values()):8.1f}")
    lines.append("\ndropped:")
    lines += [f"{count:7,}  {source}: {reason}" for (source, reason), count in sorted(dropped.items())]
    return "\n".join(lines)


def _left_out(row: Row) -> str | None:
    if row["source"] in LEFT_OUT:
        return "left out (weak tests)"
    if is_upstream_test(row):
        return "MBPP's test part"
    return None if row["split"] in ("train", "dev") else "held out by its split"


def _overlap(row: Row, benchmark: Benchmark) -> str | None:
    program = whole_program(row, row["canonical_solution"])
    return benchmark.overlap(prompt=_told(row), program=program, entry_point=row["entry_point"].strip())


def _told(row: Mapping[str, object]) -> str:
    """The prompt without the frame that stands round every sentence of the `mbpp` file: it alone is no overlap."""
    return str(row["prompt"]).partition("\n\nThe function's name is `")[0]


def _rank(source: str) -> tuple[int, str]:
    return (PREFERENCE.index(source) if source in PREFERENCE else len(PREFERENCE), source)


def _travelling(row: Row, test: str, *, weight: float) -> Row:
    chosen = {
        "task_id": row["task_id"],
        "source": row["source"],
        "group": row["group"],
        "split": row["split"],
        "prompt": row["prompt"],
        "prompt_kind": row["prompt_kind"],
        "entry_point": row["entry_point"].strip(),
        "canonical_solution": row["canonical_solution"],
        "test": test,
        "license": row.get("license", ""),
        "weight": round(weight, 6),
    }
    if row.get("buggy_solution"):
        chosen["buggy_solution"] = row["buggy_solution"]
    return chosen
