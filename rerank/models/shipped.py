"""The files that come with rerank, in its data folder: the default run's candidates and the trained scorers."""

from pathlib import Path

from rerank.errors import MissingError

_DATA = Path(__file__).parents[1] / "data"
CANDIDATES = "candidates/qwen2.5-coder-0.5b-instruct_humaneval_n10.jsonl.gz"
SCORERS = {  # by the name that --autorater takes
    "rerank-0.5b": "scorer/qwen2.5-coder-0.5b",
    "rerank-1.5b": "scorer/qwen2.5-coder-1.5b",
}
DEFAULT_AUTORATER = "rerank-0.5b"


def shipped(name: str) -> Path:
    """Where a shipped file or folder lies. Raises MissingError where the installation lacks it."""
    path = _DATA / name
    if path.exists():
        return path
    raise MissingError(f"{path} is not in this installation: install rerank again")
