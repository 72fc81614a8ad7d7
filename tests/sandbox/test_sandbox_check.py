"""Verdicts: each status once, both modes, and programs that are awkward but honest."""

# ruff: noqa: E501  (programs as one line of a table)

import doctest
import textwrap

import pytest

import sandbox
from sandbox import modes, outcome

CHECK = "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(5) == 6\n"


@pytest.mark.parametrize(
    ("candidate", "status", "reason"),
    [
        ("def f(x): return x + 1", "passed", ""),
        ("def f(x): return x", "failed", "test line 2: assert candidate(1) == 2"),
        ("def f(x): return 2", "failed", "test line 3: assert candidate(5) == 6"),
        ("def f(x):\n    return x / 0", "error", "ZeroDivisionError at line 2: division by zero"),
        ("def f(x): return", "failed", "test line 2"),
        ("def f(x) return x", "error", "SyntaxError at line 1"),
        ("def g(x): return x + 1", "error", "NameError: the program does not define f"),
        ("raise KeyError(3)", "error", "KeyError at line 1: 3"),
        ("def f(x): assert x > 3; return x", "error", "AssertionError at line 1"),
        ("def f(x):\n    while True: pass", "timeout", "over 0.5 s of CPU time"),
        ("import time\ndef f(x): time.sleep(60)", "timeout", "asleep"),
        ("def f(x): return len(bytearray(3 << 30))", "memory", "MemoryError"),
        ("def f(x): print('x' * (9 << 20)); return x + 1", "output", "wrote more than"),
        ("import os\ndef f(x): os._exit(0)", "error", "exited with status 0 before the last check"),
        ("import ctypes\ndef f(x): ctypes.string_at(0)", "crashed", "SIGSEGV"),
        (
            "import os\nfor d in range(3, 9):\n    try: os.write(d, b'x' * 99)\n    except OSError: pass",
            "killed",
            "protocol",
        ),
    ],
)
def test_each_status(judge, candidate, status, reason):
    found = judge(candidate, CHECK, timeout_s=0.5)
    assert (found.status, found.mode) == (status, "separated")
    assert reason in found.reason
    assert found.isolation.startswith("full: ")
    assert 0 < found.cpu_s < 2
    assert found.peak_memory_bytes > 1 << 20
    assert outcome.Outcome.from_dict(found.to_dict()) == found


@pytest.mark.parametrize(
    ("candidate", "status"),
    [
        ("def f(x): return x + 1", "passed"),
        ("def f(x): return x", "failed"),
        ("def f(x): return x / 0", "error"),
        ("def f(x): return len(bytearray(3 << 30))", "memory"),
        ("def f(x):\n    while True: pass", "timeout"),
        ("import os\ndef f(x): os._exit(0)", "error"),
        ("import sys\ndef f(x): sys.exit(0)", "error"),
        ("import gc\ndef f(x): gc.get_objects(); return x + 1", "error"),
        ("def len(x): return 0\ndef f(x): return x + 1", "passed"),
    ],
)
def test_in_process(judge, candidate, status):
    found = judge(candidate, CHECK + "    assert len([1]) == 1\n", timeout_s=0.5, mode="in-process")
    assert (found.status, found.mode) == (status, "in-process")


@pytest.mark.parametrize(
    "test",
    [
        "assert f([3, 1]) == 2",
        "xs = [3, 1]\nassert f(xs) == 2\nassert xs == [1, 3]",
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(f([2]), 1)\n"
        "        with self.assertRaises(AttributeError):\n            f(3)\n"
        "assert unittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(T)).wasSuccessful()",
        "try:\n    f(None)\n    assert False\nexcept AttributeError as error:\n    assert 'sort' in str(error)",
        "assert [len(x) for x in map(f, [])] == []\nassert helper(2) == 4 and LIMIT == 7",
    ],
)
def test_forms_of_tests(judge, test):
    program = "LIMIT = 7\ndef helper(x): return 2 * x\ndef f(xs):\n    xs.sort()\n    return len(xs)\n"
    found = judge(program, test)
    assert (found.status, found.mode) == ("passed", "separated"), found.reason


def test_trusted_helpers_win_over_the_programs_own(judge):
    prompt = "def poly(xs, x):\n    return sum(c * x**i for i, c in enumerate(xs))\n\ndef f(xs):\n    '''a zero'''\n"
    test = "def check(candidate):\n    assert abs(poly([1, 2], candidate([1, 2]))) < 1e-4\n"
    forged = prompt + "    return 99\n\ndef poly(xs, x):\n    return 0\n"
    assert judge(forged, test).passed  # without the prompt the test has to ask the program for poly
    assert judge(forged, test, helpers=prompt).status == "failed"
    assert judge(prompt + "    return -xs[0] / xs[1]\n", test, helpers=prompt).passed


@pytest.mark.parametrize(
    ("program", "test"),
    [
        ("def f(n):\n    for i in range(n): yield i", "assert list(f(3)) == [0, 1, 2]\nassert next(f(1)) == 0"),
        ("def f(n): return lambda x: x + n", "assert f(2)(3) == 5"),
        ("def f(xs): return xs", "xs = [1]\nassert f(xs) is xs"),
        (
            "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(a): return P(a, a)",
            "assert f(1) == (1, 1)",
        ),
        ("def f(d): return d.items()", "assert sorted(f({1: 2})) == [(1, 2)]"),
        ("class C: pass\ndef f(x): return C()", "assert f(1) != 3 and f(1) is not None"),
        (
            "import numpy\ndef f(n): return numpy.arange(n)",
            "import numpy\nassert (f(3) == numpy.array([0, 1, 2])).all()",
        ),
        ("def f(n): return 10**n", "assert f(6000) == 10**6000"),
    ],
)
def test_results_without_a_plain_form(judge, program, test):
    found = judge(program, test)
    assert (found.status, found.mode) == ("passed", "separated"), found.reason


@pytest.mark.parametrize(
    ("entry_point", "test", "mode"),
    [
        ("Stack", "s = Stack()\ns.push(1)\nassert s.size() == 1", "in-process"),
        ("Stack.push", "assert Stack().push(1) is None", "in-process"),
        ("apply", "assert apply(lambda x: x + 1, 2) == 3", "in-process"),
        ("apply", "assert apply.__name__ == 'apply'", "separated"),
    ],
)
def test_the_test_chooses_the_mode(judge, entry_point, test, mode):
    program = (
        "class Stack:\n    def __init__(self): self.items = []\n    def push(self, x): self.items.append(x)\n"
        "    def size(self): return len(self.items)\ndef apply(g, x): return g(x)\n"
    )
    found = judge(program, test, entry_point)
    assert (found.status, found.mode) == ("passed", mode), found.reason
    if mode == "in-process":
        assert judge(program, test, entry_point, mode="separated").status == "unsupported"


@pytest.mark.parametrize(
    "result", ["object()", "lambda: 0", "iter([])", "{1: object()}", "[[[]]] * 3", "(x for x in [])", "10**9999"]
)
def test_a_program_cannot_choose_the_weaker_mode(judge, result):
    found = judge(f"def f(x): return {result}", "y = f(1)\nassert f(y) == 5")
    assert found.status == "failed"
    assert found.mode == "separated"


AWKWARD = {
    "recursion to 5,000": "import sys\nsys.setrecursionlimit(6000)\ndef g(n): return 0 if n == 0 else 1 + g(n - 1)\n"
    "def f(x): return g(5000) - 4999 + x",
    "500 MB allocated and freed": "def f(x):\n    block = bytearray(500_000_000)\n    del block\n    return x + 1",
    "1 MB printed": "def f(x):\n    print('x' * 1_000_000)\n    return x + 1",
    "threads": "import threading\ndef f(x):\n    out = []\n    ts = [threading.Thread(target=out.append, args=(i,)) for i in "
    "range(8)]\n    [t.start() for t in ts]; [t.join() for t in ts]\n    return x + len(out) - 7",
    "asyncio": "import asyncio\nasync def g(x):\n    await asyncio.sleep(0.01)\n    return x + 1\ndef f(x): return asyncio.run(g(x))",
    "temporary files": "import tempfile\ndef f(x):\n    with tempfile.TemporaryFile() as t:\n        t.write(b'ab')\n"
    "        t.seek(0)\n        return x + len(t.read()) - 1",
    "files of its own": "def f(x):\n    open('a', 'w').write('x')\n    return x + len(open('/tmp/a').read())",
    "computing for 2.5 s": "import time\ndef f(x):\n    while time.process_time() < 2.5: pass\n    return x + 1",
    "unicode": "def f(x):\n    größe = 'ß→😀'\n    return x + len(größe) - 2",
    "optional imports": "try:\n    import nothing_of_this_name as n\nexcept ImportError:\n    n = None\ndef f(x): return x + 1",
    "a main guard": "def f(x): return x + 1\nif __name__ == '__main__':\n    raise SystemExit(3)",
    "dataclasses": "import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\ndef f(x): return P(x).x + 1",
    "processes": "import os\ndef f(x):\n    if os.fork() == 0: os._exit(0)\n    os.wait()\n    return x + 1",
    "sleep under load": "import time\ndef f(x):\n    time.sleep(0.2)\n    return x + 1",
    "numpy": "import numpy as np\ndef f(x): return int(np.linalg.norm([3, 4])) + x - 4",
    "signals": "import signal\ndef f(x):\n    signal.signal(signal.SIGALRM, lambda *a: None)\n    signal.alarm(0)\n    return x + 1",
}


@pytest.mark.parametrize("mode", ["auto", "in-process"])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_programs_pass(judge, name, mode):
    found = judge(AWKWARD[name], "assert f(1) == 2", mode=mode)
    assert found.passed, (found.status, found.reason, found.stderr)


def test_inputs_of_programs_are_fixed(judge):
    program = textwrap.dedent("""
        import locale, os, random, sys, time
        def f(x):
            return [hash("a"), sys.getrecursionlimit(), time.tzname[0], random.random(), sorted(os.environ), os.getcwd()]
    """)
    first = judge(program + "# one", "print(f(1))\nassert f(1)[1:3] == [1000, 'UTC']", mode="in-process")
    assert first.passed, first.reason
    assert judge(program + "# two", "print(f(1))", mode="in-process").stdout == first.stdout


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("print(input()[::-1])", "passed"),
        ("import sys\nsys.exit(0)", "passed"),
        ("import sys\nsys.exit(3)", "error"),
        ("import os\nos._exit(0)", "error"),
        ("raise ValueError", "error"),
        ("import threading\nthreading.Timer(0.05, print, ['olleh']).start()", "passed"),
        ("import atexit\natexit.register(print, 'olleh')", "passed"),
        ("assert __name__ == '__main__'\nprint('olleh')", "passed"),
    ],
)
def test_whole_programs(judge, source, status):
    found = judge(source, stdin="hello\n")
    assert (found.status, found.mode) == (status, "program"), found.reason
    if status == "passed" and "exit(0)" not in source:
        assert found.stdout == "olleh\n"


def test_nothing_is_left_for_the_next_program(judge):
    assert judge("open('/tmp/left', 'w').write('x')\nopen('/dev/shm/left', 'w').close()").passed
    assert judge("import os\nassert os.listdir('.') == os.listdir('/dev/shm') == []").passed


def test_limits_are_checked_and_scaled():
    with pytest.raises(ValueError, match="timeout_s is 0"):
        sandbox.Limits(timeout_s=0)
    with pytest.raises(ValueError, match="status is 'fine'"):
        sandbox.Outcome("fine")
    limits = sandbox.Limits()
    assert limits.scaled_to(0.001).timeout_s == 1.0
    assert limits.scaled_to(2.0).timeout_s == 20.0
    assert limits.scaled_to(2.0, floor_s=50).max_wall_s == 1010


def test_helpers_and_tests_that_do_not_compile_are_an_error(judge):
    found = judge("def f(x): return x", "assert f(1) == 1", helpers="Write a function that")
    assert (found.status, found.reason.partition(":")[0]) == ("error", "helpers.py does not compile")
    assert judge("def f(x): return x", "assert f(1) ==").reason.startswith("test.py does not compile: SyntaxError")


def test_a_slow_reference_raises_the_limit(judge):
    slow = "import time\ndef f(x):\n    until = time.process_time() + 0.7\n    while time.process_time() < until: pass\n    return x + 1"
    tight = sandbox.Limits(timeout_s=0.3)
    assert judge(slow, "assert f(1) == 2", limits=tight).status == "timeout"
    assert judge(slow, "assert f(1) == 2", limits=tight.scaled_to(0.2)).passed


@pytest.mark.parametrize("module", [outcome, modes])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0
