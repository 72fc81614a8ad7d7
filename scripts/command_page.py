"""Write docs/commands.md from the command line itself, so that the page and `--help` cannot differ.

python scripts/command_page.py            # write the page
python scripts/command_page.py --check    # exit 1 where it is stale, as a test does
"""

import argparse
import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

from typer.models import ArgumentInfo, CommandInfo

from rerank.cli.app import app

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"
WORDS = {str: "TEXT", int: "NUMBER", float: "NUMBER", Path: "PATH"}
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
    sections = [line for command in app.registered_commands for line in _section(command)]
    links = ", ".join(f"[{_name(command)}](#rerank-{_name(command)})" for command in app.registered_commands)
    return "\n".join([HEAD, links + ".", *sections]) + "\n"


def _name(command: CommandInfo) -> str:
    assert command.callback
    return command.name or command.callback.__name__


def _section(command: CommandInfo) -> Iterator[str]:
    assert command.callback
    assert command.callback.__doc__
    assert command.epilog
    yield from ("", f"## rerank {_name(command)}", "", inspect.cleandoc(command.callback.__doc__), "")
    yield from (EXAMPLE, "```console", f"$ {command.epilog.removeprefix('Example: ')}", "```", "")
    yield from ("| argument or option | default | what it is |", "|---|---|---|")
    kinds = get_type_hints(command.callback, include_extras=True)
    for parameter in inspect.signature(command.callback).parameters.values():
        kind, info = get_args(kinds[parameter.name])
        is_required = parameter.default is inspect.Parameter.empty
        default = "required" if is_required else _shown(parameter.default)
        yield f"| {_spelling(parameter.name, kind, info)} | {default} | {info.help} |"


def _spelling(name: str, kind: Any, info: Any) -> str:
    """As one types it: FILES, --mode pointwise or pairwise, --fresh / --resume, --limit K."""
    if isinstance(info, ArgumentInfo):
        return f"`{name.upper()}`"
    # Inside Annotated, what Option is first given is a flag, although it is named `default`.
    given = [info.default, *info.param_decls] if isinstance(info.default, str) else info.param_decls
    flags = "/".join(given or [f"--{name.replace('_', '-')}"])
    if kind is bool:
        return f"`{flags}`"
    (one,) = [each for each in (get_args(kind) or (kind,)) if each is not type(None)]
    if issubclass(one, Enum):
        return f"`{flags}` " + ", ".join(f"`{each.value}`" for each in one)
    return f"`{flags} {info.metavar or WORDS.get(one, 'TEXT')}`"


def _shown(default: object) -> str:
    if default is None or default is False:
        return ""
    return f"`{default.value if isinstance(default, Enum) else default}`"


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
