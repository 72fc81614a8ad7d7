"""What the pages say is so: their commands run and print what stands there, or at least parse; rows and links fit.

A `console` block of a page is run, line by line, in a folder of the page's own, and its output compared, unless a
comment before it says `not run: why`. All commands are parsed by the parsers that take them. `file: NAME` before a
block makes that file in the folder. What is run is rerank, our scripts, cat, echo and printf, nothing else.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from rerank.cli.app import app
from rerank.models.shipped import SCORERS
from rerank.selection.selectors import MODEL_FREE
from rerank.store import read_rows

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MAKE_TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
FENCED = re.compile(r"(?:<!-- (?P<note>(?:not run|file|row): .*?) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)```", re.S)


@dataclass(frozen=True)
class Step:
    """A command of a page, and what it is shown to print."""

    command: str
    output: str


def blocks(page: Path, kind: str) -> Iterator[tuple[str, str]]:
    """The note before each block of a kind, and its text."""
    for found in FENCED.finditer(page.read_text(encoding="utf-8")):
        if found["kind"] == kind:
            yield found["note"] or "", found["text"]


def steps(text: str) -> list[Step]:
    parts = re.split(r"^\$ ", text, flags=re.M)
    assert not parts[0].strip(), "a console block begins with a command"
    return [Step(*part.partition("\n")[::2]) for part in parts[1:]]


@cache
def loaded(script: Path) -> Any:
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def parse_typer(application: typer.Typer, arguments: list[str]) -> None:
    """Raises what typer raises for arguments that the application does not take."""
    command: Any = typer.main.get_command(application)
    if hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        assert arguments[0] in command.commands, f"no command {arguments[0]}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    if arguments and arguments[0] in ("--install-completion", "--version"):
        assert "--install-completion" in CliRunner().invoke(application, ["--help"]).stdout
        return  # they act while they are parsed
    command.make_context(command.name, arguments)


@cache
def options_of(*command: str) -> set[str]:
    """What its own --help names."""
    shown = subprocess.run([sys.executable, *command, "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(re.findall(r"--[a-z][a-z-]*", shown.stdout))


def parse_argparse(command: list[str], arguments: list[str]) -> None:
    unknown = {each for each in arguments if each.startswith("--")} - options_of(*command)
    assert not unknown, f"{command}: no option {unknown}"


def check(command: str) -> None:
    """Every program of a shell line is one of ours, or one that a page may use, with arguments that it takes."""
    words = shlex.split(command, comments=True)
    pieces: list[list[str]] = [[]]
    for word in words:
        if word in ("|", "&&", ";"):
            pieces.append([])
        else:
            pieces[-1].append(word)
    for piece in pieces:
        while any(word in (">", "<") for word in piece):  # a redirection and its file
            place = next(place for place, word in enumerate(piece) if word in (">", "<"))
            del piece[place : place + 2]
        match piece:
            case ["rerank", *arguments]:
                parse_typer(app, arguments)
            case ["python", "-m", "sandbox", *arguments]:
                parse_argparse(["-m", "sandbox"], arguments)
            case ["python", script, *arguments]:
                assert (ROOT / script).exists(), f"no script {script}"
                if "typer.Typer(" in (ROOT / script).read_text(encoding="utf-8"):
                    parse_typer(loaded(ROOT / script).app, arguments)
                else:
                    parse_argparse([script], arguments)
            case ["pip", "install", *arguments]:
                extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
                for asked in re.findall(r"\[([\w,]+)\]", " ".join(arguments)):
                    assert set(asked.split(",")) <= set(extras), f"no extra {asked}"
            case ["pytest", *arguments]:
                markers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"][
                    "markers"
                ]
                if "-m" in arguments:
                    asked = arguments[arguments.index("-m") + 1]
                    assert asked in [marker.partition(":")[0] for marker in markers]
            case ["make", *targets]:
                assert set(targets) <= MAKE_TARGETS, f"no target of the Makefile among {targets}"
            case ["cat" | "echo" | "printf", *_]:
                pass
            case [program, *_]:
                raise AssertionError(f"{program} is no command of ours")


COMMANDS = [
    pytest.param(step.command, id=f"{page.name}: {step.command}")
    for page in PAGES
    for _, text in blocks(page, "console")
    for step in steps(text)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_page_parses(command):
    check(command)


def test_what_does_not_parse_is_found():
    for wrong in (
        "rerank runn",
        "rerank run --no-such-option",
        "rerank run --mode listwise",
        "cat x | rerank pick --k 3",
        "python scripts/train_scorer.py --no-such",
        "python scripts/absent.py",
        "python -m sandbox --no-such",
        "pip install '.[no_such]'",
        "make no_such",
        "rm x",
    ):
        with pytest.raises(Exception, match=r"no |No |not |nvalid"):
            check(wrong)


def run_steps(page: Path) -> list[Step]:
    return [each for note, text in blocks(page, "console") if not note.startswith("not run") for each in steps(text)]


RUN = [page for page in PAGES if run_steps(page)]


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
def test_the_commands_of_a_page_print_what_it_shows(page, tmp_path, monkeypatch):
    for note, text in [each for kind in ("python", "json") for each in blocks(page, kind)]:
        if note.startswith("file: "):
            (tmp_path / note.removeprefix("file: ")).write_text(text, encoding="utf-8")
    for name in ("scripts", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    for step in run_steps(page):
        done = call(step.command)
        assert done.returncode == 0, done.stderr
        if step.output:
            assert timeless(done.stdout) == timeless(step.output), step.command


def timeless(output: str) -> str:
    """A table's last column may hold seconds, which differ from host to host."""
    return re.sub(r"(?<= )\d+\.\d$", "S", output.rstrip(), flags=re.M)


def call(command: str) -> subprocess.CompletedProcess:
    """A plain `rerank` in this process, which has its modules loaded; anything else in a shell."""
    words = shlex.split(command)
    assert words[0] in ("rerank", "python", "cat", "echo", "printf"), f"{command}: say `not run: why` before it"
    if words[0] == "rerank" and not {"|", "<", ">", "&&"} & set(words):
        result = CliRunner().invoke(app, words[1:])
        return subprocess.CompletedProcess(words, result.exit_code, result.stdout, result.stderr)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path}
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=environment)


def test_the_rows_shown_have_the_fields_that_are_written(tmp_path, monkeypatch):
    """Against the rows of a real run, and of the recorded ones where a model is needed."""
    monkeypatch.chdir(tmp_path)
    made = dict(blocks(ROOT / "docs" / "quick_start.md", "json"))
    for name in ("problems.jsonl", "samples.jsonl"):
        Path(name).write_text(made[f"file: {name}"], encoding="utf-8")
    given = ["--problems", "problems.jsonl", "--candidates", "samples.jsonl", "--autorater", "examples"]
    assert CliRunner().invoke(app, ["run", *given, "--out", "run"]).exit_code == 0
    results = ROOT / "results"
    places = {
        "problems.jsonl": Path("problems.jsonl"),
        "scores.jsonl": results / "default_run" / "scores.jsonl.gz",
        "comparisons.jsonl": results / "untrained_0.5b" / "codegen16b_pairwise" / "comparisons.jsonl.gz",
    }
    shown = dict(blocks(ROOT / "docs" / "files.md", "json"))
    assert len(shown) == 6
    for note, text in shown.items():
        name = note.removeprefix("row: ")
        _, row = next(iter(read_rows(places.get(name, Path("run") / name))))
        assert list(json.loads(text)) == list(row), name


def test_every_link_leads_somewhere():
    cards = [*(ROOT / "results").rglob("*.md"), *(ROOT / "rerank" / "data").rglob("*.md")]
    for page in [*PAGES, *cards]:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_the_table_of_the_first_page_is_that_of_the_default_run():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    report = json.loads((ROOT / "results" / "default_run" / "report.json").read_text(encoding="utf-8"))
    base = report["suites"][0]
    recorded = {row["selector"]: row["figures"]["pass_at_1"] for row in base["selectors"]}
    recorded |= {"mean": base["mean"], "oracle": base["oracle"]}
    rows = {"at random": "mean", "log-probability": "log-probability", "the scorer": "pointwise"}
    rows |= {"the prompt's own examples": "examples", "all evidence": "posterior", "oracle": "oracle"}
    for start, selector in rows.items():
        (cells,) = re.findall(rf"^\| {start}.* \| (\S+) \((\S+) to (\S+)\) \| (\d+)% \|$", readme, re.M)
        figure = recorded[selector]
        gain = figure["value"] - base["mean"]["value"]
        closed = gain / (base["oracle"]["value"] - base["mean"]["value"])
        expected = [f"{100 * figure[bound]:.1f}" for bound in ("value", "low", "high")]
        assert list(cells) == [*expected, f"{100 * closed:.0f}"], selector


def test_the_first_page_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) < 600


def test_every_folder_of_results_is_in_the_index_of_claims():
    index = (ROOT / "results" / "README.md").read_text(encoding="utf-8")
    folders = {path.name for path in (ROOT / "results").iterdir() if path.is_dir()}
    assert folders <= set(re.findall(r"\]\((\w[\w.]*)(?:#[\w-]+)?\)", index))


def test_the_first_page_names_all_others():
    named = re.findall(r"\((\w+\.md)\)", (ROOT / "docs" / "README.md").read_text(encoding="utf-8"))
    assert {page.name for page in PAGES if page.parent.name == "docs"} == {*named, "README.md"}


def test_the_page_of_commands_is_that_of_the_command_line():
    done = subprocess.run(
        [sys.executable, "scripts/command_page.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", app.registered_commands, ids=lambda command: command.name or command.callback.__name__
)
def test_the_example_in_help_parses(command):
    assert command.epilog.startswith("Example: rerank ")
    check(command.epilog.removeprefix("Example: "))


def test_help_is_consistent():
    """Every option has one sentence of help that ends in a full stop."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    texts = [re.sub(r"( \[[^]]*\])? \|$", "", row) for row in rows]  # without default and range
    assert not [text for text in texts if not text.endswith(".") or text.endswith("None.")]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["rerank", "re"], {"report"}),
        (["rerank", "run", "--tour"], {"--tournament"}),
        (["rerank", "run", "--mode", "p"], {"pointwise", "pairwise"}),
        (
            ["rerank", "run", "--autorater", ""],
            {*SCORERS, *MODEL_FREE},
        ),
        (["rerank", "run", "--problems", "human"], {"humaneval", "humaneval+"}),
    ],
)
def test_shell_completion(typed, expected):
    asked = {"_RERANK_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(typed), "COMP_CWORD": str(len(typed) - 1)}
    command = [str(Path(sys.executable).parent / "rerank")]
    done = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert set(done.stdout.split()) == expected, done.stderr
