"""The files that come with rerank: the embedded default's candidates, and the trained scorer where there is one."""

from pathlib import Path

from rerank.errors import MissingError

# In an installed package they lie beside the modules, in a checkout under results/.
_PLACES = (Path(__file__).parent / "data", Path(__file__).parent.parent / "results")
CANDIDATES = "candidates/qwen2.5-coder-0.5b-instruct_humaneval_n10.jsonl.gz"
SCORER = "scorer/qwen2.5-coder-0.5b"


def shipped(name: str) -> Path:
    """Where a shipped file or folder lies. Raises MissingError where it is neither installed nor in a checkout."""
    for place in _PLACES:
        if (place / name).exists():
            return place / name
    raise MissingError(f"{name} is not beside this installation: install rerank again, or run from a checkout")


def default_autorater() -> str:
    """The autorater that `rerank run` uses unasked: the shipped scorer, or the untrained model it would start from."""
    from rerank import weights

    try:
        return str(shipped(SCORER))
    except MissingError:
        return weights.DEFAULT
