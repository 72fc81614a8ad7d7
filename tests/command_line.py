"""What tests of commands and scripts share: toy problems, and calls that return what a shell would see."""

import json
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from rerank.cli.app import app

SCRIPTS = Path(__file__).parents[1] / "scripts"
ROWS = [
    {
        "task_id": f"toy/{number}",
        "prompt": f'def add{number}(x):\n    """Add {number}.\n\n    >>> add{number}(1)\n    {number + 1}\n    """\n',
        "entry_point": f"add{number}",
        "canonical_solution": f"    return x + {number}\n",
        "test": f"def check(f):\n    assert f(0) == {number}\n    assert f(5) == {number + 5}\n",
    }
    for number in range(6)
]
RIGHT = "    return x + {}\n"
WRONG = ["    return x\n", "    return x - {}\n", "    if x == 1:\n        return x + {}\n    return -1\n"]


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rerank(*arguments: object, stdin: str | None = None):
    return CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)


def figures(result) -> dict[str, float]:
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["suites"][0]["selectors"]
    return {row["selector"]: row["figures"]["pass_at_1"]["value"] for row in rows}


def call(script: str, *arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
