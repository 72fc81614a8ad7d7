#!/usr/bin/env bash
# Pins every package that README's two commands and the checks install, for Python 3.11 and later, in constraints.txt.
#
#     scripts/renew_constraints.sh             # newest releases that fit pyproject.toml
#     scripts/renew_constraints.sh --lowest    # print the oldest ones that pyproject.toml allows, to try them
#
# torch stays where it is: its build differs by host (CPU or CUDA), and moving it is a decision of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
torch="$(mktemp)"
trap 'rm -f "$torch"' EXIT
grep '^torch==' constraints.txt >"$torch"
options=(--universal --python-version 3.11 --extra dev --no-header --no-annotate --quiet --constraint "$torch")
if [ "${1:-}" = --lowest ]; then
    uv pip compile "${options[@]}" --resolution lowest-direct pyproject.toml
    exit
fi
pins="$(uv pip compile "${options[@]}" --upgrade pyproject.toml)"
{
    echo "# Every package that README's two commands and .ci/run install, one release each, for Python 3.11 and later."
    echo "# Made by scripts/renew_constraints.sh; pyproject.toml keeps the ranges that rerank works with."
    echo "$pins"
} >constraints.txt
