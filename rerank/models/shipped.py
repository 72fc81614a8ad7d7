"""The files that come with rerank: the embedded default's candidates and the trained scorer."""

from pathlib import Path

from rerank.errors import MissingError

# In an installed package they lie beside the modules, in a checkout under results/.
_PLACES = (Path(__file__).parent / "data", Path(__file__).parent.parent / "results")
CANDIDATES = "candidates/qwen2.5-coder-0.5b-instruct_humaneval_n10.jsonl.gz"
SCORERS = {  # by the name that --autorater takes
    "rerank-0.5b": "scorer/qwen2.5-coder-0.5b",
    "rerank-1.5b": "scorer/qwen2.5-coder-1.5b",
}
DEFAULT_AUTORATER = "rerank-0.5b"


def shipped(name: str) -> Path:
    """Where a shipped file or folder lies. Raises MissingError where it is neither installed nor in a checkout."""
    for place in _PLACES:
        if (place / name).exists():
            return place / name
    raise MissingError(f"{name} is not beside this installation: install rerank again, or run from a checkout")
