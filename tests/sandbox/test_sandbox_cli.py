"""python -m sandbox: arguments to verdict, exit code and error text."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def call(*arguments, stdin=""):
    command = [sys.executable, "-m", "sandbox", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, input=stdin, cwd=ROOT)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "good.py").write_text("def f(x): return x + 1\n")
    (tmp_path / "bad.py").write_text("def f(x): return x\n")
    (tmp_path / "loop.py").write_text("while True: pass\n")
    (tmp_path / "test.py").write_text("def check(candidate):\n    assert candidate(1) == 2\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "passed", "result"), [("good", True, "passed"), ("bad", False, "failed"), ("loop", False, "timeout")]
)
def test_a_verdict_is_one_json_object_and_exit_code_0(files, name, passed, result):
    out = files / "out.json"
    candidate = ["--candidate", files / f"{name}.py", "--test", files / "test.py", "--entry-point", "f"]
    done = call(*candidate, "--timeout", "0.5", "--json", out)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    record = json.loads(out.read_text())
    assert (record["passed"], record["result"], record["timeout_s"]) == (passed, result, 0.5)


def test_a_whole_program_with_its_input(tmp_path):
    (tmp_path / "program.py").write_text("print(input())")
    done = call(tmp_path / "program.py", stdin="hello")
    assert done.returncode == 0
    assert json.loads(done.stdout)["stdout"] == "hello\n"
    assert json.loads(call("-", stdin="print(1)").stdout)["stdout"] == "1\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either FILE.py, or --candidate"),
        (["--candidate", "x.py"], "--candidate needs --test"),
        (["missing.py"], "No such file"),
        (["--timeout", "0", "sandbox/__init__.py"], "timeout_s is 0.0"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    done = call(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_the_doctor():
    done = call("--doctor")
    assert done.returncode == 0
    assert done.stdout.startswith("full: holds")
