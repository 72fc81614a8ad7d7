"""`--config FILE.toml`: options from a file. The command line wins, and an unknown key is an error.

    n = 20                   # as on the command line, without the dashes
    autorater = "rerank-1.5b"
    max-tokens = 300         # or max_tokens

A run's own run.toml is read too: its tables are stages, and what it records beside options is passed over.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from rerank.cli.app import fail
from rerank.models.shipped import CANDIDATES

# A key of a stage's table to the parameter of the command; None: recorded, but no option.
_SAMPLING = {name: name for name in ("num_samples", "temperature", "top_p", "max_tokens", "seed", "backend")}
_STAGES: dict[str, dict[str, str | None]] = {
    "problems": {"name": "problems", "limit": "limit", "sha256": None},
    "candidates": {"generator": "generator", **_SAMPLING, "file": "candidates", "sha256": None, "max_total": "budget"},
    "score": {
        **{
            name: name
            for name in ("autorater", "mode", "pairs", "tournament", "aggregate", "backend", "seed", "num_votes")
        },
        "temperature": None,
        "log_probability_weight": None,
    },
    "select": {
        "confidence": "confidence",
        "greedy": "greedy",
        "max_judgments": "budget",
        "max_seconds": "budget",
    },
    "tests": {
        "file": "tests",
        "writer": "writer",
        "without_examples": "without_examples",
        "sha256": None,
        **dict.fromkeys(_SAMPLING),
    },
    "likelihoods": {"reviewer": "reviewer"},
    "execute": {"timeout_s": "timeout_s"},
}
_BUDGETS = {"max_judgments": "{:g}", "max_seconds": "{:g}s", "max_total": "{:g}samples"}
# Tables of run.toml that say how it went, not what was asked for.
_RECORDS = {"versions", "host", "judge", "sampler", "reviewer", "rounds", "engine", "sets"}


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make the file's values the defaults of the command's options."""
    if path is None:
        return None
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"--config {path}: {(error.strerror or str(error)).lower()}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fail(f"--config {path}: not TOML ({error})")
    options = {each.name: each for each in context.command.params if each.param_type_name == "option"}
    del options["_config"]
    values: dict[str, Any] = {}
    for key, name, value in _entries(document, path, options):
        values[name] = _checked(context, options[name], value, f"--config {path}: {key}")
    context.default_map = values
    return path


def _entries(document: Mapping[str, Any], path: Path, options: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """The key as the file has it, the option's name and the value."""
    spellings = {
        flag.removeprefix("--").replace("-", "_"): name for name, each in options.items() for flag in each.opts
    }
    spellings |= {name: name for name in options}
    budget: list[str] = []
    for key, value in document.items():
        if isinstance(value, dict):
            if key in _RECORDS:
                continue
            if key not in _STAGES:
                fail(f"--config {path}: unknown table [{key}]; one of {', '.join(_STAGES)}, or options without a table")
            for inner, setting in value.items():
                if inner not in _STAGES[key]:
                    known = ", ".join(each for each, option in _STAGES[key].items() if option)
                    fail(f"--config {path}: unknown key {inner} in [{key}]; one of {known}")
                name = _STAGES[key][inner]
                if name == "budget":
                    budget.append(_BUDGETS[inner].format(setting))
                elif name is not None and name in options and setting != Path(CANDIDATES).name:  # those are the default
                    yield f"[{key}] {inner}", name, setting
        elif (name := spellings.get(key.replace("-", "_"))) is not None:
            yield key, name, value
        else:
            fail(f"--config {path}: unknown key {key}; the options are {', '.join(sorted(spellings))}")
    if budget and "budget" in options:
        yield "budget", "budget", ",".join(budget)


def _checked(context: typer.Context, option: Any, value: Any, where: str) -> Any:
    """The value, if the option takes it."""
    if isinstance(value, list | dict) or isinstance(value, bool) != bool(option.is_flag):
        fail(f"{where} = {value!r}: {'true or false' if option.is_flag else 'one value'} is needed")
    try:
        option.process_value(context, value)
    except typer.BadParameter as error:
        fail(f"{where} = {value!r}: {error.message}")
    return value


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML file of options, or a run's run.toml. The command line wins.",
        is_eager=True,
        callback=read_config,
        metavar="FILE",
    ),
]
