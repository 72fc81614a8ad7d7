"""What a user installs: the pins fit what pyproject asks for, and other packages' warnings fail no run of the tests."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line.partition(" #")[0]) for line in lines if re.match(r"\w", line)]


def wanted(*extras: str) -> list[Requirement]:
    """What `pip install .` and `.[extra]` ask for by name, the extras of rerank itself resolved."""
    requirements = [Requirement(text) for text in PROJECT["dependencies"]]
    for extra in extras:
        for requirement in map(Requirement, PROJECT["optional-dependencies"][extra]):
            requirements += wanted(*requirement.extras) if requirement.name == "rerank" else [requirement]
    return requirements


@pytest.mark.parametrize("requirement", sorted(set(map(str, wanted("test")))))
def test_what_readmes_commands_install_is_pinned_within_its_range(requirement):
    asked = Requirement(requirement)
    found = [pin for pin in pins() if canonicalize_name(pin.name) == canonicalize_name(asked.name)]
    assert found, f"{asked.name} is not in constraints.txt: run scripts/renew_constraints.sh"
    for pin in found:
        [exact] = pin.specifier
        assert exact.operator == "=="
        assert asked.specifier.contains(exact.version, prereleases=True), f"{pin} is outside of {asked}"


@pytest.mark.parametrize(("module", "status"), [("other_package", 0), ("rerank.anything", 1), ("sandbox", 1)])
def test_only_our_own_warnings_fail_a_run(tmp_path, module, status):
    ini = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    filters = "\n".join(f"    {each}" for each in ini["filterwarnings"])
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nfilterwarnings =\n{filters}\n")
    (tmp_path / "test_it.py").write_text(
        "import warnings\n\ndef test_it():\n"
        f"    warnings.warn_explicit('is old', DeprecationWarning, 'file.py', 1, module={module!r})\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    assert result.returncode == status, result.stdout
    assert "is old" in result.stdout, "shown in either case"
