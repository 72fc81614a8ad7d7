"""Counted tests: what they count, and that they pass exactly what the plain test passes."""

import pytest

import sandbox
from rerank.training.labels.shares import Shares, Tally, counted_test, read_shares

UNIT = """
import unittest

class T(unittest.TestCase):
    def test_a(self): self.assertEqual(f(1), 1)
    def test_b(self): self.assertEqual(f(2), 2)
    def test_c(self): self.assertEqual(f(3), 3)

_result = unittest.TestResult()
unittest.defaultTestLoader.loadTestsFromTestCase(T).run(_result)
assert _result.testsRun and _result.wasSuccessful(), str(_result.failures)
"""
TESTS = {
    "asserts": "assert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3\n",
    "check": "def check(g):\n    assert g(1) == 1\n    assert g(2) == 2\n    assert g(3) == 3\n\ncheck(f)\n",
    "loop": "for n in (1, 2, 3):\n    assert f(n) == n, n\n",
    "statements": "x = f(1)\nassert x == 1\ny = f(2)\nassert y == 2\nassert f(3) == 3\n",
    "helper": "def same(a, b):\n    try:\n        return a == b\n    except TypeError:\n        return False\n\n"
    "assert same(f(1), 1)\nassert same(f(2), 2)\nassert same(f(3), 3)\n",
    "unittest": UNIT,
    "blocks": "try:\n    assert f(1) == 1\nexcept ValueError:\n    raise AssertionError\n"
    "import contextlib\nwith contextlib.nullcontext():\n    assert f(2) == 2\nassert f(3) == 3\n",
}  # fmt: skip


def ran(program: str, test: str, extra: str = "") -> tuple[sandbox.Outcome, Shares | None]:
    limits = sandbox.Limits(timeout_s=1.0)
    outcome = sandbox.check(program, counted_test(test, extra), "f", limits=limits, mode="in-process")
    return outcome, read_shares(outcome.stdout)


@pytest.mark.parametrize("test", TESTS.values(), ids=TESTS)
@pytest.mark.parametrize(
    ("program", "passed"),
    [
        pytest.param("def f(n): return n", 3, id="right"),
        pytest.param("def f(n): return min(n, 2)", 2, id="wrong at the end"),
        pytest.param("def f(n): return {1: 0}.get(n, n)", 2, id="wrong at the beginning"),
        pytest.param("def f(n): return [0, 1][n]", 1, id="raises"),
        pytest.param("def f(n): raise SystemExit", 0, id="exits"),
        pytest.param("def f(n): return None", 0, id="stub"),
    ],
)
def test_every_check_is_counted_once(test: str, program: str, passed: int) -> None:
    if "unittest" in test and "SystemExit" in program:
        pytest.skip("unittest lets it through: the result is what was counted until then")
    outcome, shares = ran(program, test)
    assert shares is not None
    assert shares.is_done
    assert shares.base.passed == passed
    assert outcome.passed == (passed == 3) == (shares.base.failed == 0)
    plain = sandbox.check(program, test, "f", limits=sandbox.Limits(timeout_s=1.0), mode="in-process")
    assert outcome.passed == plain.passed


def test_base_and_extra_are_counted_apart() -> None:
    outcome, shares = ran("def f(n): return min(n, 3)", TESTS["asserts"], "assert f(4) == 4\nassert f(0) == 0\n")
    assert shares == Shares(Tally(3, 0), Tally(1, 1), "AssertionError", is_done=True)
    assert not outcome.passed


def test_the_first_error_is_named() -> None:
    _, shares = ran("def f(n): return {1: 1, 3: 4}[n]", TESTS["asserts"])
    assert shares == Shares(Tally(1, 2), Tally(0, 0), "KeyError", is_done=True)


def test_a_program_that_hangs_keeps_what_it_passed_before() -> None:
    program = "import time\ndef f(n):\n    time.sleep(0.1)\n    while n == 3: pass\n    return n\n"
    outcome, shares = ran(program, TESTS["asserts"])
    assert outcome.status == "timeout"
    assert shares is not None
    assert not shares.is_done
    assert shares.base == Tally(2, 0)


def test_a_program_that_does_not_load_has_no_shares() -> None:
    outcome, shares = ran("def f(n:\n", TESTS["asserts"])
    assert shares is None
    assert not outcome.passed


def test_what_a_program_prints_does_not_hide_the_tally() -> None:
    _, shares = ran("def f(n):\n    print('x' * 5000)\n    return n\n", TESTS["asserts"])
    assert shares is not None
    assert shares.base == Tally(3, 0)


@pytest.mark.parametrize("written", ["", "@@shares {}", '@@shares {"base": 1}', "@@shares nothing"])
def test_no_tally(written: str) -> None:
    assert read_shares(written) is None
