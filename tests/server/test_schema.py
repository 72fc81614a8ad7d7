"""The server against its own published schema: requests that a machine makes up, none of which may break it.

More of them: RERANK_EXAMPLES=2000 pytest tests/test_server_schema.py
"""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from servers import FakeUpstream, chat_answer, serving, text_answer

TEXTS = ("    return 2 * x\n", "    return x\n")
NUM_EXAMPLES = int(os.environ.get("RERANK_EXAMPLES", "15"))  # of each operation and mode
OPERATIONS = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/rerank"),
    ("POST", "/v1/score"),
    ("GET", "/v1/models"),
    ("GET", "/health"),
    ("GET", "/metrics"),
]


@pytest.fixture(scope="module")
def schema():
    upstream = FakeUpstream(lambda path, _: (chat_answer if "chat" in path else text_answer)(*TEXTS))
    with serving(upstream.url, num_samples=2, max_n=4, max_body_bytes=64 << 20) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")
    upstream.close()


def test_every_operation_is_tried(schema):
    assert {(found.ok().method.upper(), found.ok().path) for found in schema.get_all_operations()} == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
def test_no_request_breaks_the_server(schema, method, path, mode):
    operation = schema[path][method]
    if method == "GET" and mode is GenerationMode.NEGATIVE:
        pytest.skip("takes nothing that could be invalid")

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=NUM_EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def check(case: schemathesis.Case) -> None:
        # Raises for a status of 500 or above, one that the schema does not name, and an answer of another shape. That
        # valid requests are taken is left out: --max-n and two lists of one length are no part of a schema.
        case.call_and_validate(excluded_checks=[schemathesis.checks.CHECKS.get_one("positive_data_acceptance")])

    check()
