"""What the tests of the recipes share: a script run in this process, and a small folder of judgment files."""

import importlib.util
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from rerank.store import write_rows

SCRIPTS = Path(__file__).parents[2] / "scripts"


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name: str, *arguments: object):
    return CliRunner().invoke(script(name).app, [str(argument) for argument in arguments])


def judgment(task: str, number: int, label: object, *, kind: str = "pairwise", **changes: Any) -> dict[str, Any]:
    return {
        "task": task,
        "source": "made up",
        "kind": kind,
        "capability": "other",
        "context": {"prompt": f"Number {number}"},
        "responses": ["plus", "minus"] if label == "A" else ["minus", "plus"],
        "label": label,
        "criterion": "Which?",
        "split": "dev" if number % 4 == 0 else "train",
        "meta": {},
    } | changes


PAIR_TASKS = ("hh_helpful_base", "gsm8k_solution_pair", "bugsinpy_fix", "hh_harmless_base", "truthfulqa_pair")


def write_judgments(folder: Path) -> Path:
    """Five tasks of pairs that a tiny model can learn, one of each category."""
    folder.mkdir()
    for task in PAIR_TASKS:
        rows = [judgment(task, number, "AB"[number % 2]) for number in range(12)]
        write_rows(folder / f"{task}.jsonl", rows)
    return folder
