"""Normal forms and keys: which programs are the same one, and which texts are no program."""

import subprocess
import sys

import pytest

from rerank.candidates.programs import normal_form, program_key


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("def f(x):\n    return x\n", "def f( x ) :\n\n  '''Doc.'''\n  return (x)  # same\n", True),
        ("def f():\n    'Doc.'\n", "def f():\n    pass\n", True),
        ("x = 'a'\n", 'x = "a"\n', True),
        ("class A:\n    'Doc.'\n    x = 1\n", "class A:\n    x = 1\n", True),
        ("def f(x):\n    return x\n", "def f(y):\n    return y\n", False),
        ("x = 1\n", "x = 1.0\n", False),
        ("def f():\n    return 'Doc.'\n", "def f():\n    pass\n", False),
    ],
)
def test_key_is_of_what_runs(one: str, other: str, same: bool):
    assert (program_key(one) == program_key(other)) is same


@pytest.mark.parametrize(
    "program",
    [
        "def f(:",
        "x = '\ud800'\nx = (",
        "x\x00 = 1",
        "(" * 100_000,
        "x = " + "(" * 500 + ")" * 500,
        "x = " + "9" * 5000,
        "x = " + "-" * 200_000 + "1",
        "if 1:\n" + "".join(" " * n + "if 1:\n" for n in range(1, 300)),
    ],
    ids=["syntax", "surrogate", "null byte", "open brackets", "brackets", "long number", "minus signs", "deep blocks"],
)
def test_key_of_what_does_not_parse(program: str):
    assert normal_form(program) is None
    assert program_key(program) is None


@pytest.mark.parametrize(
    "program",
    ["x = 0x" + "f" * 5000, "x = " + "1 + " * 400 + "1", "x = '\\d'", "1 is 1", "x = [" + "[" * 80 + "]" * 81],
    ids=["long hexadecimal number", "long sum", "invalid escape", "is with a number", "deep list"],
)
def test_key_of_what_parses_with_pain(program: str):
    assert program_key(program) is not None


def test_deepest_nesting_does_not_end_the_process():
    code = (
        "from rerank.candidates.extraction import extract\nfrom rerank.candidates.programs import program_key\n"
        "from rerank.records import PublicProblem\n"
        "for c in ('-', '(', '[', 'f(', '1+', 'not ', 'a.', 'lambda: ', '{1:', 'a if b else '):\n"
        "    for n in (90, 900, 9_000):\n"
        "        program_key('x = ' + c * n + '1'); extract(PublicProblem('t', 'def f():\\n', 'f'), '    ' + c * n)\n"
        "print('alive')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (run.returncode, run.stdout) == (0, "alive\n"), run.stderr[-500:]
