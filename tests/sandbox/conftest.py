import pytest

import sandbox


@pytest.fixture(scope="session")
def pool():
    with sandbox.Pool(2) as pool:
        yield pool


@pytest.fixture(scope="session")
def judge(pool):
    """One program through the shared pool."""

    def judge(candidate, test=None, entry_point="f", *, timeout_s=3.0, **fields):
        limits = fields.pop("limits", sandbox.Limits(timeout_s=timeout_s))
        (outcome,) = pool.map([sandbox.Job(candidate, test, entry_point, limits, **fields)])
        return outcome

    return judge
