"""What the recipes share: settings that may not change, a mixture written once, a training run once."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rerank.runs.folder import RunFolder, Setting
from rerank.store import file_hash, write_rows
from rerank.training.mixture.build import Mixture, Weighting
from rerank.training.mixture.files import data_files
from rerank.training.scorer.presets import TrainSettings


def say(line: str) -> None:
    """A recipe's progress, on standard error."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The model that is trained: where it lies, and what a scorer says that it belongs to."""

    folder: Path
    name: str


def base_model(base: str) -> BaseModel:
    """Of `--base`: a folder, or a name that `rerank.models.weights` finds."""
    from rerank.models import weights

    if Path(base).is_dir():
        return BaseModel(Path(base), Path(base).name)
    return BaseModel(Path(weights.resolve(base).folder), base)


def write_mixture(mixture: Mixture, path: Path, weighting: Weighting = "proportional") -> int:
    """Write a mixture's rows; the number of them."""
    return write_rows(path, (row.to_row() for row in mixture.rows(weighting)))


def record_settings(
    out: Path, stage: str, options: Mapping[str, Any], files: Iterable[Path], *, changeable: Iterable[str]
) -> None:
    """Write a recipe's options and the hashes of what it reads into run.toml, or hold them against those there.

    `changeable` are those that may change from call to call; what is None, a path or an empty list is left out.
    """
    fixed: dict[str, Setting] = {
        key: value for key, value in options.items() if isinstance(value, str | int | float | bool)
    }
    fixed |= {key: list(map(str, value)) for key, value in options.items() if isinstance(value, list) and value}
    may_change = {key: fixed.pop(key) for key in changeable if key in fixed}
    hashes: dict[str, Setting] = {"sha256": [file_hash(path) for path in data_files(files)]}
    RunFolder(out).record_settings(stage, fixed={**fixed, **hashes}, changeable=may_change)


def trained(
    base: str | Path,
    labels: Sequence[Path],
    out: Path,
    settings: TrainSettings,
    *,
    mixture: Sequence[Path],
    start: Path | None = None,
    base_name: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Path:
    """The folder of the scorer that such a training leaves in `out`; one that is there already is not trained again.

    A training that was begun with other settings or data is refused (ResumeError), as the trainer does.
    """
    from rerank.models import scorer_card
    from rerank.training.scorer.trainer import train

    scorer = out / "scorer"
    if (scorer / scorer_card.CARD).exists():
        report(f"{out}: trained already")
        return scorer
    train(base, labels, out, settings, mixture=mixture, start=start, base_name=base_name, report=report)
    for name in ("checkpoint.pt", "best.pt"):  # perhaps larger than the model: nothing goes on from a finished training
        (out / name).unlink(missing_ok=True)
    return scorer
