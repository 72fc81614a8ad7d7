"""Write docs/commands.md from the command line itself, so that the page and `--help` cannot differ.

python scripts/command_page.py            # write the page
python scripts/command_page.py --check    # exit 1 where it is stale, as a test does

`typer rerank.cli utils docs` writes one flat list for each command, without the headings of --help, and console blocks
such as `rerank run [OPTIONS]` that cannot be run as our tests run those of every page; so this stays.
"""

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from rerank.cli.app import app
from rerank.cli.from_settings import help_groups

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"
EXAMPLE = "<!-- not run: the files are yours -->"
HEAD = """\
# Commands

<!-- Made by `python scripts/command_page.py`: change the command, not this page. -->

Results go to standard output, progress and messages to standard error. Exit code 0: done; 2: something that you can
mend, said in one line; 130: interrupted, with all that was finished kept. `rerank COMMAND --help` says what is here.

Shell completion, for bash, zsh, fish and PowerShell:

<!-- not run: writes to the shell's own settings -->
```console
$ rerank --install-completion
```
"""


def page() -> str:
    """The page as Markdown."""
    context = typer.Context(typer.main.get_command(app), info_name="rerank")
    commands: dict[str, Any] = context.command.commands  # type: ignore[attr-defined]
    links = ", ".join(f"[{name}](#rerank-{name})" for name in commands)
    sections = [line for name, command in commands.items() for line in _section(name, command, context)]
    return "\n".join([HEAD, links + ".", *sections]) + "\n"


def _section(name: str, command: Any, parent: typer.Context) -> Iterator[str]:
    context = typer.Context(command, info_name=name, parent=parent)
    yield from ("", f"## rerank {name}", "", inspect.cleandoc(command.help), "")
    yield from (EXAMPLE, "```console", f"$ {command.epilog.removeprefix('Example: ')}", "```")
    for heading, rows in help_groups(command, context).items():
        rows = [f"| `{spelling}` | {' '.join(text.split())} |" for spelling, text in rows if "--help" not in spelling]
        yield from ("", f"| {heading} | |", "|---|---|", *rows) if rows else ()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the page is stale")
    if not parser.parse_args().check:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        print(f"{PAGE.name} is stale: run python scripts/command_page.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
