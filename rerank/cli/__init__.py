"""The command line: parse, call, print. Every command imports what it runs, so that `--help` is quick.

Results go to standard output, progress and messages to standard error. Exit code 0: done; 2: something the caller can
mend, said in one line; 130: interrupted, everything finished is kept.
"""

# Importing a command's file adds it to the application; the order is that of `rerank --help`.
from rerank.cli import runs, evaluate, pick, judge, serve, doctor  # noqa: F401, I001
from rerank.cli.app import app


def main() -> None:
    app()
