"""The application that the commands join, and how an error reaches the person who called."""

import functools
import shlex
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer

from rerank.cli.from_settings import GroupedCommand, takes_settings
from rerank.errors import UserError

app = typer.Typer(
    name="rerank",
    help="Best-of-N re-ranking of generated code: an autorater picks, a sandbox measures the uplift.\n\n"
    "Example: rerank run --limit 20",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,
) -> None:
    if version:
        from rerank.host import package_version

        typer.echo(f"rerank {package_version('rerank')}")
        raise typer.Exit


def command(name: str | None = None, *, example: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add a function to the application; records of settings among its parameters become options."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        app.command(name, epilog=f"Example: {example}", cls=GroupedCommand)(guarded(takes_settings(function)))
        return function

    return register


def guarded(function: Callable[..., None]) -> Callable[..., None]:
    """Say in one line what the caller can mend, and exit with 2; a bug keeps its traceback."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
        except UserError as error:
            fail(str(error))
        except BrokenPipeError:
            raise  # the reader went away: not an error to explain
        except OSError as error:
            if error.filename is None and error.errno is None:
                raise
            fail(f"{error.filename or 'writing'}: {(error.strerror or str(error)).lower()}")
        except KeyboardInterrupt:
            again = shlex.join(["rerank", *sys.argv[1:]])
            typer.echo(f"\nstopped; what is finished is kept. Go on with: {again.replace(' --fresh', '')}", err=True)
            raise typer.Exit(130) from None

    return call


def fail(message: str) -> NoReturn:
    """Leave with one line on standard error and exit code 2."""
    typer.echo(f"rerank: {message}", err=True)
    raise typer.Exit(2)
