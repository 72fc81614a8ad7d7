"""Judge a program by a test, or run a whole program, from a shell.

    python -m sandbox FILE.py
    python -m sandbox --candidate FILE --test FILE --entry-point NAME --timeout SECONDS --json OUT
    python -m sandbox --doctor

Exits 0 when a verdict was reached, whatever it is; 2 when the sandbox could not reach one. The verdict, one JSON object
with at least "passed" and "result", goes to --json, or to standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sandbox.isolation import isolation_report
from sandbox.outcome import MIB, Job, Limits, Outcome, SandboxError
from sandbox.pool import DEFAULT_PACKAGES, ISOLATIONS, Pool


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m sandbox", description=__doc__, formatter_class=_Raw)
    parser.add_argument("file", nargs="?", help="a whole program to run as a script; - is standard input")
    parser.add_argument("--candidate", help="file with the program to judge")
    parser.add_argument("--test", help="file with check(candidate), or with statements that raise")
    parser.add_argument("--entry-point", default="", help="name of the function under test")
    parser.add_argument("--helpers", help="file with trusted functions that the test calls, such as the prompt")
    parser.add_argument("--timeout", type=float, default=Limits.timeout_s, help="CPU seconds (default %(default)g)")
    parser.add_argument("--memory", type=int, default=Limits.memory_bytes // MIB, help="MiB (default %(default)d)")
    parser.add_argument("--mode", choices=("auto", "separated", "in-process"), default="auto")
    parser.add_argument("--isolation", choices=ISOLATIONS, default="auto", help="what the host must give")
    parser.add_argument("--package", action="append", help="may be imported (default numpy); repeat for more")
    parser.add_argument("--json", default="-", help="where the verdict goes (default: standard output)")
    parser.add_argument("--doctor", action="store_true", help="say which layers hold on this host")
    options = parser.parse_args(arguments)
    if options.doctor:
        layers = isolation_report()
        print(*layers, sep="\n")
        return 0 if any(layer.holds for layer in layers[:2]) else 2
    if (options.file is None) == (options.candidate is None):
        parser.error("give either FILE.py, or --candidate with --test and --entry-point")
    if options.candidate and not options.test:
        parser.error("--candidate needs --test")
    try:
        limits = Limits(timeout_s=options.timeout, memory_bytes=options.memory * MIB)
        job = Job(
            _read(options.candidate or options.file),
            _read(options.test) if options.test else None,
            options.entry_point,
            limits,
            options.mode,
            _read(options.helpers) if options.helpers else "",
            sys.stdin.read() if options.file not in (None, "-") and not sys.stdin.isatty() else "",
        )
        with Pool(1, options.isolation, packages=options.package or DEFAULT_PACKAGES) as pool:
            (outcome,) = pool.map([job])
    except (OSError, ValueError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        _write(options.json, Outcome("sandbox_error", str(error)))
        return 2
    _write(options.json, outcome)
    return 0


class _Raw(argparse.RawDescriptionHelpFormatter):
    """Keeps the examples as they are written."""


def _read(name: str) -> str:
    return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8", errors="surrogateescape")


def _write(name: str, outcome: Outcome) -> None:
    text = json.dumps(outcome.to_dict(), indent=1) + "\n"
    if name == "-":
        sys.stdout.write(text)
    else:
        Path(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
