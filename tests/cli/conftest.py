"""Toy problems and candidates as files."""

from pathlib import Path

import pytest
from command_line import RIGHT, ROWS, WRONG, write


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write(tmp_path / "problems.jsonl", ROWS)


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    return write(
        tmp_path / "candidates.jsonl",
        [
            {"task_id": row["task_id"], "completion": body.format(number), "mean_log_probability": -0.1 * place}
            for number, row in enumerate(ROWS)
            for place, body in enumerate([*WRONG, RIGHT])
        ],
    )
